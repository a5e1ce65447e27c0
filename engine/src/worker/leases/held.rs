//! The leases that a worker holds, shared between the heartbeats, which lose them, the drives, which must stop then, and
//! whoever ends a drive.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::task::{Context, Poll, Waker};

use hydra_protocol::worker::lease::{Duty, LeaseClock};
use hydra_protocol::{Epoch, Span, Time};

use crate::sync::{Mutex, MutexGuard};

/// Leases by execution and epoch. All times are the worker's own clock's.
#[derive(Debug)]
pub struct Held<K> {
    leases: Mutex<BTreeMap<(K, Epoch), Lease>>,
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
    pub beat: Vec<(K, Epoch)>,
    /// Over, and let go.
    pub over: Vec<(K, Epoch)>,
    /// When to look again.
    pub next: Option<Time>,
}

impl<K: Copy + Ord> Held<K> {
    /// None.
    pub fn new() -> Self {
        Held { leases: Mutex::new(BTreeMap::new()) }
    }

    /// Takes up a lease, and lets go of those of the same execution under older epochs.
    ///
    /// A worker can claim what it drives itself: (1) W claims X, epoch 1, and its drive begins the body of s; (2) the
    /// store's clock jumps past the lease's end; (3) W claims X again, epoch 2, and a second drive begins the body of s;
    /// (4) the first drive runs its body beside it until W's next heartbeat for epoch 1 is refused, a third of a lease
    /// later.
    pub fn hold(&self, key: (K, Epoch), clock: LeaseClock) {
        let mut leases = self.lock();
        let older: Vec<_> = leases.range((key.0, Epoch(0))..key).map(|(key, _)| *key).collect();
        let gone: Vec<_> = older.iter().filter_map(|key| leases.remove(key)).collect();
        leases.insert(key, Lease { clock, driver: None });
        drop(leases);
        gone.into_iter().for_each(Lease::tell);
    }

    /// Forgets a lease whose drive is done: it is renewed no more.
    pub fn release(&self, key: &(K, Epoch)) {
        self.lock().remove(key);
    }

    /// Ready when the lease is gone, or has to be taken for gone at `now`.
    ///
    /// Looks at the clock at every poll and does not wait to be told: (1) the machine sleeps in the middle of W, and
    /// wakes when the lease is long over; (2) W's task runs before the heartbeats' task does: it must not begin a body.
    pub fn poll_lost(&self, key: &(K, Epoch), now: Time, context: &Context<'_>) -> Poll<()> {
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
    pub fn renewed(&self, key: &(K, Epoch), sent_at: Time, span: Span) {
        if let Some(held) = self.lock().get_mut(key) {
            held.clock.renewed(sent_at, span);
        }
    }

    /// Heartbeats came to nothing: again at `now`.
    pub fn beat_again(&self, keys: &[(K, Epoch)], now: Time) {
        let mut leases = self.lock();
        for key in keys {
            if let Some(held) = leases.get_mut(key) {
                held.clock.beat_at = now;
            }
        }
    }

    /// The store says that it is gone.
    pub fn let_go(&self, key: &(K, Epoch)) {
        let gone = self.lock().remove(key);
        gone.into_iter().for_each(Lease::tell);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(K, Epoch), Lease>> {
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

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Told(AtomicBool);

    impl Wake for Told {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    const LEASE: Span = Span::from_millis(90);
    const NOW: Time = Time::from_millis(1);

    /// A drive that waits for the loss of its lease; whether it was told of it.
    fn drive(held: &Held<u32>, key: (u32, Epoch)) -> Arc<Told> {
        held.hold(key, LeaseClock::granted(Time::from_millis(0), LEASE));
        let told = Arc::<Told>::default();
        let waker = Waker::from(Arc::clone(&told));
        assert!(held.poll_lost(&key, NOW, &Context::from_waker(&waker)).is_pending());
        told
    }

    #[test]
    fn a_lease_of_an_execution_that_is_held_already_stops_the_older_drive_at_once() {
        let held = Held::new();
        let (older, neighbour) = (drive(&held, (7, Epoch(1))), drive(&held, (6, Epoch(9))));
        let newer = drive(&held, (7, Epoch(2)));
        let told = |told: &Told| told.0.load(Ordering::SeqCst);
        assert!(told(&older), "the older drive goes on until its heartbeat is refused");
        assert!(!told(&newer) && !told(&neighbour));
        let context = Context::from_waker(Waker::noop());
        assert!(held.poll_lost(&(7, Epoch(1)), NOW, &context).is_ready());
        assert!(held.poll_lost(&(7, Epoch(2)), NOW, &context).is_pending());
        assert!(held.poll_lost(&(6, Epoch(9)), NOW, &context).is_pending());
    }

    #[test]
    fn the_end_of_the_older_drive_leaves_the_newer_lease_alone() {
        let held = Held::new();
        drive(&held, (7, Epoch(1)));
        drive(&held, (7, Epoch(2)));
        held.release(&(7, Epoch(1)));
        let duties = held.duties(Time::from_millis(30), LEASE);
        assert_eq!(duties.beat, [(7, Epoch(2))], "and no heartbeat asks for the older one any more");
    }
}
