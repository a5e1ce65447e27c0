//! "Workflow terminates eventually (success or max retries)".

use hydra_engine::protocol::Failure;
use hydra_engine::{BoxError, Context, ResultError, RetryPolicy, StepError};

use crate::stage::{Stage, Verdict, expect, holds, ms, notices};

/// A step that always fails, one that kills its worker, a sleep over which nobody is up, and one that just works.
async fn scenario(stage: Stage) -> Verdict {
    let receiver = stage.receiver.clone();
    let fails = move |ctx: Context, (): ()| {
        let receiver = receiver.clone();
        async move {
            let policy = RetryPolicy::attempts(5).initial(ms(1_000)).cap(ms(8_000)).jitter_percent(0);
            let result: Result<(), StepError> = ctx
                .step("fails")
                .retry(policy)
                .run(|attempt| {
                    receiver.effect("fails", &attempt);
                    async { Err("always".into()) }
                })
                .await;
            Ok::<_, BoxError>(result?)
        }
    };
    let kills = |ctx: Context, (): ()| async move {
        ctx.step("kills").run(|_| std::future::pending::<Result<(), _>>()).await?;
        Ok::<_, BoxError>(())
    };
    let sleeps = |ctx: Context, (): ()| async move {
        ctx.sleep(ms(20_000)).await;
        ctx.step("works").run(|_| async { Ok(()) }).await?;
        Ok::<_, BoxError>(())
    };
    let client = stage.client();
    for workflow in ["fails", "kills", "sleeps"] {
        client.start(workflow, workflow, &()).await.map_err(|error| error.to_string())?;
    }
    let start = || {
        let worker =
            stage.worker().workflow("fails", fails.clone()).workflow("kills", kills).workflow("sleeps", sleeps);
        worker.start().unwrap()
    };
    for _ in 0..4 {
        let worker = start();
        tokio::time::sleep(ms(1_000)).await;
        drop(worker);
        tokio::time::sleep(ms(10_000)).await;
    }
    let _worker = start();
    match client.result::<()>("fails").await {
        Err(ResultError::Failed { failure: Failure::Workflow, error }) if error.contains("last attempt: always") => {}
        other => return Err(format!("a step that always fails: {other:?}")),
    }
    let attempts = stage.receiver.bodies("fails");
    if attempts > 5 {
        return Err(format!("{attempts} attempts of 5"));
    }
    match client.result::<()>("kills").await {
        Err(ResultError::Failed { failure: Failure::Workflow, error }) if error.contains("its worker died") => {}
        other => return Err(format!("a step that kills its worker: {other:?}")),
    }
    client.result::<()>("sleeps").await.map_err(|error| error.to_string())?;
    expect("ended", client.list(Default::default()).await.unwrap().iter().all(|view| view.row.is_ended()), true)
}

#[test]
fn holds_on_every_store() {
    holds(scenario);
}

#[test]
fn notices_what_breaks_it() {
    notices(&["no-retry-limit", "crashes-cost-nothing", "leased-is-never-claimable", "sleeper-is-lost"], scenario);
}
