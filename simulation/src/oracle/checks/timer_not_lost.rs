//! A sleep ends, even if no worker was up when it was due.

use hydra_schedule::Property;

use super::super::facts::Facts;
use super::super::{Anomaly, Checked};
use super::ms;
use super::timer_not_early::{set_not_before, woke};
use crate::history::Gave;
use crate::workload::Item;

pub(super) fn check(facts: &Facts<'_>) -> Checked {
    let mut checked = Checked::default();
    for execution in &facts.executions {
        for (number, item) in execution.program.body.iter().enumerate() {
            let Item::Sleep(sleep) = item else { continue };
            let Some(set) = set_not_before(execution, number) else {
                continue;
            };
            checked.case();
            if woke(execution, number).is_some() || execution.has_ended() {
                continue;
            }
            let later_sleeps = execution.program.body[number + 1..].iter().map_while(|item| match item {
                Item::Sleep(sleep) => Some(sleep.ms),
                Item::Step(_) | Item::Parallel(_) | Item::Race(_) => None,
            });
            // The step before it may have been left by a worker that died before it set the timer.
            let lefts = execution.bodies.iter().filter_map(|body| body.left);
            let given = lefts.filter(|(_, gave)| !matches!(gave, Gave::Cancelled)).map(|(index, _)| index);
            let last = given.chain([set]).max().unwrap_or(set);
            let base_ms = facts.at_ms(last).max(facts.healed.map_or(0, |healed| facts.at_ms(healed)));
            let due_ms = later_sleeps.fold(base_ms.saturating_add(sleep.ms), u64::saturating_add);
            let step = execution.program.step_name(&sleep.id);
            let Some(recovery_ms) = facts.settings.recovery_ms else {
                checked.leave_open(|| format!("{step} did not end, and no recovery time is declared to wait for"));
                continue;
            };
            let limit_ms = due_ms.saturating_add(recovery_ms + facts.back_ms).saturating_add(facts.settings.slack_ms);
            if facts.end_ms < limit_ms || !facts.faults_ceased() {
                checked.leave_open(|| {
                    format!("{step} was watched until {} and had until {}", ms(facts.end_ms), ms(limit_ms))
                });
                continue;
            }
            let explanation = format!(
                "The sleep {step} was due at {} at the latest; with all workers up and {} of declared recovery time nothing came until {}.",
                ms(due_ms),
                ms(recovery_ms),
                ms(facts.end_ms)
            );
            let what = (Property::TimerNotLost, Anomaly::Lost);
            checked.find(what, (execution, Some(&step)), (set, facts.records.len() - 1), explanation);
        }
    }
    checked
}
