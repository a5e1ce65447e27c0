//! What is asked of the threads behind a store, with the way back to who asked.

use tokio::sync::oneshot;

use crate::store::apply::Tx;
use crate::store::backend::{Backend, Reads};
use crate::store::{
    Answer, ClaimRequest, Claims, CommandRequest, ExecutionId, ExecutionKey, ExecutionView, HeartbeatRequest,
    Heartbeats, HistoryView, ListFilter, PruneRequest, Pruned, StoreError, Value,
};

/// The way back to who asked.
pub type Reply<A> = oneshot::Sender<Result<A, StoreError>>;

/// A request, and what came of it so far. It is answered once that is durable, and never before.
#[derive(Debug)]
pub struct Job<Q, A> {
    pub request: Q,
    pub reply: Reply<A>,
    done: Option<Result<A, StoreError>>,
}

impl<Q, A> Job<Q, A> {
    /// A job, and where its answer will come.
    pub fn new(request: Q) -> (Self, oneshot::Receiver<Result<A, StoreError>>) {
        let (reply, answer) = oneshot::channel();
        (Job { request, reply, done: None }, answer)
    }

    /// Does it. An error if the transaction must be undone: a corrupt row is told to who asked for it, and to nobody
    /// else.
    pub fn run(&mut self, work: impl FnOnce(&Q) -> Result<A, StoreError>) -> Result<(), StoreError> {
        let done = work(&self.request);
        let undo = match &done {
            Ok(_) | Err(StoreError::Corrupt { .. }) => Ok(()),
            Err(error) => Err(error.clone()),
        };
        self.done = Some(done);
        undo
    }

    /// Tells what came of it, or that nothing did. Who asked may be gone.
    pub fn answer(self, failure: Option<&StoreError>) {
        let done = match (failure, self.done) {
            (Some(failure), Some(Ok(_)) | None) => Err(failure.clone()),
            (_, Some(done)) => done,
            (None, None) => return,
        };
        let _ = self.reply.send(done);
    }
}

/// What is applied in a batch.
#[derive(Debug)]
pub enum Operation {
    Command(Job<CommandRequest, Answer>),
    Claim(Job<ClaimRequest, Claims>),
    Heartbeat(Job<HeartbeatRequest, Heartbeats>),
    Prune(Job<PruneRequest, Pruned>),
    /// Where there can be no reader beside the writer.
    Read(Read),
    /// Statements on the user's own tables, outside of any step.
    Execute(Job<Vec<String>, ()>),
    /// A query of the user's own tables, outside of any step.
    Query(Job<(String, Vec<Value>), Vec<Vec<Value>>>),
}

impl Operation {
    /// Applies it in an open transaction. After an error that must be undone.
    pub fn run<B: Backend>(&mut self, tx: &mut Tx<'_, B>) -> Result<(), StoreError> {
        match self {
            Operation::Command(job) => job.run(|request| tx.command(request)),
            Operation::Claim(job) => job.run(|request| tx.claim(request)),
            Operation::Heartbeat(job) => job.run(|request| tx.heartbeat(request)),
            Operation::Prune(job) => job.run(|request| tx.prune(request)),
            Operation::Read(read) => read.run(tx.backend),
            Operation::Execute(job) => {
                job.run(|statements| statements.iter().try_for_each(|sql| tx.backend.execute(sql, &[]).map(drop)))
            }
            Operation::Query(job) => job.run(|(sql, params)| tx.backend.query(sql, params)),
        }
    }

    /// See [`Job::answer`].
    pub fn answer(self, failure: Option<&StoreError>) {
        match self {
            Operation::Command(job) => job.answer(failure),
            Operation::Claim(job) => job.answer(failure),
            Operation::Heartbeat(job) => job.answer(failure),
            Operation::Prune(job) => job.answer(failure),
            Operation::Read(read) => read.answer(failure),
            Operation::Execute(job) => job.answer(failure),
            Operation::Query(job) => job.answer(failure),
        }
    }

    /// Whether nobody waits for it any more. It need not be done then: a claim would even be held by nobody.
    pub fn is_abandoned(&self) -> bool {
        match self {
            Operation::Command(job) => job.reply.is_closed(),
            Operation::Claim(job) => job.reply.is_closed(),
            Operation::Heartbeat(job) => job.reply.is_closed(),
            Operation::Prune(job) => job.reply.is_closed(),
            Operation::Read(_) => false,
            Operation::Execute(job) => job.reply.is_closed(),
            Operation::Query(job) => job.reply.is_closed(),
        }
    }
}

/// What only reads.
#[derive(Debug)]
pub enum Read {
    Execution(Job<ExecutionId, Option<ExecutionView>>),
    History(Job<ExecutionKey, HistoryView>),
    List(Job<ListFilter, Vec<ExecutionView>>),
    EndedOf(Job<Vec<ExecutionKey>, Vec<ExecutionKey>>),
}

impl Read {
    /// Reads.
    pub fn run(&mut self, reads: &mut impl Reads) -> Result<(), StoreError> {
        match self {
            Read::Execution(job) => job.run(|id| reads.view(id)),
            Read::History(job) => job.run(|key| reads.history(*key)),
            Read::List(job) => job.run(|filter| reads.list(filter)),
            Read::EndedOf(job) => job.run(|keys| reads.ended_of(keys)),
        }
    }

    /// See [`Job::answer`].
    pub fn answer(self, failure: Option<&StoreError>) {
        match self {
            Read::Execution(job) => job.answer(failure),
            Read::History(job) => job.answer(failure),
            Read::List(job) => job.answer(failure),
            Read::EndedOf(job) => job.answer(failure),
        }
    }
}
