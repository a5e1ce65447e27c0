//! "Heartbeat system under network partitions": a worker that is cut off stops before its lease ends, another takes
//! over, and after the healing the first does no harm and goes on with other work. One that is cut off for less than
//! its lease notices nothing.

use hydra_engine::{BoxError, Context};

use crate::link::Link;
use crate::stage::{LEASE, Stage, Verdict, expect, holds, ms, notices};

async fn scenario(stage: Stage) -> Verdict {
    let receiver = stage.receiver.clone();
    let workflow = move |ctx: Context, id: String| {
        let receiver = receiver.clone();
        async move {
            ctx.step(id.clone())
                .run(|attempt| {
                    let (receiver, id) = (receiver.clone(), id.clone());
                    async move {
                        let _inside = receiver.enter(&id);
                        receiver.effect(&id, &attempt);
                        tokio::time::sleep(ms(20_000)).await;
                        Ok(())
                    }
                })
                .await?;
            Ok::<_, BoxError>(())
        }
    };
    let client = stage.client();
    let link = Link::to(&stage.store);
    let _a = stage.worker_on(link.clone()).name("A").workflow("w", workflow.clone()).start().unwrap();

    // Shorter than the lease: nobody notices.
    client.start("w", "short", &"short").await.map_err(|error| error.to_string())?;
    tokio::time::sleep(ms(500)).await;
    link.cut();
    tokio::time::sleep(LEASE / 2).await;
    link.heal();
    client.result::<()>("short").await.map_err(|error| error.to_string())?;
    expect("bodies, cut off for half a lease", stage.receiver.bodies("short"), 1)?;

    // Longer: A stops, B takes over, and no two bodies run at the same time.
    client.start("w", "long", &"long").await.map_err(|error| error.to_string())?;
    tokio::time::sleep(ms(500)).await;
    let _b = stage.worker().name("B").workflow("w", workflow).start().unwrap();
    link.cut();
    tokio::time::sleep(LEASE * 2).await;
    link.heal();
    client.result::<()>("long").await.map_err(|error| error.to_string())?;
    expect("bodies of one step at the same time", stage.receiver.overlaps(), Vec::new())?;
    expect("bodies, cut off for two leases", stage.receiver.bodies("long"), 2)?;
    let leases = client.history("long").await.map_err(|error| error.to_string())?.leases;
    let holders: Vec<_> = leases.iter().map(|lease| lease.worker.as_str()).collect();
    expect("holders", holders, vec!["A", "B"])?;

    // A is none the worse for it.
    client.start("w", "after", &"after").await.map_err(|error| error.to_string())?;
    client.result::<()>("after").await.map_err(|error| error.to_string())?;
    expect("bodies after the healing", stage.receiver.bodies("after"), 1)
}

#[test]
fn holds_on_every_store() {
    holds(scenario);
}

#[test]
fn notices_what_breaks_it() {
    notices(&["no-heartbeats", "leased-is-never-claimable"], scenario);
}
