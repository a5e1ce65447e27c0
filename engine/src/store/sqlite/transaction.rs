//! Transactions on the connection that writes, and what is looked for in them.

use std::time::Instant;

use hydra_protocol::{Execution, Time};
use rusqlite::{ErrorCode, Row, params};

use super::rows::{self, execution_columns, ms};
use super::{SqliteBackend, SqliteReader};
use crate::store::backend::{Aged, Backend, Candidate, DueSource};
use crate::store::{ExecutionKey, StoreError, Value, sql_error};

/// What is due of one workflow.
pub(super) const DUE: &str = "SELECT due_at, seq FROM hydra_executions \
     WHERE namespace = ?1 AND workflow = ?2 AND due_at <= ?3 AND (due_at, seq) > (?4, ?5) ORDER BY due_at, seq LIMIT ?6";

/// What is past its deadline.
pub(super) const OVERDUE: &str = "SELECT deadline, seq FROM hydra_executions \
     WHERE namespace = ?1 AND due_at IS NOT NULL AND deadline <= ?2 AND (deadline, seq) > (?3, ?4) \
     ORDER BY deadline, seq LIMIT ?5";

impl Backend for SqliteBackend {
    type Reader = SqliteReader;

    fn begin(&mut self) -> Result<(), StoreError> {
        // Immediate: rows that are read now must not change before they are written. A deferred transaction would read
        // a snapshot, and fail when it turns to writing after another process has.
        self.sql.control("BEGIN IMMEDIATE")?;
        // Another one than in the transaction before, if somebody else has committed in between.
        let version = self.first("PRAGMA data_version", [], |row| row.get(0).map_err(sql_error::of));
        match version {
            Ok(version) => self.known.begun(version.unwrap_or_default()),
            Err(error) => {
                self.rollback();
                return Err(error);
            }
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        let mut statement = self.sql.connection().prepare_cached("COMMIT").map_err(sql_error::of)?;
        let done = statement.execute([]).map(drop).map_err(of_commit);
        drop(statement);
        if done.is_ok() {
            self.known.committed();
        }
        done
    }

    fn rollback(&mut self) {
        self.known.forget();
        self.sql.rollback();
    }

    fn in_transaction(&self) -> bool {
        self.sql.in_transaction()
    }

    fn savepoint(&mut self) -> Result<(), StoreError> {
        self.sql.control("SAVEPOINT body")
    }

    fn release(&mut self) -> Result<(), StoreError> {
        self.sql.control("RELEASE body")
    }

    fn rollback_to(&mut self) -> Result<(), StoreError> {
        self.known.forget();
        self.sql.control("ROLLBACK TO body")?;
        self.sql.control("RELEASE body")
    }

    fn due(
        &mut self,
        namespace: &str,
        source: DueSource<'_>,
        now: Time,
        after: Option<Candidate>,
        limit: usize,
    ) -> Result<Vec<Candidate>, StoreError> {
        let (from, from_key) = after.map_or((0, i64::MIN), |after| (ms(after.due_at), after.key.0));
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let read = |row: &Row<'_>| {
            let read = || -> rusqlite::Result<_> {
                Ok(Candidate { due_at: rows::time(row, 0)?, key: ExecutionKey(row.get(1)?) })
            };
            read().map_err(|error| rows::column("an entry of the index of due times".into(), error))
        };
        match source {
            DueSource::Workflow(workflow) => {
                self.all(DUE, params![namespace, workflow, ms(now), from, from_key, limit], read)
            }
            DueSource::Overdue => self.all(OVERDUE, params![namespace, ms(now), from, from_key, limit], read),
        }
    }

    fn next_due(&mut self, namespace: &str, workflow: &str, after: Option<Time>) -> Result<Option<Time>, StoreError> {
        self.first(
            "SELECT due_at FROM hydra_executions WHERE namespace = ?1 AND workflow = ?2 AND due_at > ?3 \
             ORDER BY due_at LIMIT 1",
            params![namespace, workflow, after.map_or(-1, ms)],
            |row| rows::time(row, 0).map_err(sql_error::of),
        )
    }

    fn aged(&mut self, after: Option<ExecutionKey>, limit: usize) -> Result<Vec<Aged>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.all(
            concat!(
                "SELECT ",
                execution_columns!(),
                ", seq, namespace, started_at, ended_at FROM hydra_executions \
                 WHERE seq > ?1 AND seq < (SELECT max(seq) FROM hydra_executions) ORDER BY seq LIMIT ?2"
            ),
            params![after.map_or(i64::MIN, |after| after.0), limit],
            |found| {
                let at = rows::EXECUTION_COLUMNS;
                let key = ExecutionKey(found.get(at).map_err(sql_error::of)?);
                let read = || -> rusqlite::Result<_> {
                    Ok((found.get(at + 1)?, rows::time(found, at + 2)?, rows::optional_time(found, at + 3)?))
                };
                let read = read().map_err(|error| rows::column(rows::execution_name(key), error));
                let row = rows::execution(key, found, 0);
                Ok(match read {
                    Ok((namespace, started_at, ended_at)) => Aged { key, namespace, row, started_at, ended_at },
                    Err(error) => {
                        let (namespace, started_at) = (String::new(), Time::default());
                        Aged { key, namespace, row: Err(error), started_at, ended_at: None }
                    }
                })
            },
        )
    }

    fn delete_execution(&mut self, key: ExecutionKey, row: &Execution) -> Result<(), StoreError> {
        // What belongs to it goes with it: the foreign keys say so.
        self.known.wrote(key, row);
        self.write_one(
            "DELETE FROM hydra_executions WHERE seq = ?1 AND epoch = ?2 AND due_at IS NULL",
            params![key.0, row.epoch.0],
            || rows::execution_name(key),
        )
    }

    fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.sql.set_deadline(deadline);
    }

    fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64, StoreError> {
        self.sql.execute(sql, params)
    }

    fn query(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Vec<Value>>, StoreError> {
        self.sql.query(sql, params)
    }

    fn reader(&mut self) -> Result<Option<SqliteReader>, StoreError> {
        self.open_reader().map(Some)
    }
}

/// What an error of a COMMIT means.
fn of_commit(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        // Its last frames may have reached the log though the disk did not say so: a later recovery would find them
        // there, unless another commit has overwritten them before.
        Some(ErrorCode::SystemIoFailure) => StoreError::Unknown(error.to_string()),
        _ => sql_error::of(error),
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    #[test]
    fn a_commit_that_fails_in_the_disk_may_have_happened() {
        let told = |code| of_commit(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
        assert!(matches!(told(ffi::SQLITE_IOERR_FSYNC), StoreError::Unknown(_)));
        assert!(matches!(told(ffi::SQLITE_FULL), StoreError::Unavailable(_)));
    }
}
