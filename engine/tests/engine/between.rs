//! What stands between a client or a worker and its store: it counts, and it makes trouble.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use hydra_engine::protocol::Time;
use hydra_engine::store::{
    Answer, Bell, ClaimRequest, Claims, CommandRequest, EndingMark, EndingWatch, ExecutionId, ExecutionKey,
    ExecutionView, HeartbeatRequest, Heartbeats, HistoryView, ListFilter, PruneRequest, Pruned, Store, StoreError,
    Transact,
};

/// Counts how often an execution's row is looked at, and answers with the troubles it was given before it asks on.
pub struct Between {
    store: Arc<dyn Store>,
    looks: AtomicUsize,
    looks_at_all: AtomicUsize,
    asked: AtomicUsize,
    beats: AtomicUsize,
    claims: Mutex<Vec<usize>>,
    claims_take: Duration,
    is_told: AtomicBool,
    remembers: AtomicBool,
    looks_take: Mutex<Duration>,
    troubles: Mutex<Vec<StoreError>>,
    troubles_of_beats: Mutex<Vec<StoreError>>,
}

impl Between {
    pub fn over(store: &Arc<dyn Store>) -> Arc<Self> {
        Between::with_claims_that_take(Duration::ZERO, store)
    }

    /// So long takes each claim before it is decided.
    pub fn with_claims_that_take(claims_take: Duration, store: &Arc<dyn Store>) -> Arc<Self> {
        let [looks, looks_at_all, asked, beats] = std::array::from_fn(|_| AtomicUsize::new(0));
        let (claims, troubles, troubles_of_beats) = (Mutex::default(), Mutex::default(), Mutex::default());
        let (is_told, looks_take, store) = (AtomicBool::new(true), Mutex::default(), store.clone());
        Arc::new(Between {
            store,
            looks,
            looks_at_all,
            asked,
            beats,
            claims,
            claims_take,
            is_told,
            remembers: AtomicBool::new(true),
            looks_take,
            troubles,
            troubles_of_beats,
        })
    }

    /// Looks since the last time.
    pub fn looks(&self) -> usize {
        self.looks.swap(0, Ordering::SeqCst)
    }

    /// Looks for whatever has ended among those that are waited for, since the last time.
    pub fn looks_at_all(&self) -> usize {
        self.looks_at_all.swap(0, Ordering::SeqCst)
    }

    /// Nobody is told of an end any more, as if another process had made it; and so long takes each look for whatever has
    /// ended.
    pub fn tells_nothing(&self, looks_take: Duration) {
        self.is_told.store(false, Ordering::SeqCst);
        *self.looks_take.lock().unwrap() = looks_take;
    }

    /// Ends are told to those who watch, and to nobody who comes later.
    pub fn remembers_nothing(&self) {
        self.remembers.store(false, Ordering::SeqCst);
    }

    /// There is no execution of that key.
    fn told_of(&self, key: ExecutionKey) -> ExecutionKey {
        if self.is_told.load(Ordering::SeqCst) { key } else { ExecutionKey(-1) }
    }

    /// Commands since the last time.
    pub fn asked(&self) -> usize {
        self.asked.swap(0, Ordering::SeqCst)
    }

    /// How many executions each claim asked for.
    pub fn claims(&self) -> Vec<usize> {
        self.claims.lock().unwrap().clone()
    }

    /// So many answers to looks and commands are this error.
    pub fn troubles(&self, times: usize, error: StoreError) {
        self.troubles.lock().unwrap().extend(vec![error; times]);
    }

    /// Heartbeats since the last time.
    pub fn beats(&self) -> usize {
        self.beats.swap(0, Ordering::SeqCst)
    }

    /// So many answers to heartbeats are this error.
    pub fn troubles_of_beats(&self, times: usize, error: StoreError) {
        self.troubles_of_beats.lock().unwrap().extend(vec![error; times]);
    }

    fn trouble(&self) -> Option<StoreError> {
        self.troubles.lock().unwrap().pop()
    }
}

impl Store for Between {
    fn execution(&self, id: &ExecutionId) -> BoxFuture<'_, Result<Option<ExecutionView>, StoreError>> {
        self.looks.fetch_add(1, Ordering::SeqCst);
        match self.trouble() {
            Some(error) => Box::pin(async { Err(error) }),
            None => self.store.execution(id),
        }
    }
    fn command(&self, request: CommandRequest) -> BoxFuture<'_, Result<Answer, StoreError>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        match self.trouble() {
            Some(error) => Box::pin(async { Err(error) }),
            None => self.store.command(request),
        }
    }
    fn claim(&self, request: ClaimRequest) -> BoxFuture<'_, Result<Claims, StoreError>> {
        self.claims.lock().unwrap().push(request.limit);
        Box::pin(async move {
            tokio::time::sleep(self.claims_take).await;
            self.store.claim(request).await
        })
    }
    fn heartbeat(&self, request: HeartbeatRequest) -> BoxFuture<'_, Result<Heartbeats, StoreError>> {
        self.beats.fetch_add(1, Ordering::SeqCst);
        match self.troubles_of_beats.lock().unwrap().pop() {
            Some(error) => Box::pin(async { Err(error) }),
            None => self.store.heartbeat(request),
        }
    }
    fn transact(&self, request: CommandRequest) -> BoxFuture<'_, Result<Transact, StoreError>> {
        self.store.transact(request)
    }
    fn ended_of(&self, keys: Vec<ExecutionKey>) -> BoxFuture<'_, Result<Vec<ExecutionKey>, StoreError>> {
        self.looks_at_all.fetch_add(1, Ordering::SeqCst);
        match self.trouble() {
            Some(error) => Box::pin(async { Err(error) }),
            None => Box::pin(async move {
                let takes = *self.looks_take.lock().unwrap();
                tokio::time::sleep(takes).await;
                self.store.ended_of(keys).await
            }),
        }
    }
    fn history(&self, key: ExecutionKey) -> BoxFuture<'_, Result<HistoryView, StoreError>> {
        self.store.history(key)
    }
    fn list(&self, filter: ListFilter) -> BoxFuture<'_, Result<Vec<ExecutionView>, StoreError>> {
        self.store.list(filter)
    }
    fn prune(&self, request: PruneRequest) -> BoxFuture<'_, Result<Pruned, StoreError>> {
        self.store.prune(request)
    }
    fn due_changed(&self) -> Arc<Bell> {
        self.store.due_changed()
    }
    fn ended(&self) -> Arc<Bell> {
        self.store.ended()
    }
    fn watch_ending(&self, key: ExecutionKey) -> EndingWatch {
        self.store.watch_ending(self.told_of(key))
    }
    fn ending_mark(&self) -> Option<EndingMark> {
        self.store.ending_mark().filter(|_| self.remembers.load(Ordering::SeqCst))
    }
    fn watch_ending_since(&self, key: ExecutionKey, mark: EndingMark) -> EndingWatch {
        self.store.watch_ending_since(self.told_of(key), mark)
    }
    fn payload_max(&self) -> usize {
        self.store.payload_max()
    }
    fn now(&self) -> Time {
        self.store.now()
    }
}
