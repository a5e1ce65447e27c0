//! Sleep: a timer begins.

use crate::transitions::execution;
use crate::{Commit, Epoch, Kind, Protocol, Rejection, Reply, Rows, Step, StepState, StepWrite, Time, Wake};

/// Writes when the timer is to fire; once written, that never changes, however often the workflow is replayed.
pub fn sleep<P: Protocol + ?Sized>(
    rules: &P,
    rows: &Rows,
    epoch: Epoch,
    wake: Wake,
    now: Time,
) -> Result<Commit, Rejection> {
    let execution = execution(rows)?;
    rules.fence(&execution, epoch)?;
    let asleep =
        |due_at| Step { kind: Kind::Timer, epoch, attempt: 0, attempts_max: 0, state: StepState::Sleeping { due_at } };
    let Some(step) = rows.step else {
        let due_at = match wake {
            Wake::After(span) => now + span,
            Wake::At(at) => at,
        };
        let insert = StepWrite::Insert(asleep(due_at));
        return Ok(Commit::answer(&execution, Reply::Sleeping { due_at }).with_step(insert));
    };
    if step.kind != Kind::Timer {
        return Err(Rejection::KindMismatch { row: step.kind, asked: Kind::Timer });
    }
    match step.state {
        StepState::Sleeping { due_at } => Ok(Commit::answer(&execution, Reply::Sleeping { due_at })),
        StepState::Settled { order, outcome } => Ok(Commit::answer(&execution, Reply::Settled { order, outcome })),
        StepState::Abandoned { due_at: Some(due_at) } => {
            let update = StepWrite::Update(asleep(due_at));
            Ok(Commit::answer(&execution, Reply::Sleeping { due_at }).with_step(update))
        }
        // No timer runs or waits, and an abandoned one knows its time; decoding refuses such rows.
        StepState::Running | StepState::Waiting { .. } | StepState::Abandoned { due_at: None } => {
            Err(Rejection::NotRunning)
        }
    }
}
