//! The writer's queue: tasks that push and wait for room, a thread that takes and waits for work.

use std::future::poll_fn;
use std::task::{Context, Waker};

use loom::future::block_on;
use loom::sync::Arc;
use loom::thread;

use super::{explore, found, planted};

planted!(queue_registers_late, queue_wakes_one, queue_waits_uncounted, queue_closes_on_them);

/// Scenes over one copy of the queue.
macro_rules! scenes {
    ($($queue:tt)*) => {
        use $($queue)*::{Closed, Queue};
        use super::*;

        fn push(queue: &Queue<u32>, item: u32) -> Result<(), Closed> {
            let mut item = Some(item);
            block_on(poll_fn(|context| queue.poll_push(&mut item, context)))
        }

        /// Two tasks push into a queue with room for one; the writer takes until it has both.
        pub fn all_is_handed_over() {
            let queue = Arc::new(Queue::new(1));
            let senders = [1, 2].map(|item| {
                let queue = Arc::clone(&queue);
                thread::spawn(move || push(&queue, item).unwrap())
            });
            let mut taken = Vec::new();
            while taken.len() < 2 {
                taken.extend(queue.take(8, true).unwrap());
            }
            taken.sort_unstable();
            assert_eq!(taken, [1, 2]);
            senders.into_iter().for_each(|sender| sender.join().unwrap());
        }

        /// It is closed while a task waits for room, and the writer works off what was taken in.
        pub fn closing_loses_nothing_and_leaves_nobody_behind() {
            let queue = Arc::new(Queue::new(1));
            push(&queue, 1).unwrap();
            let sender = {
                let queue = Arc::clone(&queue);
                thread::spawn(move || push(&queue, 2))
            };
            let closer = {
                let queue = Arc::clone(&queue);
                thread::spawn(move || queue.close())
            };
            let closed_first = sender.join().unwrap().is_err();
            closer.join().unwrap();
            let mut taken = Vec::new();
            while let Some(more) = queue.take(8, true) {
                taken.extend(more);
            }
            assert!(closed_first, "nobody took anything before it was closed");
            assert_eq!(taken, [1]);
        }

        /// A task that waited for room has gone; the take that makes room wakes the other one.
        pub fn one_that_gave_up_does_not_keep_another_waiting() {
            let queue = Arc::new(Queue::new(1));
            push(&queue, 1).unwrap();
            let sender = {
                let queue = Arc::clone(&queue);
                thread::spawn(move || push(&queue, 2).unwrap())
            };
            let _ = queue.poll_push(&mut Some(3), &Context::from_waker(Waker::noop()));
            while !queue.take(8, true).unwrap().contains(&2) {}
            sender.join().unwrap();
        }
    };
}

mod right {
    scenes!(crate::queue);
}
mod registers_late {
    scenes!(super::queue_registers_late);
}
mod wakes_one {
    scenes!(super::queue_wakes_one);
}
mod waits_uncounted {
    scenes!(super::queue_waits_uncounted);
}
mod closes_on_them {
    scenes!(super::queue_closes_on_them);
}

#[test]
fn all_is_handed_over() {
    explore(right::all_is_handed_over);
}

#[test]
fn closing_loses_nothing_and_leaves_nobody_behind() {
    explore(right::closing_loses_nothing_and_leaves_nobody_behind);
}

#[test]
fn one_that_gave_up_does_not_keep_another_waiting() {
    explore(right::one_that_gave_up_does_not_keep_another_waiting);
}

found!(a_task_that_registers_late_is_found, "deadlock", registers_late::all_is_handed_over);

found!(waking_only_one_is_found, "deadlock", wakes_one::one_that_gave_up_does_not_keep_another_waiting);

found!(a_writer_that_waits_uncounted_is_found, "deadlock", waits_uncounted::all_is_handed_over);

found!(closing_on_those_who_wait_is_found, "deadlock", closes_on_them::closing_loses_nothing_and_leaves_nobody_behind);
