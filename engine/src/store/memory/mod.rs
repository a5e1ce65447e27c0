//! Rows in memory: the same contract, and nothing is left when the process ends.

mod evidence;
mod reads;
mod tables;

use std::ops::Bound;
use std::sync::Arc;
use std::time::Instant;

use hydra_protocol::{Epoch, Execution, Step, StepNo, Time};

use super::backend::{
    Aged, Backend, Candidate, Checkpoint, DueSource, EngineRows, ExecutionUpdate, Field, Identity, NewExecution,
    NewStep, StepUpdate,
};
use super::user_sql::UserSql;
use super::{ExecutionKey, Inline, JournalStep, LeaseView, StoreError, StoreOptions, Target, Value};
use crate::conform::Entry;
use tables::{ExecutionRecord, StepRecord, Tables};

/// A store in memory: for tests, and for work that may be lost with its process.
pub type MemoryStore = Inline<MemoryBackend>;

impl MemoryStore {
    /// An empty store by the machine's clock.
    #[expect(clippy::new_without_default, reason = "a store opens something; `default` would hide it")]
    pub fn new() -> Self {
        Self::with(StoreOptions::default())
    }

    /// An empty store.
    pub fn with(options: StoreOptions) -> Self {
        Inline::over(MemoryBackend::default(), options)
    }
}

/// Rows in memory. The user's own tables live in an SQLite database in memory, opened when they are first used.
#[derive(Default)]
pub struct MemoryBackend {
    tables: Tables,
    user: Option<UserSql>,
    in_transaction: bool,
    savepoint: Option<usize>,
}

impl MemoryBackend {
    /// An empty store that keeps a journal of commands, for [`crate::conform::check`].
    pub fn with_journal() -> Self {
        let mut backend = Self::default();
        backend.tables.keep_journal(Entry::Origin(0).encode());
        backend
    }

    /// The user's tables, with a transaction and a savepoint open in them if the engine's rows have them.
    fn user(&mut self) -> Result<&mut UserSql, StoreError> {
        if self.user.is_none() {
            let mut user = UserSql::in_memory()?;
            if self.in_transaction {
                user.control("BEGIN")?;
            }
            if self.savepoint.is_some() {
                user.control("SAVEPOINT body")?;
            }
            self.user = Some(user);
        }
        self.user.as_mut().ok_or_else(|| StoreError::Unavailable("no database in memory".into()))
    }

    fn user_control(&mut self, sql: &str) -> Result<(), StoreError> {
        self.user.as_mut().map_or(Ok(()), |user| user.control(sql))
    }

    fn execution(&self, key: ExecutionKey) -> Result<&ExecutionRecord, StoreError> {
        self.tables.executions().get(&key.0).ok_or_else(|| missing(format!("execution with key {}", key.0)))
    }

    fn steps(&self, key: ExecutionKey) -> impl Iterator<Item = (StepNo, &StepRecord)> {
        self.tables.steps().range((key.0, 0)..=(key.0, u32::MAX)).map(|((_, no), record)| (StepNo(*no), record))
    }
}

impl EngineRows for MemoryBackend {
    fn find(&mut self, target: &Target) -> Result<Option<(ExecutionKey, Execution)>, StoreError> {
        let key = match target {
            Target::Key(key) => Some(key.0),
            Target::Id(id) => self.tables.ids().get(id).copied(),
        };
        let record = key.and_then(|key| self.tables.executions().get_key_value(&key));
        Ok(record.map(|(key, record)| (ExecutionKey(*key), record.row)))
    }

    fn find_step(&mut self, key: ExecutionKey, _owner: &Execution, no: StepNo) -> Result<Option<Step>, StoreError> {
        Ok(self.tables.steps().get(&(key.0, no.0)).map(|record| record.row))
    }

    fn find_settled(
        &mut self,
        key: ExecutionKey,
        _owner: &Execution,
        order: u32,
    ) -> Result<Option<(StepNo, Step)>, StoreError> {
        Ok(self
            .steps(key)
            .map(|(no, record)| (no, record.row))
            .find(|(_, row)| row.settled().is_some_and(|(settled, _)| settled == order)))
    }

    fn open_steps(&mut self, key: ExecutionKey, _owner: &Execution) -> Result<Vec<(StepNo, Step)>, StoreError> {
        Ok(self.steps(key).map(|(no, record)| (no, record.row)).filter(|(_, row)| row.abandoned() != *row).collect())
    }

    fn same_input(&mut self, key: ExecutionKey, workflow: &str, input: &[u8]) -> Result<bool, StoreError> {
        let record = self.execution(key)?;
        Ok(*record.workflow == *workflow && *record.input == *input)
    }

    fn checkpoint(&mut self, key: ExecutionKey, no: StepNo) -> Result<Checkpoint, StoreError> {
        let record = self.tables.steps().get(&(key.0, no.0));
        Ok(record.map_or_else(Checkpoint::default, |record| Checkpoint {
            value: owned(&record.output),
            error: text(&record.error),
        }))
    }

