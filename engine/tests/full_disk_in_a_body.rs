//! A transactional body that finds the disk full has not failed: it is asked for again until there is room, and no
//! attempt is used up, although what does fit is written all the while.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hydra_engine::store::{SqliteOptions, StoreOptions, Value};
use hydra_engine::{BoxError, Client, Context, RetryPolicy, Worker};

/// More than there is room for, until [`FILLER_BYTES`] are deleted.
const BODY_BYTES: usize = 300_000;
const FILLER_BYTES: usize = 400_000;
/// Room for the engine's tables and for one of the two.
const PAGES_MAX: u32 = 160;

#[tokio::test]
async fn costs_no_attempt() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions { pages_max: Some(PAGES_MAX), ..SqliteOptions::at(folder.path().join("store.sqlite")) };
    let store = Arc::new(options.open(StoreOptions::default()).unwrap());
    let filler = format!("insert into filler values (zeroblob({FILLER_BYTES}))");
    store.execute(&["create table filler (b)", "create table large (b)", &filler]).await.unwrap();
    let bodies = Arc::new(AtomicU32::new(0));
    let counted = bodies.clone();
    let workflow = move |ctx: Context, (): ()| {
        let bodies = counted.clone();
        async move {
            let only_once = ctx.step("large").retry(RetryPolicy::never());
            let written = only_once.run_transactional(|tx| {
                bodies.fetch_add(1, Ordering::SeqCst);
                async move { Ok(tx.execute("insert into large values ($1)", &[vec![7; BODY_BYTES].into()]).await?) }
            });
            Ok::<_, BoxError>(written.await?)
        }
    };
    let worker = Worker::builder(store.clone()).workflow("w", workflow).start().unwrap();
    let client = Client::new(store.clone());
    client.start("w", "w", &()).await.unwrap();
    while bodies.load(Ordering::SeqCst) < 5 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let view = client.get("w").await.unwrap().unwrap();
        assert!(!view.row.is_ended(), "{:?}", view.error);
    }
    store.execute(&["delete from filler"]).await.unwrap();
    assert_eq!(client.result::<u64>("w").await.unwrap(), 1);
    assert_eq!(client.history("w").await.unwrap().steps[0].step.row.attempt, 1);
    let rows = store.query("select count(*) from large", &[]).await.unwrap();
    assert_eq!(rows, [[Value::Integer(1)]]);
    worker.shutdown(Duration::from_secs(5)).await;
}
