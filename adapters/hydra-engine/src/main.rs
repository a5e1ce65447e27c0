//! Drives hydra-engine for the live auditor: `worker`, `client`, as adapters/README.md describes.
//!
//! One workflow interprets every program. `HYDRA_RULES` is for known-bad controls.

mod client;
mod door;
mod store;
mod workflow;

use std::time::Duration;

use anyhow::Context as _;
use hydra_engine::Worker;
use hydra_engine::protocol::{Protocol, Reference};

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        match std::env::args().nth(1).as_deref() {
            Some("worker") => worker().await,
            Some("client") => client::serve(store::open()?).await,
            _ => anyhow::bail!("say worker or client"),
        }
    })
}

/// Those of the museum that `HYDRA_RULES` names, for a known-bad control; else the reference's.
fn rules() -> anyhow::Result<&'static (dyn Protocol + Sync)> {
    let Ok(name) = std::env::var("HYDRA_RULES") else { return Ok(&Reference) };
    let mutant = hydra_model::museum::find(&name);
    Ok(mutant.with_context(|| format!("HYDRA_RULES: the museum has no {name}"))?.rules)
}

/// A knob in milliseconds.
fn setting(name: &str, default: Duration) -> Duration {
    let given = std::env::var(name).ok().and_then(|value| value.parse().ok());
    given.map_or(default, Duration::from_millis)
}

async fn worker() -> anyhow::Result<()> {
    let opened = store::open()?;
    opened.prepare().await?;
    let _worker = Worker::builder(opened.store)
        .name(std::env::var("HYDRA_WORKER")?)
        .workflow("program", workflow::interpret)
        .concurrency(std::env::var("HYDRA_CONCURRENCY").ok().and_then(|value| value.parse().ok()).unwrap_or(256))
        .lease(setting("HYDRA_LEASE_MS", Duration::from_secs(2)))
        .poll_interval(setting("HYDRA_POLL_MS", Duration::from_millis(50)))
        .rules(rules()?)
        .start()?;
    println!("{}", serde_json::json!({"ready": true, "version": env!("CARGO_PKG_VERSION")}));
    std::future::pending::<()>().await;
    Ok(())
}
