//! Looking for executions that another process has ended: once for all that wait, and never for long.
//!
//! Each waiter for itself, ten times a second: with thousands of them that is more work than running the executions.

use std::collections::{BTreeMap, HashSet};
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use crate::store::{ExecutionKey, Store};

/// From the beginning of a look to the next one's, at the least; and at the most, however long one takes.
const EVERY: Duration = Duration::from_millis(100);
const EVERY_MAX: Duration = Duration::from_secs(2);
/// Looks take one part in so many of the time.
const SHARE: u32 = 20;
/// Executions that are looked at in one request, so that no other read waits long for it.
const AT_ONCE: usize = 1_000;

/// Those who wait. Whoever has waited longest looks for all of them; when it leaves, the next one does.
#[derive(Debug)]
pub struct Looks {
    waiting: Mutex<Waiting>,
    /// When the next look is due.
    turn: tokio::sync::Mutex<Instant>,
}

#[derive(Debug, Default)]
struct Waiting {
    entered: u64,
    of: BTreeMap<u64, (ExecutionKey, oneshot::Sender<()>)>,
}

impl Default for Looks {
    fn default() -> Self {
        Looks { waiting: Mutex::default(), turn: tokio::sync::Mutex::new(Instant::now()) }
    }
}

impl Looks {
    /// Waits until a look finds that the execution is not open: it has ended, or is gone; or until it must be looked at by
    /// itself.
    pub async fn not_open(&self, store: &dyn Store, key: ExecutionKey) {
        let (entry, told) = self.enter(key);
        tokio::select! {
            biased;
            _ = told => {}
            never = entry.looks.look(store) => match never {},
        }
    }

    fn enter(&self, key: ExecutionKey) -> (Entry<'_>, oneshot::Receiver<()>) {
        let (tell, told) = oneshot::channel();
        let mut waiting = self.lock();
        waiting.entered += 1;
        let number = waiting.entered;
        waiting.of.insert(number, (key, tell));
        (Entry { looks: self, number }, told)
    }

    /// Looks again and again, as soon as it is this one's turn. It may be dropped at any moment.
    async fn look(&self, store: &dyn Store) -> Infallible {
        let entered = Instant::now();
        let mut due = self.turn.lock().await;
        // Most wait for less than that, and are told.
        *due = (*due).max(entered + EVERY);
        loop {
            sleep_until(*due).await;
            let begun = Instant::now();
            // Before the look: one who is told of its own end in the middle of one leaves, and the next does not begin anew
            // at once.
            *due = begun + EVERY;
            self.look_once(store).await;
            *due = begun + (begun.elapsed() * SHARE).clamp(EVERY, EVERY_MAX);
        }
    }

    async fn look_once(&self, store: &dyn Store) {
        let mut keys: Vec<_> = self.lock().of.values().map(|(key, _)| *key).collect();
        keys.sort_unstable();
        keys.dedup();
        for some in keys.chunks(AT_ONCE) {
            match store.ended_of(some.to_vec()).await {
                Ok(ended) => self.tell(&ended),
                // The next look comes soon.
                Err(error) if error.is_passing() => return,
                // Each learns by itself what is wrong.
                Err(_) => self.tell(some),
            }
        }
    }

    fn tell(&self, ended: &[ExecutionKey]) {
        let ended: HashSet<_> = ended.iter().collect();
        let told: Vec<_> = self.lock().of.extract_if(.., |_, (key, _)| ended.contains(key)).collect();
        for (_, (_, tell)) in told {
            let _ = tell.send(());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who waits, until it is dropped.
struct Entry<'a> {
    looks: &'a Looks,
    number: u64,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.looks.lock().of.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    #[tokio::test(start_paused = true)]
    async fn nothing_is_left_of_one_who_leaves() {
        let (looks, store) = (Looks::default(), MemoryStore::new());
        let waits = looks.not_open(&store, ExecutionKey(1));
        assert!(tokio::time::timeout(EVERY / 2, waits).await.is_err());
        assert!(looks.lock().of.is_empty() && looks.turn.try_lock().is_ok());
        // There is no such execution: a look finds it gone.
        let begun = Instant::now();
        looks.not_open(&store, ExecutionKey(1)).await;
        assert_eq!(begun.elapsed(), EVERY, "most are told earlier, without a look");
        assert!(looks.lock().of.is_empty());
    }
}
