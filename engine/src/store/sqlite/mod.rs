//! Rows in an SQLite file.

mod journal;
mod known;
mod load;
mod open;
mod reads;
mod rows;
mod schema;
mod statements;
#[cfg(test)]
mod tests;
mod transaction;
mod write;

pub use journal::SqliteEvidence;
pub use open::{SqliteOptions, Synchronous};
pub use reads::SqliteReader;

use std::path::PathBuf;

use known::Known;

use super::user_sql::UserSql;
use super::{GroupCommit, StoreError, StoreOptions};

/// A store in an SQLite file. Several processes may use one file at once.
pub type SqliteStore = GroupCommit<SqliteBackend>;

impl SqliteStore {
    /// Opens the store in this file, and makes it if it is not there. See [`SqliteOptions::open`].
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        SqliteOptions::at(path).open(StoreOptions::default())
    }
}

/// The connection to an SQLite file that writes.
pub struct SqliteBackend {
    sql: UserSql,
    options: SqliteOptions,
    /// Whether each decided command is recorded.
    journal: bool,
    known: Known,
}
