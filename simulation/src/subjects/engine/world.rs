//! What all processes of a run share: the observer's records, the network's faults, and the strikes that lie in wait.
//!
//! Everything runs on one thread, so the mutex is never contended; it is there since the engine's futures are `Send`.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hydra_schedule::{Direction, Name};
use tokio::sync::oneshot;

use super::clock::ProcessClock;
use super::plan::Plan;
use super::wire::{Ask, Asker, Fate, Message, Outcome};
use crate::cluster::{Blow, Place, Strike, Tally, When, goal};
use crate::history::{Gave, Record, What};
use crate::workload::{BodyEnd, Random};

/// One process as the network and the nemesis see it. The last one is the clients'.
pub(super) struct Process {
    pub name: String,
    pub is_worker: bool,
    pub up: bool,
    /// Counts its lives.
    pub life: u32,
    pub clock: ProcessClock,
    pub stopping: bool,
    /// It stands still until then.
    pub paused_until_ms: Option<u64>,
    /// What it sends is lost.
    pub cut_out: bool,
    /// What is sent to it is lost.
    pub cut_in: bool,
    /// How often each place was passed in this life.
    passed: [u32; Place::ALL.len()],
    armed: Armed,
    /// When, by its own clock, the store last refused it something.
    refused_ms: Option<u64>,
}

/// Faults that strike the next request.
#[derive(Clone, Copy, Debug, Default)]
struct Armed {
    lose_request: u8,
    lose_reply: u8,
    late_reply: u8,
    twice: u8,
}

fn fires(count: &mut u8) -> bool {
    let fires = *count > 0;
    *count = count.saturating_sub(1);
    fires
}

/// See the module.
pub(super) struct World {
    pub plan: Arc<Plan>,
    pub processes: Vec<Process>,
    pub records: Vec<Record>,
    pub tally: Tally,
    pub random: Random,
    /// Sent and not yet on the network.
    pub outbox: Vec<Message>,
    pub strikes: Vec<Strike>,
    struck: Vec<bool>,
    /// Strikes whose place was passed: they fall as soon as the process stands.
    pub triggered: Vec<usize>,
    pub healed: bool,
    /// Calls of clients that came to their end: what is to be done again, in so many milliseconds.
    pub client_done: Vec<Option<(super::clients::Act, u64)>>,
    /// Orderly shutdowns that came to their end.
    pub stopped: Vec<Asker>,
    /// The step of each body; the first body is 1.
    bodies: Vec<usize>,
    left: BTreeSet<u64>,
    entries: Vec<u32>,
    pub encode_fails: Vec<bool>,
}

/// Shared by all processes.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<World>>);

impl Shared {
    pub fn new(world: World) -> Self {
        Shared(Arc::new(Mutex::new(world)))
    }

