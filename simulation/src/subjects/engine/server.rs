//! The store's process: the engine's own store over its own backend, with its requests under way.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, poll_fn};
use hydra_engine::protocol::{Protocol, Time};
use hydra_engine::store::backend::Backend;
use hydra_engine::store::{
    ExecutionId, Inline, MemoryBackend, SqliteOptions, Store, StoreError, StoreOptions, Synchronous, TokioClock,
    Transact, Transaction, Value,
};
use tokio::runtime::Runtime;

use super::program::{CREATE, EFFECTS};
use super::watched::{Notes, Watched, Write};
use super::wire::{Ask, Asker, Message, Outcome, Told, lost};
use crate::clock::Clock;

/// The store's clock at the beginning of a run: far from zero, so that a clock set back does not end there.
pub(super) const BEGINNING_MS: u64 = 1_000_000_000;

/// The store's own clock: right until the nemesis sets it.
#[derive(Clone)]
struct ServerClock {
    right: TokioClock,
    shown: Arc<Mutex<Clock>>,
}

impl hydra_engine::store::Clock for ServerClock {
    fn now(&self) -> Time {
        let now_ms = self.right.now().as_millis();
        Time::from_millis(self.shown.lock().unwrap_or_else(PoisonError::into_inner).shows_ms(now_ms))
    }
}

/// Where rows live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// In an SQLite file.
    Sqlite,
    /// In memory.
    Memory,
}

/// A store whose user's tables can be looked into.
trait Holds: Store {
    fn effects(&self) -> BoxFuture<'_, Result<Vec<Vec<Value>>, StoreError>>;
}

impl<B: Backend> Holds for Inline<B> {
    fn effects(&self) -> BoxFuture<'_, Result<Vec<Vec<Value>>, StoreError>> {
        self.query(EFFECTS, &[]).boxed()
    }
}

/// Transactions by number, each with whose it is; none while a request of its own uses it.
type Transactions = BTreeMap<u64, (Asker, Option<Box<dyn Transaction>>)>;
type Open = Arc<Mutex<Transactions>>;

/// A request under way.
struct Work {
    message: Message,
    work: BoxFuture<'static, Outcome>,
}

/// A request that came to its end.
pub(super) struct Done {
    pub message: Message,
    pub outcome: Outcome,
    /// What it committed.
    pub writes: Vec<Write>,
}

/// The store.
pub(super) struct Server {
    // Before the runtime, so that their timers end before it does.
    under_way: Vec<Work>,
    open: Open,
    store: Arc<dyn Holds>,
    file: Option<PathBuf>,
    options: StoreOptions,
    pub notes: Notes,
    opened: u64,
    clock_ms: u64,
    /// What its clock shows.
    shown: Arc<Mutex<Clock>>,
    runtime: Runtime,
}

impl Server {
    /// An empty store under these rules. `file` is where SQLite's is to be; what is there is removed.
    pub fn new(file: Option<PathBuf>, rules: &'static (dyn Protocol + Sync)) -> Self {
        let runtime = super::runtime();
        let notes = Notes::default();
        let shown = Arc::new(Mutex::new(Clock::starting_at(BEGINNING_MS)));
        let (store, options) = runtime.block_on(async {
            let right = TokioClock::starting_at(Time::from_millis(0));
            let clock = Arc::new(ServerClock { right, shown: shown.clone() });
            let options = StoreOptions { rules, clock, ..StoreOptions::default() };
            if let Some(file) = &file {
                remove(file);
            }
            let store = open(file.as_ref(), &options, &notes, true).await;
            (store, options)
        });
        notes.lock().committed.clear();
        let open = Open::default();
        Server { under_way: Vec::new(), open, store, file, options, notes, opened: 0, clock_ms: 0, shown, runtime }
    }

    pub fn time(&self, now_ms: u64) -> Time {
        Time::from_millis(self.shown.lock().unwrap_or_else(PoisonError::into_inner).shows_ms(now_ms))
    }

