//! What the auditor saw, in order, and what it says to a body at its door.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hydra_schedule::{Event, Fault, Name, StepName};
use hydra_simulation::history::{Call, Effect, Entered, Gave, Header, History, Journal, Record, What};
use hydra_simulation::workload::{BodyEnd, Step, StepKind, Workload};
use tokio::sync::oneshot;

use crate::boundary::Door;

/// The most records of one run. A subject that runs one body without end must not fill the memory.
const RECORDS_MAX: usize = 50_000;

/// Shared by the door, the tracer and the scenario of one run.
#[derive(Clone)]
pub struct Observer(Arc<Shared>);

struct Shared {
    started: Instant,
    seen: Mutex<Seen>,
    changed: Condvar,
}

struct Seen {
    workload: Workload,
    records: Vec<Record>,
    bodies: u64,
    calls: u64,
    /// Keys that the receiver has honoured.
    ledger: HashSet<String>,
    /// How often each body was entered, by anyone; and by each worker.
    entries: HashMap<StepName, u32>,
    entries_of: HashMap<(Name, StepName), u32>,
    /// The life of each worker that is up: what an earlier life still does is not heard.
    lives: HashMap<Name, u32>,
    /// Where each worker was last seen: boundaries in its process are counted from there.
    anchors: HashMap<Name, String>,
    stop: Option<Stop>,
    held: Vec<Held>,
    /// Bodies of this worker wait before their effect until they are let go.
    slowed: Option<Name>,
    problems: Vec<String>,
}

/// Where a body is to be held.
struct Stop {
    worker: Name,
    step: Name,
    door: Door,
    nth: u32,
    reached: bool,
}

struct Held {
    worker: Name,
    /// At the place where it was to be held, rather than because its worker is slowed.
    stopped: bool,
    go: oneshot::Sender<()>,
}

/// One entry into a body, from its request to its reply.
pub struct Visit {
    observer: Observer,
    worker: Name,
    life: u32,
    step: StepName,
    body: u64,
    nth: u32,
    how: Step,
    ends: BodyEnd,
    key: Option<String>,
    epoch: Option<u64>,
    over: bool,
}

/// What is told at a door.
pub struct Ask {
    /// Who asks.
    pub worker: Name,
    /// In which life of its process, from 1.
    pub life: u32,
    /// Of which step.
    pub step: StepName,
    /// The attempt, if the engine tells.
    pub attempt: Option<u32>,
    /// The key, if the engine has one.
    pub key: Option<String>,
    /// The epoch, if the engine has one.
    pub epoch: Option<u64>,
    /// Whether the execution has the input of another start.
    pub other_input: bool,
    /// What the workflow had of earlier steps.
    pub saw: std::collections::BTreeMap<Name, hydra_simulation::history::Seen>,
}

