//! Whoever sees the value of a step sees the same value, and one that a body of it returned.

use hydra_schedule::Property;

use super::super::facts::Facts;
use super::super::{Anomaly, Checked};
use std::collections::BTreeMap;

use hydra_schedule::Name;

use super::super::facts::Execution;
use crate::history::{Op, Seen, Status};
use crate::workload::Item;

const WHAT: (Property, Anomaly) = (Property::ReplayFaithful, Anomaly::DivergentReplay);

pub(super) fn check(facts: &Facts<'_>) -> Checked {
    let mut checked = Checked::default();
    for execution in &facts.executions {
        // An operator's retry may run a failed step again: what was a failure then may be a value now.
        if execution.calls_of(Op::Retry).next().is_some() {
            continue;
        }
        let mut first: BTreeMap<&Name, (usize, &Seen)> = BTreeMap::new();
        for (index, step, seen) in sights(execution) {
            checked.case();
            let name = execution.program.step_name(step);
            match first.get(step) {
                None => {
                    if let Some(explanation) = never_returned(facts, execution, index, step, seen) {
                        checked.find(WHAT, (execution, Some(&name)), (index, index), explanation);
                    }
                    first.insert(step, (index, seen));
                }
                Some((before, was)) if *was != seen => {
                    let explanation = format!(
                        "Of {name} the workflow had {was} at {} (on {}) and {seen} at {} (on {}).",
                        facts.when(*before),
                        facts.who(*before),
                        facts.when(index),
                        facts.who(index)
                    );
                    checked.find(WHAT, (execution, Some(&name)), (*before, index), explanation);
                    break;
                }
                Some(_) => {}
            }
        }
        races(facts, execution, &mut checked);
    }
    checked
}

/// A race has one winner, for ever: whoever comes after it had the outcome of the same step, or of none if the timer won.
fn races(facts: &Facts<'_>, execution: &Execution<'_>, checked: &mut Checked) {
    for (number, item) in execution.program.body.iter().enumerate() {
        let Item::Race(race) = item else { continue };
        let winner = |saw: &BTreeMap<Name, Seen>| {
            race.steps.iter().map(|step| &step.id).filter(|id| saw.contains_key(*id)).cloned().collect::<Vec<Name>>()
        };
        let later: Vec<&Name> = execution.program.body[number + 1..].iter().flat_map(Item::names).collect();
        let bodies = execution.bodies.iter().filter(|body| later.contains(&&body.step.step));
        let succeeded = execution.calls_of(Op::Result).filter_map(|call| call.ok());
        // An answer without any value does not tell what the workflow had, or it had none: it is no witness.
        let succeeded =
            succeeded.filter(|(_, answer)| answer.status == Some(Status::Succeeded) && !answer.saw.is_empty());
        let mut ends: Vec<(usize, Vec<Name>)> = bodies
            .map(|body| (body.entered, winner(&body.door.saw)))
            .chain(succeeded.map(|(index, answer)| (index, winner(&answer.saw))))
            .collect();
        ends.sort_by_key(|(index, _)| *index);
        let Some((first, won)) = ends.first() else { continue };
        for (index, other) in &ends[1..] {
            checked.case();
            if other != won {
                let (won, other) = (said(won), said(other));
                let explanation = format!(
                    "Of the race of {} the workflow went on with {won} at {} (on {}) and with {other} at {} (on {}).",
                    race.steps.iter().map(|step| step.id.as_str()).collect::<Vec<_>>().join(", "),
                    facts.when(*first),
                    facts.who(*first),
                    facts.when(*index),
                    facts.who(*index)
                );
                let name = execution.program.step_name(&race.steps[0].id);
                checked.find(WHAT, (execution, Some(&name)), (*first, *index), explanation);
                break;
            }
        }
    }
}

fn said(won: &[Name]) -> String {
    match won {
        [] => "the timer".to_owned(),
        won => won.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(" and "),
    }
}

/// Every sight of a step's value, in order: by later bodies and in the result.
fn sights<'e>(execution: &'e Execution<'_>) -> Vec<(usize, &'e Name, &'e Seen)> {
    let bodies = execution.bodies.iter().map(|body| (body.entered, &body.door.saw));
    let results =
        execution.calls_of(Op::Result).filter_map(|call| call.ok()).map(|(index, answer)| (index, &answer.saw));
    let mut all: Vec<_> = bodies
        .chain(results)
        .flat_map(|(index, saw)| saw.iter().map(move |(step, seen)| (index, step, seen)))
        .collect();
    all.sort_by_key(|(index, _, _)| *index);
    all
}

fn never_returned(
    facts: &Facts<'_>,
    execution: &Execution<'_>,
    index: usize,
    step: &Name,
    seen: &Seen,
) -> Option<String> {
    let Seen::Value(value) = seen else {
        return None;
    };
    execution.program.steps().find(|known| known.id == *step)?;
    let returned = execution.bodies_of(step).any(|body| body.value() == Some(value));
    let held = execution.bodies_of(step).any(|body| body.left.is_none());
    (!returned && !held).then(|| {
        format!(
            "At {} the workflow had the value {value:?} of {}/{step}, which no body returned.",
            facts.when(index),
            execution.name
        )
    })
}
