//! Heartbeats, concurrency and shutdown.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hydra_engine::protocol::Status;
use hydra_engine::store::{Store, StoreError};
use hydra_engine::{BoxError, Context};

use crate::between::Between;
use crate::shop::{Log, client, ms, store, worker};

fn long_step(log: &Log, takes_ms: u64) -> impl Fn(Context, ()) -> Run + Clone + use<> {
    let log = log.clone();
    move |ctx, ()| {
        let log = log.clone();
        Box::pin(async move {
            ctx.step("long")
                .run(|attempt| {
                    log.add(format!("begun {}", attempt.number));
                    let log = log.clone();
                    async move {
                        tokio::time::sleep(ms(takes_ms)).await;
                        log.add("done");
                        Ok(())
                    }
                })
                .await?;
            Ok(())
        })
    }
}

type Run = std::pin::Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

#[tokio::test(start_paused = true)]
async fn a_live_worker_keeps_its_lease_through_a_body_longer_than_it() {
    let (store, log) = (store(), Log::default());
    let client = client(&store);
    let _workers: Vec<_> =
        (0..3).map(|_| worker(&store).workflow("w", long_step(&log, 60_000)).start().unwrap()).collect();
    client.start("w", "w", &()).await.unwrap();
    client.result::<()>("w").await.unwrap();
    assert_eq!(log.lines(), ["begun 1", "done"]);
    assert_eq!(client.get("w").await.unwrap().unwrap().row.epoch.0, 1);
}

