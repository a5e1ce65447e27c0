//! All of `engine/`, on an SQLite file.

#[path = "engine/control.rs"]
mod control;
#[path = "engine/ends.rs"]
mod ends;
#[path = "engine/faults.rs"]
mod faults;
#[path = "engine/races.rs"]
mod races;
#[path = "engine/steps.rs"]
mod steps;
#[path = "engine/timers.rs"]
mod timers;

#[path = "engine/shop.rs"]
mod memory;

mod shop {
    use std::sync::Arc;

    use hydra_engine::store::{Inline, SqliteOptions, Store, Synchronous};

    pub use crate::memory::{Log, client, ms, worker};

    /// A file of its own, which nobody has to keep after a loss of power.
    pub fn store() -> Arc<dyn Store> {
        let folder = tempfile::tempdir().unwrap();
        let options =
            SqliteOptions { synchronous: Synchronous::Normal, ..SqliteOptions::at(folder.join("test.sqlite")) };
        Arc::new(Inline::over(options.open_backend().unwrap(), crate::memory::options()))
    }
}
