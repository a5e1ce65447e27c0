//! A step as a workflow writes it, and as it runs inside the workflow's own task.

use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use futures::FutureExt;
use hydra_protocol::worker::step::{BodyEnd, Plan};
use hydra_protocol::{Backoff, Epoch, Failure, Kind, Outcome, Span, StepNo, Wake};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec;
use crate::names;
use crate::workflow::{
    Attempt, BoxError, Context, Delivered, Host, RetryPolicy, Run, StepEnd, StepError, StepFailure, Tx,
};

/// For a plan without attempts.
pub(crate) const ZERO_BACKOFF: Backoff =
    Backoff { initial: Span::ZERO, cap: Span::ZERO, factor_percent: 100, jitter_percent: 0 };

type IsFinal = Box<dyn Fn(&BoxError) -> bool + Send + Sync>;

/// A step before it has a body.
///
/// | to run it | kind | promise |
/// |---|---|---|
/// | [`StepBuilder::run`] | keyed | the body at least once, the checkpoint once, the effect once at a receiver that honours [`Attempt::idempotency_key`] |
/// | [`StepBuilder::run_at_most_once`] | at most once | the body at most once; a crash in it is [`StepError::InDoubt`] |
/// | [`StepBuilder::run_transactional`] | transactional | what the body writes through [`Tx`], exactly once |
pub struct StepBuilder {
    context: Context,
    name: Arc<str>,
    policy: RetryPolicy,
    timeout: Option<Duration>,
    input: Option<Result<Vec<u8>, String>>,
    is_final: Option<IsFinal>,
}

impl StepBuilder {
    pub(crate) fn new(context: Context, name: Arc<str>) -> Self {
        StepBuilder { context, name, policy: RetryPolicy::default(), timeout: None, input: None, is_final: None }
    }

    /// How often it is tried, and how long it waits in between. Taken when the step first begins; not for at most once.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Cancels a body that takes longer. It may have got anywhere: keyed, it is tried again under the same key; at most
    /// once, it is in doubt.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Keeps what the step was given in the journal, for people who look into it later.
    pub fn input<T: Serialize>(mut self, input: &T) -> Self {
        self.input = Some(codec::encode(input));
        self
    }

    /// Which errors no further attempt can help. Those made by [`StepFailure::fatal`] are final in any case.
    pub fn final_if(mut self, is_final: impl Fn(&BoxError) -> bool + Send + Sync + 'static) -> Self {
        self.is_final = Some(Box::new(is_final));
        self
    }

    /// Runs it as a *keyed* step. `body` is called once an attempt.
    pub fn run<T, F, Fut>(self, mut body: F) -> impl Future<Output = Result<T, StepError>> + Send
    where
        T: Serialize + DeserializeOwned + Send,
        F: FnMut(Attempt) -> Fut + Send,
        Fut: Future<Output = Result<T, StepFailure>> + Send,
    {
        self.drive(Kind::Keyed, move |attempt, _| (body(attempt), None))
    }

    /// Runs it as an *at-most-once* step: `body` is called once, or never.
    pub fn run_at_most_once<T, F, Fut>(self, body: F) -> impl Future<Output = Result<T, StepError>> + Send
    where
        T: Serialize + DeserializeOwned + Send,
        F: FnOnce(Attempt) -> Fut + Send,
        Fut: Future<Output = Result<T, StepFailure>> + Send,
    {
        let mut body = Some(body);
        self.drive(Kind::AtMostOnce, move |attempt, _| {
            // An operator who retries a failed at-most-once step starts the workflow anew, with a new closure.
            let body = body.take().map(|body| body(attempt));
            let future = async move {
                match body {
                    Some(body) => body.await,
                    None => Err(StepFailure::fatal("the body was asked to run twice")),
                }
            };
            (future, None)
        })
    }

    /// Runs it as a *transactional* step: what `body` writes through [`Tx`] is committed together with its checkpoint.
    pub fn run_transactional<T, F, Fut>(self, mut body: F) -> impl Future<Output = Result<T, StepError>> + Send
    where
        T: Serialize + DeserializeOwned + Send,
        F: FnMut(Tx) -> Fut + Send,
        Fut: Future<Output = Result<T, StepFailure>> + Send,
    {
        self.drive(Kind::Transactional, move |_, transaction| {
            let tx = transaction.map(Tx::new);
            let future = tx.clone().map(&mut body);
            let future = async move {
                match future {
                    Some(future) => future.await,
                    None => Err(StepFailure::retryable("the store opened no transaction")),
                }
            };
            (future, tx)
        })
    }

    fn drive<T, M, Fut>(self, kind: Kind, make: M) -> impl Future<Output = Result<T, StepError>> + Send
    where
        T: Serialize + DeserializeOwned + Send,
        M: FnMut(Attempt, Option<Box<dyn crate::store::Transaction>>) -> (Fut, Option<Tx>) + Send,
        Fut: Future<Output = Result<T, StepFailure>> + Send,
    {
        let StepBuilder { context, name, policy, timeout, input, is_final } = self;
        // The host fills in what belongs to the lease and to the step's identity.
        let plan = Plan {
            epoch: Epoch(0),
            kind,
            attempts_max: policy.attempts,
            backoff: policy.backoff,
            salt: 0,
            wake: Wake::After(Span::ZERO),
        };
        let host = context.host;
        if let Err(error) = names::check(names::STEP, &name) {
            host.fail(Failure::Workflow, error.to_string());
        }
        // An input is kept for people only: one that cannot be kept is noted, and stops nothing.
        let input = input.map(|input| match input {
            Ok(input) if input.len() <= host.payload_max() => input,
            Ok(input) => noted(&format!("{} bytes, more than the store takes", input.len())),
            Err(why) => noted(&why),
        });
        let ticket = Ticket { no: host.number(name.clone(), plan, input), host };
        run_step(ticket, name, timeout, is_final, make)
    }
}

