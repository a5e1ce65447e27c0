//! The journal of commands in an SQLite file, and the file as evidence.

use std::path::Path;
use std::time::Duration;

use hydra_protocol::{Epoch, StepNo};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, TransactionBehavior};

use super::rows::{self, EXECUTION_COLUMNS, STEP_COLUMNS, execution_columns, step_columns};
use super::schema;
use crate::conform::{Base, BaseStep, Digest, Entry, Evidence, Found};
use crate::store::{ExecutionId, ExecutionKey, StoreError, sql_error};

/// Apart from the migrations: only a file whose owner wants a journal has this table.
const TABLE: &str = "CREATE TABLE hydra_journal (number INTEGER PRIMARY KEY, entry BLOB NOT NULL) STRICT";

/// How long to wait for other processes before the file is locked for trimming.
const LOCK_WAIT: Duration = Duration::from_secs(30);

/// Whether the file keeps a journal; begins one if it is wanted and not there.
pub fn open(connection: &mut Connection, wanted: bool) -> Result<bool, StoreError> {
    if !wanted || is_kept(connection)? {
        return is_kept(connection);
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sql_error::of)?;
    // Another process may have begun it in between.
    if !is_kept(&transaction)? {
        transaction.execute_batch(TABLE).map_err(sql_error::of)?;
        begin(&transaction, 1)?;
    }
    transaction.commit().map_err(sql_error::of)?;
    Ok(true)
}

fn is_kept(connection: &Connection) -> Result<bool, StoreError> {
    let table = connection.query_row("SELECT 1 FROM sqlite_schema WHERE name = 'hydra_journal'", [], |_| Ok(()));
    Ok(table.optional().map_err(sql_error::of)?.is_some())
}

/// Writes the beginning of a journal, from this number on: all that is there, for the commands to come.
fn begin(connection: &Connection, number: i64) -> Result<(), StoreError> {
    let sql = "SELECT count(*) FROM hydra_executions";
    let executions: i64 = connection.query_row(sql, [], |row| row.get(0)).map_err(sql_error::of)?;
    let mut insert = connection.prepare("INSERT INTO hydra_journal VALUES (?1, ?2)").map_err(sql_error::of)?;
    let mut write =
        |number: i64, entry: Entry| insert.execute((number, entry.encode())).map(drop).map_err(sql_error::of);
    write(number, Entry::Origin(executions as u64))?;
    let (mut next, mut done) = (number, Ok(()));
    each_execution(connection, &mut |found| {
        next += 1;
        let written = match found {
            Found::Execution { base, broken, .. } if broken.is_empty() => write(next, Entry::Base(Box::new(base))),
            Found::Execution { base, mut broken, .. } => {
                let (no, what) = broken.remove(0);
                Err(rows::corrupt(format!("{}, step {}", rows::execution_name(base.key), no.0), what))
            }
            Found::Broken { key, what } => Err(rows::corrupt(rows::execution_name(key), what)),
        };
        if done.is_ok() {
            done = written;
        }
    })?;
    done
}

/// An SQLite file as evidence: [`crate::conform::check`] judges it. Read as of one moment, while others write.
pub struct SqliteEvidence(Connection);

impl SqliteEvidence {
    /// Opens a file to read. Nothing in it is changed.
    ///
    /// # Errors
    /// [`StoreError::NotAStore`] if it is none; [`StoreError::Unavailable`] if it cannot be opened.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY, "BEGIN")
    }

    /// Opens a file to check and then to trim its journal. Whoever else writes to it waits meanwhile.
    ///
    /// # Errors
    /// As [`SqliteEvidence::open`].
    pub fn lock(path: &Path) -> Result<Self, StoreError> {
        Self::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE, "BEGIN IMMEDIATE")
    }

    fn connect(path: &Path, flag: OpenFlags, begin: &str) -> Result<Self, StoreError> {
        let name = path.display().to_string();
        let connection = Connection::open_with_flags(path, flag | OpenFlags::SQLITE_OPEN_NO_MUTEX)
            .map_err(|error| StoreError::Unavailable(format!("{name} cannot be opened ({error})")))?;
        connection.busy_timeout(LOCK_WAIT).map_err(sql_error::of)?;
        connection.execute_batch(begin).map_err(sql_error::of)?;
        schema::check_is_store(&connection, &name)?;
        Ok(SqliteEvidence(connection))
    }

    /// Replaces the journal by the rows as they are: the beginning of the commands to come. Only what was checked
    /// should be forgotten, so check first; the file must have been opened by [`SqliteEvidence::lock`].
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for a row that cannot be read; the journal is then left as it was.
    pub fn trim(self) -> Result<(), StoreError> {
        let sql = "SELECT coalesce(max(number), 0) FROM hydra_journal";
        let last: i64 = self.0.query_row(sql, [], |row| row.get(0)).map_err(sql_error::of)?;
        self.0.execute_batch("DELETE FROM hydra_journal").map_err(sql_error::of)?;
        begin(&self.0, last + 1)?;
        self.0.execute_batch("COMMIT").map_err(sql_error::of)
    }
}

