//! Resolve: an operator says what became of a step whose outcome nobody could record.

use crate::transitions::{execution, step};
use crate::{Cause, Commit, Ending, Outcome, Rejection, Reply, Rows, Status, Step, StepState, StepWrite, Verdict};

/// Replaces "in doubt" or "unencodable" by what the operator found out, while nobody drives the execution and nothing
/// was built on the old outcome. The execution stays failed until it is retried.
pub fn resolve(rows: &Rows, verdict: Verdict) -> Result<Commit, Rejection> {
    let execution = execution(rows)?;
    if !matches!(execution.status, Status::Ended(Ending::Failed(_))) {
        return Err(Rejection::NotFailed);
    }
    let step = step(rows)?;
    let Some((order, outcome @ (Outcome::InDoubt | Outcome::Unencodable))) = step.settled() else {
        return Err(Rejection::NotInDoubt);
    };
    // (1) s is in doubt; (2) the workflow handles that and refunds; (3) the operator says that s had succeeded: a
    // replay would no longer refund, yet the refund is on record.
    if order != execution.settled {
        return Err(Rejection::Superseded { order, last: execution.settled });
    }
    // It did happen, and only its result was lost: (1) s charges, its result cannot be encoded, W fails; (2) the operator
    // calls s failed and retries W; (3) s charges again.
    if outcome == Outcome::Unencodable && verdict == Verdict::Failed {
        return Err(Rejection::StepSettled(outcome));
    }
    let outcome = match verdict {
        Verdict::Succeeded => Outcome::Succeeded,
        Verdict::Failed => Outcome::Failed(Cause::Final),
    };
    let step = Step { state: StepState::Settled { order, outcome }, ..step };
    Ok(Commit::answer(&execution, Reply::Resolved(outcome)).with_step(StepWrite::Update(step)))
}
