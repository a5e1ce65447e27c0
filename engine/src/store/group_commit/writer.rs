//! The one thread that writes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::body::Opened;
use super::job::{Job, Operation, Reply};
use super::queue::Queue;
use super::serve::serve;
use crate::store::apply::Tx;
use crate::store::backend::Backend;
use crate::store::signals::{Effects, Signals};
use crate::store::{Answer, CommandRequest, StoreError, StoreOptions, body};

/// What comes to the writer.
#[derive(Debug)]
pub enum Work {
    Operation(Box<Operation>),
    /// Opens a transaction for a body.
    Transact(TransactJob),
}

pub type TransactJob = Job<Box<CommandRequest>, Opened>;

/// Bodies that came together are committed together, but no new one begins after this time: commands wait for them.
const BODIES_TIME_MAX: Duration = Duration::from_millis(5);

/// Owns the connection that writes, and the end of the queue.
pub struct Writer<B> {
    pub backend: B,
    pub queue: Arc<Queue<Work>>,
    pub options: StoreOptions,
    pub signals: Arc<Signals>,
    /// Bodies that are still to be committed on their own, after a commit of several failed.
    alone: usize,
    _ended: Ended,
}

/// Tells, when the thread ends for whatever reason, that nothing is written any more.
struct Ended {
    queue: Arc<Queue<Work>>,
    ended: watch::Sender<bool>,
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.queue.close();
        // After a panic: whoever is left in the queue gets no answer, which is to say an unknown one.
        while self.queue.take(usize::MAX, false).is_some_and(|left| !left.is_empty()) {}
        self.ended.send_replace(true);
    }
}

/// Why a batch came to nothing.
enum Failed {
    /// One of its operations, by its own fault perhaps.
    Operation(StoreError),
    /// The transaction around them.
    Transaction(StoreError),
}

impl<B: Backend> Writer<B> {
    pub fn new(
        backend: B,
        queue: Arc<Queue<Work>>,
        options: StoreOptions,
        signals: Arc<Signals>,
        ended: watch::Sender<bool>,
    ) -> Self {
        let guard = Ended { queue: Arc::clone(&queue), ended };
        Writer { backend, queue, options, signals, alone: 0, _ended: guard }
    }

    /// Until the queue is closed and empty.
    pub fn run(mut self) {
        let mut bodies = VecDeque::new();
        loop {
            // What has queued up while the last batch was committed is the next batch: no delay at one client, large
            // batches at many.
            let Some(work) = self.queue.take(self.options.batch_commands_max, bodies.is_empty()) else {
                return;
            };
            metrics::gauge!("hydra_store_queue_length").set(self.queue.len() as f64);
            let mut batch = Vec::with_capacity(work.len());
            sort_out(work, &mut batch, &mut bodies);
            // Commands first, in a commit of their own: none waits for somebody else's body.
            if !batch.is_empty() {
                self.apply(batch, &mut bodies);
            }
            if !bodies.is_empty() {
                self.run_bodies(&mut bodies);
            }
        }
    }

    /// Applies a batch in one transaction. If that fails for one of them, each in one of its own, so that only the
    /// culprit fails.
    fn apply(&mut self, mut batch: Vec<Operation>, bodies: &mut VecDeque<TransactJob>) {
        match self.attempt(&mut batch, bodies) {
            Ok(()) => batch.into_iter().for_each(|operation| operation.answer(None)),
            Err(Failed::Operation(error)) if batch.len() > 1 => {
                tracing::warn!(%error, commands = batch.len(), "a batch failed; its commands are applied one by one");
                let mut broken = None;
                for mut operation in batch {
                    let failure = broken.clone().map_or_else(
                        || match self.attempt_one(&mut operation) {
                            Ok(()) => None,
                            Err(Failed::Operation(error)) => Some(error),
                            // The lock is not to be had: the others would wait for it one after the other.
                            Err(Failed::Transaction(error)) => Some(broken.insert(error).clone()),
                        },
                        Some,
                    );
                    operation.answer(failure.as_ref());
                }
            }
            Err(Failed::Operation(error) | Failed::Transaction(error)) => {
                tracing::warn!(%error, commands = batch.len(), "nothing was written");
                batch.into_iter().for_each(|operation| operation.answer(Some(&error)));
            }
        }
    }

