//! Release: a worker gives its lease back, so that nobody has to wait for it to end.

use crate::transitions::execution;
use crate::{Commit, Epoch, Execution, Protocol, Rejection, Release, Reply, Rows, Status, Time};

/// The execution is ready again: at once, or when its earliest timer or backoff is due. The claims it took so far
/// killed nobody, so they no longer count.
pub fn release<P: Protocol + ?Sized>(
    rules: &P,
    rows: &Rows,
    epoch: Epoch,
    release: Release,
    now: Time,
) -> Result<Commit, Rejection> {
    let execution = execution(rows)?;
    // Given back under this epoch already: the answer was lost.
    if let Status::Ready { due_at } = execution.status
        && execution.epoch == epoch
    {
        return Ok(Commit::answer(&execution, Reply::Released { due_at }));
    }
    rules.fence(&execution, epoch)?;
    let due_at = rules.wake_at(&execution, release, now);
    let released = Execution { status: Status::Ready { due_at }, replays: 0, ..execution };
    Ok(Commit::write(Some(execution.epoch), released, Reply::Released { due_at }))
}
