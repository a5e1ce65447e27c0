//! Heartbeat: a worker extends a lease that it still holds.

use crate::transitions::execution;
use crate::{Commit, Epoch, Execution, Protocol, Rejection, Reply, Rows, Span, Status, Time};

/// The lease ends later, never earlier, and never after the deadline.
///
/// One that has ended is not renewed: its holder has stopped by its own clock, and a heartbeat that was under way
/// would only keep the execution from everybody else.
pub fn heartbeat<P: Protocol + ?Sized>(
    rules: &P,
    rows: &Rows,
    epoch: Epoch,
    lease: Span,
    now: Time,
) -> Result<Commit, Rejection> {
    let execution = execution(rows)?;
    rules.fence(&execution, epoch)?;
    let held_until = execution.due_at().unwrap_or(now);
    if held_until <= now {
        return Err(Rejection::LeaseExpired { due_at: held_until, now });
    }
    let due_at = rules.lease_end(&execution, lease, now).max(held_until);
    let renewed = Execution { status: Status::Leased { due_at }, ..execution };
    Ok(Commit::write(Some(execution.epoch), renewed, Reply::Renewed { lease: due_at.since(now) }))
}
