//! A workflow's handle on its execution.

use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hydra_protocol::worker::step::{BodyEnd, Plan};
use hydra_protocol::{Cause, Failure, Kind, Outcome, StepNo, Time, Wake};

use crate::codec::span;
use crate::store::{ExecutionId, StoreError, Transaction};
use crate::workflow::StepBuilder;
use crate::workflow::step::{TimerFuture, ZERO_BACKOFF};

/// What a workflow does everything through.
///
/// A workflow is replayed from its beginning whenever a worker takes it up, and its steps answer from the journal. So
/// its code must be deterministic: it awaits only what its context gives it, and keeps clocks, random numbers and I/O
/// inside of steps. What contradicts the journal fails the execution as *nondeterministic*; it never yields a wrong
/// answer.
///
/// Steps may run in parallel (`futures::join!`, `select_biased!`): outcomes reach the workflow one at a time, in the
/// order in which they became durable, live as in replay.
#[derive(Clone)]
pub struct Context {
    pub(crate) host: Arc<dyn Host>,
}

impl Context {
    /// A step: a unit of work whose outcome is durable. Give it a kind and a retry policy, then a body.
    pub fn step(&self, name: impl Into<Arc<str>>) -> StepBuilder {
        StepBuilder::new(self.clone(), name.into())
    }

    /// Sleeps durably: the timer survives every crash and needs no worker meanwhile.
    pub fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + use<> {
        self.timer(Wake::After(span(duration)))
    }

    /// Sleeps durably until a time of the store's clock. One that has passed fires at once.
    pub fn sleep_until(&self, at: SystemTime) -> impl Future<Output = ()> + Send + use<> {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        self.timer(Wake::At(Time::from_millis(0) + span(since)))
    }

    /// The execution that this workflow is.
    pub fn execution(&self) -> &ExecutionId {
        self.host.execution()
    }

    /// Whether outcomes still come from the journal. For logging; a workflow that decides by it is not deterministic.
    pub fn is_replaying(&self) -> bool {
        self.host.is_replaying()
    }

    pub(crate) fn payload_max(&self) -> usize {
        self.host.payload_max()
    }

    fn timer(&self, wake: Wake) -> TimerFuture {
        let (backoff, salt, epoch) = (ZERO_BACKOFF, 0, hydra_protocol::Epoch(0));
        let plan = Plan { epoch, kind: Kind::Timer, attempts_max: 0, backoff, salt, wake };
        TimerFuture::new(self.host.clone(), plan)
    }
}

/// What drives a workflow: everything a step needs of it, with types erased.
pub(crate) trait Host: Send + Sync {
    fn execution(&self) -> &ExecutionId;
    fn is_replaying(&self) -> bool;
    fn payload_max(&self) -> usize;
    /// Takes the next number. Called when the step is made, not when it is first polled: the order of the code.
    fn number(&self, name: Arc<str>, plan: Plan, input: Option<Vec<u8>>) -> StepNo;
    /// Waits until the step's body is to run, or its outcome has its turn.
    fn poll_next(&self, no: StepNo, task: &mut TaskContext<'_>) -> Poll<Run>;
    /// The body ended.
    fn body_ended(&self, no: StepNo, end: StepEnd);
    /// The step was dropped by the workflow.
    fn dropped(&self, no: StepNo);
    /// The workflow cannot go on.
    fn fail(&self, failure: Failure, why: String);
}

/// What a step is to do next.
pub(crate) enum Run {
    /// Run the body.
    Body { attempt: crate::workflow::Attempt, transaction: Option<Box<dyn Transaction>> },
    /// Hand this to the workflow.
    Deliver(Delivered),
}

/// A durable outcome.
pub(crate) struct Delivered {
    pub(crate) outcome: Outcome,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) error: Option<String>,
}

impl Delivered {
    /// What no body reported has no text on record. It is told of in the same words by whoever settled it and in every
    /// replay: (1) a step is found in doubt, and the workflow mails what it is told; (2) the worker dies; (3) the replay
    /// tells it something else, and the mail's input is another.
    pub(crate) fn of(outcome: Outcome, value: Option<Vec<u8>>, error: Option<String>) -> Self {
        let is_orphan = matches!(outcome, Outcome::InDoubt | Outcome::Failed(Cause::Crashed));
        let told = || is_orphan.then(|| "the worker died, or lost its lease, while the body ran".to_owned());
        Delivered { outcome, value, error: error.or_else(told) }
    }
}

/// How a body ended, with what it left.
pub(crate) struct StepEnd {
    pub(crate) end: BodyEnd,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) error: Option<String>,
    /// The transaction to commit, if it is to be committed.
    pub(crate) transaction: Option<Box<dyn Transaction>>,
    /// The body failed, and its transaction had been lost to the store's own trouble, which passes: not the body's
    /// doing, so it is no failed attempt. Nothing that it wrote is left, and it is asked for again.
    pub(crate) lost: Option<StoreError>,
}
