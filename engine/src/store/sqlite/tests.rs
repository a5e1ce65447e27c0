//! What claims cost, counted in instructions of SQLite's machine: the same on every machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hydra_protocol::{Span, Time};

use super::{SqliteBackend, SqliteOptions};
use crate::store::backend::Backend;
use crate::store::signals::Effects;
use crate::store::{ClaimRequest, StoreOptions, apply::Tx};

fn fill(backend: &mut SqliteBackend, workflow: &str, status: &str, count: u32) {
    let (due_at, ended_at) = if status == "ready" { ("0", "NULL") } else { ("NULL", "0") };
    let sql = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) \
         INSERT INTO hydra_executions (namespace, id, workflow, status, due_at, epoch, settled, replays, replays_max, \
         started_at, ended_at) SELECT 'default', '{workflow}-{status}-' || i, '{workflow}', '{status}', {due_at}, 1, 0, \
         0, 3, 0, {ended_at} FROM n; \
         INSERT OR IGNORE INTO hydra_payloads (execution, input) SELECT seq, x'00' FROM hydra_executions;"
    );
    backend.sql.connection().execute_batch(&sql).unwrap();
}

/// Instructions that claiming three executions takes.
fn cost(backend: &mut SqliteBackend) -> u64 {
    let count = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&count);
    let tick = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        false
    };
    backend.begin().unwrap();
    backend.sql.connection_mut().progress_handler(1, Some(tick)).unwrap();
    let request = ClaimRequest {
        worker: "w".into(),
        namespace: "default".into(),
        workflows: Arc::from(["order".to_owned()]),
        limit: 3,
        lease: Span::from_millis(10_000),
    };
    let (rules, mut effects) = (StoreOptions::default().rules, Effects::default());
    let mut tx = Tx { backend, rules, now: Time::from_millis(1_000), effects: &mut effects };
    assert_eq!(tx.claim(&request).unwrap().claimed.len(), 3);
    backend.sql.connection_mut().progress_handler(0, None::<fn() -> bool>).unwrap();
    backend.rollback();
    count.load(Ordering::Relaxed)
}

#[test]
fn a_claim_costs_the_same_whatever_has_ended_or_nobody_knows() {
    let folder = tempfile::tempdir().unwrap();
    let mut backend = SqliteOptions::at(folder.path().join("store.db")).open_backend().unwrap();
    fill(&mut backend, "order", "ready", 10);
    cost(&mut backend);
    let alone = cost(&mut backend);
    fill(&mut backend, "order", "succeeded", 3_000);
    fill(&mut backend, "nobody knows this", "ready", 3_000);
    assert_eq!(cost(&mut backend), alone);
    // The check checked: without the index by workflow it does not hold.
    backend.sql.connection().execute_batch("DROP INDEX hydra_executions_due").unwrap();
    assert!(cost(&mut backend) > alone * 10);
}

#[test]
fn a_statement_is_planned_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut backend = SqliteOptions::at(folder.path().join("store.db")).open_backend().unwrap();
    fill(&mut backend, "order", "ready", 10);
    let sql = "SELECT due_at, seq FROM hydra_executions WHERE namespace = ?1 AND workflow = ?2 AND due_at <= ?3 \
               AND (due_at, seq) > (?4, ?5) ORDER BY due_at, seq LIMIT ?6";
    let connection = backend.sql.connection();
    let mut statement = connection.prepare(sql).unwrap();
    for limit in 1..=5_i64 {
        let rows = statement.query_map(("default", "order", 1, 0, i64::MIN, limit), |_| Ok(())).unwrap();
        assert_eq!(rows.count(), limit as usize);
    }
    assert_eq!(statement.get_status(rusqlite::StatementStatus::RePrepare), 0);
    assert_eq!(statement.get_status(rusqlite::StatementStatus::Sort), 0);
}
