//! The workflow of the executions in the file, and a worker that takes them up.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hydra_engine::protocol::Protocol;
use hydra_engine::store::{ExecutionId, Store};
use hydra_engine::{Context, RetryPolicy, StepError, Worker};

/// A body that ran.
pub struct Body {
    /// Of which execution.
    pub execution: ExecutionId,
    /// Of which step, from 1.
    pub step: u32,
}

type Bodies = Arc<Mutex<Vec<Body>>>;

/// How long the worker works, in virtual time: leases have ended before, backoffs and timers end in it.
const WORKS: Duration = Duration::from_secs(60);

/// Drives everything that can be claimed, and tells which bodies ran.
pub async fn drive(store: Arc<dyn Store>, rules: &'static dyn Protocol) -> Vec<Body> {
    let bodies = Bodies::default();
    let ran = bodies.clone();
    let worker = Worker::builder(store)
        .rules(rules)
        .workflow("order", move |context, input| order(context, input, ran.clone()))
        .poll_interval(Duration::from_secs(5))
        .start();
    let Ok(worker) = worker else { return Vec::new() };
    tokio::time::sleep(WORKS).await;
    worker.shutdown(Duration::from_secs(1)).await;
    std::mem::take(&mut *bodies.lock().unwrap_or_else(PoisonError::into_inner))
}

async fn order(ctx: Context, _cents: i64, bodies: Bodies) -> Result<String, StepError> {
    let runs = |step| {
        let body = Body { execution: ctx.execution().clone(), step };
        bodies.lock().unwrap_or_else(PoisonError::into_inner).push(body);
    };
    let charge = ctx.step("charge").retry(RetryPolicy::attempts(3)).run(async |_| {
        runs(1);
        Ok("receipt".to_owned())
    });
    let receipt: String = charge.await?;
    let book = ctx.step("book").run_transactional(async |tx| {
        runs(2);
        Ok(tx.execute("insert into bookings values ($1)", &["order".into()]).await?)
    });
    let _booked: u64 = book.await?;
    let mail = ctx.step("mail").run_at_most_once(async |_| {
        runs(3);
        Ok(())
    });
    mail.await?;
    ctx.sleep(Duration::ZERO).await;
    let ship = ctx.step("ship").retry(RetryPolicy::attempts(3)).run(async |_| {
        runs(5);
        Ok(7_u32)
    });
    let _parcel: u32 = ship.await?;
    Ok(receipt)
}
