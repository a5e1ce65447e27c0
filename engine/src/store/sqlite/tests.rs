//! What claims cost, counted in instructions of SQLite's machine: the same on every machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hydra_protocol::{Span, StepNo, Time};

use super::transaction::{DUE, OVERDUE};
use super::write::JOURNAL;
use super::{SqliteBackend, SqliteOptions};
use crate::store::backend::{Backend, EngineRows};
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
    let connection = backend.sql.connection();
    let mut statement = connection.prepare(DUE).unwrap();
    for limit in 1..=5_i64 {
        let rows = statement.query_map(("default", "order", 1, 0, i64::MIN, limit), |_| Ok(())).unwrap();
        assert_eq!(rows.count(), limit as usize);
    }
    assert_eq!(statement.get_status(rusqlite::StatementStatus::RePrepare), 0);
    assert_eq!(statement.get_status(rusqlite::StatementStatus::Sort), 0);
}

fn plan(backend: &SqliteBackend, sql: &str) -> String {
    let connection = backend.sql.connection();
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let unbound = statement.raw_query().mapped(|row| row.get::<_, String>(3)).collect::<Result<Vec<_>, _>>();
    unbound.unwrap().join("; ")
}

/// An index that holds only what has not ended, in the order that is asked for: nothing that has ended is looked at, and
/// nothing is sorted.
#[test]
fn claims_look_into_the_indexes_of_what_is_due() {
    let folder = tempfile::tempdir().unwrap();
    let backend = SqliteOptions::at(folder.path().join("store.db")).open_backend().unwrap();
    for (sql, index) in [(DUE, "hydra_executions_due"), (OVERDUE, "hydra_executions_deadline")] {
        let plan = plan(&backend, sql);
        assert!(
            plan.starts_with("SEARCH hydra_executions USING ") && plan.contains(&format!("INDEX {index} ")),
            "{plan}"
        );
        assert!(!plan.contains("TEMP B-TREE"), "{plan}");
    }
    backend.sql.connection().execute_batch("DROP INDEX hydra_executions_due").unwrap();
    let without = plan(&backend, DUE);
    assert!(without.contains("TEMP B-TREE") || !without.contains("SEARCH"), "{without}");
}

/// How often the statement was run on this connection.
fn runs(backend: &SqliteBackend, sql: &str) -> i32 {
    let statement = backend.sql.connection().prepare_cached(sql).unwrap();
    statement.get_status(rusqlite::StatementStatus::Run)
}

const STEP: &str =
    concat!("SELECT ", super::rows::step_columns!(), " FROM hydra_steps WHERE execution = ?1 AND step = ?2");

#[test]
fn a_replay_of_a_thousand_steps_reads_its_checkpoints_with_one_statement() {
    let folder = tempfile::tempdir().unwrap();
    let mut backend = SqliteOptions::at(folder.path().join("store.db")).open_backend().unwrap();
    fill(&mut backend, "order", "ready", 1);
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) \
               INSERT INTO hydra_steps (execution, step, name, kind, epoch, attempt, attempts_max, state, ord, begun_at, \
               settled_at, output) SELECT 1, i, 'step', 'keyed', 1, 1, 3, 'succeeded', i, 0, 0, x'31' FROM n; \
               UPDATE hydra_executions SET settled = 1000";
    backend.sql.connection().execute_batch(sql).unwrap();
    backend.begin().unwrap();
    let request = ClaimRequest {
        worker: "w".into(),
        namespace: "default".into(),
        workflows: Arc::from(["order".to_owned()]),
        limit: 3,
        lease: Span::from_millis(10_000),
    };
    let (rules, mut effects) = (StoreOptions::default().rules, Effects::default());
    let now = Time::from_millis(1_000);
    let mut tx = Tx { backend: &mut backend, rules, now, effects: &mut effects };
    let claimed = tx.claim(&request).unwrap().claimed.remove(0);
    assert_eq!(claimed.journal.len(), 1_000);
    assert!(claimed.journal.iter().all(|step| step.value.as_deref() == Some(b"1")));
    assert_eq!((runs(&backend, JOURNAL), runs(&backend, STEP)), (1, 0));
    // The count counts: read one by one, they are a thousand.
    let key = claimed.key;
    let owner = backend.find(&crate::store::Target::Key(key)).unwrap().unwrap().1;
    for no in 1..=1_000 {
        backend.find_step(key, &owner, StepNo(no)).unwrap().unwrap();
    }
    assert_eq!(runs(&backend, STEP), 1_000);
    backend.rollback();
}

/// Rounds of work, each followed by the deletion of what has ended: the pages that are freed are used again.
#[test]
fn a_file_that_is_pruned_stays_flat() {
    let folder = tempfile::tempdir().unwrap();
    let mut backend = SqliteOptions::at(folder.path().join("store.db")).open_backend().unwrap();
    let pages = |backend: &SqliteBackend| -> i64 {
        backend.sql.connection().query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap()
    };
    let mut sizes = Vec::new();
    for round in 0..6 {
        let workflow = format!("round {round}");
        fill(&mut backend, &workflow, "succeeded", 2_000);
        sizes.push(pages(&backend));
        // The last two rounds are not pruned: without it the file grows.
        if round < 4 {
            let mut request = crate::store::PruneRequest {
                namespace: None,
                ended_before: Time::from_millis(1),
                after: None,
                limit: 300,
            };
            loop {
                backend.begin().unwrap();
                let (rules, mut effects) = (StoreOptions::default().rules, Effects::default());
                let now = Time::from_millis(1_000);
                let pruned = Tx { backend: &mut backend, rules, now, effects: &mut effects }.prune(&request).unwrap();
                backend.commit().unwrap();
                let Some(next) = pruned.next else { break };
                request.after = Some(next);
            }
        }
    }
    assert!(sizes[3] <= sizes[0] + sizes[0] / 20, "{sizes:?}");
    assert!(sizes[5] > sizes[0] * 3 / 2, "{sizes:?}");
}

/// Why the execution with the highest key is never deleted.
#[test]
fn sqlite_gives_the_highest_key_again_once_its_row_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let mut backend = SqliteOptions::at(folder.path().join("store.db")).open_backend().unwrap();
    let highest = |backend: &SqliteBackend| -> i64 {
        backend.sql.connection().query_row("SELECT max(seq) FROM hydra_executions", [], |row| row.get(0)).unwrap()
    };
    fill(&mut backend, "order", "succeeded", 3);
    assert_eq!((highest(&backend), backend.aged(None, 10).unwrap().len()), (3, 2));
    let key = crate::store::ExecutionKey(3);
    let row = backend.find(&crate::store::Target::Key(key)).unwrap().unwrap().1;
    backend.delete_execution(key, &row).unwrap();
    fill(&mut backend, "another", "succeeded", 1);
    assert_eq!(highest(&backend), 3, "the key of an execution that is gone, with its epochs still ahead of it");
}