fn noted(why: &str) -> Vec<u8> {
    codec::encode(&format!("(an input that cannot be kept: {why})")).unwrap_or_default()
}

/// A step's place in its execution; given back when the workflow drops the step.
struct Ticket {
    no: StepNo,
    host: Arc<dyn Host>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.host.dropped(self.no);
    }
}

async fn run_step<T, M, Fut>(
    ticket: Ticket,
    name: Arc<str>,
    timeout: Option<Duration>,
    is_final: Option<IsFinal>,
    mut make: M,
) -> Result<T, StepError>
where
    T: Serialize + DeserializeOwned + Send,
    M: FnMut(Attempt, Option<Box<dyn crate::store::Transaction>>) -> (Fut, Option<Tx>) + Send,
    Fut: Future<Output = Result<T, StepFailure>> + Send,
{
    loop {
        match poll_fn(|task| ticket.host.poll_next(ticket.no, task)).await {
            Run::Deliver(delivered) => match outcome::<T>(&name, delivered) {
                Ok(result) => return result,
                Err(why) => {
                    let why = format!("the checkpoint of step {} ({name}): {why}", ticket.no.0);
                    ticket.host.fail(Failure::Undecodable, why);
                    // The driver ends the execution, and drops the workflow with this in it.
                    std::future::pending::<()>().await;
                }
            },
            Run::Body { attempt, transaction } => {
                // Making the body is the user's code too, and may panic like the rest of it.
                let made = std::panic::catch_unwind(AssertUnwindSafe(|| make(attempt, transaction)));
                let end = match made {
                    Ok((body, tx)) => body_end(body, tx, timeout, is_final.as_ref(), ticket.host.payload_max()).await,
                    Err(panic) => ended(BodyEnd::Panicked, format!("panicked: {}", codec::panic_text(&*panic))),
                };
                ticket.host.body_ended(ticket.no, end);
            }
        }
    }
}

async fn body_end<T: Serialize + DeserializeOwned>(
    body: impl Future<Output = Result<T, StepFailure>> + Send,
    tx: Option<Tx>,
    timeout: Option<Duration>,
    is_final: Option<&IsFinal>,
    payload_max: usize,
) -> StepEnd {
    let body = AssertUnwindSafe(body).catch_unwind();
    let result = match timeout {
        None => Some(body.await),
        Some(limit) => tokio::time::timeout(limit, body).await.ok(),
    };
    // Whatever the body kept of its transaction is closed; unless it is handed on below, it is rolled back.
    let transaction = match &tx {
        Some(tx) => tx.close().await,
        None => None,
    };
    let Some(result) = result else {
        let limit = timeout.unwrap_or_default();
        return ended(BodyEnd::TimedOut, format!("cancelled after {} ms", limit.as_millis()));
    };
    let value = match result {
        Err(panic) => return ended(BodyEnd::Panicked, format!("panicked: {}", codec::panic_text(&*panic))),
        Ok(Err(failure)) => {
            let retryable = failure.retryable && !is_final.is_some_and(|is_final| is_final(&failure.error));
            let lost = tx.as_ref().and_then(Tx::lost);
            return StepEnd { lost, ..ended(BodyEnd::Error { retryable }, failure.error.to_string()) };
        }
        Ok(Ok(value)) => value,
    };
    // Read back what will be stored: the live run too sees its result through the checkpoint's encoding, and what
    // cannot be read back is found out now rather than at a replay.
    let encoded = match codec::encode(&value) {
        Err(why) => return ended(BodyEnd::Unencodable, why),
        Ok(encoded) if encoded.len() > payload_max => {
            let why = format!("the result has {} bytes; the store takes {payload_max}", encoded.len());
            return ended(BodyEnd::Unencodable, why);
        }
        Ok(encoded) => encoded,
    };
    if let Err(why) = codec::decode::<T>(&encoded) {
        return ended(BodyEnd::Unencodable, format!("the result cannot be read back: {why}"));
    }
    StepEnd { end: BodyEnd::Returned, value: Some(encoded), error: None, transaction, lost: None }
}

fn ended(end: BodyEnd, error: String) -> StepEnd {
    StepEnd { end, value: None, error: Some(codec::error_text(error)), transaction: None, lost: None }
}

/// A durable outcome, as the workflow sees it; or why the checkpoint cannot be decoded.
fn outcome<T: DeserializeOwned>(name: &str, delivered: Delivered) -> Result<Result<T, StepError>, String> {
    let step = name.to_owned();
    let message = delivered.error.unwrap_or_default();
    match delivered.outcome {
        Outcome::Succeeded => match delivered.value {
            None => Err("the checkpoint is missing".to_owned()),
            Some(value) => codec::decode(&value).map(Ok),
        },
        Outcome::Failed(cause) => Ok(Err(StepError::Failed { step, cause, message })),
        Outcome::Unencodable => Ok(Err(StepError::Unencodable { step, message })),
        Outcome::InDoubt => Ok(Err(StepError::InDoubt { step, message })),
        Outcome::Fired => Err("the journal has a timer here".to_owned()),
    }
}

/// A durable timer inside a workflow.
pub(crate) struct TimerFuture(Ticket);

impl TimerFuture {
    pub(crate) fn new(host: Arc<dyn Host>, plan: Plan) -> Self {
        TimerFuture(Ticket { no: host.number("sleep".into(), plan, None), host })
    }
}

impl Future for TimerFuture {
    type Output = ();

    fn poll(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<()> {
        self.0.host.poll_next(self.0.no, task).map(|_| ())
    }
}
