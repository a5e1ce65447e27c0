//! Why a command changes nothing.

use core::fmt;

use crate::{Ending, Epoch, Kind, Outcome, Time};

/// A command refused, with the evidence. Expected under faults; nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// No execution has this id.
    UnknownExecution,
    /// An execution with this id exists, with another workflow or input.
    Conflict,
    /// The execution has ended.
    Ended(Ending),
    /// It is not due yet: an execution to claim, a backoff or a timer.
    NotDue {
        /// When it will be.
        due_at: Time,
        /// The store's clock when it was asked.
        now: Time,
    },
    /// The worker has no code for this workflow; another one may.
    UnknownWorkflow,
    /// The epoch cannot rise further.
    EpochExhausted,
    /// Nobody holds a lease on it: it was given back, or re-opened.
    NotLeased {
        /// The epoch of the latest lease.
        latest: Epoch,
    },
    /// Another lease was granted since.
    StaleEpoch {
        /// The epoch that the worker holds.
        held: Epoch,
        /// The epoch of the latest lease.
        latest: Epoch,
    },
    /// The lease ended before it was renewed; it is claimable, though nobody has claimed it yet.
    LeaseExpired {
        /// When it ended.
        due_at: Time,
        /// The store's clock when it was asked.
        now: Time,
    },
    /// The step has no row.
    UnknownStep,
    /// The step's row is of another kind.
    KindMismatch {
        /// The row's kind.
        row: Kind,
        /// The kind asked for.
        asked: Kind,
    },
    /// The command names another attempt than the row allows: a late duplicate, or another worker's attempt.
    AttemptMismatch {
        /// Attempts begun, by the row.
        row: u32,
        /// The attempt named.
        asked: u32,
    },
    /// The step has another outcome already. A checkpoint never changes.
    StepSettled(Outcome),
    /// The step has no attempt under way that could be settled.
    NotRunning,
    /// Only a failed execution can be retried or resolved.
    NotFailed,
    /// The step's outcome must be resolved before its execution is retried.
    Unresolved(Outcome),
    /// The step's outcome is known; there is nothing to resolve.
    NotInDoubt,
    /// Later steps settled after the workflow saw this outcome; another one would contradict them.
    Superseded {
        /// The step's order.
        order: u32,
        /// The order of the last step to settle.
        last: u32,
    },
    /// The step's attempts cannot rise further, so an operator cannot grant another.
    AttemptsExhausted,
    /// No attempt of a step of this kind can end this way.
    IllegalSettlement(Kind),
    /// A worker may not end an execution this way.
    IllegalEnding(Ending),
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownExecution => f.write_str("no execution has this id"),
            Self::Conflict => f.write_str("an execution with this id exists with another workflow or input"),
            Self::Ended(Ending::Succeeded) => f.write_str("the execution has succeeded"),
            Self::Ended(Ending::Failed(_)) => f.write_str("the execution has failed"),
            Self::Ended(Ending::Cancelled) => f.write_str("the execution was cancelled"),
            Self::NotDue { due_at, now } => {
                write!(f, "not due for another {} ms", due_at.since(*now).as_millis())
            }
            Self::UnknownWorkflow => f.write_str("this worker has no code for the workflow"),
            Self::EpochExhausted => f.write_str("the execution was claimed 4,294,967,295 times"),
            Self::NotLeased { latest } => write!(f, "no lease is held; the latest had epoch {}", latest.0),
            Self::StaleEpoch { held, latest } => {
                write!(f, "the lease of epoch {} is gone; the latest has epoch {}", held.0, latest.0)
            }
            Self::LeaseExpired { due_at, now } => {
                write!(f, "the lease ended {} ms ago", now.since(*due_at).as_millis())
            }
            Self::UnknownStep => f.write_str("the execution has no such step"),
            Self::KindMismatch { row, asked } => {
                write!(f, "the step is recorded as {row:?}, not as {asked:?}")
            }
            Self::AttemptMismatch { row, asked } => {
                write!(f, "attempt {asked} was named, and the row is at attempt {row}")
            }
            Self::StepSettled(outcome) => write!(f, "the step is settled as {outcome:?}"),
            Self::NotRunning => f.write_str("the step has no attempt under way"),
            Self::NotFailed => f.write_str("the execution has not failed"),
            Self::Unresolved(outcome) => {
                write!(f, "its last step is settled as {outcome:?}; resolve that step first")
            }
            Self::NotInDoubt => f.write_str("the step's outcome is known"),
            Self::Superseded { order, last } => {
                write!(f, "{} later steps were settled after this one", last.saturating_sub(*order))
            }
            Self::AttemptsExhausted => f.write_str("its last step was attempted 4,294,967,295 times"),
            Self::IllegalSettlement(kind) => write!(f, "no attempt of a {kind:?} step ends this way"),
            Self::IllegalEnding(ending) => write!(f, "a worker cannot end an execution as {ending:?}"),
        }
    }
}

impl core::error::Error for Rejection {}