    pub fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World {
    pub fn new(plan: Arc<Plan>, strikes: &[Strike], seed: u64, tally: Tally) -> Self {
        let process = |name: String, is_worker| Process {
            name,
            is_worker,
            up: false,
            life: 0,
            clock: ProcessClock::starting_at(0),
            stopping: false,
            paused_until_ms: None,
            cut_out: false,
            cut_in: false,
            passed: [0; Place::ALL.len()],
            armed: Armed::default(),
            refused_ms: None,
        };
        let workers = (0..plan.config.workers as usize).map(|index| process(Name::worker(index).to_string(), true));
        World {
            processes: workers.chain([process("client".to_owned(), false)]).collect(),
            records: Vec::new(),
            tally,
            random: Random::new(seed).fork(7),
            outbox: Vec::new(),
            strikes: strikes.to_vec(),
            struck: vec![false; strikes.len()],
            triggered: Vec::new(),
            healed: false,
            client_done: Vec::new(),
            stopped: Vec::new(),
            bodies: Vec::new(),
            left: BTreeSet::new(),
            entries: vec![0; plan.steps.len()],
            encode_fails: vec![false; plan.steps.len()],
            plan,
        }
    }

    pub fn is_live(&self, asker: Asker) -> bool {
        let process = &self.processes[asker.process];
        process.up && process.life == asker.life
    }

    pub fn record(&mut self, at_ms: u64, who: &str, what: What) {
        self.records.push(Record { at_ms, who: who.to_owned(), what });
    }

    /// Something observed in a process whose clock shows `local_ms`. A process that has ended shows nothing.
    pub fn observe(&mut self, asker: Asker, local_ms: u64, what: What) {
        if self.is_live(asker) {
            let process = &mut self.processes[asker.process];
            let at_ms = process.clock.came_to(local_ms);
            let who = process.name.clone();
            self.record(at_ms, &who, what);
        }
    }

    /// A process's life begins.
    pub fn comes_up(&mut self, process: usize, now_ms: u64) {
        let there = &mut self.processes[process];
        there.up = true;
        there.life += 1;
        there.clock = there.clock.restarted_at(now_ms);
        (there.stopping, there.paused_until_ms) = (false, None);
        there.passed = [0; Place::ALL.len()];
        there.armed = Armed::default();
        there.refused_ms = None;
    }

    /// A body is entered: its number, and how it is going to end.
    pub fn enter(&mut self, step: usize) -> (u64, BodyEnd) {
        self.bodies.push(step);
        self.entries[step] += 1;
        let ends = self.plan.steps[step].step.as_ref().map(|step| step.ends).unwrap_or_default();
        (self.bodies.len() as u64, self.unless_it_cannot_be_encoded(step, ends.on_entry(self.entries[step])))
    }

    /// A success whose encoding the nemesis has spoiled.
    pub fn unless_it_cannot_be_encoded(&mut self, step: usize, end: BodyEnd) -> BodyEnd {
        let spoiled = end == BodyEnd::Returns && std::mem::take(&mut self.encode_fails[step]);
        if spoiled { BodyEnd::Unencodable } else { end }
    }

    /// The step of a body.
    pub fn step_of(&self, body: u64) -> usize {
        self.bodies[body as usize - 1]
    }

    /// Whether nobody has told yet how this body was left; from now on somebody has.
    pub fn leaves(&mut self, body: u64) -> bool {
        self.left.insert(body)
    }

    /// How a body in a transaction was left: it turns out at the store, and may turn out twice.
    pub fn left_in_transaction(&mut self, at_ms: u64, who: usize, body: u64, gave: Gave) {
        if self.leaves(body) {
            if gave == Gave::Cancelled {
                self.tally.path(goal!("transaction-rolled-back"));
            }
            let step = self.step_of(body);
            let (step, who) = (self.plan.steps[step].name.clone(), self.processes[who].name.clone());
            self.record(at_ms, &who, What::Left { step, body, gave });
        }
    }

    /// The store refuses a process something, which it learns now.
    pub fn refused(&mut self, asker: Asker, local_ms: u64) {
        self.processes[asker.process].refused_ms = Some(local_ms);
    }

    /// A body was cancelled: since its worker was told that the lease is gone, or since it knows by its clock.
    pub fn cancelled(&mut self, asker: Asker, local_ms: u64) {
        if self.is_live(asker) {
            self.tally.path(goal!("body-cancelled"));
            let process = &self.processes[asker.process];
            if !process.stopping && process.refused_ms != Some(local_ms) {
                self.tally.path(goal!("stopped-by-clock"));
            }
        }
    }

    /// A process passes a place; faults may lie in wait there. Those that strike a request strike at once, the others
    /// as soon as the process stands. True if it is to stand.
    pub fn pass(&mut self, asker: Asker, place: Place) -> bool {
        let process = &mut self.processes[asker.process];
        process.passed[place as usize] += 1;
        if self.healed || !process.is_worker {
            return false;
        }
        let when = When::On { worker: asker.process as u8, place, nth: process.passed[place as usize] };
        let mut stands = false;
        for index in 0..self.strikes.len() {
            if !self.struck[index] && self.strikes[index].when == when {
                if self.arm(self.strikes[index].blow) {
                    self.triggered.push(index);
                } else {
                    stands = true;
                    self.triggered.push(index);
                }
            }
        }
        stands
    }

    /// Whether a strike falls that has not fallen before.
    pub fn falls(&mut self, index: usize) -> bool {
        !self.healed && !std::mem::replace(&mut self.struck[index], true)
    }

    pub fn plan_strike(&mut self, strike: Strike) -> usize {
        self.strikes.push(strike);
        self.struck.push(false);
        self.strikes.len() - 1
    }

    /// Takes up a blow that waits for a process's next request; false if it is none.
    pub fn arm(&mut self, blow: Blow) -> bool {
        let (worker, counts): (u8, fn(&mut Armed) -> &mut u8) = match blow {
            Blow::DisconnectBefore(worker) => (worker, |armed| &mut armed.lose_request),
            Blow::ReplyLost(worker) => (worker, |armed| &mut armed.lose_reply),
            Blow::ReplyLate(worker) => (worker, |armed| &mut armed.late_reply),
            Blow::Duplicate(worker) => (worker, |armed| &mut armed.twice),
            _ => return false,
        };
        if let Some(process) = self.processes.get_mut(usize::from(worker)) {
            *counts(&mut process.armed) += 1;
        }
        true
    }

    pub fn cut(&mut self, workers: u32, direction: Option<Direction>) {
        for (index, process) in self.processes.iter_mut().enumerate().filter(|(_, process)| process.is_worker) {
            if workers & (1 << index) != 0 {
                match direction {
                    Some(direction) => {
                        process.cut_out |= matches!(direction, Direction::Both | Direction::Out);
                        process.cut_in |= matches!(direction, Direction::Both | Direction::In);
                    }
                    None => (process.cut_out, process.cut_in) = (false, false),
                }
            }
        }
    }

    pub fn disarm(&mut self) {
        for process in &mut self.processes {
            process.armed = Armed::default();
        }
    }

    /// A process sends a request. Whether it waits for an answer as long as it takes.
    pub fn send(&mut self, from: Asker, local_ms: u64, ask: Ask, back: Option<oneshot::Sender<Outcome>>) -> bool {
        if !self.is_live(from) {
            return false;
        }
        let sent_ms = self.processes[from.process].clock.came_to(local_ms);
        if !matches!(ask, Ask::Close { .. }) {
            self.pass(from, Place::Request);
        }
        let process = &mut self.processes[from.process];
        let repeatable = ask.repeatable();
        let fate = Fate {
            lose_request: process.cut_out | fires(&mut process.armed.lose_request),
            lose_reply: fires(&mut process.armed.lose_reply),
            late_reply: fires(&mut process.armed.late_reply),
            twice: repeatable && fires(&mut process.armed.twice),
            // Cut off, it hears nothing at all.
            reset: !process.cut_out && !process.cut_in && self.random.percent(50),
        };
        self.outbox.push(Message { from, ask, sent_ms, back, fate });
        fate.late_reply
    }
}
