//! A task that owns a connection and commits what has queued up for it together.

use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use futures::{TryFutureExt, try_join};
use tokio::sync::{mpsc, watch};

use super::Shared;
use super::connect::{Connection, Link};
use super::fault::{Fault, What};
use super::flush::Writes;
use super::image::Image;
use super::load::{self, Lock, Wanted};
use crate::store::apply::Tx;
use crate::store::group_commit::job::Job;
use crate::store::signals::Effects;
use crate::store::{Answer, CommandRequest, ExecutionKey, HeartbeatRequest, Heartbeats, StoreError};

/// Payloads of one batch together, in bytes: a message of the protocol holds no more than 1 GiB.
const BATCH_BYTES_MAX: usize = 64 << 20;
/// How often a transaction is tried that others are in the way of.
const CONFLICTS_MAX: u32 = 10;

/// What comes to a writer.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all of it is commands, and a box would be an allocation for each"
)]
pub enum Work {
    Command(Job<CommandRequest, Answer>),
    Heartbeat(Job<HeartbeatRequest, Heartbeats>),
}

impl Work {
    fn run(&mut self, tx: &mut Tx<'_, Image>) -> Result<(), StoreError> {
        match self {
            Work::Command(job) => job.run(|request| tx.command(request)),
            Work::Heartbeat(job) => job.run(|request| tx.heartbeat(request)),
        }
    }

    fn answer(self, failure: Option<&StoreError>) {
        match self {
            Work::Command(job) => job.answer(failure),
            Work::Heartbeat(job) => job.answer(failure),
        }
    }

    fn is_abandoned(&self) -> bool {
        match self {
            Work::Command(job) => job.reply.is_closed(),
            Work::Heartbeat(job) => job.reply.is_closed(),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Work::Command(job) => {
                let payload = &job.request.payload;
                payload.value.as_ref().map_or(0, Vec::len) + payload.error.as_ref().map_or(0, String::len)
            }
            Work::Heartbeat(_) => 0,
        }
    }

    fn want(&self, wanted: &mut Wanted) {
        match self {
            Work::Command(job) => wanted.command(&job.request),
            Work::Heartbeat(job) => job.request.leases.iter().for_each(|(key, _)| wanted.key(key.0)),
        }
    }

    fn request(&self) -> Option<&CommandRequest> {
        match self {
            Work::Command(job) => Some(&job.request),
            Work::Heartbeat(_) => None,
        }
    }
}

/// A connection that writes, and what it needs.
pub struct Writer {
    shared: Arc<Shared>,
    link: Link,
}

impl Writer {
    pub fn new(shared: Arc<Shared>) -> Self {
        let link = Link::new(Arc::clone(&shared.connector));
        Writer { shared, link }
    }

    /// Until the store is closed and the queue empty.
    pub async fn run(mut self, mut queue: mpsc::Receiver<Work>, mut closing: watch::Receiver<bool>) {
        let mut taken = Vec::new();
        let batch_max = self.shared.options.batch_commands_max.max(1);
        let mut last = 0;
        loop {
            // What has queued up while the last batch was committed is the next batch: no delay at one client, large
            // batches at many.
            let count = tokio::select! {
                biased;
                count = queue.recv_many(&mut taken, batch_max) => count,
                _ = closing.wait_for(|closing| *closing) => {
                    queue.close();
                    continue;
                }
            };
            if count == 0 {
                return;
            }
            let mut waiting: VecDeque<_> = taken.drain(..).filter(|work| !work.is_abandoned()).collect();
            if waiting.is_empty() {
                continue;
            }
            // Most of those who were answered together ask again about as soon as a transaction can be begun. Without
            // them there are two groups that take turns for ever, in twice as many batches, each of which costs the
            // server nearly as much as one for all.
            if last > 1 && self.begin_early().await {
                while waiting.len() < batch_max
                    && let Ok(work) = queue.try_recv()
                {
                    waiting.push_back(work);
                }
            }
            last = waiting.len();
            metrics::gauge!("hydra_store_queue_length").set(queue.len() as f64);
            while !waiting.is_empty() {
                let mut bytes = 0;
                let mut batch = Vec::with_capacity(waiting.len());
                while let Some(work) = waiting.pop_front() {
                    bytes += work.bytes();
                    batch.push(work);
                    if bytes >= BATCH_BYTES_MAX {
                        break;
                    }
                }
                self.apply(batch).await;
            }
        }
    }

    /// Whether a transaction was begun, for a batch that is applied at once.
    async fn begin_early(&mut self) -> bool {
        bounded(&self.shared, &mut self.link, async |connection, _| connection.begin_early().await).await.is_ok()
    }

    /// Applies a batch in one transaction. If that fails for one of them, each in one of its own, so that only the
    /// culprit fails.
    async fn apply(&mut self, mut batch: Vec<Work>) {
        match self.attempt(&mut batch).await {
            Ok(()) => batch.into_iter().for_each(|work| work.answer(None)),
            Err(fault) if fault.what == What::Statement && batch.len() > 1 => {
                tracing::warn!(error = %fault.error, commands = batch.len(), "a batch failed; its commands are applied one by one");
                let mut broken = None;
                for mut work in batch {
                    let failure = match &broken {
                        Some(error) => Some(StoreError::clone(error)),
                        None => self.attempt(std::slice::from_mut(&mut work)).await.err().map(|fault| {
                            // The server is not to be had: the others would wait for it one after the other.
                            if fault.what == What::Connection && matches!(fault.error, StoreError::Unavailable(_)) {
                                broken = Some(fault.error.clone());
                            }
                            fault.error
                        }),
                    };
                    work.answer(failure.as_ref());
                }
            }
            Err(fault) => {
                tracing::warn!(error = %fault.error, commands = batch.len(), "no answer, or nothing was written");
                batch.into_iter().for_each(|work| work.answer(Some(&fault.error)));
            }
        }
    }

