//! Steps in parallel: joins, races, and what replay makes of them.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{Either, join, join_all, select};
use hydra_engine::store::Store;
use hydra_engine::{BoxError, Context, RetryPolicy, StepFailure};

use crate::between::Between;
use crate::shop::{Log, client, ms, store, worker};

#[tokio::test(start_paused = true)]
async fn parallel_steps_run_at_the_same_time() {
    let store = store();
    let fan = |ctx: Context, width: u32| async move {
        let steps = (0..width).map(|i| {
            ctx.step(format!("part {i}")).run(move |_| async move {
                tokio::time::sleep(ms(100 + u64::from(i))).await;
                Ok(i)
            })
        });
        let parts = join_all(steps).await.into_iter().collect::<Result<Vec<u32>, _>>()?;
        Ok::<_, BoxError>(parts.iter().sum::<u32>())
    };
    let _worker = worker(&store).workflow("fan", fan).start().unwrap();
    let client = client(&store);
    let begun = tokio::time::Instant::now();
    client.start("fan", "f", &50_u32).await.unwrap();
    assert_eq!(client.result::<u32>("f").await.unwrap(), 1_225);
    assert!(begun.elapsed() < ms(400), "{:?}", begun.elapsed());
}

/// A race between a quick step and a timer, then a crash at the end: the replay must see the same winner, although by
/// then both are done.
#[tokio::test(start_paused = true)]
async fn a_replay_sees_the_winner_that_the_live_run_saw() {
    let (store, log) = (store(), Log::default());
    let seen = log.clone();
    let race = move |ctx: Context, (): ()| {
        let log = seen.clone();
        async move {
            let pay = Box::pin(ctx.step("pay").run(|_| async {
                tokio::time::sleep(ms(100)).await;
                Ok(1_u32)
            }));
            let timeout = Box::pin(ctx.sleep(ms(200)));
            let winner = match select(timeout, pay).await {
                Either::Left(_) => "timeout",
                Either::Right(_) => "paid",
            };
            log.add(winner);
            // Long enough for the loser to be due when the workflow is replayed.
            ctx.sleep(Duration::from_secs(60)).await;
            ctx.step("ship").run(|_| async { Ok(()) }).await?;
            Ok::<_, BoxError>(winner.to_owned())
        }
    };
    let first = worker(&store).workflow("race", race.clone()).start().unwrap();
    let client = client(&store);
    client.start("race", "r", &()).await.unwrap();
    tokio::time::sleep(ms(5_000)).await;
    drop(first);
    let _second = worker(&store).workflow("race", race).start().unwrap();
    assert_eq!(client.result::<String>("r").await.unwrap(), "paid");
    assert_eq!(log.lines(), ["paid", "paid"]);
    // The loser's timer, long due, wakes nobody: one lease before the sleep, one after.
    assert_eq!(client.history("r").await.unwrap().leases.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_loser_that_finishes_late_keeps_its_place_and_holds_nobody_up() {
    let store = store();
    let race = |ctx: Context, (): ()| async move {
        let slow = FutureExt::boxed(ctx.step("slow").run(|_| async {
            tokio::time::sleep(ms(300)).await;
            Ok("slow".to_owned())
        }));
        let fast = FutureExt::boxed(ctx.step("fast").run(|_| async {
            tokio::time::sleep(ms(100)).await;
            Ok("fast".to_owned())
        }));
        let (first, kept) = match select(slow, fast).await {
            Either::Left((first, fast)) => (first?, fast),
            Either::Right((first, slow)) => (first?, slow),
        };
        // Held, and not awaited while others go on.
        let between = ctx.step("between").run(|_| async { Ok("between".to_owned()) }).await?;
        ctx.sleep(ms(10)).await;
        let second = kept.await?;
        Ok::<_, BoxError>(format!("{first} {between} {second}"))
    };
    let _worker = worker(&store).workflow("race", race).start().unwrap();
    let client = client(&store);
    client.start("race", "r", &()).await.unwrap();
    assert_eq!(client.result::<String>("r").await.unwrap(), "fast between slow");
}

/// The loser's body is cancelled with it: nothing goes on in the execution any more, so that it can be parked. In the
/// journal it has begun, and in the replay it must not begin once more: there, too, it is given up.
#[tokio::test(start_paused = true)]
async fn a_body_that_lost_its_race_keeps_no_lease_and_does_not_run_again_in_the_replay() {
    let (store, log) = (store(), Log::default());
    let seen = log.clone();
    let race = move |ctx: Context, (): ()| {
        let log = seen.clone();
        async move {
            let stuck = Box::pin(ctx.step("stuck").run(|attempt| {
                log.add(format!("stuck {}", attempt.number));
                std::future::pending::<Result<(), StepFailure>>()
            }));
            let quick = Box::pin(ctx.step("quick").run(|_| async {
                tokio::time::sleep(ms(100)).await;
                Ok(())
            }));
            let won = matches!(select(stuck, quick).await, Either::Right(_));
            ctx.sleep(Duration::from_secs(60)).await;
            Ok::<_, BoxError>(won)
        }
    };
    let _worker = worker(&store).workflow("race", race).start().unwrap();
    let client = client(&store);
    client.start("race", "r", &()).await.unwrap();
    assert!(client.result::<bool>("r").await.unwrap());
    assert_eq!(client.history("r").await.unwrap().leases.len(), 2);
    assert_eq!(log.lines(), ["stuck 1"]);
}

#[tokio::test(start_paused = true)]
async fn each_timer_is_asked_for_when_it_is_due_and_not_at_all_when_it_lost_its_race() {
    let store = store();
    let between = Between::over(&store);
    let way: Arc<dyn Store> = between.clone();
    let naps = |ctx: Context, (): ()| async move {
        select(Box::pin(ctx.sleep(ms(100))), Box::pin(ctx.sleep(ms(500)))).await;
        join(ctx.sleep(ms(300)), ctx.sleep(ms(900))).await;
        Ok::<_, BoxError>(())
    };
    let _worker = worker(&way).workflow("naps", naps).start().unwrap();
    let client = client(&store);
    client.start("naps", "n", &()).await.unwrap();
    client.result::<()>("n").await.unwrap();
    // Four go to sleep, three of them fire, and the execution ends.
    assert_eq!(between.asked(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_backoff_of_one_branch_does_not_hold_up_another() {
    let store = store();
    let both = |ctx: Context, (): ()| async move {
        let flaky = ctx.step("flaky").retry(RetryPolicy::attempts(2).initial(ms(30_000)).jitter_percent(0)).run(
            |attempt| async move { if attempt.number == 1 { Err(StepFailure::retryable("not yet")) } else { Ok(()) } },
        );
        let naps = async {
            for _ in 0..5 {
                ctx.sleep(ms(1_000)).await;
                ctx.step("tick").run(|_| async { Ok(()) }).await?;
            }
            Ok::<_, BoxError>(())
        };
        let (flaky, naps) = join(flaky, naps).await;
        flaky?;
        naps?;
        Ok::<_, BoxError>(())
    };
    let _worker = worker(&store).workflow("both", both).start().unwrap();
    let client = client(&store);
    let begun = tokio::time::Instant::now();
    client.start("both", "b", &()).await.unwrap();
    client.result::<()>("b").await.unwrap();
    assert!((ms(30_000)..ms(31_000)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
}
