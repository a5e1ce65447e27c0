//! The store's own transaction, lent to a body.

use std::time::Duration;

use hydra_engine::store::{CommandRequest, ExecutionKey, StoreError, StoreOptions, Transact, Value};
use hydra_protocol::{Command, Epoch, Kind, Outcome, Rejection, Reply, Settlement, StepState};

use crate::harness::*;

/// A store with an account of 100, and an execution whose step 1 has begun.
async fn account(which: Which, change: impl Fn(StoreOptions) -> StoreOptions) -> (Fixture, ExecutionKey, Epoch) {
    let store = Fixture::with(which, change);
    let tables =
        ["CREATE TABLE account (balance INTEGER NOT NULL CHECK (balance >= 0))", "INSERT INTO account VALUES (100)"];
    store.a.run(&tables).await.unwrap();
    let (key, epoch) = store.claimed("o-1").await;
    store.decision(begin(key, epoch, 1, Kind::Transactional, 1)).await.unwrap();
    (store, key, epoch)
}

async fn balance(store: &Fixture) -> i64 {
    match store.a.look("SELECT balance FROM account").await.unwrap()[0][0] {
        Value::Integer(balance) => balance,
        ref other => panic!("{other:?}"),
    }
}

fn success(key: ExecutionKey, epoch: Epoch) -> CommandRequest {
    settle(key, epoch, 1, 1, Settlement::Succeeded)
}

async fn state(store: &Fixture, key: ExecutionKey) -> StepState {
    store.history(key).await.steps[0].step.row.state
}

const PAY: &str = "UPDATE account SET balance = balance - $1";

pub async fn effect_and_checkpoint_commit_together(which: Which) {
    let (store, key, epoch) = account(which, |options| options).await;
    let mut body = store.open(success(key, epoch)).await;
    assert_eq!(body.execute(PAY, &[30.into()]).await, Ok(1));
    assert_eq!(body.query("SELECT balance FROM account", &[]).await, Ok(vec![vec![Value::Integer(70)]]));
    let answer = body.commit(b"paid".to_vec()).await.unwrap();
    assert_eq!(answer.decision, Ok(Reply::Settled { order: 1, outcome: Outcome::Succeeded }));
    assert_eq!(balance(&store).await, 70);
    assert_eq!(store.history(key).await.steps[0].step.value.as_deref(), Some(&b"paid"[..]));
}

pub async fn a_body_that_is_dropped_undoes_only_itself(which: Which) {
    let (store, key, epoch) = account(which, |options| options).await;
    let mut body = store.open(success(key, epoch)).await;
    body.execute(PAY, &[30.into()]).await.unwrap();
    drop(body);
    assert_eq!(balance(&store).await, 100);
    assert_eq!(state(&store, key).await, StepState::Running);
    // And the next attempt to do it works.
    let mut body = store.open(success(key, epoch)).await;
    body.execute(PAY, &[40.into()]).await.unwrap();
    body.commit(b"paid".to_vec()).await.unwrap().decision.unwrap();
    assert_eq!(balance(&store).await, 60);
}

pub async fn a_body_that_fails_in_a_statement_goes_on_or_drops(which: Which) {
    let (store, key, epoch) = account(which, |options| options).await;
    let mut body = store.open(success(key, epoch)).await;
    body.execute(PAY, &[10.into()]).await.unwrap();
    let overdrawn = body.execute(PAY, &[1_000.into()]).await;
    assert!(
        matches!(&overdrawn, Err(StoreError::Refused(why)) if why.to_uppercase().contains("CHECK")),
        "{overdrawn:?}"
    );
    assert!(matches!(body.execute("UPDATE nothing SET x = 1", &[]).await, Err(StoreError::Refused(_))));
    body.execute(PAY, &[20.into()]).await.unwrap();
    body.commit(b"paid".to_vec()).await.unwrap().decision.unwrap();
    assert_eq!(balance(&store).await, 70, "a statement that failed has done nothing");
}

