//! Statements of the user's own, run on a connection that guards itself: they see every table but the engine's, and
//! cannot end the transaction that they run in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, Connection, ErrorCode};

use super::sql_error;
use super::{StoreError, Value};

/// Tables whose names begin so are the engine's.
const ENGINE_PREFIX: &str = "hydra_";
/// A statement under a deadline looks at the clock once in so many instructions of SQLite's machine: about 0.1 ms.
const INSTRUCTIONS_PER_LOOK: i32 = 10_000;

/// A connection that tells the engine's statements from the user's.
pub struct UserSql {
    connection: Connection,
    guarding: Arc<AtomicBool>,
}

impl UserSql {
    /// A new database in memory.
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::guard(Connection::open_in_memory().map_err(sql_error::of)?)
    }

    /// Guards a connection.
    pub fn guard(mut connection: Connection) -> Result<Self, StoreError> {
        let guarding = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&guarding);
        // Set once and for all: setting it again would have SQLite prepare every cached statement anew.
        let judge = move |context: AuthContext<'_>| {
            if !flag.load(Ordering::Relaxed) || allowed(&context.action) {
                Authorization::Allow
            } else {
                Authorization::Deny
            }
        };
        connection.authorizer(Some(judge)).map_err(sql_error::of)?;
        Ok(UserSql { connection, guarding })
    }

    /// The connection, for the engine's own statements.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The connection, for a test that sets a handler of its own.
    #[cfg(test)]
    pub fn connection_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Runs one of the engine's own statements that control the transaction.
    pub fn control(&mut self, sql: &str) -> Result<(), StoreError> {
        let mut statement = self.connection.prepare_cached(sql).map_err(sql_error::of)?;
        statement.execute([]).map(drop).map_err(sql_error::of)
    }

    /// Undoes the transaction, if there is one.
    pub fn rollback(&mut self) {
        if self.in_transaction()
            && let Err(error) = self.control("ROLLBACK")
        {
            tracing::error!(%error, "a rollback failed");
        }
    }

    /// Whether a transaction is open.
    pub fn in_transaction(&self) -> bool {
        !self.connection.is_autocommit()
    }

    /// See [`super::backend::Backend::set_deadline`].
    pub fn set_deadline(&mut self, deadline: Option<Instant>) {
        let late = deadline.map(|deadline| move || Instant::now() >= deadline);
        if let Err(error) = self.connection.progress_handler(INSTRUCTIONS_PER_LOOK, late) {
            tracing::error!(%error, "no deadline for statements");
        }
    }

    /// Runs one statement of the user's.
    pub fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64, StoreError> {
        self.guarded(sql, |statement| {
            bind(statement, params)?;
            let mut rows = statement.raw_query();
            while rows.next().map_err(user_error)?.is_some() {}
            drop(rows);
            Ok(())
        })?;
        Ok(self.connection.changes())
    }

    /// Runs one query of the user's.
    pub fn query(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Vec<Value>>, StoreError> {
        self.guarded(sql, |statement| {
            bind(statement, params)?;
            let columns = statement.column_count();
            let mut rows = statement.raw_query();
            let mut read = Vec::new();
            while let Some(row) = rows.next().map_err(user_error)? {
                let row = (0..columns).map(|at| row.get_ref(at).map_err(user_error).and_then(value));
                read.push(row.collect::<Result<_, _>>()?);
            }
            Ok(read)
        })
    }

    fn guarded<T>(
        &mut self,
        sql: &str,
        run: impl FnOnce(&mut CachedStatement<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.guarding.store(true, Ordering::Relaxed);
        // Spelled otherwise than any statement of the engine's, whose prepared form in the cache was not judged.
        let prepared = self.connection.prepare_cached(&format!("/* body */ {sql}"));
        let done = prepared.map_err(user_error).and_then(|mut statement| run(&mut statement));
        self.guarding.store(false, Ordering::Relaxed);
        // SQLite leaves the transaction open after this one, with what the statement did before it failed: a row, say,
        // without its entry in an index.
        if matches!(done, Err(StoreError::Unreadable(_))) {
            self.rollback();
        }
        done
    }
}

/// Whether a statement of the user's may do this.
fn allowed(action: &AuthAction<'_>) -> bool {
    let theirs =
        |name: &str| !name.get(..ENGINE_PREFIX.len()).is_some_and(|prefix| prefix.eq_ignore_ascii_case(ENGINE_PREFIX));
    match action {
        AuthAction::Transaction { .. }
        | AuthAction::Savepoint { .. }
        | AuthAction::Attach { .. }
        | AuthAction::Detach { .. }
        | AuthAction::Pragma { .. } => false,
        AuthAction::Read { table_name, .. }
        | AuthAction::Insert { table_name }
        | AuthAction::Update { table_name, .. }
        | AuthAction::Delete { table_name }
        | AuthAction::CreateTable { table_name }
        | AuthAction::CreateTempTable { table_name }
        | AuthAction::CreateVtable { table_name, .. }
        | AuthAction::DropTable { table_name }
        | AuthAction::DropTempTable { table_name }
        | AuthAction::DropVtable { table_name, .. }
        | AuthAction::AlterTable { table_name, .. }
        | AuthAction::Analyze { table_name } => theirs(table_name),
        AuthAction::CreateIndex { index_name: name, table_name }
        | AuthAction::CreateTempIndex { index_name: name, table_name }
        | AuthAction::DropIndex { index_name: name, table_name }
        | AuthAction::DropTempIndex { index_name: name, table_name }
        | AuthAction::CreateTrigger { trigger_name: name, table_name }
        | AuthAction::CreateTempTrigger { trigger_name: name, table_name }
        | AuthAction::DropTrigger { trigger_name: name, table_name }
        | AuthAction::DropTempTrigger { trigger_name: name, table_name } => theirs(name) && theirs(table_name),
        AuthAction::CreateView { view_name: name }
        | AuthAction::CreateTempView { view_name: name }
        | AuthAction::DropView { view_name: name }
        | AuthAction::DropTempView { view_name: name }
        | AuthAction::Reindex { index_name: name } => theirs(name),
        AuthAction::Select | AuthAction::Recursive | AuthAction::Function { .. } => true,
        // What a later SQLite may bring.
        _ => false,
    }
}

/// Binds `$1`, `$2`, ... by their names: SQLite numbers them by where they first stand in the text.
fn bind(statement: &mut CachedStatement<'_>, params: &[Value]) -> Result<(), StoreError> {
    let wanted = statement.parameter_count();
    if wanted != params.len() {
        return Err(StoreError::Refused(format!("the statement takes {wanted} parameters, not {}", params.len())));
    }
    for (at, param) in params.iter().enumerate() {
        let name = format!("${}", at + 1);
        let index = statement.parameter_index(&name).map_err(user_error)?;
        let index = index.ok_or_else(|| StoreError::Refused(format!("the statement has no parameter {name}")))?;
        let bound = match param {
            Value::Null => statement.raw_bind_parameter(index, rusqlite::types::Null),
            Value::Integer(value) => statement.raw_bind_parameter(index, value),
            Value::Real(value) => statement.raw_bind_parameter(index, value),
            Value::Text(value) => statement.raw_bind_parameter(index, value),
            Value::Blob(value) => statement.raw_bind_parameter(index, value),
        };
        bound.map_err(user_error)?;
    }
    Ok(())
}

fn value(value: ValueRef<'_>) -> Result<Value, StoreError> {
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(value) => Value::Integer(value),
        ValueRef::Real(value) => Value::Real(value),
        ValueRef::Text(value) => match std::str::from_utf8(value) {
            Ok(value) => Value::Text(value.to_owned()),
            Err(_) => return Err(StoreError::Refused("the query answers a text that is not UTF-8".into())),
        },
        ValueRef::Blob(value) => Value::Blob(value.to_vec()),
    })
}

