//! "Database connection lost during state update": every single command of a run, before its commit and after it.

use hydra_engine::{BoxError, Context};

use crate::link::{Fate, Link};
use crate::stage::{Stage, Verdict, expect, holds, ms, notices};

async fn run(stage: &Stage, id: &str, nth: usize, fate: Fate) -> Result<usize, String> {
    let receiver = stage.receiver.clone();
    let prefix = id.to_owned();
    let workflow = move |ctx: Context, (): ()| {
        let (receiver, prefix) = (receiver.clone(), prefix.clone());
        async move {
            for step in ["one", "two"] {
                let name = format!("{prefix} {step}");
                ctx.step(step)
                    .run(|attempt| {
                        receiver.effect(&name, &attempt);
                        async { Ok(()) }
                    })
                    .await?;
            }
            ctx.sleep(ms(100)).await;
            ctx.step("book").run_transactional(|_| async { Ok(()) }).await?;
            Ok::<_, BoxError>(())
        }
    };
    let link = Link::to(&stage.store);
    link.nth(nth, fate);
    let worker = stage.worker_on(link.clone()).workflow("w", workflow).start().unwrap();
    let client = stage.client();
    client.start("w", id, &()).await.map_err(|error| error.to_string())?;
    client.result::<()>(id).await.map_err(|error| format!("{id}: {error}"))?;
    worker.shutdown(ms(1_000)).await;
    // The worker asked again: no body ran twice, and no attempt was lost, for a lost answer.
    for step in ["one", "two"] {
        expect(&format!("bodies of {id} {step}"), stage.receiver.bodies(&format!("{id} {step}")), 1)?;
    }
    for step in client.history(id).await.map_err(|error| error.to_string())?.steps {
        expect(&format!("attempts of {id} {}", step.step.name), step.step.row.attempt.min(1), step.step.row.attempt)?;
    }
    expect("leases", client.get(id).await.unwrap().unwrap().row.epoch.0, 1)?;
    Ok(link.commands())
}

async fn scenario(stage: Stage) -> Verdict {
    let commands = run(&stage, "undisturbed", 1_000, Fate::Answered).await?;
    if commands < 6 {
        return Err(format!("only {commands} commands: nothing to lose"));
    }
    for fate in [Fate::LostBefore, Fate::LostAfter, Fate::Twice] {
        for nth in 0..commands {
            run(&stage, &format!("{fate:?}-{nth}"), nth, fate).await?;
        }
    }
    Ok(())
}

#[test]
fn holds_on_every_store() {
    holds(scenario);
}

#[test]
fn notices_what_breaks_it() {
    notices(&["lost-reply-is-failure", "lost-reply-costs-an-attempt"], scenario);
}
