//! Rows of the database into an image. What is there already stays: it may have been changed since it was read.

use std::sync::Arc;

use hydra_protocol::Time;
use tokio_postgres::Row;

use super::{ExecutionImage, Image, StepImage, StepWrite};
use crate::store::postgres::rows::{self, EXECUTION_COLUMNS, STEP_COLUMNS, column};
use crate::store::{ExecutionId, ExecutionKey, StoreError};

impl Image {
    /// A row of the execution's columns, seq, namespace, id and workflow.
    pub fn fill_execution(&mut self, row: &Row) -> Result<ExecutionKey, StoreError> {
        let at = EXECUTION_COLUMNS;
        let name = || "hydra.executions".to_owned();
        let key = ExecutionKey(column(row, at, name)?);
        let id = ExecutionId { namespace: column(row, at + 1, name)?, id: column(row, at + 2, name)? };
        let there = self.executions.entry(key.0).or_default();
        if there.is_none() {
            let execution = rows::execution(key, row);
            let was = execution.as_ref().ok().map(|row| row.epoch);
            *there = Some(ExecutionImage {
                row: execution,
                was,
                id: id.clone(),
                workflow: Arc::from(column::<&str>(row, at + 3, name)?),
                input: None,
                started_at: Time::default(),
                write: None,
            });
            self.ids.insert(id, Some(key.0));
        }
        Ok(key)
    }

    /// An execution's input. None: its row is missing, which cannot be.
    pub fn fill_input(&mut self, key: i64, input: Option<Vec<u8>>) {
        if let Some(Some(execution)) = self.executions.get_mut(&key) {
            match input {
                Some(input) => drop(execution.input.get_or_insert(input)),
                None => {
                    let name = rows::execution_name(ExecutionKey(key));
                    execution.row = Err(rows::corrupt(name, "its row in hydra.payloads is missing"));
                }
            }
        }
    }

    /// A row of the step's columns, execution, output, error, and (in a journal) name.
    pub fn fill_step(&mut self, row: &Row, journal: bool) -> Result<(), StoreError> {
        let at = STEP_COLUMNS;
        let key = ExecutionKey(column(row, at, || "hydra.steps.execution".to_owned())?);
        let Some(Some(execution)) = self.executions.get(&key.0) else { return Ok(()) };
        // Of an execution that cannot be read no step is looked at.
        let Ok(owner) = execution.row.clone() else { return Ok(()) };
        let no = rows::step_no(key, row)?;
        let name = || rows::step_name(key, no);
        let entry = self.steps.entry((key.0, no.0)).or_default();
        if entry.is_none() {
            *entry = Some(StepImage {
                row: rows::step(key, &owner, row),
                name: if journal { Some(Arc::from(column::<&str>(row, at + 3, name)?)) } else { None },
                input: None,
                output: column(row, at + 1, name)?,
                error: column(row, at + 2, name)?,
                begun_at: Time::default(),
                settled_at: None,
                write: StepWrite::Nothing,
            });
        }
        Ok(())
    }
}
