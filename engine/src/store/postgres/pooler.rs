//! A pooler that hands each transaction to another connection, and does not know what was prepared on the one before.
//!
//! Behind such a one nothing can be relied on: (1) A prepares its statement 7 on the server's connection 1; (2) B, of another
//! process, prepares its own statement 7 on connection 2; (3) B's next transaction is given connection 1, and asks for
//! statement 7: A's is done.

use std::sync::Arc;

use super::connect::{Connection, Connector};
use super::fault::Fault;

/// Prepared in one transaction, and asked for in the next.
const PROBE: &str = "SELECT 'prepared'";

/// What to do about it.
pub const WITHOUT_STATEMENTS: &str = "a pooler between hands each transaction to another of the server's connections, and \
    does not take prepared statements with it. PgBouncer does so from version 1.21, with `max_prepared_statements` above \
    zero; older ones must be in session mode";

/// An error if there is such a pooler. Another connection takes the one that a statement was prepared on, where they are
/// lent; then the statement is asked for. Where that takes too long or no other connection is to be had, nothing is said.
pub async fn refuse_without_statements(connector: &Arc<Connector>, connection: &mut Connection) -> Result<(), Fault> {
    let prepared = connection.prepare(PROBE).await?;
    let Ok(other) = connector.connect().await else { return Ok(()) };
    if other.client.batch_execute("BEGIN; SELECT 1").await.is_err() {
        return Ok(());
    }
    let asked = tokio::time::timeout(connector.connect_timeout(), connection.client.query_one(&prepared, &[])).await;
    // Before the connection is closed: a pooler would close the server's too.
    let _ = other.client.batch_execute("ROLLBACK").await;
    match asked {
        Ok(answer) => Ok(answer.map(drop)?),
        // Waits for the only connection of the pool, perhaps, which is free now.
        Err(_) => Ok(()),
    }
}
