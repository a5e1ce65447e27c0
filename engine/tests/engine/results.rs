//! What waiting for a result reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::BoxFuture;
use hydra_engine::protocol::Time;
use hydra_engine::store::{
    Answer, Bell, ClaimRequest, Claims, CommandRequest, EndingMark, EndingWatch, ExecutionId, ExecutionKey,
    ExecutionView, HeartbeatRequest, Heartbeats, HistoryView, ListFilter, PruneRequest, Pruned, Store, StoreError,
    Transact,
};
use hydra_engine::{Client, Context, StepError};

use crate::shop::{ms, store, worker};

/// Counts how often an execution's row is looked at.
struct Counting(Arc<dyn Store>, AtomicUsize);

impl Store for Counting {
    fn execution(&self, id: &ExecutionId) -> BoxFuture<'_, Result<Option<ExecutionView>, StoreError>> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.execution(id)
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
    fn history(&self, key: ExecutionKey) -> BoxFuture<'_, Result<HistoryView, StoreError>> {
        self.0.history(key)
    }
    fn list(&self, filter: ListFilter) -> BoxFuture<'_, Result<Vec<ExecutionView>, StoreError>> {
        self.0.list(filter)
    }
    fn prune(&self, request: PruneRequest) -> BoxFuture<'_, Result<Pruned, StoreError>> {
        self.0.prune(request)
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
    fn ending_mark(&self) -> Option<EndingMark> {
        self.0.ending_mark()
    }
    fn watch_ending_since(&self, key: ExecutionKey, mark: EndingMark) -> EndingWatch {
        self.0.watch_ending_since(key, mark)
    }
    fn now(&self) -> Time {
        self.0.now()
    }
}

async fn double(_: Context, number: u32) -> Result<u32, StepError> {
    Ok(number * 2)
}

struct Scene {
    counting: Arc<Counting>,
    store: Arc<dyn Store>,
    client: Client,
}

fn scene() -> Scene {
    let store = store();
    let counting = Arc::new(Counting(store.clone(), AtomicUsize::new(0)));
    Scene { client: Client::new(counting.clone()), counting, store }
}

impl Scene {
    fn looks(&self) -> usize {
        self.counting.1.swap(0, Ordering::SeqCst)
    }
}

#[tokio::test(start_paused = true)]
async fn a_result_that_is_told_is_not_looked_for() {
    let scene = scene();
    let _worker = worker(&scene.store).workflow("double", double).start().unwrap();
    scene.client.start("double", "a", &21).await.unwrap();
    assert_eq!(scene.client.result::<u32>("a").await.unwrap(), 42);
    assert_eq!(scene.looks(), 0);
    // Once more, and by a client that did not start it: somebody has to look.
    assert_eq!(scene.client.result::<u32>("a").await.unwrap(), 42);
    assert_eq!(scene.looks(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_result_from_before_it_was_waited_for_is_read() {
    let scene = scene();
    let _worker = worker(&scene.store).workflow("double", double).start().unwrap();
    scene.client.start("double", "a", &21).await.unwrap();
    tokio::time::sleep(ms(1_000)).await;
    assert_eq!(scene.client.result::<u32>("a").await.unwrap(), 42);
    assert_eq!(scene.looks(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_result_under_an_id_that_was_deleted_and_started_anew_is_the_new_one() {
    let scene = scene();
    let _worker = worker(&scene.store).workflow("double", double).start().unwrap();
    scene.client.start("double", "a", &21).await.unwrap();
    let other = Client::new(scene.store.clone());
    other.start("double", "the last one is never deleted", &0).await.unwrap();
    tokio::time::sleep(ms(1_000)).await;
    assert_eq!(other.prune(ms(100)).await.unwrap(), 1);
    other.start("double", "a", &4).await.unwrap();
    assert_eq!(scene.client.result::<u32>("a").await.unwrap(), 8);
}
