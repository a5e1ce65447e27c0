//! What goes to a store and what comes back.

use std::fmt;
use std::sync::Arc;

use hydra_protocol::{Command, Epoch, Execution, Rejection, Reply, Span, Step, StepNo, Time};

/// The identity that a client gives an execution: unique in its namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExecutionId {
    /// Keeps the executions of tenants or applications apart.
    pub namespace: String,
    /// The client's own id.
    pub id: String,
}

impl fmt::Display for ExecutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.id)
    }
}

/// The identity that a store gives an execution: what steps refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExecutionKey(pub i64);

/// Which execution a command is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// As clients name it.
    Id(ExecutionId),
    /// As the store named it when it was claimed.
    Key(ExecutionKey),
}

/// One command, with the strings and payloads that the core does not look at.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandRequest {
    /// The execution. For a start: an id.
    pub target: Target,
    /// The step, for begin, settle, sleep, fire and resolve.
    pub step: Option<StepRef>,
    /// What is asked.
    pub command: Command,
    /// What goes into the rows with it.
    pub payload: Payload,
}

/// A step by its number and, where it may be written for the first time, its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepRef {
    /// Its number.
    pub no: StepNo,
    /// Its name, as the workflow gave it.
    pub name: Arc<str>,
}

/// Bytes and texts that a command writes if it is accepted and changes something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload {
    /// For a start: the workflow's name.
    pub workflow: Option<String>,
    /// Start and begin: the input. Settle, resolve and finish: the output.
    pub value: Option<Vec<u8>>,
    /// Settle and finish: what went wrong, for people.
    pub error: Option<String>,
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The core's decision, made durable.
    pub decision: Result<Reply, Rejection>,
    /// The step's checkpoint, when the reply is that it had settled before.
    pub value: Option<Vec<u8>>,
    /// The error on record beside it.
    pub error: Option<String>,
    /// The execution that it is about, by the store's name; none where the store has no name for it yet, or not any more.
    pub key: Option<ExecutionKey>,
    /// The store's clock in that transaction.
    pub now: Time,
}

/// Asks for work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRequest {
    /// Who asks, for people: a lease is known by its epoch, never by this.
    pub worker: Arc<str>,
    /// Only executions of this namespace.
    pub namespace: Arc<str>,
    /// Only executions of workflows that this worker has code for.
    pub workflows: Arc<[String]>,
    /// At most so many.
    pub limit: usize,
    /// How long each lease shall last.
    pub lease: Span,
}

/// What a worker got.
#[derive(Clone, Debug, PartialEq)]
pub struct Claims {
    /// Executions it now holds.
    pub claimed: Vec<Claimed>,
    /// How many were found ended instead: past their deadline, or replayed too often.
    pub ended: usize,
    /// The store's clock in that transaction.
    pub now: Time,
    /// When the next execution of these workflows is due, for a worker with nothing to do.
    pub next_due: Option<Time>,
}

/// One execution that a worker holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Claimed {
    /// The store's name for it.
    pub key: ExecutionKey,
    /// The client's name for it.
    pub id: ExecutionId,
    /// Its workflow's name.
    pub workflow: String,
    /// Its input, encoded.
    pub input: Vec<u8>,
    /// The epoch of the lease.
    pub epoch: Epoch,
    /// How long the lease lasts, from the store's `now`.
    pub lease: Span,
    /// Every step so far, by number.
    pub journal: Vec<JournalStep>,
}

/// A step on record.
#[derive(Clone, Debug, PartialEq)]
pub struct JournalStep {
    /// Its number.
    pub no: StepNo,
    /// Its name.
    pub name: Arc<str>,
    /// Its row.
    pub row: Step,
    /// Its output, encoded, if it succeeded.
    pub value: Option<Vec<u8>>,
    /// What went wrong, for people.
    pub error: Option<String>,
}

