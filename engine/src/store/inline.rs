//! A driver that does everything at once, on the task that asks: for simulation and tests.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;
use hydra_protocol::Time;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::apply::Tx;
use super::backend::Backend;
use super::signals::{Effects, Signals};
use super::{
    Answer, ClaimRequest, Claims, CommandRequest, EndingMark, EndingWatch, ExecutionId, ExecutionKey, ExecutionView,
    HeartbeatRequest, Heartbeats, HistoryView, ListFilter, PruneRequest, Pruned, Store, StoreError, StoreOptions,
    Transact, Transaction, Value, check,
};
use crate::bell::Bell;

/// Executes each request when it is asked, on the calling task, under a lock, in a transaction of its own. No thread,
/// no timer unless a body is waited for: the same calls in the same order do the same.
///
/// A transactional body holds the lock while it runs. Who waits for it takes the lock from it when its time is over,
/// and its transaction is undone.
pub struct Inline<B>(Arc<Shared<B>>);

struct Shared<B> {
    state: Mutex<State<B>>,
    /// Notified when a body's transaction is over.
    body_over: Notify,
    options: StoreOptions,
    signals: Signals,
}

struct State<B> {
    backend: B,
    /// The body that holds the lock.
    body: Option<Body>,
    bodies: u64,
}

#[derive(Clone, Copy)]
struct Body {
    number: u64,
    until: Instant,
    now: Time,
}

impl<B: Backend> Inline<B> {
    /// A store that keeps its rows in `backend`.
    pub fn over(backend: B, options: StoreOptions) -> Self {
        Inline(Arc::new(Shared {
            state: Mutex::new(State { backend, body: None, bodies: 0 }),
            body_over: Notify::new(),
            options,
            signals: Signals::default(),
        }))
    }

    /// Runs statements on the user's own tables in one transaction: to create them, or to fill them.
    pub async fn execute(&self, statements: &[&str]) -> Result<(), StoreError> {
        self.0.transaction(|tx| statements.iter().try_for_each(|sql| tx.backend.execute(sql, &[]).map(drop))).await
    }

    /// Runs one query on the user's own tables.
    pub async fn query(&self, sql: &str, params: &[Value]) -> Result<Vec<Vec<Value>>, StoreError> {
        check::params(params, self.0.options.payload_bytes_max)?;
        self.0.transaction(|tx| tx.backend.query(sql, params)).await
    }

    /// The backend, for a test that looks behind the store. Waits for a body.
    pub async fn with_backend<T>(&self, look: impl FnOnce(&mut B) -> T) -> T {
        look(&mut self.0.lock().await.backend)
    }
}

impl<B: Backend> Shared<B> {
    /// The lock, once no body holds it any more or the one that does has had its time.
    async fn lock(&self) -> MutexGuard<'_, State<B>> {
        loop {
            // Registered before the look, so that the end of a body in between is not missed.
            let mut over = std::pin::pin!(self.body_over.notified());
            over.as_mut().enable();
            let until = {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                match state.body {
                    None => {
                        // Rules that panic leave theirs open.
                        if state.backend.in_transaction() {
                            state.backend.rollback();
                        }
                        return state;
                    }
                    Some(body) if body.until <= Instant::now() => {
                        state.backend.rollback();
                        state.body = None;
                        return state;
                    }
                    Some(body) => body.until,
                }
            };
            let _ = tokio::time::timeout_at(until, over).await;
        }
    }

    /// Runs `work` in a transaction of its own.
    async fn transaction<T>(
        &self,
        work: impl FnOnce(&mut Tx<'_, B>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut state = self.lock().await;
        state.backend.begin()?;
        let (now, mut effects) = (self.options.clock.now(), Effects::default());
        let rules = self.options.rules;
        let done = work(&mut Tx { backend: &mut state.backend, rules, now, effects: &mut effects });
        self.end(&mut state.backend, &effects, done)
    }

    /// Commits what came to a good end, and undoes what did not.
    fn end<T>(&self, backend: &mut B, effects: &Effects, done: Result<T, StoreError>) -> Result<T, StoreError> {
        let done = done.and_then(|done| backend.commit().map(|()| done));
        match &done {
            Ok(_) => self.signals.tell(effects),
            Err(_) => backend.rollback(),
        }
        done
    }
}

