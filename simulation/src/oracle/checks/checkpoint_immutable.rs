//! A settled step is never entered again, and its checkpoint never changes.

use hydra_schedule::Property;

use super::super::facts::Facts;
use super::super::facts::{Body, Execution, Settled};
use super::super::recovery::went_down_before;
use super::super::{Anomaly, Checked};
use crate::history::Journal;

const WHAT: (Property, Anomaly) = (Property::CheckpointImmutable, Anomaly::Duplicate);

pub(super) fn check(facts: &Facts<'_>) -> Checked {
    let mut checked = Checked::default();
    for execution in &facts.executions {
        for step in execution.program.steps() {
            let Some(settled) = execution.settled(&step.id) else {
                continue;
            };
            checked.case();
            if execution.reopened(settled.index..usize::MAX) {
                continue;
            }
            let again = execution
                .bodies_of(&step.id)
                .find(|body| body.entered > settled.index && !is_zombie(facts, execution, body, &settled));
            if let Some(body) = again {
                let proof = match settled.by {
                    Some(later) => format!("{later} had already been given its value"),
                    None => "its checkpoint existed".to_owned(),
                };
                let explanation = format!(
                    "{} entered the body of {} again at {}, although {proof} at {}.",
                    body.worker,
                    body.step,
                    facts.when(body.entered),
                    facts.when(settled.index)
                );
                checked.find(WHAT, (execution, Some(body.step)), (settled.index, body.entered), explanation);
            }
            changed(facts, execution, &settled, &mut checked);
        }
    }
    checked
}

/// A paused or cut-off worker that had begun before another settled the step may still enter the body: no engine can
/// reach it. 1. A claims and begins s. 2. A is paused, or what it is told is held back. 3. B claims, runs s, settles it.
/// 4. A goes on, and enters the body. Whether its effect and its write are refused is judged elsewhere. Once it goes on,
/// it can know within a lease; and one that died meanwhile knows nothing but what it has read since.
fn is_zombie(facts: &Facts<'_>, execution: &Execution<'_>, body: &Body<'_>, settled: &Settled<'_>) -> bool {
    let died = went_down_before(facts, body.worker, body.entered);
    let lives_since = died.map_or(0, |index| index + 1);
    let before = |index: usize| (lives_since..settled.index).contains(&index);
    let settled_by_itself = facts.who(settled.index) == body.worker;
    let was_there = execution.bodies.iter().any(|other| other.worker == body.worker && before(other.entered))
        || execution.journal.iter().any(|(index, _)| before(*index) && facts.who(*index) == body.worker);
    let claimed_again = execution.claimed_by(body.worker, settled.index..body.entered, facts.records);
    let until_ms = facts.at_ms(body.entered);
    let from_ms = facts.ignorant_since_ms(settled.index, body.entered);
    // Where claims cannot be seen, it may have made one in the time between the start and the fault.
    let claims_are_seen = execution.journal.iter().any(|(_, journal)| matches!(journal, Journal::Claimed { .. }));
    let may_have_claimed = !claims_are_seen
        && execution.started().is_some_and(|started| {
            let since_ms = facts.at_ms(started.max(died.unwrap_or(0)));
            facts.health.cut_off_since(body.worker, since_ms, from_ms, until_ms)
        });
    !settled_by_itself
        && (was_there || may_have_claimed)
        && !claimed_again
        && facts.health.cut_off(body.worker, from_ms, until_ms)
}

fn changed(facts: &Facts<'_>, execution: &Execution<'_>, settled: &Settled<'_>, checked: &mut Checked) {
    let Some((_, Journal::Checkpoint { step, seen })) =
        execution.journal.iter().find(|(index, _)| *index == settled.index)
    else {
        return;
    };
    let other = execution.journal.iter().find_map(|(index, journal)| match journal {
        Journal::Checkpoint { step: of, seen: now } if of == step && now != seen => Some((*index, now)),
        _ => None,
    });
    if let Some((index, now)) = other {
        let explanation = format!(
            "The checkpoint of {step} was {seen} at {} and {now} at {}, written by {}.",
            facts.when(settled.index),
            facts.when(index),
            facts.who(index)
        );
        checked.find(WHAT, (execution, Some(step)), (settled.index, index), explanation);
    }
}
