//! Transactional bodies, where PostgreSQL is not SQLite.

use std::time::Duration;

use futures::FutureExt;
use hydra_engine::store::{
    CommandRequest, ExecutionKey, PostgresOptions, PostgresStore, Store, StoreError, StoreOptions, Transact,
    Transaction, Value,
};
use hydra_protocol::{Kind, Outcome, Rejection, Reply, Settlement, StepState};

use crate::harness::server::{database, sql};
use crate::harness::{begin, claim, settle, start};

/// An execution whose first step has begun, and the request that settles it.
async fn begun(store: &PostgresStore, name: &str) -> (ExecutionKey, CommandRequest) {
    store.command(start(name)).await.unwrap().decision.unwrap();
    let claimed = store.claim(claim("a")).await.unwrap().claimed.remove(0);
    let (key, epoch) = (claimed.key, claimed.epoch);
    store.command(begin(key, epoch, 1, Kind::Transactional, 1)).await.unwrap().decision.unwrap();
    (key, settle(key, epoch, 1, 1, Settlement::Succeeded))
}

async fn open(store: &PostgresStore, request: &CommandRequest) -> Box<dyn Transaction> {
    match store.transact(request.clone()).await.unwrap() {
        Transact::Open(body) => body,
        Transact::Answered(answer) => panic!("answered without a body: {answer:?}"),
    }
}

async fn state(store: &PostgresStore, key: ExecutionKey) -> StepState {
    store.history(key).await.unwrap().steps[0].step.row.state
}

#[tokio::test]
async fn a_body_whose_connection_is_lost_never_commits_its_checkpoint_alone() {
    let url = database();
    let store = PostgresStore::open(&url).unwrap();
    store.execute(&["CREATE TABLE paid (amount int)"]).await.unwrap();
    let (key, request) = begun(&store, "o-1").await;
    let mut body = open(&store, &request).await;
    body.execute("INSERT INTO paid VALUES ($1)", &[5.into()]).await.unwrap();
    let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
    assert_eq!(sql(&url, &[kill]), "1");
    let lost = body.commit(b"paid".to_vec()).await;
    assert!(matches!(lost, Err(StoreError::Unavailable(_))), "{lost:?}");
    assert_eq!(state(&store, key).await, StepState::Running);
    assert_eq!(sql(&url, &["SELECT count(*) FROM paid"]), "0");
    // And done again, it is done.
    let mut body = open(&store, &request).await;
    body.execute("INSERT INTO paid VALUES ($1)", &[5.into()]).await.unwrap();
    body.commit(b"paid".to_vec()).await.unwrap().decision.unwrap();
    assert_eq!(sql(&url, &["SELECT count(*) FROM paid"]), "1");
}

#[tokio::test]
async fn of_two_bodies_of_one_step_one_commits() {
    let url = database();
    let (one, two) = (PostgresStore::open(&url).unwrap(), PostgresStore::open(&url).unwrap());
    one.execute(&["CREATE TABLE paid (amount int)"]).await.unwrap();
    let (key, request) = begun(&one, "o-1").await;
    let (mut first, mut second) = (open(&one, &request).await, open(&two, &request).await);
    first.execute("INSERT INTO paid VALUES (1)", &[]).await.unwrap();
    second.execute("INSERT INTO paid VALUES (2)", &[]).await.unwrap();
    // Between the first one's write and its commit there is time for the second one to read.
    let slow =
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.3); RETURN new; END $$";
    sql(&url, &[slow, "CREATE TRIGGER slow AFTER UPDATE ON hydra.steps FOR EACH ROW EXECUTE FUNCTION slow()"]);
    let settled = Ok(Reply::Settled { order: 1, outcome: Outcome::Succeeded });
    let (first, second) = tokio::join!(first.commit(b"one".to_vec()), second.commit(b"two".to_vec()));
    // The same answer for both: it is settled, and what is on record counts.
    assert_eq!((first.unwrap().decision, second.unwrap().decision), (settled, settled));
    let value = one.history(key).await.unwrap().steps[0].step.value.clone().unwrap();
    let amount = if value == b"one" { "1" } else { "2" };
    assert_eq!(
        sql(&url, &["SELECT string_agg(amount::text, ',') FROM paid"]),
        amount,
        "one effect, and its checkpoint"
    );
}

#[tokio::test]
async fn a_lease_lost_during_the_body_undoes_it() {
    let url = database();
    let store = PostgresStore::open(&url).unwrap();
    store.execute(&["CREATE TABLE paid (amount int)"]).await.unwrap();
    let (key, request) = begun(&store, "o-1").await;
    let mut body = open(&store, &request).await;
    body.execute("INSERT INTO paid VALUES (1)", &[]).await.unwrap();
    sql(&url, &["UPDATE hydra.executions SET due_at = 0"]);
    let claims = store.claim(claim("b")).await.unwrap();
    assert_eq!(claims.claimed.len(), 1, "a body holds nobody up");
    let refused = body.commit(b"paid".to_vec()).await.unwrap().decision;
    assert!(matches!(refused, Err(Rejection::StaleEpoch { .. })), "{refused:?}");
    assert_eq!(sql(&url, &["SELECT count(*) FROM paid"]), "0");
    assert_eq!(state(&store, key).await, StepState::Running);
}