impl Evidence for SqliteEvidence {
    fn entries(&mut self, see: &mut dyn FnMut(u64, &[u8])) -> Result<bool, StoreError> {
        if !is_kept(&self.0)? {
            return Ok(false);
        }
        let sql = "SELECT number, entry FROM hydra_journal ORDER BY number";
        let mut statement = self.0.prepare(sql).map_err(sql_error::of)?;
        let mut entries = statement.query([]).map_err(sql_error::of)?;
        while let Some(row) = entries.next().map_err(sql_error::of)? {
            let read = || -> rusqlite::Result<_> { Ok((row.get::<_, i64>(0)?, row.get_ref(1)?.as_blob()?)) };
            let (number, entry) = read().map_err(|error| rows::column("hydra_journal".into(), error))?;
            let number =
                u64::try_from(number).map_err(|_| rows::corrupt("hydra_journal".into(), "a negative number"))?;
            see(number, entry);
        }
        Ok(true)
    }

    fn rows(&mut self, see: &mut dyn FnMut(Found)) -> Result<(), StoreError> {
        each_execution(&self.0, see)
    }
}

/// Every execution, by key.
fn each_execution(connection: &Connection, see: &mut dyn FnMut(Found)) -> Result<(), StoreError> {
    let sql = concat!(
        "SELECT ",
        execution_columns!(),
        ", seq, namespace, id, workflow, input, output \
         FROM hydra_executions LEFT JOIN hydra_payloads ON execution = seq ORDER BY seq"
    );
    let mut statement = connection.prepare(sql).map_err(sql_error::of)?;
    let mut executions = statement.query([]).map_err(sql_error::of)?;
    while let Some(row) = executions.next().map_err(sql_error::of)? {
        let key = ExecutionKey(row.get(EXECUTION_COLUMNS).map_err(sql_error::of)?);
        see(match broken(execution(connection, key, row))? {
            Ok(found) => found,
            Err(what) => Found::Broken { key, what },
        });
    }
    Ok(())
}

/// What is wrong with a row is evidence; that it cannot be read at all is an error.
fn broken<T>(read: Result<T, StoreError>) -> Result<Result<T, String>, StoreError> {
    match read {
        Ok(read) => Ok(Ok(read)),
        Err(StoreError::Corrupt { what, .. }) => Ok(Err(what)),
        Err(error) => Err(error),
    }
}

fn execution(connection: &Connection, key: ExecutionKey, row: &Row<'_>) -> Result<Found, StoreError> {
    let (execution, at) = (rows::execution(key, row, 0)?, EXECUTION_COLUMNS + 1);
    let read = || -> rusqlite::Result<_> {
        Ok(Base {
            key,
            id: ExecutionId { namespace: row.get(at)?, id: row.get(at + 1)? },
            row: execution,
            workflow: Digest::of(row.get_ref(at + 2)?.as_bytes()?),
            input: Digest::of(row.get_ref(at + 3)?.as_bytes()?),
            output: row.get_ref(at + 4)?.as_blob_or_null()?.map(Digest::of),
            steps: Vec::new(),
        })
    };
    let mut base = read().map_err(|error| rows::column(rows::execution_name(key), error))?;
    let sql = concat!("SELECT ", step_columns!(), ", name, output FROM hydra_steps WHERE execution = ?1 ORDER BY step");
    let mut statement = connection.prepare_cached(sql).map_err(sql_error::of)?;
    let mut steps = statement.query([key.0]).map_err(sql_error::of)?;
    let mut broken_steps = Vec::new();
    while let Some(row) = steps.next().map_err(sql_error::of)? {
        let read = || -> Result<_, StoreError> {
            let (no, step) = rows::step(key, &execution, row, 0)?;
            let read = || -> rusqlite::Result<_> {
                let name = Digest::of(row.get_ref(STEP_COLUMNS)?.as_bytes()?);
                let output = row.get_ref(STEP_COLUMNS + 1)?.as_blob_or_null()?.map(Digest::of);
                Ok(BaseStep { no, name, row: step, output })
            };
            read().map_err(|error| rows::column(format!("{}, step {}", rows::execution_name(key), no.0), error))
        };
        match broken(read())? {
            Ok(step) => base.steps.push(step),
            Err(what) => broken_steps.push((StepNo(row.get(0).unwrap_or_default()), what)),
        }
    }
    let sql = "SELECT epoch FROM hydra_leases WHERE execution = ?1 ORDER BY epoch";
    let mut statement = connection.prepare_cached(sql).map_err(sql_error::of)?;
    let leases = statement.query_map([key.0], |row| row.get(0).map(Epoch)).map_err(sql_error::of)?;
    let leases = leases.collect::<Result<_, _>>();
    let leases = leases.map_err(|error| rows::column(format!("hydra_leases.execution = {}", key.0), error))?;
    Ok(Found::Execution { base, broken: broken_steps, leases })
}
