//! A transactional step has one committed effect, and has it if it is checkpointed.

use hydra_schedule::Property;

use super::super::facts::Facts;
use super::super::{Anomaly, Checked};
use crate::history::Seen;
use crate::workload::StepKind;

pub(super) fn check(facts: &Facts<'_>) -> Checked {
    let mut checked = Checked::default();
    for execution in &facts.executions {
        for step in execution.steps_of(StepKind::Transactional) {
            let committed = || {
                execution.bodies_of(&step.id).flat_map(|body| {
                    body.effects.iter().filter(|(_, effect)| effect.applied).map(move |(index, _)| (*index, body))
                })
            };
            let mut effects = committed();
            let (first, second) = (effects.next(), effects.next());
            // What a later body saw was checkpointed too, but says nothing of the effect unless the store was looked at.
            let was_read = execution.bodies_of(&step.id).any(|body| !body.effects.is_empty());
            let seen = || execution.settled(&step.id).filter(|_| was_read).map(|settled| (settled.index, settled.seen));
            let settled = execution.checkpoint(&step.id).or_else(seen);
            if first.is_some() || settled.is_some() {
                checked.case();
            }
            if let (Some((first, one)), Some((second, other))) = (first, second) {
                let explanation = format!(
                    "The store holds the effect of {} twice: {} committed it at {} and {} at {}; the effect and the checkpoint did not commit together.",
                    one.step,
                    one.worker,
                    facts.when(first),
                    other.worker,
                    facts.when(second)
                );
                let what = (Property::EffectOnceTransactional, Anomaly::Duplicate);
                checked.find(what, (execution, Some(one.step)), (first, second), explanation);
            }
            if let (None, Some((index, Seen::Value(_)))) = (first, settled) {
                let name = execution.program.step_name(&step.id);
                let explanation = format!(
                    "{name} was checkpointed as succeeded at {}, and its effect was never committed.",
                    facts.when(index)
                );
                let what = (Property::EffectOnceTransactional, Anomaly::Lost);
                checked.find(what, (execution, Some(&name)), (index, index), explanation);
            }
        }
    }
    checked
}
