//! Settle: an attempt ended, and what came of it becomes durable.

use crate::transitions::{execution, step};
use crate::{
    Cause, Commit, Epoch, Execution, Kind, Outcome, Protocol, Rejection, Reply, Rows, Settlement, Step, StepState,
    StepWrite, Time,
};

/// Writes the outcome of the attempt under way, or that it waits for the next one.
///
/// A worker whose answer was lost asks again; what is recorded of *this* attempt under *this* epoch is answered again,
/// and nothing else is.
pub fn settle<P: Protocol + ?Sized>(
    rules: &P,
    rows: &Rows,
    epoch: Epoch,
    attempt: u32,
    settlement: Settlement,
    now: Time,
) -> Result<Commit, Rejection> {
    let execution = execution(rows)?;
    rules.fence(&execution, epoch)?;
    let step = step(rows)?;
    let illegal = match settlement {
        Settlement::InDoubt => step.kind != Kind::AtMostOnce,
        Settlement::Unencodable => step.kind == Kind::Transactional,
        Settlement::Succeeded | Settlement::Failed { .. } => false,
    };
    if illegal || step.kind == Kind::Timer {
        return Err(Rejection::IllegalSettlement(step.kind));
    }
    let same_attempt = step.epoch == epoch && step.attempt == attempt;
    match step.state {
        StepState::Settled { order, outcome } if same_attempt && agrees(outcome, settlement) => {
            Ok(Commit::answer(&execution, Reply::Settled { order, outcome }))
        }
        StepState::Settled { outcome, .. } => Err(Rejection::StepSettled(outcome)),
        StepState::Waiting { due_at } if same_attempt && matches!(settlement, Settlement::Failed { .. }) => {
            Ok(Commit::answer(&execution, Reply::Waiting { due_at }))
        }
        // (1) A begins s, is paused, loses its lease; (2) B claims and begins s anew; (3) A's report arrives: its
        // epoch is fenced off above. And within one lease: (1) attempt 1 fails, (2) attempt 2 begins, (3) a late
        // duplicate of "attempt 1 failed" arrives: its number is used up.
        StepState::Running if !same_attempt => Err(Rejection::AttemptMismatch { row: step.attempt, asked: attempt }),
        StepState::Running => Ok(apply(rules, &execution, step, settlement, now)),
        StepState::Waiting { .. } | StepState::Sleeping { .. } | StepState::Abandoned { .. } => {
            Err(Rejection::NotRunning)
        }
    }
}

fn apply<P: Protocol + ?Sized>(
    rules: &P,
    execution: &Execution,
    step: Step,
    settlement: Settlement,
    now: Time,
) -> Commit {
    let state = rules.settled_state(&step, settlement, execution.settled.saturating_add(1), now);
    let write = StepWrite::Update(Step { state, ..step });
    match state {
        StepState::Settled { order, outcome } => {
            let settled = Execution { settled: order, replays: 0, ..*execution };
            Commit::write(Some(execution.epoch), settled, Reply::Settled { order, outcome }).with_step(write)
        }
        StepState::Waiting { due_at } | StepState::Sleeping { due_at } => {
            Commit::answer(execution, Reply::Waiting { due_at }).with_step(write)
        }
        StepState::Running | StepState::Abandoned { .. } => {
            Commit::answer(execution, Reply::Run { attempt: step.attempt }).with_step(write)
        }
    }
}

/// The provided [`Protocol::settled_state`].
pub fn settled_state<P: Protocol + ?Sized>(
    rules: &P,
    step: &Step,
    settlement: Settlement,
    order: u32,
    now: Time,
) -> StepState {
    let outcome = match settlement {
        Settlement::Succeeded => Outcome::Succeeded,
        // The effect happened: the body must not run again, so this is an outcome and not a failed attempt.
        Settlement::Unencodable => Outcome::Unencodable,
        Settlement::InDoubt => Outcome::InDoubt,
        Settlement::Failed { retryable, .. } if !retryable || step.kind == Kind::AtMostOnce => {
            Outcome::Failed(Cause::Final)
        }
        Settlement::Failed { .. } if step.attempt >= step.attempts_max => Outcome::Failed(Cause::Exhausted),
        Settlement::Failed { backoff, salt, .. } => {
            return StepState::Waiting { due_at: now + rules.backoff(&backoff, step.attempt, salt) };
        }
    };
    StepState::Settled { order, outcome }
}

/// Whether an outcome on record is what this settlement would have written.
fn agrees(outcome: Outcome, settlement: Settlement) -> bool {
    match outcome {
        Outcome::Succeeded => settlement == Settlement::Succeeded,
        Outcome::Unencodable => settlement == Settlement::Unencodable,
        Outcome::InDoubt => settlement == Settlement::InDoubt,
        Outcome::Failed(_) => matches!(settlement, Settlement::Failed { .. }),
        Outcome::Fired => false,
    }
}