#[tokio::test]
async fn a_constraint_that_fails_at_the_commit_undoes_the_body() {
    let url = database();
    let store = PostgresStore::open(&url).unwrap();
    store
        .execute(&["CREATE TABLE one (x int UNIQUE DEFERRABLE INITIALLY DEFERRED)", "INSERT INTO one VALUES (1)"])
        .await
        .unwrap();
    let (key, request) = begun(&store, "o-1").await;
    let mut body = open(&store, &request).await;
    body.execute("INSERT INTO one VALUES (1)", &[]).await.unwrap();
    let refused = body.commit(b"paid".to_vec()).await;
    assert!(matches!(&refused, Err(StoreError::Refused(why)) if why.contains("23505")), "{refused:?}");
    assert_eq!(state(&store, key).await, StepState::Running);
}

#[tokio::test]
async fn a_role_without_rights_keeps_bodies_out_of_the_engine() {
    let url = database();
    let role = format!("body_{}", std::process::id());
    sql(&url, &[&format!("CREATE ROLE {role}"), &format!("GRANT CREATE, USAGE ON SCHEMA public TO {role}")]);
    // What no look at the text finds.
    let hidden = "SELECT CAST(query_to_xml('SELECT 1 FROM hydra.steps', true, true, '') AS text)";
    let mut options = PostgresOptions::at(&url);
    let store = options.open(StoreOptions::default()).unwrap();
    let (_, request) = begun(&store, "o-1").await;
    let mut body = open(&store, &request).await;
    assert!(body.query(hidden, &[]).await.is_ok());
    drop(body);
    options.body_role = Some(role.clone());
    let store = options.open(StoreOptions::default()).unwrap();
    let mut body = open(&store, &request).await;
    let denied = body.query(hidden, &[]).await;
    assert!(matches!(&denied, Err(StoreError::Refused(why)) if why.contains("permission denied")), "{denied:?}");
    body.execute("CREATE TABLE mine (x int)", &[]).await.unwrap();
    body.commit(b"made".to_vec()).await.unwrap().decision.unwrap();
    assert_eq!(sql(&url, &["SELECT tableowner FROM pg_tables WHERE tablename = 'mine'"]), role);
    sql(&url, &[&format!("DROP OWNED BY {role}"), &format!("DROP ROLE {role}")]);
}

#[tokio::test]
async fn who_finds_all_connections_lent_waits_for_one() {
    let mut options = PostgresOptions::at(database());
    options.bodies_max = 1;
    options.connect_timeout = Duration::from_millis(300);
    let store =
        options.open(StoreOptions { body_time_max: Duration::from_secs(5), ..StoreOptions::default() }).unwrap();
    let (_, request) = begun(&store, "o-1").await;
    let (_, other) = begun(&store, "o-2").await;
    let body = open(&store, &request).await;
    let full = store.transact(other.clone()).await.map(drop);
    assert!(matches!(&full, Err(StoreError::Unavailable(why)) if why.contains("bodies_max")), "{full:?}");
    let mut waiting = Box::pin(store.transact(other));
    assert!(waiting.as_mut().now_or_never().is_none());
    body.commit(b"paid".to_vec()).await.unwrap().decision.unwrap();
    assert!(matches!(waiting.await.unwrap(), Transact::Open(_)));
}

#[tokio::test]
async fn values_are_read_as_the_statements_types() {
    let store = PostgresStore::open(database()).unwrap();
    let types = "SELECT CAST(CAST($1 AS numeric) + 1 AS text), CAST($2 AS uuid) IS NULL, CAST($3 AS smallint), \
                 CAST(CAST($4 AS timestamptz) AT TIME ZONE 'UTC' AS text), CAST($5 AS bool), CAST($6 AS jsonb) ->> 'a'";
    let params: [Value; 6] =
        ["0.10".into(), Value::Null, 7.into(), "2026-01-02 03:04:05Z".into(), 1.into(), "{\"a\": \"b\"}".into()];
    let row = store.query(types, &params).await.unwrap();
    let expected: [Value; 6] = ["1.10".into(), 1.into(), 7.into(), "2026-01-02 03:04:05".into(), 1.into(), "b".into()];
    assert_eq!(row, [expected]);
    let refused = store.query("SELECT now()", &[]).await;
    assert!(matches!(&refused, Err(StoreError::Refused(why)) if why.contains("CAST (now AS text)")), "{refused:?}");
    let too_large = store.query("SELECT CAST($1 AS smallint)", &[70_000.into()]).await;
    assert!(matches!(too_large, Err(StoreError::Refused(_))), "{too_large:?}");
}
