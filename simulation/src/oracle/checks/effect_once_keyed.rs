//! A receiver that honours the key performs one effect for each keyed step.

use hydra_schedule::Property;

use super::super::facts::Facts;
use super::super::facts::{Body, Execution};
use super::super::{Anomaly, Checked};
use crate::history::Effect;
use crate::workload::StepKind;

const WHAT: (Property, Anomaly) = (Property::EffectOnceKeyed, Anomaly::Duplicate);

pub(super) fn check(facts: &Facts<'_>) -> Checked {
    let mut checked = Checked::default();
    for execution in &facts.executions {
        for step in execution.steps_of(StepKind::Keyed) {
            let mut effects: Vec<_> = execution
                .bodies_of(&step.id)
                .flat_map(|body| body.effects.iter().map(move |(index, effect)| (*index, *effect, body)))
                .collect();
            // In the order in which the receiver saw them: a body that was entered first may act last.
            effects.sort_by_key(|(index, _, _)| *index);
            let Some(first) = effects.first() else {
                continue;
            };
            checked.case();
            // The same key presented twice is no finding: the receiver refused the second. Two keys are one even where
            // the receiver happened to refuse, since it can only tell effects apart by their keys.
            let second = effects[1..].iter().find(|(_, effect, _)| effect.applied || effect.key != first.1.key);
            if let Some(second) = second {
                let explanation = explain(facts, execution, first, second);
                checked.find(WHAT, (execution, Some(first.2.step)), (first.0, second.0), explanation);
            }
        }
    }
    checked
}

fn explain(
    facts: &Facts<'_>,
    execution: &Execution<'_>,
    (first, effect, one): &(usize, &Effect, &Body<'_>),
    (second, later, other): &(usize, &Effect, &Body<'_>),
) -> String {
    let told = |effect: &Effect, body: &Body<'_>, index: usize| {
        let key = effect.key.as_ref().map_or("without a key".to_owned(), |key| format!("under the key {key:?}"));
        let attempt = body.door.attempt.map(|attempt| format!(" (attempt {attempt})")).unwrap_or_default();
        format!("from {} at {}{attempt} {key}", body.worker, facts.when(index))
    };
    let why = match execution.settled(&one.step.step) {
        Some(settled) if settled.index < other.entered => {
            format!("the body ran again although the step was settled at {}", facts.when(settled.index))
        }
        _ if one.left.is_none_or(|(left, _)| left > other.entered) && one.worker != other.worker => {
            let fate = match one.left {
                Some((left, _)) => format!("{} was still inside its body until {}", one.worker, facts.when(left)),
                None => format!("{} never came out of its body", one.worker),
            };
            format!("{fate}, and the step had no checkpoint when {} began it", other.worker)
        }
        _ => "the step had no checkpoint in between, so running the body again is allowed, but not under another identity"
            .to_owned(),
    };
    let how = if effect.key == later.key { "" } else { ", so a receiver that honours keys does both" };
    format!(
        "The receiver saw the effect of {} twice: {} and {}{how}; {why}.",
        one.step,
        told(effect, one, *first),
        told(later, other, *second)
    )
}
