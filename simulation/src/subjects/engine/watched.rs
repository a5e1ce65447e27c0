//! A backend that tells what was committed, and that can return checkpoints which nobody can read.
//!
//! The observer stands under the store: it sees the rows as they are written and the moment they become durable,
//! whatever rules decided them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hydra_engine::protocol::{Epoch, Execution, Step, StepNo, Time};
use hydra_engine::store::backend::{
    Backend, Candidate, Checkpoint, DueSource, EngineRows, ExecutionUpdate, Identity, NewExecution, NewStep, Reads,
    StepUpdate,
};
use hydra_engine::store::{
    ExecutionId, ExecutionKey, ExecutionView, HistoryView, JournalStep, LeaseView, ListFilter, StepView, StoreError,
    Target, Value,
};

/// One row that was written, or one effect of a body in the user's table.
#[derive(Clone, Debug)]
pub(super) enum Write {
    Started { key: i64, id: String },
    Claimed { key: i64, epoch: Epoch },
    Execution { key: i64, before: Execution, after: Execution },
    Step { key: i64, no: u32, row: Step, value: Option<Vec<u8>> },
    Effect { body: u64 },
}

/// What the observer noted.
#[derive(Default)]
pub(super) struct Noted {
    /// Of the open transaction.
    pending: Vec<Write>,
    mark: Option<usize>,
    /// Of the transactions that were committed since somebody looked.
    pub committed: Vec<Write>,
    ids: BTreeMap<i64, String>,
    /// Steps whose checkpoint cannot be read any more: execution and number.
    pub undecodable: BTreeSet<(String, u32)>,
    /// How often such a checkpoint was handed out.
    pub garbled: u64,
}

/// Shared between the observer and the backend.
#[derive(Clone, Default)]
pub(super) struct Notes(Arc<Mutex<Noted>>);

impl Notes {
    pub fn lock(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `B`, observed.
pub(super) struct Watched<B> {
    inner: B,
    notes: Notes,
}

impl<B> Watched<B> {
    pub fn over(inner: B, notes: Notes) -> Self {
        Watched { inner, notes }
    }

    fn note(&self, write: Write) {
        self.notes.lock().pending.push(write);
    }
}

impl<B: Reads> Reads for Watched<B> {
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
    fn history(&mut self, key: ExecutionKey) -> Result<HistoryView, StoreError> {
        self.inner.history(key)
    }
    fn ended_of(&mut self, keys: &[ExecutionKey]) -> Result<Vec<ExecutionKey>, StoreError> {
        self.inner.ended_of(keys)
    }
}

impl<B: Backend> EngineRows for Watched<B> {
    fn find(&mut self, target: &Target) -> Result<Option<(ExecutionKey, Execution)>, StoreError> {
        self.inner.find(target)
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
        let mut journal = self.inner.journal(key, owner)?;
        let mut notes = self.notes.lock();
        if let Some(id) = notes.ids.get(&key.0).cloned() {
            for step in &mut journal {
                if step.value.is_some() && notes.undecodable.contains(&(id.clone(), step.no.0)) {
                    step.value = Some(b"{ no JSON".to_vec());
                    notes.garbled += 1;
                }
            }
        }
        Ok(journal)
    }

    fn insert_execution(&mut self, new: NewExecution<'_>) -> Result<ExecutionKey, StoreError> {
        let id = new.id.id.clone();
        let key = self.inner.insert_execution(new)?;
        self.notes.lock().ids.insert(key.0, id.clone());
        self.note(Write::Started { key: key.0, id });
        Ok(key)
    }

    fn update_execution(&mut self, update: ExecutionUpdate<'_>) -> Result<(), StoreError> {
        self.note(Write::Execution { key: update.key.0, before: *update.before, after: *update.row });
        self.inner.update_execution(update)
    }

    fn insert_step(&mut self, new: NewStep<'_>) -> Result<(), StoreError> {
        self.note(Write::Step { key: new.key.0, no: new.no.0, row: *new.row, value: None });
        self.inner.insert_step(new)
    }

    fn update_step(&mut self, update: StepUpdate<'_>) -> Result<(), StoreError> {
        let value = update.output.map(<[u8]>::to_vec);
        self.note(Write::Step { key: update.key.0, no: update.no.0, row: *update.row, value });
        self.inner.update_step(update)
    }

    fn insert_lease(&mut self, key: ExecutionKey, epoch: Epoch, worker: &str, now: Time) -> Result<(), StoreError> {
        self.note(Write::Claimed { key: key.0, epoch });
        self.inner.insert_lease(key, epoch, worker, now)
    }

    fn end_lease(&mut self, key: ExecutionKey, epoch: Epoch, at: Time) -> Result<(), StoreError> {
        self.inner.end_lease(key, epoch, at)
    }

    fn keeps_journal(&self) -> bool {
        self.inner.keeps_journal()
    }

    fn record(&mut self, entry: &[u8]) -> Result<(), StoreError> {
        self.inner.record(entry)
    }
}

impl<B: Backend> Backend for Watched<B> {
    type Reader = B::Reader;

    fn begin(&mut self) -> Result<(), StoreError> {
        let mut notes = self.notes.lock();
        notes.pending.clear();
        notes.mark = None;
        drop(notes);
        self.inner.begin()
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        self.inner.commit()?;
        let mut notes = self.notes.lock();
        let Noted { pending, committed, .. } = &mut *notes;
        committed.append(pending);
        Ok(())
    }

    fn rollback(&mut self) {
        self.notes.lock().pending.clear();
        self.inner.rollback();
    }

    fn in_transaction(&self) -> bool {
        self.inner.in_transaction()
    }

    fn savepoint(&mut self) -> Result<(), StoreError> {
        let mut notes = self.notes.lock();
        notes.mark = Some(notes.pending.len());
        drop(notes);
        self.inner.savepoint()
    }

    fn release(&mut self) -> Result<(), StoreError> {
        self.notes.lock().mark = None;
        self.inner.release()
    }

    fn rollback_to(&mut self) -> Result<(), StoreError> {
        let mut notes = self.notes.lock();
        if let Some(mark) = notes.mark.take() {
            notes.pending.truncate(mark);
        }
        drop(notes);
        self.inner.rollback_to()
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

    fn set_deadline(&mut self, deadline: Option<std::time::Instant>) {
        self.inner.set_deadline(deadline);
    }

    fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64, StoreError> {
        let changed = self.inner.execute(sql, params)?;
        if let [Value::Integer(body)] = params {
            self.note(Write::Effect { body: *body as u64 });
        }
        Ok(changed)
    }

    fn query(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Vec<Value>>, StoreError> {
        self.inner.query(sql, params)
    }

    fn reader(&mut self) -> Result<Option<Self::Reader>, StoreError> {
        self.inner.reader()
    }
}