/// What went wrong with a statement of the user's.
fn user_error(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::AuthorizationForStatementDenied) => StoreError::Refused(format!(
            "a step's body may not end its transaction, attach databases, set pragmas or use tables that begin with \
             `{ENGINE_PREFIX}`: {error}"
        )),
        Some(ErrorCode::OperationInterrupted) => {
            StoreError::Refused("the statement took too long and was interrupted; its transaction is undone".into())
        }
        _ => sql_error::of(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_views_and_indexes_of_its_own_and_none_by_the_engines_names() {
        let mut sql = UserSql::in_memory().unwrap();
        for theirs in [
            "CREATE TABLE t (x)",
            "CREATE INDEX i ON t (x)",
            "CREATE VIEW v AS SELECT x FROM t",
            "REINDEX i",
            "DROP VIEW v",
            "DROP INDEX i",
        ] {
            sql.execute(theirs, &[]).unwrap();
        }
        for ours in ["CREATE VIEW hydra_v AS SELECT 1", "CREATE INDEX hydra_i ON t (x)", "PRAGMA user_version"] {
            let refused = sql.execute(ours, &[]).unwrap_err().to_string();
            assert!(refused.contains("or use tables that begin with `hydra_`"), "{ours}: {refused}");
        }
    }

    #[test]
    fn a_statement_past_its_deadline_says_so() {
        let mut sql = UserSql::in_memory().unwrap();
        sql.set_deadline(Some(Instant::now()));
        let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
        let late = sql.query(endless, &[]).unwrap_err().to_string();
        assert_eq!(late, "the statement took too long and was interrupted; its transaction is undone");
    }
}
