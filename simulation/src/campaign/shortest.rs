//! The shortest counterexamples that are known: what shows a defect in the simulator is searched again in the model,
//! where every shorter way has been tried.

use hydra_model::museum::{self, Exhibit, Kill, Limits, Mutant};
use hydra_model::scopes::{ModelSpec, Scope};
use hydra_model::story;
use hydra_model::world::World;
use hydra_protocol::Protocol;
use hydra_schedule::{Action, ClientAct, Counterexample, Event, Property, Schedule, StepName, WorkerAct};

use super::replay;
use crate::history::{Gave, History, Journal, Op, Phase, Seen, Status, What};
use crate::oracle::Finding;
use crate::workload::StepKind;

/// What the model knows of one subject.
pub struct Known {
    mutant: &'static Mutant,
    models: Vec<ModelSpec>,
    exhibit: Exhibit,
}

impl Known {
    /// Searches the model's small scope for everything that the subject breaks: a second or two. None for a subject
    /// that the model does not know.
    pub fn of(subject: &str) -> Option<Known> {
        let mutant = museum::find(subject)?;
        let models = Scope::Smoke.models();
        let exhibit = museum::visit(mutant, &models, &Limits::default());
        Some(Known { mutant, models, exhibit })
    }

    /// The shortest way to break a property.
    pub fn shortest(&self, property: Property) -> Option<Counterexample> {
        self.told(self.exhibit.kill(property)?)
    }

    /// The shortest way to break what the subject is there to break.
    pub fn emblem(&self) -> Option<Counterexample> {
        let wanted = self.mutant.breaks.iter().find_map(|property| self.exhibit.kill(*property));
        self.told(wanted.or(self.exhibit.kills.first())?)
    }

    fn told(&self, kill: &Kill) -> Option<Counterexample> {
        let mut bounds = self.models.iter().find(|model| model.name == kill.model)?.bounds.clone();
        bounds.defects = self.mutant.defects;
        let world = World::<dyn Protocol + Sync>::new(bounds, self.mutant.rules).ok()?;
        Some(story::retell(&world, kill.model, Some(self.mutant), kill.property, &kill.path, &kill.text))
    }
}

/// Whether what fell in a history is what the model says. A lack of progress has several names: what can never be
/// finished, which no history shows, is seen as what stands still or does not end.
pub fn is_same(fell: Property, told: Property) -> bool {
    let seen_as_stuck = matches!(told, Property::CanComplete | Property::OrphansRecovered | Property::TimerNotLost);
    fell == told || seen_as_stuck && matches!(fell, Property::NothingStuck | Property::Terminates)
}

/// Acts of a story of the model's when its schedule is followed in the simulator, up to where the oracle sees the same
/// property fall. None if it does not: the model sees in the rows what no history tells.
pub fn followed(story: &Counterexample) -> Option<usize> {
    // As a person would: what is printed is read back.
    let schedule: Schedule = story.schedule.to_string().parse().ok()?;
    let replayed = replay(schedule, None).ok()?;
    let same = replayed.findings.iter().filter(|finding| is_same(finding.property, story.property));
    same.map(|finding| acts_until(&replayed.history, finding)).min()
}

/// How many acts a counterexample of the model has: what clients, workers and the nemesis do. That time passes, or that
/// a worker reads what is there, is no act: a history does not tell it either.
pub fn acts_of(counterexample: &Counterexample) -> usize {
    let acts = |event: &&Event| match &event.action {
        Action::TimePasses { .. } | Action::StoreExpires { .. } => false,
        Action::Worker { act, .. } => !matches!(act, WorkerAct::Replays(_) | WorkerAct::Asks(_) | WorkerAct::Beats),
        Action::Client(act) => !matches!(act, ClientAct::Looks(_) | ClientAct::Awaits(_)),
        Action::Fault { .. } => true,
    };
    counterexample.schedule.events.iter().filter(acts).count()
}

