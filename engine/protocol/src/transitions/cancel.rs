//! Cancel: a client ends the execution at once.

use crate::transitions::execution;
use crate::{Commit, Ending, Execution, Rejection, Reply, Rows, Status};

/// Ends it whoever drives it; no worker has to be up for that. A body that is running learns of it at its worker's
/// next command or heartbeat, is cancelled, and can write nothing more.
pub fn cancel(rows: &Rows) -> Result<Commit, Rejection> {
    let execution = execution(rows)?;
    match execution.status {
        Status::Ended(Ending::Cancelled) => Ok(Commit::answer(&execution, Reply::Ended(Ending::Cancelled))),
        Status::Ended(ending) => Err(Rejection::Ended(ending)),
        Status::Ready { .. } | Status::Leased { .. } => {
            let ended = Execution { status: Status::Ended(Ending::Cancelled), ..execution };
            Ok(Commit::write(Some(execution.epoch), ended, Reply::Ended(Ending::Cancelled)).abandoning())
        }
    }
}
