//! Columns to rows and back, in one match over all columns: a combination that means nothing is an error, never a
//! default.

use core::fmt;

use crate::invariants::{self, Broken};
use crate::{Cause, Ending, Epoch, Execution, Failure, Kind, Outcome, Status, Step, StepState, Time};

/// An execution's columns, as a database holds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RawExecution<'a> {
    /// `ready`, `leased`, `succeeded`, `failed` or `cancelled`.
    pub status: &'a str,
    /// Milliseconds since the Unix epoch; null once ended.
    pub due_at: Option<i64>,
    /// See [`Execution::epoch`].
    pub epoch: i64,
    /// See [`Execution::settled`].
    pub settled: i64,
    /// See [`Execution::replays`].
    pub replays: i64,
    /// See [`Execution::replays_max`].
    pub replays_max: i64,
    /// Milliseconds since the Unix epoch.
    pub deadline: Option<i64>,
    /// Why it failed; null unless it did.
    pub failure: Option<&'a str>,
}

/// A step's columns, as a database holds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RawStep<'a> {
    /// `transactional`, `keyed`, `at_most_once` or `timer`.
    pub kind: &'a str,
    /// See [`Step::epoch`].
    pub epoch: i64,
    /// See [`Step::attempt`].
    pub attempt: i64,
    /// See [`Step::attempts_max`].
    pub attempts_max: i64,
    /// `running`, `waiting`, `sleeping`, `abandoned`, or the outcome of a settled step.
    pub state: &'a str,
    /// Milliseconds since the Unix epoch, for a step that waits or sleeps, and for an abandoned timer.
    pub due_at: Option<i64>,
    /// The order of a settled step.
    pub order: Option<i64>,
    /// Why it failed; null unless it did.
    pub cause: Option<&'a str>,
}

/// Columns that are no row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DecodeError {
    /// A number is negative or too large for this column.
    OutOfRange {
        /// The column.
        column: &'static str,
        /// What it holds.
        value: i64,
    },
    /// These columns do not go together, or hold a word that is not known.
    Contradiction {
        /// The columns.
        columns: &'static str,
    },
    /// They go together, and break an invariant.
    Broken(Broken),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange { column, value } => write!(f, "column {column} holds {value}"),
            Self::Contradiction { columns } => write!(f, "columns {columns} contradict each other"),
            Self::Broken(broken) => broken.fmt(f),
        }
    }
}

impl core::error::Error for DecodeError {}

impl From<Broken> for DecodeError {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

/// The row that these columns are, with its invariants checked.
pub fn execution(raw: &RawExecution<'_>) -> Result<Execution, DecodeError> {
    let status = match (raw.status, raw.due_at, raw.failure) {
        ("ready", Some(due_at), None) => Status::Ready { due_at: time("due_at", due_at)? },
        ("leased", Some(due_at), None) => Status::Leased { due_at: time("due_at", due_at)? },
        ("succeeded", None, None) => Status::Ended(Ending::Succeeded),
        ("cancelled", None, None) => Status::Ended(Ending::Cancelled),
        ("failed", None, Some(failure)) => Status::Ended(Ending::Failed(failure_named(failure)?)),
        (_, _, _) => return Err(DecodeError::Contradiction { columns: "status, due_at, failure" }),
    };
    let execution = Execution {
        status,
        epoch: Epoch(small("epoch", raw.epoch)?),
        settled: small("settled", raw.settled)?,
        replays: small("replays", raw.replays)?,
        replays_max: small("replays_max", raw.replays_max)?,
        deadline: raw.deadline.map(|deadline| time("deadline", deadline)).transpose()?,
    };
    invariants::check_execution(&execution)?;
    Ok(execution)
}

/// The columns that hold this row.
pub fn raw_execution(execution: &Execution) -> RawExecution<'static> {
    let (status, failure) = match execution.status {
        Status::Ready { .. } => ("ready", None),
        Status::Leased { .. } => ("leased", None),
        Status::Ended(Ending::Succeeded) => ("succeeded", None),
        Status::Ended(Ending::Cancelled) => ("cancelled", None),
        Status::Ended(Ending::Failed(failure)) => ("failed", Some(failure_name(failure))),
    };
    RawExecution {
        status,
        due_at: execution.due_at().map(millis),
        epoch: execution.epoch.0.into(),
        settled: execution.settled.into(),
        replays: execution.replays.into(),
        replays_max: execution.replays_max.into(),
        deadline: execution.deadline.map(millis),
        failure,
    }
}

