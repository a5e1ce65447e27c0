//! Everything that can happen, and who makes it happen.

use crate::search::Role;
use hydra_protocol::Verdict;
use hydra_protocol::worker::step::BodyEnd;

/// One thing that happens. Workers, executions and steps are numbers from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A client starts an execution.
    Start(u8),
    /// A client starts it again.
    StartAgain(u8),
    /// A client starts it again, with another input.
    StartOther(u8),
    /// A client cancels it.
    Cancel(u8),
    /// An operator retries it.
    Retry(u8),
    /// An operator says what became of its last step.
    Resolve(u8, Ruling),
    /// The due time of an execution comes: of its lease, if it is leased.
    Due(u8),
    /// The due time of a step comes.
    StepDue(u8, u8),
    /// The deadline of an execution passes.
    DeadlinePasses(u8),
    /// The store's clock jumps, and a lease ends under its holder.
    Expire(u8),
    /// A worker claims an execution that is due.
    Claim(u8, u8),
    /// The same, and the store answers too late.
    ClaimReplyLost(u8, u8),
    /// The same, and a checkpoint of the journal cannot be decoded.
    ClaimUndecodable(u8, u8),
    /// A worker's poll proposes an execution that is not due.
    ClaimEarly(u8, u8),
    /// A worker without the workflow's code claims.
    ClaimStranger(u8, u8),
    /// The request of a machine reaches the store, or not.
    Ask {
        /// The worker.
        worker: u8,
        /// The execution.
        execution: u8,
        /// The step, or the number of steps for the execution's own machine.
        slot: u8,
        /// What becomes of request and reply.
        delivery: Delivery,
    },
    /// A body that runs ends. For a transactional step: inside its transaction, otherwise than well.
    BodyEnds {
        /// The worker.
        worker: u8,
        /// The execution.
        execution: u8,
        /// The step.
        step: u8,
        /// How.
        end: BodyFate,
    },
    /// The time that a step waited for has come, by its worker's clock.
    WaitOver(u8, u8, u8),
    /// A worker's clock runs ahead, and it does not wait long enough.
    WaitOverEarly(u8, u8, u8),
    /// A worker gives its lease back until something is due.
    Park(u8, u8),
    /// A worker shuts down and gives its lease back.
    Shutdown(u8, u8),
    /// A worker renews its lease.
    Beat(u8, u8),
    /// A worker's process ends, and starts again.
    Crash(u8),
    /// A worker stands still.
    Pause(u8),
    /// It goes on.
    Resume(u8),
    /// A worker is cut off from the store.
    Partition(u8),
    /// It is connected again.
    Heal(u8),
    /// The network keeps a copy of a request (slot: as for [`Action::Ask`]; one more for a heartbeat).
    Copy(u8, u8, u8),
    /// The copy reaches the store; it may do so again.
    CopyArrives,
    /// The network drops the copy.
    CopyLost,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// It is answered.
    Answered,
    /// It never arrives.
    LostBefore,
    /// It arrives, and its answer is lost.
    ReplyLost,
}

/// An operator's verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ruling {
    /// The effect happened.
    Happened,
    /// It did not.
    DidNot,
}

impl Ruling {
    pub(super) fn verdict(self) -> Verdict {
        match self {
            Ruling::Happened => Verdict::Succeeded,
            Ruling::DidNot => Verdict::Failed,
        }
    }
}

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BodyFate {
    /// Its effect happened, and it returned.
    Returned,
    /// It returned an error before its effect happened.
    Failed,
    /// Its effect happened, and its result cannot be encoded.
    Unencodable,
    /// Its effect happened, and it panicked.
    Panicked,
}

impl BodyFate {
    pub(super) fn end(self) -> BodyEnd {
        match self {
            BodyFate::Returned => BodyEnd::Returned,
            BodyFate::Failed => BodyEnd::Error { retryable: true },
            BodyFate::Unencodable => BodyEnd::Unencodable,
            BodyFate::Panicked => BodyEnd::Panicked,
        }
    }
}

impl Action {
    /// Who makes it happen.
    pub fn role(&self) -> Role {
        match self {
            Action::Start(_)
            | Action::Claim(..)
            | Action::Ask { delivery: Delivery::Answered, .. }
            | Action::BodyEnds { end: BodyFate::Returned, .. }
            | Action::WaitOver(..)
            | Action::Park(..) => Role::Step,
            // That a body fails is no fault, but nobody can count on it either; that it always fails is its program.
            Action::BodyEnds { end: BodyFate::Failed, .. } => Role::Step,
            // What changes nothing by right: were it a step, turning on the spot would count as a livelock.
            Action::ClaimEarly(..) | Action::ClaimStranger(..) | Action::Beat(..) => Role::Environment,
            Action::Due(_)
            | Action::StepDue(..)
            | Action::DeadlinePasses(_)
            | Action::Resume(_)
            | Action::Heal(_)
            | Action::StartAgain(_)
            | Action::StartOther(_) => Role::Environment,
            Action::Cancel(_)
            | Action::Retry(_)
            | Action::Resolve(..)
            | Action::Expire(_)
            | Action::ClaimReplyLost(..)
            | Action::ClaimUndecodable(..)
            | Action::Ask { .. }
            | Action::BodyEnds { .. }
            | Action::WaitOverEarly(..)
            | Action::Shutdown(..)
            | Action::Crash(_)
            | Action::Pause(_)
            | Action::Partition(_)
            | Action::Copy(..)
            | Action::CopyArrives
            | Action::CopyLost => Role::Fault,
        }
    }
}
