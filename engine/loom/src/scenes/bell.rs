//! The wake-up of workers, and of clients who wait for an end.

use loom::future::block_on;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

use super::{explore, explore_bounded, found, planted};
use crate::store::ExecutionKey;
use crate::store::signals::{Effects, Signals};

planted!(bell_registers_late, watch_registers_late);
use watch_registers_late::{Effects as LateEffects, Signals as LateSignals};

/// A worker that finds no work waits until a commit tells of some. It notes how often the bell rang, looks, and waits;
/// or, wrongly, it looks first.
macro_rules! worker {
    ($bell:path, notes_first: $notes_first:literal, workers: $workers:literal) => {
        || {
            let (bell, work) = (Arc::new(<$bell>::new()), Arc::new(AtomicBool::new(false)));
            let workers: Vec<_> = (0..$workers)
                .map(|_| {
                    let (bell, work) = (Arc::clone(&bell), Arc::clone(&work));
                    thread::spawn(move || {
                        loop {
                            let noted = bell.rings();
                            if work.load(Ordering::SeqCst) {
                                break;
                            }
                            block_on(bell.rung_since(if $notes_first { noted } else { bell.rings() }));
                        }
                    })
                })
                .collect();
            work.store(true, Ordering::SeqCst);
            bell.ring();
            workers.into_iter().for_each(|worker| worker.join().unwrap());
        }
    };
}

#[test]
fn a_worker_is_woken_for_work_that_came_while_it_looked() {
    explore(worker!(crate::bell::Bell, notes_first: true, workers: 1));
}

#[test]
fn all_workers_are_woken() {
    explore_bounded(2, worker!(crate::bell::Bell, notes_first: true, workers: 2));
}

found!(
    a_bell_that_registers_late_is_found,
    "deadlock",
    worker!(bell_registers_late::Bell, notes_first: true, workers: 1)
);

found!(
    a_worker_that_looks_before_it_notes_is_found,
    "deadlock",
    worker!(crate::bell::Bell, notes_first: false, workers: 1)
);

/// A client makes its watch, looks whether the execution has ended, and waits; or, wrongly, it looks first.
macro_rules! client {
    ($signals:ident, $effects:ident, watches_first: $watches_first:literal) => {
        || {
            const KEY: ExecutionKey = ExecutionKey(1);
            let (signals, ended) = (Arc::new($signals::default()), Arc::new(AtomicBool::new(false)));
            let client = {
                let (signals, ended) = (Arc::clone(&signals), Arc::clone(&ended));
                thread::spawn(move || {
                    let looked = !$watches_first && ended.load(Ordering::SeqCst);
                    let watch = signals.endings.watch(KEY);
                    if !looked && !($watches_first && ended.load(Ordering::SeqCst)) {
                        block_on(watch.ended());
                    }
                })
            };
            ended.store(true, Ordering::SeqCst);
            signals.tell(&$effects { ended: vec![(KEY, None), (ExecutionKey(2), None)], ..Default::default() });
            client.join().unwrap();
        }
    };
}

#[test]
fn a_client_hears_of_an_end_that_came_while_it_looked() {
    explore(client!(Signals, Effects, watches_first: true));
}

found!(a_client_that_looks_before_it_watches_is_found, "deadlock", client!(Signals, Effects, watches_first: false));

found!(a_watch_that_registers_late_is_found, "deadlock", client!(LateSignals, LateEffects, watches_first: true));