/// The row that these columns are, with its invariants beside its execution's checked.
pub fn step(execution: &Execution, raw: &RawStep<'_>) -> Result<Step, DecodeError> {
    let kind = kind_named(raw.kind).ok_or(DecodeError::Contradiction { columns: "kind" })?;
    let settled = |order, outcome| Ok::<_, DecodeError>(StepState::Settled { order: small("order", order)?, outcome });
    let state = match (raw.state, raw.due_at, raw.order, raw.cause) {
        ("running", None, None, None) => StepState::Running,
        ("waiting", Some(due_at), None, None) => StepState::Waiting { due_at: time("due_at", due_at)? },
        ("sleeping", Some(due_at), None, None) => StepState::Sleeping { due_at: time("due_at", due_at)? },
        ("abandoned", due_at, None, None) => {
            StepState::Abandoned { due_at: due_at.map(|due_at| time("due_at", due_at)).transpose()? }
        }
        ("succeeded", None, Some(order), None) => settled(order, Outcome::Succeeded)?,
        ("failed", None, Some(order), Some("final")) => settled(order, Outcome::Failed(Cause::Final))?,
        ("failed", None, Some(order), Some("exhausted")) => settled(order, Outcome::Failed(Cause::Exhausted))?,
        ("failed", None, Some(order), Some("crashed")) => settled(order, Outcome::Failed(Cause::Crashed))?,
        ("unencodable", None, Some(order), None) => settled(order, Outcome::Unencodable)?,
        ("in_doubt", None, Some(order), None) => settled(order, Outcome::InDoubt)?,
        ("fired", None, Some(order), None) => settled(order, Outcome::Fired)?,
        (_, _, _, _) => return Err(DecodeError::Contradiction { columns: "state, due_at, order, cause" }),
    };
    let step = Step {
        kind,
        epoch: Epoch(small("epoch", raw.epoch)?),
        attempt: small("attempt", raw.attempt)?,
        attempts_max: small("attempts_max", raw.attempts_max)?,
        state,
    };
    invariants::check_step(execution, &step)?;
    Ok(step)
}

/// The columns that hold this row.
pub fn raw_step(step: &Step) -> RawStep<'static> {
    let (state, due_at, order, cause) = match step.state {
        StepState::Running => ("running", None, None, None),
        StepState::Waiting { due_at } => ("waiting", Some(due_at), None, None),
        StepState::Sleeping { due_at } => ("sleeping", Some(due_at), None, None),
        StepState::Abandoned { due_at } => ("abandoned", due_at, None, None),
        StepState::Settled { order, outcome } => {
            let (state, cause) = match outcome {
                Outcome::Succeeded => ("succeeded", None),
                Outcome::Failed(Cause::Final) => ("failed", Some("final")),
                Outcome::Failed(Cause::Exhausted) => ("failed", Some("exhausted")),
                Outcome::Failed(Cause::Crashed) => ("failed", Some("crashed")),
                Outcome::Unencodable => ("unencodable", None),
                Outcome::InDoubt => ("in_doubt", None),
                Outcome::Fired => ("fired", None),
            };
            (state, None, Some(order), cause)
        }
    };
    RawStep {
        kind: kind_name(step.kind),
        epoch: step.epoch.0.into(),
        attempt: step.attempt.into(),
        attempts_max: step.attempts_max.into(),
        state,
        due_at: due_at.map(millis),
        order: order.map(Into::into),
        cause,
    }
}

/// The word for a kind in a database and in reports.
pub fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Transactional => "transactional",
        Kind::Keyed => "keyed",
        Kind::AtMostOnce => "at_most_once",
        Kind::Timer => "timer",
    }
}

fn kind_named(name: &str) -> Option<Kind> {
    [Kind::Transactional, Kind::Keyed, Kind::AtMostOnce, Kind::Timer].into_iter().find(|kind| kind_name(*kind) == name)
}

/// The word for a failure in a database and in reports.
pub fn failure_name(failure: Failure) -> &'static str {
    match failure {
        Failure::Workflow => "workflow",
        Failure::Panicked => "panicked",
        Failure::Nondeterministic => "nondeterministic",
        Failure::Undecodable => "undecodable",
        Failure::Unencodable => "unencodable",
        Failure::DeadlineExceeded => "deadline_exceeded",
        Failure::ReplaysExhausted => "replays_exhausted",
    }
}

fn failure_named(name: &str) -> Result<Failure, DecodeError> {
    [
        Failure::Workflow,
        Failure::Panicked,
        Failure::Nondeterministic,
        Failure::Undecodable,
        Failure::Unencodable,
        Failure::DeadlineExceeded,
        Failure::ReplaysExhausted,
    ]
    .into_iter()
    .find(|failure| failure_name(*failure) == name)
    .ok_or(DecodeError::Contradiction { columns: "failure" })
}

fn small(column: &'static str, value: i64) -> Result<u32, DecodeError> {
    u32::try_from(value).map_err(|_| DecodeError::OutOfRange { column, value })
}

fn time(column: &'static str, value: i64) -> Result<Time, DecodeError> {
    u64::try_from(value).map(Time::from_millis).map_err(|_| DecodeError::OutOfRange { column, value })
}

/// A time never exceeds what the column holds: see [`Time::MAX`].
fn millis(time: Time) -> i64 {
    time.as_millis() as i64
}
