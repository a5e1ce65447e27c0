//! Drives hydra-engine for the live auditor: `worker`, `client`, as adapters/README.md describes.
//!
//! One workflow interprets every program. `HYDRA_RULES=as-audited` is the known-bad control.

mod audited;
mod client;
mod door;
mod workflow;

use std::sync::Arc;
use std::time::Duration;

use hydra_engine::store::{SqliteOptions, Store, StoreOptions};
use hydra_engine::{Client, Worker};

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        match std::env::args().nth(1).as_deref() {
            Some("worker") => worker().await,
            Some("client") => client::serve(Client::new(store()?)).await,
            _ => anyhow::bail!("say worker or client"),
        }
    })
}

fn is_as_audited() -> bool {
    std::env::var("HYDRA_RULES").is_ok_and(|rules| rules == "as-audited")
}

fn store() -> anyhow::Result<Arc<dyn Store>> {
    let mut options = StoreOptions::default();
    if is_as_audited() {
        options.rules = &audited::AsAudited;
    }
    Ok(Arc::new(SqliteOptions::at(std::env::var("HYDRA_STORE")?).open(options)?))
}

fn setting(name: &str, default: u64) -> Duration {
    let given = std::env::var(name).ok().and_then(|value| value.parse().ok());
    Duration::from_millis(given.unwrap_or(default))
}

async fn worker() -> anyhow::Result<()> {
    let mut builder = Worker::builder(store()?)
        .name(std::env::var("HYDRA_WORKER")?)
        .workflow("program", workflow::interpret)
        .concurrency(std::env::var("HYDRA_CONCURRENCY").ok().and_then(|value| value.parse().ok()).unwrap_or(256))
        .lease(setting("HYDRA_LEASE_MS", 2_000))
        .poll_interval(setting("HYDRA_POLL_MS", 50));
    if is_as_audited() {
        builder = builder.rules(&audited::AsAudited);
    }
    let _worker = builder.start()?;
    println!("{}", serde_json::json!({"ready": true, "version": env!("CARGO_PKG_VERSION")}));
    std::future::pending::<()>().await;
    Ok(())
}
