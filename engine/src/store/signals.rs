//! Who is told of what a commit changed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};

use super::ExecutionKey;
use crate::bell::Bell;
use crate::sync::{Mutex, MutexGuard};

/// What a transaction changed that others wait for. Gathered while it runs, told once it is committed.
#[derive(Debug, Default)]
pub struct Effects {
    pub due_changed: bool,
    pub ended: Vec<ExecutionKey>,
}

/// The store's side of all who wait.
#[derive(Debug, Default)]
pub struct Signals {
    pub due_changed: Arc<Bell>,
    pub ended: Arc<Bell>,
    pub endings: Arc<Endings>,
}

impl Signals {
    /// Tells of a commit.
    pub fn tell(&self, effects: &Effects) {
        if effects.due_changed {
            self.due_changed.ring();
        }
        if !effects.ended.is_empty() {
            self.ended.ring();
            self.endings.tell(&effects.ended);
        }
    }
}

/// Those who wait for the end of one execution each. A thousand of them cost nothing when another one ends.
#[derive(Debug, Default)]
pub struct Endings {
    waiting: Mutex<HashMap<ExecutionKey, Vec<Arc<Bell>>>>,
}

impl Endings {
    /// See [`super::Store::watch_ending`].
    pub fn watch(self: &Arc<Self>, key: ExecutionKey) -> EndingWatch {
        let bell = Arc::<Bell>::default();
        self.lock().entry(key).or_default().push(Arc::clone(&bell));
        EndingWatch { key, bell, seen: AtomicU64::new(0), endings: Arc::clone(self) }
    }

    fn tell(&self, ended: &[ExecutionKey]) {
        let waiting = self.lock();
        let bells: Vec<_> = ended.iter().filter_map(|key| waiting.get(key)).flatten().cloned().collect();
        drop(waiting);
        // A bell each, so that one which is not waited at yet has rung all the same.
        bells.iter().for_each(|bell| bell.ring());
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ExecutionKey, Vec<Arc<Bell>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for the end of one execution: see [`super::Store::watch_ending`].
#[derive(Debug)]
pub struct EndingWatch {
    key: ExecutionKey,
    bell: Arc<Bell>,
    /// Endings that were told already: an execution may be opened again, and end again.
    seen: AtomicU64,
    endings: Arc<Endings>,
}

impl EndingWatch {
    /// Returns once a commit through this handle has ended the execution since the watch was made, or since this
    /// returned last.
    pub async fn ended(&self) {
        self.bell.rung_since(self.seen.load(Ordering::Relaxed)).await;
        self.seen.store(self.bell.rings(), Ordering::Relaxed);
    }
}

impl Drop for EndingWatch {
    fn drop(&mut self) {
        let mut waiting = self.endings.lock();
        if let Some(watchers) = waiting.get_mut(&self.key) {
            watchers.retain(|bell| !Arc::ptr_eq(bell, &self.bell));
            if watchers.is_empty() {
                waiting.remove(&self.key);
            }
        }
    }
}
