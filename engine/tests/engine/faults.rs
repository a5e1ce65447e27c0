//! Workers that die, are cut off or are replaced, and code that was changed.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hydra_engine::protocol::Failure;
use hydra_engine::store::{Store, StoreError};
use hydra_engine::{BoxError, Context, ResultError, RetryPolicy, StepError};

use crate::between::Between;
use crate::shop::{Log, client, ms, store, worker};

fn two_steps(log: &Log, hang_in: &'static str) -> impl Fn(Context, ()) -> Run + Clone + use<> {
    let log = log.clone();
    move |ctx, ()| {
        let log = log.clone();
        Box::pin(async move {
            for name in ["one", "two"] {
                ctx.step(name)
                    .run(|attempt| {
                        log.add(format!("{name} {} {}", attempt.idempotency_key, attempt.number));
                        async move {
                            if name == hang_in {
                                std::future::pending::<()>().await;
                            }
                            Ok(())
                        }
                    })
                    .await?;
            }
            Ok(())
        })
    }
}

type Run = std::pin::Pin<Box<dyn Future<Output = Result<(), StepError>> + Send>>;

#[tokio::test(start_paused = true)]
async fn another_worker_takes_over_what_a_dead_one_held() {
    let (store, log) = (store(), Log::default());
    let client = client(&store);
    let first = worker(&store).name("first").workflow("w", two_steps(&log, "two")).start().unwrap();
    client.start("w", "w", &()).await.unwrap();
    tokio::time::sleep(ms(1_000)).await;
    drop(first);
    let died = tokio::time::Instant::now();
    let _second = worker(&store).name("second").workflow("w", two_steps(&log, "")).start().unwrap();
    client.result::<()>("w").await.unwrap();
    // One did not run again; two did, under the same key, within a lease.
    assert_eq!(log.lines(), ["one default/w/1 1", "two default/w/2 1", "two default/w/2 2"]);
    assert!(died.elapsed() <= ms(6_500), "{:?}", died.elapsed());
    let holders: Vec<_> = client.history("w").await.unwrap().leases.into_iter().map(|lease| lease.worker).collect();
    assert_eq!(holders, ["first", "second"]);
}

