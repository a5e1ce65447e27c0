//! What was observed, small enough to be written down a hundred million times: numbers in place of names.
//!
//! [`crate::history`] is the same in words. Only runs that matter are put into words.

use hydra_protocol::invariants::Broken;

use crate::history::{Op, Phase, Status};

/// One observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    /// When, in milliseconds since the run began.
    pub at_ms: u64,
    /// Who did it.
    pub who: Who,
    /// What.
    pub fact: Fact,
}

/// Who did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// A client.
    Client,
    /// The store.
    Store,
    /// The policy that chooses faults.
    Nemesis,
    /// This worker.
    Worker(u8),
}

/// What a workflow has of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The value of this entry into its body.
    Value(u64),
    /// A failure.
    Failed,
    /// It may have happened.
    InDoubt,
}

/// What a body gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gave {
    /// The value of this entry.
    Value(u64),
    /// A failure that may be mended.
    Failure,
    /// A failure that may not.
    FinalFailure,
    /// What cannot be encoded.
    Unencodable,
    /// Nothing: it was cancelled.
    Cancelled,
}

/// What happened. Executions and steps are indices into the workload; `claim` counts the claims of the whole run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Fact {
    /// A client's call began.
    Invoked { call: u32, op: Op, execution: u32, other_input: bool },
    /// It ended. `claim` is the one whose workflow gave the result.
    Answered { call: u32, op: Op, execution: u32, other_input: bool, phase: Phase, status: Option<Status>, claim: u32 },
    /// A workflow was given an outcome.
    Handed { claim: u32, step: u32, seen: Seen },
    /// A body was entered.
    Entered { step: u32, body: u32, attempt: u32, claim: u32, other_input: bool },
    /// A receiver saw an effect.
    Effect { step: u32, body: u32, key: Option<u64>, epoch: u32, applied: bool },
    /// A body was left.
    Left { step: u32, body: u32, gave: Gave },
    /// A worker came up or went down.
    Up(bool),
    /// This line of the schedule struck.
    Struck(u32),
    /// No more faults from here on.
    Healed,
    /// The end.
    Ended,
    /// A claim was accepted.
    Claimed { execution: u32, epoch: u32, claim: u32 },
    /// A lease was given back.
    Released { execution: u32, claim: u32 },
    /// An attempt was begun.
    Began { step: u32, attempt: u32, claim: u32 },
    /// A step was settled.
    Checkpoint { step: u32, seen: Seen, claim: u32 },
    /// An attempt failed, and the next may begin at this time.
    Waits { step: u32, attempt: u32, due_ms: u64 },
    /// A timer was set.
    TimerSet { step: u32, due_ms: u64, claim: u32 },
    /// It fired.
    TimerFired { step: u32, claim: u32 },
    /// A status was written; by a client if `claim` is zero.
    Status { execution: u32, status: Status, claim: u32 },
    /// An invariant of the rows does not hold.
    Broken { execution: u32, broken: Broken },
    /// A second row for one step.
    SecondRow { execution: u32 },
}
