//! What a database has to offer, and nothing that decides: rows in, rows out, inside one transaction.
//!
//! A backend is synchronous and used by one thread at a time. The drivers ([`super::Inline`], [`super::GroupCommit`])
//! make a [`super::Store`] of it; `apply.rs` is the one place where rows meet the core.

use std::sync::Arc;

use hydra_protocol::{Epoch, Execution, Step, StepNo, Time};

use super::{
    ExecutionId, ExecutionKey, ExecutionView, HistoryView, JournalStep, LeaseView, ListFilter, StepView, StoreError,
    Target, Value,
};

/// Rows for people and clients to look at. Reads what is committed.
pub trait Reads: Send + 'static {
    /// See [`super::Store::execution`].
    fn view(&mut self, id: &ExecutionId) -> Result<Option<ExecutionView>, StoreError>;

    /// Several of [`Reads::view`], each with its own answer: for less than one by one, where a look has a price of its own.
    fn views(&mut self, ids: &[&ExecutionId]) -> Vec<Result<Option<ExecutionView>, StoreError>> {
        ids.iter().map(|id| self.view(id)).collect()
    }

    /// See [`super::Store::history`]: the steps by number. None if there is no such execution.
    fn steps(&mut self, key: ExecutionKey) -> Result<Vec<StepView>, StoreError>;

    /// See [`super::Store::history`]: the leases by epoch.
    fn leases(&mut self, key: ExecutionKey) -> Result<Vec<LeaseView>, StoreError>;

    /// See [`super::Store::list`].
    fn list(&mut self, filter: &ListFilter) -> Result<Vec<ExecutionView>, StoreError>;

    /// See [`super::Store::ended_of`].
    fn ended_of(&mut self, keys: &[ExecutionKey]) -> Result<Vec<ExecutionKey>, StoreError>;

    /// Steps and leases, read at one point in time.
    fn history(&mut self, key: ExecutionKey) -> Result<HistoryView, StoreError> {
        Ok(HistoryView { steps: self.steps(key)?, leases: self.leases(key)? })
    }
}

/// Rows of the engine, inside one transaction: all that the core is shown, and all that it has written.
///
/// Errors: [`StoreError::Corrupt`] comes from reading alone, so it leaves the transaction as it was. After any other
/// error the transaction must be rolled back.
pub trait EngineRows {
    /// The execution's row.
    fn find(&mut self, target: &Target) -> Result<Option<(ExecutionKey, Execution)>, StoreError>;

    /// A step's row.
    fn find_step(&mut self, key: ExecutionKey, owner: &Execution, no: StepNo) -> Result<Option<Step>, StoreError>;

    /// The execution's row and the row of one of its steps: what most commands are decided over.
    fn find_with_step(&mut self, target: &Target, no: StepNo) -> Result<Option<WithStep>, StoreError> {
        let Some((key, row)) = self.find(target)? else { return Ok(None) };
        let step = self.find_step(key, &row, no)?;
        Ok(Some(WithStep { key, row, step }))
    }

    /// The step that settled as the `order`-th.
    fn find_settled(
        &mut self,
        key: ExecutionKey,
        owner: &Execution,
        order: u32,
    ) -> Result<Option<(StepNo, Step)>, StoreError>;

    /// Steps that run, wait or sleep.
    fn open_steps(&mut self, key: ExecutionKey, owner: &Execution) -> Result<Vec<(StepNo, Step)>, StoreError>;

    /// Whether the execution has this workflow and this input, byte for byte.
    fn same_input(&mut self, key: ExecutionKey, workflow: &str, input: &[u8]) -> Result<bool, StoreError>;

    /// A step's output and error.
    fn checkpoint(&mut self, key: ExecutionKey, no: StepNo) -> Result<Checkpoint, StoreError>;

    /// What a worker needs of an execution beside its journal.
    fn identity(&mut self, key: ExecutionKey) -> Result<Identity, StoreError>;

    /// All steps by number.
    fn journal(&mut self, key: ExecutionKey, owner: &Execution) -> Result<Vec<JournalStep>, StoreError>;

