//! Waiting for what another process ends: what many who wait cost, and what they learn.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::try_join_all;
use hydra_engine::store::{Store, StoreError};
use hydra_engine::{Client, Context, ResultError, StepError};
use tokio::task::JoinHandle;

use crate::between::Between;
use crate::shop::{ms, store, worker};

async fn double(_: Context, number: u32) -> Result<u32, StepError> {
    Ok(number * 2)
}

/// A client whose store is never told of an end.
struct Apart {
    between: Arc<Between>,
    store: Arc<dyn Store>,
    client: Client,
}

fn apart(looks_take: Duration) -> Apart {
    let store = store();
    let between = Between::over(&store);
    between.tells_nothing(looks_take);
    Apart { client: Client::new(between.clone()), between, store }
}

impl Apart {
    /// Starts an execution and waits for it, beside what is done here.
    async fn waits(&self, id: &str) -> JoinHandle<Result<u32, ResultError>> {
        self.client.start("double", id, &21).await.unwrap();
        let (client, id) = (self.client.clone(), id.to_owned());
        tokio::spawn(async move { client.result(&id).await })
    }

    /// Looks for whatever has ended, in this time.
    async fn looks_in(&self, time: Duration) -> usize {
        self.between.looks_at_all();
        tokio::time::sleep(time).await;
        self.between.looks_at_all()
    }
}

#[tokio::test(start_paused = true)]
async fn thousands_who_wait_are_looked_for_at_one_go() {
    let apart = apart(ms(0));
    let ids: Vec<_> = (0..2_500).map(|number| number.to_string()).collect();
    let waits = try_join_all(ids.iter().map(|id| async { Ok::<_, ()>(apart.waits(id).await) })).await.unwrap();
    // Three requests, ten times a second.
    assert_eq!(apart.looks_in(ms(1_050)).await, 30);
    assert_eq!(apart.between.looks(), 0, "each for itself");
    let _worker = worker(&apart.store).workflow("double", double).concurrency(100).start().unwrap();
    for waits in waits {
        assert_eq!(waits.await.unwrap().unwrap(), 42);
    }
    assert_eq!(apart.between.looks(), 2_500);
}

#[tokio::test(start_paused = true)]
async fn looks_take_one_part_in_twenty_of_the_time() {
    let of_50_ms = apart(ms(50));
    let _waits = of_50_ms.waits("a").await;
    assert_eq!(of_50_ms.looks_in(ms(10_500)).await, 11);
    // But where the store is slow, it is not waited for ever.
    let of_1_s = apart(ms(1_000));
    let _waits = of_1_s.waits("a").await;
    assert_eq!(of_1_s.looks_in(ms(10_500)).await, 6);
}

#[tokio::test(start_paused = true)]
async fn one_who_leaves_or_stands_still_takes_nothing_from_the_others() {
    let apart = apart(ms(20));
    let (first, third) = (apart.waits("a").await, apart.waits("c").await);
    apart.client.start("double", "b", &21).await.unwrap();
    let mut second = Box::pin(apart.client.result::<u32>("b"));
    assert!((&mut second).now_or_never().is_none());
    // In the middle of a look.
    assert_eq!(apart.looks_in(ms(110)).await, 1);
    first.abort();
    let _worker = worker(&apart.store).workflow("double", double).start().unwrap();
    let third = tokio::time::timeout(ms(10_000), third).await.expect("nobody looks");
    assert_eq!(third.unwrap().unwrap(), 42);
    assert_eq!(second.await.unwrap(), 42);
    // Nobody waits any more.
    assert!(apart.looks_in(ms(10_000)).await <= 1);
}

#[tokio::test(start_paused = true)]
async fn trouble_with_a_look_is_no_end() {
    let apart = apart(ms(0));
    let waits = apart.waits("a").await;
    apart.between.troubles(3, StoreError::Unavailable("its disk is full".into()));
    assert_eq!(apart.looks_in(ms(350)).await, 3);
    assert_eq!(apart.between.looks(), 0);
    // What does not pass is learned by each for itself.
    apart.between.troubles(1, StoreError::Refused("this store has no such look".into()));
    tokio::time::sleep(ms(100)).await;
    assert_eq!(apart.between.looks(), 1);
    let _worker = worker(&apart.store).workflow("double", double).start().unwrap();
    assert_eq!(waits.await.unwrap().unwrap(), 42);
    let waits = apart.waits("b").await;
    apart.between.troubles(2, StoreError::Refused("the store is closed".into()));
    assert!(matches!(waits.await.unwrap(), Err(ResultError::Client(_))));
}

#[tokio::test(start_paused = true)]
async fn an_execution_that_is_deleted_while_it_is_waited_for_is_unknown_or_the_next_of_its_id() {
    let apart = apart(ms(0));
    let other = Client::new(apart.store.clone());
    let (gone, again) = (apart.waits("gone").await, apart.waits("again").await);
    other.start("double", "the last one is never deleted", &0).await.unwrap();
    for id in ["gone", "again"] {
        other.cancel(id).await.unwrap();
    }
    tokio::time::sleep(ms(50)).await;
    assert_eq!(other.prune(ms(10)).await.unwrap(), 2);
    other.start("double", "again", &4).await.unwrap();
    assert!(matches!(gone.await.unwrap(), Err(ResultError::Client(_))));
    tokio::time::sleep(ms(1_000)).await;
    assert_eq!(apart.between.looks(), 2, "it is the new one that is waited for");
    let _worker = worker(&apart.store).workflow("double", double).start().unwrap();
    assert_eq!(again.await.unwrap().unwrap(), 8);
}
