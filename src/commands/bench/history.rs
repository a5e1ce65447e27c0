//! Executions that have ended, by the thousand: what a store holds that has been in use for long.

use rusqlite::Connection;

use super::place::{self, Place};

/// Rows that belong to one of them: its own, its payload, a lease, three steps.
const ROWS: u64 = 6;

/// Fills a store with about so many rows.
pub fn fill(place: &Place, rows: u64) -> anyhow::Result<()> {
    let executions = rows / ROWS;
    if executions == 0 {
        return Ok(());
    }
    // The tables are the engine's own.
    drop(place.open()?);
    match place {
        Place::Memory => anyhow::bail!("--history is for sqlite and postgres: nothing outlives a store in memory"),
        Place::Sqlite { path, .. } => {
            let connection = Connection::open(path)?;
            // These rows are no measurement.
            connection.pragma_update(None, "synchronous", "OFF")?;
            let numbers = format!(
                "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {executions}) SELECT i FROM n)"
            );
            connection.execute_batch(&format!(
                "BEGIN; {} COMMIT; PRAGMA wal_checkpoint(TRUNCATE);",
                statements("hydra_", &numbers, "x'31'", "")
            ))?;
            Ok(())
        }
        Place::Postgres(url) => {
            let numbers = format!("generate_series(1, {executions}) AS n(i)");
            let statements = statements("hydra.", &numbers, "'\\x31'", "OVERRIDING SYSTEM VALUE");
            let sequence = format!("SELECT setval(pg_get_serial_sequence('hydra.executions', 'seq'), {executions})");
            place::psql(url, &format!("{statements} {sequence}"))?;
            place::psql(url, "VACUUM ANALYZE")
        }
    }
}

fn statements(schema: &str, numbers: &str, one: &str, overriding: &str) -> String {
    format!(
        "INSERT INTO {schema}executions (seq, namespace, id, workflow, status, epoch, settled, replays, replays_max, \
         started_at, ended_at) {overriding} SELECT i, 'default', 'old-' || i, 'bench', 'succeeded', 1, 3, 0, 100, 0, 0 \
         FROM {numbers}; \
         INSERT INTO {schema}payloads (execution, input, output) SELECT i, {one}, {one} FROM {numbers}; \
         INSERT INTO {schema}leases (execution, epoch, worker, claimed_at, ended_at) SELECT i, 1, 'old', 0, 0 \
         FROM {numbers}; \
         INSERT INTO {schema}steps (execution, step, name, kind, epoch, attempt, attempts_max, state, ord, begun_at, \
         settled_at, output) SELECT i, s, 'step', 'keyed', 1, 1, 3, 'succeeded', s, 0, 0, {one} \
         FROM {numbers} CROSS JOIN (SELECT 1 AS s UNION ALL SELECT 2 UNION ALL SELECT 3) AS three;"
    )
}