pub async fn no_body_is_opened_for_what_is_settled_or_refused(which: Which) {
    let (store, key, epoch) = account(which, |options| options).await;
    let body = store.open(success(key, epoch)).await;
    body.commit(b"paid".to_vec()).await.unwrap().decision.unwrap();
    let Transact::Answered(answer) = store.a.transact(success(key, epoch)).await.unwrap() else { panic!("open") };
    assert_eq!(answer.decision, Ok(Reply::Settled { order: 1, outcome: Outcome::Succeeded }));
    assert_eq!(answer.value.as_deref(), Some(&b"paid"[..]));
    store.clock.advance_ms(LEASE.as_millis());
    let latest = store.claim_one("b").await.epoch;
    let Transact::Answered(answer) = store.a.transact(success(key, epoch)).await.unwrap() else { panic!("open") };
    assert_eq!(answer.decision, Err(Rejection::StaleEpoch { held: epoch, latest }));
    let other = settle(key, epoch, 1, 1, failed());
    assert!(matches!(store.a.transact(other).await, Err(StoreError::Refused(_))), "only a success has a body");
}

pub async fn a_body_cannot_touch_the_engine_or_its_transaction(which: Which) {
    let (store, key, epoch) = account(which, |options| options).await;
    let mut body = store.open(success(key, epoch)).await;
    body.execute(PAY, &[30.into()]).await.unwrap();
    for sql in [
        "COMMIT",
        "END",
        "ROLLBACK",
        "BEGIN",
        "SAVEPOINT body",
        "RELEASE body",
        "ROLLBACK TO body",
        "ATTACH ':memory:' AS other",
        "DETACH main",
        "PRAGMA foreign_keys = OFF",
        "SELECT * FROM pragma_table_list",
        "SELECT * FROM hydra_executions",
        "UPDATE Hydra_Steps SET state = 'running'",
        "DELETE FROM hydra_leases",
        "INSERT INTO hydra_payloads VALUES (9, x'00', NULL, NULL)",
        "DROP TABLE hydra_steps",
        "CREATE TABLE hydra_mine (x)",
        "CREATE TRIGGER mine AFTER UPDATE ON hydra_executions BEGIN SELECT 1; END",
        "SELECT 1; COMMIT",
        "SELECT * FROM hydra.executions",
        "UPDATE \"hydra\".steps SET state = 'running'",
        "DROP SCHEMA hydra CASCADE",
        "SET search_path = hydra",
        "SELECT set_config('search_path', 'hydra', false)",
        "DO 'BEGIN COMMIT; END'",
    ] {
        let answer = body.execute(sql, &[]).await;
        assert!(matches!(answer, Err(StoreError::Refused(_))), "{sql}: {answer:?}");
        let answer = body.query(sql, &[]).await;
        assert!(matches!(answer, Err(StoreError::Refused(_))), "{sql}: {answer:?}");
    }
    drop(body);
    assert_eq!(balance(&store).await, 100);
    assert_eq!(state(&store, key).await, StepState::Running);
}

pub async fn parameters_are_bound_by_their_number(which: Which) {
    let (store, key, epoch) = account(which, |options| options).await;
    let mut body = store.open(success(key, epoch)).await;
    let row = body.query("SELECT $2, $1, $2", &["one".into(), "two".into()]).await.unwrap();
    assert_eq!(row, [[Value::from("two"), "one".into(), "two".into()]]);
    for params in [&[][..], &[1.into(), 2.into()]] {
        assert!(matches!(body.execute(PAY, params).await, Err(StoreError::Refused(_))));
    }
}

pub async fn values_come_back_as_they_went_in(which: Which) {
    let (store, key, epoch) = account(which, |options| options).await;
    let mut body = store.open(success(key, epoch)).await;
    let types = if which.is_postgres() {
        "CREATE TABLE kept (a bigint, b bigint, c double precision, d text, e bytea)"
    } else {
        "CREATE TABLE kept (a, b, c, d, e)"
    };
    body.execute(types, &[]).await.unwrap();
    let values = vec![Value::Null, i64::MIN.into(), 0.5.into(), "\u{1F40D} '".into(), vec![0, 255].into()];
    body.execute("INSERT INTO kept VALUES ($1, $2, $3, $4, $5)", &values).await.unwrap();
    body.commit(Vec::new()).await.unwrap().decision.unwrap();
    assert_eq!(store.b.look("SELECT * FROM kept").await.unwrap(), [values]);
    assert_eq!(store.history(key).await.steps[0].step.value.as_deref(), Some(&b""[..]), "an empty value is one");
}

