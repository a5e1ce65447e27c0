//! All leases of a worker: one heartbeat for all of them, and the word to stop when one is gone.

mod held;
#[cfg(all(test, not(loom)))]
mod tests;

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use hydra_protocol::{Epoch, Protocol, Reply, Span, Time};
use tokio::time::Instant;
use tracing::{debug, warn};

use crate::bell::Bell;
use crate::store::{ExecutionKey, HeartbeatRequest, Store};
use held::{Duties, Held};

/// The leases that a worker holds, as far as it knows.
pub(super) struct Leases {
    rules: &'static dyn Protocol,
    lease: Span,
    /// The zero of this worker's own clock, which only measures leases.
    origin: Instant,
    held: Held<ExecutionKey>,
    /// Rings when a lease is taken up.
    taken: Bell,
}

/// One lease. Dropped, it is no longer renewed.
pub(super) struct Lease {
    leases: Arc<Leases>,
    key: (ExecutionKey, Epoch),
}

impl Lease {
    /// Resolves when the lease is gone, or has to be taken for gone. Awaited by one at a time.
    pub(super) fn lost(&self) -> impl Future<Output = ()> + Send + use<> {
        let (leases, key) = (Arc::clone(&self.leases), self.key);
        poll_fn(move |task| leases.held.poll_lost(&key, leases.now(), task))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.leases.held.release(&self.key);
    }
}

impl Leases {
    pub(super) fn new(rules: &'static dyn Protocol, lease: Span) -> Arc<Self> {
        Arc::new(Leases { rules, lease, origin: Instant::now(), held: Held::new(), taken: Bell::new() })
    }

    /// This worker's own clock.
    pub(super) fn now(&self) -> Time {
        Time::from_millis(u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// Takes up a lease that was asked for at `sent_at` and granted for `span`.
    pub(super) fn hold(self: &Arc<Self>, key: ExecutionKey, epoch: Epoch, sent_at: Time, span: Span) -> Lease {
        let key = (key, epoch);
        self.held.hold(key, self.rules.lease_clock(sent_at, span));
        self.taken.ring();
        Lease { leases: Arc::clone(self), key }
    }

    /// Renews what is due and lets go of what is over, for ever.
    pub(super) async fn beat(self: Arc<Self>, store: Arc<dyn Store>) {
        loop {
            let (taken, now) = (self.taken.rings(), self.now());
            let Duties { beat, over, next } = self.held.duties(now, self.lease);
            for key in over {
                warn!(execution = %key.0, epoch = key.1.0, "lease not renewed in time; stopping before it ends");
            }
            if beat.is_empty() {
                let until = next.map_or(Duration::from_secs(3_600), |next| millis(next.since(now)));
                tokio::select! {
                    biased;
                    () = tokio::time::sleep(until) => {}
                    () = self.taken.rung_since(taken) => {}
                }
                continue;
            }
            // The answer may take long, or never come; the leases end meanwhile all the same.
            let request = HeartbeatRequest { leases: beat.clone(), lease: self.lease };
            let stop_at = self.held.earliest_stop().unwrap_or(now);
            let answer = tokio::time::timeout(millis(stop_at.since(now)), store.heartbeat(request)).await;
            match answer {
                Ok(Ok(heartbeats)) => {
                    for (key, decision) in beat.into_iter().zip(heartbeats.decisions) {
                        match decision {
                            Ok(Reply::Renewed { lease }) => self.held.renewed(&key, now, lease),
                            Ok(reply) => {
                                warn!(execution = %key.0, ?reply, "no answer to a heartbeat; letting go");
                                self.held.let_go(&key);
                            }
                            Err(rejection) => {
                                debug!(execution = %key.0, epoch = key.1.0, %rejection, "lease gone");
                                self.held.let_go(&key);
                            }
                        }
                    }
                }
                Ok(Err(error)) => {
                    warn!(%error, leases = beat.len(), "heartbeat failed; trying again");
                    // Soon, since the leases go on ending; not at once, since the store has troubles of its own.
                    tokio::time::sleep(millis(Span::from_millis(self.lease.as_millis() / 20))).await;
                    self.held.beat_again(&beat, self.now());
                }
                Err(_) => {
                    warn!(leases = beat.len(), "heartbeat not answered in time");
                    self.held.beat_again(&beat, self.now());
                }
            }
        }
    }
}

/// At least one: a wait of nothing would spin.
fn millis(span: Span) -> Duration {
    Duration::from_millis(span.as_millis().max(1))
}
