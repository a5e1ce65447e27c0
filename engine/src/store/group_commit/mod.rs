//! A driver that commits what all tasks ask for together: one thread writes, and each answer is sent after its commit.

mod body;
pub(super) mod job;
mod queue;
mod serve;
mod writer;

use std::marker::PhantomData;
use std::sync::Arc;

use futures::future::BoxFuture;
use hydra_protocol::Time;
use tokio::sync::{oneshot, watch};

use super::backend::{Backend, Reads};
use super::signals::Signals;
use super::{
    Answer, ClaimRequest, Claims, CommandRequest, EndingMark, EndingWatch, ExecutionId, ExecutionKey, ExecutionView,
    HeartbeatRequest, Heartbeats, HistoryView, ListFilter, PruneRequest, Pruned, Store, StoreError, StoreOptions,
    Transact, Value, check,
};
use crate::bell::Bell;
use body::{BodyTransaction, Opened};
use job::{Job, Operation, Read};
use queue::Queue;
use writer::{Work, Writer};

/// Threads that read beside the writer, where the backend allows it: a long list does not keep short reads waiting.
const READERS: usize = 2;

/// A store with one thread that writes.
///
/// It takes whatever has queued up, applies it in one transaction with what comes meanwhile, commits, and only then
/// answers each: so many clients share the cost of one commit, and a single one waits for none but its own. With nothing
/// to do it does nothing.
///
/// Dropped, it takes no more requests, finishes those it has, and ends its threads. [`GroupCommit::close`] waits for
/// that.
pub struct GroupCommit<B> {
    queue: Arc<Queue<Work>>,
    /// None if reads go through the writer.
    reads: Option<Arc<Queue<Read>>>,
    options: StoreOptions,
    signals: Arc<Signals>,
    ended: watch::Receiver<bool>,
    backend: PhantomData<fn() -> B>,
}

impl<B: Backend> GroupCommit<B> {
    /// A store that keeps its rows in `backend`. Starts its threads.
    ///
    /// # Errors
    /// Those of [`Backend::reader`], and [`StoreError::Unavailable`] if the system has no thread left.
    pub fn over(mut backend: B, options: StoreOptions) -> Result<Self, StoreError> {
        let readers = (0..READERS).filter_map(|_| backend.reader().transpose()).collect::<Result<Vec<_>, _>>()?;
        let reads = (!readers.is_empty()).then(|| Arc::new(Queue::new(options.queue_commands_max)));
        let (ended, has_ended) = watch::channel(false);
        let store = GroupCommit {
            queue: Arc::new(Queue::new(options.queue_commands_max)),
            reads,
            options,
            signals: Arc::new(Signals::default()),
            ended: has_ended,
            backend: PhantomData,
        };
        let queue = Arc::clone(&store.queue);
        let writer = Writer::new(backend, queue, store.options.clone(), Arc::clone(&store.signals), ended);
        spawn("hydra-writer", move || writer.run())?;
        for reader in readers {
            if let Some(reads) = store.reads.clone() {
                spawn("hydra-reader", move || serve_reads(reader, &reads))?;
            }
        }
        Ok(store)
    }

    /// Takes no more requests, and returns once those before are answered and the file is let go.
    pub async fn close(&self) {
        self.stop();
        // An error means that the writer is gone.
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }

    /// Runs statements on the user's own tables in one transaction: to create them, or to fill them.
    pub async fn execute(&self, statements: &[&str]) -> Result<(), StoreError> {
        let statements = statements.iter().map(|&sql| sql.to_owned()).collect();
        self.write(statements, Operation::Execute).await
    }

    /// Runs one query on the user's own tables.
    pub async fn query(&self, sql: &str, params: &[Value]) -> Result<Vec<Vec<Value>>, StoreError> {
        check::params(params, self.options.payload_bytes_max)?;
        self.write((sql.to_owned(), params.to_vec()), Operation::Query).await
    }

    async fn write<Q, A>(&self, request: Q, wrap: impl FnOnce(Job<Q, A>) -> Operation) -> Result<A, StoreError> {
        let (job, answer) = Job::new(request);
        ask(&self.queue, Work::Operation(Box::new(wrap(job))), answer).await
    }

    async fn read<Q, A>(&self, request: Q, wrap: impl FnOnce(Job<Q, A>) -> Read) -> Result<A, StoreError> {
        let (job, answer) = Job::new(request);
        match &self.reads {
            Some(reads) => ask(reads, wrap(job), answer).await,
            None => ask(&self.queue, Work::Operation(Box::new(Operation::Read(wrap(job)))), answer).await,
        }
    }
}

impl<B> GroupCommit<B> {
    fn stop(&self) {
        self.queue.close();
        if let Some(reads) = &self.reads {
            reads.close();
        }
    }
}

