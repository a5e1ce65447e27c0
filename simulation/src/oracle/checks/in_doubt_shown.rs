//! An at-most-once body that may have run is reported in doubt.

use hydra_schedule::Property;

use super::super::facts::Facts;
use super::super::facts::{Body, Execution};
use super::super::recovery::went_down_in;
use super::super::{Anomaly, Checked};
use crate::history::{Op, Seen};
use crate::workload::StepKind;

const WHAT: (Property, Anomaly) = (Property::InDoubtShown, Anomaly::InDoubt);

pub(super) fn check(facts: &Facts<'_>) -> Checked {
    let mut checked = Checked::default();
    for execution in &facts.executions {
        // An operator may have found out what happened and opened the execution again.
        if execution.calls_of(Op::Retry).next().is_some() {
            continue;
        }
        for step in execution.steps_of(StepKind::AtMostOnce) {
            let Some(body) = execution.bodies_of(&step.id).next() else {
                continue;
            };
            if body.left.is_some() {
                continue;
            }
            let Some(down) = went_down_in(facts, body.worker, body.entered, None) else {
                continue;
            };
            checked.case();
            judge(facts, execution, body, down, &mut checked);
        }
    }
    checked
}

fn judge(facts: &Facts<'_>, execution: &Execution<'_>, body: &Body<'_>, down: usize, checked: &mut Checked) {
    let again = execution.bodies_of(&body.step.step).nth(1).map(|again| (again.entered, "it was run again"));
    let settled = execution.settled(&body.step.step).and_then(|settled| match settled.seen {
        Seen::InDoubt => None,
        Seen::Failed => Some((settled.index, "it was called failed")),
        Seen::Value(_) => Some((settled.index, "it was given a value that no body returned")),
    });
    let Some((index, what)) = [again, settled].into_iter().flatten().min() else {
        return;
    };
    let explanation = format!(
        "{} entered the body of the at-most-once step {} at {} and died in it at {}: nobody can know whether it happened. At {} {what} instead of being reported in doubt.",
        body.worker,
        body.step,
        facts.when(body.entered),
        facts.when(down),
        facts.when(index)
    );
    checked.find(WHAT, (execution, Some(body.step)), (body.entered, index), explanation);
}
