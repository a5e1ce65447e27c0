//! "Worker crashes mid-step execution": after the effect and before the checkpoint, for each kind of step.

use hydra_engine::{BoxError, Context, StepError};

use crate::stage::{Stage, Verdict, expect, holds, ms, notices};

async fn scenario(stage: Stage) -> Verdict {
    let receiver = stage.receiver.clone();
    let keyed = {
        let receiver = receiver.clone();
        move |ctx: Context, (): ()| {
            let receiver = receiver.clone();
            async move {
                ctx.step("charge")
                    .run(|attempt| {
                        receiver.effect("charge", &attempt);
                        async move {
                            tokio::time::sleep(ms(if attempt.number == 1 { 60_000 } else { 10 })).await;
                            Ok(())
                        }
                    })
                    .await?;
                Ok::<_, BoxError>(())
            }
        }
    };
    let once = move |ctx: Context, (): ()| {
        let receiver = receiver.clone();
        async move {
            let sent: Result<(), StepError> = ctx
                .step("mail")
                .run_at_most_once(|attempt| async move {
                    receiver.effect("mail", &attempt);
                    tokio::time::sleep(ms(60_000)).await;
                    Ok(())
                })
                .await;
            Ok::<_, BoxError>(matches!(sent, Err(StepError::InDoubt { .. })))
        }
    };
    let client = stage.client();
    for workflow in ["keyed", "once"] {
        client.start(workflow, workflow, &()).await.map_err(|error| error.to_string())?;
    }
    let start = || stage.worker().workflow("keyed", keyed.clone()).workflow("once", once.clone()).start().unwrap();
    let first = start();
    tokio::time::sleep(ms(1_000)).await;
    drop(first);
    let _second = start();
    client.result::<()>("keyed").await.map_err(|error| error.to_string())?;
    expect("bodies of the keyed step", stage.receiver.bodies("charge"), 2)?;
    expect("its effects, at a receiver that honours keys", stage.receiver.effects("charge"), 1)?;
    let in_doubt: bool = client.result("once").await.map_err(|error| error.to_string())?;
    expect("the workflow was told that the mail is in doubt", in_doubt, true)?;
    expect("mails", stage.receiver.bodies("mail"), 1)
}

#[test]
fn holds_on_every_store() {
    holds(scenario);
}

#[test]
fn notices_what_breaks_it() {
    notices(
        &["key-per-attempt", "at-most-once-runs-again", "in-doubt-is-called-failed", "orphaned-step-is-never-begun"],
        scenario,
    );
}
