//! Sleeps, short and long.

use std::time::{Duration, UNIX_EPOCH};

use hydra_engine::{BoxError, Context};

use crate::shop::{client, ms, store, worker};

async fn naps(ctx: Context, naps: Vec<u64>) -> Result<u64, BoxError> {
    for nap in &naps {
        ctx.sleep(Duration::from_millis(*nap)).await;
    }
    Ok(naps.iter().sum())
}

#[tokio::test(start_paused = true)]
async fn sleeps_last_as_long_as_they_should_whether_held_or_parked() {
    let store = store();
    let _worker = worker(&store).workflow("naps", naps).start().unwrap();
    let client = client(&store);
    for (id, list, leases) in [("held", vec![50, 50, 900], 1), ("parked", vec![1_500, 60_000, 20], 3)] {
        let begun = tokio::time::Instant::now();
        client.start("naps", id, &list).await.unwrap();
        let slept: u64 = client.result(id).await.unwrap();
        let took = begun.elapsed().as_millis() as u64;
        assert!((slept..slept + 400).contains(&took), "{id}: {took} ms");
        assert_eq!(client.history(id).await.unwrap().leases.len(), leases, "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_sleep_ends_though_no_worker_was_up_when_it_was_due() {
    let store = store();
    let client = client(&store);
    let first = worker(&store).workflow("naps", naps).start().unwrap();
    client.start("naps", "n", &vec![5_000_u64]).await.unwrap();
    tokio::time::sleep(ms(500)).await;
    drop(first);
    tokio::time::sleep(ms(3_600_000)).await;
    let _second = worker(&store).workflow("naps", naps).start().unwrap();
    let woken = tokio::time::Instant::now();
    assert_eq!(client.result::<u64>("n").await.unwrap(), 5_000);
    assert!(woken.elapsed() < ms(500));
}

#[tokio::test(start_paused = true)]
async fn a_start_may_be_put_off() {
    let store = store();
    let client = client(&store);
    let _worker = worker(&store).workflow("naps", naps).start().unwrap();
    let begun = tokio::time::Instant::now();
    client.start("naps", "later", &Vec::<u64>::new()).after(ms(30_000)).await.unwrap();
    client.result::<u64>("later").await.unwrap();
    assert!(begun.elapsed() >= ms(30_000) && begun.elapsed() < ms(30_500));
}

#[tokio::test(start_paused = true)]
async fn a_sleep_until_a_time_lasts_until_the_stores_clock_shows_it() {
    let store = store();
    let client = client(&store);
    // By its clock the store was made at 1,000 s.
    let until = |ctx: Context, at_ms: u64| async move {
        ctx.sleep_until(UNIX_EPOCH + ms(at_ms)).await;
        Ok::<_, BoxError>(())
    };
    let _worker = worker(&store).workflow("until", until).start().unwrap();
    let begun = tokio::time::Instant::now();
    client.start("until", "passed", &999_000).await.unwrap();
    client.result::<()>("passed").await.unwrap();
    assert!(begun.elapsed() < ms(100), "{:?}", begun.elapsed());
    client.start("until", "to come", &1_030_000).await.unwrap();
    client.result::<()>("to come").await.unwrap();
    assert!((ms(29_900)..ms(30_300)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
}
