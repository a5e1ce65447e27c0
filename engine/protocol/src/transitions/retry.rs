//! Retry: an operator opens a failed execution again. The one way out of an ending.

use crate::transitions::execution;
use crate::{Commit, Ending, Execution, Outcome, Rejection, Reply, Rows, Status, Step, StepState, StepWrite, Time};

/// Ready at once, without its deadline. If the step that settled *last* had failed, it is tried again, with further
/// attempts; nothing else is undone, since later steps have been built on it.
///
/// A step in doubt, or whose result was lost, must be resolved first: (1) s charges, its result cannot be encoded, W
/// fails; (2) the operator retries W; (3) s must not charge again.
pub fn retry(rows: &Rows, attempts: u32, now: Time) -> Result<Commit, Rejection> {
    let execution = execution(rows)?;
    if !matches!(execution.status, Status::Ended(Ending::Failed(_))) {
        return Err(Rejection::NotFailed);
    }
    let ready = Execution { status: Status::Ready { due_at: now }, replays: 0, deadline: None, ..execution };
    let Some((step, (order, outcome))) = rows.step.and_then(|step| Some((step, step.settled()?))) else {
        return Ok(Commit::write(Some(execution.epoch), ready, Reply::Reopened));
    };
    match outcome {
        Outcome::Succeeded | Outcome::Fired => Ok(Commit::write(Some(execution.epoch), ready, Reply::Reopened)),
        Outcome::Unencodable | Outcome::InDoubt => Err(Rejection::Unresolved(outcome)),
        // A step that waits must have an attempt left.
        Outcome::Failed(_) if step.attempt == u32::MAX => Err(Rejection::AttemptsExhausted),
        Outcome::Failed(_) => {
            let step = Step {
                attempts_max: step.attempt.saturating_add(attempts.max(1)),
                state: StepState::Waiting { due_at: now },
                ..step
            };
            let ready = Execution { settled: order.saturating_sub(1), ..ready };
            Ok(Commit::write(Some(execution.epoch), ready, Reply::Reopened).with_step(StepWrite::Update(step)))
        }
    }
}
