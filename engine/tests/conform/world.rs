//! A store that keeps a journal, and a run of workflows with a step of every kind and faults of every kind.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use hydra_engine::conform::{self, Report};
use hydra_engine::protocol::Time;
use hydra_engine::store::{
    Inline, MemoryBackend, Rules, SqliteEvidence, SqliteOptions, Store, StoreOptions, Synchronous, TokioClock,
};
use hydra_engine::{BoxError, Client, Context, RetryPolicy, StepError, Worker};

const LEASE: Duration = Duration::from_secs(6);

/// A file of its own.
pub struct File {
    pub path: PathBuf,
    _folder: tempfile::TempDir,
}

pub fn file() -> File {
    let folder = tempfile::tempdir().unwrap();
    File { path: folder.path().join("store.sqlite"), _folder: folder }
}

pub fn options(rules: Rules) -> StoreOptions {
    let clock = Arc::new(TokioClock::starting_at(Time::from_millis(1_000_000)));
    StoreOptions { rules, clock, ..StoreOptions::default() }
}

pub fn sqlite(path: &Path, rules: Rules, journal: bool) -> Arc<dyn Store> {
    let file = SqliteOptions { synchronous: Synchronous::Normal, journal, ..SqliteOptions::at(path) };
    Arc::new(Inline::over(file.open_backend().unwrap(), options(rules)))
}

pub fn memory(rules: Rules) -> Arc<Inline<MemoryBackend>> {
    Arc::new(Inline::over(MemoryBackend::with_journal(), options(rules)))
}

pub fn judge(path: &Path) -> Report {
    conform::check(&mut SqliteEvidence::open(path).unwrap()).unwrap()
}

pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A step of every kind, some of which fail, and a rest.
async fn workflow(ctx: Context, number: u64) -> Result<u64, BoxError> {
    let policy = RetryPolicy::attempts(3).initial(ms(100)).cap(ms(400));
    let keyed = ctx.step("keyed").retry(policy).run(move |attempt| async move {
        tokio::time::sleep(ms(50 + 37 * (number % 5))).await;
        if attempt.number <= (number % 4) as u32 { Err("not yet".into()) } else { Ok(number) }
    });
    let side = ctx.step("side").run(|_| async { Ok(7_u64) });
    let (keyed, side) = futures::join!(keyed, side);
    ctx.sleep(ms(200 * (number % 3))).await;
    let once: Result<(), StepError> = ctx
        .step("once")
        .run_at_most_once(|_| async move {
            tokio::time::sleep(ms(300)).await;
            Ok(())
        })
        .await;
    let lost: Result<std::collections::HashMap<(u8, u8), u8>, StepError> =
        ctx.step("lost").run(|_| async { Ok([((1, 2), 3)].into()) }).await;
    ctx.step("book").run_transactional(|_| async { Ok(()) }).await?;
    Ok(keyed? + side? + u64::from(once.is_ok()) + u64::from(lost.is_ok()))
}

/// Workers that die in the middle of what they do, clients that start twice, cancel, and retry what failed.
pub async fn run(store: &Arc<dyn Store>, rules: Rules) {
    let client = Client::new(store.clone());
    let worker =
        || Worker::builder(store.clone()).rules(rules).lease(LEASE).poll_interval(ms(100)).workflow("w", workflow);
    for number in 0..16_u64 {
        client.start("w", &format!("w{number}"), &number).await.unwrap();
        let _ = client.start("w", &format!("w{number}"), &(number / 2)).await;
    }
    for round in 0..4_u64 {
        let (first, second) = (worker().start().unwrap(), worker().start().unwrap());
        tokio::time::sleep(ms(150 + 110 * round)).await;
        let _ = client.cancel(&format!("w{round}")).await;
        drop(first);
        second.shutdown(ms(20)).await;
        tokio::time::sleep(ms(7_000)).await;
    }
    let last = worker().start().unwrap();
    let ended = async |number: u64| drop(tokio::time::timeout(LEASE * 20, client.ended(&format!("w{number}"))).await);
    join_all((0..16).map(ended)).await;
    for number in 0..16 {
        let _ = client.retry(&format!("w{number}"), 1).await;
    }
    join_all((0..16).map(ended)).await;
    last.shutdown(ms(1_000)).await;
}

/// Runs it under time that is the test's own.
pub fn in_virtual_time<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(work)
}
