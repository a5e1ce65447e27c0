//! The engine's own statements: kept prepared, and told apart by what they must find or change.

use rusqlite::{Params, Row};

use super::SqliteBackend;
use crate::store::{StoreError, sql_error};

impl SqliteBackend {
    /// The first row of a query, if there is one.
    pub(super) fn first<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let mut statement = self.sql.connection().prepare_cached(sql).map_err(sql_error::of)?;
        let mut found = statement.query(params).map_err(sql_error::of)?;
        found.next().map_err(sql_error::of)?.map(read).transpose()
    }

    /// All rows of a query.
    pub(super) fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        mut read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = self.sql.connection().prepare_cached(sql).map_err(sql_error::of)?;
        let mut found = statement.query(params).map_err(sql_error::of)?;
        let mut all = Vec::new();
        while let Some(row) = found.next().map_err(sql_error::of)? {
            all.push(read(row)?);
        }
        Ok(all)
    }

    /// A statement that must change one row: the guard of every write.
    pub(super) fn write_one(
        &self,
        sql: &str,
        params: impl Params,
        row: impl FnOnce() -> String,
    ) -> Result<(), StoreError> {
        let mut statement = self.sql.connection().prepare_cached(sql).map_err(sql_error::of)?;
        match statement.execute(params).map_err(sql_error::of)? {
            1 => Ok(()),
            changed => Err(StoreError::Refused(format!(
                "a write of {} changed {changed} rows instead of one: the store does not isolate its transactions",
                row()
            ))),
        }
    }
}