    /// Applies a batch, and what has come meanwhile, and commits it.
    ///
    /// What was answered last is asked for the next thing while this batch is applied: the next commands have come when it
    /// is done, and need not wait for a commit of their own.
    fn attempt(&mut self, batch: &mut Vec<Operation>, bodies: &mut VecDeque<TransactJob>) -> Result<(), Failed> {
        let mut effects = Effects::default();
        self.backend.begin().map_err(Failed::Transaction)?;
        let mut applied = 0;
        while applied < batch.len() {
            self.run_all(&mut batch[applied..], &mut effects)?;
            applied = batch.len();
            let room = self.options.batch_commands_max.saturating_sub(applied);
            if room > 0 && bodies.is_empty() {
                sort_out(self.queue.take(room, false).unwrap_or_default(), batch, bodies);
            }
        }
        self.commit(batch.len(), &effects).map_err(Failed::Transaction)
    }

    fn attempt_one(&mut self, operation: &mut Operation) -> Result<(), Failed> {
        let mut effects = Effects::default();
        self.backend.begin().map_err(Failed::Transaction)?;
        self.run_all(std::slice::from_mut(operation), &mut effects)?;
        self.commit(1, &effects).map_err(Failed::Transaction)
    }

    /// Runs operations in the open transaction, and undoes it after an error. The time is read when they have come: a
    /// start that is due at once would otherwise not be due yet for the claim that follows it.
    fn run_all(&mut self, operations: &mut [Operation], effects: &mut Effects) -> Result<(), Failed> {
        let (rules, now) = (self.options.rules, self.options.clock.now());
        let mut tx = Tx { backend: &mut self.backend, rules, now, effects };
        let done = operations.iter_mut().try_for_each(|operation| operation.run(&mut tx));
        done.map_err(|error| {
            self.backend.rollback();
            Failed::Operation(error)
        })
    }

    fn commit(&mut self, commands: usize, effects: &Effects) -> Result<(), StoreError> {
        let started = Instant::now();
        let done = self.backend.commit();
        let took = started.elapsed();
        metrics::histogram!("hydra_store_commit_seconds").record(took);
        metrics::histogram!("hydra_store_commands_per_commit").record(commands as f64);
        match &done {
            Ok(()) => {
                metrics::counter!("hydra_store_commits").increment(1);
                tracing::trace!(commands, commit_us = took.as_micros() as u64, "committed");
                self.signals.tell(effects);
            }
            Err(error) => {
                metrics::counter!("hydra_store_commit_failures").increment(1);
                tracing::error!(%error, commands, "a commit failed");
                self.backend.rollback();
            }
        }
        done
    }

    /// Runs bodies one after the other in one transaction, each under a savepoint, and answers once it is committed.
    fn run_bodies(&mut self, bodies: &mut VecDeque<TransactJob>) {
        if let Err(error) = self.backend.begin() {
            bodies.drain(..).for_each(|job| drop(job.reply.send(Err(error.clone()))));
            return;
        }
        let (started, now) = (Instant::now(), self.options.clock.now());
        let mut effects = Effects::default();
        let mut round = Vec::new();
        while let Some(job) = bodies.pop_front() {
            match self.run_body(job, now, &mut effects) {
                Ok(done) => round.extend(done),
                Err(error) => {
                    // The transaction is gone, and with it what the bodies before wrote: theirs is to ask again.
                    tracing::warn!(%error, bodies = round.len(), "a body's transaction was lost");
                    self.backend.rollback();
                    self.alone = self.alone.max(round.len());
                    let lost = StoreError::Unavailable("another body undid the transaction".into());
                    round.into_iter().for_each(|settled| settled.answer(Some(&lost)));
                    return;
                }
            }
            if self.alone > 0 || started.elapsed() >= BODIES_TIME_MAX {
                break;
            }
        }
        self.alone = self.alone.saturating_sub(1);
        let failure = match self.commit(round.len(), &effects) {
            // A deferred constraint of the user's own, perhaps, which fails at the commit and names nobody: each of
            // them on its own, so that only the culprit fails.
            Err(StoreError::Refused(_)) if round.len() > 1 => {
                self.alone = round.len();
                Some(StoreError::Unavailable("a commit of several bodies failed".into()))
            }
            done => done.err(),
        };
        round.into_iter().for_each(|settled| settled.answer(failure.as_ref()));
    }

