//! Who is told of what a commit changed.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};

use hydra_protocol::Ending;

use super::ExecutionKey;
use crate::bell::Bell;
use crate::sync::{Mutex, MutexGuard};

/// What a transaction changed that others wait for. Gathered while it runs, told once it is committed.
#[derive(Debug, Default)]
pub struct Effects {
    pub due_changed: bool,
    pub ended: Vec<(ExecutionKey, Option<Ended>)>,
}

/// How an execution ended: what a client wants to know that waits for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How.
    pub ending: Ending,
    /// What its workflow returned.
    pub output: Option<Vec<u8>>,
    /// What went wrong.
    pub error: Option<String>,
}

/// What is told beside an ending, in bytes. Of more than that nothing is kept for those who may not even wait: they read
/// the row.
const TOLD_BYTES_MAX: usize = 4_096;

impl Ended {
    /// The ending with what came of it, unless that is large.
    pub fn small(ending: Ending, output: Option<&[u8]>, error: Option<&str>) -> Option<Self> {
        let bytes = output.map_or(0, <[u8]>::len) + error.map_or(0, str::len);
        let told = || Ended { ending, output: output.map(<[u8]>::to_vec), error: error.map(str::to_owned) };
        (bytes <= TOLD_BYTES_MAX).then(told)
    }
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
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: HashMap<ExecutionKey, Vec<Arc<Watcher>>>,
    /// What ended last, the latest at the end, and how many ended before the first of them.
    last: VecDeque<ExecutionKey>,
    forgotten: u64,
}

/// Endings that are remembered: as many as can be expected between a look at a row and a watch for its end.
const REMEMBERED_MAX: usize = 8_192;

/// A moment between two endings: see [`super::Store::ending_mark`].
#[derive(Clone, Copy, Debug)]
pub struct EndingMark(u64);

/// What a watch shares with those who tell.
#[derive(Debug, Default)]
struct Watcher {
    state: Mutex<Watching>,
}

#[derive(Debug, Default)]
enum Watching {
    /// Nothing was told, and nobody has asked.
    #[default]
    Unasked,
    Asked(Waker),
    Told(Option<Ended>),
}

impl Watcher {
    fn tell(&self, how: Option<Ended>) {
        // Kept, so that a watch which is not awaited yet finds it all the same.
        let before = std::mem::replace(&mut *self.lock(), Watching::Told(how));
        if let Watching::Asked(waker) = before {
            waker.wake();
        }
    }

