//! What a store in memory has on record.

use hydra_protocol::{Epoch, StepNo};

use super::MemoryBackend;
use crate::conform::{Base, BaseStep, Digest, Evidence, Found};
use crate::store::{ExecutionKey, StoreError};

impl Evidence for MemoryBackend {
    fn entries(&mut self, see: &mut dyn FnMut(u64, &[u8])) -> Result<bool, StoreError> {
        let Some(journal) = self.tables.journal() else { return Ok(false) };
        (1..).zip(journal).for_each(|(number, entry)| see(number, entry));
        Ok(true)
    }

    fn rows(&mut self, see: &mut dyn FnMut(Found)) -> Result<(), StoreError> {
        for (key, record) in self.tables.executions() {
            let steps = self.tables.steps().range((*key, 0)..=(*key, u32::MAX)).map(|((_, no), step)| BaseStep {
                no: StepNo(*no),
                name: Digest::of(step.name.as_bytes()),
                row: step.row,
                output: step.output.as_deref().map(Digest::of),
            });
            let base = Base {
                key: ExecutionKey(*key),
                id: record.id.clone(),
                row: record.row,
                workflow: Digest::of(record.workflow.as_bytes()),
                input: Digest::of(&record.input),
                output: record.output.as_deref().map(Digest::of),
                steps: steps.collect(),
            };
            let leases = self.tables.leases().range((*key, 0)..=(*key, u32::MAX)).map(|((_, epoch), _)| Epoch(*epoch));
            see(Found::Execution { base, broken: Vec::new(), leases: leases.collect() });
        }
        Ok(())
    }
}
