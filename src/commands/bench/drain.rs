//! Several worker processes on one store: a backlog is started, then they drain it.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use hydra_engine::Client;
use hydra_engine::protocol::Span;
use hydra_engine::store::{ClaimRequest, Store};

use super::case::Case;
use super::load;
use super::place::{self, Place};
use super::usage;

/// A worker, until its input ends.
#[derive(clap::Args)]
pub struct Worker {
    /// The file or the URL.
    store: String,
    /// Executions at a time.
    concurrency: usize,
}

impl Worker {
    pub async fn run(self) -> anyhow::Result<()> {
        let worker = load::worker(place::open(&self.store)?, self.concurrency);
        // Ready, and told when to begin: so that all begin at once.
        println!("ready");
        tokio::task::spawn_blocking(|| std::io::stdin().lock().read_line(&mut String::new())).await??;
        let _worker = worker.start()?;
        tokio::task::spawn_blocking(|| std::io::stdin().lock().read_to_end(&mut Vec::new())).await??;
        Ok(())
    }
}

/// What draining came to.
pub struct Drained {
    pub steps_per_s: f64,
    pub cpu_s: f64,
    pub peak_mib: f64,
    pub steps: u64,
}

/// Starts executions for so long, and has the processes drain them.
pub async fn drain(place: &Place, case: Case, input: &load::Input, time: Duration) -> anyhow::Result<Drained> {
    let text = place.text().context("a store in memory has no second process")?;
    let store = place.open()?;
    let started = backlog(Client::new(store.clone()), case.concurrency.max(64), input, time).await?;
    let mut children = Vec::new();
    for _ in 0..case.processes {
        children.push(Working::start(&text, case.concurrency.div_ceil(case.processes))?);
    }
    let pids: Vec<i32> = children.iter().map(|child| i32::try_from(child.0.id()).unwrap_or(0)).collect();
    let (begun, cpu) = (Instant::now(), usage::cpu_s(&pids));
    children.iter_mut().try_for_each(Working::go)?;
    while !is_drained(&store).await? {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let steps = started * u64::from(case.steps);
    Ok(Drained {
        steps_per_s: steps as f64 / begun.elapsed().as_secs_f64(),
        cpu_s: usage::cpu_s(&pids) - cpu,
        peak_mib: usage::peak_mib(&pids),
        steps,
    })
}

async fn backlog(client: Client, clients: usize, input: &load::Input, time: Duration) -> anyhow::Result<u64> {
    let until = Instant::now() + time;
    let starting = (0..clients).map(|number| {
        let (client, input) = (client.clone(), input.clone());
        tokio::spawn(async move {
            let mut started = 0;
            while Instant::now() < until {
                client.start("bench", &format!("{number}-{started}"), &input).await?;
                started += 1;
            }
            anyhow::Ok(started)
        })
    });
    let mut all = 0;
    for started in starting.collect::<Vec<_>>() {
        all += started.await??;
    }
    Ok(all)
}

/// Nothing of the workflow is due, now or later.
async fn is_drained(store: &Arc<dyn Store>) -> anyhow::Result<bool> {
    let looking = ClaimRequest {
        worker: "observer".into(),
        namespace: hydra_engine::DEFAULT_NAMESPACE.into(),
        workflows: Arc::from(["bench".to_owned()]),
        limit: 0,
        lease: Span::from_millis(1_000),
    };
    Ok(store.claim(looking).await?.next_due.is_none())
}

/// A worker process. It ends with its input, and so with this process.
struct Working(Child);

impl Working {
    fn start(store: &str, concurrency: usize) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["bench", "worker", store, &concurrency.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
        anyhow::ensure!(line.trim() == "ready", "a worker process did not come up");
        Ok(Working(child))
    }

    fn go(&mut self) -> anyhow::Result<()> {
        use std::io::Write;
        let input = self.0.stdin.as_mut().context("no input")?;
        input.write_all(b"go\n")?;
        Ok(input.flush()?)
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
