//! "Multiple workers process same workflow": eight of them, one execution, a body longer than the lease.

use hydra_engine::{BoxError, Context};

use crate::stage::{LEASE, Stage, Verdict, expect, holds, ms, notices};

async fn scenario(stage: Stage) -> Verdict {
    let receiver = stage.receiver.clone();
    let workflow = move |ctx: Context, (): ()| {
        let receiver = receiver.clone();
        async move {
            for step in ["long", "short"] {
                ctx.step(step)
                    .run(|attempt| {
                        let receiver = receiver.clone();
                        async move {
                            let _inside = receiver.enter(step);
                            receiver.effect(step, &attempt);
                            tokio::time::sleep(if step == "long" { LEASE * 4 } else { ms(10) }).await;
                            Ok(())
                        }
                    })
                    .await?;
            }
            Ok::<_, BoxError>(())
        }
    };
    let _workers: Vec<_> = (0..8).map(|_| stage.worker().workflow("w", workflow.clone()).start().unwrap()).collect();
    let client = stage.client();
    let starts = futures::future::join_all((0..8).map(|_| async { client.start("w", "w", &()).await })).await;
    let new = starts.iter().filter(|started| matches!(started, Ok(hydra_engine::Started::Now))).count();
    expect("executions that eight starts made", new, 1)?;
    client.result::<()>("w").await.map_err(|error| error.to_string())?;
    expect("bodies of one step at the same time", stage.receiver.overlaps(), Vec::new())?;
    expect("bodies of the long step", stage.receiver.bodies("long"), 1)?;
    expect("leases", client.get("w").await.unwrap().unwrap().row.epoch.0, 1)
}

#[test]
fn holds_on_every_store() {
    holds(scenario);
}

#[test]
fn notices_what_breaks_it() {
    notices(&["no-heartbeats"], scenario);
}