    /// Its clock is set, or changes its speed.
    pub fn set_clock(&self, set: impl FnOnce(&mut Clock)) {
        set(&mut self.shown.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Whether something waits here: for the store's lock, which a body may hold.
    pub fn is_busy(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// A request arrives.
    pub fn take_up(&mut self, message: Message) {
        let store = self.store.clone();
        let open = self.open.clone();
        let asker = message.from;
        let work = match message.ask.clone() {
            Ask::Command(request) => async move { store.command(request).await.map(Told::Answer) }.boxed(),
            Ask::Claim(request) => async move { store.claim(request).await.map(Told::Claims) }.boxed(),
            Ask::Heartbeat(request) => async move { store.heartbeat(request).await.map(Told::Heartbeats) }.boxed(),
            Ask::Execution(id) => async move { store.execution(&id).await.map(Told::Execution) }.boxed(),
            Ask::History(key) => async move { store.history(key).await.map(Told::History) }.boxed(),
            Ask::List(filter) => async move { store.list(filter).await.map(Told::List) }.boxed(),
            Ask::Transact(request) => {
                self.opened += 1;
                let tx = self.opened;
                async move {
                    match store.transact(request).await? {
                        Transact::Answered(answer) => Ok(Told::Answer(answer)),
                        Transact::Open(transaction) => {
                            lock(&open).insert(tx, (asker, Some(transaction)));
                            Ok(Told::Opened(tx))
                        }
                    }
                }
                .boxed()
            }
            Ask::Execute { tx, sql, params } => async move {
                let mut transaction = borrowed(&open, tx)?;
                let done = transaction.execute(&sql, &params).await;
                give_back(&open, tx, transaction);
                done.map(Told::Changed)
            }
            .boxed(),
            Ask::Query { tx, sql, params } => async move {
                let mut transaction = borrowed(&open, tx)?;
                let done = transaction.query(&sql, &params).await;
                give_back(&open, tx, transaction);
                done.map(Told::Rows)
            }
            .boxed(),
            Ask::Commit { tx, value } => async move {
                let transaction = borrowed(&open, tx)?;
                lock(&open).remove(&tx);
                transaction.commit(value).await.map(Told::Answer)
            }
            .boxed(),
            Ask::Close { tx } => async move {
                let closed = lock(&open).remove(&tx);
                drop(closed);
                Ok(Told::Changed(0))
            }
            .boxed(),
        };
        self.under_way.push(Work { message, work });
    }

    /// Runs until `now_ms`, and everything that can come to its end by then.
    pub fn run_to(&mut self, now_ms: u64) -> Vec<Done> {
        let ahead = now_ms.saturating_sub(self.clock_ms);
        self.clock_ms = self.clock_ms.max(now_ms);
        let Server { under_way, runtime, notes, .. } = self;
        runtime.block_on(async {
            if ahead > 0 {
                tokio::time::advance(Duration::from_millis(ahead)).await;
            }
            let mut done = Vec::new();
            loop {
                let before = done.len();
                poll_fn(|task| {
                    let mut index = 0;
                    while index < under_way.len() {
                        match under_way[index].work.as_mut().poll(task) {
                            Poll::Pending => index += 1,
                            Poll::Ready(outcome) => {
                                let Work { message, .. } = under_way.remove(index);
                                let writes = std::mem::take(&mut notes.lock().committed);
                                done.push(Done { message, outcome, writes });
                            }
                        }
                    }
                    Poll::Ready(())
                })
                .await;
                // What has ended may have given way to what waits.
                if done.len() == before {
                    return done;
                }
            }
        })
    }

    /// All connections break, and what was not committed is gone. Those whose requests were under way.
    pub fn restart(&mut self) -> Vec<Message> {
        let broken = std::mem::take(&mut self.under_way).into_iter().map(|work| work.message).collect();
        lock(&self.open).clear();
        if let Some(file) = &self.file {
            let (options, notes) = (&self.options, &self.notes);
            self.store = self.runtime.block_on(open(Some(file), options, notes, false));
        }
        broken
    }

    /// The transactions that a process left open when it ended.
    pub fn open_of(&self, asker: Asker) -> Vec<u64> {
        lock(&self.open).iter().filter(|(_, (of, _))| *of == asker).map(|(tx, _)| *tx).collect()
    }

    /// Whoever asked is not there any more to use it.
    pub fn close(&mut self, tx: u64) {
        let closed = lock(&self.open).remove(&tx);
        let _inside = self.runtime.enter();
        drop(closed);
    }

    /// A last look, past everything: the executions by their ids, with their steps.
    pub fn look<T>(&self, look: impl AsyncFnOnce(Arc<dyn Store>) -> T) -> T {
        let store: Arc<dyn Store> = self.store.clone();
        self.runtime.block_on(look(store))
    }

    /// The bodies whose effect is in the user's table, as often as it is there.
    pub fn effects(&self) -> Vec<u64> {
        let rows = self.runtime.block_on(self.store.effects()).unwrap_or_default();
        let body = |row: Vec<Value>| match row.first() {
            Some(Value::Integer(body)) => Some(*body as u64),
            _ => None,
        };
        rows.into_iter().filter_map(body).collect()
    }

    pub fn id(name: &str) -> ExecutionId {
        ExecutionId { namespace: hydra_engine::DEFAULT_NAMESPACE.to_owned(), id: name.to_owned() }
    }
}

async fn open(file: Option<&PathBuf>, options: &StoreOptions, notes: &Notes, fresh: bool) -> Arc<dyn Holds> {
    match file {
        Some(file) => {
            let sqlite = SqliteOptions { synchronous: Synchronous::Normal, ..SqliteOptions::at(file) };
            let backend = sqlite.open_backend().unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            with_table(Inline::over(Watched::over(backend, notes.clone()), options.clone()), fresh).await
        }
        None => {
            let backend = Watched::over(MemoryBackend::default(), notes.clone());
            with_table(Inline::over(backend, options.clone()), fresh).await
        }
    }
}

async fn with_table<B: Backend>(store: Inline<B>, fresh: bool) -> Arc<dyn Holds> {
    if fresh {
        store.execute(&[CREATE]).await.unwrap_or_else(|error| panic!("{error}"));
    }
    Arc::new(store)
}

fn remove(file: &std::path::Path) {
    for end in ["", "-wal", "-shm"] {
        let mut name = file.as_os_str().to_owned();
        name.push(end);
        let _ = std::fs::remove_file(name);
    }
}

fn lock(open: &Open) -> std::sync::MutexGuard<'_, Transactions> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

fn borrowed(open: &Open, tx: u64) -> Result<Box<dyn Transaction>, StoreError> {
    let found = lock(open).get_mut(&tx).and_then(|(_, transaction)| transaction.take());
    found.ok_or_else(|| lost("the connection of the transaction is gone"))
}

fn give_back(open: &Open, tx: u64, transaction: Box<dyn Transaction>) {
    match lock(open).get_mut(&tx) {
        Some((_, place)) => *place = Some(transaction),
        None => drop(transaction),
    }
}
