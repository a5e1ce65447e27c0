//! A body that is known to have succeeded is never entered again.

use hydra_schedule::Property;

use super::super::facts::{Body, Facts};
use super::super::recovery::went_down_in;
use super::super::{Anomaly, Checked};
use crate::history::Gave;
use crate::workload::StepKind;

pub(super) fn check(facts: &Facts<'_>) -> Checked {
    let mut checked = Checked::default();
    for execution in &facts.executions {
        for step in execution.program.steps() {
            let Some(success) = execution.bodies_of(&step.id).find(|body| body.succeeded()) else {
                continue;
            };
            let Some((left, gave)) = success.left else {
                continue;
            };
            let again = execution.bodies_of(&step.id).find(|body| body.entered > left);
            // A worker that died, or whose write was lost, may have known it alone; the next may run the body again.
            let until = again.map_or(left, |body| body.entered);
            let decode = facts.undecodable.iter().find(|(index, of)| *of == success.step && *index < until);
            let settled = execution.settled(&step.id).is_some_and(|settled| settled.index < until);
            // A worker that lives on knows what it did, whatever became of its message, for as long as it holds on to the
            // execution.
            let knows = again.is_some_and(|again| {
                again.worker == success.worker
                    && execution.begun(success).is_some_and(|begun| !execution.changed_hands(begun, again.entered))
                    && went_down_in(facts, success.worker, success.entered, Some(again.entered)).is_none()
            });
            if facts.excuse(success.worker, success.entered, until).is_some()
                && !(decode.is_some() && settled)
                && !(knows && step.kind != StepKind::Transactional)
            {
                continue;
            }
            checked.case();
            let reopened = execution.reopened(left..until);
            // A worker that was cut off, or whose clock is wrong, may not know that another has done it.
            let zombie = |again: &Body<'_>| {
                let from_ms = facts.ignorant_since_ms(left, again.entered);
                // Whoever claims the execution after that is told. Where claims are not seen, who enters another body
                // has taken it over; where they are, it may go on with what it has, and knows as little as before.
                let told = if execution.shows_claims() {
                    execution.claimed_by(again.worker, success.entered..again.entered, facts.records)
                } else {
                    let began = |body: &&Body<'_>| body.worker == again.worker && body.entered < left;
                    execution.bodies.iter().filter(began).any(|body| body.entered > success.entered)
                };
                again.worker != success.worker
                    && !told
                    && facts.health.cut_off(again.worker, from_ms, facts.at_ms(again.entered))
            };
            // An operator may open it again, but not by forgetting an effect that is known to have happened.
            let granted = reopened && *gave != Gave::Unencodable;
            let Some(again) = again.filter(|again| !granted && !zombie(again)) else {
                continue;
            };
            let why = match (gave, decode) {
                _ if knows => "succeeded, and its worker lived on,",
                (Gave::Unencodable, _) => "returned a result that could not be encoded",
                (_, Some(_)) => "succeeded and its checkpoint could no longer be decoded",
                _ => "succeeded, and no fault came between",
            };
            let explanation = format!(
                "The body of {} {why} on {} at {}; {} entered it again at {}.",
                success.step,
                success.worker,
                facts.when(left),
                again.worker,
                facts.when(again.entered)
            );
            let what = (Property::SuccessNeverRerun, Anomaly::Duplicate);
            checked.find(what, (execution, Some(success.step)), (left, again.entered), explanation);
        }
    }
    checked
}
