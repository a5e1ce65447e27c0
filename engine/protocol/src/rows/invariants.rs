//! What must hold of the rows, whoever wrote them.
//!
//! Called before a commit is applied and after rows are loaded, in every layer. The database's own checks say the
//! same where it can express them.

use core::fmt;

use crate::{Cause, Commit, Ending, Epoch, Execution, Failure, Kind, Outcome, Rows, Status, Step, StepState};

/// An invariant that does not hold: the row is corrupt, or a rule is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Broken {
    /// A lease, a settled step or an ending by a worker, of an execution that was never claimed.
    NeverClaimed,
    /// `replays_max` is zero.
    NoReplaysAllowed,
    /// More replays than allowed, or than claims.
    TooManyReplays,
    /// The due time lies after the deadline.
    DueAfterDeadline,
    /// It failed for its deadline and has none.
    NoDeadline,
    /// A step's epoch is zero or above its execution's.
    StepEpoch,
    /// A step of an ended execution is open.
    OpenAfterEnd,
    /// A settled step's order is zero or above the number of settled steps.
    OrderOutOfRange,
    /// The settled steps' orders are not 1, 2, 3 and so on.
    OrdersNotConsecutive,
    /// The attempt is zero, or above what was granted.
    AttemptOutOfRange,
    /// A timer with attempts, or a step waiting for an attempt that it may not begin.
    NoAttemptLeft,
    /// A state or outcome that a step of this kind cannot have.
    StateOfOtherKind,
    /// A commit writes a step to an execution that does not exist.
    StepWithoutExecution,
    /// A commit lowers the epoch.
    EpochFell,
    /// A commit is guarded by another epoch than the row has.
    GuardMismatch,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NeverClaimed => "leased, settled or ended by a worker, though never claimed",
            Self::NoReplaysAllowed => "allows no replays at all",
            Self::TooManyReplays => "more replays than allowed, or than claims",
            Self::DueAfterDeadline => "due after its deadline",
            Self::NoDeadline => "failed for a deadline that it does not have",
            Self::StepEpoch => "a step's epoch is not one of its execution's",
            Self::OpenAfterEnd => "a step is open though its execution has ended",
            Self::OrderOutOfRange => "a step's order is not among those settled",
            Self::OrdersNotConsecutive => "the orders of the settled steps are not consecutive",
            Self::AttemptOutOfRange => "a step's attempt is not among those granted",
            Self::NoAttemptLeft => "a step waits for an attempt that it does not have",
            Self::StateOfOtherKind => "a step is in a state that its kind does not know",
            Self::StepWithoutExecution => "a step without an execution",
            Self::EpochFell => "the epoch falls",
            Self::GuardMismatch => "a commit is guarded by another epoch than the row's",
        })
    }
}

impl core::error::Error for Broken {}

/// Invariants of one execution's row.
pub fn check_execution(execution: &Execution) -> Result<(), Broken> {
    let claimed = execution.epoch > Epoch(0);
    if execution.replays_max == 0 {
        return Err(Broken::NoReplaysAllowed);
    }
    if execution.replays > execution.replays_max || execution.replays > execution.epoch.0 {
        return Err(Broken::TooManyReplays);
    }
    if execution.settled > 0 && !claimed {
        return Err(Broken::NeverClaimed);
    }
    if let (Some(due_at), Some(deadline)) = (execution.due_at(), execution.deadline)
        && due_at > deadline
    {
        return Err(Broken::DueAfterDeadline);
    }
    match execution.status {
        Status::Ready { .. } => Ok(()),
        Status::Ended(Ending::Failed(Failure::DeadlineExceeded)) if execution.deadline.is_none() => {
            Err(Broken::NoDeadline)
        }
        Status::Ended(Ending::Cancelled | Ending::Failed(Failure::DeadlineExceeded)) => Ok(()),
        Status::Leased { .. } | Status::Ended(_) if !claimed => Err(Broken::NeverClaimed),
        Status::Leased { .. } | Status::Ended(_) => Ok(()),
    }
}

