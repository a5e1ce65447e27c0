//! A failing step is given up only after its last attempt.

use hydra_schedule::Property;

use super::super::facts::Execution;
use super::super::facts::Facts;
use super::super::{Anomaly, Checked};
use crate::history::{Gave, Journal, Op, Status};
use crate::workload::{Item, Step, StepKind};

const WHAT: (Property, Anomaly) = (Property::BudgetHonest, Anomaly::Lost);

pub(super) fn check(facts: &Facts<'_>) -> Checked {
    let mut checked = Checked::default();
    for execution in &facts.executions {
        begun_for_nothing(facts, execution, &mut checked);
        let Some((ended, Status::Failed)) = execution.ended() else {
            continue;
        };
        let cancelled = execution.calls_of(Op::Cancel).next().is_some();
        // A crash between the beginning of an attempt and its body uses up an attempt that nobody outside can see.
        let from = execution.started().unwrap_or(0);
        let struck = facts.health.anyone_struck(facts.at_ms(from), facts.at_ms(ended)).is_some();
        if cancelled || struck || execution.deadline_passed(facts, ended) {
            continue;
        }
        // What lost a race is dropped, however many attempts it had left.
        let raced = |step: &Step| {
            let mut races = execution.program.body.iter().filter(|item| matches!(item, Item::Race(_)));
            races.any(|race| race.names().any(|name| *name == step.id))
        };
        for step in
            execution.program.steps().filter(|step| step.kind != StepKind::AtMostOnce && !step.caught && !raced(step))
        {
            let Some(attempts_max) = step.attempts_max.or(facts.settings.attempts_max) else {
                continue;
            };
            let Some(last) = execution.bodies_of(&step.id).last() else {
                continue;
            };
            let Some((left, Gave::Failure)) = last.left else {
                continue;
            };
            let attempts = attempts(execution, step);
            if attempts < attempts_max && has_another_reason(facts, execution) {
                continue;
            }
            checked.case();
            if attempts < attempts_max {
                let explanation = format!(
                    "{} failed {attempts} of {attempts_max} times, the last time at {}, and {} was failed at {} without a further attempt.",
                    last.step,
                    facts.when(left),
                    execution.name,
                    facts.when(ended)
                );
                checked.find(WHAT, (execution, Some(last.step)), (left, ended), explanation);
            }
        }
    }
    checked
}

/// Where the journal can be read: a worker that holds on to an execution begins no attempt after one that never came to
/// its body. Something else used that one up.
fn begun_for_nothing(facts: &Facts<'_>, execution: &Execution<'_>, checked: &mut Checked) {
    for (number, (first, journal)) in execution.journal.iter().enumerate() {
        let Journal::Began { step, .. } = journal else {
            continue;
        };
        let next = execution.journal[number + 1..]
            .iter()
            .find(|(_, later)| matches!(later, Journal::Began { step: of, .. } if of == step));
        let Some((second, _)) = next else { continue };
        let entered = execution.bodies_of(&step.step).any(|body| (*first..*second).contains(&body.entered));
        let same = facts.who(*first) == facts.who(*second);
        if entered || !same || execution.changed_hands(*first, *second) {
            continue;
        }
        let explanation = format!(
            "{} began an attempt of {step} at {} and another at {}, with no body in between: the first was used up by something that was no attempt.",
            facts.who(*first),
            facts.when(*first),
            facts.when(*second)
        );
        checked.find(WHAT, (execution, Some(step)), (*first, *second), explanation);
    }
}

fn attempts(execution: &Execution<'_>, step: &Step) -> u32 {
    let began =
        |(_, journal): &&(usize, &Journal)| matches!(journal, Journal::Began { step: of, .. } if of.step == step.id);
    let begun = execution.journal.iter().filter(began).count();
    u32::try_from(begun.max(execution.bodies_of(&step.id).count())).unwrap_or(u32::MAX)
}

/// Whether a step may have ended the execution for good: then the others' attempts do not matter.
fn has_another_reason(facts: &Facts<'_>, execution: &Execution<'_>) -> bool {
    execution.program.steps().any(|step| {
        let last = execution.bodies_of(&step.id).last();
        let gave = last.and_then(|body| body.left).map(|(_, gave)| gave);
        let attempts_max = step.attempts_max.or(facts.settings.attempts_max);
        let exhausted = attempts_max.is_some_and(|max| attempts(execution, step) >= max);
        let in_doubt = step.kind == StepKind::AtMostOnce && !matches!(gave, None | Some(Gave::Value(_)));
        let undecodable = facts.undecodable.iter().any(|(_, of)| of.execution == *execution.name);
        matches!(gave, Some(Gave::FinalFailure | Gave::Unencodable | Gave::Cancelled))
            || (matches!(gave, Some(Gave::Failure)) && exhausted)
            || in_doubt
            || undecodable
    })
}
