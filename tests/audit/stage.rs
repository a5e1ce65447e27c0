//! What the scenarios share: stores, a receiver of effects, and judging the same scenario under right and wrong rules.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use hydra_engine::conform;
use hydra_engine::protocol::{Protocol, Reference, Time};
use hydra_engine::store::{
    Inline, MemoryBackend, SqliteEvidence, SqliteOptions, Store, StoreError, StoreOptions, Synchronous, TokioClock,
};
use hydra_engine::{Attempt, Client, Worker, WorkerBuilder};

use crate::broken::{Broken, How};

/// Whether the scenario's promise was kept, and if not, what was seen.
pub type Verdict = Result<(), String>;

pub const LEASE: Duration = Duration::from_secs(6);
/// No scenario needs so long; one that does hangs. Virtual time.
const HANGS: Duration = Duration::from_secs(3_600);

#[derive(Clone, Copy, Debug)]
pub enum On {
    Memory,
    Sqlite,
    #[cfg(feature = "postgres-tests")]
    Postgres,
    /// In memory, and broken.
    Broken(How),
}

pub const STORES: &[On] = &[
    On::Memory,
    On::Sqlite,
    #[cfg(feature = "postgres-tests")]
    On::Postgres,
];

/// One scenario's world.
#[derive(Clone)]
pub struct Stage {
    pub store: Arc<dyn Store>,
    pub receiver: Receiver,
    rules: &'static dyn Protocol,
}

impl Stage {
    pub fn client(&self) -> Client {
        Client::new(self.store.clone())
    }

    /// A worker on this store, or on another way to it.
    pub fn worker_on(&self, store: Arc<dyn Store>) -> WorkerBuilder {
        Worker::builder(store).rules(self.rules).lease(LEASE).poll_interval(ms(100))
    }

    pub fn worker(&self) -> WorkerBuilder {
        self.worker_on(self.store.clone())
    }
}

/// Holds under the right rules, on every store; and where the store keeps a journal, it did what the rules say.
pub fn holds<F, Fut>(scenario: F)
where
    F: Fn(Stage) -> Fut,
    Fut: Future<Output = Verdict>,
{
    for &on in STORES {
        let (seen, recorded) = perform(&Reference, on, &scenario);
        if let Err(wrong) = seen.and(recorded) {
            panic!("on {on:?}: {wrong}");
        }
    }
}

/// Is noticed under each of these rules of the museum, on every store.
pub fn notices<F, Fut>(mutants: &[&str], scenario: F)
where
    F: Fn(Stage) -> Fut,
    Fut: Future<Output = Verdict>,
{
    for name in mutants {
        let mutant = hydra_model::museum::find(name).unwrap_or_else(|| panic!("no mutant {name}"));
        for &on in STORES {
            let verdict = play(mutant.rules, on, &scenario);
            assert!(verdict.is_err(), "{name} went unnoticed on {on:?}");
        }
    }
}

/// Is noticed on each of these stores that are broken, under the right rules.
pub fn notices_stores<F, Fut>(broken: &[How], scenario: F)
where
    F: Fn(Stage) -> Fut,
    Fut: Future<Output = Verdict>,
{
    for &how in broken {
        let verdict = play(&Reference, On::Broken(how), &scenario);
        assert!(verdict.is_err(), "a store went unnoticed: {how:?}");
    }
}

