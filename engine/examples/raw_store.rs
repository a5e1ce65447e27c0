//! How fast the SQLite store takes commands, beside what SQLite itself can do with the same rows.
//!
//! `cargo run --release -p hydra-engine --example raw_store [SECONDS]`
//!
//! One step is three commands: claim, begin, settle. The raw limit writes the same rows, without any decision, in one
//! thread and one transaction for so many steps; at one client that is one commit a command.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hydra_engine::store::{ClaimRequest, CommandRequest, Payload, SqliteStore, StepRef, Store, StoreError, Target};
use hydra_protocol::{Command, Epoch, Kind, Reply, Settlement, Span, StepNo, Time};
use rusqlite::{Connection, params};

const CLIENTS: [usize; 4] = [1, 16, 256, 1_024];
const LEASE: Span = Span::from_millis(3_600_000);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seconds = std::env::args().nth(1).map_or(Ok(2.0), |seconds| seconds.parse::<f64>())?;
    let duration = Duration::from_secs_f64(seconds);
    println!(
        "{:>8} {:>12} {:>12} {:>10} {:>10} {:>12} {:>8}",
        "clients", "commands/s", "steps/s", "p50 ms", "p99 ms", "raw steps/s", "ratio"
    );
    for clients in CLIENTS {
        let (steps_per_s, mut latencies) = engine(clients, duration).await?;
        let raw = raw(clients, duration)?;
        latencies.sort_unstable();
        let at = |percent: usize| latencies[(latencies.len() - 1) * percent / 100].as_secs_f64() * 1e3;
        let (commands_per_s, p50, p99, ratio) = (steps_per_s * 3.0, at(50), at(99), steps_per_s / raw);
        println!(
            "{clients:>8} {commands_per_s:>12.0} {steps_per_s:>12.0} {p50:>10.2} {p99:>10.2} {raw:>12.0} {ratio:>8.2}"
        );
    }
    Ok(())
}

/// Steps per second, and how long each command took.
async fn engine(clients: usize, duration: Duration) -> Result<(f64, Vec<Duration>), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let store = Arc::new(SqliteStore::open(folder.path().join("store.db"))?);
    // Each client has a workflow of its own, so that it claims its own execution.
    for batch in (0..clients).collect::<Vec<_>>().chunks(256) {
        let starts = batch.iter().map(|client| store.command(start(*client, 0)));
        futures::future::try_join_all(starts).await?;
    }
    let over = Arc::new(AtomicBool::new(false));
    let started = Instant::now();
    let tasks: Vec<_> =
        (0..clients).map(|client| tokio::spawn(drive(Arc::clone(&store), client, Arc::clone(&over)))).collect();
    tokio::time::sleep(duration).await;
    over.store(true, Ordering::Relaxed);
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await??);
    }
    let steps = latencies.len() as f64 / 3.0;
    Ok((steps / started.elapsed().as_secs_f64(), latencies))
}

/// Claims its execution, runs one step of it, lets it go to the end of its lease, which has come at once, and again.
async fn drive(store: Arc<SqliteStore>, client: usize, over: Arc<AtomicBool>) -> Result<Vec<Duration>, StoreError> {
    let mut latencies = Vec::new();
    let workflows: Arc<[String]> = Arc::from([format!("workflow-{client}")]);
    let (worker, namespace): (Arc<str>, Arc<str>) = ("bench".into(), "default".into());
    let mut round = 0;
    while !over.load(Ordering::Relaxed) {
        let asked = Instant::now();
        let claims = store
            .claim(ClaimRequest {
                worker: Arc::clone(&worker),
                namespace: Arc::clone(&namespace),
                workflows: Arc::clone(&workflows),
                limit: 1,
                lease: LEASE,
            })
            .await?;
        latencies.push(asked.elapsed());
        let (target, epoch) = (Target::Key(claims.claimed[0].key), claims.claimed[0].epoch);
        let step = Some(StepRef { no: StepNo(1), name: "charge".into() });
        let begin = Command::Begin { epoch, kind: Kind::Keyed, attempt: 1, attempts_max: 3 };
        let settle = Command::Settle { epoch, attempt: 1, settlement: Settlement::Succeeded };
        for command in [begin, settle] {
            let payload = Payload { value: Some(vec![b'x'; 64]), ..Payload::default() };
            let asked = Instant::now();
            let answer =
                store.command(CommandRequest { target: target.clone(), step: step.clone(), command, payload }).await?;
            latencies.push(asked.elapsed());
            assert!(matches!(answer.decision, Ok(Reply::Run { .. } | Reply::Settled { .. })), "{answer:?}");
        }
        round += 1;
        // Not counted: the next execution to claim.
        store.command(start(client, round)).await?;
    }
    Ok(latencies)
}

