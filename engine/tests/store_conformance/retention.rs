//! Forgetting what ended long ago.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use hydra_engine::store::{
    Answer, Bell, ClaimRequest, Claims, CommandRequest, EndingWatch, ExecutionId, ExecutionKey, ExecutionView,
    HeartbeatRequest, Heartbeats, HistoryView, ListFilter, PruneRequest, Pruned, Store, StoreError, Target, Transact,
    Value,
};
use hydra_protocol::{Command, Ending, Kind, Rejection, Reply, Settlement, Time};

use crate::harness::{Fixture, Subject, Which, at, begin, client, finish, id, settle, start, start_at};

fn older_than(ended_before: Time) -> PruneRequest {
    PruneRequest { namespace: Some("default".into()), ended_before, after: None, limit: 100 }
}

/// Starts an execution, has it do a step, and ends it.
async fn end(store: &Fixture, name: &str) -> hydra_engine::store::ExecutionKey {
    let (key, epoch) = store.claimed(name).await;
    store.decision(begin(key, epoch, 1, Kind::Keyed, 1)).await.unwrap();
    store.decision(settle(key, epoch, 1, 1, Settlement::Succeeded)).await.unwrap();
    store.decision(finish(key, epoch, Ending::Succeeded)).await.unwrap();
    key
}

async fn prune(store: &Fixture, request: PruneRequest) -> Pruned {
    store.a.prune(request).await.unwrap()
}

pub async fn what_ended_long_ago_is_deleted_and_nothing_else(which: Which) {
    nothing_else_is_deleted(Fixture::new(which)).await;
}

async fn nothing_else_is_deleted(store: Fixture) {
    let gone = end(&store, "ended long ago").await;
    store.start("cancelled long ago").await;
    store.decision(client("cancelled long ago", None, Command::Cancel)).await.unwrap();
    store.decision(start_at("waits for long", at(1_000_000), None)).await.unwrap();
    let (held, epoch) = store.claimed("held for long").await;
    let other = ExecutionId { namespace: "another".into(), id: "ended long ago".into() };
    let mut request = start("ended long ago");
    request.target = Target::Id(other.clone());
    store.decision(request).await.unwrap();
    let mut cancel = client("", None, Command::Cancel);
    cancel.target = Target::Id(other.clone());
    store.decision(cancel).await.unwrap();
    store.decision(start_at("cancelled just now", at(1_000_000), None)).await.unwrap();
    store.clock.advance_ms(5);
    store.decision(client("cancelled just now", None, Command::Cancel)).await.unwrap();
    end(&store, "ended just now").await;
    store.start("the last").await;

    assert_eq!(prune(&store, older_than(at(5))).await, Pruned { deleted: 2, next: None });
    assert_eq!(store.b.execution(&id("ended long ago")).await.unwrap(), None);
    assert_eq!(store.b.execution(&id("cancelled long ago")).await.unwrap(), None);
    let history = store.history(gone).await;
    assert!(history.steps.is_empty() && history.leases.is_empty(), "and what belonged to it");
    for name in ["waits for long", "held for long", "cancelled just now", "ended just now", "the last"] {
        assert!(store.b.execution(&id(name)).await.unwrap().is_some(), "{name}");
    }
    assert!(store.b.execution(&other).await.unwrap().is_some(), "of another namespace");
    assert_eq!(store.decision(begin(held, epoch, 1, Kind::Keyed, 1)).await, Ok(Reply::Run { attempt: 1 }));
    // Whoever still asks about it is told.
    assert_eq!(store.decision(begin(gone, epoch, 2, Kind::Keyed, 1)).await, Err(Rejection::UnknownExecution));
    assert_eq!(prune(&store, older_than(at(5))).await, Pruned { deleted: 0, next: None });
    assert_eq!(prune(&store, PruneRequest { namespace: None, ..older_than(at(5)) }).await.deleted, 1);
}

pub async fn deleting_goes_on_where_the_batch_before_came_to(which: Which) {
    let store = Fixture::new(which);
    for name in ["o-1", "o-2", "o-3", "o-4"] {
        end(&store, name).await;
    }
    store.start("o-5").await;
    end_of_time(&store).await;
    let mut request = PruneRequest { limit: 2, ..older_than(at(1_000)) };
    let mut deleted = Vec::new();
    loop {
        let pruned = prune(&store, request.clone()).await;
        deleted.push(pruned.deleted);
        let Some(next) = pruned.next else { break };
        assert!(request.after < Some(next), "each batch goes further");
        request.after = Some(next);
    }
    assert_eq!(deleted.iter().sum::<usize>(), 4);
    assert!(deleted.iter().all(|deleted| *deleted <= 2), "{deleted:?}");
}

