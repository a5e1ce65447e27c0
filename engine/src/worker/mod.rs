//! A worker: claims what is due, drives it, renews its leases, and gives back what it cannot finish.

mod config;
mod drive;
mod leases;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hydra_protocol::{Ending, Span};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tracing::{Instrument, debug, info, info_span, warn};

pub use config::{ConfigError, WorkerBuilder};

use crate::codec::span;
use crate::store::{ClaimRequest, Claims, Store};
use drive::{Driven, Shop};
use leases::Leases;

/// Executions claimed in one go at most: what one transaction writes is bounded.
const CLAIM_MAX: usize = 256;

/// How long free slots wait for others at most, before more is claimed.
const GATHER_MAX: Duration = Duration::from_millis(5);

/// A running worker.
///
/// Dropped, it stops at once, as if its process had died: what it drove goes on elsewhere when its leases end. Call
/// [`Worker::shutdown`] to end it in good order.
pub struct Worker {
    draining: watch::Sender<bool>,
    expelled: watch::Sender<bool>,
    pump: Option<JoinHandle<()>>,
}

impl Worker {
    /// A worker on this store, to be set up.
    pub fn builder(store: Arc<dyn Store>) -> WorkerBuilder {
        WorkerBuilder::new(store)
    }

    fn spawn(config: WorkerBuilder, workflows: Vec<String>, lease: Span) -> Self {
        let (draining, see_draining) = watch::channel(false);
        let (expelled, see_expelled) = watch::channel(false);
        let pump = Pump {
            request: ClaimRequest {
                worker: config.name.as_str().into(),
                namespace: config.namespace.as_str().into(),
                workflows: workflows.into(),
                limit: 0,
                lease,
            },
            slots: Arc::new(Semaphore::new(config.concurrency.min(Semaphore::MAX_PERMITS))),
            leases: Leases::new(config.rules, lease),
            poll: config.poll,
            shop: Shop {
                store: config.store,
                rules: config.rules,
                registry: Arc::new(config.registry),
                hold: span(config.hold),
                draining: see_draining,
                expelled: see_expelled,
            },
        };
        let worker = info_span!("worker", name = %config.name);
        Worker { draining, expelled, pump: Some(tokio::spawn(pump.run().instrument(worker))) }
    }

    /// Stops claiming, lets the bodies that run come to their end, and gives every lease back. Heartbeats go on
    /// meanwhile. After `grace`, what still runs is cancelled; its leases are given back too.
    pub async fn shutdown(mut self, grace: Duration) {
        self.draining.send_replace(true);
        let Some(mut pump) = self.pump.take() else {
            return;
        };
        if tokio::time::timeout(grace, &mut pump).await.is_err() {
            warn!(grace_ms = grace.as_millis(), "bodies still run after the grace period; cancelling them");
            self.expelled.send_replace(true);
            if tokio::time::timeout(EXPULSION, &mut pump).await.is_err() {
                warn!("the store does not take the leases back; they will end by themselves");
                pump.abort();
            }
        }
    }
}

/// How long giving the leases back may take once the bodies are cancelled.
const EXPULSION: Duration = Duration::from_secs(5);

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(pump) = self.pump.take() {
            pump.abort();
        }
    }
}

/// The worker's main task. The drives are its children, and end with it.
struct Pump {
    request: ClaimRequest,
    slots: Arc<Semaphore>,
    leases: Arc<Leases>,
    poll: Duration,
    shop: Shop,
}

