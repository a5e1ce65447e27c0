//! A worker's connection to its store, which a test can break.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::future::BoxFuture;
use hydra_engine::protocol::Time;
use hydra_engine::store::{
    Answer, Bell, ClaimRequest, Claims, CommandRequest, EndingWatch, ExecutionId, ExecutionKey, ExecutionView,
    HeartbeatRequest, Heartbeats, HistoryView, ListFilter, Store, StoreError, Transact,
};
use tokio::sync::watch;

/// What happens to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is answered.
    Answered,
    /// It never reaches the store.
    LostBefore,
    /// It is done, and its answer never comes.
    LostAfter,
    /// It reaches the store twice.
    Twice,
}

/// A way to the store.
pub struct Link {
    store: Arc<dyn Store>,
    /// The fates of the next commands; then all are answered.
    fates: Mutex<VecDeque<Fate>>,
    /// Commands so far.
    commands: Mutex<usize>,
    up: watch::Sender<bool>,
}

impl Link {
    pub fn to(store: &Arc<dyn Store>) -> Arc<Self> {
        let (fates, commands) = (Mutex::new(VecDeque::new()), Mutex::new(0));
        Arc::new(Link { store: store.clone(), fates, commands, up: watch::channel(true).0 })
    }

    /// The fate of the `nth` command from now on, counted from 0; those before are answered.
    pub fn nth(&self, nth: usize, fate: Fate) {
        let mut fates = self.fates.lock().unwrap();
        fates.extend(std::iter::repeat_n(Fate::Answered, nth));
        fates.push_back(fate);
    }

    /// How many commands went this way.
    pub fn commands(&self) -> usize {
        *self.commands.lock().unwrap()
    }

    /// Cuts it: whatever is sent waits for the healing, and its sender with it.
    pub fn cut(&self) {
        self.up.send_replace(false);
    }

    /// Heals it: what waited arrives, however late.
    pub fn heal(&self) {
        self.up.send_replace(true);
    }

    async fn pass(&self) {
        let _ = self.up.subscribe().wait_for(|up| *up).await;
    }

    fn fate(&self) -> Fate {
        *self.commands.lock().unwrap() += 1;
        self.fates.lock().unwrap().pop_front().unwrap_or(Fate::Answered)
    }

    fn lost() -> StoreError {
        StoreError::Unknown("connection reset".to_owned())
    }
}

impl Store for Link {
    fn command(&self, request: CommandRequest) -> BoxFuture<'_, Result<Answer, StoreError>> {
        async move {
            self.pass().await;
            match self.fate() {
                Fate::Answered => self.store.command(request).await,
                Fate::LostBefore => Err(Self::lost()),
                Fate::LostAfter => self.store.command(request).await.and(Err(Self::lost())),
                Fate::Twice => {
                    let first = self.store.command(request.clone()).await;
                    let _ = self.store.command(request).await;
                    first
                }
            }
        }
        .boxed()
    }

    fn claim(&self, request: ClaimRequest) -> BoxFuture<'_, Result<Claims, StoreError>> {
        async move {
            self.pass().await;
            self.store.claim(request).await
        }
        .boxed()
    }

    fn heartbeat(&self, request: HeartbeatRequest) -> BoxFuture<'_, Result<Heartbeats, StoreError>> {
        async move {
            self.pass().await;
            self.store.heartbeat(request).await
        }
        .boxed()
    }

    fn transact(&self, request: CommandRequest) -> BoxFuture<'_, Result<Transact, StoreError>> {
        async move {
            self.pass().await;
            self.store.transact(request).await
        }
        .boxed()
    }

    fn execution(&self, id: &ExecutionId) -> BoxFuture<'_, Result<Option<ExecutionView>, StoreError>> {
        self.store.execution(id)
    }

    fn history(&self, key: ExecutionKey) -> BoxFuture<'_, Result<HistoryView, StoreError>> {
        self.store.history(key)
    }

    fn list(&self, filter: ListFilter) -> BoxFuture<'_, Result<Vec<ExecutionView>, StoreError>> {
        self.store.list(filter)
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