/// Whoever deletes every day does not look at all that came since, each time.
pub async fn deleting_stops_at_what_was_started_later(which: Which) {
    let store = Fixture::new(which);
    end(&store, "old").await;
    store.clock.set(at(10));
    for name in ["new", "newer", "the last"] {
        end(&store, name).await;
    }
    let request = PruneRequest { limit: 2, ..older_than(at(10)) };
    assert_eq!(prune(&store, request).await, Pruned { deleted: 1, next: None });
}

async fn end_of_time(store: &Fixture) {
    store.clock.advance_ms(1_000);
}

/// A late message of a worker names the key: it must not meet another execution.
pub async fn a_key_is_never_given_again(which: Which) {
    let store = Fixture::new(which);
    let old = end(&store, "old").await;
    store.clock.advance_ms(1_000);
    prune(&store, older_than(at(1_000))).await;
    let (new, epoch) = store.claimed("new").await;
    assert_ne!(new, old);
    let late = store.decision(begin(old, epoch, 1, Kind::Keyed, 1)).await;
    assert!(matches!(late, Err(Rejection::UnknownExecution | Rejection::Ended(_))), "{late:?}");
    assert!(store.history(new).await.steps.is_empty());
}

pub async fn a_start_under_a_deleted_id_begins_anew(which: Which) {
    let store = Fixture::new(which);
    let old = end(&store, "o-1").await;
    store.start("o-2").await;
    store.clock.advance_ms(1_000);
    // Until it is deleted, it is answered from its row.
    assert_eq!(store.decision(start("o-1")).await, Ok(Reply::AlreadyStarted));
    assert_eq!(prune(&store, older_than(at(1_000))).await.deleted, 1);
    assert_eq!(store.decision(start("o-1")).await, Ok(Reply::Started));
    let view = store.view("o-1").await;
    assert_ne!(view.key, old);
    assert_eq!((view.row.epoch.0, view.output), (0, None));
}

/// A store that understands a request to forget in another way than it was meant.
struct Mistaken(Arc<dyn Subject>, fn(PruneRequest) -> PruneRequest);

impl Store for Mistaken {
    fn prune(&self, request: PruneRequest) -> BoxFuture<'_, Result<Pruned, StoreError>> {
        self.0.prune((self.1)(request))
    }
    fn command(&self, request: CommandRequest) -> BoxFuture<'_, Result<Answer, StoreError>> {
        self.0.command(request)
    }
    fn claim(&self, request: ClaimRequest) -> BoxFuture<'_, Result<Claims, StoreError>> {
        self.0.claim(request)
    }
    fn heartbeat(&self, request: HeartbeatRequest) -> BoxFuture<'_, Result<Heartbeats, StoreError>> {
        self.0.heartbeat(request)
    }
    fn transact(&self, request: CommandRequest) -> BoxFuture<'_, Result<Transact, StoreError>> {
        self.0.transact(request)
    }
    fn execution(&self, id: &ExecutionId) -> BoxFuture<'_, Result<Option<ExecutionView>, StoreError>> {
        self.0.execution(id)
    }
    fn history(&self, key: ExecutionKey) -> BoxFuture<'_, Result<HistoryView, StoreError>> {
        self.0.history(key)
    }
    fn list(&self, filter: ListFilter) -> BoxFuture<'_, Result<Vec<ExecutionView>, StoreError>> {
        self.0.list(filter)
    }
    fn due_changed(&self) -> Arc<Bell> {
        self.0.due_changed()
    }
    fn ended(&self) -> Arc<Bell> {
        self.0.ended()
    }
    fn watch_ending(&self, key: ExecutionKey) -> EndingWatch {
        self.0.watch_ending(key)
    }
    fn now(&self) -> Time {
        self.0.now()
    }
}

impl Subject for Mistaken {
    fn run<'a>(&'a self, statements: &'a [&'a str]) -> BoxFuture<'a, Result<(), StoreError>> {
        self.0.run(statements)
    }
    fn look<'a>(&'a self, sql: &'a str) -> BoxFuture<'a, Result<Vec<Vec<Value>>, StoreError>> {
        self.0.look(sql)
    }
}

#[tokio::test]
async fn a_store_that_forgets_too_much_or_too_little_fails() {
    let mistakes: [fn(PruneRequest) -> PruneRequest; 3] = [
        |request| PruneRequest { ended_before: Time::MAX, ..request },
        |request| PruneRequest { namespace: None, ..request },
        |request| PruneRequest { limit: 1, ..request },
    ];
    for mistake in mistakes {
        let mut store = Fixture::new(Which::MemoryInline);
        store.a = Arc::new(Mistaken(store.a, mistake));
        assert!(AssertUnwindSafe(nothing_else_is_deleted(store)).catch_unwind().await.is_err());
    }
}
