//! Waiting for an execution to end: told of it where it ends through the same store, and looking at it else.

use std::ops::ControlFlow;
use std::time::Duration;

use super::{Client, ClientError};
use crate::store::{Ended, EndingMark, EndingWatch, ExecutionView};

/// How often to look whether an execution has ended, when another process drives it.
const RESULT_POLL: Duration = Duration::from_millis(100);

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
        let mut watch: Option<EndingWatch> =
            self.recent.take(id).map(|(key, mark)| self.store.watch_ending_since(key, mark));
        let mut told = false;
        if let Some(watch) = &watch {
            match listen(watch).await {
                ControlFlow::Break(ended) => return Ok(Waited::Told(ended)),
                ControlFlow::Continue(has_told) => told = has_told,
            }
        }
        loop {
            // Taken before the look, so that an end in between is not missed.
            let mark = self.store.ending_mark();
            match self.get(id).await {
                Ok(Some(view)) if view.row.is_ended() => return Ok(Waited::Read(view)),
                Ok(Some(view)) => {
                    // Made anew where it told of an end that somebody has undone since.
                    if watch.is_none() || told {
                        let (made, misses) = self.watch(view.key, mark);
                        watch = Some(made);
                        if misses {
                            continue;
                        }
                    }
                }
                Ok(None) => return Err(ClientError::Unknown(self.id(id)?)),
                Err(ClientError::Store(error)) if error.is_passing() => {}
                Err(error) => return Err(error),
            }
            // In another process, the end is noticed at the next look.
            told = match &watch {
                Some(watch) => match listen(watch).await {
                    ControlFlow::Break(ended) => return Ok(Waited::Told(ended)),
                    ControlFlow::Continue(has_told) => has_told,
                },
                None => {
                    tokio::time::sleep(RESULT_POLL).await;
                    false
                }
            };
        }
    }

    /// A watch, and whether it misses what ended before it was made.
    fn watch(&self, key: crate::store::ExecutionKey, mark: Option<EndingMark>) -> (EndingWatch, bool) {
        match mark {
            Some(mark) => (self.store.watch_ending_since(key, mark), false),
            None => (self.store.watch_ending(key), true),
        }
    }
}

/// Waits for a while for what a watch tells: how it ended; or else whether it has told of an end whose row is to be read.
async fn listen(watch: &EndingWatch) -> ControlFlow<Ended, bool> {
    match tokio::time::timeout(RESULT_POLL, watch.ended()).await {
        Ok(Some(ended)) => ControlFlow::Break(ended),
        Ok(None) => ControlFlow::Continue(true),
        Err(_) => ControlFlow::Continue(false),
    }
}