    async fn attempt(&mut self, batch: &mut [Work]) -> Result<(), Fault> {
        let shared = Arc::clone(&self.shared);
        let mut conflicts = 0;
        loop {
            let done = bounded(&shared, &mut self.link, async |connection, sent| {
                transaction(&shared, connection, sent, batch).await
            });
            match done.await {
                Err(fault) if fault.what == What::Conflict && conflicts < CONFLICTS_MAX => {
                    conflicts += 1;
                    metrics::counter!("hydra_store_conflicts").increment(1);
                    tokio::time::sleep(Duration::from_millis(u64::from(conflicts))).await;
                }
                done => return done,
            }
        }
    }
}

/// Runs a transaction on the link's connection, which is made if there is none.
pub async fn bounded<T>(
    shared: &Shared,
    link: &mut Link,
    work: impl AsyncFnOnce(&mut Connection, &AtomicBool) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let connection = link.get().await.map_err(Fault::connection_error)?;
    let done = on(shared, connection, work).await;
    if let Err(Fault { what: What::Connection, .. }) = &done {
        link.forget();
    }
    done
}

/// Runs a transaction, or the end of one, for no longer than the store waits for an answer. After an error it is undone,
/// or the connection is of no use. `sent` tells whether its COMMIT was sent: before that nothing has happened, and after
/// it anything may have.
pub async fn on<T>(
    shared: &Shared,
    connection: &mut Connection,
    work: impl AsyncFnOnce(&mut Connection, &AtomicBool) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let sent = AtomicBool::new(false);
    let done = match tokio::time::timeout(shared.postgres.answer_timeout, work(connection, &sent)).await {
        Ok(done) => done,
        Err(_) if sent.load(Ordering::Relaxed) => Err(Fault::unknown("the server did not answer a commit")),
        Err(_) => Err(Fault::connection("the server did not answer")),
    };
    match done {
        Err(fault) if fault.what != What::Connection && !connection.rollback().await => {
            Err(Fault { what: What::Connection, ..fault })
        }
        done => done,
    }
}

async fn transaction(
    shared: &Shared,
    connection: &mut Connection,
    sent: &AtomicBool,
    batch: &mut [Work],
) -> Result<(), Fault> {
    let (mut wanted, mut image, mut effects) = (Wanted::default(), Image::default(), Effects::default());
    batch.iter().for_each(|work| work.want(&mut wanted));
    let requests = batch.iter().filter_map(Work::request);
    let now = load::begin(connection, &shared.clock, &mut image, wanted, requests, Lock::Rows).await?;
    for work in batch.iter_mut() {
        loop {
            let rules = shared.options.rules;
            let done = work.run(&mut Tx { backend: &mut image, rules, now, effects: &mut effects });
            let Err(error) = done else { break };
            match image.take_miss() {
                Some(miss) => load::missed(connection, &mut image, miss).await?,
                None => return Err(error.into()),
            }
        }
    }
    let writes = Writes::prepare(connection, &image).await?;
    commit(shared, connection, sent, writes, async { Ok(()) }, effects, batch.len()).await
}

/// Writes and commits at one go, and tells all who wait for what it brought. `beside` is asked between the two.
///
/// The COMMIT does not wait for what becomes of the writes: if one of them fails, the server undoes all of them instead.
pub async fn commit<T>(
    shared: &Shared,
    connection: &Connection,
    sent: &AtomicBool,
    writes: Writes<'_>,
    beside: impl Future<Output = Result<T, tokio_postgres::Error>>,
    mut effects: Effects,
    commands: usize,
) -> Result<T, Fault> {
    let started = Instant::now();
    let done = write_and_commit(connection, sent, &writes, beside).await;
    metrics::histogram!("hydra_store_commit_seconds").record(started.elapsed());
    metrics::histogram!("hydra_store_commands_per_commit").record(commands as f64);
    let (keys, answer) = match done {
        Ok(done) => done,
        Err(fault) => {
            metrics::counter!("hydra_store_commit_failures").increment(1);
            tracing::warn!(error = %fault.error, commands, "a commit failed");
            return Err(fault);
        }
    };
    metrics::counter!("hydra_store_commits").increment(1);
    for (key, _) in &mut effects.ended {
        *key = keys.get(&key.0).copied().unwrap_or(*key);
    }
    shared.signals.tell(&effects);
    if effects.due_changed {
        shared.announce.notify_one();
    }
    Ok(answer)
}

async fn write_and_commit<T>(
    connection: &Connection,
    sent: &AtomicBool,
    writes: &Writes<'_>,
    beside: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<(BTreeMap<i64, ExecutionKey>, T), Fault> {
    let mut writing = pin!(async { try_join!(writes.send(&connection.client), beside) });
    let written = match futures::poll!(writing.as_mut()) {
        // Without a COMMIT behind it: (1) a settlement is two statements; (2) the second cannot be encoded; (3) the
        // first is committed.
        Poll::Ready(Err(error)) => return Err(error.into()),
        Poll::Ready(Ok(written)) => Some(written),
        Poll::Pending => None,
    };
    sent.store(true, Ordering::Relaxed);
    match written {
        Some(written) => connection.commit().await.map(|()| written),
        None => try_join!(writing.map_err(Fault::of_commit), connection.commit()).map(|(written, ())| written),
    }
}
