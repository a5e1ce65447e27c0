//! The delay before a retry stays within its bounds and does not fall.

use hydra_schedule::{Action, Property, WorkerAct};

use super::super::facts::Body;
use super::super::facts::Facts;
use super::super::{Anomaly, Checked};
use super::ms;
use crate::history::{Gave, Op, Record, What};

const WHAT: (Property, Anomaly) = (Property::BackoffBounded, Anomaly::FallingBackoff);

pub(super) fn check(facts: &Facts<'_>) -> Checked {
    let mut checked = Checked::default();
    let settings = facts.settings;
    let kept_percent = 100 - settings.backoff_jitter_percent.min(100);
    for execution in &facts.executions {
        if execution.calls_of(Op::Retry).next().is_some() {
            continue;
        }
        for step in execution.program.steps() {
            let bodies: Vec<&Body<'_>> = execution.bodies_of(&step.id).collect();
            let mut before: Option<(usize, u64)> = None;
            for pair in bodies.windows(2) {
                let Some(delay_ms) = delay(facts, pair[0], pair[1]) else {
                    before = None;
                    continue;
                };
                checked.case();
                let (from, until) = (pair[0].left.map_or(pair[0].entered, |(left, _)| left), pair[1].entered);
                // What was seen is the delay plus at most `slack_ms`, and the delay is at least the nominal one less
                // the jitter: only what no such delays explain is a finding.
                let fell = before.filter(|(_, earlier_ms)| {
                    let nominal_ms = earlier_ms.saturating_sub(settings.slack_ms);
                    delay_ms.saturating_add(settings.early_ms) < nominal_ms.saturating_mul(kept_percent) / 100
                });
                let least_ms = settings.backoff_initial_ms.map(|first| first.saturating_mul(kept_percent) / 100);
                let most_ms = settings.backoff_cap_ms.map(|cap| cap.saturating_add(settings.slack_ms));
                let wrong = if let Some((_, earlier_ms)) = fell {
                    Some(format!("after one of {}: the delay fell", ms(earlier_ms)))
                } else if let Some(least) = least_ms.filter(|least| delay_ms + settings.early_ms < *least) {
                    Some(format!("where the least is {}", ms(least)))
                } else {
                    most_ms.filter(|most| delay_ms > *most).map(|most| format!("where the most is {}", ms(most)))
                };
                if let Some(wrong) = wrong {
                    let explanation = format!(
                        "{} failed at {} and was entered again at {}: a delay of {}, {wrong}.",
                        pair[0].step,
                        facts.when(from),
                        facts.when(until),
                        ms(delay_ms)
                    );
                    let first = fell.map_or(from, |(index, _)| index);
                    checked.find(WHAT, (execution, Some(pair[0].step)), (first, until), explanation);
                }
                before = Some((from, delay_ms));
            }
        }
    }
    checked
}

/// The delay between a failure and the next entry, if no fault can have stretched or cut it.
fn delay(facts: &Facts<'_>, one: &Body<'_>, next: &Body<'_>) -> Option<u64> {
    let (left, Gave::Failure) = one.left? else {
        return None;
    };
    let (from_ms, until_ms) = (facts.at_ms(left), facts.at_ms(next.entered));
    let widened_ms = facts.at_ms(one.entered).saturating_sub(facts.settings.lease_ms);
    let struck = facts.health.anyone_struck(widened_ms, until_ms).is_some();
    // A worker that shuts down lets its bodies end and begins nothing more: its retries wait for its successor.
    let stops = |record: &Record| match &record.what {
        What::Fault { event } => matches!(event.action, Action::Worker { act: WorkerAct::Stops, .. }),
        _ => false,
    };
    let stopped = facts.records[..next.entered.max(left)].iter().any(stops);
    (left < next.entered && !struck && !stopped).then(|| until_ms.saturating_sub(from_ms))
}
