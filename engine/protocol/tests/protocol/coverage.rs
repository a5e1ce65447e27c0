//! What the transcripts have reached, by variant.

use std::collections::BTreeSet;

use hydra_protocol::worker::{drive, lease, step};
use hydra_protocol::{Cause, Ending, Failure, Kind, Outcome, Rejection, Reply, Status, StepState};

/// Labels of the variants seen, as `Type::Variant`.
#[derive(Debug, Default)]
pub struct Coverage(BTreeSet<&'static str>);

/// A type whose variants are all to be reached.
pub trait Labelled {
    /// Every variant's label.
    const ALL: &'static [&'static str];
    /// The label of this one's variant.
    fn label(&self) -> &'static str;
}

impl Coverage {
    /// This variant was reached.
    pub fn saw(&mut self, value: &impl Labelled) {
        self.0.insert(value.label());
    }

    /// Variants that were not.
    pub fn missing(&self) -> Vec<&'static str> {
        let all = [
            Reply::ALL,
            Rejection::ALL,
            Status::ALL,
            Ending::ALL,
            Failure::ALL,
            Kind::ALL,
            StepState::ALL,
            Outcome::ALL,
            Cause::ALL,
            step::Phase::ALL,
            step::Event::ALL,
            step::BodyEnd::ALL,
            step::Action::ALL,
            step::Stop::ALL,
            drive::Phase::ALL,
            drive::Event::ALL,
            drive::Action::ALL,
            drive::Idle::ALL,
            lease::Duty::ALL,
        ];
        all.into_iter().flatten().copied().filter(|label| !self.0.contains(label)).collect()
    }
}

/// One match serves both as the list and as the compiler's check that the list is complete: a new variant does not
/// compile here, and once it has an arm it has to be reached.
macro_rules! labelled {
    ($($type:path { $($variant:ident),* $(,)? })*) => { $(
        impl Labelled for $type {
            const ALL: &'static [&'static str] =
                &[$(concat!(stringify!($type), "::", stringify!($variant))),*];
            fn label(&self) -> &'static str {
                type This = $type;
                match self {
                    $(This::$variant { .. } => concat!(stringify!($type), "::", stringify!($variant)),)*
                }
            }
        }
    )* };
}

labelled! {
    Reply {
        Started, AlreadyStarted, Claimed, Renewed, Run, Settled, Waiting, Sleeping, Released, Ended, Reopened, Resolved,
    }
    Rejection {
        UnknownExecution, Conflict, Ended, NotDue, UnknownWorkflow, EpochExhausted, NotLeased, StaleEpoch, LeaseExpired,
        UnknownStep, KindMismatch, AttemptMismatch, StepSettled, NotRunning, NotFailed, Unresolved,
        NotInDoubt, Superseded, AttemptsExhausted, IllegalSettlement, IllegalEnding,
    }
    Status { Ready, Leased, Ended }
    Ending { Succeeded, Failed, Cancelled }
    Failure {
        Workflow, Panicked, Nondeterministic, Undecodable, Unencodable, DeadlineExceeded, ReplaysExhausted,
    }
    Kind { Transactional, Keyed, AtMostOnce, Timer }
    StepState { Running, Waiting, Sleeping, Settled, Abandoned }
    Outcome { Succeeded, Failed, Unencodable, InDoubt, Fired }
    Cause { Final, Exhausted, Crashed }
    step::Phase { New, Asking, Running, Waiting, Done, Gone }
    step::Event { Requested, Answer, Lost, Body, Due, LeaseLost }
    step::BodyEnd { Returned, Unencodable, Error, Panicked, TimedOut }
    step::Action { Nothing, Ask, RunBody, Transact, Deliver, WaitUntil, Stop }
    step::Stop { LeaseLost, Rejected, Nondeterministic, Unexpected }
    drive::Phase { Driving, Asking, Gone }
    drive::Event { Ended, Blocked, Shutdown, Answer, Lost, LeaseLost }
    drive::Action { Nothing, Ask, Done, Stop }
    drive::Idle { Busy, Hold, Park }
    lease::Duty { Hold, Beat, Stop }
}
