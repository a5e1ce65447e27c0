//! How executions end.

use hydra_engine::protocol::{Ending, Failure, Status};
use hydra_engine::{BoxError, ClientError, Context, ResultError, Started};

use crate::shop::{client, ms, store, worker};

async fn fails(_: Context, (): ()) -> Result<(), BoxError> {
    Err("out of stock".into())
}

async fn panics(_: Context, (): ()) -> Result<(), BoxError> {
    panic!("a bug")
}

async fn unencodable(_: Context, (): ()) -> Result<std::collections::HashMap<(u8, u8), u8>, BoxError> {
    Ok([((1, 2), 3)].into())
}

async fn waits_for_nothing(_: Context, (): ()) -> Result<(), BoxError> {
    std::future::pending().await
}

async fn sleeps(ctx: Context, ms: u64) -> Result<u64, BoxError> {
    ctx.sleep(std::time::Duration::from_millis(ms)).await;
    Ok(ms)
}

#[tokio::test(start_paused = true)]
async fn failures_are_typed_and_say_what_happened() {
    let store = store();
    let _worker = worker(&store)
        .workflow("fails", fails)
        .workflow("panics", panics)
        .workflow("unencodable", unencodable)
        .workflow("waits", waits_for_nothing)
        .workflow("sleeps", sleeps)
        .start()
        .unwrap();
    let client = client(&store);
    for (workflow, expected, text) in [
        ("fails", Failure::Workflow, "out of stock"),
        ("panics", Failure::Panicked, "a bug"),
        ("unencodable", Failure::Unencodable, "key must be a string"),
        ("waits", Failure::Nondeterministic, "waits for something that is not a step"),
    ] {
        client.start(workflow, workflow, &()).await.unwrap();
        match client.result::<()>(workflow).await.unwrap_err() {
            ResultError::Failed { failure, error } => {
                assert_eq!(failure, expected);
                assert!(error.contains(text), "{error}");
            }
            other => panic!("{other}"),
        }
    }
    client.start("sleeps", "not a number", &"soon").await.unwrap();
    let error = client.result::<u64>("not a number").await.unwrap_err();
    assert!(matches!(error, ResultError::Failed { failure: Failure::Undecodable, .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_start_is_idempotent_and_another_input_is_a_conflict() {
    let store = store();
    let client = client(&store);
    assert_eq!(client.start("sleeps", "one", &10_u64).await.unwrap(), Started::Now);
    assert_eq!(client.start("sleeps", "one", &10_u64).await.unwrap(), Started::Before);
    assert!(matches!(client.start("sleeps", "one", &11_u64).await, Err(ClientError::Conflict(_))));
    assert!(matches!(client.start("other", "one", &10_u64).await, Err(ClientError::Conflict(_))));
    let elsewhere = client.clone().namespace("elsewhere").unwrap();
    assert_eq!(elsewhere.start("sleeps", "one", &11_u64).await.unwrap(), Started::Now);
}

#[tokio::test(start_paused = true)]
async fn an_execution_of_an_unknown_workflow_is_left_for_a_worker_that_knows_it() {
    let store = store();
    let client = client(&store);
    client.start("sleeps", "s", &5_u64).await.unwrap();
    let ignorant = worker(&store).workflow("fails", fails).start().unwrap();
    tokio::time::sleep(ms(60_000)).await;
    let view = client.get("s").await.unwrap().unwrap();
    assert!(matches!(view.row.status, Status::Ready { .. }));
    assert_eq!(view.row.epoch.0, 0);
    ignorant.shutdown(ms(1_000)).await;
    let _worker = worker(&store).workflow("sleeps", sleeps).start().unwrap();
    assert_eq!(client.result::<u64>("s").await.unwrap(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_an_execution_that_takes_too_long() {
    let store = store();
    let _worker = worker(&store).workflow("sleeps", sleeps).start().unwrap();
    let client = client(&store);
    client.start("sleeps", "late", &3_600_000_u64).deadline(ms(10_000)).await.unwrap();
    client.start("sleeps", "intime", &1_000_u64).deadline(ms(10_000)).await.unwrap();
    let error = client.result::<u64>("late").await.unwrap_err();
    assert!(matches!(error, ResultError::Failed { failure: Failure::DeadlineExceeded, .. }), "{error}");
    assert_eq!(client.result::<u64>("intime").await.unwrap(), 1_000);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_execution_is_over_at_once_and_leaves_no_step_open() {
    let store = store();
    let client = client(&store);
    let _worker = worker(&store).workflow("sleeps", sleeps).start().unwrap();
    client.start("sleeps", "c", &3_600_000_u64).await.unwrap();
    tokio::time::sleep(ms(500)).await;
    client.cancel("c").await.unwrap();
    client.cancel("c").await.unwrap();
    assert!(matches!(client.result::<u64>("c").await, Err(ResultError::Cancelled)));
    let steps = client.history("c").await.unwrap().steps;
    assert!(steps.iter().all(|step| step.step.row.due_at().is_none()), "{steps:?}");
    let view = client.get("c").await.unwrap().unwrap();
    assert_eq!(view.row.status, Status::Ended(Ending::Cancelled));
    assert!(matches!(client.cancel("nobody").await, Err(ClientError::Unknown(_))));
}

#[tokio::test(start_paused = true)]
async fn names_and_set_ups_that_cannot_work_say_why() {
    let store = store();
    let client = client(&store);
    let said = |error: ClientError| error.to_string();
    assert_eq!(said(client.start("w", "", &()).await.unwrap_err()), "the execution id is empty; give it a name");
    assert_eq!(said(client.start("", "x", &()).await.unwrap_err()), "the workflow name is empty; give it a name");
    assert!(said(client.start("w", "a\nb", &()).await.unwrap_err()).contains("leave out control characters"));
    assert!(said(client.start("w", &"x".repeat(300), &()).await.unwrap_err()).contains("255 are allowed"));
    client.start("w", &"x".repeat(255), &()).await.unwrap();
    let said = |error: ClientError| error.to_string();
    assert!(said(client.start("w", "a\nb", &()).await.unwrap_err()).ends_with("leave out control characters"));
    let slash = client.clone().namespace("a/b").err().unwrap().to_string();
    assert!(slash.ends_with("leave out control characters and '/'"), "{slash}");
    let config = |error: hydra_engine::ConfigError| error.to_string();
    assert!(config(worker(&store).start().err().unwrap()).contains("at least one workflow"));
    let zero = worker(&store).workflow("fails", fails).concurrency(0).start().err().unwrap();
    assert!(config(zero).contains("at least 1"));
    let twice = worker(&store).workflow("fails", fails).workflow("fails", fails).start().err().unwrap();
    assert_eq!(config(twice), "the workflow \"fails\" was given twice");
    let short = worker(&store).workflow("fails", fails).lease(ms(10)).start().err().unwrap();
    assert!(config(short).contains("give between 100 ms and"));
    let day = 86_400_000;
    assert!(worker(&store).workflow("fails", fails).lease(ms(day + 1)).start().is_err());
    for lease in [100, day] {
        assert!(worker(&store).workflow("fails", fails).lease(ms(lease)).start().is_ok(), "{lease}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_sleep_longer_than_time_itself_is_one_that_never_ends() {
    let store = store();
    let forever = |ctx: Context, (): ()| async move {
        ctx.sleep(std::time::Duration::MAX).await;
        Ok::<_, BoxError>(())
    };
    let _worker = worker(&store).poll_interval(ms(60_000)).workflow("forever", forever).start().unwrap();
    let client = client(&store);
    client.start("forever", "f", &()).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(86_400 * 30)).await;
    assert!(!client.get("f").await.unwrap().unwrap().row.is_ended());
}

#[tokio::test(start_paused = true)]
async fn a_worker_without_a_name_is_known_by_its_process_and_host() {
    let store = store();
    let _worker = worker(&store).workflow("sleeps", sleeps).start().unwrap();
    let client = client(&store);
    client.start("sleeps", "s", &0_u64).await.unwrap();
    client.result::<u64>("s").await.unwrap();
    let name = client.history("s").await.unwrap().leases.remove(0).worker;
    let (process, host) = name.split_once('@').unwrap();
    assert_eq!(process, std::process::id().to_string());
    match std::fs::read_to_string("/proc/sys/kernel/hostname") {
        Ok(known) => assert_eq!(host, known.trim()),
        Err(_) => assert!(!host.is_empty()),
    }
}
