//! Drives one execution: a shell around the core's machines.
//!
//! The workflow's future and all of its bodies run inside this one task. The shell polls it, feeds each step's machine
//! with what happened, carries out what the machine says, and hands over outcomes one at a time: after each it polls
//! the workflow until it can do no more, so that what it does depends on the order of outcomes and on nothing else.

mod asks;
mod host;
mod poll;

use std::sync::Arc;
use std::time::Duration;

use hydra_protocol::worker::drive::{Action, Event, Phase};
use hydra_protocol::worker::step::Stop;
use hydra_protocol::{Ending, Protocol, Rejection, Reply, Span, Time};
use tokio::sync::watch;
use tracing::{debug, info, warn};

use crate::store::{Claimed, ExecutionKey, Payload, Store, StoreError};
use crate::workflow::{Context, Registry, WorkflowEnd};
use asks::{Asked, Question, ask};
use host::DriveHost;
use poll::{Polled, Poller};

/// How long to wait before a question whose answer was lost is asked again.
pub(super) const ASK_AGAIN: Duration = Duration::from_millis(20);

/// What a drive needs of its worker.
#[derive(Clone)]
pub(super) struct Shop {
    pub(super) store: Arc<dyn Store>,
    pub(super) rules: &'static dyn Protocol,
    pub(super) registry: Arc<Registry>,
    /// A wait of at most this is sat out under the lease; a longer one gives it back.
    pub(super) hold: Span,
    /// Turns true when the worker shuts down: begin nothing new.
    pub(super) draining: watch::Receiver<bool>,
    /// Turns true when the grace period is over: cancel what still runs.
    pub(super) expelled: watch::Receiver<bool>,
}

/// How a drive ended, for logs and metrics.
#[derive(Debug)]
pub(super) enum Driven {
    /// The execution has ended.
    Ended(Ending),
    /// It was given back.
    Released,
    /// The lease is gone, or the store refused.
    Stopped(Stop),
    /// The store failed in a way that does not pass; the lease will end, and the execution be claimed again.
    Failed(StoreError),
}

/// Drives a claimed execution until it ends, waits for something far off, or its lease is gone (`lost`).
pub(super) async fn drive(
    shop: Shop,
    claimed: Claimed,
    claimed_at: Time,
    lost: impl Future<Output = ()> + Send,
) -> Driven {
    let (key, id, epoch) = (claimed.key, claimed.id.clone(), claimed.epoch);
    let work = async {
        let mut phase = Phase::Driving;
        let (event, payload) = run(&shop, claimed, claimed_at).await?;
        let (next, mut action) = shop.rules.drive_next(epoch, phase, event);
        phase = next;
        loop {
            match action {
                Action::Nothing => return Ok(Driven::Released),
                Action::Done(Reply::Ended(ending)) => return Ok(Driven::Ended(ending)),
                Action::Done(_) => return Ok(Driven::Released),
                Action::Stop(stop) => return Err(Halt::Stopped(stop)),
                Action::Ask(command) => {
                    let question = Question { key, step: None, command, payload: payload.clone() };
                    let event = match ask(shop.store.clone(), question).await {
                        Asked::Answered(answer) => Event::Answer(answer.decision),
                        Asked::Refused(error) => return Err(Halt::Failed(error)),
                        Asked::Lost(error) => {
                            debug!(%error, ?command, "no answer; asking again");
                            tokio::time::sleep(ASK_AGAIN).await;
                            Event::Lost
                        }
                        // Only a step's transaction is opened or rolled back.
                        Asked::Opened(_) | Asked::RolledBack(_) => Event::Lost,
                    };
                    (phase, action) = shop.rules.drive_next(epoch, phase, event);
                }
            }
        }
    };
    let driven = tokio::select! {
        biased;
        () = lost => Driven::Stopped(Stop::LeaseLost),
        result = work => match result {
            Ok(driven) => driven,
            Err(Halt::Stopped(stop)) => Driven::Stopped(stop),
            Err(Halt::Failed(error)) => Driven::Failed(error),
        },
    };
    match &driven {
        Driven::Ended(ending) => info!(execution = %id, epoch = epoch.0, ?ending, "ended"),
        Driven::Released => debug!(execution = %id, epoch = epoch.0, "given back"),
        Driven::Stopped(Stop::Rejected(Rejection::Ended(ending))) => {
            info!(execution = %id, epoch = epoch.0, ?ending, "ended by somebody else");
        }
        Driven::Stopped(stop) => warn!(execution = %id, epoch = epoch.0, ?stop, "stopped; another worker goes on"),
        Driven::Failed(error) => {
            warn!(execution = %id, epoch = epoch.0, %error, "the store failed; it is tried again when the lease ends");
        }
    }
    driven
}

/// Why a drive goes no further.
enum Halt {
    Stopped(Stop),
    Failed(StoreError),
}

/// Runs the workflow until there is something to tell the store about the execution as a whole.
async fn run(shop: &Shop, claimed: Claimed, claimed_at: Time) -> Result<(Event, Payload), Halt> {
    let Claimed { key, id, workflow, input, epoch, journal, .. } = claimed;
    let host = Arc::new(DriveHost::new(id, epoch, shop.rules, shop.store.payload_max(), journal));
    let context = Context { host: host.clone() };
    let Some(future) = shop.registry.instantiate(&workflow, context, input) else {
        // Claimed by name, so this cannot be; another worker may know it.
        return Err(Halt::Stopped(Stop::Rejected(Rejection::UnknownWorkflow)));
    };
    let mut poller = Poller::new(shop, key, host, future, claimed_at);
    let mut expelled = shop.expelled.clone();
    let polled = tokio::select! {
        biased;
        _ = expelled.wait_for(|expelled| *expelled) => Polled::Drained,
        polled = poller.run() => polled,
    };
    match polled {
        Polled::Ended(WorkflowEnd { ending, output, error }) => {
            Ok((Event::Ended(ending), Payload { workflow: None, value: output, error }))
        }
        Polled::Blocked(wake) => Ok((Event::Blocked { wake }, Payload::default())),
        // The worker shuts down. What is open stays open, and is taken up by whoever claims the execution next.
        Polled::Drained => Ok((Event::Shutdown, Payload::default())),
        Polled::Stopped(stop) => Err(Halt::Stopped(stop)),
        Polled::Failed(error) => Err(Halt::Failed(error)),
    }
}

/// For logs: which execution.
impl std::fmt::Display for ExecutionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "#{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::ExecutionKey;

    #[test]
    fn logs_and_reports_name_an_execution_by_its_key() {
        assert_eq!(ExecutionKey(7).to_string(), "#7");
    }
}
