//! No two workers drive an execution under one lease, and none is inside a step with another healthy one.

use hydra_schedule::Property;

use super::super::facts::Execution;
use super::super::facts::Facts;
use super::super::{Anomaly, Checked};
use crate::history::Journal;

const WHAT: (Property, Anomaly) = (Property::LeaseExclusive, Anomaly::TwoWorkers);

pub(super) fn check(facts: &Facts<'_>) -> Checked {
    let mut checked = Checked::default();
    for execution in &facts.executions {
        for (number, one) in execution.bodies.iter().enumerate() {
            checked.case();
            let Some((left, _)) = one.left else { continue };
            let inside = execution.bodies[number + 1..]
                .iter()
                .find(|other| other.step == one.step && (one.entered..left).contains(&other.entered));
            let Some(other) = inside else { continue };
            // The body of a worker that was cut off cannot be stopped from outside; two at once are no fault then.
            let excused = [one.worker, other.worker]
                .iter()
                .any(|worker| facts.excuse(worker, one.entered, other.entered).is_some());
            if !excused {
                let explanation = format!(
                    "{} was inside the body of {} from {} to {}, and {} entered it at {}; neither was struck by a fault.",
                    one.worker,
                    one.step,
                    facts.when(one.entered),
                    facts.when(left),
                    other.worker,
                    facts.when(other.entered)
                );
                checked.find(WHAT, (execution, Some(one.step)), (one.entered, other.entered), explanation);
            }
        }
        same_epoch(facts, execution, &mut checked);
    }
    checked
}

fn same_epoch(facts: &Facts<'_>, execution: &Execution<'_>, checked: &mut Checked) {
    let claims: Vec<_> = execution
        .journal
        .iter()
        .filter_map(|(index, journal)| match journal {
            Journal::Claimed { epoch: Some(epoch), .. } => Some((*index, *epoch)),
            _ => None,
        })
        .collect();
    for (number, (index, epoch)) in claims.iter().enumerate() {
        let earlier = claims[..number].iter().find(|(at, of)| of == epoch && facts.who(*at) != facts.who(*index));
        if let Some((first, _)) = earlier {
            let explanation = format!(
                "{} and {} both hold the lease of {} under epoch {epoch}, claimed at {} and {}.",
                facts.who(*first),
                facts.who(*index),
                execution.name,
                facts.when(*first),
                facts.when(*index)
            );
            checked.find(WHAT, (execution, None), (*first, *index), explanation);
        }
    }
}
