//! The load: executions of a few keyed steps that do nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hydra_engine::store::Store;
use hydra_engine::{Client, Context, StepError, Worker, WorkerBuilder};
use serde::{Deserialize, Serialize};

/// What an execution is started with.
#[derive(Clone, Serialize, Deserialize)]
pub struct Input {
    pub steps: u32,
    /// Nothing but bytes.
    pub payload: String,
}

impl Input {
    pub fn new(steps: u32, payload_bytes: usize) -> Self {
        Input { steps, payload: "x".repeat(payload_bytes) }
    }
}

/// A worker that drives the load.
pub fn worker(store: Arc<dyn Store>, concurrency: usize) -> WorkerBuilder {
    Worker::builder(store).concurrency(concurrency).workflow("bench", bench)
}

async fn bench(ctx: Context, input: Input) -> Result<u32, StepError> {
    let mut sum = 0;
    for _ in 0..input.steps {
        sum += ctx.step("reserve").run(|_| async { Ok(input.payload.len() as u32) }).await?;
    }
    Ok(sum)
}

/// What clients saw.
pub struct Seen {
    /// Executions a second, from the first start to the last result.
    pub executions_per_s: f64,
    /// From asking for an execution to having its result, sorted.
    pub latencies: Vec<Duration>,
}

impl Seen {
    /// The latency that `percent` of all were within, in milliseconds.
    pub fn latency_ms(&self, percent: usize) -> f64 {
        let at = (self.latencies.len().saturating_sub(1)) * percent / 100;
        self.latencies.get(at).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
    }
}

/// When a load is over.
#[derive(Clone, Copy)]
pub enum Until {
    /// After so long.
    Time(Duration),
    /// After so many executions.
    Executions(u64),
}

/// So many clients, each starting an execution and waiting for its result, over and over.
pub async fn drive(
    client: Client,
    clients: usize,
    input: &Input,
    until: Until,
    done: Arc<AtomicU64>,
) -> anyhow::Result<Seen> {
    let (over, issued) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let begun = Instant::now();
    let tasks: Vec<_> = (0..clients)
        .map(|number| {
            let (client, over, issued, done, input) =
                (client.clone(), over.clone(), issued.clone(), done.clone(), input.clone());
            tokio::spawn(async move {
                let mut latencies = Vec::new();
                loop {
                    let execution = issued.fetch_add(1, Ordering::Relaxed);
                    let enough = matches!(until, Until::Executions(all) if execution >= all);
                    if enough || over.load(Ordering::Relaxed) {
                        return anyhow::Ok(latencies);
                    }
                    let id = format!("{number}-{execution}");
                    let asked = Instant::now();
                    client.start("bench", &id, &input).await?;
                    let _: u32 = client.result(&id).await?;
                    if matches!(until, Until::Time(_)) {
                        latencies.push(asked.elapsed());
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    if let Until::Time(time) = until {
        tokio::time::sleep(time).await;
        over.store(true, Ordering::Relaxed);
    }
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await??);
    }
    latencies.sort_unstable();
    Ok(Seen { executions_per_s: done.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64(), latencies })
}
