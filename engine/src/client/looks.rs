//! Looking for executions that another process has ended: once for all that wait, and never for long.
//!
//! Each waiter for itself, ten times a second: with thousands of them that is more work than running the executions.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};

use crate::store::{ExecutionKey, Store};

/// From the beginning of a look to the next one's, at the least; and at the most, however long one takes.
const EVERY: Duration = Duration::from_millis(100);
const EVERY_MAX: Duration = Duration::from_secs(2);
/// Looks take one part in so many of the time.
const SHARE: u32 = 20;
/// Executions that are looked at in one request, so that no other read waits long for it.
const AT_ONCE: usize = 1_000;

/// Those who wait.
#[derive(Debug, Default)]
pub struct Looks(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    entered: u64,
    of: BTreeMap<u64, (ExecutionKey, oneshot::Sender<()>)>,
    is_looked_for: bool,
}

impl Looks {
    /// Waits until a look finds that the execution is not open: it has ended, or is gone; or until it must be looked at by
    /// itself.
    pub async fn not_open(self: &Arc<Self>, store: &Arc<dyn Store>, key: ExecutionKey) {
        let (_entry, mut told) = self.enter(key);
        loop {
            self.look(store);
            // Whoever looks may have gone with its runtime.
            if timeout(2 * EVERY_MAX, &mut told).await.is_ok() {
                return;
            }
        }
    }

    fn enter(self: &Arc<Self>, key: ExecutionKey) -> (Entry, oneshot::Receiver<()>) {
        let (tell, told) = oneshot::channel();
        let mut waiting = self.lock();
        waiting.entered += 1;
        let number = waiting.entered;
        waiting.of.insert(number, (key, tell));
        drop(waiting);
        (Entry { looks: self.clone(), number }, told)
    }

    /// Has somebody look. Not one of those who wait: 1. A waits and looks for all. 2. The task of A does something else for
    /// a while, and polls A no more. 3. It waits for B meanwhile, for which nobody looks.
    fn look(self: &Arc<Self>, store: &Arc<dyn Store>) {
        if !std::mem::replace(&mut self.lock().is_looked_for, true) {
            let looker = Looker { looks: self.clone(), store: Arc::downgrade(store), is_done: false };
            tokio::spawn(looker.look());
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who waits, until it is dropped.
struct Entry {
    looks: Arc<Looks>,
    number: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.looks.lock().of.remove(&self.number);
    }
}

/// Looks for all who wait, as long as there are any. It keeps no store open.
struct Looker {
    looks: Arc<Looks>,
    store: Weak<dyn Store>,
    is_done: bool,
}

impl Looker {
    async fn look(mut self) {
        // Most wait for less than that, and are told.
        let mut due = Instant::now() + EVERY;
        loop {
            sleep_until(due).await;
            let begun = Instant::now();
            let store = self.store.upgrade();
            let Some((store, keys)) = store.and_then(|store| Some((store, self.keys()?))) else { return };
            look_once(&*store, &self.looks, &keys).await;
            due = begun + (begun.elapsed() * SHARE).clamp(EVERY, EVERY_MAX);
        }
    }

    /// What is waited for; nothing if this one is to look no more, and whoever comes next has another one look.
    fn keys(&mut self) -> Option<Vec<ExecutionKey>> {
        let mut waiting = self.looks.lock();
        if waiting.of.is_empty() {
            (waiting.is_looked_for, self.is_done) = (false, true);
            return None;
        }
        let mut keys: Vec<_> = waiting.of.values().map(|(key, _)| *key).collect();
        drop(waiting);
        keys.sort_unstable();
        keys.dedup();
        Some(keys)
    }
}

impl Drop for Looker {
    fn drop(&mut self) {
        if !self.is_done {
            self.looks.lock().is_looked_for = false;
        }
    }
}

async fn look_once(store: &dyn Store, looks: &Looks, keys: &[ExecutionKey]) {
    for some in keys.chunks(AT_ONCE) {
        match store.ended_of(some.to_vec()).await {
            Ok(ended) => looks.tell(&ended),
            // The next look comes soon.
            Err(error) if error.is_passing() => return,
            // Each learns by itself what is wrong.
            Err(_) => looks.tell(some),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    #[tokio::test(start_paused = true)]
    async fn nothing_is_left_of_those_who_leave() {
        let (looks, store): (Arc<Looks>, Arc<dyn Store>) = (Arc::default(), Arc::new(MemoryStore::new()));
        let waits = looks.not_open(&store, ExecutionKey(1));
        assert!(timeout(EVERY / 2, waits).await.is_err());
        assert!(looks.lock().of.is_empty());
        tokio::time::sleep(EVERY).await;
        assert!(!looks.lock().is_looked_for, "there is nothing to look for");
        // There is no such execution: a look finds it gone.
        let begun = Instant::now();
        looks.not_open(&store, ExecutionKey(1)).await;
        assert_eq!(begun.elapsed(), EVERY, "most are told earlier, without a look");
        // Nor is a store kept open for what is not waited for any more.
        let gone = Arc::downgrade(&store);
        drop(store);
        assert!(gone.upgrade().is_none());
    }

    #[test]
    fn who_waits_in_another_runtime_is_looked_for_when_that_of_the_looker_is_gone() {
        let (looks, store): (Arc<Looks>, Arc<dyn Store>) = (Arc::default(), Arc::new(MemoryStore::new()));
        let runtime =
            || tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let (first, second) = (runtime(), runtime());
        first.block_on(async { looks.look(&store) });
        second.block_on(async {
            let waits = looks.not_open(&store, ExecutionKey(1));
            tokio::pin!(waits);
            assert!(timeout(EVERY, &mut waits).await.is_err(), "the other runtime stands still");
            first.shutdown_background();
            assert!(timeout(3 * EVERY_MAX, waits).await.is_ok());
        });
    }
}
