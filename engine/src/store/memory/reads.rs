//! Rows for people and clients.

use hydra_protocol::decode;

use super::tables::ExecutionRecord;
use super::{MemoryBackend, journal_step, owned, text};
use crate::store::backend::Reads;
use crate::store::{ExecutionId, ExecutionKey, ExecutionView, LeaseView, ListFilter, StepView, StoreError};

impl Reads for MemoryBackend {
    fn view(&mut self, id: &ExecutionId) -> Result<Option<ExecutionView>, StoreError> {
        let key = self.tables.ids().get(id);
        Ok(key.and_then(|key| self.tables.executions().get(key).map(|record| view(*key, record))))
    }

    fn steps(&mut self, key: ExecutionKey) -> Result<Vec<StepView>, StoreError> {
        let steps = MemoryBackend::steps(self, key).map(|(no, record)| StepView {
            step: journal_step(no, record),
            input: owned(&record.input),
            begun_at: record.begun_at,
            settled_at: record.settled_at,
        });
        Ok(steps.collect())
    }

    fn leases(&mut self, key: ExecutionKey) -> Result<Vec<LeaseView>, StoreError> {
        let leases = self.tables.leases().range((key.0, 0)..=(key.0, u32::MAX));
        Ok(leases.map(|(_, lease)| lease.clone()).collect())
    }

    fn list(&mut self, filter: &ListFilter) -> Result<Vec<ExecutionView>, StoreError> {
        let before = filter.before.map_or(i64::MAX, |key| key.0);
        let newest_first = self.tables.executions().range(..before).rev();
        let matching = newest_first.filter(|(_, record)| matches(filter, record));
        Ok(matching.take(filter.limit_or_default()).map(|(key, record)| view(*key, record)).collect())
    }

    fn ended_of(&mut self, keys: &[ExecutionKey]) -> Result<Vec<ExecutionKey>, StoreError> {
        let executions = self.tables.executions();
        let is_open = |key: &ExecutionKey| executions.get(&key.0).is_some_and(|record| record.ended_at.is_none());
        Ok(keys.iter().filter(|key| !is_open(key)).copied().collect())
    }
}

fn matches(filter: &ListFilter, record: &ExecutionRecord) -> bool {
    let is = |wanted: &Option<String>, value: &str| wanted.as_deref().is_none_or(|wanted| wanted == value);
    is(&filter.namespace, &record.id.namespace)
        && is(&filter.workflow, &record.workflow)
        && is(&filter.status, decode::raw_execution(&record.row).status)
        && filter.id_prefix.as_deref().is_none_or(|prefix| record.id.id.starts_with(prefix))
}

fn view(key: i64, record: &ExecutionRecord) -> ExecutionView {
    ExecutionView {
        key: ExecutionKey(key),
        id: record.id.clone(),
        workflow: record.workflow.to_string(),
        row: record.row,
        worker: text(&record.worker),
        input: record.input.to_vec(),
        output: owned(&record.output),
        error: text(&record.error),
        started_at: record.started_at,
        ended_at: record.ended_at,
    }
}
