//! Rows for people and clients, on connections that write nothing and wait for no lock.

use futures::try_join;
use hydra_protocol::Epoch;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::connect::Connection;
use super::fault::Fault;
use super::rows::{self, EXECUTION_COLUMNS, STEP_COLUMNS, column, execution_columns, step_columns};
use crate::store::{
    ExecutionId, ExecutionKey, ExecutionView, HistoryView, LeaseView, ListFilter, StepView, StoreError,
};

/// Reads what [`execution_view`] makes of it.
macro_rules! select_views {
    ($where:literal) => {
        concat!(
            "SELECT ",
            execution_columns!(),
            ", seq, namespace, id, workflow, worker, started_at, ended_at, input, output, error \
             FROM hydra.executions JOIN hydra.payloads ON execution = seq ",
            $where
        )
    };
}

const VIEWS: &str = select_views!(
    "JOIN unnest($1::text[], $2::text[]) AS u (of_namespace, of_id) ON namespace = of_namespace AND id = of_id"
);
const LIST: &str = select_views!(
    "WHERE seq < $1 AND ($2::text IS NULL OR namespace = $2) AND ($3::text IS NULL OR workflow = $3) \
     AND ($4::text IS NULL OR status = $4) AND ($5::text IS NULL OR starts_with(id, $5)) ORDER BY seq DESC LIMIT $6"
);
const OWNER: &str = concat!("SELECT ", execution_columns!(), " FROM hydra.executions WHERE seq = $1");
const STEPS: &str = concat!(
    "SELECT ",
    step_columns!(),
    ", name, output, error, input, begun_at, settled_at FROM hydra.steps WHERE execution = $1 ORDER BY step"
);
const LEASES: &str = "SELECT epoch, worker, claimed_at, ended_at FROM hydra.leases WHERE execution = $1 ORDER BY 1";

const ENDED_OF: &str = "SELECT key FROM unnest($1::bigint[]) AS u (key) \
     WHERE NOT EXISTS (SELECT FROM hydra.executions WHERE seq = key AND ended_at IS NULL)";

/// What is read.
pub trait Read: Send + Sync + 'static {
    type Answer: Send + 'static;

    /// Reads it, outside of any transaction.
    fn read(&self, connection: &mut Connection) -> impl Future<Output = Result<Self::Answer, Fault>> + Send;
}

/// Several of [`crate::store::Store::execution`]: for little more than one, for each look has a price of its own. Answers
/// what is there, in no order; each with its own error, which names the row.
pub struct Views<'a>(pub &'a [&'a ExecutionId]);

/// See [`crate::store::Store::ended_of`].
pub struct EndedOf(pub Vec<ExecutionKey>);

/// See [`crate::store::Store::history`].
pub struct History(pub ExecutionKey);

/// See [`crate::store::Store::list`].
pub struct List(pub ListFilter);

impl Views<'_> {
    pub async fn read(&self, connection: &mut Connection) -> Result<Vec<(ExecutionId, Viewed)>, Fault> {
        let (namespaces, ids): (Vec<_>, Vec<_>) = self.0.iter().map(|id| (&*id.namespace, &*id.id)).unzip();
        let rows = query_by_plan(connection, VIEWS, &[&namespaces, &ids]).await?;
        let view = |row: &Row| {
            let (at, name) = (EXECUTION_COLUMNS, || "hydra.executions".to_owned());
            let id = ExecutionId { namespace: column(row, at + 1, name)?, id: column(row, at + 2, name)? };
            Ok((id, execution_view(row)))
        };
        rows.iter().map(view).collect()
    }
}

/// An execution as it stands, or why it cannot be read.
pub type Viewed = Result<ExecutionView, StoreError>;

impl Read for EndedOf {
    type Answer = Vec<ExecutionKey>;

    async fn read(&self, connection: &mut Connection) -> Result<Self::Answer, Fault> {
        let keys: Vec<i64> = self.0.iter().map(|key| key.0).collect();
        let rows = query_by_plan(connection, ENDED_OF, &[&keys]).await?;
        let key = |row: &Row| column(row, 0, || "hydra.executions".to_owned()).map(ExecutionKey);
        Ok(rows.iter().map(key).collect::<Result<_, StoreError>>()?)
    }
}

