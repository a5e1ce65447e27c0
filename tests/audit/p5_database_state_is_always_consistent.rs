//! "Database state is always consistent": after each of many moments of a run full of faults, every row satisfies every
//! invariant, beside its neighbours.

use std::time::Duration;

use hydra_engine::protocol::{Command, Kind, Settlement, Span, StepNo, invariants};
use hydra_engine::store::{ClaimRequest, CommandRequest, Payload, StepRef, Target};
use hydra_engine::{BoxError, Context, RetryPolicy};

use crate::broken::How;
use crate::link::{Fate, Link};
use crate::stage::{Dice, On, Stage, Verdict, expect, holds, ms, notices, notices_stores, play};

async fn check(stage: &Stage) -> Verdict {
    let client = stage.client();
    for view in client.list(Default::default()).await.map_err(|error| error.to_string())? {
        let id = &view.id.id;
        let history = client.history(id).await.map_err(|error| error.to_string())?;
        // Read again: it may have moved on between the two reads, and then is looked at the next time.
        let now = client.get(id).await.map_err(|error| error.to_string())?.ok_or("an execution vanished")?;
        if now != view {
            continue;
        }
        let broken = |broken| format!("{id}: {broken}");
        invariants::check_execution(&view.row).map_err(broken)?;
        let mut orders = Vec::new();
        for (at, step) in history.steps.iter().enumerate() {
            expect("steps are numbered without gaps", step.step.no.0 as usize, at + 1)?;
            invariants::check_step(&view.row, &step.step.row).map_err(broken)?;
            orders.extend(step.step.row.settled().map(|(order, _)| order));
        }
        orders.sort_unstable();
        invariants::check_orders(&view.row, orders.into_iter()).map_err(broken)?;
        expect("one lease an epoch", history.leases.len(), view.row.epoch.0 as usize)?;
    }
    Ok(())
}

async fn scenario(stage: Stage) -> Verdict {
    let workflow = |ctx: Context, nap: u64| async move {
        for step in ["a", "b", "c"] {
            let policy = RetryPolicy::attempts(50).initial(ms(100)).cap(ms(400));
            ctx.step(step)
                .retry(policy)
                .run(|attempt| async move {
                    tokio::time::sleep(ms(150)).await;
                    if attempt.number % 3 == 1 { Err("not yet".into()) } else { Ok(()) }
                })
                .await?;
            ctx.sleep(Duration::from_millis(nap)).await;
        }
        Ok::<_, BoxError>(())
    };
    let client = stage.client();
    let mut dice = Dice(11);
    for number in 0..12_u64 {
        client.start("w", &format!("w{number}"), &(200 * (number % 8))).await.map_err(|error| error.to_string())?;
    }
    for round in 0..14_u32 {
        let link = Link::to(&stage.store);
        let mut worker = Some(stage.worker_on(link.clone()).workflow("w", workflow).start().unwrap());
        let other = stage.worker().workflow("w", workflow).start().unwrap();
        for _ in 0..12 {
            let fates = [Fate::Answered, Fate::LostBefore, Fate::LostAfter, Fate::Twice];
            link.nth(dice.below(4) as usize, fates[dice.below(4) as usize]);
            tokio::time::sleep(ms(dice.below(300))).await;
            check(&stage).await?;
        }
        // In the middle of a step or of a sleep.
        client.cancel(&format!("w{}", round % 3)).await.ok();
        if dice.below(2) == 0 {
            drop(worker.take());
        }
        drop(other);
        tokio::time::sleep(ms(dice.below(7_000))).await;
        check(&stage).await?;
    }
    let _last = stage.worker().workflow("w", workflow).start().unwrap();
    for number in 0..12_u64 {
        let ended = client.ended(&format!("w{number}")).await.map_err(|error| error.to_string())?;
        expect("in time", ended.row.is_ended(), true)?;
    }
    for number in 3..12 {
        client.result::<()>(&format!("w{number}")).await.map_err(|error| error.to_string())?;
    }
    check(&stage).await
}

#[test]
fn holds_on_every_store() {
    holds(scenario);
}

#[test]
fn notices_what_breaks_it() {
    notices(&["cancel-leaves-steps-open", "order-is-lost"], scenario);
}

#[test]
fn notices_a_store_that_breaks_it() {
    notices_stores(&[How::TornTransaction], scenario);
}

/// A step is begun and settled; then a late duplicate of its beginning arrives.
async fn begun_twice(stage: Stage) -> Verdict {
    stage.client().start("w", "w", &()).await.map_err(|error| error.to_string())?;
    let (worker, namespace, workflows) = ("A".into(), "default".into(), vec!["w".to_owned()].into());
    let request = ClaimRequest { worker, namespace, workflows, limit: 1, lease: Span::from_millis(6_000) };
    let claimed = stage.store.claim(request).await.map_err(|error| error.to_string())?.claimed.remove(0);
    let ask = |command| {
        let payload = Payload { value: Some(b"1".to_vec()), ..Payload::default() };
        let step = Some(StepRef { no: StepNo(1), name: "s".into() });
        stage.store.command(CommandRequest { target: Target::Key(claimed.key), step, command, payload })
    };
    let begin = Command::Begin { epoch: claimed.epoch, kind: Kind::Keyed, attempt: 1, attempts_max: 3 };
    let settle = Command::Settle { epoch: claimed.epoch, attempt: 1, settlement: Settlement::Succeeded };
    for command in [begin, settle, begin] {
        // Refused by a rule or by the database: either will do.
        let _ = ask(command).await;
    }
    check(&stage).await
}

#[test]
fn the_unique_key_keeps_out_what_a_rule_lets_in() {
    let wrong = hydra_model::museum::find("no-unique-step").unwrap().rules;
    assert_eq!(play(wrong, On::Memory, &begun_twice), Ok(()));
    assert_eq!(play(wrong, On::Sqlite, &begun_twice), Ok(()));
    assert!(play(wrong, On::Broken(How::NoUniqueKey), &begun_twice).is_err());
}
