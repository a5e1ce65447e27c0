//! A live, connected worker is not robbed of its work.

use hydra_schedule::Property;

use super::super::facts::Facts;
use super::super::recovery::went_down_in;
use super::super::{Anomaly, Checked};

pub(super) fn check(facts: &Facts<'_>) -> Checked {
    let mut checked = Checked::default();
    for execution in &facts.executions {
        for body in &execution.bodies {
            let left = body.left.map(|(left, _)| left);
            let until = left.unwrap_or(facts.records.len() - 1);
            let taken = execution.takeover(body.worker, body.entered, facts.records).filter(|taken| *taken < until);
            let seen_until = taken.unwrap_or(until);
            let healthy = facts.excuse(body.worker, body.entered, seen_until).is_none()
                && went_down_in(facts, body.worker, body.entered, left).is_none();
            let inside_ms = facts.at_ms(seen_until).saturating_sub(facts.at_ms(body.entered));
            if !healthy || left.is_none() || inside_ms < facts.settings.lease_ms && taken.is_none() {
                continue;
            }
            // A body of another step on another worker is the affair of engines that hand out single steps.
            let robbed = taken.filter(|taken| match &facts.records[*taken].what {
                crate::history::What::Entered(entered) => entered.step == *body.step,
                _ => true,
            });
            checked.case();
            if let Some(taken) = robbed {
                let explanation = format!(
                    "{} was up, connected and inside the body of {} from {} to {}; {} took {} over at {}.",
                    body.worker,
                    body.step,
                    facts.when(body.entered),
                    facts.when(until),
                    facts.who(taken),
                    execution.name,
                    facts.when(taken)
                );
                let what = (Property::LeaseKept, Anomaly::TwoWorkers);
                checked.find(what, (execution, Some(body.step)), (body.entered, taken), explanation);
            }
        }
    }
    checked
}
