//! Claim: a worker gets the right to drive an execution, until its lease ends.

use crate::transitions::execution;
use crate::{Commit, Ending, Execution, Failure, Protocol, Rejection, Reply, Rows, Span, Status, Time};

/// Due, and its code is known: the epoch rises and the lease begins. Past its deadline, or claimed too often without
/// anything settled: a claim ends it instead, so that no timer of its own is needed for either.
///
/// Steps are left as they are: an attempt of an older epoch is recovered when the workflow asks for that step again.
pub fn claim<P: Protocol + ?Sized>(
    rules: &P,
    rows: &Rows,
    lease: Span,
    knows: bool,
    now: Time,
) -> Result<Commit, Rejection> {
    let execution = execution(rows)?;
    rules.claimable(&execution, now)?;
    if execution.deadline.is_some_and(|deadline| deadline <= now) {
        return Ok(end(execution, Failure::DeadlineExceeded));
    }
    // Left for a worker that knows it: a deployment that lacks a workflow must not fail every execution of it.
    if !knows {
        return Err(Rejection::UnknownWorkflow);
    }
    if execution.replays >= execution.replays_max {
        return Ok(end(execution, Failure::ReplaysExhausted));
    }
    let epoch = rules.next_epoch(execution.epoch)?;
    let due_at = rules.lease_end(&execution, lease, now);
    let claimed = Execution {
        status: Status::Leased { due_at },
        epoch,
        replays: execution.replays.saturating_add(1),
        ..execution
    };
    Ok(Commit::write(Some(execution.epoch), claimed, Reply::Claimed { epoch, lease: due_at.since(now) }))
}

fn end(execution: Execution, failure: Failure) -> Commit {
    let ending = Ending::Failed(failure);
    let ended = Execution { status: Status::Ended(ending), ..execution };
    Commit::write(Some(execution.epoch), ended, Reply::Ended(ending)).abandoning()
}
