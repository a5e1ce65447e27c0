//! Steps per second on a PostgreSQL server, by how many clients ask at once: each begins and settles one step after the
//! other of an execution of its own, and waits for every answer.
//!
//! `cargo run --release -p hydra-engine --features postgres --example postgres_throughput [-- SECONDS [URL]]`
//!
//! Without a URL it starts a server of its own from the installed binaries, with the settings that they come with.

#[path = "../tests/postgres/server.rs"]
#[allow(dead_code, reason = "only part of it is needed here")]
mod server;

use std::sync::Arc;
use std::time::{Duration, Instant};

use hydra_engine::protocol::{Command, Epoch, Kind, Settlement, Span, StepNo};
use hydra_engine::store::{
    ClaimRequest, CommandRequest, ExecutionId, ExecutionKey, Payload, PostgresStore, StepRef, Store, StoreError, Target,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StoreError> {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(5);
    let mut own = None;
    let url = arguments.next().unwrap_or_else(|| own.insert(server::Server::start(&[])).url("postgres"));
    let store = Arc::new(PostgresStore::open(url)?);
    println!("{:>8} {:>10} {:>12} {:>10} {:>10}", "clients", "steps/s", "commands/s", "p50 ms", "p99 ms");
    for clients in [1, 16, 256, 1_024] {
        run(&store, clients, Duration::from_secs(seconds)).await?;
    }
    store.close().await;
    Ok(())
}

async fn run(store: &Arc<PostgresStore>, clients: usize, time: Duration) -> Result<(), StoreError> {
    let workflow = format!("throughput-{clients}-{}", std::process::id());
    let starts = (0..clients).map(|client| store.command(start(&workflow, client)));
    futures::future::try_join_all(starts).await?;
    let claims = store.claim(ClaimRequest {
        worker: "throughput".into(),
        namespace: "default".into(),
        workflows: Arc::from([workflow]),
        limit: clients,
        lease: Span::from_millis(3_600_000),
    });
    let claimed = claims.await?.claimed;
    let until = Instant::now() + time;
    let begun = Instant::now();
    let tasks = claimed.into_iter().map(|claimed| drive(Arc::clone(store), claimed.key, claimed.epoch, until));
    let tasks: Vec<_> = tasks.map(tokio::spawn).collect();
    let mut waits: Vec<Duration> = Vec::new();
    for task in tasks {
        waits.extend(task.await.expect("a client does not panic")?);
    }
    let took = begun.elapsed().as_secs_f64();
    waits.sort_unstable();
    let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize].as_secs_f64() * 1_000.0;
    let commands = waits.len() as f64 / took;
    println!("{clients:>8} {:>10.0} {commands:>12.0} {:>10.2} {:>10.2}", commands / 2.0, at(0.5), at(0.99));
    Ok(())
}

/// One client. How long each command took.
async fn drive(
    store: Arc<PostgresStore>,
    key: ExecutionKey,
    epoch: Epoch,
    until: Instant,
) -> Result<Vec<Duration>, StoreError> {
    let mut waits = Vec::new();
    let mut step = 0;
    while Instant::now() < until {
        step += 1;
        let begin = Command::Begin { epoch, kind: Kind::Keyed, attempt: 1, attempts_max: 3 };
        let settle = Command::Settle { epoch, attempt: 1, settlement: Settlement::Succeeded };
        for command in [begin, settle] {
            let request = CommandRequest {
                target: Target::Key(key),
                step: Some(StepRef { no: StepNo(step), name: "step".into() }),
                command,
                payload: Payload { value: Some(vec![7; 100]), ..Payload::default() },
            };
            let asked = Instant::now();
            store.command(request).await?.decision.expect("nobody takes the lease away");
            waits.push(asked.elapsed());
        }
    }
    Ok(waits)
}

fn start(workflow: &str, client: usize) -> CommandRequest {
    CommandRequest {
        target: Target::Id(ExecutionId { namespace: "default".into(), id: format!("{workflow}-{client}") }),
        step: None,
        command: Command::Start { due_at: Default::default(), deadline: None, replays_max: 3 },
        payload: Payload { workflow: Some(workflow.to_owned()), value: Some(vec![7; 100]), error: None },
    }
}
