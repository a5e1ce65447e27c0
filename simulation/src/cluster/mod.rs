//! A whole cluster in virtual time: store, network, workers, bodies, receivers and clients, on one thread.
//!
//! It drives the functions of the core ([`Protocol`]) and holds no rule of its own: what a transaction may change is
//! [`hydra_protocol::decide`]'s to say, what a worker does next is its machines'. What is modelled here is the world
//! around them: messages that take time or never come, clocks that are wrong, processes that end in the middle.
//!
//! Everything is decided by the seed, the workload, the settings and the strikes; the order of events by their time
//! and then by the order in which they came about. The same run again gives the same notes, to the byte.

mod bodies;
mod calls;
mod clients;
mod config;
mod drives;
mod ends;
mod faults;
mod leases;
mod note;
mod polls;
mod program;
pub(crate) mod project;
mod queue;
mod script;
mod slab;
mod store;
mod strike;
mod tally;
mod watch;
mod witness;
mod words;
mod worker;

use std::collections::HashSet;
use std::fmt::{self, Write};

use hydra_protocol::Protocol;

use crate::workload::{Random, Workload};
use calls::Call;
use clients::Act;
pub use config::{Config, SettingError};
use drives::Drive;
pub(crate) use faults::kind_of;
pub use note::{Fact, Gave, Note, Seen, Who};
use program::Programs;
use queue::{Event, Queue};
pub use script::ScriptError;
use slab::Slab;
use store::Store;
pub use strike::{Blow, Strike, StrikeError, When, read_strikes, write_strikes};
pub use tally::Tally;
pub(crate) use tally::{goal, path_index};
pub use watch::Watch;
pub use worker::Place;
use worker::Worker;

/// The most workers.
pub const WORKERS_MAX: u32 = 32;

/// A cluster, used for one run after the other; its memory is used again.
pub struct Cluster<'p, P: Protocol + ?Sized> {
    rules: &'p P,
    defects: Defects,
    config: Config,
    programs: Programs,
    random: Random,
    now_ms: u64,
    queue: Queue,
    /// What waits for a worker that stands still.
    waiting: Vec<(u8, Event)>,
    store: Store,
    /// Away until then.
    store_back_ms: u64,
    /// Counts the store's restarts: a request from before one is lost.
    store_incarnation: u32,
    store_slow_ms: u64,
    /// How far its clock was set back, all in all.
    store_back_by_ms: u64,
    workers: Vec<Worker>,
    drives: Slab<Drive>,
    calls: Slab<Call>,
    acts: Vec<Act>,
    acts_left: u32,
    client_calls: u32,
    requests: u32,
    strikes: Vec<Strike>,
    struck: Vec<bool>,
    /// Entries into each step's body.
    entries: Vec<u32>,
    encode_fails: Vec<bool>,
    decode_fails: Vec<bool>,
    bodies: u32,
    claims: u32,
    /// The latest claim of each execution, and the one that ended it.
    latest_claim: Vec<u32>,
    ended_by: Vec<u32>,
    /// Keys that the receivers have seen: the execution, and what the rules make of the step.
    keys: HashSet<(u32, u64)>,
    open: u32,
    healed: bool,
    /// Messages arrive when a script says so, and not by the clock.
    scripted: bool,
    /// What the next claim of a script is about.
    claim_only: Option<u32>,
    notes: Vec<Note>,
    tally: Tally,
}

/// What is wrong around the core: in the database, or in the way bodies are run. For engines that are known to be wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Defects {
    /// The database has no unique key on steps.
    pub no_unique_key: bool,
    /// The effect of a transactional body commits by itself, before its step is settled.
    pub effect_outside_transaction: bool,
}

/// Everything that decides a run.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// Decides what chance decides: how long messages, commits and bodies take.
    pub seed: u64,
    /// What clients ask for.
    pub workload: &'a Workload,
    /// The faults.
    pub strikes: &'a [Strike],
    /// The settings.
    pub config: &'a Config,
}

