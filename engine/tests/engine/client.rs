//! What a client asks for, how long it asks, and what an operator says of a step in doubt.

use std::sync::Arc;
use std::time::Duration;

use hydra_engine::store::{ListFilter, MemoryStore, Store, StoreError, StoreOptions};
use hydra_engine::{Client, ClientError, Context, StepError};
use tokio::time::Instant;

use crate::between::Between;
use crate::shop::{Log, client, ms, options, store, worker};

async fn double(_: Context, number: u32) -> Result<u32, StepError> {
    Ok(number * 2)
}

fn unavailable() -> StoreError {
    StoreError::Unavailable("its disk is full".into())
}

#[tokio::test(start_paused = true)]
async fn it_asks_again_while_the_trouble_passes() {
    let store = store();
    let between = Between::over(&store);
    let client = Client::new(between.clone());
    let _worker = worker(&store).workflow("double", double).start().unwrap();
    between.troubles(20, StoreError::Unknown("the connection broke".into()));
    client.start("double", "a", &21).await.unwrap();
    assert_eq!(between.asked(), 21);

    // Waiting for a result outlasts any trouble that passes.
    let other = Client::new(between.clone());
    between.troubles(1_000, unavailable());
    assert_eq!(other.result::<u32>("a").await.unwrap(), 42);
    assert_eq!(between.looks(), 1_001);
}

#[tokio::test(start_paused = true)]
async fn it_gives_up_after_ten_seconds_and_at_once_where_asking_again_is_of_no_use() {
    let between = Between::over(&store());
    let client = Client::new(between.clone());
    let begun = Instant::now();
    between.troubles(10_000, unavailable());
    let given_up = client.cancel("a").await;
    assert!(matches!(given_up, Err(ClientError::Store(StoreError::Unavailable(_)))), "{given_up:?}");
    assert_eq!(begun.elapsed().as_secs(), 10);

    let between = Between::over(&store());
    let client = Client::new(between.clone());
    let refused = StoreError::Refused("read-only".into());
    between.troubles(1, refused.clone());
    let told = client.cancel("a").await;
    assert!(matches!(&told, Err(ClientError::Store(error)) if *error == refused), "{told:?}");
    assert_eq!(between.asked(), 1);
    between.troubles(1, refused.clone());
    let told = client.ended("a").await;
    assert!(matches!(&told, Err(ClientError::Store(error)) if *error == refused), "{told:?}");
    assert_eq!(between.looks(), 1);
}

#[tokio::test(start_paused = true)]
async fn it_sees_its_own_namespace_alone() {
    let store = store();
    let [one, two] = ["one", "two"].map(|name| client(&store).namespace(name).unwrap());
    one.start("double", "a", &1).await.unwrap();
    two.start("double", "b", &2).await.unwrap();
    two.start("double", "c", &3).await.unwrap();
    let ids = async |client: &Client| -> Vec<String> {
        client.list(ListFilter::default()).await.unwrap().into_iter().map(|view| view.id.id).collect()
    };
    assert_eq!(ids(&one).await, ["a"]);
    assert_eq!(ids(&two).await, ["c", "b"]);
}

#[tokio::test(start_paused = true)]
async fn it_prunes_what_ended_longer_ago_than_asked() {
    let store = store();
    let client = client(&store);
    let _worker = worker(&store).workflow("double", double).start().unwrap();
    for id in ["a", "b"] {
        client.start("double", id, &1).await.unwrap();
        client.result::<u32>(id).await.unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    assert_eq!(client.prune(Duration::from_secs(180)).await.unwrap(), 0);
    assert_eq!(client.prune(Duration::from_secs(90)).await.unwrap(), 1);
    assert!(client.get("a").await.unwrap().is_none() && client.get("b").await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn an_input_may_be_as_large_as_the_store_takes_and_no_larger() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::with(StoreOptions { payload_bytes_max: 10, ..options() }));
    let client = client(&store);
    // With its two quotation marks.
    client.start("w", "fits", &"12345678").await.unwrap();
    let told = client.start("w", "does not", &"123456789").await;
    assert!(matches!(told, Err(ClientError::TooLarge { bytes: 11, max: 10 })), "{told:?}");
}

/// An execution whose only step is in doubt: its worker died inside.
async fn in_doubt(store: &Arc<dyn Store>, log: &Log) -> Client {
    let mails = |hang: bool, log: Log| {
        move |ctx: Context, (): ()| {
            let log = log.clone();
            async move {
                log.add(format!("replaying: {}", ctx.is_replaying()));
                let body = |_| async move { if hang { std::future::pending().await } else { Ok(7) } };
                let id: u32 = ctx.step("mail").run_at_most_once(body).await?;
                log.add(format!("replaying: {}", ctx.is_replaying()));
                Ok::<_, StepError>(id)
            }
        }
    };
    let client = client(store);
    let doomed = worker(store).workflow("mails", mails(true, log.clone())).start().unwrap();
    client.start("mails", "m", &()).await.unwrap();
    tokio::time::sleep(ms(1_000)).await;
    drop(doomed);
    let next = worker(store).workflow("mails", mails(false, log.clone())).start().unwrap();
    client.result::<u32>("m").await.unwrap_err();
    next.shutdown(Duration::ZERO).await;
    client
}

#[tokio::test(start_paused = true)]
async fn a_step_in_doubt_that_did_not_happen_runs_again_and_says_who_said_so() {
    let (store, log) = (store(), Log::default());
    let client = in_doubt(&store, &log).await;
    client.resolve_failed("m", 1, "the outbox is empty").await.unwrap();
    let history = client.history("m").await.unwrap();
    assert_eq!(history.steps[0].step.error.as_deref(), Some("resolved by hand: the outbox is empty"));
    let again = |ctx: Context, (): ()| async move {
        let id: u32 = ctx.step("mail").run_at_most_once(|_| async { Ok(8) }).await?;
        Ok::<_, StepError>(id)
    };
    let _worker = worker(&store).workflow("mails", again).start().unwrap();
    client.retry("m", 1).await.unwrap();
    assert_eq!(client.result::<u32>("m").await.unwrap(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_step_in_doubt_that_did_happen_has_the_result_that_is_said() {
    let (store, log) = (store(), Log::default());
    let client = in_doubt(&store, &log).await;
    let no_json = client.resolve_succeeded_json("m", 1, b"{".to_vec()).await;
    assert!(matches!(no_json, Err(ClientError::Unencodable(_))), "{no_json:?}");
    client.resolve_succeeded_json("m", 1, b"9".to_vec()).await.unwrap();
    let said = log.clone();
    let again = move |ctx: Context, (): ()| {
        let said = said.clone();
        async move {
            said.add(format!("replaying: {}", ctx.is_replaying()));
            let id: u32 = ctx.step("mail").run_at_most_once(|_| async { panic!("it did happen") }).await?;
            Ok::<_, StepError>(id)
        }
    };
    let _worker = worker(&store).workflow("mails", again).start().unwrap();
    client.retry("m", 1).await.unwrap();
    assert_eq!(client.result::<u32>("m").await.unwrap(), 9);
    // The first run had nothing on record; the second had the step's begin; the third its outcome.
    let lines = log.lines();
    assert_eq!(lines.first().unwrap(), "replaying: false");
    assert_eq!(lines.last().unwrap(), "replaying: true");
}