impl Observer {
    /// Nothing seen yet.
    pub fn new(workload: Workload) -> Self {
        let seen = Seen {
            workload,
            records: Vec::new(),
            bodies: 0,
            calls: 0,
            ledger: HashSet::new(),
            entries: HashMap::new(),
            entries_of: HashMap::new(),
            lives: HashMap::new(),
            anchors: HashMap::new(),
            stop: None,
            held: Vec::new(),
            slowed: None,
            problems: Vec::new(),
        };
        Observer(Arc::new(Shared { started: Instant::now(), seen: Mutex::new(seen), changed: Condvar::new() }))
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Seen, u64) -> T) -> T {
        let mut seen = self.lock();
        let result = change(&mut seen, self.now_ms());
        drop(seen);
        self.0.changed.notify_all();
        result
    }

    /// Milliseconds since the run began.
    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.0.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Waits until something is seen, or for so long.
    pub fn wait(&self, at_most: Duration) {
        let seen = self.lock();
        drop(self.0.changed.wait_timeout(seen, at_most));
    }

    /// Notes a fault. A crash silences the worker at once: what it still says was not heard.
    pub fn fault(&self, event: Event) {
        self.change(|seen, at_ms| {
            if let hydra_schedule::Action::Fault { fault: Fault::Crash(worker), .. } = &event.action {
                seen.lives.remove(worker);
            }
            seen.push(at_ms, "nemesis", What::Fault { event });
        });
    }

    /// Notes that a worker came up, in this life.
    pub fn worker_up(&self, worker: &Name, life: u32) {
        self.change(|seen, at_ms| {
            seen.lives.insert(worker.clone(), life);
            seen.anchors.insert(worker.clone(), "start".to_owned());
            seen.push(at_ms, worker.as_str(), What::Worker { up: true });
        });
    }

    /// A process of this worker may speak from now on, though it has not said that it is ready.
    pub fn worker_starts(&self, worker: &Name, life: u32) {
        self.change(|seen, _| {
            seen.lives.insert(worker.clone(), life);
            seen.anchors.insert(worker.clone(), "start".to_owned());
        });
    }

    /// Notes that a worker is gone.
    pub fn worker_down(&self, worker: &Name) {
        self.change(|seen, at_ms| {
            seen.lives.remove(worker);
            seen.push(at_ms, worker.as_str(), What::Worker { up: false });
        });
    }

    /// From here on there are no faults.
    pub fn healed(&self) {
        self.change(|seen, at_ms| seen.push(at_ms, "nemesis", What::Healed));
    }

    /// Notes one side of a call.
    pub fn call(&self, call: Call) {
        self.change(|seen, at_ms| seen.push(at_ms, "client", What::Call(call)));
    }

    /// Notes something that the engine's own rows show.
    pub fn journal(&self, who: &str, journal: Journal) {
        self.change(|seen, at_ms| seen.push(at_ms, who, What::Journal(journal)));
    }

    /// The store was read: it holds, or lacks, the effect of the transactional body that returned `value`.
    pub fn committed(&self, step: &StepName, value: &str, is_there: bool) {
        let body = value.rsplit_once('-').and_then(|(_, body)| body.parse().ok());
        let Some(body) = body else {
            return self
                .problem(format!("the client says that the effect of {step} holds {value:?}: no body returned that"));
        };
        self.change(|seen, at_ms| {
            let effect = Effect { step: step.clone(), body, key: None, epoch: None, applied: is_there };
            seen.push(at_ms, "store", What::Effect(effect));
        });
    }

    /// A number for a call.
    pub fn next_call(&self) -> u64 {
        self.change(|seen, _| {
            seen.calls += 1;
            seen.calls
        })
    }

    /// A body of `worker` is to be held at this door, at its `nth` entry into the step.
    pub fn hold(&self, worker: &Name, step: &Name, door: Door, nth: u32) {
        let stop = Stop { worker: worker.clone(), step: step.clone(), door, nth, reached: false };
        self.change(|seen, _| seen.stop = Some(stop));
    }

    /// Whether a body stands at the door where it was to be held.
    pub fn is_held(&self) -> bool {
        self.lock().stop.as_ref().is_some_and(|stop| stop.reached)
    }

    /// Lets go the bodies of `worker` that are held, and holds no more of them.
    pub fn let_go(&self, worker: &Name) {
        self.change(|seen, _| {
            seen.stop.take_if(|stop| stop.worker == *worker);
            seen.slowed.take_if(|slowed| slowed == worker);
            for held in seen.held.extract_if(.., |held| held.worker == *worker) {
                _ = held.go.send(());
            }
        });
    }

    /// Lets go the bodies of `worker` that were stopped at the place; those that came later wait on.
    pub fn let_go_stopped(&self, worker: &Name) {
        self.change(|seen, _| {
            seen.stop.take_if(|stop| stop.worker == *worker);
            for held in seen.held.extract_if(.., |held| held.stopped && held.worker == *worker) {
                _ = held.go.send(());
            }
        });
    }

    /// Nobody is held at a door any more who is not held already.
    pub fn hold_none(&self) {
        self.change(|seen, _| seen.stop = None);
    }

    /// From now on bodies of `worker` wait before their effect until they are let go.
    pub fn slow(&self, worker: &Name) {
        self.change(|seen, _| seen.slowed = Some(worker.clone()));
    }

    /// How many bodies `worker` entered.
    pub fn entered_by(&self, worker: &Name) -> usize {
        let seen = self.lock();
        let by = |record: &&Record| matches!(record.what, What::Entered(_)) && record.who == worker.as_str();
        seen.records.iter().filter(by).count()
    }

    /// How many records there are, and when the last sign of work was seen.
    pub fn last_work_ms(&self) -> u64 {
        let seen = self.lock();
        let works = |record: &&Record| matches!(record.what, What::Entered(_) | What::Effect(_) | What::Left { .. });
        seen.records.iter().rev().find(works).map_or(0, |record| record.at_ms)
    }

    /// Where `worker` was last seen.
    pub fn anchor(&self, worker: &Name) -> String {
        self.lock().anchors.get(worker).cloned().unwrap_or_default()
    }

    /// Something that is wrong with the adapter rather than with the engine.
    pub fn problem(&self, what: String) {
        self.change(|seen, _| {
            if seen.problems.len() < 20 && !seen.problems.contains(&what) {
                seen.problems.push(what);
            }
        });
    }

    /// The problems.
    pub fn problems(&self) -> Vec<String> {
        self.lock().problems.clone()
    }

    /// Whether so much was seen that the rest is not kept.
    pub fn is_full(&self) -> bool {
        self.lock().records.len() >= RECORDS_MAX
    }

    /// Ends the observation. What comes later is not heard.
    pub fn end(&self, subject: &str, workers: Vec<Name>) -> History {
        self.change(|seen, at_ms| {
            seen.lives.clear();
            seen.push(at_ms, "nemesis", What::Ended);
            let header = Header { subject: subject.to_owned(), seed: None, workers, workload: seen.workload.clone() };
            History { header, records: std::mem::take(&mut seen.records) }
        })
    }

    /// A body stands at its door.
    pub fn enter(&self, ask: Ask) -> Result<Visit, String> {
        self.change(|seen, at_ms| {
            let Ask { worker, life, step, attempt, key, epoch, other_input, saw } = ask;
            if seen.lives.get(&worker) != Some(&life) {
                return Err(format!("worker {worker} of life {life} is not heard any more"));
            }
            let program = seen.workload.program(step.execution.as_str());
            let how = program.and_then(|program| program.steps().find(|known| known.id == step.step)).cloned();
            let how = how.ok_or_else(|| format!("no program of the workload has the step {step}"))?;
            let entries = seen.entries.entry(step.clone()).or_default();
            *entries += 1;
            let ends = how.ends.on_entry(*entries);
            let nth = seen.entries_of.entry((worker.clone(), step.clone())).or_default();
            *nth += 1;
            let nth = *nth;
            seen.bodies += 1;
            let body = seen.bodies;
            seen.anchors.insert(worker.clone(), Door::Before.anchor(&step.step));
            let entered = Entered { step: step.clone(), body, attempt, other_input, saw };
            seen.push(at_ms, worker.as_str(), What::Entered(entered));
            let observer = self.clone();
            Ok(Visit { observer, worker, life, step, body, nth, how, ends, key, epoch, over: false })
        })
    }
}

