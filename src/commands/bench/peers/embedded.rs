//! This engine in this process: what a program sees that embeds it.

use std::future::IntoFuture;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use hydra_engine::Client;

use super::figures::{Figures, percentile_ms};
use super::{Peers, Server, StoreKind};
use crate::commands::bench::load::{self, Input};
use crate::commands::bench::place::Place;
use crate::commands::bench::usage;

/// As much more work than the others get: what they take seconds for would be over in milliseconds.
pub const TIMES: u32 = 10;
/// Steps of an execution.
const STEPS: u32 = 3;

pub async fn turn(peers: &Peers, kind: StoreKind, server: Option<&Server>, turn: &str) -> anyhow::Result<Figures> {
    let place = Place::new(kind, server, turn)?;
    usage::forget_peak();
    let store = place.open()?;
    let client = Client::new(store.clone());
    let input = Input::new(STEPS, 100);
    let executions = peers.executions * TIMES;
    let ids: Arc<[String]> = (0..executions).map(|number| format!("W{number}")).collect();
    try_join_all(ids.iter().map(|id| client.start("bench", id, &input).into_future())).await?;

    let mut processes = vec![usage::own()];
    if let Some(Server::Own { postgres: server, .. }) = server.filter(|_| kind == StoreKind::Postgres) {
        processes.push(server.pid());
    }
    let (begun, cpu) = (Instant::now(), usage::cpu_s(&processes));
    let worker = load::worker(store, (peers.concurrency * peers.processes) as usize).start()?;
    try_join_all(ids.iter().map(|id| client.result::<u32>(id))).await?;
    let (took, cpu) = (begun.elapsed().as_secs_f64(), usage::cpu_s(&processes) - cpu);

    let mut latencies = Vec::new();
    for number in 0..peers.alone {
        let id = format!("alone-{number}");
        let asked = Instant::now();
        client.start("bench", &id, &input).await?;
        let _: u32 = client.result(&id).await?;
        latencies.push(asked.elapsed().as_secs_f64());
    }
    worker.shutdown(Duration::from_secs(5)).await;
    let steps = f64::from(executions * STEPS);
    Ok(Figures {
        steps_per_s: steps / took,
        p50_ms: percentile_ms(&mut latencies, 50),
        p99_ms: percentile_ms(&mut latencies, 99),
        cpu_s_per_1000_steps: cpu / steps * 1e3,
        peak_mib: usage::peak_mib(&processes),
    })
}
