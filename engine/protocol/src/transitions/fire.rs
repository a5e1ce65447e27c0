//! Fire: a timer that is due becomes an outcome, and so takes its place in the order of replay.

use crate::transitions::{execution, step};
use crate::{
    Commit, Epoch, Execution, Kind, Outcome, Protocol, Rejection, Reply, Rows, Step, StepState, StepWrite, Time,
};

/// Settles a sleeping timer, by the store's clock alone: a worker whose clock runs ahead is told to wait.
pub fn fire<P: Protocol + ?Sized>(rules: &P, rows: &Rows, epoch: Epoch, now: Time) -> Result<Commit, Rejection> {
    let execution = execution(rows)?;
    rules.fence(&execution, epoch)?;
    let step = step(rows)?;
    if step.kind != Kind::Timer {
        return Err(Rejection::KindMismatch { row: step.kind, asked: Kind::Timer });
    }
    match step.state {
        StepState::Settled { order, outcome } => Ok(Commit::answer(&execution, Reply::Settled { order, outcome })),
        StepState::Sleeping { due_at } => {
            rules.due(due_at, now)?;
            let order = execution.settled.saturating_add(1);
            let outcome = Outcome::Fired;
            let settled = Execution { settled: order, replays: 0, ..execution };
            let step = Step { epoch, state: StepState::Settled { order, outcome }, ..step };
            Ok(Commit::write(Some(execution.epoch), settled, Reply::Settled { order, outcome })
                .with_step(StepWrite::Update(step)))
        }
        StepState::Running | StepState::Waiting { .. } | StepState::Abandoned { .. } => Err(Rejection::NotRunning),
    }
}