impl<'p, P: Protocol + ?Sized> Cluster<'p, P> {
    /// An empty cluster under these rules.
    pub fn new(rules: &'p P) -> Self {
        Cluster {
            rules,
            defects: Defects::default(),
            config: Config::default(),
            programs: Programs::default(),
            random: Random::new(0),
            now_ms: 0,
            queue: Queue::default(),
            waiting: Vec::new(),
            store: Store::default(),
            store_back_ms: 0,
            store_incarnation: 0,
            store_slow_ms: 0,
            store_back_by_ms: 0,
            workers: Vec::new(),
            drives: Slab::default(),
            calls: Slab::default(),
            acts: Vec::new(),
            acts_left: 0,
            client_calls: 0,
            requests: 0,
            strikes: Vec::new(),
            struck: Vec::new(),
            entries: Vec::new(),
            encode_fails: Vec::new(),
            decode_fails: Vec::new(),
            bodies: 0,
            claims: 0,
            latest_claim: Vec::new(),
            ended_by: Vec::new(),
            keys: HashSet::new(),
            open: 0,
            healed: false,
            scripted: false,
            claim_only: None,
            notes: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// The same, in a world that is wrong itself.
    pub fn with_defects(rules: &'p P, defects: Defects) -> Self {
        Cluster { defects, ..Cluster::new(rules) }
    }

    /// One run, from an empty store until everything has ended or patience has. The notes stay until the next.
    pub fn run(&mut self, run: Run<'_>) {
        self.prepare(run);
        while self.advance() {}
    }

    /// The next thing that happens. False when the run is over and clients have had their last look.
    pub fn advance(&mut self) -> bool {
        let next = self.queue.pop();
        if let Some((at_ms, _)) = next {
            // Never back: after a script, what was under way comes late. Patience that ends takes its time as well: else
            // what stands still would not have been watched for longer than until the last thing that happened.
            self.now_ms = self.now_ms.max(at_ms);
        }
        let over = match next {
            None | Some((_, Event::End)) => true,
            Some((_, event)) => {
                self.happen(event);
                self.is_over()
            }
        };
        if over {
            self.last_look();
        }
        !over
    }

    /// A fault strikes now, beside those of the run's own schedule. The history tells it like them.
    pub fn inject(&mut self, blow: Blow) {
        self.strikes.push(Strike { when: When::At(self.now_ms), blow });
        self.struck.push(false);
        self.acts_left += u32::from(matches!(blow, Blow::Client { .. }));
        self.strike(self.strikes.len() - 1);
    }

    /// What was observed in the last run.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// All notes of the last run as one number, FNV-1a over their text.
    pub fn fingerprint(&self) -> u64 {
        struct Hash(u64);
        impl fmt::Write for Hash {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                for byte in text.bytes() {
                    self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
                }
                Ok(())
            }
        }
        let mut hash = Hash(0xcbf2_9ce4_8422_2325);
        for note in &self.notes {
            // The hash takes whatever is written.
            let _ = write!(hash, "{note:?}");
        }
        hash.0
    }

    /// How many executions have not ended.
    pub fn open(&self) -> u32 {
        self.open
    }

    /// What was reached since the cluster was made.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Why the oracle should see the last run, if it should: see [`Watch`].
    pub fn strange(&self, watch: &mut Watch) -> Option<&'static str> {
        watch.look(&self.notes, &self.strikes, &self.programs, &self.config)
    }

