//! Mutants of the rules of executions: claims, leases, endings.

use hydra_protocol::transitions::{cancel, claim, finish, heartbeat, release, retry, start};
use hydra_protocol::{
    Commit, Ending, Epoch, Execution, Protocol, Reference, Rejection, Release, Reply, Rows, Span, Status, Time,
};

mutant! {
    /// A zombie writes on after another worker has taken over.
    NoFence { fn fence(&self, _: &Execution, _: Epoch) -> Result<(), Rejection> { Ok(()) } }
}
mutant! {
    /// A lease given back is taken for a lease held.
    FenceByEpochAlone {
        fn fence(&self, execution: &Execution, epoch: Epoch) -> Result<(), Rejection> {
            let latest = execution.epoch;
            match execution.status {
                Status::Ended(ending) => Err(Rejection::Ended(ending)),
                _ if latest != epoch => Err(Rejection::StaleEpoch { held: epoch, latest }),
                _ => Ok(()),
            }
        }
    }
}
mutant! {
    /// The same epoch for every lease.
    EpochNotRaised {
        fn next_epoch(&self, epoch: Epoch) -> Result<Epoch, Rejection> { Ok(epoch.max(Epoch(1))) }
    }
}
mutant! {
    /// Anybody may claim at any time.
    ClaimAtOnce { fn claimable(&self, _: &Execution, _: Time) -> Result<(), Rejection> { Ok(()) } }
}
mutant! {
    /// A lease is taken while it is in force; due times of what is ready hold.
    ClaimWhileLeased {
        fn claimable(&self, execution: &Execution, now: Time) -> Result<(), Rejection> {
            match execution.status {
                Status::Ended(ending) => Err(Rejection::Ended(ending)),
                Status::Leased { .. } => Ok(()),
                Status::Ready { due_at } => self.due(due_at, now),
            }
        }
    }
}
mutant! {
    /// The audited engine: the lease of a dead worker is gone, its status says `running`, and no claim looks for that.
    ClaimOnlyReady {
        fn claimable(&self, execution: &Execution, now: Time) -> Result<(), Rejection> {
            match execution.status {
                Status::Ended(ending) => Err(Rejection::Ended(ending)),
                Status::Leased { due_at } => Err(Rejection::NotDue { due_at, now }),
                Status::Ready { due_at } => self.due(due_at, now),
            }
        }
    }
}
mutant! {
    /// Every due time has come.
    AlwaysDue { fn due(&self, _: Time, _: Time) -> Result<(), Rejection> { Ok(()) } }
}
mutant! {
    /// A timer fires, and a backoff ends, a millisecond early.
    DueEarly {
        fn due(&self, due_at: Time, now: Time) -> Result<(), Rejection> {
            Reference.due(due_at, now + Span::from_millis(1))
        }
    }
}
mutant! {
    /// A lease runs past the deadline.
    LeasePastDeadline {
        fn lease_end(&self, _: &Execution, lease: Span, now: Time) -> Time { now + lease }
    }
}
mutant! {
    /// A parked execution wakes past its deadline.
    WakePastDeadline {
        fn wake_at(&self, _: &Execution, release: Release, now: Time) -> Time {
            match release {
                Release::Shutdown => now,
                Release::Parked { wake } => wake,
            }
        }
    }
}
mutant! {
    /// A parked execution is parked for good: its sleep is lost.
    WakeLost {
        fn wake_at(&self, _: &Execution, release: Release, now: Time) -> Time {
            match release {
                Release::Shutdown => now,
                Release::Parked { .. } => Time::MAX,
            }
        }
        fn start(&self, rows: &Rows, due_at: Time, _: Option<Time>, replays: u32) -> Result<Commit, Rejection> {
            start::start(self, rows, due_at, None, replays)
        }
    }
}
mutant! {
    /// Cancellation leaves open steps behind.
    CancelLeavesSteps {
        fn cancel(&self, rows: &Rows) -> Result<Commit, Rejection> {
            cancel::cancel(rows).map(|commit| Commit { abandon_open: false, ..commit })
        }
    }
}
mutant! {
    /// Cancellation only marks the execution for its worker, which may never come.
    CancelWaits {
        fn cancel(&self, rows: &Rows) -> Result<Commit, Rejection> {
            cancel::cancel(rows).map(|commit| Commit { execution: None, abandon_open: false, ..commit })
        }
    }
}
mutant! {
    /// Cancellation overwrites an ending.
    CancelTheEnded {
        fn cancel(&self, rows: &Rows) -> Result<Commit, Rejection> {
            let execution = rows.execution.ok_or(Rejection::UnknownExecution)?;
            let ended = Execution { status: Status::Ended(Ending::Cancelled), ..execution };
            Ok(Commit::write(Some(execution.epoch), ended, Reply::Ended(Ending::Cancelled)).abandoning())
        }
    }
}
mutant! {
    /// Another input under the same id is told that it started.
    StartIgnoresInput {
        fn start(&self, rows: &Rows, due: Time, deadline: Option<Time>, replays: u32) -> Result<Commit, Rejection> {
            start::start(self, &Rows { same_input: true, ..*rows }, due, deadline, replays)
        }
    }
}
mutant! {
    /// A lost answer to a start is an error to its client.
    StartOnlyOnce {
        fn start(&self, rows: &Rows, due: Time, deadline: Option<Time>, replays: u32) -> Result<Commit, Rejection> {
            start::start(self, &Rows { same_input: false, ..*rows }, due, deadline, replays)
        }
    }
}
mutant! {
    /// A lease is renewed after it ended.
    RenewExpired {
        fn heartbeat(&self, rows: &Rows, epoch: Epoch, lease: Span, now: Time) -> Result<Commit, Rejection> {
            match heartbeat::heartbeat(self, rows, epoch, lease, now) {
                Err(Rejection::LeaseExpired { .. }) => {
                    let execution = rows.execution.ok_or(Rejection::UnknownExecution)?;
                    let due_at = self.lease_end(&execution, lease, now);
                    let renewed = Execution { status: Status::Leased { due_at }, ..execution };
                    let lease = due_at.since(now);
                    Ok(Commit::write(Some(execution.epoch), renewed, Reply::Renewed { lease }))
                }
                decided => decided,
            }
        }
    }
}
mutant! {
    /// A heartbeat shortens a lease.
    RenewShorter {
        fn heartbeat(&self, rows: &Rows, epoch: Epoch, lease: Span, now: Time) -> Result<Commit, Rejection> {
            let commit = heartbeat::heartbeat(self, rows, epoch, lease, now)?;
            let execution = rows.execution.ok_or(Rejection::UnknownExecution)?;
            let due_at = self.lease_end(&execution, lease, now);
            let renewed = Execution { status: Status::Leased { due_at }, ..execution };
            Ok(Commit { execution: Some(renewed), reply: Reply::Renewed { lease: due_at.since(now) }, ..commit })
        }
    }
}
mutant! {
    /// A late worker's ending overwrites the first.
    FinishTwice {
        fn finish(&self, rows: &Rows, epoch: Epoch, ending: Ending) -> Result<Commit, Rejection> {
            match finish::finish(self, rows, epoch, ending) {
                Err(Rejection::Ended(_)) => {
                    let execution = rows.execution.ok_or(Rejection::UnknownExecution)?;
                    let ended = Execution { status: Status::Ended(ending), ..execution };
                    Ok(Commit::write(Some(execution.epoch), ended, Reply::Ended(ending)))
                }
                decided => decided,
            }
        }
    }
}
mutant! {
    /// A worker may end an execution for whatever reason.
    FinishAnyhow {
        fn finish(&self, rows: &Rows, epoch: Epoch, ending: Ending) -> Result<Commit, Rejection> {
            match finish::finish(self, rows, epoch, ending) {
                Err(Rejection::IllegalEnding(_)) => {
                    let execution = rows.execution.ok_or(Rejection::UnknownExecution)?;
                    self.fence(&execution, epoch)?;
                    let ended = Execution { status: Status::Ended(ending), ..execution };
                    Ok(Commit::write(Some(execution.epoch), ended, Reply::Ended(ending)).abandoning())
                }
                decided => decided,
            }
        }
    }
}
mutant! {
    /// Giving a lease back twice gives it back twice.
    ReleaseOnlyOnce {
        fn release(&self, rows: &Rows, epoch: Epoch, how: Release, now: Time) -> Result<Commit, Rejection> {
            let execution = rows.execution.ok_or(Rejection::UnknownExecution)?;
            self.fence(&execution, epoch)?;
            release::release(self, rows, epoch, how, now)
        }
    }
}
mutant! {
    /// A claim is never counted: an execution that kills its workers kills all of them.
    ClaimsUncounted {
        fn claim(&self, rows: &Rows, lease: Span, knows: bool, now: Time) -> Result<Commit, Rejection> {
            let commit = claim::claim(self, rows, lease, knows, now)?;
            Ok(Commit { execution: commit.execution.map(|row| Execution { replays: 0, ..row }), ..commit })
        }
    }
}
mutant! {
    /// A worker without the code claims all the same.
    ClaimUnknowing {
        fn claim(&self, rows: &Rows, lease: Span, _: bool, now: Time) -> Result<Commit, Rejection> {
            claim::claim(self, rows, lease, true, now)
        }
    }
}
mutant! {
    /// Claimed past its deadline, it is driven on.
    ClaimPastDeadline {
        fn claim(&self, rows: &Rows, lease: Span, knows: bool, now: Time) -> Result<Commit, Rejection> {
            let without = rows.execution.map(|row| Execution { deadline: None, ..row });
            claim::claim(self, &Rows { execution: without, ..*rows }, lease, knows, now)
        }
    }
}
mutant! {
    /// An ending of any kind can be retried.
    RetryAnything {
        fn retry(&self, rows: &Rows, attempts: u32, now: Time) -> Result<Commit, Rejection> {
            let status = Status::Ended(Ending::Failed(hydra_protocol::Failure::Workflow));
            let execution = rows.execution.map(|row| if row.is_ended() { Execution { status, ..row } } else { row });
            retry::retry(&Rows { execution, ..*rows }, attempts, now)
        }
    }
}
