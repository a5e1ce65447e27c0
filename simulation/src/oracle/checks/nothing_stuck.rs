//! No execution stands still for ever.

use hydra_schedule::Property;

use super::super::facts::{Execution, Facts};
use super::super::{Anomaly, Checked};
use super::ms;
use crate::history::What;

pub(super) fn check(facts: &Facts<'_>) -> Checked {
    let mut checked = Checked::default();
    for execution in &facts.executions {
        let Some(started) = execution.started() else {
            continue;
        };
        checked.case();
        if execution.has_ended() {
            continue;
        }
        let last = last_sign(facts, execution).unwrap_or(started).max(started);
        let quiet_from_ms = facts.at_ms(last).max(facts.healed.map_or(0, |healed| facts.at_ms(healed)));
        let name = execution.name;
        let Some(quiet_max_ms) = quiet_max_ms(facts, execution) else {
            checked.leave_open(|| format!("{name} did not end, and no recovery time is declared to wait for"));
            continue;
        };
        if !facts.faults_ceased() || facts.end_ms < quiet_from_ms.saturating_add(quiet_max_ms) {
            checked.leave_open(|| {
                format!(
                    "{name} was quiet from {} to {}; up to {} is no loss",
                    ms(quiet_from_ms),
                    ms(facts.end_ms),
                    ms(quiet_max_ms)
                )
            });
            continue;
        }
        let explanation = format!(
            "{name} has not ended; its last sign was at {}, and with no faults from {} on nothing came until {}, longer than its sleeps, its backoff and the declared recovery time together ({}).",
            facts.when(last),
            ms(quiet_from_ms),
            ms(facts.end_ms),
            ms(quiet_max_ms)
        );
        let what = (Property::NothingStuck, Anomaly::Stuck);
        checked.find(what, (execution, None), (last, facts.records.len() - 1), explanation);
    }
    checked
}

/// The last record that shows that somebody works on it; a client that asks is no sign.
pub(super) fn last_sign(facts: &Facts<'_>, execution: &Execution<'_>) -> Option<usize> {
    let last = execution.last?;
    (0..=last).rev().find(|index| {
        let record = &facts.records[*index];
        let works = matches!(record.what, What::Entered(_) | What::Effect(_) | What::Left { .. } | What::Journal(_));
        works && record.execution() == Some(execution.name)
    })
}

/// How long an execution may show nothing at all while all is well. Nothing without a declared recovery time.
pub(super) fn quiet_max_ms(facts: &Facts<'_>, execution: &Execution<'_>) -> Option<u64> {
    let recovery_ms = facts.settings.recovery_ms?;
    let longest_ms = execution.program.steps().map(|step| step.lasts_ms).max().unwrap_or(0);
    let cap_ms = facts.settings.backoff_cap_ms.unwrap_or(0);
    let parts =
        [execution.program.sleeps_ms(), recovery_ms, longest_ms, cap_ms, facts.settings.slack_ms, facts.back_ms];
    Some(parts.into_iter().fold(0, u64::saturating_add))
}
