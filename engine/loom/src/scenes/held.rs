//! The lease guard: between the heartbeats, the drive under the lease, and whoever ends the drive.

use std::future::poll_fn;

use hydra_protocol::worker::lease::LeaseClock;
use hydra_protocol::{Epoch, Span, Time};
use loom::future::block_on;
use loom::sync::Arc;
use loom::thread;

use super::{explore, found, planted};

planted!(held_tells_nobody, held_registers_late, held_renews_the_released, held_keeps_the_older);

/// The execution's first lease, and the one after it.
const FIRST: (u32, Epoch) = (1, Epoch(1));
const SECOND: (u32, Epoch) = (1, Epoch(2));
const LEASE: Span = Span::from_millis(90);
const ASKED: Time = Time::from_millis(0);
/// The lease is a third over: a heartbeat is due.
const BEAT: Time = Time::from_millis(30);
/// The lease is all but over.
const STOP: Time = Time::from_millis(81);

/// Scenes over one copy of the guard.
macro_rules! scenes {
    ($($held:tt)*) => {
        use $($held)*::Held;
        use super::*;

        fn one() -> Arc<Held<u32>> {
            let held = Arc::new(Held::new());
            held.hold(FIRST, LeaseClock::granted(ASKED, LEASE));
            held
        }

        /// A drive waits for its lease's loss; the store refuses a heartbeat of it.
        pub fn a_refused_heartbeat_stops_the_drive() {
            let held = one();
            let drive = {
                let held = Arc::clone(&held);
                thread::spawn(move || block_on(poll_fn(|context| held.poll_lost(&FIRST, BEAT, context))))
            };
            assert_eq!(held.duties(BEAT, LEASE).beat, [FIRST]);
            held.let_go(&FIRST);
            drive.join().unwrap();
        }

        /// No heartbeat is answered: the heartbeats' task stops the drive before the lease ends, whatever the drive's
        /// own clock showed when it looked last.
        pub fn an_unanswered_heartbeat_stops_the_drive() {
            let held = one();
            let drive = {
                let held = Arc::clone(&held);
                thread::spawn(move || block_on(poll_fn(|context| held.poll_lost(&FIRST, BEAT, context))))
            };
            assert_eq!(held.duties(STOP, LEASE).over, [FIRST]);
            drive.join().unwrap();
        }

        /// A drive ends while the answer to its heartbeat arrives: nothing is renewed from then on, and nobody waits.
        pub fn what_is_released_is_renewed_no_more() {
            let held = one();
            assert_eq!(held.duties(BEAT, LEASE).beat, [FIRST]);
            let answer = {
                let held = Arc::clone(&held);
                thread::spawn(move || {
                    held.renewed(&FIRST, BEAT, LEASE);
                    held.beat_again(&[FIRST], BEAT);
                })
            };
            held.release(&FIRST);
            answer.join().unwrap();
            assert!(held.duties(STOP, LEASE).beat.is_empty());
            assert!(held.earliest_stop().is_none());
        }

        /// The worker claims what it drives itself, since the store's clock has jumped: the older drive stops, and its
        /// end leaves the newer lease alone.
        pub fn a_newer_lease_stops_the_older_drive() {
            let held = one();
            let drive = {
                let held = Arc::clone(&held);
                thread::spawn(move || {
                    block_on(poll_fn(|context| held.poll_lost(&FIRST, BEAT, context)));
                    held.release(&FIRST);
                })
            };
            held.hold(SECOND, LeaseClock::granted(BEAT, LEASE));
            drive.join().unwrap();
            assert_eq!(held.duties(STOP, LEASE).beat, [SECOND]);
        }

        /// Three at once: the heartbeats' task gives the lease up, a shutdown ends the drive, the drive waits.
        pub fn giving_up_and_shutting_down_at_once() {
            let held = one();
            let drive = {
                let held = Arc::clone(&held);
                thread::spawn(move || block_on(poll_fn(|context| held.poll_lost(&FIRST, BEAT, context))))
            };
            let heartbeats = {
                let held = Arc::clone(&held);
                thread::spawn(move || held.let_go(&FIRST))
            };
            drive.join().unwrap();
            held.release(&FIRST);
            heartbeats.join().unwrap();
            assert!(held.earliest_stop().is_none());
        }
    };
}

mod right {
    scenes!(crate::held);
}
mod tells_nobody {
    scenes!(super::held_tells_nobody);
}
mod registers_late {
    scenes!(super::held_registers_late);
}
mod renews_the_released {
    scenes!(super::held_renews_the_released);
}
mod keeps_the_older {
    scenes!(super::held_keeps_the_older);
}

#[test]
fn a_refused_heartbeat_stops_the_drive() {
    explore(right::a_refused_heartbeat_stops_the_drive);
}

#[test]
fn an_unanswered_heartbeat_stops_the_drive() {
    explore(right::an_unanswered_heartbeat_stops_the_drive);
}

#[test]
fn what_is_released_is_renewed_no_more() {
    explore(right::what_is_released_is_renewed_no_more);
}

#[test]
fn a_newer_lease_stops_the_older_drive() {
    explore(right::a_newer_lease_stops_the_older_drive);
}

#[test]
fn giving_up_and_shutting_down_at_once() {
    explore(right::giving_up_and_shutting_down_at_once);
}

found!(a_loss_that_nobody_is_told_of_is_found, "deadlock", tells_nobody::a_refused_heartbeat_stops_the_drive);

found!(a_drive_that_registers_late_is_found, "deadlock", registers_late::a_refused_heartbeat_stops_the_drive);

found!(a_renewal_of_what_was_released_is_found, "assertion", renews_the_released::what_is_released_is_renewed_no_more);

found!(an_older_drive_that_goes_on_is_found, "deadlock", keeps_the_older::a_newer_lease_stops_the_older_drive);