/// Invariants of one step's row, beside its execution's.
pub fn check_step(execution: &Execution, step: &Step) -> Result<(), Broken> {
    if step.epoch == Epoch(0) || step.epoch > execution.epoch {
        return Err(Broken::StepEpoch);
    }
    if step.kind == Kind::Timer {
        if step.attempt != 0 || step.attempts_max != 0 {
            return Err(Broken::AttemptOutOfRange);
        }
    } else if step.attempt == 0 || step.attempt > step.attempts_max {
        return Err(Broken::AttemptOutOfRange);
    }
    let open = match step.state {
        StepState::Running | StepState::Abandoned { due_at: None } if step.kind == Kind::Timer => {
            return Err(Broken::StateOfOtherKind);
        }
        StepState::Sleeping { .. } | StepState::Abandoned { due_at: Some(_) } if step.kind != Kind::Timer => {
            return Err(Broken::StateOfOtherKind);
        }
        StepState::Waiting { .. } if step.attempt >= step.attempts_max => return Err(Broken::NoAttemptLeft),
        StepState::Running | StepState::Waiting { .. } | StepState::Sleeping { .. } => true,
        StepState::Abandoned { .. } => false,
        StepState::Settled { order, outcome } => {
            if order == 0 || order > execution.settled {
                return Err(Broken::OrderOutOfRange);
            }
            if !fits(step.kind, outcome) {
                return Err(Broken::StateOfOtherKind);
            }
            false
        }
    };
    if open && execution.is_ended() { Err(Broken::OpenAfterEnd) } else { Ok(()) }
}

/// Whether a step of this kind can have this outcome.
fn fits(kind: Kind, outcome: Outcome) -> bool {
    match outcome {
        Outcome::Fired => kind == Kind::Timer,
        Outcome::Succeeded | Outcome::Failed(Cause::Final) => kind != Kind::Timer,
        Outcome::Failed(Cause::Exhausted | Cause::Crashed) => matches!(kind, Kind::Keyed | Kind::Transactional),
        // A transactional body whose result cannot be encoded is rolled back: it has simply failed.
        Outcome::Unencodable => matches!(kind, Kind::Keyed | Kind::AtMostOnce),
        Outcome::InDoubt => kind == Kind::AtMostOnce,
    }
}

/// The orders of all settled steps of an execution, given in ascending order, are 1, 2, 3 ... up to its count.
pub fn check_orders(execution: &Execution, ascending: impl Iterator<Item = u32>) -> Result<(), Broken> {
    let mut count = 0;
    for order in ascending {
        count += 1;
        if order != count {
            return Err(Broken::OrdersNotConsecutive);
        }
    }
    if count == execution.settled { Ok(()) } else { Err(Broken::OrdersNotConsecutive) }
}

/// What was loaded for a command.
pub fn check_rows(rows: &Rows) -> Result<(), Broken> {
    match (&rows.execution, &rows.step) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err(Broken::StepWithoutExecution),
        (Some(execution), None) => check_execution(execution),
        (Some(execution), Some(step)) => {
            check_execution(execution)?;
            check_step(execution, step)
        }
    }
}

/// What a commit would leave behind.
pub fn check_commit(rows: &Rows, commit: &Commit) -> Result<(), Broken> {
    if commit.guard != rows.execution.map(|execution| execution.epoch) {
        return Err(Broken::GuardMismatch);
    }
    let execution = commit.execution.or(rows.execution);
    if let (Some(before), Some(after)) = (rows.execution, execution)
        && after.epoch < before.epoch
    {
        return Err(Broken::EpochFell);
    }
    let step = commit.step.map(|write| *write.step()).or(rows.step);
    let step = step.map(|step| if commit.abandon_open { step.abandoned() } else { step });
    check_rows(&Rows { execution, step, ..*rows })
}
