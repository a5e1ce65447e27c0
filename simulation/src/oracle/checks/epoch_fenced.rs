//! A worker whose execution another has taken over is not heard any more, and the epoch rises at every claim.

use hydra_schedule::Property;

use super::super::facts::Execution;
use super::super::facts::{Body, Facts};
use super::super::{Anomaly, Checked};
use crate::history::{Journal, Seen};

const WHAT: (Property, Anomaly) = (Property::EpochFenced, Anomaly::StaleWrite);

pub(super) fn check(facts: &Facts<'_>) -> Checked {
    let mut checked = Checked::default();
    for execution in &facts.executions {
        stale_value(facts, execution, &mut checked);
        written(facts, execution, &mut checked);
    }
    checked
}

/// Seen from outside: the body of A was still running when B entered the same step, and what later steps saw is A's.
fn stale_value(facts: &Facts<'_>, execution: &Execution<'_>, checked: &mut Checked) {
    for (number, one) in execution.bodies.iter().enumerate() {
        let Some((left, _)) = one.left else { continue };
        let after = &execution.bodies[number + 1..];
        let taken = after.iter().find(|other| {
            other.step == one.step && other.worker != one.worker && (one.entered..left).contains(&other.entered)
        });
        // One that was cut off itself, or whose clock is wrong, may be the zombie of the two.
        let zombie = |other: &Body<'_>| {
            let from_ms = facts.at_ms(one.entered).saturating_sub(facts.settings.lease_ms);
            facts.health.cut_off(other.worker, from_ms, facts.at_ms(other.entered))
        };
        let Some(taken) = taken.filter(|other| !zombie(other)) else { continue };
        checked.case();
        let Some(settled) = execution.settled(&one.step.step) else {
            continue;
        };
        let (Some(value), Seen::Value(seen)) = (one.value(), settled.seen) else {
            continue;
        };
        if value == seen && settled.index > taken.entered {
            let explanation = format!(
                "{} took {} over from {} at {}; {} left its body only at {}, and yet its value {value:?} is what the step holds at {}.",
                taken.worker,
                one.step,
                one.worker,
                facts.when(taken.entered),
                one.worker,
                facts.when(left),
                facts.when(settled.index)
            );
            checked.find(WHAT, (execution, Some(one.step)), (taken.entered, settled.index), explanation);
        }
    }
}

/// Where the journal can be read: whoever wrote must be the last who claimed. Counted by claims, not by the subject's
/// own epochs: an engine that never raises them would agree with itself.
fn written(facts: &Facts<'_>, execution: &Execution<'_>, checked: &mut Checked) {
    let mut owner: Option<(usize, Option<u64>)> = None;
    let mut highest: Option<u64> = None;
    for (index, journal) in &execution.journal {
        match journal {
            Journal::Claimed { epoch, .. } => {
                checked.case();
                if let (Some(epoch), Some(before), Some((first, _))) = (epoch, highest, owner)
                    && *epoch <= before
                {
                    let explanation = format!(
                        "{} claimed {} under epoch {epoch} at {}, although epoch {before} had been claimed at {}: the epoch did not rise.",
                        facts.who(*index),
                        execution.name,
                        facts.when(*index),
                        facts.when(first)
                    );
                    checked.find(WHAT, (execution, None), (first, *index), explanation);
                }
                highest = highest.max(*epoch);
                owner = Some((*index, *epoch));
            }
            Journal::Began { .. }
            | Journal::Checkpoint { .. }
            | Journal::TimerSet { .. }
            | Journal::TimerFired { .. }
            | Journal::Released { .. }
            | Journal::Status { .. } => {
                let Some((claim, _)) = owner else { continue };
                let writer = facts.who(*index);
                let is_worker = facts.workers.iter().any(|worker| worker.as_str() == writer);
                if is_worker && writer != facts.who(claim) {
                    let explanation = format!(
                        "{writer} wrote to {} at {} and was heard ({writer} {journal}), although {} had claimed it at {}.",
                        execution.name,
                        facts.when(*index),
                        facts.who(claim),
                        facts.when(claim)
                    );
                    checked.find(WHAT, (execution, None), (claim, *index), explanation);
                }
            }
            Journal::Rows { .. } => {}
        }
    }
}
