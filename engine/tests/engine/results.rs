//! What waiting for a result reads.

use std::error::Error;
use std::sync::Arc;

use hydra_engine::store::Store;
use hydra_engine::{Client, Context, StepError};

use crate::between::Between;
use crate::shop::{ms, store, worker};

async fn double(_: Context, number: u32) -> Result<u32, StepError> {
    Ok(number * 2)
}

struct Scene {
    between: Arc<Between>,
    store: Arc<dyn Store>,
    client: Client,
}

fn scene() -> Scene {
    let store = store();
    let between = Between::over(&store);
    Scene { client: Client::new(between.clone()), between, store }
}

#[tokio::test(start_paused = true)]
async fn a_result_that_is_told_is_not_looked_for() {
    let scene = scene();
    let _worker = worker(&scene.store).workflow("double", double).start().unwrap();
    scene.client.start("double", "a", &21).await.unwrap();
    assert_eq!(scene.client.result::<u32>("a").await.unwrap(), 42);
    assert_eq!(scene.between.looks(), 0);
    // Once more, and by a client that did not start it: somebody has to look.
    assert_eq!(scene.client.result::<u32>("a").await.unwrap(), 42);
    assert_eq!(scene.between.looks(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_result_that_somebody_else_waits_for_is_looked_for_once_and_told() {
    let scene = scene();
    let slow = |ctx: Context, number: u32| async move {
        // Less than it waits between two looks.
        ctx.sleep(ms(50)).await;
        Ok::<_, StepError>(number * 2)
    };
    let _worker = worker(&scene.store).workflow("slow", slow).start().unwrap();
    Client::new(scene.store.clone()).start("slow", "a", &21).await.unwrap();
    assert_eq!(scene.client.result::<u32>("a").await.unwrap(), 42);
    assert_eq!(scene.between.looks(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_result_from_before_it_was_waited_for_is_read() {
    let scene = scene();
    let _worker = worker(&scene.store).workflow("double", double).start().unwrap();
    scene.client.start("double", "a", &21).await.unwrap();
    tokio::time::sleep(ms(1_000)).await;
    assert_eq!(scene.client.result::<u32>("a").await.unwrap(), 42);
    assert_eq!(scene.between.looks(), 1);
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

#[tokio::test(start_paused = true)]
async fn an_end_that_somebody_has_undone_is_waited_for_anew() {
    let scene = scene();
    // Too long to be told: it is read.
    let why = "no".repeat(5_000);
    let fails = move |_: Context, _: u32| {
        let why = why.clone();
        async move { Err::<u32, Box<dyn Error + Send + Sync>>(why.into()) }
    };
    let first = worker(&scene.store).workflow("double", fails).start().unwrap();
    scene.client.start("double", "a", &21).await.unwrap();
    let other = Client::new(scene.store.clone());
    other.ended("a").await.unwrap();
    first.shutdown(ms(0)).await;
    other.retry("a", 1).await.unwrap();
    let (client, between) = (scene.client.clone(), scene.between.clone());
    let waits = tokio::spawn(async move { client.result::<u32>("a").await });
    tokio::time::sleep(ms(1_000)).await;
    assert_eq!(between.looks(), 1);
    let _worker = worker(&scene.store).workflow("double", double).start().unwrap();
    assert_eq!(waits.await.unwrap().unwrap(), 42);
    assert_eq!(between.looks(), 0, "and told");
}

#[tokio::test(start_paused = true)]
async fn where_no_ends_are_remembered_it_is_looked_at_again_once_it_is_watched() {
    let scene = scene();
    scene.between.remembers_nothing();
    scene.client.start("double", "a", &21).await.unwrap();
    let client = scene.client.clone();
    let waits = tokio::spawn(async move { client.result::<u32>("a").await });
    tokio::time::sleep(ms(10)).await;
    // It may have ended between the first look and the watch.
    assert_eq!(scene.between.looks(), 2);
    let _worker = worker(&scene.store).workflow("double", double).start().unwrap();
    assert_eq!(waits.await.unwrap().unwrap(), 42);
}
