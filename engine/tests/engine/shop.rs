//! What the tests share.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use hydra_engine::protocol::Time;
use hydra_engine::store::{MemoryStore, Store, StoreOptions, TokioClock};
use hydra_engine::{Client, Worker, WorkerBuilder};

/// A clock that goes with tokio's.
pub fn options() -> StoreOptions {
    let clock = Arc::new(TokioClock::starting_at(Time::from_millis(1_000_000)));
    StoreOptions { clock, ..StoreOptions::default() }
}

/// A store in memory.
#[allow(dead_code)]
pub fn store() -> Arc<dyn Store> {
    Arc::new(MemoryStore::with(options()))
}

pub fn client(store: &Arc<dyn Store>) -> Client {
    Client::new(store.clone())
}

pub fn worker(store: &Arc<dyn Store>) -> WorkerBuilder {
    Worker::builder(store.clone()).lease(Duration::from_secs(6)).poll_interval(Duration::from_millis(100))
}

/// What bodies did, in order.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub fn add(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