impl<B> Drop for GroupCommit<B> {
    fn drop(&mut self) {
        self.stop();
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), StoreError> {
    let thread = std::thread::Builder::new().name(name.into()).spawn(work);
    thread.map(drop).map_err(|error| StoreError::Unavailable(format!("no thread for the store: {error}")))
}

/// Queues a request and waits for its answer.
async fn ask<T, A>(
    queue: &Queue<T>,
    work: T,
    answer: oneshot::Receiver<Result<A, StoreError>>,
) -> Result<A, StoreError> {
    let mut work = Some(work);
    let pushed = std::future::poll_fn(|context| queue.poll_push(&mut work, context)).await;
    if pushed.is_err() {
        return Err(StoreError::Refused("the store is closed, or its writer has died: open it again".into()));
    }
    answer.await.unwrap_or_else(|_| Err(StoreError::Unknown("the store's writer ended before it answered".into())))
}

/// Reads that one of the threads takes at a time, at most.
const READS_MAX: usize = 32;

fn serve_reads(mut reader: impl Reads, reads: &Queue<Read>) {
    while let Some(taken) = reads.take(READS_MAX, true) {
        let (mut views, mut others) = (Vec::with_capacity(taken.len()), Vec::new());
        for read in taken {
            match read {
                Read::Execution(job) => views.push(job),
                other => others.push(other),
            }
        }
        if !views.is_empty() {
            let found = reader.views(&views.iter().map(|job| &job.request).collect::<Vec<_>>());
            for (job, found) in views.into_iter().zip(found) {
                let _ = job.reply.send(found);
            }
        }
        for mut read in others {
            let failure = read.run(&mut reader).err();
            read.answer(failure.as_ref());
        }
    }
}

impl<B: Backend> Store for GroupCommit<B> {
    fn command(&self, request: CommandRequest) -> BoxFuture<'_, Result<Answer, StoreError>> {
        Box::pin(async move {
            check::command(&request, self.options.payload_bytes_max)?;
            self.write(request, Operation::Command).await
        })
    }

    fn claim(&self, request: ClaimRequest) -> BoxFuture<'_, Result<Claims, StoreError>> {
        Box::pin(async move {
            check::claim(&request)?;
            self.write(request, Operation::Claim).await
        })
    }

    fn heartbeat(&self, request: HeartbeatRequest) -> BoxFuture<'_, Result<Heartbeats, StoreError>> {
        Box::pin(self.write(request, Operation::Heartbeat))
    }

    fn transact(&self, request: CommandRequest) -> BoxFuture<'_, Result<Transact, StoreError>> {
        Box::pin(async move {
            check::transact(&request, self.options.payload_bytes_max)?;
            let (job, answer) = Job::new(Box::new(request));
            Ok(match ask(&self.queue, Work::Transact(job), answer).await? {
                Opened::Answered(answer) => Transact::Answered(answer),
                Opened::Open(requests) => Transact::Open(Box::new(BodyTransaction {
                    requests,
                    payload_bytes_max: self.options.payload_bytes_max,
                    body_time_max: self.options.body_time_max,
                })),
            })
        })
    }

    fn execution(&self, id: &ExecutionId) -> BoxFuture<'_, Result<Option<ExecutionView>, StoreError>> {
        Box::pin(self.read(id.clone(), Read::Execution))
    }

    fn ended_of(&self, keys: Vec<ExecutionKey>) -> BoxFuture<'_, Result<Vec<ExecutionKey>, StoreError>> {
        Box::pin(self.read(keys, Read::EndedOf))
    }

    fn history(&self, key: ExecutionKey) -> BoxFuture<'_, Result<HistoryView, StoreError>> {
        Box::pin(self.read(key, Read::History))
    }

    fn list(&self, filter: ListFilter) -> BoxFuture<'_, Result<Vec<ExecutionView>, StoreError>> {
        Box::pin(self.read(filter, Read::List))
    }

    fn prune(&self, request: PruneRequest) -> BoxFuture<'_, Result<Pruned, StoreError>> {
        Box::pin(self.write(request, Operation::Prune))
    }

    fn payload_max(&self) -> usize {
        self.options.payload_bytes_max
    }

    fn due_changed(&self) -> Arc<Bell> {
        Arc::clone(&self.signals.due_changed)
    }

    fn ended(&self) -> Arc<Bell> {
        Arc::clone(&self.signals.ended)
    }

    fn watch_ending(&self, key: ExecutionKey) -> EndingWatch {
        self.signals.endings.watch(key)
    }

    fn ending_mark(&self) -> Option<EndingMark> {
        Some(self.signals.endings.mark())
    }

    fn watch_ending_since(&self, key: ExecutionKey, mark: EndingMark) -> EndingWatch {
        self.signals.endings.watch_since(key, mark)
    }

    fn now(&self) -> Time {
        self.options.clock.now()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::MemoryBackend;

    #[tokio::test]
    async fn a_store_that_is_dropped_ends_its_writer() {
        let store = GroupCommit::over(MemoryBackend::default(), StoreOptions::default()).unwrap();
        let mut ended = store.ended.clone();
        drop(store);
        let ended = tokio::time::timeout(Duration::from_secs(60), ended.wait_for(|ended| *ended)).await;
        assert!(ended.is_ok_and(|ended| ended.is_ok()), "its thread waits for ever");
    }
}
