//! What the guard of the leases does at which time, by the worker's own clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use hydra_protocol::worker::lease::LeaseClock;
use hydra_protocol::{Epoch, Span, Time};

use super::held::Held;

/// Renewed after 30 ms, given up after 81.
const LEASE: Span = Span::from_millis(90);

fn at(ms: u64) -> Time {
    Time::from_millis(ms)
}

fn granted(ms: u64) -> LeaseClock {
    LeaseClock::granted(at(ms), LEASE)
}

#[test]
fn what_is_released_is_held_no_longer() {
    let (held, key) = (Held::new(), (7, Epoch(1)));
    held.hold(key, granted(0));
    assert_eq!(held.earliest_stop(), Some(at(81)));
    held.release(&key);
    let duties = held.duties(at(30), LEASE);
    assert!(duties.beat.is_empty() && duties.over.is_empty() && duties.next.is_none(), "{duties:?}");
    assert_eq!(held.earliest_stop(), None);
}

#[test]
fn a_drive_goes_on_until_its_lease_has_to_be_taken_for_gone() {
    let (held, key) = (Held::new(), (7, Epoch(1)));
    held.hold(key, granted(0));
    let context = Context::from_waker(Waker::noop());
    assert!(held.poll_lost(&key, at(80), &context).is_pending());
    assert!(held.poll_lost(&key, at(81), &context).is_ready());
}

#[test]
fn a_drive_is_told_that_its_lease_was_let_go() {
    #[derive(Default)]
    struct Told(AtomicBool);
    impl Wake for Told {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let (held, key, told) = (Held::new(), (7, Epoch(1)), Arc::<Told>::default());
    held.hold(key, granted(0));
    let waker = Waker::from(Arc::clone(&told));
    assert!(held.poll_lost(&key, at(1), &Context::from_waker(&waker)).is_pending());
    assert!(!told.0.load(Ordering::SeqCst));
    held.let_go(&key);
    assert!(told.0.load(Ordering::SeqCst));
    assert!(held.poll_lost(&key, at(1), &Context::from_waker(&waker)).is_ready());
}

#[test]
fn one_round_trip_renews_all_that_would_be_due_within_a_sixth_of_the_lease() {
    let held = Held::new();
    // Due at 30, 45 and 46 ms.
    for (execution, ms) in [(1, 0), (2, 15), (3, 16)] {
        held.hold((execution, Epoch(1)), granted(ms));
    }
    assert_eq!(held.earliest_stop(), Some(at(81)));
    assert!(held.duties(at(29), LEASE).beat.is_empty());
    let duties = held.duties(at(30), LEASE);
    assert_eq!((duties.beat, duties.next), (vec![(1, Epoch(1)), (2, Epoch(1))], Some(at(46))));
}

#[test]
fn heartbeats_that_came_to_nothing_are_sent_again() {
    let (held, key) = (Held::new(), (7, Epoch(1)));
    held.hold(key, granted(0));
    assert_eq!(held.duties(at(30), LEASE).beat, [key]);
    assert!(held.duties(at(40), LEASE).beat.is_empty());
    held.beat_again(&[key], at(40));
    assert_eq!(held.duties(at(40), LEASE).beat, [key]);
}