    /// Looks and registers under one lock: an end that was told in between would be waited for for ever.
    fn poll_told(&self, context: &Context<'_>) -> Poll<Option<Ended>> {
        let mut state = self.lock();
        match std::mem::take(&mut *state) {
            Watching::Told(how) => Poll::Ready(how),
            Watching::Unasked | Watching::Asked(_) => {
                *state = Watching::Asked(context.waker().clone());
                Poll::Pending
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Watching> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Endings {
    /// See [`super::Store::watch_ending`].
    pub fn watch(self: &Arc<Self>, key: ExecutionKey) -> EndingWatch {
        let watcher = Arc::<Watcher>::default();
        self.lock().waiting.entry(key).or_default().push(Arc::clone(&watcher));
        EndingWatch { key, watcher, endings: Arc::clone(self) }
    }

    /// See [`super::Store::ending_mark`].
    pub fn mark(&self) -> EndingMark {
        let state = self.lock();
        EndingMark(state.forgotten + state.last.len() as u64)
    }

    /// See [`super::Store::watch_ending_since`].
    pub fn watch_since(self: &Arc<Self>, key: ExecutionKey, mark: EndingMark) -> EndingWatch {
        let watch = self.watch(key);
        let state = self.lock();
        let since = mark.0.checked_sub(state.forgotten).and_then(|since| usize::try_from(since).ok());
        // Forgotten: it may have ended.
        if since.is_none_or(|since| state.last.range(since.min(state.last.len())..).any(|ended| *ended == key)) {
            watch.watcher.tell(None);
        }
        drop(state);
        watch
    }

    fn tell(&self, ended: &[(ExecutionKey, Option<Ended>)]) {
        let mut state = self.lock();
        for (key, how) in ended {
            for watcher in state.waiting.get(key).into_iter().flatten() {
                watcher.tell(how.clone());
            }
        }
        state.last.extend(ended.iter().map(|(key, _)| *key));
        let over = state.last.len().saturating_sub(REMEMBERED_MAX);
        state.last.drain(..over);
        state.forgotten += over as u64;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for the end of one execution: see [`super::Store::watch_ending`].
#[derive(Debug)]
pub struct EndingWatch {
    key: ExecutionKey,
    watcher: Arc<Watcher>,
    endings: Arc<Endings>,
}

impl EndingWatch {
    /// Returns once a commit through this handle has ended the execution since the watch was made, or may have: how it
    /// did; none if that is to be read.
    pub async fn ended(&self) -> Option<Ended> {
        poll_fn(|context| self.watcher.poll_told(context)).await
    }
}

impl Drop for EndingWatch {
    fn drop(&mut self) {
        let mut state = self.endings.lock();
        if let Some(watchers) = state.waiting.get_mut(&self.key) {
            watchers.retain(|watcher| !Arc::ptr_eq(watcher, &self.watcher));
            if watchers.is_empty() {
                state.waiting.remove(&self.key);
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use futures::FutureExt;
    use hydra_protocol::Ending;

    use super::*;

    fn end(endings: &Endings, keys: std::ops::Range<i64>) {
        let ended: Vec<_> =
            keys.map(|key| (ExecutionKey(key), Ended::small(Ending::Succeeded, Some(b"output"), None))).collect();
        endings.tell(&ended);
    }

    #[test]
    fn a_watch_since_a_mark_misses_nothing_and_hears_of_no_other() {
        let endings = Arc::<Endings>::default();
        end(&endings, 0..10);
        let mark = endings.mark();
        end(&endings, 10..12);
        // Looked at the row after the mark: before 11 ended, or after 9 did.
        assert!(endings.watch_since(ExecutionKey(11), mark).ended().now_or_never().is_some());
        assert!(endings.watch_since(ExecutionKey(9), mark).ended().now_or_never().is_none());
        let watch = endings.watch_since(ExecutionKey(12), mark);
        assert!(watch.ended().now_or_never().is_none());
        end(&endings, 12..13);
        let told = watch.ended().now_or_never().flatten().unwrap();
        assert_eq!((told.ending, told.output.as_deref()), (Ending::Succeeded, Some(b"output".as_slice())));
    }

    #[test]
    fn what_is_forgotten_may_have_ended() {
        let endings = Arc::<Endings>::default();
        let mark = endings.mark();
        end(&endings, 0..REMEMBERED_MAX as i64);
        assert!(endings.watch_since(ExecutionKey(-1), mark).ended().now_or_never().is_none());
        end(&endings, 0..1);
        assert_eq!(endings.watch_since(ExecutionKey(-1), mark).ended().now_or_never(), Some(None));
    }

    /// Else whoever asks for results again and again leaves a watch behind each time.
    #[test]
    fn a_watch_that_is_dropped_is_kept_for_nobody_and_takes_no_other_with_it() {
        let endings = Arc::<Endings>::default();
        let (gone, stays) = (endings.watch(ExecutionKey(1)), endings.watch(ExecutionKey(1)));
        drop(gone);
        end(&endings, 1..2);
        assert!(stays.ended().now_or_never().is_some());
        drop(stays);
        assert!(endings.lock().waiting.is_empty());
    }

    #[test]
    fn a_large_output_is_not_kept() {
        assert_eq!(Ended::small(Ending::Succeeded, Some(&[0; TOLD_BYTES_MAX + 1]), None), None);
    }
}
