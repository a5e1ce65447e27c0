//! Who is told of what a commit changed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::ExecutionKey;

/// What a transaction changed that others wait for. Gathered while it runs, told once it is committed.
#[derive(Debug, Default)]
pub struct Effects {
    pub due_changed: bool,
    pub ended: Vec<ExecutionKey>,
}

/// The store's side of all who wait.
#[derive(Debug, Default)]
pub struct Signals {
    pub due_changed: Arc<Notify>,
    pub ended: Arc<Notify>,
    pub endings: Arc<Endings>,
}

impl Signals {
    /// Tells of a commit.
    pub fn tell(&self, effects: &Effects) {
        if effects.due_changed {
            self.due_changed.notify_waiters();
            // And whoever is not waiting yet: it was busy with what it found before.
            self.due_changed.notify_one();
        }
        if !effects.ended.is_empty() {
            self.ended.notify_waiters();
            self.endings.tell(&effects.ended);
        }
    }
}

/// Those who wait for the end of one execution each. A thousand of them cost nothing when another one ends.
#[derive(Debug, Default)]
pub struct Endings {
    waiting: Mutex<HashMap<ExecutionKey, Vec<Arc<Notify>>>>,
}

impl Endings {
    /// See [`super::Store::watch_ending`].
    pub fn watch(self: &Arc<Self>, key: ExecutionKey) -> EndingWatch {
        let notify = Arc::<Notify>::default();
        self.lock().entry(key).or_default().push(Arc::clone(&notify));
        EndingWatch { key, notify, endings: Arc::clone(self) }
    }

    fn tell(&self, ended: &[ExecutionKey]) {
        let waiting = self.lock();
        for notify in ended.iter().filter_map(|key| waiting.get(key)).flatten() {
            // One watch each, so that one which is not awaited yet finds it all the same.
            notify.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ExecutionKey, Vec<Arc<Notify>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for the end of one execution: see [`super::Store::watch_ending`].
#[derive(Debug)]
pub struct EndingWatch {
    key: ExecutionKey,
    notify: Arc<Notify>,
    endings: Arc<Endings>,
}

impl EndingWatch {
    /// Returns once a commit through this handle has ended the execution since the watch was made.
    pub async fn ended(&self) {
        self.notify.notified().await;
    }
}

impl Drop for EndingWatch {
    fn drop(&mut self) {
        let mut waiting = self.endings.lock();
        if let Some(watchers) = waiting.get_mut(&self.key) {
            watchers.retain(|notify| !Arc::ptr_eq(notify, &self.notify));
            if watchers.is_empty() {
                waiting.remove(&self.key);
            }
        }
    }
}
