//! Bodies and commands that come together: whose turn it is, and who fails.

#[path = "store_conformance/harness.rs"]
#[expect(dead_code, reason = "only part of it is needed here")]
mod harness;

use std::time::Duration;

use harness::*;
use hydra_engine::store::{Answer, CommandRequest, StoreError, Transact, Transaction};
use hydra_protocol::{Kind, Outcome, Reply, Settlement};
use tokio::time::{Instant, advance};

/// The success of a transactional step that has begun.
async fn body_of(store: &Fixture, name: &str) -> CommandRequest {
    let (key, epoch) = store.claimed(name).await;
    store.decision(begin(key, epoch, 1, Kind::Transactional, 1)).await.unwrap();
    settle(key, epoch, 1, 1, Settlement::Succeeded)
}

const LIMIT: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn who_comes_while_a_body_runs_waits_and_takes_nothing_from_it() {
    let store = Fixture::new(Which::MemoryInline);
    let success = body_of(&store, "o-1").await;
    let body = store.open(success).await;
    let begun = Instant::now();
    let slow = async {
        tokio::time::sleep(LIMIT / 2).await;
        body.commit(b"paid".to_vec()).await
    };
    let (started, paid) = tokio::join!(store.a.command(start("o-2")), slow);
    assert!(matches!(paid.unwrap().decision, Ok(Reply::Settled { .. })));
    assert_eq!(started.unwrap().decision, Ok(Reply::Started));
    assert_eq!(begun.elapsed(), LIMIT / 2);
}

#[tokio::test(start_paused = true)]
async fn a_body_whose_time_is_over_is_undone_though_nobody_waits_for_it() {
    let store = Fixture::new(Which::MemoryInline);
    let success = body_of(&store, "o-1").await;
    let mut body = store.open(success).await;
    advance(LIMIT).await;
    assert!(matches!(body.execute("CREATE TABLE late (n INTEGER)", &[]).await, Err(StoreError::Refused(_))));
    assert!(matches!(body.commit(b"paid".to_vec()).await, Err(StoreError::Refused(_))));
    assert_eq!(store.view("o-1").await.row.settled, 0);
}

#[tokio::test(start_paused = true)]
async fn a_late_body_does_not_act_in_the_transaction_of_the_next() {
    let store = Fixture::new(Which::MemoryInline);
    store.a.run(&["CREATE TABLE paid (n INTEGER)"]).await.unwrap();
    let (first, second) = (body_of(&store, "o-1").await, body_of(&store, "o-2").await);
    let mut late = store.open(first).await;
    advance(LIMIT).await;
    let mut next = store.open(second).await;
    let add = "INSERT INTO paid VALUES ($1)";
    assert!(matches!(late.execute(add, &[1.into()]).await, Err(StoreError::Refused(_))));
    drop(late);
    next.execute(add, &[2.into()]).await.unwrap();
    next.commit(b"paid".to_vec()).await.unwrap().decision.unwrap();
    assert_eq!(store.a.look("SELECT n FROM paid").await.unwrap(), [[2.into()]]);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_dropped_lets_the_next_go_on_at_once() {
    let store = Fixture::new(Which::MemoryInline);
    let success = body_of(&store, "o-1").await;
    let body = store.open(success).await;
    let begun = Instant::now();
    let drops = async {
        tokio::task::yield_now().await;
        drop(body);
    };
    let (started, ()) = tokio::join!(store.a.command(start("o-2")), drops);
    assert_eq!(started.unwrap().decision, Ok(Reply::Started));
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_statement_has_the_whole_time_of_its_body() {
    let store = Fixture::with(Which::MemoryInline, |options| hydra_engine::store::StoreOptions {
        body_time_max: Duration::from_secs(3_600),
        ..options
    });
    let success = body_of(&store, "o-1").await;
    let mut body = store.open(success).await;
    // Long enough for SQLite to look at the clock on the way.
    let long = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT count(*) FROM n";
    assert_eq!(body.query(long, &[]).await, Ok(vec![vec![20_000.into()]]));
}

/// A claim that nobody waits for any more would be held by nobody until its lease ends.
#[tokio::test]
async fn what_nobody_waits_for_any_more_is_not_done() {
    let store = Fixture::new(Which::MemoryGroupCommit);
    let success = body_of(&store, "o-1").await;
    store.start("o-2").await;
    let body = store.open(success).await;
    // The one thread that writes serves the body, so the claim stays in the queue.
    let mut gone = store.a.claim(claim("gone"));
    assert!(futures::poll!(&mut gone).is_pending());
    drop(gone);
    drop(body);
    assert_eq!(store.claim_one("here").await.id, id("o-2"));
}

/// The body's side of a transaction that was opened.
fn opened(answer: Result<Transact, StoreError>) -> Box<dyn Transaction> {
    match answer.unwrap() {
        Transact::Open(body) => body,
        Transact::Answered(answer) => panic!("answered without a body: {answer:?}"),
    }
}

/// A body of one statement.
async fn run(mut body: Box<dyn Transaction>, sql: &str) -> Result<Answer, StoreError> {
    body.execute(sql, &[]).await?;
    body.commit(b"paid".to_vec()).await
}

/// A constraint that is looked at when the transaction commits names nobody: (1) two bodies are committed together; (2)
/// one of them has broken it, and the commit fails for both; (3) each is asked for again, and gets a commit of its own,
/// though they come together once more.
#[tokio::test]
async fn of_bodies_that_are_committed_together_only_the_one_that_breaks_a_constraint_fails() {
    let store = Fixture::new(Which::SqliteGroupCommit);
    let tables = [
        "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
        "INSERT INTO parent VALUES (1)",
        "CREATE TABLE child (of INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)",
    ];
    store.a.run(&tables).await.unwrap();
    let (bad, good) = (body_of(&store, "bad").await, body_of(&store, "good").await);
    let (breaks, keeps) = ("INSERT INTO child VALUES (2)", "INSERT INTO child VALUES (1)");
    let (before, between) = (body_of(&store, "before").await, body_of(&store, "between").await);

    // Each time they come while another body is under way, and so in one go.
    let held = store.open(before).await;
    let (mut first, mut second) = (store.a.transact(bad.clone()), store.a.transact(good.clone()));
    assert!(futures::poll!(&mut first).is_pending() && futures::poll!(&mut second).is_pending());
    drop(held);
    let body = opened(first.await);
    let mut held = store.a.transact(between);
    assert!(futures::poll!(&mut held).is_pending());
    let (mut refused, mut paid) = tokio::join!(run(body, breaks), async { run(opened(second.await), keeps).await });
    let held = opened(held.await);
    // Else it took too long for them to share a commit, and this shows less.
    if let (Err(StoreError::Unavailable(_)), Err(StoreError::Unavailable(_))) = (&refused, &paid) {
        let (mut first, mut second) = (store.a.transact(bad), store.a.transact(good));
        assert!(futures::poll!(&mut first).is_pending() && futures::poll!(&mut second).is_pending());
        drop(held);
        (refused, paid) = tokio::join!(async { run(opened(first.await), breaks).await }, async {
            run(opened(second.await), keeps).await
        });
    } else {
        drop(held);
    }
    assert!(matches!(&refused, Err(StoreError::Refused(why)) if why.contains("FOREIGN KEY")), "{refused:?}");
    assert_eq!(paid.unwrap().decision, Ok(Reply::Settled { order: 1, outcome: Outcome::Succeeded }));
    assert_eq!(store.a.look("SELECT * FROM child").await.unwrap(), [[1.into()]]);
}
