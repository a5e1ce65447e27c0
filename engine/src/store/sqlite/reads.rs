//! Rows for people and clients.

use hydra_protocol::{Epoch, Execution};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::SqliteBackend;
use super::rows::{self, EXECUTION_COLUMNS, STEP_COLUMNS, execution_columns, step_columns};
use crate::store::backend::Reads;
use crate::store::{
    ExecutionId, ExecutionKey, ExecutionView, HistoryView, LeaseView, ListFilter, StepView, StoreError, sql_error,
};

/// A connection that only reads, and never waits for one that writes.
pub struct SqliteReader(pub(super) Connection);

impl Reads for SqliteReader {
    fn view(&mut self, id: &ExecutionId) -> Result<Option<ExecutionView>, StoreError> {
        view(&self.0, id)
    }

    fn views(&mut self, ids: &[&ExecutionId]) -> Vec<Result<Option<ExecutionView>, StoreError>> {
        // One snapshot for all of them: beginning one costs several locks on the file, more than the reading. A statement
        // alone has one of its own.
        let all = |connection: &Connection| ids.iter().map(|id| view(connection, id)).collect();
        if ids.len() > 1
            && let Ok(snapshot) = self.0.transaction()
        {
            return all(&snapshot);
        }
        all(&self.0)
    }

    fn steps(&mut self, key: ExecutionKey) -> Result<Vec<StepView>, StoreError> {
        steps(&self.0, key)
    }

    fn leases(&mut self, key: ExecutionKey) -> Result<Vec<LeaseView>, StoreError> {
        leases(&self.0, key)
    }

    fn list(&mut self, filter: &ListFilter) -> Result<Vec<ExecutionView>, StoreError> {
        list(&self.0, filter)
    }

    fn ended_of(&mut self, keys: &[ExecutionKey]) -> Result<Vec<ExecutionKey>, StoreError> {
        // One snapshot for all of them, as above.
        ended_of(&*self.0.transaction().map_err(sql_error::of)?, keys)
    }

    fn history(&mut self, key: ExecutionKey) -> Result<HistoryView, StoreError> {
        // One snapshot for both: the writer does not wait for it.
        let snapshot = self.0.transaction().map_err(sql_error::of)?;
        Ok(HistoryView { steps: steps(&snapshot, key)?, leases: leases(&snapshot, key)? })
    }
}

impl Reads for SqliteBackend {
    fn view(&mut self, id: &ExecutionId) -> Result<Option<ExecutionView>, StoreError> {
        view(self.sql.connection(), id)
    }

    fn steps(&mut self, key: ExecutionKey) -> Result<Vec<StepView>, StoreError> {
        steps(self.sql.connection(), key)
    }

    fn leases(&mut self, key: ExecutionKey) -> Result<Vec<LeaseView>, StoreError> {
        leases(self.sql.connection(), key)
    }

    fn list(&mut self, filter: &ListFilter) -> Result<Vec<ExecutionView>, StoreError> {
        list(self.sql.connection(), filter)
    }

    fn ended_of(&mut self, keys: &[ExecutionKey]) -> Result<Vec<ExecutionKey>, StoreError> {
        ended_of(self.sql.connection(), keys)
    }
}

/// Reads what [`execution_view`] makes of it.
macro_rules! select_views {
    ($where:literal) => {
        concat!(
            "SELECT ",
            execution_columns!(),
            ", seq, namespace, id, workflow, worker, started_at, ended_at, input, output, error \
             FROM hydra_executions JOIN hydra_payloads ON execution = seq ",
            $where
        )
    };
}

fn view(connection: &Connection, id: &ExecutionId) -> Result<Option<ExecutionView>, StoreError> {
    let sql = select_views!("WHERE namespace = ?1 AND id = ?2");
    let mut statement = connection.prepare_cached(sql).map_err(sql_error::of)?;
    let mut found = statement.query(params![id.namespace, id.id]).map_err(sql_error::of)?;
    found.next().map_err(sql_error::of)?.map(execution_view).transpose()
}

