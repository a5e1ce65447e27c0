//! "Worker crash recovery works correctly".

use hydra_engine::{BoxError, Context};

use crate::stage::{LEASE, Stage, Verdict, expect, holds, ms, notices};

async fn scenario(stage: Stage) -> Verdict {
    let receiver = stage.receiver.clone();
    let workflow = move |ctx: Context, dies: bool| {
        let receiver = receiver.clone();
        async move {
            for step in ["one", "two", "three"] {
                ctx.step(step)
                    .run(|attempt| {
                        receiver.effect(step, &attempt);
                        async move {
                            if dies && step == "two" && attempt.number == 1 {
                                std::future::pending::<()>().await;
                            }
                            Ok(())
                        }
                    })
                    .await?;
            }
            Ok::<_, BoxError>(())
        }
    };
    let client = stage.client();
    for (id, dies) in [("dies", true), ("lives", false)] {
        client.start("w", id, &dies).await.map_err(|error| error.to_string())?;
    }
    let first = stage.worker().workflow("w", workflow.clone()).start().unwrap();
    tokio::time::sleep(ms(2_000)).await;
    drop(first);
    let died = tokio::time::Instant::now();
    let _second = stage.worker().workflow("w", workflow).start().unwrap();
    for id in ["dies", "lives"] {
        let result = tokio::time::timeout(LEASE * 3, client.result::<()>(id)).await;
        result.map_err(|_| format!("{id} was not taken over"))?.map_err(|error| error.to_string())?;
    }
    if died.elapsed() > LEASE + ms(500) {
        return Err(format!("taken over after {} ms", died.elapsed().as_millis()));
    }
    // What had its checkpoint did not run again; the orphaned step did, once.
    expect("bodies of the first step", stage.receiver.bodies("one"), 2)?;
    expect("bodies of the orphaned step", stage.receiver.bodies("two"), 3)?;
    expect("bodies of the last step", stage.receiver.bodies("three"), 2)
}

#[test]
fn holds_on_every_store() {
    holds(scenario);
}

#[test]
fn notices_what_breaks_it() {
    notices(&["leased-is-never-claimable", "orphaned-step-is-never-begun", "step-id-mismatch"], scenario);
}
