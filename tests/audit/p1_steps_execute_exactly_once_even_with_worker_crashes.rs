//! "Step executes exactly once (even with worker crashes)": each kind, as SPEC.md promises it.

use hydra_engine::store::Value;
use hydra_engine::{BoxError, Context, RetryPolicy, StepError};

use crate::broken::How;
use crate::stage::{Dice, Stage, Verdict, expect, holds, ms, notices, notices_stores};

async fn scenario(stage: Stage) -> Verdict {
    let receiver = stage.receiver.clone();
    let workflow = move |ctx: Context, (): ()| {
        let receiver = receiver.clone();
        async move {
            for step in ["reserve", "charge"] {
                ctx.step(step)
                    .retry(RetryPolicy::attempts(100).initial(ms(10)))
                    .run(|attempt| {
                        let receiver = receiver.clone();
                        async move {
                            tokio::time::sleep(ms(300)).await;
                            receiver.effect(step, &attempt);
                            tokio::time::sleep(ms(300)).await;
                            Ok(())
                        }
                    })
                    .await?;
            }
            ctx.step("book")
                .retry(RetryPolicy::attempts(100).initial(ms(10)))
                .run_transactional(|tx| async move {
                    tx.execute("create table if not exists booked (n integer)", &[]).await?;
                    tokio::time::sleep(ms(100)).await;
                    Ok(tx.execute("insert into booked values (1)", &[]).await?)
                })
                .await?;
            let once = receiver.clone();
            let mailed: Result<(), StepError> = ctx
                .step("mail")
                .run_at_most_once(|attempt| async move {
                    once.effect("mail", &attempt);
                    tokio::time::sleep(ms(500)).await;
                    Ok(())
                })
                .await;
            ctx.step("ship").run(|_| async { Ok(()) }).await?;
            let booked: i64 = ctx
                .step("count")
                .run_transactional(|tx| async move {
                    match tx.query("select count(*) from booked", &[]).await?.pop().and_then(|mut row| row.pop()) {
                        Some(Value::Integer(booked)) => Ok(booked),
                        other => Err(format!("counted {other:?}").into()),
                    }
                })
                .await?;
            Ok::<_, BoxError>((mailed.is_ok(), booked))
        }
    };
    let client = stage.client();
    client.start("w", "w", &()).await.map_err(|error| error.to_string())?;
    let mut dice = Dice(7);
    let mut worker = None;
    for _ in 0..12 {
        // Dropped, it is gone in the middle of whatever it does.
        worker = Some(stage.worker().workflow("w", workflow.clone()).start().unwrap());
        tokio::time::sleep(ms(100 + dice.below(900))).await;
        drop(worker.take());
        tokio::time::sleep(ms(6_500)).await;
    }
    worker.replace(stage.worker().workflow("w", workflow).start().unwrap());
    let (mailed, booked): (bool, i64) = client.result("w").await.map_err(|error| error.to_string())?;
    let receiver = &stage.receiver;
    expect("charges at a bank that honours keys", receiver.effects("charge"), 1)?;
    expect("reservations", receiver.effects("reserve"), 1)?;
    expect("rows booked in the step's own transaction", booked, 1)?;
    if receiver.bodies("mail") > 1 || (mailed && receiver.bodies("mail") == 0) {
        return Err(format!("mails: {}, and the workflow was told {mailed}", receiver.bodies("mail")));
    }
    // What was checkpointed has its checkpoint, and only attempts that were cut off were followed by another.
    let history = client.history("w").await.map_err(|error| error.to_string())?;
    for step in &history.steps {
        let attempts = step.step.row.attempt as usize;
        let bodies = receiver.bodies(&step.step.name);
        if bodies > attempts {
            return Err(format!("{} bodies of {} ran in {attempts} attempts", bodies, step.step.name));
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
    notices(&["key-per-attempt", "step-id-mismatch", "at-most-once-runs-again"], scenario);
}

/// A worker dies in the middle of a transactional body, after its first write.
async fn dies_in_a_transaction(stage: Stage) -> Verdict {
    let workflow = |ctx: Context, (): ()| async move {
        ctx.step("table")
            .run_transactional(|tx| async move { Ok(tx.execute("create table booked (n integer)", &[]).await?) })
            .await?;
        ctx.step("book")
            .run_transactional(|tx| async move {
                tx.execute("insert into booked values (1)", &[]).await?;
                tokio::time::sleep(ms(500)).await;
                Ok(())
            })
            .await?;
        let booked: i64 = ctx
            .step("count")
            .run_transactional(|tx| async move {
                match tx.query("select count(*) from booked", &[]).await?.pop().and_then(|mut row| row.pop()) {
                    Some(Value::Integer(booked)) => Ok(booked),
                    other => Err(format!("counted {other:?}").into()),
                }
            })
            .await?;
        Ok::<_, BoxError>(booked)
    };
    let client = stage.client();
    client.start("w", "w", &()).await.map_err(|error| error.to_string())?;
    let first = stage.worker().workflow("w", workflow).start().unwrap();
    tokio::time::sleep(ms(300)).await;
    drop(first);
    let _second = stage.worker().workflow("w", workflow).start().unwrap();
    let booked: i64 = client.result("w").await.map_err(|error| error.to_string())?;
    expect("rows booked in the step's own transaction", booked, 1)
}

#[test]
fn holds_in_a_transaction_on_every_store() {
    holds(dies_in_a_transaction);
}

#[test]
fn notices_a_store_that_breaks_it() {
    notices_stores(&[How::BodyOutsideTransaction], dies_in_a_transaction);
}
