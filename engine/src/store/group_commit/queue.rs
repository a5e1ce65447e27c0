//! From all tasks to one thread: bounded, in order, and nothing runs while there is nothing to do.

use std::collections::VecDeque;
use std::sync::PoisonError;
use std::task::{Context, Poll, Waker};

use crate::sync::{Condvar, Mutex, MutexGuard};

/// A bounded queue. Tasks that push wait for room as futures, threads that take wait for items by blocking.
#[derive(Debug)]
pub struct Queue<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
    len_max: usize,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    /// Tasks that found it full.
    waiting: Vec<Waker>,
    /// Threads that found it empty.
    idle: usize,
    closed: bool,
}

/// Nothing is taken any more.
#[derive(Debug, PartialEq, Eq)]
pub struct Closed;

impl<T> Queue<T> {
    /// An empty queue for at most `len_max` items, and at least one.
    pub fn new(len_max: usize) -> Self {
        let state = State { items: VecDeque::new(), waiting: Vec::new(), idle: 0, closed: false };
        Queue { state: Mutex::new(state), filled: Condvar::new(), len_max: len_max.max(1) }
    }

    /// Moves the item out of `item` into the queue, once there is room.
    ///
    /// A task that gives up waiting leaves a waker behind, which wakes it for nothing once.
    pub fn poll_push(&self, item: &mut Option<T>, context: &Context<'_>) -> Poll<Result<(), Closed>> {
        let mut state = self.lock();
        if state.closed {
            return Poll::Ready(Err(Closed));
        }
        if state.items.len() >= self.len_max {
            // All who wait are woken together at the next take, so none is lost if one of them has gone.
            state.waiting.push(context.waker().clone());
            return Poll::Pending;
        }
        state.items.extend(item.take());
        let wake = state.idle > 0;
        drop(state);
        if wake {
            self.filled.notify_one();
        }
        Poll::Ready(Ok(()))
    }

    /// Takes up to `max` of the oldest items. If there are none: waits for one, or with `wait` false takes none.
    /// None once the queue is closed and empty.
    pub fn take(&self, max: usize, wait: bool) -> Option<Vec<T>> {
        let mut state = self.lock();
        while state.items.is_empty() {
            if !wait {
                return Some(Vec::new());
            }
            if state.closed {
                return None;
            }
            state.idle += 1;
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
        let taken = max.max(1).min(state.items.len());
        let taken = state.items.drain(..taken).collect();
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
        Some(taken)
    }

    /// Takes no more items; those in it can still be taken.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
        self.filled.notify_all();
    }

    /// How many items are in it.
    pub fn len(&self) -> usize {
        self.lock().items.len()
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing between lock and unlock can panic half way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn full_waits_and_a_take_wakes_all_who_wait() {
        let queue = Queue::new(2);
        let count = Arc::<Count>::default();
        let waker = Waker::from(Arc::clone(&count));
        let context = Context::from_waker(&waker);
        assert_eq!(queue.poll_push(&mut Some(1), &context), Poll::Ready(Ok(())));
        assert_eq!(queue.len(), 1);
        assert_eq!(queue.poll_push(&mut Some(2), &context), Poll::Ready(Ok(())));
        assert_eq!(queue.len(), 2);
        let (mut third, mut fourth) = (Some(3), Some(4));
        assert_eq!(queue.poll_push(&mut third, &context), Poll::Pending);
        assert_eq!(queue.poll_push(&mut fourth, &context), Poll::Pending);
        assert_eq!((third, fourth), (Some(3), Some(4)), "what does not fit stays with its sender");
        assert_eq!(queue.take(10, true), Some(vec![1, 2]));
        assert_eq!(count.0.load(Ordering::SeqCst), 2);
        assert_eq!(queue.take(10, false), Some(vec![]));
    }

    #[test]
    fn closed_takes_no_more_and_gives_what_it_has() {
        let queue = Queue::new(1);
        let context = Context::from_waker(Waker::noop());
        assert_eq!(queue.poll_push(&mut Some(1), &context), Poll::Ready(Ok(())));
        queue.close();
        assert_eq!(queue.poll_push(&mut Some(2), &context), Poll::Ready(Err(Closed)));
        assert_eq!(queue.take(10, true), Some(vec![1]));
        assert_eq!(queue.take(10, true), None);
    }

    #[test]
    fn many_senders_lose_and_double_nothing() {
        let queue = Arc::new(Queue::new(3));
        let senders: Vec<_> = (0..4_u32)
            .map(|sender| {
                let queue = Arc::clone(&queue);
                std::thread::spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                    for number in 0..500 {
                        let mut item = Some((sender, number));
                        let push = std::future::poll_fn(|context| queue.poll_push(&mut item, context));
                        runtime.block_on(push).unwrap();
                    }
                })
            })
            .collect();
        let mut next = [0; 4];
        while next != [500; 4] {
            for (sender, number) in queue.take(7, true).unwrap() {
                assert_eq!(next[sender as usize], number, "in the order of each sender");
                next[sender as usize] += 1;
            }
        }
        senders.into_iter().for_each(|sender| sender.join().unwrap());
    }
}