    /// An empty store and fresh workers, with everything of the run still to come.
    pub fn prepare(&mut self, run: Run<'_>) {
        self.config.clone_from(run.config);
        self.programs.load(run.workload);
        self.random = Random::new(run.seed);
        self.now_ms = 0;
        self.queue.clear();
        self.waiting.clear();
        self.store.clear(&self.programs);
        self.store_back_ms = 0;
        self.store_incarnation = 0;
        self.store_slow_ms = 0;
        self.store_back_by_ms = 0;
        self.workers.clear();
        self.workers.resize(self.config.workers.clamp(1, WORKERS_MAX) as usize, Worker::default());
        // What a run left behind must not be taken for its successor's.
        for drive in 0..self.drives.len() {
            self.drives[drive].live = false;
        }
        self.drives.clear();
        self.calls.clear();
        self.strikes.clear();
        self.strikes.extend_from_slice(run.strikes);
        for (flags, count) in [
            (&mut self.struck, self.strikes.len()),
            (&mut self.encode_fails, self.programs.steps.len()),
            (&mut self.decode_fails, self.programs.steps.len()),
        ] {
            flags.clear();
            flags.resize(count, false);
        }
        for (numbers, count) in [
            (&mut self.entries, self.programs.steps.len()),
            (&mut self.latest_claim, self.programs.programs.len()),
            (&mut self.ended_by, self.programs.programs.len()),
        ] {
            numbers.clear();
            numbers.resize(count, 0);
        }
        self.keys.clear();
        self.bodies = 0;
        self.claims = 0;
        self.client_calls = 0;
        self.requests = 0;
        self.open = 0;
        self.healed = false;
        self.scripted = false;
        self.claim_only = None;
        self.notes.clear();
        self.tally.runs += 1;
        for worker in 0..self.workers.len() as u8 {
            self.note(Who::Worker(worker), Fact::Up(true));
        }
        self.plan_acts(run.workload);
        self.plan_strikes();
    }

    /// Nothing is open, nobody acts any more: what is left of the queue changes nothing.
    fn is_over(&self) -> bool {
        self.open == 0 && self.acts_left == 0 && self.drives.taken() == 0 && self.calls.taken() == 0
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Strike(strike) => self.strike(strike as usize),
            Event::Client(act) => self.act(act as usize),
            Event::Poll { worker, incarnation } => {
                let there = self.workers[worker as usize];
                let meant = there.up && there.incarnation == incarnation && there.poll_at_ms <= self.now_ms;
                if meant && !self.wait_out_pause(worker, event) {
                    self.poll(worker);
                }
            }
            Event::Arrive { call } => self.arrive(call),
            Event::Transacted { call } => self.transacted(call),
            Event::Reply { call } => self.reply(call, event),
            Event::Lost { call } => self.lost(call, event),
            Event::Body { drive, generation, slot } => {
                if self.is_live(drive, generation)
                    && !self.wait_out_pause(self.drives[drive].worker, event)
                    && self.holds(drive)
                {
                    self.body_ended(drive, slot);
                }
            }
            Event::Due { drive, generation, slot } => {
                if self.is_live(drive, generation)
                    && !self.wait_out_pause(self.drives[drive].worker, event)
                    && self.holds(drive)
                {
                    self.due(drive, slot);
                }
            }
            Event::Duty { drive, generation } => {
                if self.is_live(drive, generation) && !self.wait_out_pause(self.drives[drive].worker, event) {
                    self.duty(drive);
                }
            }
            Event::Resume { worker } => {
                if self.workers[worker as usize].paused_until_ms <= self.now_ms {
                    self.resume(worker);
                }
            }
            Event::Heal => self.heal_all(),
            Event::End => {}
        }
    }

    /// Whether the worker stands still; if so the event comes when it goes on.
    fn wait_out_pause(&mut self, worker: u8, event: Event) -> bool {
        let paused = self.workers[worker as usize].paused_until_ms > self.now_ms;
        if paused {
            self.waiting.push((worker, event));
        }
        paused
    }

    /// A worker goes on, or is no more: what waited for it comes now, in its order.
    fn resume(&mut self, worker: u8) {
        self.workers[worker as usize].paused_until_ms = 0;
        let (now_ms, queue) = (self.now_ms, &mut self.queue);
        self.waiting.retain(|(waits, event)| {
            if *waits == worker {
                queue.push(now_ms, *event);
            }
            *waits != worker
        });
    }

    fn note(&mut self, who: Who, fact: Fact) {
        self.notes.push(Note { at_ms: self.now_ms, who, fact });
    }

    /// The same, told before what was noted from `index` on.
    fn note_at(&mut self, index: usize, who: Who, fact: Fact) {
        self.notes.insert(index, Note { at_ms: self.now_ms, who, fact });
    }

    /// A length between 1 and `max_ms`.
    fn some_ms(&mut self, max_ms: u64) -> u64 {
        1 + self.random.below(max_ms.max(1))
    }
}
