//! Steps of each kind, and what becomes of their failures.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hydra_engine::protocol::{Cause, Failure, Kind, Outcome};
use hydra_engine::store::Value;
use hydra_engine::{BoxError, Context, ResultError, RetryPolicy, StepError, StepFailure};
use serde::{Deserialize, Serialize};

use crate::shop::{Log, client, ms, store, worker};

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Receipt {
    amount: u32,
    by: String,
}

#[tokio::test(start_paused = true)]
async fn a_workflow_of_each_kind_runs_once_and_its_journal_tells_of_it() {
    let (store, log) = (store(), Log::default());
    let seen = log.clone();
    let order = move |ctx: Context, amount: u32| {
        let log = seen.clone();
        async move {
            let receipt: Receipt = ctx
                .step("charge")
                .input(&amount)
                .run(|attempt| {
                    log.add(format!("charge {} {}", attempt.idempotency_key, attempt.number));
                    async move { Ok(Receipt { amount, by: "card".into() }) }
                })
                .await?;
            let rows: u64 = ctx
                .step("book")
                .run_transactional(|tx| async move {
                    tx.execute("create table if not exists bookings (amount integer)", &[]).await?;
                    Ok(tx.execute("insert into bookings values ($1)", &[i64::from(amount).into()]).await?)
                })
                .await?;
            ctx.sleep(Duration::from_secs(3_600)).await;
            let sent: bool = ctx.step("mail").run_at_most_once(|_| async { Ok(true) }).await?;
            Ok::<_, BoxError>((receipt, rows, sent))
        }
    };
    let _worker = worker(&store).workflow("order", order).start().unwrap();
    let client = client(&store);
    client.start("order", "o-1", &7_u32).await.unwrap();
    let (receipt, rows, sent): (Receipt, u64, bool) = client.result("o-1").await.unwrap();
    assert_eq!((receipt, rows, sent), (Receipt { amount: 7, by: "card".into() }, 1, true));
    assert_eq!(log.lines(), ["charge default/o-1/1 1"]);

    let history = client.history("o-1").await.unwrap();
    let kinds: Vec<_> = history.steps.iter().map(|step| (&*step.step.name, step.step.row.kind)).collect();
    assert_eq!(
        kinds,
        [("charge", Kind::Keyed), ("book", Kind::Transactional), ("sleep", Kind::Timer), ("mail", Kind::AtMostOnce)]
    );
    assert_eq!(history.steps[0].input.as_deref(), Some(b"7".as_slice()));
    assert_eq!(history.steps[0].step.value.as_deref(), Some(br#"{"amount":7,"by":"card"}"#.as_slice()));
    // Parked for the hour, and claimed again for the rest.
    assert_eq!(history.leases.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failing_step_is_retried_with_rising_waits_and_then_given_up() {
    let (store, log) = (store(), Log::default());
    let seen = log.clone();
    let flaky = move |ctx: Context, (): ()| {
        let log = seen.clone();
        async move {
            let policy = RetryPolicy::attempts(4).initial(ms(500)).cap(ms(5_000)).jitter_percent(0);
            let result: Result<(), StepError> = ctx
                .step("call")
                .retry(policy)
                .run(|attempt| {
                    log.add(format!("{} at {}", attempt.number, tokio::time::Instant::now().elapsed().as_millis()));
                    async { Err(StepFailure::retryable("no route")) }
                })
                .await;
            Ok::<_, BoxError>(format!("{}", result.unwrap_err()))
        }
    };
    let _worker = worker(&store).workflow("flaky", flaky).start().unwrap();
    let client = client(&store);
    client.start("flaky", "f", &()).await.unwrap();
    let begun = tokio::time::Instant::now();
    let said: String = client.result("f").await.unwrap();
    assert_eq!(said, "step call failed at its last attempt: no route");
    assert_eq!(log.lines().len(), 4);
    // 500 + 1,000 + 2,000 ms of waits, and little else.
    let took = begun.elapsed().as_millis();
    assert!((3_500..4_200).contains(&took), "{took} ms");
    let step = &client.history("f").await.unwrap().steps[0].step;
    assert_eq!(step.row.settled(), Some((1, Outcome::Failed(Cause::Exhausted))));
}

#[tokio::test(start_paused = true)]
async fn waits_grow_by_the_factor_they_were_given_and_who_is_tried_once_does_not_wait() {
    let store = store();
    let fails = |ctx: Context, factor: u32| async move {
        let policy = match factor {
            0 => RetryPolicy::never(),
            _ => RetryPolicy::attempts(3).initial(ms(1_000)).factor_percent(factor).jitter_percent(0),
        };
        ctx.step("call").retry(policy).run(|_| async { Err::<(), _>(StepFailure::retryable("no route")) }).await
    };
    let _worker = worker(&store).workflow("fails", fails).start().unwrap();
    let client = client(&store);
    for (factor, waits) in [(0, 0), (100, 2_000), (300, 4_000)] {
        let (id, begun) = (format!("f{factor}"), tokio::time::Instant::now());
        client.start("fails", &id, &factor).await.unwrap();
        client.result::<()>(&id).await.unwrap_err();
        let took = begun.elapsed().as_millis();
        assert!((waits..waits + 300).contains(&took), "{factor}: {took} ms");
    }
}

#[test]
fn a_failure_says_whether_it_may_be_retried() {
    assert_eq!(format!("{:?}", StepFailure::retryable("no route")), "no route (may be retried)");
    assert_eq!(format!("{:?}", StepFailure::fatal("declined")), "declined (final)");
}

#[tokio::test(start_paused = true)]
async fn steps_that_failed_together_are_not_all_tried_again_together() {
    let store = store();
    let fails = |ctx: Context, (): ()| async move {
        let policy = RetryPolicy::attempts(2).initial(ms(60_000)).jitter_percent(50);
        ctx.step("call").retry(policy).run(|_| async { Err::<(), _>(StepFailure::retryable("no route")) }).await
    };
    let _worker = worker(&store).workflow("fails", fails).start().unwrap();
    let client = client(&store);
    for id in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        client.start("fails", id, &()).await.unwrap();
    }
    tokio::time::sleep(ms(1_000)).await;
    let mut waits = std::collections::BTreeSet::new();
    for id in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        let step = client.history(id).await.unwrap().steps.remove(0);
        waits.insert(step.step.row.due_at().unwrap().since(step.begun_at).as_millis());
    }
    assert!(waits.len() > 4, "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_final_error_is_not_retried() {
    let store = store();
    let calls = std::sync::Arc::new(AtomicU32::new(0));
    let counted = calls.clone();
    let declined = move |ctx: Context, by_policy: bool| {
        let calls = counted.clone();
        async move {
            ctx.step("charge")
                .final_if(|error| error.to_string() == "declined")
                .run(|_| {
                    calls.fetch_add(1, Ordering::SeqCst);
                    async move {
                        Err::<(), _>(if by_policy {
                            StepFailure::retryable("declined")
                        } else {
                            StepFailure::fatal("stolen card")
                        })
                    }
                })
                .await
        }
    };
    let _worker = worker(&store).workflow("declined", declined).start().unwrap();
    let client = client(&store);
    for (id, by_policy) in [("a", false), ("b", true)] {
        client.start("declined", id, &by_policy).await.unwrap();
        let error = client.result::<()>(id).await.unwrap_err();
        assert!(matches!(error, ResultError::Failed { failure: Failure::Workflow, .. }), "{error}");
    }
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

/// Encodes, as `null`, and does not decode again.
fn unreadable() -> f64 {
    f64::NAN
}

#[tokio::test(start_paused = true)]
async fn a_body_whose_result_cannot_be_encoded_has_happened_and_does_not_run_again() {
    let (store, log) = (store(), Log::default());
    let seen = log.clone();
    let lossy = move |ctx: Context, (): ()| {
        let log = seen.clone();
        async move {
            let result: Result<f64, StepError> = ctx
                .step("charge")
                .run(|_| {
                    log.add("charged");
                    async { Ok(unreadable()) }
                })
                .await;
            Ok::<_, BoxError>(matches!(result, Err(StepError::Unencodable { .. })))
        }
    };
    let _worker = worker(&store).workflow("lossy", lossy).start().unwrap();
    let client = client(&store);
    client.start("lossy", "l", &()).await.unwrap();
    assert!(client.result::<bool>("l").await.unwrap());
    assert_eq!(log.lines(), ["charged"]);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_panics_is_a_failed_attempt_and_one_at_most_once_is_in_doubt() {
    let store = store();
    let bad = |ctx: Context, (): ()| async move {
        let keyed: Result<u32, StepError> = ctx
            .step("keyed")
            .retry(RetryPolicy::attempts(2).initial(ms(1)))
            .run(|attempt| async move { if attempt.number == 1 { panic!("boom") } else { Ok(attempt.number) } })
            .await;
        let once: Result<u32, StepError> =
            ctx.step("once").run_at_most_once(|_| async { panic!("{} boom", "formatted") }).await;
        let slow: Result<u32, StepError> = ctx
            .step("slow")
            .timeout(ms(300))
            .run_at_most_once(|_| async {
                tokio::time::sleep(ms(1_000)).await;
                Ok(1)
            })
            .await;
        Ok::<_, BoxError>((keyed?, once.unwrap_err().to_string(), slow.unwrap_err().to_string()))
    };
    let _worker = worker(&store).workflow("bad", bad).start().unwrap();
    let client = client(&store);
    client.start("bad", "b", &()).await.unwrap();
    let (keyed, once, slow): (u32, String, String) = client.result("b").await.unwrap();
    assert_eq!(keyed, 2);
    assert_eq!(once, "step once may or may not have happened: panicked: formatted boom");
    assert_eq!(slow, "step slow may or may not have happened: cancelled after 300 ms");
}

#[tokio::test(start_paused = true)]
async fn a_transactional_body_that_fails_leaves_nothing() {
    let store = store();
    let transfer = |ctx: Context, (): ()| async move {
        ctx.step("create")
            .run_transactional(|tx| async move { Ok(tx.execute("create table money (amount integer)", &[]).await?) })
            .await?;
        let attempts = AtomicU32::new(0);
        let failed: Result<u64, StepError> = ctx
            .step("transfer")
            .retry(RetryPolicy::attempts(3).initial(ms(1)))
            .run_transactional(|tx| {
                let attempt = attempts.fetch_add(1, Ordering::SeqCst);
                async move {
                    let rows = tx.execute("insert into money values (1)", &[]).await?;
                    if attempt < 2 { Err(StepFailure::retryable("no")) } else { Ok(rows) }
                }
            })
            .await;
        let rows: i64 = ctx
            .step("count")
            .run_transactional(|tx| async move {
                match tx.query("select count(*) from money", &[]).await?[..] {
                    [ref row] => match row[..] {
                        [Value::Integer(rows)] => Ok(rows),
                        _ => Err(StepFailure::fatal(format!("{row:?}"))),
                    },
                    _ => Err(StepFailure::fatal("no row")),
                }
            })
            .await?;
        Ok::<_, BoxError>((failed?, rows))
    };
    let _worker = worker(&store).workflow("transfer", transfer).start().unwrap();
    let client = client(&store);
    client.start("transfer", "t", &()).await.unwrap();
    assert_eq!(client.result::<(u64, i64)>("t").await.unwrap(), (1, 1));
}

/// It ends in a turn of its task in which nothing else has happened.
#[tokio::test(start_paused = true)]
async fn a_transactional_body_that_waits_is_committed_when_it_returns() {
    let store = store();
    let slow = |ctx: Context, (): ()| async move {
        ctx.step("slow")
            .run_transactional(|tx| async move {
                tx.execute("create table slow (n integer)", &[]).await?;
                tokio::time::sleep(ms(500)).await;
                Ok(())
            })
            .await
    };
    let _worker = worker(&store).workflow("slow", slow).start().unwrap();
    let client = client(&store);
    let begun = tokio::time::Instant::now();
    client.start("slow", "s", &()).await.unwrap();
    client.result::<()>("s").await.unwrap();
    assert!((ms(500)..ms(600)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
}
