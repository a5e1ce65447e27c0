//! Drives hydra-engine for the live auditor: `worker`, `client`, as adapters/README.md describes.
//!
//! One workflow interprets every program. `HYDRA_RULES=as-audited` is the known-bad control.

mod audited;
mod client;
mod door;
mod store;
mod workflow;

use std::time::Duration;

use hydra_engine::Worker;

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

fn is_as_audited() -> bool {
    std::env::var("HYDRA_RULES").is_ok_and(|rules| rules == "as-audited")
}

/// A knob in milliseconds.
fn setting(name: &str, default: Duration) -> Duration {
    let given = std::env::var(name).ok().and_then(|value| value.parse().ok());
    given.map_or(default, Duration::from_millis)
}

async fn worker() -> anyhow::Result<()> {
    let opened = store::open()?;
    opened.prepare().await?;
    let mut builder = Worker::builder(opened.store)
        .name(std::env::var("HYDRA_WORKER")?)
        .workflow("program", workflow::interpret)
        .concurrency(std::env::var("HYDRA_CONCURRENCY").ok().and_then(|value| value.parse().ok()).unwrap_or(256))
        .lease(setting("HYDRA_LEASE_MS", Duration::from_secs(2)))
        .poll_interval(setting("HYDRA_POLL_MS", Duration::from_millis(50)));
    if is_as_audited() {
        builder = builder.rules(&audited::AsAudited);
    }
    let _worker = builder.start()?;
    println!("{}", serde_json::json!({"ready": true, "version": env!("CARGO_PKG_VERSION")}));
    std::future::pending::<()>().await;
    Ok(())
}
