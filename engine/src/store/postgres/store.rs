//! The store: requests to queues, answers to callers.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::BoxFuture;
use hydra_protocol::Time;
use tokio::sync::{Mutex, Notify, Semaphore, mpsc, oneshot, watch};

use super::clock::StoreClock;
use super::connect::{Connector, Link, USERS_PLANS};
use super::fault::{Fault, What};
use super::reads::{EndedOf, History, List, Read};
use super::runtime::{self, Running};
use super::writer::{self, Work};
use super::{PostgresOptions, Shared, body, prune};
use crate::bell::Bell;
use crate::store::group_commit::job::Job;
use crate::store::{
    Answer, ClaimRequest, Claims, CommandRequest, EndingMark, EndingWatch, ExecutionId, ExecutionKey, ExecutionView,
    HeartbeatRequest, Heartbeats, HistoryView, ListFilter, PruneRequest, Pruned, Store, StoreError, StoreOptions,
    Target, Transact, Value, check,
};

/// A store in a PostgreSQL server, shared by workers on many machines. See [`PostgresOptions`].
///
/// Its connections live on a thread of its own, so it can be opened and used from any runtime. Dropped, it takes no more
/// requests, finishes those it has, and closes them. [`PostgresStore::close`] waits for that.
pub struct PostgresStore {
    shared: Arc<Shared>,
    running: Running,
    closing: watch::Sender<bool>,
    readers: Arc<[Mutex<Link>]>,
    next_reader: AtomicUsize,
}

impl PostgresStore {
    /// Opens the store in this database, with the defaults: see [`PostgresOptions::open`].
    ///
    /// # Errors
    /// Those of [`PostgresOptions::open`].
    pub fn open(url: impl Into<String>) -> Result<Self, StoreError> {
        PostgresOptions::at(url).open(StoreOptions::default())
    }

    /// Takes no more requests, and returns once those before are answered and the connections are closed.
    pub async fn close(&self) {
        self.closing.send_replace(true);
        // An error means that the thread is gone.
        let _ = self.running.ended.clone().wait_for(|ended| *ended).await;
    }

    /// Runs statements on the user's own tables in one transaction: to create them, or to fill them.
    pub async fn execute(&self, statements: &[&str]) -> Result<(), StoreError> {
        let statements = statements.iter().map(|&sql| (sql.to_owned(), Vec::new())).collect();
        self.user(statements).await.map(drop)
    }

    /// Runs one query on the user's own tables.
    pub async fn query(&self, sql: &str, params: &[Value]) -> Result<Vec<Vec<Value>>, StoreError> {
        check::params(params, self.shared.options.payload_bytes_max)?;
        self.user(vec![(sql.to_owned(), params.to_vec())]).await
    }

    /// Runs statements in one transaction; answers the rows of the last.
    async fn user(&self, statements: Vec<(String, Vec<Value>)>) -> Result<Vec<Vec<Value>>, StoreError> {
        self.check_open()?;
        let shared = Arc::clone(&self.shared);
        runtime::run(&self.running.handle, async move {
            let Ok(_permit) = Arc::clone(&shared.bodies).acquire_owned().await else { return Err(closed()) };
            let mut link = shared.take_link();
            let done = writer::bounded(&shared, &mut link, async |connection, sent| {
                connection.begin().await?;
                let path = format!("SET LOCAL search_path = {}; {USERS_PLANS}", shared.search_path());
                connection.client.batch_execute(&path).await?;
                let mut rows = Vec::new();
                for (sql, params) in &statements {
                    super::guard::check(sql)?;
                    rows = match body::user_statement(&connection.client, sql, params).await {
                        Ok((_, rows)) => rows,
                        Err(body::UserError::Refused(error)) => return Err(error.into()),
                        Err(body::UserError::Database(error)) => return Err(Fault::from(error)),
                    };
                }
                sent.store(true, Ordering::Relaxed);
                connection.commit().await?;
                Ok(rows)
            });
            let done = done.await.map_err(|fault| fault.error);
            shared.give_link(link);
            done
        })
        .await
    }

    /// Commands of one execution go through one writer, so they are decided in the order in which they came.
    async fn write<A>(
        &self,
        of: impl Hash,
        work: Work,
        answer: oneshot::Receiver<Result<A, StoreError>>,
    ) -> Result<A, StoreError> {
        let mut hasher = DefaultHasher::new();
        of.hash(&mut hasher);
        let writers = &self.running.queues.writers;
        let writer = (hasher.finish() % writers.len() as u64) as usize;
        ask(&writers[writer], work, answer).await
    }

    async fn read<R: Read>(&self, read: R) -> Result<R::Answer, StoreError> {
        self.check_open()?;
        let (shared, readers) = (Arc::clone(&self.shared), Arc::clone(&self.readers));
        let reader = self.next_reader.fetch_add(1, Ordering::Relaxed) % readers.len();
        runtime::run(&self.running.handle, async move {
            let mut link = readers[reader].lock().await;
            let mut again = true;
            loop {
                let done = async {
                    let connection = link.get().await.map_err(Fault::connection_error)?;
                    let limit = shared.postgres.answer_timeout;
                    let read = tokio::time::timeout(limit, read.read(connection)).await;
                    read.unwrap_or_else(|_| Err(Fault::connection("the server did not answer")))
                };
                let done = done.await;
                match done {
                    Err(fault) if fault.what == What::Connection => {
                        link.forget();
                        // Reading twice does no harm; the first connection may have been lost long ago.
                        if !std::mem::take(&mut again) {
                            return Err(fault.error);
                        }
                    }
                    done => return done.map_err(|fault| fault.error),
                }
            }
        })
        .await
    }

