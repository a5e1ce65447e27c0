//! Columns to rows: the core decodes them, and what it refuses is named.

use std::sync::Arc;

use hydra_protocol::{Execution, RawExecution, RawStep, Step, StepNo, Time, decode};
use rusqlite::Row;

use crate::store::{ExecutionKey, JournalStep, StoreError, sql_error};

/// An execution's columns, as [`execution`] reads them; with the name of its table before each if that is given.
macro_rules! execution_columns {
    () => {
        "status, due_at, epoch, settled, replays, replays_max, deadline, failure"
    };
    ($of:literal) => {
        concat!(
            $of,
            ".status, ",
            $of,
            ".due_at, ",
            $of,
            ".epoch, ",
            $of,
            ".settled, ",
            $of,
            ".replays, ",
            $of,
            ".replays_max, ",
            $of,
            ".deadline, ",
            $of,
            ".failure"
        )
    };
}
/// A step's columns, as [`step`] reads them; with the name of its table before each if that is given.
macro_rules! step_columns {
    () => {
        "step, kind, epoch, attempt, attempts_max, state, due_at, ord, cause"
    };
    ($of:literal) => {
        concat!(
            $of,
            ".step, ",
            $of,
            ".kind, ",
            $of,
            ".epoch, ",
            $of,
            ".attempt, ",
            $of,
            ".attempts_max, ",
            $of,
            ".state, ",
            $of,
            ".due_at, ",
            $of,
            ".ord, ",
            $of,
            ".cause"
        )
    };
}
pub(super) use {execution_columns, step_columns};

/// How many those are.
pub const EXECUTION_COLUMNS: usize = 8;
/// How many those are.
pub const STEP_COLUMNS: usize = 9;

/// The execution's row in the columns from `at` on.
pub fn execution(key: ExecutionKey, row: &Row<'_>, at: usize) -> Result<Execution, StoreError> {
    let read = || -> rusqlite::Result<_> {
        Ok(RawExecution {
            status: row.get_ref(at)?.as_str()?,
            due_at: row.get(at + 1)?,
            epoch: row.get(at + 2)?,
            settled: row.get(at + 3)?,
            replays: row.get(at + 4)?,
            replays_max: row.get(at + 5)?,
            deadline: row.get(at + 6)?,
            failure: row.get_ref(at + 7)?.as_str_or_null()?,
        })
    };
    let raw = read().map_err(|error| column(execution_name(key), error))?;
    decode::execution(&raw).map_err(|error| corrupt(execution_name(key), error))
}

/// The step's number and row in the columns from `at` on.
pub fn step(key: ExecutionKey, owner: &Execution, row: &Row<'_>, at: usize) -> Result<(StepNo, Step), StoreError> {
    let no: u32 = row.get(at).map_err(|error| column(execution_name(key) + ", a step", error))?;
    let name = || format!("{}, step {no}", execution_name(key));
    let read = || -> rusqlite::Result<_> {
        Ok(RawStep {
            kind: row.get_ref(at + 1)?.as_str()?,
            epoch: row.get(at + 2)?,
            attempt: row.get(at + 3)?,
            attempts_max: row.get(at + 4)?,
            state: row.get_ref(at + 5)?.as_str()?,
            due_at: row.get(at + 6)?,
            order: row.get(at + 7)?,
            cause: row.get_ref(at + 8)?.as_str_or_null()?,
        })
    };
    let raw = read().map_err(|error| column(name(), error))?;
    let step = decode::step(owner, &raw).map_err(|error| corrupt(name(), error))?;
    Ok((StepNo(no), step))
}

/// A step with name, output and error, in the columns of [`STEP`] and the three after them.
pub fn journal_step(key: ExecutionKey, owner: &Execution, row: &Row<'_>) -> Result<JournalStep, StoreError> {
    let (no, step) = step(key, owner, row, 0)?;
    let read = || -> rusqlite::Result<_> {
        Ok(JournalStep {
            no,
            name: Arc::from(row.get_ref(STEP_COLUMNS)?.as_str()?),
            row: step,
            value: row.get(STEP_COLUMNS + 1)?,
            error: row.get(STEP_COLUMNS + 2)?,
        })
    };
    read().map_err(|error| column(format!("{}, step {}", execution_name(key), no.0), error))
}

/// A time in a column.
pub fn time(row: &Row<'_>, at: usize) -> rusqlite::Result<Time> {
    optional_time(row, at).map(Option::unwrap_or_default)
}

/// A time in a column, if there is one.
pub fn optional_time(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Time>> {
    let ms: Option<i64> = row.get(at)?;
    let time = |ms| u64::try_from(ms).map(Time::from_millis);
    ms.map(|ms| time(ms).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(at, ms))).transpose()
}

/// A time for a column: see [`Time::MAX`].
pub fn ms(time: Time) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// How errors name an execution.
pub fn execution_name(key: ExecutionKey) -> String {
    format!("hydra_executions.seq = {}", key.0)
}

/// A row that the core does not take.
pub fn corrupt(row: String, what: impl ToString) -> StoreError {
    StoreError::Corrupt { row, what: what.to_string() }
}

/// An error while a column was read: its type is wrong, or the file is.
pub fn column(row: String, error: rusqlite::Error) -> StoreError {
    match error {
        error if error.sqlite_error_code().is_some() => sql_error::of(error),
        error => corrupt(row, error),
    }
}

#[cfg(test)]
mod tests {
    use hydra_protocol::{Epoch, Kind, StepState};
    use rusqlite::types::Type;
    use rusqlite::{ErrorCode, ffi};

    use super::*;
    use crate::store::backend::{EngineRows, Field, StepUpdate};
    use crate::store::sqlite::SqliteOptions;

    #[test]
    fn a_column_of_another_type_is_a_corrupt_row_and_a_file_that_cannot_be_read_is_not() {
        let name = || execution_name(ExecutionKey(7));
        let another = rusqlite::Error::InvalidColumnType(2, "epoch".into(), Type::Text);
        match column(name(), another) {
            StoreError::Corrupt { row, .. } => assert_eq!(row, "hydra_executions.seq = 7"),
            other => panic!("{other:?}"),
        }
        let malformed = ffi::Error { code: ErrorCode::DatabaseCorrupt, extended_code: ffi::SQLITE_CORRUPT };
        let malformed = column(name(), rusqlite::Error::SqliteFailure(malformed, None));
        assert!(matches!(malformed, StoreError::Unreadable(_)), "{malformed:?}");
    }

    #[test]
    fn a_step_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut backend = SqliteOptions::at(folder.path().join("store.db")).open_backend().unwrap();
        let row = Step { kind: Kind::Keyed, epoch: Epoch(1), attempt: 1, attempts_max: 3, state: StepState::Running };
        let (key, no, error) = (ExecutionKey(7), StepNo(3), Field::Keep);
        let update = StepUpdate { key, no, before: &row, row: &row, output: None, error, settled_at: None };
        let refused = backend.update_step(update).unwrap_err().to_string();
        assert!(refused.contains("a write of hydra_executions.seq = 7, step 3 changed 0 rows"), "{refused}");
    }
}
