//! What may be asked of the store.

use crate::{Backoff, Ending, Epoch, Kind, Span, Time};

/// One command about one execution, and at most one of its steps; which ones, the driver knows.
///
/// Batches (claim, heartbeat) are one command an execution in one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// A client starts an execution. Idempotent by id.
    Start {
        /// Not to be claimed before; in the past means at once.
        due_at: Time,
        /// When it must have ended.
        deadline: Option<Time>,
        /// See [`crate::Execution::replays_max`]; zero counts as 1.
        replays_max: u32,
    },
    /// A worker asks for the right to drive the execution.
    Claim {
        /// How long the lease shall last.
        lease: Span,
        /// Whether this worker has the workflow's code.
        knows: bool,
    },
    /// A worker extends its lease.
    Heartbeat {
        /// The epoch it holds.
        epoch: Epoch,
        /// How long from now the lease shall last.
        lease: Span,
    },
    /// A worker begins an attempt of a step.
    Begin {
        /// The epoch it holds.
        epoch: Epoch,
        /// The step's kind; not [`Kind::Timer`].
        kind: Kind,
        /// The attempt it means to begin: one more than the row's. A late duplicate names a number that is used up.
        attempt: u32,
        /// Attempts allowed, taken when the step begins for the first time. At-most-once always has 1.
        attempts_max: u32,
    },
    /// A worker reports how an attempt ended.
    Settle {
        /// The epoch it holds.
        epoch: Epoch,
        /// The attempt that ended.
        attempt: u32,
        /// How.
        settlement: Settlement,
    },
    /// A worker begins a timer.
    Sleep {
        /// The epoch it holds.
        epoch: Epoch,
        /// When it is to fire.
        wake: Wake,
    },
    /// A worker fires a timer that is due.
    Fire {
        /// The epoch it holds.
        epoch: Epoch,
    },
    /// A worker gives its lease back.
    Release {
        /// The epoch it holds.
        epoch: Epoch,
        /// Why, and so when the execution is due again.
        release: Release,
    },
    /// A worker ends the execution.
    Finish {
        /// The epoch it holds.
        epoch: Epoch,
        /// How it ended. Not cancelled, which is for clients; nor for its deadline or replays, which a claim finds out.
        ending: Ending,
    },
    /// A client cancels the execution: at once, whoever drives it.
    Cancel,
    /// An operator opens a failed execution again.
    Retry {
        /// Further attempts granted to the step that failed last; zero counts as 1.
        attempts: u32,
    },
    /// An operator says what became of a step whose outcome nobody could record.
    Resolve {
        /// What the operator found out.
        verdict: Verdict,
    },
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Settlement {
    /// The body returned a value, encoded and read back.
    Succeeded,
    /// The body returned an error.
    Failed {
        /// Whether another attempt may help. Never so for at-most-once.
        retryable: bool,
        /// How long to wait before it.
        backoff: Backoff,
        /// Chooses the jitter; the same for all attempts of a step.
        salt: u64,
    },
    /// The body returned a value that cannot be encoded: its effect happened, its result is lost.
    Unencodable,
    /// The body neither returned nor failed (it panicked or ran out of time), and may not run again.
    InDoubt,
}

/// When a timer is to fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wake {
    /// So long after the store takes it down.
    After(Span),
    /// At a time of the store's clock.
    At(Time),
}

/// Why a worker gives a lease back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Release {
    /// Nothing to do before the earliest timer or backoff that the workflow waits for: due then. The worker says when,
    /// for only it knows which of the open steps the workflow still wants: (1) a long sleep and a step race; (2) a
    /// short sleep loses and stays behind; (3) woken by the earliest row, W would be claimed and parked over and over.
    Parked {
        /// That time, by the store's clock, as the store answered it.
        wake: Time,
    },
    /// The worker shuts down: due at once.
    Shutdown,
}

/// What an operator found out about a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Its effect happened, with this value (which the driver holds).
    Succeeded,
    /// It did not happen.
    Failed,
}