    /// One body, from its decision to its commit or to its end without one (none). An error if the transaction is
    /// lost.
    fn run_body(
        &mut self,
        job: TransactJob,
        now: hydra_protocol::Time,
        effects: &mut Effects,
    ) -> Result<Option<Settled>, StoreError> {
        if job.reply.is_closed() {
            return Ok(None);
        }
        let (mut request, reply) = (job.request, job.reply);
        let rules = self.options.rules;
        let mut tx = Tx { backend: &mut self.backend, rules, now, effects };
        let decided = match tx.decide(&request) {
            Ok(decided) if decided.writes() => None,
            Ok(decided) => Some(tx.apply(&request, None, decided)),
            Err(error) => Some(Err(error)),
        };
        match decided {
            None => {}
            // It may rest on what a body before wrote, so it has to wait for the commit like that one.
            Some(Ok(answer)) => return Ok(Some(Settled::OnRecord(reply, answer))),
            Some(Err(error @ StoreError::Corrupt { .. })) => {
                let _ = reply.send(Err(error));
                return Ok(None);
            }
            Some(Err(error)) => {
                let _ = reply.send(Err(error.clone()));
                return Err(error);
            }
        }
        tx.backend.savepoint()?;
        let (requests, received) = mpsc::channel();
        let until = Instant::now() + self.options.body_time_max;
        if reply.send(Ok(Opened::Open(requests))).is_err() {
            return tx.backend.rollback_to().map(|()| None);
        }
        tx.backend.set_deadline(Some(until));
        let end = serve(tx.backend, &received, until, &body::undone(self.options.body_time_max));
        tx.backend.set_deadline(None);
        match end? {
            Some((value, reply)) => {
                request.payload.value = Some(value);
                match body::settle(&mut tx, &request) {
                    Ok(answer) => Ok(Some(Settled::Committed(reply, answer))),
                    Err(error) => {
                        let _ = reply.send(Err(error.clone()));
                        Err(error)
                    }
                }
            }
            None => tx.backend.rollback_to().map(|()| None),
        }
    }
}

/// Tells bodies from commands, and leaves out whom nobody waits for.
fn sort_out(work: Vec<Work>, batch: &mut Vec<Operation>, bodies: &mut VecDeque<TransactJob>) {
    for work in work {
        match work {
            Work::Operation(operation) if operation.is_abandoned() => {}
            Work::Operation(operation) => batch.push(*operation),
            Work::Transact(job) => bodies.push_back(job),
        }
    }
}

/// A body whose answer waits for the commit.
enum Settled {
    OnRecord(Reply<Opened>, Answer),
    Committed(Reply<Answer>, Answer),
}

impl Settled {
    fn answer(self, failure: Option<&StoreError>) {
        let failure = failure.cloned();
        match self {
            Settled::OnRecord(reply, answer) => {
                drop(reply.send(failure.map_or_else(|| Ok(Opened::Answered(answer)), Err)));
            }
            Settled::Committed(reply, answer) => drop(reply.send(failure.map_or(Ok(answer), Err))),
        }
    }
}
