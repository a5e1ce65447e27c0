//! All leases of a worker: one heartbeat for all of them, and the word to stop when one is gone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hydra_protocol::worker::lease::{Duty, LeaseClock};
use hydra_protocol::{Epoch, Protocol, Reply, Span, Time};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use tracing::{debug, warn};

use crate::store::{ExecutionKey, HeartbeatRequest, Store};

/// The leases that a worker holds, as far as it knows.
pub(super) struct Leases {
    rules: &'static dyn Protocol,
    lease: Span,
    /// The zero of this worker's own clock, which only measures leases.
    origin: Instant,
    held: Mutex<BTreeMap<(ExecutionKey, Epoch), Held>>,
    changed: Notify,
}

struct Held {
    clock: LeaseClock,
    /// Dropped or sent to when the lease is gone.
    lost: Option<oneshot::Sender<()>>,
}

/// One lease. Dropped, it is no longer renewed.
pub(super) struct Lease {
    leases: Arc<Leases>,
    key: (ExecutionKey, Epoch),
    lost: Option<oneshot::Receiver<()>>,
}

impl Lease {
    /// Resolves when the lease is gone. Without a further call it never resolves again.
    pub(super) fn lost(&mut self) -> impl Future<Output = ()> + Send + use<> {
        let lost = self.lost.take();
        async move {
            match lost {
                Some(lost) => {
                    let _ = lost.await;
                }
                None => std::future::pending().await,
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.leases.held().remove(&self.key);
    }
}

impl Leases {
    pub(super) fn new(rules: &'static dyn Protocol, lease: Span) -> Arc<Self> {
        Arc::new(Leases {
            rules,
            lease,
            origin: Instant::now(),
            held: Mutex::new(BTreeMap::new()),
            changed: Notify::new(),
        })
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<(ExecutionKey, Epoch), Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This worker's own clock.
    pub(super) fn now(&self) -> Time {
        Time::from_millis(u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// Takes up a lease that was asked for at `sent_at` and granted for `span`.
    pub(super) fn hold(self: &Arc<Self>, key: ExecutionKey, epoch: Epoch, sent_at: Time, span: Span) -> Lease {
        let (tell, lost) = oneshot::channel();
        let held = Held { clock: self.rules.lease_clock(sent_at, span), lost: Some(tell) };
        self.held().insert((key, epoch), held);
        self.changed.notify_one();
        Lease { leases: Arc::clone(self), key: (key, epoch), lost: Some(lost) }
    }

    /// Renews what is due and lets go of what is over, for ever.
    pub(super) async fn beat(self: Arc<Self>, store: Arc<dyn Store>) {
        loop {
            let now = self.now();
            let (beat, next) = self.due(now);
            if beat.is_empty() {
                let until = next.map_or(Duration::from_secs(3_600), |next| millis(next.since(now)));
                tokio::select! {
                    biased;
                    () = tokio::time::sleep(until) => {}
                    () = self.changed.notified() => {}
                }
                continue;
            }
            // The answer may take long, or never come; the leases end meanwhile all the same.
            let request = HeartbeatRequest { leases: beat.clone(), lease: self.lease };
            let stop_at = self.earliest_stop().unwrap_or(now);
            let answer = tokio::time::timeout(millis(stop_at.since(now)), store.heartbeat(request)).await;
            match answer {
                Ok(Ok(heartbeats)) => {
                    for (key, decision) in beat.into_iter().zip(heartbeats.decisions) {
                        match decision {
                            Ok(Reply::Renewed { lease }) => {
                                if let Some(held) = self.held().get_mut(&key) {
                                    held.clock.renewed(now, lease);
                                }
                            }
                            Ok(reply) => {
                                warn!(execution = %key.0, ?reply, "no answer to a heartbeat; letting go");
                                self.let_go(key);
                            }
                            Err(rejection) => {
                                debug!(execution = %key.0, epoch = key.1.0, %rejection, "lease gone");
                                self.let_go(key);
                            }
                        }
                    }
                }
                Ok(Err(error)) => {
                    warn!(%error, leases = beat.len(), "heartbeat failed; trying again");
                    // Soon, since the leases go on ending; not at once, since the store has troubles of its own.
                    tokio::time::sleep(millis(Span::from_millis(self.lease.as_millis() / 20))).await;
                    self.beat_again(&beat);
                }
                Err(_) => {
                    warn!(leases = beat.len(), "heartbeat not answered in time");
                    self.beat_again(&beat);
                }
            }
        }
    }

    /// What is to be renewed now, and when to look again. What is over is let go.
    ///
    /// With one lease due, all that would be due within another third of their time are renewed as well: one round
    /// trip for all of them.
    fn due(&self, now: Time) -> (Vec<(ExecutionKey, Epoch)>, Option<Time>) {
        let mut held = self.held();
        held.retain(|key, held| {
            let over = held.clock.duty(now) == Duty::Stop;
            if over {
                warn!(execution = %key.0, epoch = key.1.0, "lease not renewed in time; stopping before it ends");
                tell(held);
            }
            !over
        });
        let mut beat = Vec::new();
        if held.values().any(|held| held.clock.duty(now) == Duty::Beat) {
            let soon = now + Span::from_millis(self.lease.as_millis() / 6);
            for (key, held) in held.iter_mut() {
                if held.clock.duty(soon) != Duty::Hold {
                    held.clock.beat_sent(now, self.lease);
                    beat.push(*key);
                }
            }
        }
        let next = held.values().map(|held| held.clock.beat_at.min(held.clock.stop_at)).min();
        (beat, next)
    }

    fn earliest_stop(&self) -> Option<Time> {
        self.held().values().map(|held| held.clock.stop_at).min()
    }

    fn beat_again(&self, keys: &[(ExecutionKey, Epoch)]) {
        let now = self.now();
        let mut held = self.held();
        for key in keys {
            if let Some(held) = held.get_mut(key) {
                held.clock.beat_at = now;
            }
        }
    }

    fn let_go(&self, key: (ExecutionKey, Epoch)) {
        if let Some(mut held) = self.held().remove(&key) {
            tell(&mut held);
        }
    }
}

fn tell(held: &mut Held) {
    if let Some(lost) = held.lost.take() {
        // The drive may be gone already.
        let _ = lost.send(());
    }
}

/// At least one: a wait of nothing would spin.
fn millis(span: Span) -> Duration {
    Duration::from_millis(span.as_millis().max(1))
}
