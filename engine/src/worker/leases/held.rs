//! The leases that a worker holds, shared between the heartbeats, which lose them, the drives, which must stop then, and
//! whoever ends a drive.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::task::{Context, Poll, Waker};

use hydra_protocol::worker::lease::{Duty, LeaseClock};
use hydra_protocol::{Span, Time};

use crate::sync::{Mutex, MutexGuard};

/// Leases by their key. All times are the worker's own clock's.
#[derive(Debug)]
pub struct Held<K> {
    leases: Mutex<BTreeMap<K, Lease>>,
}

#[derive(Debug)]
struct Lease {
    clock: LeaseClock,
    /// Who drives under it, and waits for its loss.
    driver: Option<Waker>,
}

/// What the heartbeats have to do.
#[derive(Debug)]
pub struct Duties<K> {
    /// To be renewed now.
    pub beat: Vec<K>,
    /// Over, and let go.
    pub over: Vec<K>,
    /// When to look again.
    pub next: Option<Time>,
}

impl<K: Copy + Ord> Held<K> {
    /// None.
    pub fn new() -> Self {
        Held { leases: Mutex::new(BTreeMap::new()) }
    }

    /// Takes up a lease.
    pub fn hold(&self, key: K, clock: LeaseClock) {
        self.lock().insert(key, Lease { clock, driver: None });
    }

    /// Forgets a lease whose drive is done: it is renewed no more.
    pub fn release(&self, key: &K) {
        self.lock().remove(key);
    }

    /// Ready when the lease is gone, or has to be taken for gone at `now`.
    ///
    /// Looks at the clock at every poll and does not wait to be told: (1) the machine sleeps in the middle of W, and
    /// wakes when the lease is long over; (2) W's task runs before the heartbeats' task does: it must not begin a body.
    pub fn poll_lost(&self, key: &K, now: Time, context: &Context<'_>) -> Poll<()> {
        match self.lock().get_mut(key) {
            Some(lease) if lease.clock.duty(now) != Duty::Stop => {
                lease.driver = Some(context.waker().clone());
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }

    /// What is to be renewed at `now`, each for `lease`. What is over is let go.
    ///
    /// With one lease due, all that would be due within another sixth of their time are renewed as well: one round trip
    /// for all of them.
    pub fn duties(&self, now: Time, lease: Span) -> Duties<K> {
        let mut leases = self.lock();
        let stop = |held: &Lease| held.clock.duty(now) == Duty::Stop;
        let over: Vec<_> = leases.iter().filter(|(_, held)| stop(held)).map(|(key, _)| *key).collect();
        let gone: Vec<_> = over.iter().filter_map(|key| leases.remove(key)).collect();
        let mut beat = Vec::new();
        if leases.values().any(|held| held.clock.duty(now) == Duty::Beat) {
            let soon = now + Span::from_millis(lease.as_millis() / 6);
            for (key, held) in leases.iter_mut() {
                if held.clock.duty(soon) != Duty::Hold {
                    held.clock.beat_sent(now, lease);
                    beat.push(*key);
                }
            }
        }
        let next = leases.values().map(|held| held.clock.beat_at.min(held.clock.stop_at)).min();
        drop(leases);
        gone.into_iter().for_each(Lease::tell);
        Duties { beat, over, next }
    }

    /// When the first of them must be given up if it is not renewed before.
    pub fn earliest_stop(&self) -> Option<Time> {
        self.lock().values().map(|held| held.clock.stop_at).min()
    }

    /// A heartbeat sent at `sent_at` was answered. One that was released meanwhile stays so.
    pub fn renewed(&self, key: &K, sent_at: Time, span: Span) {
        if let Some(held) = self.lock().get_mut(key) {
            held.clock.renewed(sent_at, span);
        }
    }

    /// Heartbeats came to nothing: again at `now`.
    pub fn beat_again(&self, keys: &[K], now: Time) {
        let mut leases = self.lock();
        for key in keys {
            if let Some(held) = leases.get_mut(key) {
                held.clock.beat_at = now;
            }
        }
    }

    /// The store says that it is gone.
    pub fn let_go(&self, key: &K) {
        let gone = self.lock().remove(key);
        gone.into_iter().for_each(Lease::tell);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<K, Lease>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// Tells who drives under it that it is gone.
    fn tell(self) {
        if let Some(driver) = self.driver {
            driver.wake();
        }
    }
}
