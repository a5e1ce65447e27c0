//! Memory while many executions pass through.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hydra_engine::Client;
use hydra_engine::store::SqliteStore;

use super::load::{self, Until};

/// What to measure.
#[derive(clap::Args)]
pub struct Memory {
    /// How many executions pass through.
    #[arg(long, default_value_t = 1_000_000)]
    executions: u64,
    /// How many at a time.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    concurrency: u32,
}

impl Memory {
    pub async fn run(self) -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("bench.sqlite");
        let store = Arc::new(SqliteStore::open(&file)?);
        let _worker = load::worker(store.clone(), self.concurrency as usize).start()?;
        let done = Arc::new(AtomicU64::new(0));
        let watch = {
            let done = done.clone();
            let (step, begun) = ((self.executions / 10).max(1), Instant::now());
            tokio::spawn(async move {
                println!("{:>12} {:>8} {:>12} {:>10}", "executions", "s", "resident MiB", "file MiB");
                for mark in (1..=10).map(|tenth| tenth * step) {
                    while done.load(Ordering::Relaxed) < mark {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                    let bytes = std::fs::metadata(&file).map_or(0, |file| file.len());
                    let file_mib = bytes as f64 / f64::from(1 << 20);
                    println!(
                        "{mark:>12} {:>8.0} {:>12.1} {file_mib:>10.0}",
                        begun.elapsed().as_secs_f64(),
                        resident_mib()
                    );
                }
            })
        };
        let until = Until::Executions(self.executions);
        let input = load::Input::new(3, 1);
        load::drive(Client::new(store), self.concurrency as usize, &input, until, done).await?;
        watch.await?;
        Ok(())
    }
}

/// What this process holds of the machine's memory, in MiB; not a number where the system does not say.
fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok());
    kib.map_or(f64::NAN, |kib| kib / 1_024.0)
}