/// Extends leases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeartbeatRequest {
    /// Which, and under which epoch.
    pub leases: Vec<(ExecutionKey, Epoch)>,
    /// How long from now each shall last.
    pub lease: Span,
}

/// What came of heartbeats.
#[derive(Clone, Debug, PartialEq)]
pub struct Heartbeats {
    /// One decision a lease, in the order of the request. An execution whose row is corrupt is answered as unknown, and
    /// logged: it must not cost the worker its other leases.
    pub decisions: Vec<Result<Reply, Rejection>>,
    /// The store's clock in that transaction.
    pub now: Time,
}

/// An execution for a person or a client to look at.
#[derive(Clone, Debug, PartialEq)]
pub struct ExecutionView {
    /// The store's name for it.
    pub key: ExecutionKey,
    /// The client's name for it.
    pub id: ExecutionId,
    /// Its workflow's name.
    pub workflow: String,
    /// Its row.
    pub row: Execution,
    /// Who holds, or held, the latest lease.
    pub worker: Option<String>,
    /// Its input, encoded.
    pub input: Vec<u8>,
    /// What the workflow returned, encoded.
    pub output: Option<Vec<u8>>,
    /// What went wrong, for people.
    pub error: Option<String>,
    /// When it was started.
    pub started_at: Time,
    /// When it ended.
    pub ended_at: Option<Time>,
}

/// What an execution went through.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HistoryView {
    /// Its steps, by number.
    pub steps: Vec<StepView>,
    /// Its leases, by epoch.
    pub leases: Vec<LeaseView>,
}

/// A step for a person to look at.
#[derive(Clone, Debug, PartialEq)]
pub struct StepView {
    /// Number, name, row, output and error.
    pub step: JournalStep,
    /// Its input, encoded, if the workflow gave one.
    pub input: Option<Vec<u8>>,
    /// When it began for the first time.
    pub begun_at: Time,
    /// When it settled.
    pub settled_at: Option<Time>,
}

/// Who held an execution, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseView {
    /// The lease's epoch.
    pub epoch: Epoch,
    /// The worker's name.
    pub worker: String,
    /// When it was claimed.
    pub claimed_at: Time,
    /// When it was given back, its execution ended, or it had expired before another claim; none until then.
    pub ended_at: Option<Time>,
}

/// Which executions to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListFilter {
    /// Only of this namespace.
    pub namespace: Option<String>,
    /// Only of this workflow.
    pub workflow: Option<String>,
    /// Only in this status: `ready`, `leased`, `succeeded`, `failed` or `cancelled`.
    pub status: Option<String>,
    /// Only with an id that begins so.
    pub id_prefix: Option<String>,
    /// Only older than this one: for the next page.
    pub before: Option<ExecutionKey>,
    /// At most so many; zero means 100.
    pub limit: usize,
}

impl ListFilter {
    /// How many to list.
    pub fn limit_or_default(&self) -> usize {
        if self.limit == 0 { 100 } else { self.limit }
    }
}

/// What to forget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PruneRequest {
    /// Only of this namespace.
    pub namespace: Option<String>,
    /// Only what ended before this time of the store's clock.
    pub ended_before: Time,
    /// Where the batch before came to.
    pub after: Option<ExecutionKey>,
    /// How many executions to look at, at most: what one transaction deletes is bounded. At least one.
    pub limit: usize,
}

/// What one batch of forgetting did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pruned {
    /// Executions that are gone.
    pub deleted: usize,
    /// Where to go on; none: there is nothing more that is old enough.
    pub next: Option<ExecutionKey>,
}

/// A value that goes into a statement or comes out of a query, on every store.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// SQL null.
    Null,
    /// A signed 64-bit integer.
    Integer(i64),
    /// A 64-bit float.
    Real(f64),
    /// A text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Value::Integer(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Value::Real(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Value::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Value::Text(value)
    }
}

impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Self {
        Value::Blob(value)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}