impl Read for List {
    type Answer = Vec<ExecutionView>;

    async fn read(&self, connection: &mut Connection) -> Result<Self::Answer, Fault> {
        let ListFilter { namespace, workflow, status, id_prefix, before, .. } = &self.0;
        let before = before.map_or(i64::MAX, |key| key.0);
        let limit = i64::try_from(self.0.limit_or_default()).unwrap_or(i64::MAX);
        let rows = query(connection, LIST, &[&before, namespace, workflow, status, id_prefix, &limit]).await?;
        Ok(rows.iter().map(execution_view).collect::<Result<_, _>>()?)
    }
}

impl Read for History {
    type Answer = HistoryView;

    async fn read(&self, connection: &mut Connection) -> Result<Self::Answer, Fault> {
        // One snapshot for all three.
        connection.client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        let read = self.read_snapshot(connection).await;
        if !connection.rollback().await && read.is_ok() {
            return Err(Fault::connection("the connection broke after a read"));
        }
        read
    }
}

impl History {
    async fn read_snapshot(&self, connection: &mut Connection) -> Result<HistoryView, Fault> {
        let key = self.0;
        let owner = query(connection, OWNER, &[&key.0]).await?;
        let Some(owner) = owner.first() else { return Ok(HistoryView::default()) };
        let owner = rows::execution(key, owner)?;
        let steps = query(connection, STEPS, &[&key.0]).await?;
        let leases = query(connection, LEASES, &[&key.0]).await?;
        let steps = steps.iter().map(|row| {
            let step = rows::journal_step(key, &owner, row)?;
            let (at, name) = (STEP_COLUMNS + 3, || rows::step_name(key, step.no));
            Ok(StepView {
                input: column(row, at, name)?,
                begun_at: rows::time(row, at + 1, name)?,
                settled_at: rows::optional_time(row, at + 2, name)?,
                step,
            })
        });
        let leases = leases.iter().map(|row| {
            let name = || format!("hydra.leases.execution = {}", key.0);
            let epoch: i64 = column(row, 0, name)?;
            let epoch = u32::try_from(epoch).map_err(|_| rows::corrupt(name(), format!("epoch {epoch}")))?;
            Ok(LeaseView {
                epoch: Epoch(epoch),
                worker: column(row, 1, name)?,
                claimed_at: rows::time(row, 2, name)?,
                ended_at: rows::optional_time(row, 3, name)?,
            })
        });
        Ok(HistoryView {
            steps: steps.collect::<Result<_, StoreError>>()?,
            leases: leases.collect::<Result<_, StoreError>>()?,
        })
    }
}

async fn query(
    connection: &mut Connection,
    sql: &'static str,
    params: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, Fault> {
    let statement = connection.prepare(sql).await?;
    Ok(connection.client.query(&statement, params).await?)
}

/// The same in a transaction, for the engine's plans.
async fn query_by_plan(
    connection: &mut Connection,
    sql: &'static str,
    params: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, Fault> {
    let statement = connection.prepare(sql).await?;
    let client = &connection.client;
    let rows = async { Ok(client.query(&statement, params).await?) };
    let undone = async { Ok(client.batch_execute("ROLLBACK").await?) };
    let (_, rows, _) = try_join!(connection.begin(), rows, undone)?;
    Ok(rows)
}

fn execution_view(row: &Row) -> Result<ExecutionView, StoreError> {
    let at = EXECUTION_COLUMNS;
    let key = ExecutionKey(column(row, at, || "hydra.executions".into())?);
    let name = || rows::execution_name(key);
    Ok(ExecutionView {
        key,
        row: rows::execution(key, row)?,
        id: ExecutionId { namespace: column(row, at + 1, name)?, id: column(row, at + 2, name)? },
        workflow: column(row, at + 3, name)?,
        worker: column(row, at + 4, name)?,
        started_at: rows::time(row, at + 5, name)?,
        ended_at: rows::optional_time(row, at + 6, name)?,
        input: column(row, at + 7, name)?,
        output: column(row, at + 8, name)?,
        error: column(row, at + 9, name)?,
    })
}