    /// Writes a new execution.
    fn insert_execution(&mut self, new: NewExecution<'_>) -> Result<ExecutionKey, StoreError>;

    /// Changes an execution's row. An error if its epoch is not what it was.
    fn update_execution(&mut self, update: ExecutionUpdate<'_>) -> Result<(), StoreError>;

    /// Writes a new step. An error if there is one of this number.
    fn insert_step(&mut self, new: NewStep<'_>) -> Result<(), StoreError>;

    /// Changes a step's row. An error if there is none.
    fn update_step(&mut self, update: StepUpdate<'_>) -> Result<(), StoreError>;

    /// Writes down who holds an execution.
    fn insert_lease(&mut self, key: ExecutionKey, epoch: Epoch, worker: &str, now: Time) -> Result<(), StoreError>;

    /// Writes down when that ended.
    fn end_lease(&mut self, key: ExecutionKey, epoch: Epoch, at: Time) -> Result<(), StoreError>;

    /// Whether the key that [`EngineRows::insert_execution`] answers is the one that stays: not where the database gives it
    /// later, when a whole batch is written.
    fn names_at_once(&self) -> bool {
        false
    }

    /// Whether every decided command is to be recorded: see [`crate::conform`].
    fn keeps_journal(&self) -> bool {
        false
    }

    /// Appends an entry to the journal of commands.
    fn record(&mut self, _entry: &[u8]) -> Result<(), StoreError> {
        Err(StoreError::Refused("this store keeps no journal of commands".into()))
    }
}

/// One connection that writes.
pub trait Backend: Reads + EngineRows {
    /// What [`Backend::reader`] answers.
    type Reader: Reads;

    // ---- Transactions ---------------------------------------------------------------------------------------------

    /// Opens a transaction that keeps all other writers out until its end.
    fn begin(&mut self) -> Result<(), StoreError>;

    /// Makes it durable. After [`StoreError::Unavailable`] nothing of it happened; after [`StoreError::Unknown`] all
    /// of it may have.
    fn commit(&mut self) -> Result<(), StoreError>;

    /// Undoes it. Without one: nothing.
    fn rollback(&mut self);

    /// Whether a transaction is open. A database may undo one by itself: a full disk, an interrupted statement.
    fn in_transaction(&self) -> bool;

    /// Marks a place in the transaction. They do not nest.
    fn savepoint(&mut self) -> Result<(), StoreError>;

    /// Forgets the mark and keeps what was written since.
    fn release(&mut self) -> Result<(), StoreError>;

    /// Undoes what was written since, and forgets the mark.
    fn rollback_to(&mut self) -> Result<(), StoreError>;

    // ---- Looking for work -----------------------------------------------------------------------------------------

    /// Executions of one source that are due at `now` and stand after `after`, in the order of [`Candidate`], at most
    /// `limit`.
    fn due(
        &mut self,
        namespace: &str,
        source: DueSource<'_>,
        now: Time,
        after: Option<Candidate>,
        limit: usize,
    ) -> Result<Vec<Candidate>, StoreError>;

    /// The earliest due time of a workflow's executions, of those later than `after` if it is given.
    fn next_due(&mut self, namespace: &str, workflow: &str, after: Option<Time>) -> Result<Option<Time>, StoreError>;

    // ---- Forgetting what has ended --------------------------------------------------------------------------------

    /// Executions in the order of their keys, after this one, at most `limit`; but never the one with the highest key,
    /// which must stay where the next key is counted from it: (1) A ends W, whose key is 7, and sends its last settlement
    /// again; (2) W is deleted; (3) a new execution gets key 7 and is claimed, epoch 1; (4) A's late copy, for key 7 and
    /// epoch 1, arrives.
    fn aged(&mut self, after: Option<ExecutionKey>, limit: usize) -> Result<Vec<Aged>, StoreError> {
        let _ = (after, limit);
        Err(StoreError::Refused("this backend deletes nothing".into()))
    }

    /// Deletes an execution with all that belongs to it. An error if its row is not `row` any more.
    fn delete_execution(&mut self, key: ExecutionKey, row: &Execution) -> Result<(), StoreError> {
        let _ = (key, row);
        Err(StoreError::Refused("this backend deletes nothing".into()))
    }

    // ---- The user's own tables ------------------------------------------------------------------------------------

    /// Interrupts statements of the user's that still run at this moment; none: never. To be set around a body.
    fn set_deadline(&mut self, deadline: Option<std::time::Instant>);

    /// See [`super::Transaction::execute`].
    fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64, StoreError>;

    /// See [`super::Transaction::query`].
    fn query(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Vec<Value>>, StoreError>;

    // ---- Reading beside the writer --------------------------------------------------------------------------------

    /// Another connection to the same rows that reads without waiting for this one; none if there can be none.
    fn reader(&mut self) -> Result<Option<Self::Reader>, StoreError>;
}

/// Where due executions are looked for: one at a time, so that a backlog of workflows that nobody here knows costs
/// nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DueSource<'a> {
    /// Executions of this workflow.
    Workflow(&'a str),
    /// Executions of any workflow past their deadline: to end one, its code need not be known.
    Overdue,
}

/// An execution that may be claimable: longest due first, then oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    /// Since when. Of an overdue execution: its deadline.
    pub due_at: Time,
    /// Which.
    pub key: ExecutionKey,
}

/// An execution that may be old enough to be deleted.
#[derive(Clone, Debug)]
pub struct Aged {
    /// Which.
    pub key: ExecutionKey,
    /// Its namespace.
    pub namespace: String,
    /// Its row; or why it cannot be read.
    pub row: Result<Execution, StoreError>,
    /// When it was started.
    pub started_at: Time,
    /// When it ended.
    pub ended_at: Option<Time>,
}

/// What [`EngineRows::find_with_step`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WithStep {
    /// Which execution.
    pub key: ExecutionKey,
    /// Its row.
    pub row: Execution,
    /// The step's, if there is one.
    pub step: Option<Step>,
}

/// A step's payload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// Its output, if it succeeded.
    pub value: Option<Vec<u8>>,
    /// What went wrong.
    pub error: Option<String>,
}

/// An execution's row, its names and its input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its row.
    pub row: Execution,
    /// The client's name for it.
    pub id: ExecutionId,
    /// Its workflow's name.
    pub workflow: String,
    /// Its input.
    pub input: Vec<u8>,
}

/// An execution to be written.
#[derive(Clone, Copy, Debug)]
pub struct NewExecution<'a> {
    /// The client's name for it.
    pub id: &'a ExecutionId,
    /// Its workflow's name.
    pub workflow: &'a str,
    /// Its input.
    pub input: &'a [u8],
    /// Its row.
    pub row: &'a Execution,
    /// When it was started.
    pub started_at: Time,
}

