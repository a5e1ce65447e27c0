//! A sleep lasts at least as long as asked.

use hydra_schedule::Property;

use super::super::facts::{Execution, Facts};
use super::super::{Anomaly, Checked};
use super::ms;
use crate::history::{Journal, Op, Status};
use crate::workload::Item;

const WHAT: (Property, Anomaly) = (Property::TimerNotEarly, Anomaly::Early);

pub(super) fn check(facts: &Facts<'_>) -> Checked {
    let mut checked = Checked::default();
    for execution in &facts.executions {
        // After an operator's retry the program runs again over timers that have fired.
        if execution.calls_of(Op::Retry).next().is_some() {
            continue;
        }
        for (number, item) in execution.program.body.iter().enumerate() {
            let Item::Sleep(sleep) = item else { continue };
            // Where the journal shows it, no guess is needed; bodies may be a zombie's, and end long after.
            let written = execution.journal.iter().find_map(|(index, journal)| match journal {
                Journal::TimerSet { step, .. } if step.step == sleep.id => Some(*index),
                _ => None,
            });
            let set = written.or_else(|| set_not_before(execution, number));
            let (Some(set), Some(woke)) = (set, woke(execution, number)) else {
                continue;
            };
            checked.case();
            // A clock that was set back in between had shown more before.
            let lasted_ms = facts.store_ms(woke).saturating_sub(facts.store_ms(set)).saturating_add(facts.back_ms);
            if lasted_ms.saturating_add(facts.settings.early_ms) < sleep.ms {
                let step = execution.program.step_name(&sleep.id);
                let explanation = format!(
                    "The sleep {step} of {} cannot have begun before {} and was over at {}: it lasted {} at the most.",
                    ms(sleep.ms),
                    facts.when(set),
                    facts.when(woke),
                    ms(lasted_ms)
                );
                checked.find(WHAT, (execution, Some(&step)), (set, woke), explanation);
            }
        }
        fired_early(facts, execution, &mut checked);
    }
    checked
}

/// The last step before the sleep must have been left once before the timer can be set.
pub(super) fn set_not_before(execution: &Execution<'_>, sleep: usize) -> Option<usize> {
    // Of a race before it, nobody outside can tell who won; what lies before the race is earlier, and surely over.
    let mut before = execution.items_before(sleep).iter();
    let before = before.rfind(|item| matches!(item, Item::Step(_) | Item::Parallel(_)));
    let Some(before) = before else {
        return execution.started();
    };
    let left_first = |step: &crate::workload::Step| {
        let lefts = execution.bodies_of(&step.id).filter(|body| body.succeeded()).filter_map(|body| body.left);
        lefts.map(|(left, _)| left).min()
    };
    let all: Option<Vec<usize>> = before.steps().iter().map(left_first).collect();
    all?.into_iter().max()
}

/// The first thing that shows that the sleep is over: a body of the next step, or success.
pub(super) fn woke(execution: &Execution<'_>, sleep: usize) -> Option<usize> {
    let next = execution.program.body[sleep + 1..].iter().find(|item| !item.steps().is_empty());
    let entered = next.into_iter().flat_map(|item| item.steps()).flat_map(|step| execution.bodies_of(&step.id));
    let succeeded = execution.ended().filter(|(_, status)| *status == Status::Succeeded).map(|(told, _)| told);
    entered.map(|body| body.entered).chain(succeeded).min()
}

fn fired_early(facts: &Facts<'_>, execution: &Execution<'_>, checked: &mut Checked) {
    for (index, journal) in &execution.journal {
        let Journal::TimerFired { step } = journal else {
            continue;
        };
        let set = execution.journal.iter().find_map(|(at, journal)| match journal {
            Journal::TimerSet { step: of, due_ms } if of == step && at < index => Some((*at, *due_ms)),
            _ => None,
        });
        let Some((set, due_ms)) = set else { continue };
        checked.case();
        if facts.store_ms(*index).saturating_add(facts.settings.early_ms) < due_ms {
            let explanation = format!(
                "The timer {step} was set at {} for {} and fired at {}.",
                facts.when(set),
                ms(due_ms),
                facts.when(*index)
            );
            checked.find(WHAT, (execution, Some(step)), (set, *index), explanation);
        }
    }
}
