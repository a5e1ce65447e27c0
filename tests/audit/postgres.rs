//! A store in a PostgreSQL server, in time that is the test's own: it stands still while the server is asked.

#[allow(dead_code, reason = "the engine's tests use more of it")]
#[path = "../../engine/tests/postgres/server.rs"]
mod server;

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use hydra_engine::protocol::Time;
use hydra_engine::store::{
    Answer, Bell, ClaimRequest, Claims, Clock, CommandRequest, EndingWatch, ExecutionId, ExecutionKey, ExecutionView,
    HeartbeatRequest, Heartbeats, HistoryView, ListFilter, ManualClock, PostgresOptions, PostgresStore, Store,
    StoreError, StoreOptions, Transact, Transaction, Value,
};

/// A database of its own, by the clock in these options.
pub fn open(options: StoreOptions) -> Still {
    let server_clock = ManualClock::at(options.clock.now());
    let clock: Option<Arc<dyn Clock>> = Some(Arc::new(server_clock.clone()));
    let postgres = PostgresOptions { listen: false, clock, ..PostgresOptions::at(server::database()) };
    Still { time: Stillness { clock: options.clock.clone(), server_clock }, store: postgres.open(options).unwrap() }
}

/// The store.
pub struct Still {
    store: PostgresStore,
    time: Stillness,
}

#[derive(Clone)]
struct Stillness {
    clock: Arc<dyn Clock>,
    /// What the server shows: its thread has no part in the test's time.
    server_clock: ManualClock,
}

impl Stillness {
    /// A runtime whose time is paused moves it on when it has nothing to do, unless a blocking task is under way.
    async fn during<A>(&self, asks: impl Future<Output = A>) -> A {
        self.server_clock.set(self.clock.now());
        let (done, wait) = std::sync::mpsc::channel::<()>();
        let still = tokio::task::spawn_blocking(move || _ = wait.recv());
        let answer = asks.await;
        drop(done);
        let _ = still.await;
        answer
    }
}

impl Store for Still {
    fn command(&self, request: CommandRequest) -> BoxFuture<'_, Result<Answer, StoreError>> {
        self.time.during(self.store.command(request)).boxed()
    }
    fn claim(&self, request: ClaimRequest) -> BoxFuture<'_, Result<Claims, StoreError>> {
        self.time.during(self.store.claim(request)).boxed()
    }
    fn heartbeat(&self, request: HeartbeatRequest) -> BoxFuture<'_, Result<Heartbeats, StoreError>> {
        self.time.during(self.store.heartbeat(request)).boxed()
    }
    fn transact(&self, request: CommandRequest) -> BoxFuture<'_, Result<Transact, StoreError>> {
        async {
            let time = self.time.clone();
            Ok(match self.time.during(self.store.transact(request)).await? {
                Transact::Open(body) => Transact::Open(Box::new(StillBody { time, body })),
                answered => answered,
            })
        }
        .boxed()
    }
    fn execution(&self, id: &ExecutionId) -> BoxFuture<'_, Result<Option<ExecutionView>, StoreError>> {
        let id = id.clone();
        async move { self.time.during(self.store.execution(&id)).await }.boxed()
    }
    fn history(&self, key: ExecutionKey) -> BoxFuture<'_, Result<HistoryView, StoreError>> {
        self.time.during(self.store.history(key)).boxed()
    }
    fn list(&self, filter: ListFilter) -> BoxFuture<'_, Result<Vec<ExecutionView>, StoreError>> {
        self.time.during(self.store.list(filter)).boxed()
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
        self.time.clock.now()
    }
}

struct StillBody {
    time: Stillness,
    body: Box<dyn Transaction>,
}

impl Transaction for StillBody {
    fn execute<'a>(&'a mut self, sql: &'a str, params: &'a [Value]) -> BoxFuture<'a, Result<u64, StoreError>> {
        self.time.during(self.body.execute(sql, params)).boxed()
    }
    fn query<'a>(
        &'a mut self,
        sql: &'a str,
        params: &'a [Value],
    ) -> BoxFuture<'a, Result<Vec<Vec<Value>>, StoreError>> {
        self.time.during(self.body.query(sql, params)).boxed()
    }
    fn commit(self: Box<Self>, value: Vec<u8>) -> BoxFuture<'static, Result<Answer, StoreError>> {
        async move { self.time.during(self.body.commit(value)).await }.boxed()
    }
}
