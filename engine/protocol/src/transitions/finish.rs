//! Finish: the workflow came to its end.

use crate::transitions::execution;
use crate::{Commit, Ending, Epoch, Execution, Failure, Protocol, Rejection, Reply, Rows, Status};

/// Ends the execution, and abandons what it left open: the losers of a race between steps. Asked again by the same
/// epoch with the same ending, it answers the same.
pub fn finish<P: Protocol + ?Sized>(rules: &P, rows: &Rows, epoch: Epoch, ending: Ending) -> Result<Commit, Rejection> {
    let execution = execution(rows)?;
    match ending {
        Ending::Succeeded => {}
        Ending::Failed(
            Failure::Workflow
            | Failure::Panicked
            | Failure::Nondeterministic
            | Failure::Undecodable
            | Failure::Unencodable,
        ) => {}
        // A client's wish, and what a claim finds out by the store's own clock and count. From a worker:
        // (1) W has no deadline; (2) A claims W; (3) A ends W for its deadline: a row that nothing can load again.
        Ending::Cancelled | Ending::Failed(Failure::DeadlineExceeded | Failure::ReplaysExhausted) => {
            return Err(Rejection::IllegalEnding(ending));
        }
    }
    if execution.status == Status::Ended(ending) && execution.epoch == epoch {
        return Ok(Commit::answer(&execution, Reply::Ended(ending)));
    }
    rules.fence(&execution, epoch)?;
    let ended = Execution { status: Status::Ended(ending), ..execution };
    Ok(Commit::write(Some(execution.epoch), ended, Reply::Ended(ending)).abandoning())
}