impl Seen {
    fn push(&mut self, at_ms: u64, who: &str, what: What) {
        // The end is always kept, so that a history says how long it was watched.
        if self.records.len() < RECORDS_MAX || matches!(what, What::Ended | What::Healed) {
            self.records.push(Record { at_ms, who: who.to_owned(), what });
        }
    }
}

impl Visit {
    /// How long the body lasts.
    pub fn lasts(&self) -> Duration {
        Duration::from_millis(self.how.lasts_ms)
    }

    /// If the body is to be held at this door: what it waits for.
    pub fn held_at(&self, door: Door) -> Option<oneshot::Receiver<()>> {
        self.observer.change(|seen, _| {
            let stop = seen.stop.as_mut().filter(|stop| {
                stop.worker == self.worker
                    && stop.step == self.step.step
                    && stop.door == door
                    && stop.nth == self.nth
                    && !stop.reached
            });
            let stopped = stop.map(|stop| stop.reached = true).is_some();
            let slowed = door == Door::Before && seen.slowed.as_ref() == Some(&self.worker);
            (stopped || slowed).then(|| {
                let (go, wait) = oneshot::channel();
                seen.held.push(Held { worker: self.worker.clone(), stopped, go });
                wait
            })
        })
    }

    fn is_heard(&self, seen: &Seen) -> bool {
        seen.lives.get(&self.worker) == Some(&self.life)
    }

    /// The effect happens, if the body has one: at a receiver that honours keys.
    pub fn effect(&self) {
        if !matches!(self.ends, BodyEnd::Returns | BodyEnd::Unencodable) {
            return;
        }
        // Whether it commits is not known at the door: the client reads it from the store when all is over.
        if self.how.kind == StepKind::Transactional {
            return;
        }
        self.observer.change(|seen, at_ms| {
            if !self.is_heard(seen) {
                return;
            }
            let applied = self.key.as_ref().is_none_or(|key| seen.ledger.insert(key.clone()));
            let (step, key, epoch) = (self.step.clone(), self.key.clone(), self.epoch);
            let effect = Effect { step, body: self.body, key, epoch, applied };
            seen.push(at_ms, self.worker.as_str(), What::Effect(effect));
        });
    }

    /// The body is left. None if its worker is not heard any more.
    pub fn leave(mut self) -> Option<Gave> {
        self.over = true;
        let gave = match self.ends {
            // Never seen before: every body of every run returns another value.
            BodyEnd::Returns => Gave::Value(format!("{}-{}-{}", self.step.execution, self.step.step, self.body)),
            BodyEnd::Fails => Gave::Failure,
            BodyEnd::FailsFinally => Gave::FinalFailure,
            BodyEnd::Unencodable => Gave::Unencodable,
        };
        self.observer.change(|seen, at_ms| {
            self.is_heard(seen).then(|| {
                seen.anchors.insert(self.worker.clone(), Door::After.anchor(&self.step.step));
                let left = What::Left { step: self.step.clone(), body: self.body, gave: gave.clone() };
                seen.push(at_ms, self.worker.as_str(), left);
                gave
            })
        })
    }
}

impl Drop for Visit {
    /// The request was dropped: the worker broke it off. (One that died says nothing: its life is over.)
    fn drop(&mut self) {
        if self.over {
            return;
        }
        self.observer.change(|seen, at_ms| {
            if self.is_heard(seen) {
                let left = What::Left { step: self.step.clone(), body: self.body, gave: Gave::Cancelled };
                seen.push(at_ms, self.worker.as_str(), left);
            }
        });
    }
}
