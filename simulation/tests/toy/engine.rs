//! A toy that writes the history of a right engine, and of engines with one planted bug each.

use std::collections::{BTreeMap, BTreeSet};

use hydra_schedule::Name;
use hydra_simulation::history::{
    Call, Effect, Entered, Gave, Header, History, Journal, Op, Phase, Record, Seen, Status, What,
};
use hydra_simulation::workload::{BodyEnd, Feature, Item, Program, Random, Shape, Step, StepKind, Workload};

/// What is planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    None,
    KeyFromAttempt,
    RunsAgainAfterCheckpoint,
    OneAttemptTooMany,
    RetriesUnencodable,
    ShortSleep,
    FailsWhatSucceeded,
    InDoubtCalledFailed,
    EpochNeverRaised,
    BackoffFalls,
    GivesUpEarly,
    ForgetsTheValue,
    NobodyTakesOver,
}

/// The lease of the toy, in milliseconds.
pub(crate) const LEASE_MS: u64 = 30_000;

enum Stop {
    Ended(Status),
    /// Nobody goes on.
    Orphaned,
}

struct Toy<'a> {
    random: Random,
    program: &'a Program,
    bug: Bug,
    records: Vec<Record>,
    now_ms: u64,
    owner: usize,
    epoch: u64,
    body: u64,
    calls: u64,
    saw: BTreeMap<Name, Seen>,
    keys: BTreeSet<String>,
}

/// What this engine can do: it has no races and no deadlines, and begins everything at once.
fn known() -> Vec<Feature> {
    let unknown = [Feature::Races, Feature::Deadlines, Feature::Delays];
    Feature::ALL.into_iter().filter(|feature| !unknown.contains(feature)).collect()
}

pub(crate) fn run(seed: u64, bug: Bug) -> History {
    let workload = Workload::generate(
        seed,
        &Shape { executions: 1, swarm: seed.is_multiple_of(2), features: known(), ..Shape::default() },
    );
    let program = &workload.programs[0];
    let mut toy = Toy {
        random: Random::new(seed).fork(1),
        program,
        bug,
        records: Vec::new(),
        now_ms: program.start_at_ms,
        owner: 0,
        epoch: 0,
        body: 0,
        calls: 0,
        saw: BTreeMap::new(),
        keys: BTreeSet::new(),
    };
    toy.live();
    let mut records = toy.records;
    records.sort_by_key(|record| record.at_ms);
    let workers = vec![Name::worker(0), Name::worker(1)];
    History { header: Header { subject: "toy".into(), seed: Some(seed), workers, workload }, records }
}

