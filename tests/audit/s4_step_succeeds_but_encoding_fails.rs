//! "Step succeeds but marshalling fails": the effect happened, so the body does not run again, not even by hand.

use hydra_engine::{BoxError, Context, StepError};

use crate::stage::{Stage, Verdict, expect, holds, ms, notices};

async fn scenario(stage: Stage) -> Verdict {
    let receiver = stage.receiver.clone();
    let workflow = move |ctx: Context, handles: bool| {
        let receiver = receiver.clone();
        async move {
            let result: Result<std::collections::HashMap<(u8, u8), u8>, StepError> = ctx
                .step("charge")
                .run(|attempt| {
                    receiver.effect("charge", &attempt);
                    // A map whose keys are no strings has no JSON.
                    async { Ok([((1, 2), 3)].into()) }
                })
                .await;
            ctx.sleep(ms(100)).await;
            match result {
                Err(StepError::Unencodable { .. }) if handles => Ok::<_, BoxError>("charged, receipt lost".to_owned()),
                other => Err(format!("{other:?}").into()),
            }
        }
    };
    let client = stage.client();
    let worker = stage.worker().workflow("w", workflow.clone()).start().unwrap();
    client.start("w", "handled", &true).await.map_err(|error| error.to_string())?;
    let said: String = client.result("handled").await.map_err(|error| error.to_string())?;
    expect("what the workflow was told", said.as_str(), "charged, receipt lost")?;
    expect("charges", stage.receiver.bodies("charge"), 1)?;

    client.start("w", "unhandled", &false).await.map_err(|error| error.to_string())?;
    if client.result::<String>("unhandled").await.is_ok() {
        return Err("it succeeded".to_owned());
    }
    client.retry("unhandled", 1).await.map_err(|error| error.to_string())?;
    drop(worker);
    let _next = stage.worker().workflow("w", workflow).start().unwrap();
    if client.result::<String>("unhandled").await.is_ok() {
        return Err("it succeeded".to_owned());
    }
    expect("charges of both", stage.receiver.bodies("charge"), 2)
}

#[test]
fn holds_on_every_store() {
    holds(scenario);
}

#[test]
fn notices_what_breaks_it() {
    notices(&["encode-failure-is-retried"], scenario);
}
