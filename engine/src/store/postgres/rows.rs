//! Columns to rows: the core decodes them, and what it refuses is named.

use std::sync::Arc;

use hydra_protocol::{Execution, RawExecution, RawStep, Step, StepNo, Time, decode};
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use crate::store::{ExecutionKey, JournalStep, StoreError};

/// An execution's columns, as [`execution`] reads them.
macro_rules! execution_columns {
    () => {
        "status, due_at, epoch, settled, replays, replays_max, deadline, failure"
    };
}
/// A step's columns, as [`step`] reads them.
macro_rules! step_columns {
    () => {
        "step, kind, epoch, attempt, attempts_max, state, due_at, ord, cause"
    };
}
pub(super) use {execution_columns, step_columns};

/// How many those are.
pub const EXECUTION_COLUMNS: usize = 8;
/// How many those are.
pub const STEP_COLUMNS: usize = 9;

/// The execution's row in the first columns.
pub fn execution(key: ExecutionKey, row: &Row) -> Result<Execution, StoreError> {
    let name = || execution_name(key);
    let raw = RawExecution {
        status: column(row, 0, name)?,
        due_at: column(row, 1, name)?,
        epoch: column(row, 2, name)?,
        settled: column(row, 3, name)?,
        replays: column(row, 4, name)?,
        replays_max: column(row, 5, name)?,
        deadline: column(row, 6, name)?,
        failure: column(row, 7, name)?,
    };
    decode::execution(&raw).map_err(|error| corrupt(name(), error))
}

/// The number of the step in the first columns.
pub fn step_no(key: ExecutionKey, row: &Row) -> Result<StepNo, StoreError> {
    let no: i64 = column(row, 0, || execution_name(key))?;
    u32::try_from(no).map(StepNo).map_err(|_| corrupt(execution_name(key), format!("a step has the number {no}")))
}

/// The step's row in the first columns.
pub fn step(key: ExecutionKey, owner: &Execution, row: &Row) -> Result<Step, StoreError> {
    let no = step_no(key, row)?;
    let name = || step_name(key, no);
    let raw = RawStep {
        kind: column(row, 1, name)?,
        epoch: column(row, 2, name)?,
        attempt: column(row, 3, name)?,
        attempts_max: column(row, 4, name)?,
        state: column(row, 5, name)?,
        due_at: column(row, 6, name)?,
        order: column(row, 7, name)?,
        cause: column(row, 8, name)?,
    };
    decode::step(owner, &raw).map_err(|error| corrupt(name(), error))
}

/// A step with name, output and error in the columns after its own.
pub fn journal_step(key: ExecutionKey, owner: &Execution, row: &Row) -> Result<JournalStep, StoreError> {
    let no = step_no(key, row)?;
    let name = || step_name(key, no);
    Ok(JournalStep {
        no,
        name: Arc::from(column::<&str>(row, STEP_COLUMNS, name)?),
        row: step(key, owner, row)?,
        value: column(row, STEP_COLUMNS + 1, name)?,
        error: column(row, STEP_COLUMNS + 2, name)?,
    })
}

/// A column. An error names the row that it belongs to.
pub fn column<'a, T: FromSql<'a>>(row: &'a Row, at: usize, name: impl Fn() -> String) -> Result<T, StoreError> {
    row.try_get(at).map_err(|error| corrupt(name(), super::fault::text(&error)))
}

/// A time in a column, if there is one.
pub fn optional_time(row: &Row, at: usize, name: impl Fn() -> String) -> Result<Option<Time>, StoreError> {
    let ms: Option<i64> = column(row, at, &name)?;
    let time = |ms: i64| u64::try_from(ms).map_err(|_| corrupt(name(), format!("a time of {ms} ms")));
    ms.map(|ms| time(ms).map(Time::from_millis)).transpose()
}

/// A time in a column.
pub fn time(row: &Row, at: usize, name: impl Fn() -> String) -> Result<Time, StoreError> {
    optional_time(row, at, name).map(Option::unwrap_or_default)
}

/// A time for a column: see [`Time::MAX`].
pub fn ms(time: Time) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// How errors name an execution.
pub fn execution_name(key: ExecutionKey) -> String {
    format!("hydra.executions.seq = {}", key.0)
}

/// How errors name a step.
pub fn step_name(key: ExecutionKey, no: StepNo) -> String {
    format!("{}, step {}", execution_name(key), no.0)
}

/// A row that the core does not take.
pub fn corrupt(row: String, what: impl ToString) -> StoreError {
    StoreError::Corrupt { row, what: what.to_string() }
}