#[tokio::test(start_paused = true)]
async fn a_step_that_kills_its_worker_is_given_up_after_its_last_attempt() {
    let (store, log) = (store(), Log::default());
    let client = client(&store);
    client.start("w", "w", &()).await.unwrap();
    for _ in 0..3 {
        let doomed = worker(&store).workflow("w", two_steps(&log, "one")).start().unwrap();
        tokio::time::sleep(ms(1_000)).await;
        drop(doomed);
        tokio::time::sleep(ms(7_000)).await;
    }
    let _last = worker(&store).workflow("w", two_steps(&log, "")).start().unwrap();
    let error = client.result::<()>("w").await.unwrap_err().to_string();
    assert!(error.contains("its worker died in its last attempt"), "{error}");
    assert_eq!(log.lines().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_at_most_once_step_whose_worker_died_is_in_doubt_and_can_be_resolved() {
    let (store, log) = (store(), Log::default());
    let client = client(&store);
    let mails = |log: &Log, hang: bool| {
        let log = log.clone();
        move |ctx: Context, (): ()| {
            let log = log.clone();
            async move {
                let id: u32 = ctx
                    .step("mail")
                    .run_at_most_once(|_| {
                        log.add("mail");
                        async move {
                            if hang {
                                std::future::pending::<()>().await;
                            }
                            Ok(1)
                        }
                    })
                    .await?;
                Ok::<_, BoxError>(id)
            }
        }
    };
    let doomed = worker(&store).workflow("mails", mails(&log, true)).start().unwrap();
    client.start("mails", "m", &()).await.unwrap();
    tokio::time::sleep(ms(1_000)).await;
    drop(doomed);
    let _next = worker(&store).workflow("mails", mails(&log, false)).start().unwrap();
    let error = client.result::<u32>("m").await.unwrap_err().to_string();
    assert!(error.contains("may or may not have happened"), "{error}");
    assert_eq!(log.lines(), ["mail"]);

    assert!(client.retry("m", 1).await.unwrap_err().to_string().contains("resolve that step first"));
    client.resolve_succeeded("m", 1, &42_u32).await.unwrap();
    client.retry("m", 1).await.unwrap();
    assert_eq!(client.result::<u32>("m").await.unwrap(), 42);
    assert_eq!(log.lines(), ["mail"]);
}

/// What a workflow is told of a step is part of what it sees, and must be the same in each replay.
#[tokio::test(start_paused = true)]
async fn a_replay_is_told_of_an_error_in_the_words_of_the_live_run() {
    let (store, log) = (store(), Log::default());
    let client = client(&store);
    // Each life gets as far as its number says, and its worker is dropped there.
    let life = |reached: usize| {
        let log = log.clone();
        move |ctx: Context, (): ()| {
            let log = log.clone();
            async move {
                let stuck = move |here: usize| async move {
                    if here > reached {
                        std::future::pending::<()>().await;
                    }
                };
                let doubt = ctx.step("mail").run_at_most_once(|_| async move {
                    stuck(1).await;
                    Ok(())
                });
                let doubt = doubt.await.unwrap_err().to_string();
                let odd = ctx.step("odd").retry(RetryPolicy::attempts(1));
                let odd = odd.run(|_| async { Err::<(), _>("nul \0 inside".into()) }).await.unwrap_err().to_string();
                log.add(format!("{doubt}; {odd}"));
                let last = ctx.step("last").run(|_| async move {
                    stuck(2).await;
                    Ok(())
                });
                last.await?;
                Ok::<_, BoxError>(())
            }
        }
    };
    client.start("w", "w", &()).await.unwrap();
    for reached in 0..3 {
        let doomed = worker(&store).workflow("w", life(reached)).start().unwrap();
        tokio::time::sleep(ms(1_000)).await;
        drop(doomed);
        tokio::time::sleep(ms(7_000)).await;
    }
    let [live, replayed] = &log.lines()[..] else { panic!("{:?}", log.lines()) };
    assert!(live.contains("may or may not have happened: the worker died, or lost its lease"), "{live}");
    assert!(live.contains("nul \u{FFFD} inside"), "{live}");
    assert_eq!(replayed, live);
}

#[tokio::test(start_paused = true)]
async fn a_failed_execution_can_be_retried_by_hand_from_the_step_that_failed() {
    let (store, log) = (store(), Log::default());
    let client = client(&store);
    let pays = {
        let log = log.clone();
        move |ctx: Context, (): ()| {
            let log = log.clone();
            async move {
                ctx.step("reserve").run(|_| async { Ok(()) }).await?;
                let attempt: u32 = ctx
                    .step("pay")
                    .retry(RetryPolicy::attempts(2).initial(ms(1)))
                    .run(|attempt| {
                        log.add(format!("pay {}", attempt.number));
                        async move { if attempt.number < 3 { Err("bank closed".into()) } else { Ok(attempt.number) } }
                    })
                    .await?;
                Ok::<_, BoxError>(attempt)
            }
        }
    };
    let _worker = worker(&store).workflow("pays", pays).start().unwrap();
    client.start("pays", "p", &()).await.unwrap();
    assert!(client.result::<u32>("p").await.is_err());
    client.retry("p", 1).await.unwrap();
    assert_eq!(client.result::<u32>("p").await.unwrap(), 3);
    assert_eq!(log.lines(), ["pay 1", "pay 2", "pay 3"]);
    assert!(client.retry("p", 1).await.unwrap_err().to_string().contains("has not failed"));
}

#[tokio::test(start_paused = true)]
async fn a_workflow_that_kills_its_worker_outside_of_steps_ends_too() {
    let store = store();
    let client = client(&store);
    let sleeps = |ctx: Context, (): ()| async move {
        // Awaited while its worker dies: nothing is ever settled.
        ctx.sleep(Duration::from_secs(3_600)).await;
        Ok::<_, BoxError>(())
    };
    client.start("w", "w", &()).replays_max(3).await.unwrap();
    for _ in 0..4 {
        let doomed = worker(&store).hold(ms(7_200_000)).workflow("w", sleeps).start().unwrap();
        tokio::time::sleep(ms(10)).await;
        drop(doomed);
        tokio::time::sleep(ms(7_000)).await;
    }
    let error = client.result::<()>("w").await.unwrap_err();
    assert!(matches!(error, ResultError::Failed { failure: Failure::ReplaysExhausted, .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn changed_code_is_a_typed_error_and_never_a_wrong_answer() {
    let store = store();
    let client = client(&store);
    let steps = |names: &'static [&'static str], nap: u64| {
        move |ctx: Context, (): ()| async move {
            for name in names {
                ctx.step(*name).run(|_| async { Ok(()) }).await?;
            }
            if nap > 0 {
                ctx.sleep(Duration::from_millis(nap)).await;
            }
            Ok::<_, BoxError>(())
        }
    };
    let cases: [(&str, &'static [&'static str], u64, &str); 4] = [
        ("renamed", &["a", "c"], 60_000, "step 2 is b (Keyed) in the journal, and c (Keyed) in the code"),
        ("fewer", &["a"], 0, "the workflow ended"),
        ("more", &["a", "b", "c"], 60_000, "step 3 is sleep (Timer) in the journal, and c (Keyed) in the code"),
        ("none", &[], 60_000, "step 1 is a (Keyed) in the journal, and sleep (Timer) in the code"),
    ];
    for (id, changed, nap, expected) in cases {
        let old = worker(&store).workflow("w", steps(&["a", "b"], 60_000)).start().unwrap();
        client.start("w", id, &()).await.unwrap();
        tokio::time::sleep(ms(1_000)).await;
        old.shutdown(ms(100)).await;
        let new = worker(&store).workflow("w", steps(changed, nap)).start().unwrap();
        match client.result::<()>(id).await.unwrap_err() {
            ResultError::Failed { failure, error } => {
                assert_eq!(failure, Failure::Nondeterministic, "{id}: {error}");
                assert!(error.contains(expected), "{id}: {error}");
            }
            other => panic!("{id}: {other}"),
        }
        new.shutdown(ms(100)).await;
    }
}

/// As combinators do that give others a turn.
async fn wakes_itself() {
    let mut again = true;
    std::future::poll_fn(|task| match std::mem::take(&mut again) {
        true => {
            task.waker().wake_by_ref();
            Poll::Pending
        }
        false => Poll::Ready(()),
    })
    .await;
}

/// Taken for quiet, it would be told that it does not await what comes next in its journal.
#[tokio::test(start_paused = true)]
async fn a_workflow_that_wakes_itself_between_two_steps_is_replayed() {
    let store = store();
    let client = client(&store);
    let steps = |ctx: Context, (): ()| async move {
        for name in ["a", "b"] {
            ctx.step(name).run(|_| async { Ok(()) }).await?;
            wakes_itself().await;
        }
        ctx.sleep(Duration::from_secs(60)).await;
        Ok::<_, BoxError>(())
    };
    let _worker = worker(&store).workflow("w", steps).start().unwrap();
    client.start("w", "w", &()).await.unwrap();
    client.result::<()>("w").await.unwrap();
    assert_eq!(client.history("w").await.unwrap().leases.len(), 2);
}

/// A step that is made and not awaited has not begun: with an outcome on record, the code was changed.
#[tokio::test(start_paused = true)]
async fn a_step_that_is_awaited_later_than_in_the_journal_is_changed_code() {
    let store = store();
    let client = client(&store);
    let steps = |late: bool| {
        move |ctx: Context, (): ()| async move {
            let (a, b) = (ctx.step("a").run(|_| async { Ok(()) }), ctx.step("b").run(|_| async { Ok(()) }));
            a.await?;
            if late {
                ctx.sleep(Duration::from_secs(60)).await;
                b.await?;
            } else {
                b.await?;
                ctx.sleep(Duration::from_secs(60)).await;
            }
            Ok::<_, BoxError>(())
        }
    };
    let old = worker(&store).workflow("w", steps(false)).start().unwrap();
    client.start("w", "w", &()).await.unwrap();
    tokio::time::sleep(ms(1_000)).await;
    old.shutdown(ms(100)).await;
    let _new = worker(&store).workflow("w", steps(true)).start().unwrap();
    let error = client.result::<()>("w").await.unwrap_err();
    let expected = "the journal has an outcome of step 2 (b), and the code does not await that step here";
    assert!(error.to_string().contains(expected), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_worker_asks_again_while_a_trouble_passes_and_otherwise_leaves_the_execution_to_its_lease() {
    let store = store();
    let between = Between::over(&store);
    let way: Arc<dyn Store> = between.clone();
    let client = client(&store);
    let one = |ctx: Context, (): ()| async move { ctx.step("one").run(|_| async { Ok(()) }).await };
    let _worker = worker(&way).workflow("w", one).start().unwrap();

    between.troubles(10, StoreError::Unknown("the connection broke".into()));
    client.start("w", "passing", &()).await.unwrap();
    client.result::<()>("passing").await.unwrap();
    assert_eq!(client.history("passing").await.unwrap().leases.len(), 1);

    between.troubles(1, StoreError::Refused("read-only".into()));
    let begun = tokio::time::Instant::now();
    client.start("w", "refused", &()).await.unwrap();
    client.result::<()>("refused").await.unwrap();
    assert!((ms(6_000)..ms(6_500)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    assert_eq!(client.history("refused").await.unwrap().leases.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_that_cannot_be_decoded_fails_the_execution_and_the_body_does_not_run_again() {
    let (store, log) = (store(), Log::default());
    let client = client(&store);
    let old = |ctx: Context, (): ()| async move {
        let _: String = ctx.step("a").run(|_| async { Ok("text".to_owned()) }).await?;
        ctx.sleep(Duration::from_secs(60)).await;
        Ok::<_, BoxError>(())
    };
    let seen = log.clone();
    let new = move |ctx: Context, (): ()| {
        let log = seen.clone();
        async move {
            let _: u32 = ctx
                .step("a")
                .run(|_| {
                    log.add("again");
                    async { Ok(1) }
                })
                .await?;
            ctx.sleep(Duration::from_secs(60)).await;
            Ok::<_, BoxError>(())
        }
    };
    let first = worker(&store).workflow("w", old).start().unwrap();
    client.start("w", "w", &()).await.unwrap();
    tokio::time::sleep(ms(1_000)).await;
    first.shutdown(ms(100)).await;
    let _second = worker(&store).workflow("w", new).start().unwrap();
    match client.result::<()>("w").await.unwrap_err() {
        ResultError::Failed { failure: Failure::Undecodable, error } => {
            assert!(error.contains("checkpoint of step 1 (a)"), "{error}");
        }
        other => panic!("{other}"),
    }
    assert_eq!(log.lines(), Vec::<String>::new());
}
