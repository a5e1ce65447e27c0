//! Start: a client brings an execution into being, once for each id.

use crate::{Commit, Epoch, Execution, Protocol, Rejection, Reply, Rows, Status, Time};

/// No row: writes one, ready at `due_at` or at its deadline, whichever is first. A row with the same input: answers
/// that it is there, whatever became of it, so a client may ask again after a lost answer. Another input: a conflict,
/// for answering "started" would lose it.
pub fn start<P: Protocol + ?Sized>(
    _rules: &P,
    rows: &Rows,
    due_at: Time,
    deadline: Option<Time>,
    replays_max: u32,
) -> Result<Commit, Rejection> {
    match rows.execution {
        Some(there) if rows.same_input => Ok(Commit::answer(&there, Reply::AlreadyStarted)),
        Some(_) => Err(Rejection::Conflict),
        None => {
            let due_at = deadline.map_or(due_at, |deadline| due_at.min(deadline));
            let execution = Execution {
                status: Status::Ready { due_at },
                epoch: Epoch(0),
                settled: 0,
                replays: 0,
                replays_max: replays_max.max(1),
                deadline,
            };
            Ok(Commit::write(None, execution, Reply::Started))
        }
    }
}
