//! The rows that most commands are decided over, where they are not known.

use hydra_protocol::{Execution, Step, StepNo};
use rusqlite::types::ValueRef;
use rusqlite::{Row, params};

use super::SqliteBackend;
use super::rows::{self, execution_columns, step_columns};
use crate::store::backend::WithStep;
use crate::store::{ExecutionKey, StoreError, Target, sql_error};

impl SqliteBackend {
    /// An execution's row.
    pub(super) fn load(&self, target: &Target) -> Result<Option<(ExecutionKey, Execution)>, StoreError> {
        let read = |row: &Row<'_>| {
            let key = ExecutionKey(row.get(rows::EXECUTION_COLUMNS).map_err(sql_error::of)?);
            Ok((key, rows::execution(key, row, 0)?))
        };
        match target {
            Target::Key(key) => self.first(
                concat!("SELECT ", execution_columns!(), ", seq FROM hydra_executions WHERE seq = ?1"),
                [key.0],
                read,
            ),
            Target::Id(id) => self.first(
                concat!(
                    "SELECT ",
                    execution_columns!(),
                    ", seq FROM hydra_executions WHERE namespace = ?1 AND id = ?2"
                ),
                params![id.namespace, id.id],
                read,
            ),
        }
    }

    /// An execution's row and that of one of its steps.
    pub(super) fn load_with_step(&self, key: ExecutionKey, no: StepNo) -> Result<Option<WithStep>, StoreError> {
        // One statement instead of two.
        self.first(
            concat!(
                "SELECT ",
                execution_columns!("e"),
                ", ",
                step_columns!("s"),
                " FROM hydra_executions e LEFT JOIN hydra_steps s ON s.execution = e.seq AND s.step = ?2 WHERE e.seq = ?1"
            ),
            params![key.0, no.0],
            |found| {
                let (row, at) = (rows::execution(key, found, 0)?, rows::EXECUTION_COLUMNS);
                let step = match found.get_ref(at).map_err(sql_error::of)? {
                    ValueRef::Null => None,
                    _ => Some(rows::step(key, &row, found, at)?.1),
                };
                Ok(WithStep { key, row, step })
            },
        )
    }

    /// The steps of an execution that run, wait or sleep.
    pub(super) fn load_open(&self, key: ExecutionKey, owner: &Execution) -> Result<Vec<(StepNo, Step)>, StoreError> {
        self.all(
            concat!(
                "SELECT ",
                step_columns!(),
                " FROM hydra_steps WHERE execution = ?1 AND state IN ('running', 'waiting', 'sleeping') ORDER BY step"
            ),
            [key.0],
            |row| rows::step(key, owner, row, 0),
        )
    }
}