fn hasty(options: StoreOptions) -> StoreOptions {
    StoreOptions { body_time_max: Duration::from_millis(60), ..options }
}

pub async fn a_body_that_takes_too_long_is_undone_and_stalls_nobody(which: Which) {
    let (store, key, epoch) = account(which, hasty).await;
    let mut body = store.open(success(key, epoch)).await;
    body.execute(PAY, &[30.into()]).await.unwrap();
    // It holds the writer, where there is one, and does not go on. Others get their turn all the same.
    store.start("o-2").await;
    // Where nobody had to wait for the end of its time, this does.
    tokio::time::sleep(Duration::from_millis(60)).await;
    let late = body.execute(PAY, &[1.into()]).await;
    assert!(matches!(&late, Err(StoreError::Refused(why)) if why.contains("60 ms")), "{late:?}");
    assert!(matches!(body.commit(b"paid".to_vec()).await, Err(StoreError::Refused(_))));
    assert_eq!(balance(&store).await, 100);
    assert_eq!(state(&store, key).await, StepState::Running);
}

pub async fn a_statement_that_takes_too_long_is_interrupted(which: Which) {
    let (store, key, epoch) = account(which, hasty).await;
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    let mut body = store.open(success(key, epoch)).await;
    body.execute(PAY, &[30.into()]).await.unwrap();
    assert!(matches!(body.query(endless, &[]).await, Err(StoreError::Refused(_))));
    drop(body);
    let mut body = store.open(success(key, epoch)).await;
    let writing = format!("UPDATE account SET balance = ({endless})");
    assert!(matches!(body.execute(&writing, &[]).await, Err(StoreError::Refused(_))));
    assert!(body.commit(b"paid".to_vec()).await.is_err(), "the transaction was undone with it");
    assert_eq!(balance(&store).await, 100);
    assert_eq!(state(&store, key).await, StepState::Running);
}

pub async fn a_body_cannot_undo_what_others_commanded(which: Which) {
    let (store, key, epoch) = account(which, |options| options).await;
    store.a.run(&["CREATE TABLE one (x INTEGER UNIQUE)", "INSERT INTO one VALUES (1)"]).await.unwrap();
    // A statement that undoes the whole transaction, and says nothing of transactions.
    let undoing = if which.is_postgres() {
        "SELECT pg_terminate_backend(pg_backend_pid())"
    } else {
        "INSERT OR ROLLBACK INTO one VALUES (1)"
    };
    let mut body = store.open(success(key, epoch)).await;
    body.execute(PAY, &[30.into()]).await.unwrap();
    let started = store.a.command(start("o-2"));
    let ending = async move {
        assert!(body.execute(undoing, &[]).await.is_err());
        assert!(body.execute(PAY, &[1.into()]).await.is_err());
        assert!(body.commit(b"paid".to_vec()).await.is_err());
    };
    let (started, ()) = tokio::join!(started, ending);
    assert_eq!(started.unwrap().decision, Ok(Reply::Started));
    assert_eq!(balance(&store).await, 100);
    assert_eq!(state(&store, key).await, StepState::Running);
    let cancelled = store.decision(client("o-1", None, Command::Cancel)).await;
    assert!(cancelled.is_ok(), "and the store works on");
}

pub async fn a_body_that_commits_too_large_a_value_is_undone(which: Which) {
    let (store, key, epoch) = account(which, |options| StoreOptions { payload_bytes_max: 10, ..options }).await;
    let mut body = store.open(CommandRequest { payload: Default::default(), ..success(key, epoch) }).await;
    body.execute(PAY, &[30.into()]).await.unwrap();
    for large in [Value::from(vec![0; 11]), "eleven byte".into()] {
        let refused = body.query("SELECT $1", &[large]).await;
        assert!(matches!(&refused, Err(StoreError::Refused(why)) if why.contains("has 11 bytes")), "{refused:?}");
    }
    assert!(matches!(body.commit(vec![0; 11]).await, Err(StoreError::Refused(_))));
    assert_eq!(balance(&store).await, 100);
}
