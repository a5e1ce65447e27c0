//! A store between callers and the engine's: it tells the outside of every error that a caller is given.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use hydra_engine::protocol::Time;
use hydra_engine::store::{
    Answer, Bell, ClaimRequest, Claims, CommandRequest, EndingWatch, ExecutionId, ExecutionKey, ExecutionView,
    HeartbeatRequest, Heartbeats, HistoryView, ListFilter, Store, StoreError, Transact,
};

use super::outside::{Note, Outside};

pub struct Listening {
    pub store: Arc<dyn Store>,
    pub outside: Arc<Outside>,
    /// Calls an execution that it could not read not there.
    pub blind: bool,
}

impl Listening {
    fn listen<'a, T: Send + 'a>(
        &'a self,
        doing: &'static str,
        asked: BoxFuture<'a, Result<T, StoreError>>,
    ) -> BoxFuture<'a, Result<T, StoreError>> {
        asked
            .inspect(move |result| {
                if let Err(error) = result {
                    self.outside.tell(trouble(doing, error));
                }
            })
            .boxed()
    }
}

pub fn trouble(doing: &str, error: &StoreError) -> Note {
    Note::Trouble { doing: doing.to_owned(), error: error.to_string(), passing: error.is_passing() }
}

impl Store for Listening {
    fn command(&self, request: CommandRequest) -> BoxFuture<'_, Result<Answer, StoreError>> {
        self.listen("command", self.store.command(request))
    }

    fn claim(&self, request: ClaimRequest) -> BoxFuture<'_, Result<Claims, StoreError>> {
        self.listen("claim", self.store.claim(request))
    }

    fn heartbeat(&self, request: HeartbeatRequest) -> BoxFuture<'_, Result<Heartbeats, StoreError>> {
        self.listen("heartbeat", self.store.heartbeat(request))
    }

    fn transact(&self, request: CommandRequest) -> BoxFuture<'_, Result<Transact, StoreError>> {
        self.listen("transact", self.store.transact(request))
    }

    fn execution(&self, id: &ExecutionId) -> BoxFuture<'_, Result<Option<ExecutionView>, StoreError>> {
        let id = id.clone();
        let asked = self.listen("execution", async move { self.store.execution(&id).await }.boxed());
        if self.blind { asked.map(|found| Ok(found.ok().flatten())).boxed() } else { asked }
    }

    fn history(&self, key: ExecutionKey) -> BoxFuture<'_, Result<HistoryView, StoreError>> {
        self.listen("history", self.store.history(key))
    }

    fn list(&self, filter: ListFilter) -> BoxFuture<'_, Result<Vec<ExecutionView>, StoreError>> {
        self.listen("list", self.store.list(filter))
    }

    fn due_changed(&self) -> Arc<Bell> {
        self.store.due_changed()
    }

    fn ended(&self) -> Arc<Bell> {
        self.store.ended()
    }

    fn watch_ending(&self, key: ExecutionKey) -> EndingWatch {
        self.store.watch_ending(key)
    }

    fn now(&self) -> Time {
        self.store.now()
    }
}
