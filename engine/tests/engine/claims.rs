//! When a worker that has taken all it can claims again: a claim costs about as much for one slot as for all.

use std::sync::Arc;
use std::time::Duration;

use hydra_engine::store::Store;
use hydra_engine::{BoxError, Context};
use tokio::time::Instant;

use crate::between::Between;
use crate::shop::{client, ms, store, worker};

async fn lasting(ctx: Context, time_ms: u64) -> Result<(), BoxError> {
    let last = |_| async move {
        tokio::time::sleep(ms(time_ms)).await;
        Ok(())
    };
    Ok(ctx.step("last").run(last).await?)
}

/// Starts executions that last so long, on a worker with so many slots; claims take `claims_take`. Answers what each claim
/// asked for, and when the last execution has ended.
async fn run(slots: usize, claims_take: Duration, lasts: &[u64]) -> (Vec<usize>, Duration) {
    let store = store();
    let client = client(&store);
    for (number, time_ms) in lasts.iter().enumerate() {
        client.start("lasting", &number.to_string(), time_ms).await.unwrap();
        // Due one after the other, so they are claimed in this order.
        tokio::time::sleep(ms(1)).await;
    }
    let between = Between::with_claims_that_take(claims_take, &store);
    let way: Arc<dyn Store> = between.clone();
    let begun = Instant::now();
    let _worker = worker(&way).concurrency(slots).workflow("lasting", lasting).start().unwrap();
    client.result::<()>(&(lasts.len() - 1).to_string()).await.unwrap();
    (between.claims(), begun.elapsed())
}

#[tokio::test(start_paused = true)]
async fn slots_that_become_free_within_the_time_of_a_claim_are_filled_by_one() {
    let (claims, _) = run(4, ms(4), &[100, 101, 102, 103, 100, 101, 102, 103]).await;
    assert_eq!(claims[..2], [4, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_free_slot_waits_for_the_others_no_longer_than_a_claim_takes() {
    let (claims, took) = run(2, ms(1), &[60_000, 100, 100]).await;
    assert_eq!(claims[..2], [2, 1]);
    // Two claims, two bodies, and the time of a claim between them.
    assert_eq!(took, ms(203));
}

/// A store that is away for a minute must not keep a slot free for another one.
#[tokio::test(start_paused = true)]
async fn nor_than_five_milliseconds() {
    let (claims, took) = run(2, ms(1_000), &[60_000, 100, 100]).await;
    assert_eq!(claims[..2], [2, 1]);
    assert_eq!(took, ms(2_205));
}

/// Else a worker with one slot would stand still between any two executions.
#[tokio::test(start_paused = true)]
async fn with_nothing_to_wait_for_it_claims_at_once() {
    let (claims, took) = run(1, ms(4), &[100, 100]).await;
    assert_eq!(claims[..2], [1, 1]);
    assert_eq!(took, ms(208));
}
