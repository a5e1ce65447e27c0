//! The engine itself, its shell as well as its core: workers, heartbeats, shutdown, client and store as they are
//! shipped, under clocks that only move when they are told to and a network that does what the nemesis wants.
//!
//! - [`cluster`] brings everything forward, [`process`] is one life of one process, [`server`] is the store's;
//! - [`link`] is a process's way to the store, [`network`] what happens on it, [`faults`] what the nemesis does;
//! - [`program`] is the one workflow that interprets every program, [`clients`] are its clients;
//! - [`watched`] sees what is committed, [`journal`] and [`look`] put it into a history.
//!
//! The store is the engine's `Inline` driver over SQLite or memory. Its group commit is not simulated: it is a thread of
//! the operating system that takes what happens to wait when it looks, so which requests share a transaction is not the
//! seed's to say. The engine's own tests run it (`store_conformance`, `store_bad_days`).

mod clients;
mod clock;
mod cluster;
mod faults;
mod journal;
mod link;
mod look;
mod network;
mod plan;
mod process;
mod program;
mod server;
mod site;
mod watched;
mod wire;
mod world;

use std::collections::HashSet;
use std::sync::LazyLock;

use hydra_model::museum;
use hydra_protocol::{Protocol, Reference};
use hydra_schedule::{Event, Name};

use super::{Entry, Subject};
use crate::cluster::{Blow, Run, ScriptError, Tally};
use crate::history::{Header, History, Record, What};
use crate::workload::Workload;
use cluster::Cluster;
pub use server::On;
use server::Server;

/// The engine, as a subject.
pub struct Engine {
    name: &'static str,
    on: On,
    rules: &'static (dyn Protocol + Sync),
    folder: Option<tempfile::TempDir>,
    cluster: Option<Cluster>,
    tally: Tally,
    seed: u64,
}

impl Engine {
    /// The engine on this store, under these rules: the right ones, or a mutant's.
    pub fn new(name: &'static str, on: On, rules: &'static (dyn Protocol + Sync)) -> Self {
        Engine { name, on, rules, folder: None, cluster: None, tally: Tally::default(), seed: 0 }
    }

    fn server(&mut self) -> Server {
        let file = match self.on {
            On::Memory => None,
            On::Sqlite => {
                let folder = self.folder.get_or_insert_with(|| {
                    tempfile::tempdir().unwrap_or_else(|error| panic!("no folder for the store's file: {error}"))
                });
                Some(folder.path().join("store.sqlite"))
            }
        };
        Server::new(file, self.rules)
    }

    fn records(&self) -> Vec<Record> {
        let Some(cluster) = &self.cluster else { return Vec::new() };
        let mut records = cluster.shared.lock().records.clone();
        // Processes were run one after the other; a message between two takes at least a millisecond, so that the
        // order of time is the order of cause and effect.
        records.sort_by_key(|record| record.at_ms);
        // The receiver honours keys: it does what comes first under a key, and refuses what follows.
        let mut keys = HashSet::new();
        for record in &mut records {
            if let What::Effect(effect) = &mut record.what
                && let Some(key) = &effect.key
            {
                effect.applied = keys.insert(key.clone());
            }
        }
        records
    }
}

impl Subject for Engine {
    fn start(&mut self, run: Run<'_>) {
        self.seed = run.seed;
        // The old run's processes and store go first: the new store's file is where the old one's is.
        if let Some(before) = self.cluster.take() {
            self.tally = before.shared.lock().tally.clone();
        }
        let server = self.server();
        self.cluster = Some(Cluster::new(run, server, self.rules, self.tally.clone()));
    }

    fn advance(&mut self) -> bool {
        self.cluster.as_mut().is_some_and(Cluster::advance)
    }

    fn inject(&mut self, blow: Blow) {
        if let Some(cluster) = &mut self.cluster {
            cluster.inject(blow);
        }
    }

    /// The engine's own tasks decide what happens next; what can be put before it is faults.
    fn follow(&mut self, _: Run<'_>, script: &[Event]) -> Result<(), ScriptError> {
        let line = script.first().map(ToString::to_string).unwrap_or_default();
        let why = "the real engine takes no script, only faults at their times; follow it with --subject reference";
        Err(ScriptError { event: 1, line, why: why.to_owned() })
    }

    fn history(&self, workload: &Workload) -> History {
        let workers = self.cluster.as_ref().map_or(0, |cluster| cluster.plan.config.workers as usize);
        let header = Header {
            subject: self.name.to_owned(),
            seed: Some(self.seed),
            workers: (0..workers).map(Name::worker).collect(),
            workload: workload.clone(),
        };
        History { header, records: self.records() }
    }

    /// FNV-1a over the lines of the history.
    fn fingerprint(&self) -> u64 {
        let lines = self.records().into_iter().map(|record| record.to_line());
        lines
            .flat_map(String::into_bytes)
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }

    fn tally(&self) -> Tally {
        self.cluster.as_ref().map_or(self.tally.clone(), |cluster| cluster.shared.lock().tally.clone())
    }
}

/// A runtime of one process: one thread, and time that stands still unless it is moved.
fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap_or_else(|error| panic!("no runtime: {error}"))
}

/// The engine under the right rules, on each of its stores.
pub(super) fn entries() -> [Entry; 2] {
    let entry = |name, make| Entry { name, defect: None, breaks: &[], make };
    [
        entry("engine", |name| Box::new(Engine::new(name, On::Sqlite, &Reference))),
        entry("engine-on-memory", |name| Box::new(Engine::new(name, On::Memory, &Reference))),
    ]
}

/// Its store looks only at executions whose code the worker has, so that none is ever refused for want of it.
pub(super) const BEYOND_REACH: &[&str] = &["rejections: unknown-workflow"];

/// Whether a subject of this name is the engine itself, under whatever rules.
pub(super) fn is_engine(name: &str) -> bool {
    name == "engine" || name == "engine-on-memory" || name.starts_with(UNDER)
}

/// The name of the engine under a mutant's rules begins so.
const UNDER: &str = "engine+";

/// The engine under the rules of every mutant whose wrong is in its rules, in memory.
static MUTANTS: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    let sound = |mutant: &&museum::Mutant| !mutant.defects.no_unique_key && !mutant.defects.effect_outside_transaction;
    let entry = |mutant: &'static museum::Mutant| Entry {
        // Once for all of the process's life.
        name: Box::leak(format!("{UNDER}{}", mutant.name).into_boxed_str()),
        defect: Some(mutant.defect),
        breaks: mutant.breaks,
        make: |name| {
            let mutant = name.strip_prefix(UNDER).and_then(museum::find).expect("the entry was made of it");
            Box::new(Engine::new(name, On::Memory, mutant.rules))
        },
    };
    museum::mutants().filter(sound).map(entry).collect()
});

/// The engine under the rules of a mutant.
pub(super) fn mutant(name: &str) -> Option<Entry> {
    name.starts_with(UNDER).then(|| MUTANTS.iter().find(|entry| entry.name == name).copied())?
}
