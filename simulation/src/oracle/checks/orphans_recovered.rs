//! An execution whose worker died is driven on by another.

use hydra_schedule::{Property, StepName};

use super::super::facts::{Execution, Facts};
use super::super::recovery::went_down_in;
use super::super::{Anomaly, Checked};
use super::ms;
use crate::history::{Journal, What};

const WHAT: (Property, Anomaly) = (Property::OrphansRecovered, Anomaly::Stuck);

pub(super) fn check(facts: &Facts<'_>) -> Checked {
    let mut checked = Checked::default();
    for execution in &facts.executions {
        for body in &execution.bodies {
            let Some(down) = went_down_in(facts, body.worker, body.entered, body.left.map(|(left, _)| left)) else {
                continue;
            };
            // Ended, or settled by another, before its worker died: there is nothing left to take over.
            let ended = execution.ended().is_some_and(|(ended, _)| ended < down);
            let settled = execution.checkpoint(&body.step.step).is_some_and(|(settled, _)| settled < down);
            if ended || settled {
                continue;
            }
            checked.case();
            let Some(recovery_ms) = facts.settings.recovery_ms else {
                checked
                    .leave_open(|| format!("{} died in {}, and no recovery time is declared", body.worker, body.step));
                continue;
            };
            let (base_ms, why) = base(facts, down, recovery_ms);
            let parts =
                [recovery_ms, facts.settings.slack_ms, facts.settings.backoff_cap_ms.unwrap_or(0), facts.back_ms];
            let limit_ms = parts.iter().fold(base_ms, |sum, part| sum.saturating_add(*part));
            let next = goes_on(facts, execution, body.step, down);
            let in_time = next.is_some_and(|next| facts.at_ms(next) <= limit_ms);
            if in_time {
                continue;
            }
            if facts.end_ms <= limit_ms || base_ms == u64::MAX {
                checked.leave_open(|| {
                    format!(
                        "{} died in {} and the observation ended before the recovery time was over",
                        body.worker, body.step
                    )
                });
                continue;
            }
            let (second, then) = match next {
                Some(next) => (next, format!("was taken up again only at {}", facts.when(next))),
                None => (facts.records.len() - 1, format!("was not taken up again until {}", ms(facts.end_ms))),
            };
            let explanation = format!(
                "{} died at {} inside {}; {why}, and the step {then}, beyond the declared recovery time of {}.",
                body.worker,
                facts.when(down),
                body.step,
                ms(recovery_ms)
            );
            checked.find(WHAT, (execution, Some(body.step)), (down, second), explanation);
        }
    }
    checked
}

/// From when the recovery time counts: from the end of the worker if another was up and nothing else was struck, else
/// from when all was healed; never, if that did not come.
fn base(facts: &Facts<'_>, down: usize, recovery_ms: u64) -> (u64, String) {
    let down_ms = facts.at_ms(down);
    let until_ms = down_ms.saturating_add(recovery_ms);
    let well = facts.workers.iter().find(|worker| facts.health.struck(worker.as_str(), down_ms, until_ms).is_none());
    match (well, facts.healed) {
        (Some(worker), _) => (down_ms, format!("{worker} was up and connected")),
        (None, Some(healed)) => (
            down_ms.max(facts.at_ms(healed)),
            format!("all workers were up and connected from {} on", facts.when(healed)),
        ),
        (None, None) => (u64::MAX, String::new()),
    }
}

/// The first sign after the worker's end that somebody took the step up, or that it needs nobody.
fn goes_on(facts: &Facts<'_>, execution: &Execution<'_>, step: &StepName, down: usize) -> Option<usize> {
    let told = |index: &usize| match &facts.records[*index].what {
        What::Entered(entered) => entered.step == *step || entered.saw.contains_key(&step.step),
        What::Journal(journal) => match journal {
            Journal::Claimed { .. } => true,
            Journal::Checkpoint { step: of, .. } | Journal::Began { step: of, .. } => of == step,
            Journal::Status { status, .. } => status.is_terminal(),
            Journal::Released { .. } | Journal::TimerSet { .. } | Journal::TimerFired { .. } | Journal::Rows { .. } => {
                false
            }
        },
        What::Call(call) => call.status.is_some_and(|status| status.is_terminal()),
        What::Effect(_) | What::Left { .. } | What::Worker { .. } | What::Fault { .. } | What::Healed | What::Ended => {
            false
        }
    };
    let last = execution.last?;
    (down + 1..=last).filter(|index| facts.records[*index].execution() == Some(execution.name)).find(told)
}
