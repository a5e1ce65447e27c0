//! A step is entered at most as often as it has attempts, crashes included.

use hydra_schedule::Property;

use super::super::facts::{Body, Facts};
use super::super::{Anomaly, Checked};
use crate::history::{Gave, Journal, Op};
use crate::workload::StepKind;

const WHAT: (Property, Anomaly) = (Property::AttemptsBounded, Anomaly::UnboundedRetry);

pub(super) fn check(facts: &Facts<'_>) -> Checked {
    let mut checked = Checked::default();
    for execution in &facts.executions {
        // An operator's retry gives new attempts; how many is the subject's affair.
        if execution.calls_of(Op::Retry).next().is_some() {
            continue;
        }
        for step in execution.program.steps() {
            let Some(attempts_max) = step.attempts_max.or(facts.settings.attempts_max) else {
                continue;
            };
            let Some(first) = execution.bodies_of(&step.id).next() else {
                continue;
            };
            checked.case();
            // A transaction that was undone before its body came to an end leaves no trace, and may begin again within
            // the same attempt.
            let undone = |body: &&Body<'_>| {
                step.kind == StepKind::Transactional && matches!(body.left, Some((_, Gave::Cancelled)))
            };
            let counted = || execution.bodies_of(&step.id).filter(|body| !undone(body));
            let entered = counted().count();
            if let Some(over) = counted().nth(attempts_max as usize) {
                let explanation = format!(
                    "{} has at most {attempts_max} attempts and was entered {entered} times: first by {} at {}, beyond its last attempt by {} at {}.",
                    first.step,
                    first.worker,
                    facts.when(first.entered),
                    over.worker,
                    facts.when(over.entered)
                );
                checked.find(WHAT, (execution, Some(first.step)), (first.entered, over.entered), explanation);
                continue;
            }
            let began = execution.journal.iter().find_map(|(index, journal)| match journal {
                Journal::Began { step: of, attempt } if of == first.step && *attempt > attempts_max => {
                    Some((*index, *attempt))
                }
                _ => None,
            });
            if let Some((index, attempt)) = began {
                let explanation = format!(
                    "{} began attempt {attempt} of {} at {}; it has at most {attempts_max}.",
                    facts.who(index),
                    first.step,
                    facts.when(index)
                );
                checked.find(WHAT, (execution, Some(first.step)), (first.entered.min(index), index), explanation);
            }
        }
    }
    checked
}
