//! All of `engine/`, on an SQLite file.

#[path = "engine/between.rs"]
mod between;
#[path = "engine/claims.rs"]
mod claims;
#[path = "engine/client.rs"]
mod client;
#[path = "engine/control.rs"]
mod control;
#[path = "engine/ends.rs"]
mod ends;
#[path = "engine/faults.rs"]
mod faults;
#[path = "engine/late.rs"]
mod late;
#[path = "engine/races.rs"]
mod races;
#[path = "engine/results.rs"]
mod results;
#[path = "engine/steps.rs"]
mod steps;
#[path = "engine/timers.rs"]
mod timers;
#[path = "engine/waiting.rs"]
mod waiting;

#[path = "engine/shop.rs"]
mod memory;

mod shop {
    use std::sync::Arc;

    use hydra_engine::store::{Inline, SqliteOptions, Store, Synchronous};

    pub use crate::memory::{Log, client, ms, options, worker};

    /// A file of its own, which is gone from its folder once it is open, and from the disk with the store.
    pub fn store() -> Arc<dyn Store> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("test.sqlite");
        let options = SqliteOptions { synchronous: Synchronous::Normal, ..SqliteOptions::at(file) };
        Arc::new(Inline::over(options.open_backend().unwrap(), crate::memory::options()))
    }
}