    fn identity(&mut self, key: ExecutionKey) -> Result<Identity, StoreError> {
        let record = self.execution(key)?;
        let (id, workflow, input) = (record.id.clone(), record.workflow.to_string(), record.input.to_vec());
        Ok(Identity { row: record.row, id, workflow, input })
    }

    fn journal(&mut self, key: ExecutionKey, _owner: &Execution) -> Result<Vec<JournalStep>, StoreError> {
        Ok(self.steps(key).map(|(no, record)| journal_step(no, record)).collect())
    }

    fn insert_execution(&mut self, new: NewExecution<'_>) -> Result<ExecutionKey, StoreError> {
        if self.tables.ids().contains_key(new.id) {
            return Err(StoreError::Refused(format!("there is an execution {} already", new.id)));
        }
        let key = self.tables.executions().last_key_value().map_or(1, |(key, _)| key + 1);
        let record = ExecutionRecord {
            id: new.id.clone(),
            workflow: new.workflow.into(),
            row: *new.row,
            worker: None,
            input: new.input.into(),
            output: None,
            error: None,
            started_at: new.started_at,
            ended_at: None,
        };
        self.tables.put_execution(key, record);
        Ok(ExecutionKey(key))
    }

    fn update_execution(&mut self, update: ExecutionUpdate<'_>) -> Result<(), StoreError> {
        let mut record = self.execution(update.key)?.clone();
        if record.row.epoch != update.before.epoch {
            return Err(missing(format!("execution with key {} and epoch {}", update.key.0, update.before.epoch.0)));
        }
        record.row = *update.row;
        record.ended_at = update.ended_at;
        if let Some(worker) = update.worker {
            record.worker = Some(worker.into());
        }
        if let Field::Set(result) = update.result {
            record.output = result.output.map(Into::into);
            record.error = result.error.map(Into::into);
        }
        self.tables.put_execution(update.key.0, record);
        Ok(())
    }

    fn insert_step(&mut self, new: NewStep<'_>) -> Result<(), StoreError> {
        let pair = (new.key.0, new.no.0);
        if self.tables.steps().contains_key(&pair) {
            return Err(StoreError::Refused(format!("there is a step {} of that execution already", new.no.0)));
        }
        let record = StepRecord {
            name: Arc::clone(new.name),
            row: *new.row,
            input: new.input.map(Into::into),
            output: None,
            error: None,
            begun_at: new.begun_at,
            settled_at: None,
        };
        self.tables.put_step(pair, record);
        Ok(())
    }

    fn update_step(&mut self, update: StepUpdate<'_>) -> Result<(), StoreError> {
        let pair = (update.key.0, update.no.0);
        let record = self.tables.steps().get(&pair);
        let mut record =
            record.cloned().ok_or_else(|| missing(format!("step {} of execution {}", update.no.0, update.key.0)))?;
        record.row = *update.row;
        record.output = update.output.map(Into::into);
        record.settled_at = update.settled_at;
        if let Field::Set(error) = update.error {
            record.error = error.map(Into::into);
        }
        self.tables.put_step(pair, record);
        Ok(())
    }

    fn insert_lease(&mut self, key: ExecutionKey, epoch: Epoch, worker: &str, now: Time) -> Result<(), StoreError> {
        let lease = LeaseView { epoch, worker: worker.to_owned(), claimed_at: now, ended_at: None };
        self.tables.put_lease((key.0, epoch.0), lease);
        Ok(())
    }

    fn end_lease(&mut self, key: ExecutionKey, epoch: Epoch, at: Time) -> Result<(), StoreError> {
        let pair = (key.0, epoch.0);
        let lease = self.tables.leases().get(&pair).cloned();
        let lease = lease.ok_or_else(|| missing(format!("lease {} of execution {}", epoch.0, key.0)))?;
        self.tables.put_lease(pair, LeaseView { ended_at: Some(at), ..lease });
        Ok(())
    }

    fn names_at_once(&self) -> bool {
        true
    }

    fn keeps_journal(&self) -> bool {
        self.tables.journal().is_some()
    }

    fn record(&mut self, entry: &[u8]) -> Result<(), StoreError> {
        self.tables.put_entry(entry.to_vec());
        Ok(())
    }
}

impl Backend for MemoryBackend {
    type Reader = MemoryBackend;

    fn begin(&mut self) -> Result<(), StoreError> {
        self.user_control("BEGIN")?;
        self.in_transaction = true;
        Ok(())
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        self.user_control("COMMIT")?;
        self.tables.forget_undo();
        self.in_transaction = false;
        Ok(())
    }

    fn rollback(&mut self) {
        if let Some(user) = &mut self.user {
            user.rollback();
        }
        self.tables.undo_to(0);
        self.in_transaction = false;
        self.savepoint = None;
    }

