//! The status at the end agrees with what happened.

use hydra_schedule::Property;

use super::super::facts::Execution;
use super::super::facts::Facts;
use super::super::{Anomaly, Checked};
use crate::history::{Gave, Journal, Op, Seen, Status};
use crate::workload::{Item, Step, StepKind};

const WHAT: (Property, Anomaly) = (Property::OutcomeTrue, Anomaly::InconsistentStatus);

pub(super) fn check(facts: &Facts<'_>) -> Checked {
    let mut checked = Checked::default();
    for execution in &facts.executions {
        // An operator may open a failed execution again, and it may end otherwise then.
        if execution.calls_of(Op::Retry).next().is_some() {
            continue;
        }
        let Some((ended, status)) = execution.ended() else {
            continue;
        };
        match status {
            Status::Failed => {
                checked.case();
                let last = execution.bodies.iter().filter_map(|body| body.left).map(|(left, _)| left).max();
                let cancelled = execution.calls_of(Op::Cancel).next().is_some();
                if cancelled || execution.deadline_passed(facts, ended) {
                    continue;
                }
                if let Some(explanation) = for_no_reason(facts, execution, ended) {
                    checked.find(WHAT, (execution, None), (ended, ended), explanation);
                } else if execution.program.steps().all(|step| must_have_succeeded(facts, execution, step)) {
                    let explanation = format!(
                        "{} was failed at {}, although every one of its steps succeeded and nothing failed.",
                        execution.name,
                        facts.when(ended)
                    );
                    checked.find(WHAT, (execution, None), (last.unwrap_or(ended).min(ended), ended), explanation);
                }
            }
            Status::Succeeded => {
                checked.case();
                let missing = execution.program.body.iter().find_map(|item| missing(execution, item));
                if let Some(step) = missing {
                    let name = execution.program.step_name(&step.id);
                    let last = execution.bodies_of(&step.id).last();
                    let what = match last {
                        None => "was never run".to_owned(),
                        Some(body) => {
                            format!("never succeeded; {} entered it last, at {}", body.worker, facts.when(body.entered))
                        }
                    };
                    let explanation =
                        format!("{} was succeeded at {}, although {name} {what}.", execution.name, facts.when(ended));
                    let first = last.map_or(ended, |body| body.entered);
                    checked.find(WHAT, (execution, Some(&name)), (first.min(ended), ended), explanation);
                }
            }
            Status::Pending | Status::Running | Status::Cancelled | Status::Missing => {}
        }
    }
    checked
}

/// Where the journal can be read: no attempt of anything had begun, so nothing can have failed.
fn for_no_reason(facts: &Facts<'_>, execution: &Execution<'_>, ended: usize) -> Option<String> {
    let written = execution.journal.iter().any(|(_, journal)| matches!(journal, Journal::Status { .. }));
    let begun = execution.journal.iter().any(|(_, journal)| matches!(journal, Journal::Began { .. }));
    let undecodable = facts.undecodable.iter().any(|(_, of)| of.execution == *execution.name);
    let nothing = written && !begun && execution.bodies.is_empty() && !undecodable;
    nothing.then(|| {
        format!(
            "{} was failed at {}, although no attempt of any step had begun: nothing in it can have failed.",
            execution.name,
            facts.when(ended)
        )
    })
}

/// A step of the item that must have succeeded for the workflow to get past it, and cannot have.
fn missing<'a>(execution: &Execution<'_>, item: &'a Item) -> Option<&'a Step> {
    let has = |step: &&Step| step.caught || may_have_succeeded(execution, step);
    match item {
        Item::Step(_) | Item::Parallel(_) => item.steps().iter().find(|step| !has(step)),
        // One of them is enough, and a timer needs no body.
        Item::Race(race) if race.sleep.is_some() || race.steps.iter().any(|step| has(&step)) => None,
        Item::Race(race) => race.steps.first(),
        Item::Sleep(_) => None,
    }
}

/// Whether nothing about this step excuses a failure of its execution.
fn must_have_succeeded(facts: &Facts<'_>, execution: &Execution<'_>, step: &Step) -> bool {
    let name = execution.program.step_name(&step.id);
    if facts.undecodable.iter().any(|(_, of)| **of == name) {
        return false;
    }
    let bodies = || execution.bodies_of(&step.id);
    if bodies().any(|body| matches!(body.left, Some((_, Gave::Unencodable | Gave::FinalFailure)))) {
        return false;
    }
    let Some(success) = bodies().find(|body| matches!(body.left, Some((_, Gave::Value(_))))) else {
        return false;
    };
    if execution.settled(&step.id).is_some_and(|settled| matches!(settled.seen, Seen::Value(_))) {
        return true;
    }
    // Its worker may have died before it could tell: an at-most-once step is in doubt then, and another may have used up
    // its attempts in this way.
    let used_up = step
        .attempts_max
        .or(facts.settings.attempts_max)
        .is_some_and(|max| bodies().count().max(execution.began(&name)) >= max as usize);
    let may_be_untold = step.kind == StepKind::AtMostOnce || used_up;
    let last = execution.last.unwrap_or(success.entered);
    !(may_be_untold && bodies().any(|body| facts.excuse(body.worker, body.entered, last).is_some()))
}

fn may_have_succeeded(execution: &Execution<'_>, step: &Step) -> bool {
    let mut bodies = execution.bodies_of(&step.id);
    // A body that was never left may have been told of its success when the observer lost sight of it.
    bodies.any(|body| body.succeeded() || (body.left.is_none() && !body.effects.is_empty()))
}
