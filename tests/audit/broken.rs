//! Stores that are broken, each in one way that no rule of the core can make good: what a transaction, a guard and a
//! unique key are for.

use std::collections::BTreeMap;
use std::time::Instant;

use hydra_engine::protocol::{Epoch, Execution, Step, StepNo, StepState, Time};
use hydra_engine::store::backend::{
    Backend, Candidate, Checkpoint, DueSource, EngineRows, ExecutionUpdate, Field, Identity, NewExecution, NewStep,
    Reads, StepUpdate,
};
use hydra_engine::store::{
    ExecutionId, ExecutionKey, ExecutionView, JournalStep, LeaseView, ListFilter, StepView, StoreError, Target, Value,
};

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Of a transaction that settles a step, the execution's row is written and the step's is not, every fifth time.
    TornTransaction,
    /// What a body wrote stays, though its transaction was undone.
    BodyOutsideTransaction,
    /// A command is decided over rows as the command before saw them, and writes without looking whether they are still so.
    UnguardedUpdate,
    /// The same rows, and a guard that refuses what they lead to.
    StaleReads,
    /// A second row for a step takes the place of the first instead of being refused.
    NoUniqueKey,
}

/// `B`, broken.
pub struct Broken<B> {
    inner: B,
    how: How,
    settled: u64,
    in_body: bool,
    /// Rows as the command before read them.
    seen: BTreeMap<i64, Execution>,
}

impl<B: Backend> Broken<B> {
    pub fn over(inner: B, how: How) -> Self {
        Broken { inner, how, settled: 0, in_body: false, seen: BTreeMap::new() }
    }
}

impl<B: Backend> EngineRows for Broken<B> {
    fn find(&mut self, target: &Target) -> Result<Option<(ExecutionKey, Execution)>, StoreError> {
        let found = self.inner.find(target)?;
        let stale = matches!(self.how, How::UnguardedUpdate | How::StaleReads);
        Ok(found.map(|(key, row)| {
            let before = self.seen.insert(key.0, row);
            (key, before.filter(|_| stale && matches!(target, Target::Key(_))).unwrap_or(row))
        }))
    }
    fn update_execution(&mut self, update: ExecutionUpdate<'_>) -> Result<(), StoreError> {
        let now = self.inner.find(&Target::Key(update.key))?.map(|(_, row)| row);
        match (self.how, &now) {
            (How::UnguardedUpdate, Some(now)) => self.inner.update_execution(ExecutionUpdate { before: now, ..update }),
            _ => self.inner.update_execution(update),
        }
    }
    fn insert_step(&mut self, new: NewStep<'_>) -> Result<(), StoreError> {
        let owner = self.inner.find(&Target::Key(new.key))?.map(|(_, row)| row);
        let there = owner.map(|owner| self.inner.find_step(new.key, &owner, new.no)).transpose()?.flatten();
        if let (How::NoUniqueKey, Some(before)) = (self.how, &there) {
            let error = Field::Set(None);
            let NewStep { key, no, row, .. } = new;
            return self.inner.update_step(StepUpdate { key, no, before, row, output: None, error, settled_at: None });
        }
        self.inner.insert_step(new)
    }
    fn update_step(&mut self, update: StepUpdate<'_>) -> Result<(), StoreError> {
        if matches!(update.row.state, StepState::Settled { .. }) {
            self.settled += 1;
            if self.how == How::TornTransaction && self.settled.is_multiple_of(5) {
                return Ok(());
            }
        }
        self.inner.update_step(update)
    }
    fn find_step(&mut self, key: ExecutionKey, owner: &Execution, no: StepNo) -> Result<Option<Step>, StoreError> {
        self.inner.find_step(key, owner, no)
    }
    fn find_settled(
        &mut self,
        key: ExecutionKey,
        owner: &Execution,
        order: u32,
    ) -> Result<Option<(StepNo, Step)>, StoreError> {
        self.inner.find_settled(key, owner, order)
    }
    fn open_steps(&mut self, key: ExecutionKey, owner: &Execution) -> Result<Vec<(StepNo, Step)>, StoreError> {
        self.inner.open_steps(key, owner)
    }
    fn same_input(&mut self, key: ExecutionKey, workflow: &str, input: &[u8]) -> Result<bool, StoreError> {
        self.inner.same_input(key, workflow, input)
    }
    fn checkpoint(&mut self, key: ExecutionKey, no: StepNo) -> Result<Checkpoint, StoreError> {
        self.inner.checkpoint(key, no)
    }
    fn identity(&mut self, key: ExecutionKey) -> Result<Identity, StoreError> {
        self.inner.identity(key)
    }
    fn journal(&mut self, key: ExecutionKey, owner: &Execution) -> Result<Vec<JournalStep>, StoreError> {
        self.inner.journal(key, owner)
    }
    fn insert_execution(&mut self, new: NewExecution<'_>) -> Result<ExecutionKey, StoreError> {
        self.inner.insert_execution(new)
    }
    fn insert_lease(&mut self, key: ExecutionKey, epoch: Epoch, worker: &str, now: Time) -> Result<(), StoreError> {
        self.inner.insert_lease(key, epoch, worker, now)
    }
    fn end_lease(&mut self, key: ExecutionKey, epoch: Epoch, at: Time) -> Result<(), StoreError> {
        self.inner.end_lease(key, epoch, at)
    }
}

