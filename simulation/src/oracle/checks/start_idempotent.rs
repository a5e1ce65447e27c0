//! One id starts one execution; another input under that id is a conflict.

use hydra_schedule::Property;

use super::super::facts::Facts;
use super::super::facts::{Answered, Execution};
use super::super::{Anomaly, Checked};
use crate::history::{Op, Phase};

const WHAT: (Property, Anomaly) = (Property::StartIdempotent, Anomaly::Duplicate);

pub(super) fn check(facts: &Facts<'_>) -> Checked {
    let mut checked = Checked::default();
    for execution in &facts.executions {
        let starts: Vec<&Answered<'_>> = execution.calls_of(Op::Start).collect();
        if starts.len() > 1 {
            answers(facts, execution, &starts, &mut checked);
        }
        two_inputs(facts, execution, &mut checked);
    }
    checked
}

fn answers(facts: &Facts<'_>, execution: &Execution<'_>, starts: &[&Answered<'_>], checked: &mut Checked) {
    let Some((first, (accepted, _))) = starts.iter().find_map(|start| Some((start, start.ok()?))) else {
        return;
    };
    for again in starts.iter().filter(|again| again.invoked > accepted) {
        let Some((index, reply)) = again.answer else {
            continue;
        };
        checked.case();
        let other_input = again.other_input() != first.other_input();
        let wrong = match (other_input, reply.phase) {
            (true, Phase::Ok) => "with another input, and was accepted instead of refused as a conflict".to_owned(),
            (false, Phase::Failed) => {
                format!("with the same input, and was refused: {}", reply.error.as_deref().unwrap_or("no reason given"))
            }
            _ => continue,
        };
        let explanation = format!(
            "{} was started at {} and started again at {} {wrong}.",
            execution.name,
            facts.when(accepted),
            facts.when(index)
        );
        checked.find(WHAT, (execution, None), (accepted, index), explanation);
    }
}

/// The bodies of one execution must all belong to one input.
fn two_inputs(facts: &Facts<'_>, execution: &Execution<'_>, checked: &mut Checked) {
    let Some(first) = execution.bodies.first() else {
        return;
    };
    let other = execution.bodies.iter().find(|body| body.door.other_input != first.door.other_input);
    if let Some(other) = other {
        let explanation = format!(
            "{} ran with one input at {} (on {}) and with another at {} (on {}).",
            execution.name,
            facts.when(first.entered),
            first.worker,
            facts.when(other.entered),
            other.worker
        );
        checked.find(WHAT, (execution, Some(other.step)), (first.entered, other.entered), explanation);
    }
}