fn list(connection: &Connection, filter: &ListFilter) -> Result<Vec<ExecutionView>, StoreError> {
    let sql = select_views!(
        "WHERE seq < ?1 AND (?2 IS NULL OR namespace = ?2) AND (?3 IS NULL OR workflow = ?3) \
           AND (?4 IS NULL OR status = ?4) AND (?5 IS NULL OR substr(id, 1, length(?5)) = ?5) \
         ORDER BY seq DESC LIMIT ?6"
    );
    let mut statement = connection.prepare_cached(sql).map_err(sql_error::of)?;
    let before = filter.before.map_or(i64::MAX, |key| key.0);
    let limit = i64::try_from(filter.limit_or_default()).unwrap_or(i64::MAX);
    let ListFilter { namespace, workflow, status, id_prefix, .. } = filter;
    let mut found =
        statement.query(params![before, namespace, workflow, status, id_prefix, limit]).map_err(sql_error::of)?;
    let mut views = Vec::new();
    while let Some(row) = found.next().map_err(sql_error::of)? {
        views.push(execution_view(row)?);
    }
    Ok(views)
}

fn ended_of(connection: &Connection, keys: &[ExecutionKey]) -> Result<Vec<ExecutionKey>, StoreError> {
    let sql = "SELECT 1 FROM hydra_executions WHERE seq = ?1 AND ended_at IS NULL";
    let mut statement = connection.prepare_cached(sql).map_err(sql_error::of)?;
    let mut ended = Vec::new();
    for key in keys {
        if !statement.exists([key.0]).map_err(sql_error::of)? {
            ended.push(*key);
        }
    }
    Ok(ended)
}

fn steps(connection: &Connection, key: ExecutionKey) -> Result<Vec<StepView>, StoreError> {
    let Some(owner) = owner(connection, key)? else {
        return Ok(Vec::new());
    };
    let sql = concat!(
        "SELECT ",
        step_columns!(),
        ", name, output, error, input, begun_at, settled_at FROM hydra_steps WHERE execution = ?1 ORDER BY step"
    );
    let mut statement = connection.prepare_cached(sql).map_err(sql_error::of)?;
    let mut found = statement.query([key.0]).map_err(sql_error::of)?;
    let mut steps = Vec::new();
    while let Some(row) = found.next().map_err(sql_error::of)? {
        let step = rows::journal_step(key, &owner, row)?;
        let at = STEP_COLUMNS + 3;
        let read = || -> rusqlite::Result<_> {
            let (input, begun_at) = (row.get(at)?, rows::time(row, at + 1)?);
            Ok((input, begun_at, rows::optional_time(row, at + 2)?))
        };
        let (input, begun_at, settled_at) = read().map_err(|error| rows::column(rows::execution_name(key), error))?;
        steps.push(StepView { step, input, begun_at, settled_at });
    }
    Ok(steps)
}

fn leases(connection: &Connection, key: ExecutionKey) -> Result<Vec<LeaseView>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT epoch, worker, claimed_at, ended_at FROM hydra_leases WHERE execution = ?1 ORDER BY 1")
        .map_err(sql_error::of)?;
    let leases = statement.query_map([key.0], |row| {
        Ok(LeaseView {
            epoch: Epoch(row.get(0)?),
            worker: row.get(1)?,
            claimed_at: rows::time(row, 2)?,
            ended_at: rows::optional_time(row, 3)?,
        })
    });
    let leases = leases.map_err(sql_error::of)?.collect::<Result<_, _>>();
    leases.map_err(|error| rows::column(format!("hydra_leases.execution = {}", key.0), error))
}

/// The row of the execution that steps belong to.
fn owner(connection: &Connection, key: ExecutionKey) -> Result<Option<Execution>, StoreError> {
    let sql = concat!("SELECT ", execution_columns!(), " FROM hydra_executions WHERE seq = ?1");
    let mut statement = connection.prepare_cached(sql).map_err(sql_error::of)?;
    let found = statement.query_row([key.0], |row| Ok(rows::execution(key, row, 0))).optional();
    found.map_err(sql_error::of)?.transpose()
}

fn execution_view(row: &Row<'_>) -> Result<ExecutionView, StoreError> {
    let at = EXECUTION_COLUMNS;
    let key = ExecutionKey(row.get(at).map_err(sql_error::of)?);
    let execution = rows::execution(key, row, 0)?;
    let read = || -> rusqlite::Result<_> {
        Ok(ExecutionView {
            key,
            id: ExecutionId { namespace: row.get(at + 1)?, id: row.get(at + 2)? },
            workflow: row.get(at + 3)?,
            row: execution,
            worker: row.get(at + 4)?,
            started_at: rows::time(row, at + 5)?,
            ended_at: rows::optional_time(row, at + 6)?,
            input: row.get(at + 7)?,
            output: row.get(at + 8)?,
            error: row.get(at + 9)?,
        })
    };
    read().map_err(|error| rows::column(rows::execution_name(key), error))
}