impl<B: Backend> Backend for Broken<B> {
    type Reader = B::Reader;

    fn begin(&mut self) -> Result<(), StoreError> {
        self.in_body = false;
        self.inner.begin()
    }
    fn savepoint(&mut self) -> Result<(), StoreError> {
        self.in_body = true;
        self.inner.savepoint()
    }
    fn rollback(&mut self) {
        if self.how == How::BodyOutsideTransaction && self.in_body && self.inner.in_transaction() {
            self.inner.release().and_then(|()| self.inner.commit()).expect("a store in memory commits");
        }
        self.inner.rollback();
    }
    fn rollback_to(&mut self) -> Result<(), StoreError> {
        match self.how {
            How::BodyOutsideTransaction => self.inner.release(),
            _ => self.inner.rollback_to(),
        }
    }
    fn release(&mut self) -> Result<(), StoreError> {
        self.in_body = false;
        self.inner.release()
    }
    fn commit(&mut self) -> Result<(), StoreError> {
        self.inner.commit()
    }
    fn in_transaction(&self) -> bool {
        self.inner.in_transaction()
    }
    fn due(
        &mut self,
        namespace: &str,
        source: DueSource<'_>,
        now: Time,
        after: Option<Candidate>,
        limit: usize,
    ) -> Result<Vec<Candidate>, StoreError> {
        self.inner.due(namespace, source, now, after, limit)
    }
    fn next_due(&mut self, namespace: &str, workflow: &str, after: Option<Time>) -> Result<Option<Time>, StoreError> {
        self.inner.next_due(namespace, workflow, after)
    }
    fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.inner.set_deadline(deadline);
    }
    fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64, StoreError> {
        self.inner.execute(sql, params)
    }
    fn query(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Vec<Value>>, StoreError> {
        self.inner.query(sql, params)
    }
    fn reader(&mut self) -> Result<Option<Self::Reader>, StoreError> {
        self.inner.reader()
    }
}

impl<B: Reads> Reads for Broken<B> {
    fn view(&mut self, id: &ExecutionId) -> Result<Option<ExecutionView>, StoreError> {
        self.inner.view(id)
    }
    fn steps(&mut self, key: ExecutionKey) -> Result<Vec<StepView>, StoreError> {
        self.inner.steps(key)
    }
    fn leases(&mut self, key: ExecutionKey) -> Result<Vec<LeaseView>, StoreError> {
        self.inner.leases(key)
    }
    fn list(&mut self, filter: &ListFilter) -> Result<Vec<ExecutionView>, StoreError> {
        self.inner.list(filter)
    }
    fn ended_of(&mut self, keys: &[ExecutionKey]) -> Result<Vec<ExecutionKey>, StoreError> {
        self.inner.ended_of(keys)
    }
}