impl Toy<'_> {
    fn push(&mut self, who: &str, what: What) {
        self.records.push(Record { at_ms: self.now_ms, who: who.into(), what });
    }

    fn worker(&mut self, what: What) {
        let who = Name::worker(self.owner);
        self.push(who.as_str(), what);
    }

    fn journal(&mut self, journal: Journal) {
        self.worker(What::Journal(journal));
    }

    fn call(&mut self, at_ms: u64, op: Op, change: impl FnOnce(&mut Call)) {
        self.calls += 1;
        let mut call = Call::invoked(self.calls, op, &self.program.id);
        let mut answer = call.answered(Phase::Ok);
        change(&mut answer);
        call.other_input = answer.other_input;
        for call in [call, answer] {
            self.records.push(Record { at_ms, who: "client".into(), what: What::Call(call) });
        }
    }

    fn live(&mut self) {
        self.call(self.now_ms, Op::Start, |_| {});
        for again in &self.program.starts_again {
            let phase = if again.other_input { Phase::Failed } else { Phase::Ok };
            self.call(again.at_ms, Op::Start, |call| {
                call.other_input = again.other_input;
                call.phase = phase;
            });
        }
        if let Some(at_ms) = self.program.cancel_at_ms {
            self.call(at_ms, Op::Cancel, |_| {});
        }
        self.claim();
        let stop = self.items().unwrap_or(Stop::Ended(Status::Succeeded));
        self.now_ms += 1;
        if let Stop::Ended(mut status) = stop {
            if self.bug == Bug::FailsWhatSucceeded && status == Status::Succeeded {
                status = Status::Failed;
            }
            let execution = self.program.id.clone();
            self.journal(Journal::Status { execution: execution.clone(), status });
            let saw = std::mem::take(&mut self.saw);
            self.call(self.now_ms, Op::Result, |call| {
                call.status = Some(status);
                call.saw = saw;
            });
            self.journal(Journal::Rows { execution, rows_per_step_max: 1, open_steps: 0, contradiction: None });
        }
        self.push("nemesis", What::Healed);
        self.now_ms += 10_000_000;
        self.push("nemesis", What::Ended);
    }

    fn claim(&mut self) {
        self.epoch += u64::from(self.bug != Bug::EpochNeverRaised || self.epoch == 0);
        let epoch = Some(self.epoch);
        self.journal(Journal::Claimed { execution: self.program.id.clone(), epoch });
    }

    fn crash(&mut self) -> Result<(), Stop> {
        let dead = Name::worker(self.owner);
        self.push("nemesis", What::Fault { event: format!("fault crash {dead}").parse().unwrap() });
        if self.bug == Bug::NobodyTakesOver {
            return Err(Stop::Orphaned);
        }
        self.owner = 1 - self.owner;
        self.now_ms += LEASE_MS;
        self.push("nemesis", What::Fault { event: format!("fault restart {dead}").parse().unwrap() });
        self.claim();
        Ok(())
    }

    fn items(&mut self) -> Option<Stop> {
        for item in &self.program.body {
            if let Item::Sleep(sleep) = item {
                let step = self.program.step_name(&sleep.id);
                self.journal(Journal::TimerSet { step: step.clone(), due_ms: self.now_ms + sleep.ms });
                self.now_ms += if self.bug == Bug::ShortSleep { sleep.ms / 2 } else { sleep.ms };
                self.journal(Journal::TimerFired { step });
            }
            for step in item.steps() {
                match self.step(step) {
                    Err(stop) => return Some(stop),
                    Ok(seen) => {
                        let failed = !matches!(seen, Seen::Value(_));
                        self.saw.insert(step.id.clone(), seen);
                        if failed && !step.caught {
                            return Some(Stop::Ended(Status::Failed));
                        }
                    }
                }
            }
        }
        None
    }

    fn step(&mut self, step: &Step) -> Result<Seen, Stop> {
        let mut attempts_max = step.attempts_max.unwrap_or(3);
        match self.bug {
            Bug::OneAttemptTooMany => attempts_max += 1,
            Bug::GivesUpEarly => attempts_max = attempts_max.max(2) - 1,
            _ => {}
        }
        let name = self.program.step_name(&step.id);
        for attempt in 1..=attempts_max {
            if self.program.cancel_at_ms.is_some_and(|at_ms| at_ms <= self.now_ms) {
                return Err(Stop::Ended(Status::Cancelled));
            }
            let dies = self.random.percent(15);
            let seen = match self.attempt(step, attempt, dies)? {
                None if dies && step.kind == StepKind::AtMostOnce => match self.bug {
                    Bug::InDoubtCalledFailed => Some(Seen::Failed),
                    _ => Some(Seen::InDoubt),
                },
                None if step.kind == StepKind::AtMostOnce => Some(Seen::Failed),
                seen => seen,
            };
            if let Some(seen) = seen {
                self.now_ms += 5;
                self.journal(Journal::Checkpoint { step: name.clone(), seen: seen.clone() });
                if self.bug == Bug::RunsAgainAfterCheckpoint && matches!(seen, Seen::Value(_)) {
                    self.attempt(step, attempt, false)?;
                }
                let forgotten = Seen::Value("null".into());
                return Ok(if self.bug == Bug::ForgetsTheValue { forgotten } else { seen });
            }
            let exponent = if self.bug == Bug::BackoffFalls { 3 - attempt.min(3) } else { attempt - 1 };
            self.now_ms += (1_000 << exponent).min(8_000);
        }
        self.journal(Journal::Checkpoint { step: name, seen: Seen::Failed });
        Ok(Seen::Failed)
    }

    /// One entry into the body: what the step is settled with, if it is settled.
    fn attempt(&mut self, step: &Step, attempt: u32, dies: bool) -> Result<Option<Seen>, Stop> {
        let name = self.program.step_name(&step.id);
        self.now_ms += 10;
        self.body += 1;
        let (body, saw) = (self.body, self.saw.clone());
        self.worker(What::Entered(Entered {
            step: name.clone(),
            body,
            attempt: Some(attempt),
            other_input: false,
            saw,
        }));
        let end = step.ends.on_entry(attempt);
        let has_effect = matches!(end, BodyEnd::Returns | BodyEnd::Unencodable);
        // A transactional effect commits with its checkpoint: never, where the worker dies before.
        if has_effect && !(dies && step.kind == StepKind::Transactional) {
            let key = match self.bug {
                Bug::KeyFromAttempt => format!("{name}#{attempt}"),
                _ => name.to_string(),
            };
            let applied = self.keys.insert(key.clone());
            let effect = Effect { step: name.clone(), body, key: Some(key), epoch: Some(self.epoch), applied };
            self.worker(What::Effect(effect));
        }
        if dies && self.random.percent(50) {
            self.crash()?;
            return Ok(None);
        }
        self.now_ms += step.lasts_ms;
        let value = format!("v{body}");
        let (gave, seen) = match end {
            BodyEnd::Returns => (Gave::Value(value.clone()), Some(Seen::Value(value))),
            BodyEnd::Fails => (Gave::Failure, None),
            BodyEnd::FailsFinally => (Gave::FinalFailure, Some(Seen::Failed)),
            BodyEnd::Unencodable => (Gave::Unencodable, Some(Seen::Failed)),
        };
        self.worker(What::Left { step: name, body, gave });
        if dies {
            self.crash()?;
            return Ok(None);
        }
        let again = self.bug == Bug::RetriesUnencodable && end == BodyEnd::Unencodable;
        Ok(seen.filter(|_| !again))
    }
}