/// The verdict under these rules, on this store.
pub fn play<F, Fut>(rules: &'static (dyn Protocol + Sync), on: On, scenario: &F) -> Verdict
where
    F: Fn(Stage) -> Fut,
    Fut: Future<Output = Verdict>,
{
    perform(rules, on, scenario).0
}

/// By what its journal says each of these rules of the museum is found out, on every store that keeps one.
pub fn records<F, Fut>(mutants: &[&str], scenario: F)
where
    F: Fn(Stage) -> Fut,
    Fut: Future<Output = Verdict>,
{
    for name in mutants {
        let mutant = hydra_model::museum::find(name).unwrap_or_else(|| panic!("no mutant {name}"));
        for on in [On::Memory, On::Sqlite] {
            let (_, recorded) = perform(mutant.rules, on, &scenario);
            assert!(recorded.is_err(), "the journal of {name} conforms on {on:?}");
        }
    }
}

/// What the scenario saw, and what the store's own record says, if it keeps one.
fn perform<F, Fut>(rules: &'static (dyn Protocol + Sync), on: On, scenario: &F) -> (Verdict, Verdict)
where
    F: Fn(Stage) -> Fut,
    Fut: Future<Output = Verdict>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let clock = Arc::new(TokioClock::starting_at(Time::from_millis(1_000_000)));
        let options = StoreOptions { rules, clock, ..StoreOptions::default() };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.sqlite");
        let in_memory = Arc::new(Inline::over(MemoryBackend::with_journal(), options.clone()));
        let store: Arc<dyn Store> = match on {
            On::Memory => in_memory.clone(),
            On::Sqlite => {
                let file =
                    SqliteOptions { synchronous: Synchronous::Normal, journal: true, ..SqliteOptions::at(&path) };
                Arc::new(Inline::over(file.open_backend().unwrap(), options))
            }
            #[cfg(feature = "postgres-tests")]
            On::Postgres => Arc::new(crate::postgres::open(options)),
            On::Broken(how) => Arc::new(Inline::over(Broken::over(MemoryBackend::default(), how), options)),
        };
        let stage = Stage { store, receiver: Receiver::default(), rules };
        let played = tokio::time::timeout(HANGS, scenario(stage)).await;
        let seen = played.unwrap_or_else(|_| Err("it never ends".to_owned()));
        let recorded = match on {
            On::Memory => conforms(in_memory.with_backend(conform::check).await),
            On::Sqlite => conforms(SqliteEvidence::open(&path).and_then(|mut evidence| conform::check(&mut evidence))),
            #[cfg(feature = "postgres-tests")]
            On::Postgres => Ok(()),
            On::Broken(_) => Ok(()),
        };
        (seen, recorded)
    })
}

/// The store's own record says that it did what the rules say.
fn conforms(report: Result<conform::Report, StoreError>) -> Verdict {
    let report = report.map_err(|error| error.to_string())?;
    match report.verdict() {
        conform::Verdict::Conforms => Ok(()),
        verdict => Err(format!("by its journal: {verdict:?}: {:?}", report.departures.first())),
    }
}

/// Receives the effects of steps: one for each idempotency key, as a bank would.
#[derive(Clone, Default)]
pub struct Receiver(Arc<Mutex<Received>>);

#[derive(Default)]
struct Received {
    /// Every time a body asked, with its key.
    asked: Vec<(String, String)>,
    /// Bodies that are running now, by step.
    running: Vec<String>,
    overlaps: Vec<String>,
}

impl Receiver {
    /// A body has its effect.
    pub fn effect(&self, step: &str, attempt: &Attempt) {
        self.0.lock().unwrap().asked.push((step.to_owned(), attempt.idempotency_key.clone()));
    }

    /// How many bodies of this step had their effect.
    pub fn bodies(&self, step: &str) -> usize {
        self.0.lock().unwrap().asked.iter().filter(|(asked, _)| asked == step).count()
    }

    /// How many effects a receiver that honours keys lets this step have.
    pub fn effects(&self, step: &str) -> usize {
        let received = self.0.lock().unwrap();
        let keys: std::collections::BTreeSet<_> =
            received.asked.iter().filter(|(asked, _)| asked == step).map(|(_, key)| key).collect();
        keys.len()
    }

    /// A body of this step runs until the answer is dropped.
    pub fn enter(&self, step: &str) -> Inside {
        let mut received = self.0.lock().unwrap();
        if received.running.iter().any(|running| running == step) {
            received.overlaps.push(step.to_owned());
        }
        received.running.push(step.to_owned());
        Inside { receiver: self.clone(), step: step.to_owned() }
    }

    /// Steps that two bodies were inside of at the same time.
    pub fn overlaps(&self) -> Vec<String> {
        self.0.lock().unwrap().overlaps.clone()
    }
}

pub struct Inside {
    receiver: Receiver,
    step: String,
}

impl Drop for Inside {
    fn drop(&mut self) {
        let mut received = self.receiver.0.lock().unwrap();
        if let Some(at) = received.running.iter().position(|running| *running == self.step) {
            received.running.swap_remove(at);
        }
    }
}

/// Says what was seen, unless it is as it should be.
pub fn expect<T: PartialEq + std::fmt::Debug>(what: &str, seen: T, right: T) -> Verdict {
    if seen == right { Ok(()) } else { Err(format!("{what}: {seen:?}, and not {right:?}")) }
}

pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Numbers that look like chance and are the same each time.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}
