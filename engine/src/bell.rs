//! A bell: one that rings, and any number that wait for it to ring.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::PoisonError;
use std::task::{Context, Poll, Waker};

use crate::sync::{Mutex, MutexGuard};

/// Rings when something has changed. Who waits for it first notes how often it has rung, then looks at what may have
/// changed, then waits for a ring after those: so a change between the look and the wait is not missed.
#[derive(Debug, Default)]
pub struct Bell {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    rings: u64,
    /// In the order in which they came.
    waiting: BTreeMap<u64, Waker>,
    next: u64,
}

impl Bell {
    /// A bell that has not rung.
    pub fn new() -> Self {
        Self::default()
    }

    /// Rings, and wakes all who wait.
    pub fn ring(&self) {
        let mut state = self.lock();
        state.rings += 1;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_values().for_each(Waker::wake);
    }

    /// How often it has rung.
    pub fn rings(&self) -> u64 {
        self.lock().rings
    }

    /// Waits until it has rung more often than this. At once, if it has.
    pub fn rung_since(&self, rings: u64) -> Rung<'_> {
        Rung { bell: self, rings, place: None }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See [`Bell::rung_since`].
#[derive(Debug)]
#[must_use = "it waits when it is awaited"]
pub struct Rung<'a> {
    bell: &'a Bell,
    rings: u64,
    /// Among those who wait.
    place: Option<u64>,
}

impl Future for Rung<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let mut state = this.bell.lock();
        // Looked at under the lock that it registers under: (1) W looks, and it has not rung; (2) it rings, and wakes
        // nobody; (3) W registers, and waits for ever.
        if state.rings > this.rings {
            return Poll::Ready(());
        }
        let place = *this.place.get_or_insert_with(|| {
            state.next += 1;
            state.next
        });
        state.waiting.insert(place, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Rung<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.bell.lock().waiting.remove(&place);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn all_who_wait_are_woken_and_who_has_gone_is_forgotten() {
        let bell = Bell::new();
        let (mut one, mut two, mut gone) = (bell.rung_since(0), bell.rung_since(0), bell.rung_since(0));
        let context = &mut Context::from_waker(Waker::noop());
        assert!(one.poll_unpin(context).is_pending() && two.poll_unpin(context).is_pending());
        assert!(gone.poll_unpin(context).is_pending());
        drop(gone);
        assert_eq!(bell.lock().waiting.len(), 2);
        bell.ring();
        assert!(bell.lock().waiting.is_empty());
        assert!(one.poll_unpin(context).is_ready() && two.poll_unpin(context).is_ready());
    }
}