impl<B: Backend> Store for Inline<B> {
    fn command(&self, request: CommandRequest) -> BoxFuture<'_, Result<Answer, StoreError>> {
        Box::pin(async move {
            check::command(&request, self.0.options.payload_bytes_max)?;
            self.0.transaction(|tx| tx.command(&request)).await
        })
    }

    fn claim(&self, request: ClaimRequest) -> BoxFuture<'_, Result<Claims, StoreError>> {
        Box::pin(async move {
            check::claim(&request)?;
            self.0.transaction(|tx| tx.claim(&request)).await
        })
    }

    fn heartbeat(&self, request: HeartbeatRequest) -> BoxFuture<'_, Result<Heartbeats, StoreError>> {
        Box::pin(async move { self.0.transaction(|tx| tx.heartbeat(&request)).await })
    }

    fn transact(&self, request: CommandRequest) -> BoxFuture<'_, Result<Transact, StoreError>> {
        Box::pin(async move {
            check::transact(&request, self.0.options.payload_bytes_max)?;
            let shared = &self.0;
            let mut state = shared.lock().await;
            let state = &mut *state;
            state.backend.begin()?;
            let (now, mut effects) = (shared.options.clock.now(), Effects::default());
            let rules = shared.options.rules;
            let mut tx = Tx { backend: &mut state.backend, rules, now, effects: &mut effects };
            let decided = match tx.decide(&request) {
                Ok(decided) => decided,
                Err(error) => return shared.end(&mut state.backend, &effects, Err(error)),
            };
            if !decided.writes() {
                let answer = tx.apply(&request, None, decided);
                return shared.end(&mut state.backend, &effects, answer).map(Transact::Answered);
            }
            if let Err(error) = state.backend.savepoint() {
                return shared.end(&mut state.backend, &effects, Err(error));
            }
            state.bodies += 1;
            let body = Body { number: state.bodies, until: Instant::now() + shared.options.body_time_max, now };
            state.body = Some(body);
            Ok(Transact::Open(Box::new(InlineTransaction { shared: Arc::clone(&self.0), body, request })))
        })
    }

    fn execution(&self, id: &ExecutionId) -> BoxFuture<'_, Result<Option<ExecutionView>, StoreError>> {
        let id = id.clone();
        Box::pin(async move { self.0.lock().await.backend.view(&id) })
    }

    fn ended_of(&self, keys: Vec<ExecutionKey>) -> BoxFuture<'_, Result<Vec<ExecutionKey>, StoreError>> {
        Box::pin(async move { self.0.lock().await.backend.ended_of(&keys) })
    }

    fn history(&self, key: ExecutionKey) -> BoxFuture<'_, Result<HistoryView, StoreError>> {
        Box::pin(async move { self.0.lock().await.backend.history(key) })
    }

    fn list(&self, filter: ListFilter) -> BoxFuture<'_, Result<Vec<ExecutionView>, StoreError>> {
        Box::pin(async move { self.0.lock().await.backend.list(&filter) })
    }

    fn prune(&self, request: PruneRequest) -> BoxFuture<'_, Result<Pruned, StoreError>> {
        Box::pin(async move { self.0.transaction(|tx| tx.prune(&request)).await })
    }

    fn payload_max(&self) -> usize {
        self.0.options.payload_bytes_max
    }

    fn due_changed(&self) -> Arc<Bell> {
        Arc::clone(&self.0.signals.due_changed)
    }

    fn ended(&self) -> Arc<Bell> {
        Arc::clone(&self.0.signals.ended)
    }

    fn watch_ending(&self, key: ExecutionKey) -> EndingWatch {
        self.0.signals.endings.watch(key)
    }

    fn ending_mark(&self) -> Option<EndingMark> {
        Some(self.0.signals.endings.mark())
    }

    fn watch_ending_since(&self, key: ExecutionKey, mark: EndingMark) -> EndingWatch {
        self.0.signals.endings.watch_since(key, mark)
    }

    fn now(&self) -> Time {
        self.0.options.clock.now()
    }
}

/// The open transaction of one body.
struct InlineTransaction<B: Backend> {
    shared: Arc<Shared<B>>,
    body: Body,
    request: CommandRequest,
}

impl<B: Backend> InlineTransaction<B> {
    /// The state, while the body's transaction is open.
    fn state(&self) -> Result<MutexGuard<'_, State<B>>, StoreError> {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = state.body.is_some_and(|body| body.number == self.body.number);
        if mine && Instant::now() < self.body.until && state.backend.in_transaction() {
            return Ok(state);
        }
        if mine {
            state.backend.rollback();
            state.body = None;
            self.shared.body_over.notify_waiters();
        }
        Err(super::body::undone(self.shared.options.body_time_max))
    }

    fn finish(self: Box<Self>, value: Vec<u8>) -> Result<Answer, StoreError> {
        check::bytes("output", value.len(), self.shared.options.payload_bytes_max)?;
        let mut state = self.state()?;
        let mut effects = Effects::default();
        let (rules, now) = (self.shared.options.rules, self.body.now);
        let mut request = self.request.clone();
        request.payload.value = Some(value);
        let mut tx = Tx { backend: &mut state.backend, rules, now, effects: &mut effects };
        let done = super::body::settle(&mut tx, &request);
        let done = self.shared.end(&mut state.backend, &effects, done);
        state.body = None;
        self.shared.body_over.notify_waiters();
        done
    }

    fn sql<T>(&self, params: &[Value], run: impl FnOnce(&mut B) -> Result<T, StoreError>) -> Result<T, StoreError> {
        check::params(params, self.shared.options.payload_bytes_max)?;
        let mut state = self.state()?;
        state.backend.set_deadline(Some(std::time::Instant::now() + self.shared.options.body_time_max));
        let done = run(&mut state.backend);
        state.backend.set_deadline(None);
        done
    }
}

impl<B: Backend> Transaction for InlineTransaction<B> {
    fn execute<'a>(&'a mut self, sql: &'a str, params: &'a [Value]) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move { self.sql(params, |backend| backend.execute(sql, params)) })
    }

    fn query<'a>(
        &'a mut self,
        sql: &'a str,
        params: &'a [Value],
    ) -> BoxFuture<'a, Result<Vec<Vec<Value>>, StoreError>> {
        Box::pin(async move { self.sql(params, |backend| backend.query(sql, params)) })
    }

    fn commit(self: Box<Self>, value: Vec<u8>) -> BoxFuture<'static, Result<Answer, StoreError>> {
        Box::pin(async move { self.finish(value) })
    }
}

impl<B: Backend> Drop for InlineTransaction<B> {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.body.is_some_and(|body| body.number == self.body.number) {
            state.backend.rollback();
            state.body = None;
            self.shared.body_over.notify_waiters();
        }
    }
}