#[tokio::test(start_paused = true)]
async fn the_lease_of_what_has_ended_is_renewed_no_more() {
    let (store, log) = (store(), Log::default());
    let between = Between::over(&store);
    let way: Arc<dyn Store> = between.clone();
    let client = client(&store);
    let _worker = worker(&way).workflow("w", long_step(&log, 3_000)).start().unwrap();
    client.start("w", "w", &()).await.unwrap();
    client.result::<()>("w").await.unwrap();
    assert_eq!(between.beats(), 1);
    tokio::time::sleep(ms(60_000)).await;
    assert_eq!(between.beats(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_that_failed_is_sent_again_soon_but_not_at_once() {
    let (store, log) = (store(), Log::default());
    let between = Between::over(&store);
    let way: Arc<dyn Store> = between.clone();
    let client = client(&store);
    let _worker = worker(&way).workflow("w", long_step(&log, 20_000)).start().unwrap();
    between.troubles_of_beats(5, StoreError::Unavailable("its disk is full".into()));
    client.start("w", "w", &()).await.unwrap();
    // Due at a third of the lease of 6 s, and tried again every twentieth of it.
    tokio::time::sleep(ms(2_500)).await;
    assert_eq!(between.beats(), 2);
    client.result::<()>("w").await.unwrap();
    assert_eq!(log.lines(), ["begun 1", "done"]);
}

#[tokio::test(start_paused = true)]
async fn no_more_executions_are_driven_at_a_time_than_allowed() {
    let store = store();
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = (now.clone(), most.clone());
    let busy = move |ctx: Context, (): ()| {
        let (now, most) = counted.clone();
        async move {
            ctx.step("busy")
                .run(|_| {
                    let (now, most) = (now.clone(), most.clone());
                    async move {
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        tokio::time::sleep(ms(50)).await;
                        now.fetch_sub(1, Ordering::SeqCst);
                        Ok(())
                    }
                })
                .await?;
            Ok::<_, BoxError>(())
        }
    };
    let client = client(&store);
    for i in 0..40 {
        client.start("busy", &format!("b{i}"), &()).await.unwrap();
    }
    let _worker = worker(&store).concurrency(7).workflow("busy", busy).start().unwrap();
    for i in 0..40 {
        client.result::<()>(&format!("b{i}")).await.unwrap();
    }
    assert_eq!(most.load(Ordering::SeqCst), 7);
}

/// A claim that found as much as it may take is followed by the next at once, whether or not it ended others.
#[tokio::test(start_paused = true)]
async fn a_worker_with_room_does_not_pause_between_full_claims() {
    for is_one_late in [false, true] {
        let store = store();
        let client = client(&store);
        let short = |ctx: Context, (): ()| async move { ctx.step("short").run(|_| async { Ok(()) }).await };
        if is_one_late {
            client.start("short", "late", &()).deadline(ms(1)).await.unwrap();
            tokio::time::sleep(ms(10)).await;
        }
        let names: Vec<_> = (0..300).map(|i| format!("s{i}")).collect();
        for name in &names {
            client.start("short", name, &()).await.unwrap();
        }
        let begun = tokio::time::Instant::now();
        let worker = worker(&store).concurrency(1_000).poll_interval(ms(60_000)).workflow("short", short);
        let _worker = worker.start().unwrap();
        for name in &names {
            client.result::<()>(name).await.unwrap();
        }
        assert_eq!(begun.elapsed(), ms(0), "{is_one_late}");
    }
}

#[tokio::test(start_paused = true)]
async fn shutdown_lets_the_body_end_and_gives_the_lease_back() {
    let (store, log) = (store(), Log::default());
    let client = client(&store);
    let first = worker(&store).workflow("w", long_step(&log, 20_000)).start().unwrap();
    client.start("w", "w", &()).await.unwrap();
    tokio::time::sleep(ms(1_000)).await;
    let asked = tokio::time::Instant::now();
    first.shutdown(ms(60_000)).await;
    assert!((ms(18_500)..ms(19_500)).contains(&asked.elapsed()), "{:?}", asked.elapsed());
    assert_eq!(log.lines(), ["begun 1", "done"]);
    // Ended, or given back to be ended by the next one at once; in any case settled, and not left to its lease.
    let view = client.get("w").await.unwrap().unwrap();
    assert!(!matches!(view.row.status, Status::Leased { .. }), "{view:?}");
    assert_eq!(view.row.settled, 1);
}

#[tokio::test(start_paused = true)]
async fn shutdown_cancels_a_body_after_the_grace_period_and_gives_the_lease_back_all_the_same() {
    let (store, log) = (store(), Log::default());
    let client = client(&store);
    let first = worker(&store).workflow("w", long_step(&log, 20_000)).start().unwrap();
    client.start("w", "w", &()).await.unwrap();
    tokio::time::sleep(ms(1_000)).await;
    first.shutdown(ms(2_000)).await;
    assert!(matches!(client.get("w").await.unwrap().unwrap().row.status, Status::Ready { .. }));
    let begun = tokio::time::Instant::now();
    let _second = worker(&store).workflow("w", long_step(&log, 100)).start().unwrap();
    client.result::<()>("w").await.unwrap();
    assert!(begun.elapsed() < ms(1_000), "{:?}", begun.elapsed());
    assert_eq!(log.lines(), ["begun 1", "begun 2", "done"]);
}

#[tokio::test(start_paused = true)]
async fn shutdown_waits_for_no_timer() {
    let store = store();
    let client = client(&store);
    let sleeps = |ctx: Context, (): ()| async move {
        ctx.sleep(ms(1_800_000)).await;
        Ok::<_, BoxError>(())
    };
    let worker = worker(&store).hold(ms(3_600_000)).workflow("w", sleeps).start().unwrap();
    client.start("w", "w", &()).await.unwrap();
    tokio::time::sleep(ms(1_000)).await;
    assert!(matches!(client.get("w").await.unwrap().unwrap().row.status, Status::Leased { .. }));
    let asked = tokio::time::Instant::now();
    worker.shutdown(ms(60_000)).await;
    assert!(asked.elapsed() < ms(10), "{:?}", asked.elapsed());
    assert!(matches!(client.get("w").await.unwrap().unwrap().row.status, Status::Ready { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_shuts_down_begins_nothing() {
    let (store, log) = (store(), Log::default());
    let client = client(&store);
    let seen = log.clone();
    let two = move |ctx: Context, (): ()| {
        let log = seen.clone();
        async move {
            for name in ["one", "two"] {
                let log = log.clone();
                let step = ctx.step(name).run(|_| {
                    log.add(name);
                    async {
                        tokio::time::sleep(ms(20_000)).await;
                        Ok(())
                    }
                });
                step.await?;
            }
            Ok::<_, BoxError>(())
        }
    };
    let first = worker(&store).workflow("two", two).start().unwrap();
    client.start("two", "w", &()).await.unwrap();
    tokio::time::sleep(ms(1_000)).await;
    first.shutdown(ms(600_000)).await;
    assert_eq!(log.lines(), ["one"]);
    let row = client.get("w").await.unwrap().unwrap().row;
    assert!(matches!(row.status, Status::Ready { .. }), "{row:?}");
    assert_eq!(row.settled, 1);
}

#[tokio::test(start_paused = true)]
async fn a_started_execution_begins_at_once_and_not_at_the_next_poll() {
    let (store, log) = (store(), Log::default());
    let client = client(&store);
    let poll = ms(60_000);
    let _worker = worker(&store).poll_interval(poll).workflow("w", long_step(&log, 0)).start().unwrap();
    tokio::time::sleep(ms(10)).await;
    let begun = tokio::time::Instant::now();
    client.start("w", "w", &()).await.unwrap();
    client.result::<()>("w").await.unwrap();
    assert!(begun.elapsed() < ms(20), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_body_of_a_cancelled_execution_is_cancelled_when_its_worker_hears_of_it() {
    let (store, log) = (store(), Log::default());
    let client = client(&store);
    let _worker = worker(&store).workflow("w", long_step(&log, 60_000)).start().unwrap();
    client.start("w", "w", &()).await.unwrap();
    tokio::time::sleep(ms(1_000)).await;
    client.cancel("w").await.unwrap();
    tokio::time::sleep(ms(120_000)).await;
    assert_eq!(log.lines(), ["begun 1"]);
}