fn start(client: usize, round: usize) -> CommandRequest {
    CommandRequest {
        target: Target::Id(hydra_engine::store::ExecutionId {
            namespace: "default".into(),
            id: format!("{client}-{round}"),
        }),
        step: None,
        command: Command::Start { due_at: Time::default(), deadline: None, replays_max: 10 },
        payload: Payload { workflow: Some(format!("workflow-{client}")), value: Some(vec![b'x'; 64]), error: None },
    }
}

/// Steps per second that one writer does with the same statements in its own transactions: the same rows, read by
/// nobody and decided by nobody. As above the start of each execution is written too, and not counted.
fn raw(clients: usize, duration: Duration) -> Result<f64, Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("raw.db");
    drop(SqliteStore::open(&path)?);
    let connection = Connection::open(&path)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    let payload = vec![b'x'; 64];
    let (mut steps, mut execution) = (0_u64, 0_i64);
    let epoch = Epoch(1).0;
    let started = Instant::now();
    while started.elapsed() < duration {
        // A batch holds one command of each client.
        let from = execution;
        for command in 0..4 {
            connection.execute_batch("BEGIN IMMEDIATE")?;
            for client in 0..clients as i64 {
                let key = from + client + 1;
                match command {
                    0 => {
                        let mut insert = connection.prepare_cached(
                            "INSERT INTO hydra_executions (namespace, id, workflow, status, due_at, epoch, settled, \
                             replays, replays_max, started_at) VALUES ('default', ?1, ?2, 'ready', 0, 0, 0, 0, 10, 0)",
                        )?;
                        insert.execute(params![format!("{client}-{key}"), format!("workflow-{client}")])?;
                        let mut insert = connection
                            .prepare_cached("INSERT INTO hydra_payloads (execution, input) VALUES (?1, ?2)")?;
                        insert.execute(params![key, payload])?;
                    }
                    1 => {
                        let mut update = connection.prepare_cached(
                            "UPDATE hydra_executions SET status = 'leased', due_at = ?2, epoch = ?3, replays = 1, \
                             worker = 'bench' WHERE seq = ?1 AND epoch = 0",
                        )?;
                        update.execute(params![key, 1_i64 << 40, epoch])?;
                        let mut insert = connection.prepare_cached(
                            "INSERT INTO hydra_leases (execution, epoch, worker, claimed_at) VALUES (?1, ?2, 'bench', 0)",
                        )?;
                        insert.execute(params![key, epoch])?;
                    }
                    2 => {
                        let mut insert = connection.prepare_cached(
                            "INSERT INTO hydra_steps (execution, step, name, kind, epoch, attempt, attempts_max, state, \
                             begun_at, input) VALUES (?1, 1, 'charge', 'keyed', ?2, 1, 3, 'running', 0, ?3)",
                        )?;
                        insert.execute(params![key, epoch, payload])?;
                    }
                    _ => {
                        let mut update = connection.prepare_cached(
                            "UPDATE hydra_executions SET settled = 1, replays = 0 WHERE seq = ?1 AND epoch = ?2",
                        )?;
                        update.execute(params![key, epoch])?;
                        let mut update = connection.prepare_cached(
                            "UPDATE hydra_steps SET state = 'succeeded', ord = 1, settled_at = 0, output = ?2 \
                             WHERE execution = ?1 AND step = 1",
                        )?;
                        update.execute(params![key, payload])?;
                    }
                }
            }
            connection.execute_batch("COMMIT")?;
        }
        execution += clients as i64;
        steps += clients as u64;
    }
    Ok(steps as f64 / started.elapsed().as_secs_f64())
}
