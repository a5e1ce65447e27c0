//! Tables in memory that can be taken back.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use hydra_protocol::{Execution, Step, Time};

use crate::store::{ExecutionId, LeaseView};

/// An execution, all of it.
#[derive(Clone, Debug)]
pub struct ExecutionRecord {
    pub id: ExecutionId,
    pub workflow: Arc<str>,
    pub row: Execution,
    pub worker: Option<Arc<str>>,
    pub input: Arc<[u8]>,
    pub output: Option<Arc<[u8]>>,
    pub error: Option<Arc<str>>,
    pub started_at: Time,
    pub ended_at: Option<Time>,
}

/// A step, all of it.
#[derive(Clone, Debug)]
pub struct StepRecord {
    pub name: Arc<str>,
    pub row: Step,
    pub input: Option<Arc<[u8]>>,
    pub output: Option<Arc<[u8]>>,
    pub error: Option<Arc<str>>,
    pub begun_at: Time,
    pub settled_at: Option<Time>,
}

/// Execution and step number, or execution and epoch.
pub type Pair = (i64, u32);

/// The rows, the indexes over them, and how to take back what was written since the transaction began.
#[derive(Debug, Default)]
pub struct Tables {
    executions: BTreeMap<i64, ExecutionRecord>,
    steps: BTreeMap<Pair, StepRecord>,
    leases: BTreeMap<Pair, LeaseView>,
    ids: HashMap<ExecutionId, i64>,
    /// Namespace, workflow, due time.
    due: BTreeSet<(String, Arc<str>, Time, i64)>,
    /// Namespace, deadline: of those not ended.
    deadlines: BTreeSet<(String, Time, i64)>,
    /// The journal of commands, if one is kept.
    journal: Option<Vec<Vec<u8>>>,
    undo: Vec<Undo>,
}

/// What a row was before it was written; none: it was not there.
#[derive(Debug)]
enum Undo {
    Execution(i64, Option<Box<ExecutionRecord>>),
    Step(Pair, Option<Box<StepRecord>>),
    Lease(Pair, Option<LeaseView>),
    Entry,
}

impl Tables {
    pub fn executions(&self) -> &BTreeMap<i64, ExecutionRecord> {
        &self.executions
    }

    pub fn steps(&self) -> &BTreeMap<Pair, StepRecord> {
        &self.steps
    }

    pub fn leases(&self) -> &BTreeMap<Pair, LeaseView> {
        &self.leases
    }

    pub fn ids(&self) -> &HashMap<ExecutionId, i64> {
        &self.ids
    }

    pub fn due(&self) -> &BTreeSet<(String, Arc<str>, Time, i64)> {
        &self.due
    }

    pub fn deadlines(&self) -> &BTreeSet<(String, Time, i64)> {
        &self.deadlines
    }

    pub fn put_execution(&mut self, key: i64, record: ExecutionRecord) {
        let before = self.set_execution(key, Some(record));
        self.undo.push(Undo::Execution(key, before.map(Box::new)));
    }

    pub fn put_step(&mut self, pair: Pair, record: StepRecord) {
        let before = self.steps.insert(pair, record);
        self.undo.push(Undo::Step(pair, before.map(Box::new)));
    }

    pub fn put_lease(&mut self, pair: Pair, record: LeaseView) {
        let before = self.leases.insert(pair, record);
        self.undo.push(Undo::Lease(pair, before));
    }

    /// Removes an execution with its steps and leases.
    pub fn remove_execution(&mut self, key: i64) {
        let of = (key, 0)..=(key, u32::MAX);
        for pair in self.steps.range(of.clone()).map(|(pair, _)| *pair).collect::<Vec<_>>() {
            let before = self.steps.remove(&pair);
            self.undo.push(Undo::Step(pair, before.map(Box::new)));
        }
        for pair in self.leases.range(of).map(|(pair, _)| *pair).collect::<Vec<_>>() {
            let before = self.leases.remove(&pair);
            self.undo.push(Undo::Lease(pair, before));
        }
        let before = self.set_execution(key, None);
        self.undo.push(Undo::Execution(key, before.map(Box::new)));
    }

    pub fn journal(&self) -> Option<&[Vec<u8>]> {
        self.journal.as_deref()
    }

    /// Keeps a journal from now on, which begins so.
    pub fn keep_journal(&mut self, beginning: Vec<u8>) {
        self.journal = Some(vec![beginning]);
    }

    pub fn put_entry(&mut self, entry: Vec<u8>) {
        if let Some(journal) = &mut self.journal {
            journal.push(entry);
            self.undo.push(Undo::Entry);
        }
    }

    /// Where the transaction stands.
    pub fn mark(&self) -> usize {
        self.undo.len()
    }

    /// Takes back what was written since it stood there.
    pub fn undo_to(&mut self, mark: usize) {
        while self.undo.len() > mark {
            match self.undo.pop() {
                Some(Undo::Execution(key, before)) => drop(self.set_execution(key, before.map(|before| *before))),
                Some(Undo::Step(pair, Some(before))) => drop(self.steps.insert(pair, *before)),
                Some(Undo::Step(pair, None)) => drop(self.steps.remove(&pair)),
                Some(Undo::Lease(pair, Some(before))) => drop(self.leases.insert(pair, before)),
                Some(Undo::Lease(pair, None)) => drop(self.leases.remove(&pair)),
                Some(Undo::Entry) => drop(self.journal.as_mut().and_then(Vec::pop)),
                None => {}
            }
        }
    }

    /// Nothing of it can be taken back any more.
    pub fn forget_undo(&mut self) {
        self.undo.clear();
    }

    /// Writes a row or removes it, and its entries in the indexes with it.
    fn set_execution(&mut self, key: i64, record: Option<ExecutionRecord>) -> Option<ExecutionRecord> {
        if let Some(record) = &record {
            if let Some(due_at) = record.row.due_at() {
                self.due.insert(due_entry(key, record, due_at));
                if let Some(deadline) = record.row.deadline {
                    self.deadlines.insert((record.id.namespace.clone(), deadline, key));
                }
            }
            self.ids.insert(record.id.clone(), key);
        }
        let after = record.as_ref().map(|record| (record.row.due_at(), record.row.deadline));
        let before = match record {
            Some(record) => self.executions.insert(key, record),
            None => self.executions.remove(&key),
        };
        if let Some(before) = &before {
            let (due_at, deadline) = after.unwrap_or_default();
            if let Some(was) = before.row.due_at() {
                if due_at != Some(was) {
                    self.due.remove(&due_entry(key, before, was));
                }
                if let Some(was) = before.row.deadline
                    && (due_at.is_none() || deadline != Some(was))
                {
                    self.deadlines.remove(&(before.id.namespace.clone(), was, key));
                }
            }
            if after.is_none() {
                self.ids.remove(&before.id);
            }
        }
        before
    }
}

fn due_entry(key: i64, record: &ExecutionRecord, due_at: Time) -> (String, Arc<str>, Time, i64) {
    (record.id.namespace.clone(), Arc::clone(&record.workflow), due_at, key)
}
