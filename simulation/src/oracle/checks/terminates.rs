//! Every execution ends once the faults have ceased.

use hydra_schedule::Property;

use super::super::facts::{Execution, Facts};
use super::super::{Anomaly, Checked};
use super::ms;
use super::nothing_stuck::{last_sign, quiet_max_ms};
use crate::history::Journal;

pub(super) fn check(facts: &Facts<'_>) -> Checked {
    let mut checked = Checked::default();
    for execution in &facts.executions {
        let Some(started) = execution.started() else {
            continue;
        };
        checked.case();
        runs_in_a_circle(facts, execution, &mut checked);
        if execution.has_ended() {
            continue;
        }
        let name = execution.name;
        let base_ms = facts.at_ms(started).max(facts.healed.map_or(0, |healed| facts.at_ms(healed)));
        let Some(work_max_ms) = work_max_ms(facts, execution) else {
            checked.leave_open(|| format!("{name} did not end, and its longest possible time is not declared"));
            continue;
        };
        let limit_ms = base_ms.saturating_add(work_max_ms);
        let last = last_sign(facts, execution).unwrap_or(started);
        // Where nobody worked on it for longer than anything can take, nobody will: it need not be watched any longer.
        let quiet_from_ms = facts.at_ms(last).max(base_ms);
        let quiet_max_ms = quiet_max_ms(facts, execution).unwrap_or(u64::MAX);
        let stands = facts.end_ms >= quiet_from_ms.saturating_add(quiet_max_ms);
        if !facts.faults_ceased() || (facts.end_ms < limit_ms && !stands) {
            checked
                .leave_open(|| format!("{name} was watched until {} and had until {}", ms(facts.end_ms), ms(limit_ms)));
            continue;
        }
        let still_works = facts.end_ms.saturating_sub(facts.at_ms(last)) < quiet_max_ms;
        let (anomaly, how) = match still_works {
            true => (Anomaly::UnboundedRetry, "it is still at work and comes to no end"),
            false => (Anomaly::Stuck, "nothing works on it any more"),
        };
        let longest = if facts.end_ms < limit_ms {
            format!("no single thing in it takes longer than {}", ms(quiet_max_ms))
        } else {
            format!("all its attempts, sleeps and delays together take {} at the most", ms(work_max_ms))
        };
        let explanation = format!(
            "{name} had not ended at {}, although there were no faults from {} on and {longest}; its last sign was at {}: {how}.",
            ms(facts.end_ms),
            ms(base_ms),
            facts.when(last)
        );
        checked.find(
            (Property::Terminates, anomaly),
            (execution, None),
            (started, facts.records.len() - 1),
            explanation,
        );
    }
    checked
}

/// Claimed and given back so often in a row, with nothing done in between and no fault: whoever acts, nothing moves it.
/// That its sleep ends some day is no merit of such an engine.
const FRUITLESS_MAX: u32 = 4;

/// Where the journal can be read: an execution that is claimed and given back, over and over.
fn runs_in_a_circle(facts: &Facts<'_>, execution: &Execution<'_>, checked: &mut Checked) {
    let mut circle: Option<Circle> = None;
    let mut claimed = false;
    for (index, journal) in &execution.journal {
        match journal {
            Journal::Claimed { .. } => {
                claimed = true;
                circle.get_or_insert(Circle { first: *index, times: 0 });
            }
            Journal::Released { .. } if claimed => {
                claimed = false;
                let Some(circle) = &mut circle else { continue };
                circle.times += 1;
                // A worker that shuts down, or was struck, gives back what it has just claimed.
                let from_ms = facts.at_ms(circle.first).saturating_sub(facts.settings.lease_ms);
                if circle.times > FRUITLESS_MAX && facts.health.anyone_struck(from_ms, facts.at_ms(*index)).is_none() {
                    let explanation = format!(
                        "{} was claimed and given back {} times in a row from {} to {}, with no fault and with nothing done in between: a circle that no worker leaves by acting.",
                        execution.name,
                        circle.times,
                        facts.when(circle.first),
                        facts.when(*index)
                    );
                    let what = (Property::Terminates, Anomaly::UnboundedRetry);
                    checked.find(what, (execution, None), (circle.first, *index), explanation);
                    return;
                }
            }
            Journal::Released { .. }
            | Journal::Began { .. }
            | Journal::Checkpoint { .. }
            | Journal::TimerSet { .. }
            | Journal::TimerFired { .. }
            | Journal::Status { .. } => (circle, claimed) = (None, false),
            Journal::Rows { .. } => {}
        }
    }
}

/// Claims in a row that were given back with nothing done.
struct Circle {
    first: usize,
    times: u32,
}

/// The longest time that the whole program can take: every attempt of every step with its delay, every sleep, one
/// recovery. Nothing where an attempt limit or the recovery time is not declared.
fn work_max_ms(facts: &Facts<'_>, execution: &Execution<'_>) -> Option<u64> {
    let mut total_ms = quiet_max_ms(facts, execution)?;
    for step in execution.program.steps() {
        let attempts_max = u64::from(step.attempts_max.or(facts.settings.attempts_max)?);
        let cap_ms = facts.settings.backoff_cap_ms.unwrap_or(0);
        let once_ms = step.lasts_ms.saturating_add(cap_ms).saturating_add(facts.settings.slack_ms);
        total_ms = total_ms.saturating_add(once_ms.saturating_mul(attempts_max));
    }
    Some(total_ms)
}