impl Pump {
    async fn run(self) {
        let mut heartbeats = JoinSet::new();
        heartbeats.spawn(self.leases.clone().beat(self.shop.store.clone()));
        let mut drives = JoinSet::new();
        let mut draining = self.shop.draining.clone();
        let due_changed = self.shop.store.due_changed();
        info!(workflows = ?self.request.workflows, "started");
        let mut took = Duration::ZERO;
        loop {
            while let Some(driven) = drives.try_join_next() {
                self.note(driven);
            }
            if *draining.borrow() {
                break;
            }
            // Noted before the claim looks: a start that comes in between is not missed.
            let rings = due_changed.rings();
            let limit = self.slots.available_permits().min(CLAIM_MAX);
            let wait = if limit == 0 {
                None
            } else {
                let asked = Instant::now();
                let wait = self.claim(limit, &mut drives).await;
                took = asked.elapsed();
                Some(wait)
            };
            // `biased`, here and wherever else something is waited for: the order of the branches decides when several are
            // ready, and no dice of the runtime's, so that a simulated run is the same each time.
            match wait {
                // There may be more.
                Some(Duration::ZERO) => tokio::task::yield_now().await,
                Some(wait) => tokio::select! {
                    biased;
                    () = tokio::time::sleep(wait) => {}
                    () = due_changed.rung_since(rings) => {}
                    _ = draining.changed() => {}
                },
                // Full: until a drive is done.
                None => tokio::select! {
                    biased;
                    Some(driven) = drives.join_next() => {
                        self.note(driven);
                        self.gather(took.min(GATHER_MAX), &mut drives, &mut draining).await;
                    }
                    _ = draining.changed() => {}
                },
            }
        }
        while let Some(driven) = drives.join_next().await {
            self.note(driven);
        }
        info!("stopped");
    }

    /// Waits for more drives to be done: to claim for one slot costs about as much as for all of them. No longer than a
    /// claim takes, so that a slot is filled at most twice as late as without.
    async fn gather(&self, time: Duration, drives: &mut JoinSet<Driven>, draining: &mut watch::Receiver<bool>) {
        let mut over = pin!(tokio::time::sleep(time));
        loop {
            tokio::select! {
                biased;
                driven = drives.join_next() => match driven {
                    Some(driven) => self.note(driven),
                    None => return,
                },
                () = &mut over => return,
                _ = draining.changed() => return,
            }
        }
    }

    /// Claims and spawns drives. How long until it is worth looking again.
    async fn claim(&self, limit: usize, drives: &mut JoinSet<Driven>) -> Duration {
        let sent_at = self.leases.now();
        let request = ClaimRequest { limit, ..self.request.clone() };
        // Longer than a lease it makes no sense to wait: whatever was claimed is gone.
        let lease = Duration::from_millis(self.request.lease.as_millis());
        let claims = match tokio::time::timeout(lease, self.shop.store.claim(request)).await {
            Ok(Ok(claims)) => claims,
            Ok(Err(error)) => {
                warn!(%error, "cannot claim; trying again");
                return self.poll;
            }
            Err(_) => {
                warn!("the store does not answer a claim; trying again");
                return self.poll;
            }
        };
        let Claims { claimed, ended, now, next_due } = claims;
        let found = claimed.len() + ended;
        metrics::counter!("hydra_claims_total").increment(claimed.len() as u64);
        for claimed in claimed {
            let Ok(slot) = self.slots.clone().try_acquire_owned() else {
                // More than asked for: left alone, it comes back when its lease ends.
                break;
            };
            let lease = self.leases.hold(claimed.key, claimed.epoch, sent_at, claimed.lease);
            let shop = self.shop.clone();
            let execution = info_span!("execution", id = %claimed.id, epoch = claimed.epoch.0);
            drives.spawn(
                async move {
                    let lost = lease.lost();
                    let driven = drive::drive(shop, claimed, now, lost).await;
                    drop((lease, slot));
                    driven
                }
                .instrument(execution),
            );
        }
        match next_due {
            _ if found >= limit => Duration::ZERO,
            Some(due) => Duration::from_millis(due.since(now).as_millis().max(1)).min(self.poll),
            None => self.poll,
        }
    }

    fn note(&self, driven: Result<Driven, tokio::task::JoinError>) {
        let outcome = match driven {
            Ok(Driven::Ended(Ending::Succeeded)) => "succeeded",
            Ok(Driven::Ended(Ending::Failed(_))) => "failed",
            Ok(Driven::Ended(Ending::Cancelled)) => "cancelled",
            Ok(Driven::Released) => "released",
            Ok(Driven::Stopped(_)) => "stopped",
            Ok(Driven::Failed(_)) => "store_failed",
            Err(error) => {
                // A panic of ours; those of users are caught where they happen.
                warn!(%error, "a drive died; its lease will end and the execution be claimed again");
                "died"
            }
        };
        debug!(outcome, "drive done");
        metrics::counter!("hydra_drives_total", "outcome" => outcome).increment(1);
    }
}