/// An execution to be changed.
#[derive(Clone, Copy, Debug)]
pub struct ExecutionUpdate<'a> {
    /// Which.
    pub key: ExecutionKey,
    /// Its row as it was read. It must still have this epoch.
    pub before: &'a Execution,
    /// Its row.
    pub row: &'a Execution,
    /// Who claimed it; none: as it was.
    pub worker: Option<&'a str>,
    /// When it ended; none if it has not.
    pub ended_at: Option<Time>,
    /// What came of it, when that changes.
    pub result: Field<ExecutionResult<'a>>,
}

/// What came of an execution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExecutionResult<'a> {
    /// What the workflow returned.
    pub output: Option<&'a [u8]>,
    /// What went wrong.
    pub error: Option<&'a str>,
}

/// A step to be written.
#[derive(Clone, Copy, Debug)]
pub struct NewStep<'a> {
    /// Its execution.
    pub key: ExecutionKey,
    /// Its number.
    pub no: StepNo,
    /// Its name.
    pub name: &'a Arc<str>,
    /// Its row.
    pub row: &'a Step,
    /// Its input.
    pub input: Option<&'a [u8]>,
    /// When it began.
    pub begun_at: Time,
}

/// A step to be changed.
#[derive(Clone, Copy, Debug)]
pub struct StepUpdate<'a> {
    /// Its execution.
    pub key: ExecutionKey,
    /// Its number.
    pub no: StepNo,
    /// Its row as it was read.
    pub before: &'a Step,
    /// Its row.
    pub row: &'a Step,
    /// Its output; none if it did not succeed.
    pub output: Option<&'a [u8]>,
    /// What went wrong.
    pub error: Field<Option<&'a str>>,
    /// When it settled; none if it has not.
    pub settled_at: Option<Time>,
}

/// A column that an update may leave alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field<T> {
    /// As it was.
    Keep,
    /// To be this.
    Set(T),
}