    fn in_transaction(&self) -> bool {
        self.in_transaction && self.user.as_ref().is_none_or(UserSql::in_transaction)
    }

    fn savepoint(&mut self) -> Result<(), StoreError> {
        self.savepoint = Some(self.tables.mark());
        self.user_control("SAVEPOINT body")
    }

    fn release(&mut self) -> Result<(), StoreError> {
        self.savepoint = None;
        self.user_control("RELEASE body")
    }

    fn rollback_to(&mut self) -> Result<(), StoreError> {
        if let Some(mark) = self.savepoint.take() {
            self.tables.undo_to(mark);
        }
        self.user_control("ROLLBACK TO body")?;
        self.user_control("RELEASE body")
    }

    fn due(
        &mut self,
        namespace: &str,
        source: DueSource<'_>,
        now: Time,
        after: Option<Candidate>,
        limit: usize,
    ) -> Result<Vec<Candidate>, StoreError> {
        let (from_time, from_key) = after.map_or((Time::default(), i64::MIN), |after| (after.due_at, after.key.0));
        let namespace = namespace.to_owned();
        let candidate = |due_at, key| Candidate { due_at, key: ExecutionKey(key) };
        Ok(match source {
            DueSource::Workflow(workflow) => {
                let workflow = Arc::<str>::from(workflow);
                let from = (namespace.clone(), Arc::clone(&workflow), from_time, from_key);
                let to = (namespace, workflow, now, i64::MAX);
                let due = self.tables.due().range((Bound::Excluded(from), Bound::Included(to)));
                due.take(limit).map(|(_, _, due_at, key)| candidate(*due_at, *key)).collect()
            }
            DueSource::Overdue => {
                let from = (namespace.clone(), from_time, from_key);
                let due =
                    self.tables.deadlines().range((Bound::Excluded(from), Bound::Included((namespace, now, i64::MAX))));
                due.take(limit).map(|(_, deadline, key)| candidate(*deadline, *key)).collect()
            }
        })
    }

    fn next_due(&mut self, namespace: &str, workflow: &str, after: Option<Time>) -> Result<Option<Time>, StoreError> {
        let workflow = Arc::<str>::from(workflow);
        let (from, from_key) = after.map_or((Time::default(), i64::MIN), |after| (after, i64::MAX));
        let from = (namespace.to_owned(), Arc::clone(&workflow), from, from_key);
        let to = (namespace.to_owned(), workflow, Time::MAX, i64::MAX);
        let mut due = self.tables.due().range((Bound::Excluded(from), Bound::Included(to)));
        Ok(due.next().map(|(_, _, due_at, _)| *due_at))
    }

    fn aged(&mut self, after: Option<ExecutionKey>, limit: usize) -> Result<Vec<Aged>, StoreError> {
        let executions = self.tables.executions();
        let newest = executions.last_key_value().map_or(i64::MIN, |(key, _)| *key);
        let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.0));
        let aged = executions.range((from, Bound::Unbounded)).take_while(|(key, _)| **key < newest).take(limit);
        Ok(aged
            .map(|(key, record)| Aged {
                key: ExecutionKey(*key),
                namespace: record.id.namespace.clone(),
                row: Ok(record.row),
                started_at: record.started_at,
                ended_at: record.ended_at,
            })
            .collect())
    }

    fn delete_execution(&mut self, key: ExecutionKey, row: &Execution) -> Result<(), StoreError> {
        if self.execution(key)?.row != *row {
            return Err(missing(format!("execution with key {} that has not changed", key.0)));
        }
        self.tables.remove_execution(key.0);
        Ok(())
    }

    fn set_deadline(&mut self, deadline: Option<Instant>) {
        if let (Some(_), Ok(user)) = (deadline, self.user()) {
            user.set_deadline(deadline);
        } else if let Some(user) = &mut self.user {
            user.set_deadline(None);
        }
    }

    fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64, StoreError> {
        self.user()?.execute(sql, params)
    }

    fn query(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Vec<Value>>, StoreError> {
        self.user()?.query(sql, params)
    }

    fn reader(&mut self) -> Result<Option<MemoryBackend>, StoreError> {
        Ok(None)
    }
}

/// A row that must be there, and is not.
fn missing(row: String) -> StoreError {
    StoreError::Refused(format!("there is no {row}: the store does not isolate its transactions"))
}

fn journal_step(no: StepNo, record: &StepRecord) -> JournalStep {
    JournalStep {
        no,
        name: Arc::clone(&record.name),
        row: record.row,
        value: owned(&record.output),
        error: text(&record.error),
    }
}

fn owned(bytes: &Option<Arc<[u8]>>) -> Option<Vec<u8>> {
    bytes.as_deref().map(<[u8]>::to_vec)
}

fn text(text: &Option<Arc<str>>) -> Option<String> {
    text.as_deref().map(str::to_owned)
}
