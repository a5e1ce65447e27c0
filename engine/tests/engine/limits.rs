//! What is too large for the store, to the byte: the store takes 100.

use std::sync::Arc;

use hydra_engine::protocol::Failure;
use hydra_engine::store::{MemoryStore, Store, StoreOptions};
use hydra_engine::{BoxError, Context, ResultError, StepError};

use crate::shop::{client, options, worker};

fn store() -> Arc<dyn Store> {
    Arc::new(MemoryStore::with(StoreOptions { payload_bytes_max: 100, ..options() }))
}

/// A text of so many bytes once it is encoded, quotes and all.
fn encoded(bytes: usize) -> String {
    "x".repeat(bytes - 2)
}

#[tokio::test(start_paused = true)]
async fn a_result_that_is_too_large_has_happened_and_cannot_be_kept() {
    let store = store();
    let returns = |ctx: Context, bytes: usize| async move {
        let step: Result<String, StepError> = ctx.step("large").run(|_| async move { Ok(encoded(bytes)) }).await;
        Ok::<_, BoxError>(step.map(|text| text.len()).map_err(|error| error.to_string()))
    };
    let _worker = worker(&store).workflow("returns", returns).start().unwrap();
    let client = client(&store);
    for bytes in [99, 100] {
        client.start("returns", &format!("r{bytes}"), &bytes).await.unwrap();
        let fits: Result<usize, String> = client.result(&format!("r{bytes}")).await.unwrap();
        assert_eq!(fits, Ok(bytes - 2));
    }
    client.start("returns", "r101", &101_usize).await.unwrap();
    // Its text alone would not fit into the output.
    assert!(client.result::<Result<usize, String>>("r101").await.is_err());
    let step = client.history("r101").await.unwrap().steps.remove(0).step;
    assert_eq!(step.error.as_deref(), Some("the result has 101 bytes; the store takes 100"));
}

#[tokio::test(start_paused = true)]
async fn an_output_that_is_too_large_fails_the_execution() {
    let store = store();
    let returns = |_: Context, bytes: usize| async move { Ok::<_, BoxError>(encoded(bytes)) };
    let _worker = worker(&store).workflow("returns", returns).start().unwrap();
    let client = client(&store);
    client.start("returns", "fits", &100_usize).await.unwrap();
    assert_eq!(client.result::<String>("fits").await.unwrap(), encoded(100));
    client.start("returns", "large", &101_usize).await.unwrap();
    match client.result::<String>("large").await.unwrap_err() {
        ResultError::Failed { failure, error } => {
            assert_eq!(failure, Failure::Unencodable);
            assert_eq!(error, "the output has 101 bytes; the store takes 100");
        }
        other => panic!("{other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn an_input_that_is_too_large_is_noted_and_stops_nothing() {
    let store = store();
    let given = |ctx: Context, bytes: usize| async move {
        ctx.step("given").input(&encoded(bytes)).run(|_| async { Ok(()) }).await?;
        Ok::<_, BoxError>(())
    };
    let _worker = worker(&store).workflow("given", given).start().unwrap();
    let client = client(&store);
    let noted = "(an input that cannot be kept: 101 bytes, more than the store takes)";
    for (bytes, kept) in [(100, encoded(100)), (101, noted.to_owned())] {
        let id = format!("g{bytes}");
        client.start("given", &id, &bytes).await.unwrap();
        client.result::<()>(&id).await.unwrap();
        let input = client.history(&id).await.unwrap().steps.remove(0).input.unwrap();
        assert_eq!(String::from_utf8(input).unwrap(), format!("{kept:?}"));
    }
}
