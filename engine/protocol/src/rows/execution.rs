//! The row of one execution.

use crate::Time;

/// The fencing token of a lease. It rises by one at every claim, and every write of a worker carries the one it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u32);

/// One execution, as its row says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Execution {
    /// Where it stands.
    pub status: Status,
    /// How often it was claimed: the epoch of the latest lease. Zero before the first.
    pub epoch: Epoch,
    /// How many of its steps are settled; the last settled step has this number as its order.
    pub settled: u32,
    /// Claims in a row that settled nothing and were not given back: workers that died, or never got anywhere.
    pub replays: u32,
    /// At this many such claims the execution fails rather than kill another worker. At least 1.
    pub replays_max: u32,
    /// When it must have ended, if it must.
    pub deadline: Option<Time>,
}

/// Where an execution stands. Whatever is not ended has a due time, and is claimable from then on: new work, a
/// backoff, a sleep and the end of a lease are one rule and one index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// No worker drives it; due at this time.
    Ready {
        /// Claimable from here on.
        due_at: Time,
    },
    /// A worker drives it until its lease ends.
    Leased {
        /// End of the lease: claimable by others from here on.
        due_at: Time,
    },
    /// It is over.
    Ended(Ending),
}

/// How an execution ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// The workflow returned a value.
    Succeeded,
    /// It did not, for this reason. An operator may retry it.
    Failed(Failure),
    /// A client cancelled it.
    Cancelled,
}

/// Why an execution failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// The workflow returned an error.
    Workflow,
    /// The workflow's own code panicked, outside of any step.
    Panicked,
    /// The workflow asked for other steps than its journal holds: its code was changed.
    Nondeterministic,
    /// A checkpoint or the input could not be decoded.
    Undecodable,
    /// The workflow's return value could not be encoded.
    Unencodable,
    /// The deadline passed.
    DeadlineExceeded,
    /// Too many claims in a row settled nothing.
    ReplaysExhausted,
}

impl Execution {
    /// The lease's end or the next wake-up; none once ended.
    pub fn due_at(&self) -> Option<Time> {
        match self.status {
            Status::Ready { due_at } | Status::Leased { due_at } => Some(due_at),
            Status::Ended(_) => None,
        }
    }

    /// Whether it is over.
    pub fn is_ended(&self) -> bool {
        matches!(self.status, Status::Ended(_))
    }

    /// `at`, but not after the deadline: at its deadline an execution is due, so that a claim can end it.
    pub fn not_after_deadline(&self, at: Time) -> Time {
        self.deadline.map_or(at, |deadline| at.min(deadline))
    }
}
