//! Waiting for an execution to end: told of it where it ends through the same store, and looking at it else.

use std::ops::ControlFlow;

use super::{ASK_AGAIN, Client, ClientError};
use crate::store::{Ended, EndingMark, EndingWatch, ExecutionKey, ExecutionView};

/// How the end of an execution was learned of.
pub enum Waited {
    /// By looking at it: it has ended.
    Read(ExecutionView),
    /// From the commit that ended it.
    Told(Ended),
}

impl Client {
    /// Waits until the execution has ended.
    ///
    /// Where it ends through this client's store, its row is read once; where this client has just started it, not at
    /// all: with a thousand executions a second more looks at each would cost as much as running it.
    pub(super) async fn wait(&self, id: &str) -> Result<Waited, ClientError> {
        // Whatever ended it since it was made is told, or may have been and is looked at.
        let recent = self.recent.take(id);
        let mut watched = recent.map(|(key, mark)| (key, self.store.watch_ending_since(key, mark)));
        let mut misses = false;
        loop {
            if let Some((key, watch)) = watched.as_ref().filter(|_| !misses) {
                match self.listen(*key, watch).await {
                    ControlFlow::Break(ended) => return Ok(Waited::Told(ended)),
                    // To be made anew: somebody has undone the end that it told of.
                    ControlFlow::Continue(true) => watched = None,
                    ControlFlow::Continue(false) => {}
                }
            }
            // Taken before the look, so that an end in between is not missed.
            let mark = self.store.ending_mark();
            match self.get(id).await {
                Ok(Some(view)) if view.row.is_ended() => return Ok(Waited::Read(view)),
                Ok(Some(view)) => {
                    misses = false;
                    // Another one has this id, if it was deleted and started again.
                    if watched.as_ref().is_none_or(|(key, _)| *key != view.key) {
                        let (watch, may_miss) = self.watch(view.key, mark);
                        (watched, misses) = (Some((view.key, watch)), may_miss);
                    }
                }
                Ok(None) => return Err(ClientError::Unknown(self.id(id)?)),
                Err(ClientError::Store(error)) if error.is_passing() => {
                    if misses || watched.is_none() {
                        tokio::time::sleep(ASK_AGAIN).await;
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// A watch, and whether it misses what ended before it was made.
    fn watch(&self, key: ExecutionKey, mark: Option<EndingMark>) -> (EndingWatch, bool) {
        match mark {
            Some(mark) => (self.store.watch_ending_since(key, mark), false),
            None => (self.store.watch_ending(key), true),
        }
    }

    /// Waits for what a watch tells, or until a look finds it ended by another process: how it ended; or else whether the
    /// watch has told of an end whose row is to be read.
    async fn listen(&self, key: ExecutionKey, watch: &EndingWatch) -> ControlFlow<Ended, bool> {
        tokio::select! {
            biased;
            ended = watch.ended() => ended.map_or(ControlFlow::Continue(true), ControlFlow::Break),
            () = self.looks.not_open(&self.store, key) => ControlFlow::Continue(false),
        }
    }
}
