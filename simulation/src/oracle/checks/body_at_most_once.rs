//! The body of an at-most-once step is entered at most once.

use hydra_schedule::Property;

use super::super::facts::Facts;
use super::super::{Anomaly, Checked};
use crate::history::Op;
use crate::workload::StepKind;

pub(super) fn check(facts: &Facts<'_>) -> Checked {
    let mut checked = Checked::default();
    for execution in &facts.executions {
        for step in execution.steps_of(StepKind::AtMostOnce) {
            let mut bodies = execution.bodies_of(&step.id);
            let Some(first) = bodies.next() else { continue };
            checked.case();
            // An operator who opens a failed execution again grants another body to the step that failed for sure.
            let granted = |entered: usize| {
                let mut retries = execution.calls_of(Op::Retry);
                retries.any(|call| call.invoked < entered)
            };
            if let Some(second) = bodies.next().filter(|second| !granted(second.entered)) {
                let fate = match first.left {
                    Some((left, _)) => format!("left it at {}", facts.when(left)),
                    None => "never came out of it".to_owned(),
                };
                let explanation = format!(
                    "{} is declared at-most-once; {} entered its body at {} and {fate}; {} entered it again at {}.",
                    first.step,
                    first.worker,
                    facts.when(first.entered),
                    second.worker,
                    facts.when(second.entered)
                );
                let what = (Property::BodyAtMostOnce, Anomaly::Duplicate);
                checked.find(what, (execution, Some(first.step)), (first.entered, second.entered), explanation);
            }
        }
    }
    checked
}
