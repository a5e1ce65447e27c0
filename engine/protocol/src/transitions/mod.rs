//! The store side: what one transaction may change. One transition a file; [`decide`] is the only door.

pub mod begin;
pub mod cancel;
pub mod claim;
pub mod finish;
pub mod fire;
pub mod heartbeat;
pub mod release;
pub mod resolve;
pub mod retry;
pub mod settle;
pub mod sleep;
pub mod start;

use crate::{Command, Commit, Execution, Protocol, Rejection, Rows, Step, Time};

/// Decides one command over the rows it is about. `now` is the store's clock, read once per transaction.
///
/// Commands of a worker and of a client come through here alike, and so do duplicates and messages that arrive late:
/// whatever was accepted once is answered the same again, or rejected, never applied twice.
pub fn decide<P: Protocol + ?Sized>(rules: &P, rows: &Rows, command: &Command, now: Time) -> Result<Commit, Rejection> {
    match *command {
        Command::Start { due_at, deadline, replays_max } => rules.start(rows, due_at, deadline, replays_max),
        Command::Claim { lease, knows } => rules.claim(rows, lease, knows, now),
        Command::Heartbeat { epoch, lease } => rules.heartbeat(rows, epoch, lease, now),
        Command::Begin { epoch, kind, attempt, attempts_max } => {
            rules.begin(rows, begin::Begin { epoch, kind, attempt, attempts_max }, now)
        }
        Command::Settle { epoch, attempt, settlement } => rules.settle(rows, epoch, attempt, settlement, now),
        Command::Sleep { epoch, wake } => rules.sleep(rows, epoch, wake, now),
        Command::Fire { epoch } => rules.fire(rows, epoch, now),
        Command::Release { epoch, release } => rules.release(rows, epoch, release, now),
        Command::Finish { epoch, ending } => rules.finish(rows, epoch, ending),
        Command::Cancel => rules.cancel(rows),
        Command::Retry { attempts } => rules.retry(rows, attempts, now),
        Command::Resolve { verdict } => rules.resolve(rows, verdict),
    }
}

/// The execution's row, which every command but a start needs.
fn execution(rows: &Rows) -> Result<Execution, Rejection> {
    rows.execution.ok_or(Rejection::UnknownExecution)
}

/// The step's row, for commands about a step that has begun.
fn step(rows: &Rows) -> Result<Step, Rejection> {
    rows.step.ok_or(Rejection::UnknownStep)
}
