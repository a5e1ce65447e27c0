//! Opening a file.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::known::Known;
use super::{SqliteBackend, SqliteReader, SqliteStore, journal, schema};
use crate::store::user_sql::UserSql;
use crate::store::{GroupCommit, StoreError, StoreOptions, sql_error};

/// How a file is opened.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// The file; it is made if it is not there. One that begins with `file:` is a URI of SQLite's.
    pub path: PathBuf,
    /// How long to wait for a lock that another process or connection holds. 5 s.
    pub busy_timeout: Duration,
    /// What is safe once a commit was answered.
    pub synchronous: Synchronous,
    /// At most so many pages of 4 KiB in the file; none: as many as the disk holds.
    pub pages_max: Option<u32>,
    /// Whether the file shall keep a journal: every decided command, with the store's time and the answer, committed
    /// with what it changed. `hydra conform FILE` replays it through the rules. No.
    ///
    /// It costs one more row a command, of about 50 bytes, for as long as it is kept: refused
    /// commands and heartbeats are in it too. `hydra conform FILE --trim` replaces what was checked by the rows as they
    /// are. A file that keeps a journal keeps it, whoever opens it, until `DROP TABLE hydra_journal`; begin one only
    /// while no other process has the file open, for a process that does not know of it would not write it.
    pub journal: bool,
}

/// What is safe once a commit was answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Synchronous {
    /// Each commit is on the disk: it outlives a loss of power.
    #[default]
    Full,
    /// Each commit is with the operating system: it outlives the process, and a loss of power may take the last ones
    /// back. What was answered is then no longer durable; rows stay consistent all the same.
    Normal,
}

/// Statements that are kept prepared.
const PREPARED_MAX: usize = 128;

impl SqliteOptions {
    /// The defaults, for this file.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        let (busy_timeout, synchronous) = (Duration::from_secs(5), Synchronous::Full);
        SqliteOptions { path: path.into(), busy_timeout, synchronous, pages_max: None, journal: false }
    }

    /// Opens a store. Errors: see [`SqliteOptions::open_backend`].
    pub fn open(&self, options: StoreOptions) -> Result<SqliteStore, StoreError> {
        GroupCommit::over(self.open_backend()?, options)
    }

    /// Opens the connection that writes, and brings the file to this engine's schema.
    ///
    /// # Errors
    /// [`StoreError::NotAStore`] for a file that is no database, of another application, or of a newer engine;
    /// [`StoreError::Refused`] if it cannot be written; [`StoreError::Unavailable`] while another process has it locked;
    /// [`StoreError::Corrupt`] if a journal is to begin with a row that cannot be read.
    pub fn open_backend(&self) -> Result<SqliteBackend, StoreError> {
        let path = self.path.display().to_string();
        let mut connection = self.connect()?;
        // Looked at before anything is changed: another application's file must not even become a WAL file.
        schema::check(&connection, &path)?;
        if connection.is_readonly("main").map_err(sql_error::of)? {
            return Err(StoreError::Refused(format!(
                "{path} cannot be written: see its permissions and its folder's, and whether the disk is mounted read-only"
            )));
        }
        self.use_wal(&connection)?;
        if let Some(pages) = self.pages_max {
            connection.pragma_update(None, "max_page_count", pages).map_err(sql_error::of)?;
        }
        schema::migrate(&mut connection, &path)?;
        let journal = journal::open(&mut connection, self.journal)?;
        Ok(SqliteBackend { sql: UserSql::guard(connection)?, options: self.clone(), journal, known: Known::default() })
    }

    fn connect(&self) -> Result<Connection, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_URI
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let path = self.path.display();
        let connection = Connection::open_with_flags(&self.path, flags).map_err(|error| {
            StoreError::Unavailable(format!(
                "{path} cannot be opened; does its folder exist, and may you write there? ({error})"
            ))
        })?;
        connection.busy_timeout(self.busy_timeout).map_err(sql_error::of)?;
        connection.set_prepared_statement_cache_capacity(PREPARED_MAX);
        // Plans are made once: without this SQLite makes them anew whenever another LIMIT is bound, at each claim.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(sql_error::of)?;
        let synchronous = match self.synchronous {
            Synchronous::Full => "FULL",
            Synchronous::Normal => "NORMAL",
        };
        for (pragma, value) in [("synchronous", synchronous), ("foreign_keys", "ON"), ("trusted_schema", "OFF")] {
            connection.pragma_update(None, pragma, value).map_err(sql_error::of)?;
        }
        Ok(connection)
    }

    /// Turns the file to write-ahead logging, so that readers and the writer do not wait for each other.
    fn use_wal(&self, connection: &Connection) -> Result<(), StoreError> {
        let until = Instant::now() + self.busy_timeout;
        loop {
            let mode = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0));
            match mode {
                Ok(mode) if mode == "wal" => return Ok(()),
                Ok(mode) => {
                    return Err(StoreError::Refused(format!(
                        "{} stays in journal mode `{mode}`: the store needs WAL, so a local disk and not a network's",
                        self.path.display()
                    )));
                }
                // SQLite does not wait for the lock here: another process may be opening the file as well.
                Err(error) => match error.sqlite_error_code() {
                    Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) if Instant::now() < until => {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                    _ => return Err(sql_error::of(error)),
                },
            }
        }
    }
}

impl SqliteBackend {
    /// A connection that reads beside this one.
    pub(super) fn open_reader(&self) -> Result<SqliteReader, StoreError> {
        let connection = self.options.connect()?;
        connection.pragma_update(None, "query_only", "ON").map_err(sql_error::of)?;
        Ok(SqliteReader(connection))
    }
}
