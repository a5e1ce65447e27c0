//! An execution that has ended does nothing more and leaves no open step behind.

use hydra_schedule::Property;

use super::super::facts::Execution;
use super::super::facts::Facts;
use super::super::{Anomaly, Checked};
use crate::history::{Journal, Op};

const WHAT: (Property, Anomaly) = (Property::CancelClean, Anomaly::InconsistentStatus);

pub(super) fn check(facts: &Facts<'_>) -> Checked {
    let mut checked = Checked::default();
    for execution in &facts.executions {
        let cancelled = execution.calls_of(Op::Cancel).find_map(|call| call.ok()).map(|(index, _)| index);
        let terminal = execution.ended().map(|(told, _)| told);
        let Some(ended) = [cancelled, terminal].into_iter().flatten().min() else {
            continue;
        };
        if execution.calls_of(Op::Retry).next().is_some() {
            continue;
        }
        checked.case();
        entered_after(facts, execution, ended, &mut checked);
        written_after(facts, execution, terminal, &mut checked);
    }
    checked
}

/// A worker learns of the end at its next write or heartbeat: a body that follows within a lease was on its way.
/// 1. A begins s. 2. The client cancels. 3. A, not told yet, enters the body.
fn entered_after(facts: &Facts<'_>, execution: &Execution<'_>, ended: usize, checked: &mut Checked) {
    let told_ms = facts.at_ms(ended).saturating_add(facts.settings.lease_ms).saturating_add(facts.settings.slack_ms);
    let after = execution.bodies.iter().find(|body| {
        body.entered > ended
            && facts.at_ms(body.entered) > told_ms
            && !facts.health.cut_off(
                body.worker,
                facts.at_ms(ended).saturating_sub(facts.settings.lease_ms),
                facts.at_ms(body.entered),
            )
    });
    if let Some(body) = after {
        let explanation = format!(
            "{} had ended at {}; {} entered the body of {} at {}, after more than a lease.",
            execution.name,
            facts.when(ended),
            body.worker,
            body.step,
            facts.when(body.entered)
        );
        checked.find(WHAT, (execution, Some(body.step)), (ended, body.entered), explanation);
    }
}

/// What the journal accepts is not on its way: there the end counts at once.
fn written_after(facts: &Facts<'_>, execution: &Execution<'_>, terminal: Option<usize>, checked: &mut Checked) {
    let Some(ended) = terminal else { return };
    for (index, journal) in execution.journal.iter().filter(|(index, _)| *index > ended) {
        let (what, step) = match journal {
            Journal::Claimed { .. } => ("was claimed".to_owned(), None),
            Journal::Began { step, attempt } => (format!("began attempt {attempt} of {step}"), Some(step)),
            Journal::Checkpoint { step, .. } => (format!("settled {step}"), Some(step)),
            Journal::TimerSet { step, .. } => (format!("set the timer {step}"), Some(step)),
            Journal::TimerFired { step } => (format!("fired the timer {step}"), Some(step)),
            Journal::Rows { open_steps, .. } if *open_steps > 0 => (format!("still had {open_steps} open steps"), None),
            Journal::Rows { .. } | Journal::Released { .. } | Journal::Status { .. } => continue,
        };
        let explanation =
            format!("{} had ended at {} and {what} at {}.", execution.name, facts.when(ended), facts.when(*index));
        checked.find(WHAT, (execution, step), (ended, *index), explanation);
        return;
    }
}
