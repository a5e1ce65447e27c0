//! Whoever sees the value of a step sees the same value, and one that a body of it returned.

use hydra_schedule::Property;

use super::super::facts::Facts;
use super::super::{Anomaly, Checked};
use std::collections::BTreeMap;

use hydra_schedule::Name;

use super::super::facts::Execution;
use crate::history::{Op, Seen};

const WHAT: (Property, Anomaly) = (Property::ReplayFaithful, Anomaly::DivergentReplay);

pub(super) fn check(facts: &Facts<'_>) -> Checked {
    let mut checked = Checked::default();
    for execution in &facts.executions {
        // An operator's retry may run a failed step again: what was a failure then may be a value now.
        if execution.calls_of(Op::Retry).next().is_some() {
            continue;
        }
        let mut first: BTreeMap<&Name, (usize, &Seen)> = BTreeMap::new();
        for (index, step, seen) in sights(execution) {
            checked.case();
            let name = execution.program.step_name(step);
            match first.get(step) {
                None => {
                    if let Some(explanation) = never_returned(facts, execution, index, step, seen) {
                        checked.find(WHAT, (execution, Some(&name)), (index, index), explanation);
                    }
                    first.insert(step, (index, seen));
                }
                Some((before, was)) if *was != seen => {
                    let explanation = format!(
                        "Of {name} the workflow had {was} at {} (on {}) and {seen} at {} (on {}).",
                        facts.when(*before),
                        facts.who(*before),
                        facts.when(index),
                        facts.who(index)
                    );
                    checked.find(WHAT, (execution, Some(&name)), (*before, index), explanation);
                    break;
                }
                Some(_) => {}
            }
        }
    }
    checked
}

/// Every sight of a step's value, in order: by later bodies and in the result.
fn sights<'e>(execution: &'e Execution<'_>) -> Vec<(usize, &'e Name, &'e Seen)> {
    let bodies = execution.bodies.iter().map(|body| (body.entered, &body.door.saw));
    let results =
        execution.calls_of(Op::Result).filter_map(|call| call.ok()).map(|(index, answer)| (index, &answer.saw));
    let mut all: Vec<_> = bodies
        .chain(results)
        .flat_map(|(index, saw)| saw.iter().map(move |(step, seen)| (index, step, seen)))
        .collect();
    all.sort_by_key(|(index, _, _)| *index);
    all
}

fn never_returned(
    facts: &Facts<'_>,
    execution: &Execution<'_>,
    index: usize,
    step: &Name,
    seen: &Seen,
) -> Option<String> {
    let Seen::Value(value) = seen else {
        return None;
    };
    execution.program.steps().find(|known| known.id == *step)?;
    let returned = execution.bodies_of(step).any(|body| body.value() == Some(value));
    let held = execution.bodies_of(step).any(|body| body.left.is_none());
    (!returned && !held).then(|| {
        format!(
            "At {} the workflow had the value {value:?} of {}/{step}, which no body returned.",
            facts.when(index),
            execution.name
        )
    })
}
