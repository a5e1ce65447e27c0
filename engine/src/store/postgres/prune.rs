//! Forgetting what has ended.

use std::sync::atomic::{AtomicBool, Ordering};

use hydra_protocol::Time;

use super::connect::Connection;
use super::fault::Fault;
use super::rows::{self, EXECUTION_COLUMNS, column, execution_columns};
use crate::store::backend::Aged;
use crate::store::prune::{Plan, plan};
use crate::store::{ExecutionKey, PruneRequest, Pruned, StoreError};

/// A page, locked: an operator may be about to open one of them again. What somebody else has locked is left for another
/// time.
const AGED: &str = concat!(
    "SELECT ",
    execution_columns!(),
    ", seq, namespace, started_at, ended_at FROM hydra.executions WHERE seq > $1 ORDER BY seq LIMIT $2 \
     FOR UPDATE SKIP LOCKED"
);
/// What belongs to them goes with them: the foreign keys say so.
const DELETE: &str = "DELETE FROM hydra.executions WHERE seq = ANY ($1::bigint[]) AND due_at IS NULL";

/// One batch, in a transaction of its own. Keys come from a sequence, so none is ever given again.
pub async fn transaction(
    connection: &mut Connection,
    sent: &AtomicBool,
    request: &PruneRequest,
) -> Result<Pruned, Fault> {
    connection.begin().await?;
    let (page, delete) = (connection.prepare(AGED).await?, connection.prepare(DELETE).await?);
    let limit = i64::try_from(request.limit).unwrap_or(i64::MAX);
    let after = request.after.map_or(i64::MIN, |after| after.0);
    let found = connection.client.query(&page, &[&after, &limit]).await?;
    let page = found.iter().map(aged).collect::<Result<_, _>>()?;
    let Plan { delete: old, next } = plan(request, page);
    let keys: Vec<i64> = old.iter().map(|aged| aged.key.0).collect();
    let deleted = connection.client.execute(&delete, &[&keys]).await?;
    if deleted != keys.len() as u64 {
        let why = format!("{deleted} executions deleted instead of {}: the store does not isolate", keys.len());
        return Err(StoreError::Refused(why).into());
    }
    sent.store(true, Ordering::Relaxed);
    connection.commit().await?;
    Ok(Pruned { deleted: keys.len(), next })
}

fn aged(row: &tokio_postgres::Row) -> Result<Aged, StoreError> {
    let at = EXECUTION_COLUMNS;
    let key = ExecutionKey(column(row, at, || "hydra.executions".to_owned())?);
    let name = || rows::execution_name(key);
    let time = |ms: i64| Time::from_millis(u64::try_from(ms).unwrap_or(0));
    Ok(Aged {
        key,
        namespace: column(row, at + 1, name)?,
        row: rows::execution(key, row),
        started_at: time(column(row, at + 2, name)?),
        ended_at: column::<Option<i64>>(row, at + 3, name)?.map(time),
    })
}
