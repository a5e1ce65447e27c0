//! Where rows live.
//!
//! A store loads rows, lets the core decide, and applies the commit in one transaction: it holds no decision of its
//! own. Every store keeps this contract, and one conformance suite judges them all:
//!
//! * what was answered is durable; what was not answered may or may not have happened ([`StoreError::Unknown`]), and
//!   asking again is safe;
//! * the clock is the store's, read in the transaction that decides;
//! * a row that cannot be is an error that names it ([`StoreError::Corrupt`]), never a default.

mod apply;
pub mod backend;
mod body;
mod check;
mod clock;
mod error;
mod group_commit;
mod inline;
mod journal;
mod leases;
mod memory;
mod options;
#[cfg(feature = "postgres")]
mod postgres;
mod prune;
mod signals;
mod sql_error;
mod sqlite;
mod types;
mod user_sql;

pub use crate::bell::{Bell, Rung};
pub use apply::Rules;
pub use clock::{Clock, ManualClock, SystemClock, TokioClock};
pub use error::StoreError;
pub use group_commit::GroupCommit;
pub use inline::Inline;
pub use memory::{MemoryBackend, MemoryStore};
pub use options::StoreOptions;
#[cfg(feature = "postgres")]
pub use postgres::{PostgresOptions, PostgresStore};
pub use signals::{Ended, EndingMark, EndingWatch};
pub use sqlite::{SqliteBackend, SqliteEvidence, SqliteOptions, SqliteReader, SqliteStore, Synchronous};
pub use types::*;

use std::sync::Arc;

use futures::future::BoxFuture;
use hydra_protocol::Time;

/// Largest payload of a store that is not told otherwise, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What every store offers. Cheap to share; methods may be called from any task.
pub trait Store: Send + Sync + 'static {
    /// Decides and applies one command about one execution. Durable once answered.
    fn command(&self, request: CommandRequest) -> BoxFuture<'_, Result<Answer, StoreError>>;

    /// Claims up to [`ClaimRequest::limit`] executions that are due, the longest due first, and reads their journals.
    fn claim(&self, request: ClaimRequest) -> BoxFuture<'_, Result<Claims, StoreError>>;

    /// Extends leases: one round trip for all of a worker's. The answers stand in the order of the request.
    fn heartbeat(&self, request: HeartbeatRequest) -> BoxFuture<'_, Result<Heartbeats, StoreError>>;

    /// Opens the store's transaction for a transactional body. The command (a `Settle` as succeeded) is decided first:
    /// if it is refused, or answered from what is on record, no transaction is opened and no body may run.
    fn transact(&self, request: CommandRequest) -> BoxFuture<'_, Result<Transact, StoreError>>;

    /// One execution by its id, as it stands; none if there is none.
    fn execution(&self, id: &ExecutionId) -> BoxFuture<'_, Result<Option<ExecutionView>, StoreError>>;

    /// Steps and leases of one execution, steps by number, leases by epoch.
    fn history(&self, key: ExecutionKey) -> BoxFuture<'_, Result<HistoryView, StoreError>>;

    /// Executions that match, newest first.
    fn list(&self, filter: ListFilter) -> BoxFuture<'_, Result<Vec<ExecutionView>, StoreError>>;

    /// Rings whenever a commit through *this handle* made an execution claimable or moved a due time.
    fn due_changed(&self) -> Arc<Bell>;

    /// Rings whenever a commit through *this handle* ended an execution.
    fn ended(&self) -> Arc<Bell>;

    /// Watches for the end of one execution by a commit through *this handle*, from this call on. Make the watch, look
    /// whether the execution has ended already, then wait. Unlike with [`Store::ended`], nobody is woken for another
    /// one's end: with a thousand clients waiting, each ending would have them all read a row.
    fn watch_ending(&self, key: ExecutionKey) -> EndingWatch;

    /// A moment from which on [`Store::watch_ending_since`] misses nothing. None: this store remembers no endings; make
    /// the watch, and look again.
    fn ending_mark(&self) -> Option<EndingMark> {
        None
    }

    /// The same as [`Store::watch_ending`], but from the mark on: take the mark, look whether the execution has ended,
    /// and make the watch if it has not. It need not be looked at twice.
    fn watch_ending_since(&self, key: ExecutionKey, _mark: EndingMark) -> EndingWatch {
        self.watch_ending(key)
    }

    /// Those of these executions that are not open: that have ended, or are gone. One look for all of them, where that is
    /// less than a look at each; a store that has no such look answers all, and each is looked at.
    fn ended_of(&self, keys: Vec<ExecutionKey>) -> BoxFuture<'_, Result<Vec<ExecutionKey>, StoreError>> {
        Box::pin(async { Ok(keys) })
    }

    /// Deletes executions that ended long ago, with their steps, payloads and leases, in the order in which they were
    /// started: one batch, in one transaction. Never one that has not ended. The last one started may stay.
    ///
    /// A start under the id of a deleted execution begins anew.
    fn prune(&self, request: PruneRequest) -> BoxFuture<'_, Result<Pruned, StoreError>> {
        let _ = request;
        Box::pin(async { Err(StoreError::Refused("this store deletes nothing".into())) })
    }

    /// The store's clock.
    fn now(&self) -> Time;

    /// Largest input, output or result that the store takes, in bytes.
    fn payload_max(&self) -> usize {
        PAYLOAD_BYTES_MAX
    }
}

/// The store's own transaction, lent to one transactional body.
///
/// Dropped without [`Transaction::commit`], everything that the body wrote is undone, and only that.
pub trait Transaction: Send {
    /// Runs one statement. Parameters are `$1`, `$2`, ... on every store. Answers how many rows it changed.
    fn execute<'a>(&'a mut self, sql: &'a str, params: &'a [Value]) -> BoxFuture<'a, Result<u64, StoreError>>;

    /// Runs one query and reads all of its rows.
    fn query<'a>(&'a mut self, sql: &'a str, params: &'a [Value])
    -> BoxFuture<'a, Result<Vec<Vec<Value>>, StoreError>>;

    /// Commits what the body wrote together with the step's checkpoint, `value`. Decided anew inside the transaction:
    /// if the lease was lost in between, nothing is written.
    fn commit(self: Box<Self>, value: Vec<u8>) -> BoxFuture<'static, Result<Answer, StoreError>>;
}

/// What [`Store::transact`] found.
pub enum Transact {
    /// Decided without a body: settled before, or refused.
    Answered(Answer),
    /// Run the body with this.
    Open(Box<dyn Transaction>),
}
