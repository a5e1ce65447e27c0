//! Rows in a PostgreSQL server, shared by workers on many machines.
//!
//! The same contract and the same core as on SQLite. One task (or several) owns a connection and commits together what
//! has queued up for it: lock the executions in the order of their keys, load what the batch is about, have the core
//! decide each command over those rows in memory ([`image`]), write what changed in one statement and commit right behind
//! it, and only then answer. Neither round trips nor statements grow with the number of commands: what a batch costs the
//! server is mostly what it costs whatever is in it.
//!
//! What ends a transaction is told apart ([`fault`]): a deadlock or a serialization failure is tried again; a connection
//! lost before COMMIT was sent is [`StoreError::Unavailable`], for nothing happened; one lost after it is
//! [`StoreError::Unknown`].

mod body;
mod claims;
mod clock;
mod connect;
mod fault;
mod flush;
mod guard;
mod image;
mod listen;
mod load;
mod lookups;
mod options;
mod pooler;
mod prune;
mod reads;
mod rows;
mod runtime;
mod schema;
mod store;
mod tls;
mod values;
mod writer;

pub use options::PostgresOptions;
pub use store::PostgresStore;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, Semaphore};

use super::StoreOptions;
use super::signals::Signals;
use clock::StoreClock;
use connect::{Connector, Link};

/// What all tasks of a store share.
struct Shared {
    options: StoreOptions,
    postgres: PostgresOptions,
    connector: Arc<Connector>,
    clock: StoreClock,
    signals: Signals,
    /// Notified when other processes are to be told that something became due.
    announce: Notify,
    /// A permit for each connection that may be lent to a body.
    bodies: Arc<Semaphore>,
    /// Connections that no body has, the one used last on top.
    links: Mutex<Vec<Link>>,
    /// The schemas that bodies find their tables in, as SQL: those of the URL's user, without the engine's.
    search_path: Mutex<String>,
}

impl Shared {
    fn take_link(&self) -> Link {
        let link = lock(&self.links).pop();
        link.unwrap_or_else(|| Link::new(Arc::clone(&self.connector)))
    }

    fn give_link(&self, link: Link) {
        lock(&self.links).push(link);
    }

    fn search_path(&self) -> String {
        lock(&self.search_path).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