/// The same count over what was observed, of every execution, up to where the finding's contradicts itself. For a lack of
/// progress the story ends with the last thing that anybody did to it.
///
/// Every execution: counted for the finding's alone, "W2 is started, and nothing ever happens" is a story of one act,
/// and all that went wrong is what W1 does to the worker that both share.
pub fn acts_until(history: &History, finding: &Finding) -> usize {
    let is_transactional = |name: &StepName| {
        let program = history.header.workload.program(name.execution.as_str());
        let step = program.and_then(|program| program.steps().find(|step| step.id == name.step));
        step.is_some_and(|step| step.kind == StepKind::Transactional)
    };
    // The attempt that failed last: what its worker makes of that is one act, whether it is a row or the last word.
    let mut failed = None;
    let mut acts = 0;
    let until = finding.second.min(history.records.len().saturating_sub(1));
    for (index, record) in history.records.iter().enumerate().take(until + 1) {
        acts += usize::from(match &record.what {
            What::Fault { .. } => true,
            What::Call(call) => call.phase == Phase::Invoked && !matches!(call.op, Op::Status | Op::Result),
            What::Entered(_) => true,
            // That an attempt failed is settled too, and its row is not told.
            What::Left { gave: Gave::Failure, step, .. } => {
                failed = Some(step);
                true
            }
            What::Journal(journal) => match journal {
                Journal::Checkpoint { step, seen: Seen::Failed } if failed.take_if(|of| *of == step).is_some() => false,
                // Its body and its settlement are one act of the model's.
                Journal::Checkpoint { step, seen: Seen::Value(_) } => !is_transactional(step),
                Journal::Claimed { .. }
                | Journal::Released { .. }
                | Journal::Began { .. }
                | Journal::Checkpoint { .. }
                | Journal::TimerSet { .. }
                | Journal::TimerFired { .. } => true,
                // The others are told of the claim, the release or the client's call that wrote them.
                Journal::Status { status, .. } => matches!(status, Status::Succeeded | Status::Failed),
                // Rows are looked at in the transaction that writes them, whose own record comes after.
                Journal::Rows { .. } => index == until,
            },
            What::Left { .. } | What::Effect(_) | What::Worker { .. } | What::Healed | What::Ended => false,
        });
    }
    acts
}

#[cfg(test)]
mod tests {
    use hydra_schedule::Name;

    use super::*;
    use crate::history::{Call, Entered, Header, Record};
    use crate::oracle::Anomaly;
    use crate::workload::Workload;

    /// Acts of a history up to its last record, about the execution W1.
    fn acts(what: Vec<What>) -> usize {
        let line =
            r#"{"id":"W1","body":[{"step":{"id":"1","kind":"transactional"}},{"step":{"id":"2","kind":"keyed"}}]}"#;
        let workload = Workload::from_lines(&[line]).unwrap();
        let record = |what| Record { at_ms: 0, who: "A".to_owned(), what };
        let second = what.len() - 1;
        let header = Header { workload, ..Header::default() };
        let history = History { header, records: what.into_iter().map(record).collect() };
        let (property, anomaly) = (Property::Terminates, Anomaly::Stuck);
        let (execution, explanation) = (Name::execution(0), String::new());
        acts_until(
            &history,
            &Finding { property, anomaly, execution, step: None, run: 0, first: 0, second, explanation },
        )
    }

    fn called(op: Op) -> What {
        What::Call(Call::invoked(1, op, &Name::execution(0)))
    }

    fn attempt(number: u32, gave: Gave, seen: Seen) -> Vec<What> {
        let step = StepName::numbered(&Name::execution(0), number);
        let saw = Default::default();
        vec![
            What::Journal(Journal::Began { step: step.clone(), attempt: 1 }),
            What::Entered(Entered { step: step.clone(), body: 1, attempt: Some(1), other_input: false, saw }),
            What::Left { step: step.clone(), body: 1, gave },
            What::Journal(Journal::Checkpoint { step, seen }),
        ]
    }

    fn ended(status: Status) -> What {
        What::Journal(Journal::Status { execution: Name::execution(0), status })
    }

    /// The model says: starts, claims, begins 1, settles 1 (its body is inside), begins 2, runs 2, settles 2, finishes.
    #[test]
    fn a_history_is_counted_as_the_model_counts() {
        let value = "v".to_owned();
        let claimed = What::Journal(Journal::Claimed { execution: Name::execution(0), epoch: None });
        let mut all = vec![called(Op::Start), claimed, called(Op::Status)];
        all.extend(attempt(1, Gave::Value(value.clone()), Seen::Value(value.clone())));
        all.extend(attempt(2, Gave::Failure, Seen::Failed));
        all.push(ended(Status::Failed));
        assert_eq!(acts(all), 8);
        // A body that returned is one act, and its settlement another, unless they are one transaction.
        assert_eq!(acts(attempt(1, Gave::Value(value.clone()), Seen::Value(value.clone()))), 2);
        assert_eq!(acts(attempt(2, Gave::Value(value.clone()), Seen::Value(value))), 3);
    }

    /// The model says: starts, cancels.
    #[test]
    fn a_cancellation_is_the_clients_act_alone() {
        assert_eq!(acts(vec![called(Op::Start), called(Op::Cancel), ended(Status::Cancelled)]), 2);
    }
}