    fn check_open(&self) -> Result<(), StoreError> {
        if *self.closing.borrow() { Err(closed()) } else { Ok(()) }
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.closing.send_replace(true);
    }
}

impl PostgresOptions {
    /// Opens a store, and brings the database to this engine's schema; several workers may do so at once. Waits for the
    /// server. Of `options` the clock is not looked at: the server's counts, or [`PostgresOptions::clock`].
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if no server can be reached; [`StoreError::Refused`] if it does not take this user, or
    /// the URL cannot be read; [`StoreError::NotAStore`] if the schema is another application's, or a newer engine's.
    pub fn open(&self, options: StoreOptions) -> Result<PostgresStore, StoreError> {
        let shared = Arc::new(Shared {
            connector: Arc::new(Connector::new(self)?),
            clock: StoreClock::new(self.clock.clone()),
            signals: Default::default(),
            announce: Notify::new(),
            bodies: Arc::new(Semaphore::new(self.bodies_max.max(1))),
            links: Default::default(),
            search_path: Default::default(),
            options,
            postgres: self.clone(),
        });
        let (closing, is_closing) = watch::channel(false);
        let running = runtime::start(Arc::clone(&shared), is_closing)?;
        let readers = (0..self.readers.max(1)).map(|_| Mutex::new(runtime::link(&shared))).collect();
        Ok(PostgresStore { shared, running, closing, readers, next_reader: AtomicUsize::new(0) })
    }
}

/// Queues a request and waits for its answer.
async fn ask<T, A>(
    queue: &mpsc::Sender<T>,
    work: T,
    answer: oneshot::Receiver<Result<A, StoreError>>,
) -> Result<A, StoreError> {
    if queue.send(work).await.is_err() {
        return Err(closed());
    }
    answer.await.unwrap_or_else(|_| Err(StoreError::Unknown("the store's writer ended before it answered".into())))
}

fn closed() -> StoreError {
    StoreError::Refused("the store is closed: open it again".into())
}

impl Store for PostgresStore {
    fn command(&self, request: CommandRequest) -> BoxFuture<'_, Result<Answer, StoreError>> {
        Box::pin(async move {
            check::command(&request, self.shared.options.payload_bytes_max)?;
            let (job, answer) = Job::new(request);
            match job.request.target.clone() {
                Target::Id(id) => self.write(id, Work::Command(job), answer).await,
                Target::Key(key) => self.write(key, Work::Command(job), answer).await,
            }
        })
    }

    fn claim(&self, request: ClaimRequest) -> BoxFuture<'_, Result<Claims, StoreError>> {
        Box::pin(async move {
            check::claim(&request)?;
            let (job, answer) = Job::new(request);
            ask(&self.running.queues.claims, job, answer).await
        })
    }

    fn heartbeat(&self, request: HeartbeatRequest) -> BoxFuture<'_, Result<Heartbeats, StoreError>> {
        Box::pin(async move {
            let (job, answer) = Job::new(request);
            self.write((), Work::Heartbeat(job), answer).await
        })
    }

    fn transact(&self, request: CommandRequest) -> BoxFuture<'_, Result<Transact, StoreError>> {
        Box::pin(async move {
            check::transact(&request, self.shared.options.payload_bytes_max)?;
            self.check_open()?;
            let (opened, found) = oneshot::channel();
            self.running.handle.spawn(body::run(Arc::clone(&self.shared), request, opened));
            found.await.unwrap_or_else(|_| Err(StoreError::Unavailable("the store was closed".into())))
        })
    }

    fn execution(&self, id: &ExecutionId) -> BoxFuture<'_, Result<Option<ExecutionView>, StoreError>> {
        let (job, answer) = Job::new(id.clone());
        Box::pin(ask(&self.running.queues.lookups, job, answer))
    }

    fn ended_of(&self, keys: Vec<ExecutionKey>) -> BoxFuture<'_, Result<Vec<ExecutionKey>, StoreError>> {
        Box::pin(self.read(EndedOf(keys)))
    }

    fn history(&self, key: ExecutionKey) -> BoxFuture<'_, Result<HistoryView, StoreError>> {
        Box::pin(self.read(History(key)))
    }

    fn list(&self, filter: ListFilter) -> BoxFuture<'_, Result<Vec<ExecutionView>, StoreError>> {
        Box::pin(self.read(List(filter)))
    }

    fn prune(&self, request: PruneRequest) -> BoxFuture<'_, Result<Pruned, StoreError>> {
        Box::pin(async move {
            self.check_open()?;
            let shared = Arc::clone(&self.shared);
            runtime::run(&self.running.handle, async move {
                let Ok(_permit) = Arc::clone(&shared.bodies).acquire_owned().await else { return Err(closed()) };
                let mut link = shared.take_link();
                let done = writer::bounded(&shared, &mut link, async |connection, sent| {
                    prune::transaction(connection, sent, &request).await
                });
                let done = done.await.map_err(|fault| fault.error);
                shared.give_link(link);
                done
            })
            .await
        })
    }

    fn payload_max(&self) -> usize {
        self.shared.options.payload_bytes_max
    }

    fn due_changed(&self) -> Arc<Bell> {
        Arc::clone(&self.shared.signals.due_changed)
    }

    fn ended(&self) -> Arc<Bell> {
        Arc::clone(&self.shared.signals.ended)
    }

    fn watch_ending(&self, key: ExecutionKey) -> EndingWatch {
        self.shared.signals.endings.watch(key)
    }

    fn ending_mark(&self) -> Option<EndingMark> {
        Some(self.shared.signals.endings.mark())
    }

    fn watch_ending_since(&self, key: ExecutionKey, mark: EndingMark) -> EndingWatch {
        self.shared.signals.endings.watch_since(key, mark)
    }

    fn now(&self) -> Time {
        self.shared.clock.now()
    }
}
