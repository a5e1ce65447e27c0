//! Steps a second, latency, and the ratio to the raw limit.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use hydra_engine::Client;
use hydra_engine::store::{MemoryStore, SqliteStore, Store};

use super::load::{self, STEPS, Seen, Until};
use super::raw;

/// What to measure.
#[derive(clap::Args)]
pub struct Engine {
    /// How many executions at a time.
    #[arg(long, value_delimiter = ',', default_value = "1,16,256,1024", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    concurrency: Vec<u32>,
    /// How long to measure each, in seconds.
    #[arg(long, default_value_t = 4.0, value_parser = seconds)]
    seconds: f64,
    /// Bytes of input of each execution.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(..=8_388_608))]
    payload: u32,
    /// Where the rows are kept.
    #[arg(long, default_value = "sqlite", value_parser = ["sqlite", "memory"])]
    store: String,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.1..=3_600.0).contains(&seconds) => Ok(seconds),
        _ => Err("give between 0.1 and 3600 seconds".to_owned()),
    }
}

impl Engine {
    pub async fn run(self) -> anyhow::Result<()> {
        let time = Duration::from_secs_f64(self.seconds);
        println!(
            "Executions of {STEPS} keyed steps on {}, {} bytes of input; each row {} s of engine, then {} s of the raw writer.",
            self.store, self.payload, self.seconds, self.seconds
        );
        if cfg!(debug_assertions) {
            println!("This is a build without optimisation: the figures mean little. Run with --release.");
        }
        println!("fdatasync of 4 KiB on this disk: {:.2} ms (median of 200)\n", raw::fdatasync_ms()?);
        let mut table = Table::new();
        table.load_style(presets::UTF8_HORIZONTAL_ONLY);
        table.set_header(["concurrent", "steps/s", "p50 ms", "p99 ms", "raw steps/s", "engine/raw"]);
        for column in table.column_iter_mut() {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let payload = "x".repeat(self.payload as usize);
        for concurrent in &self.concurrency {
            let concurrent = *concurrent as usize;
            let seen = self.engine(concurrent, &payload, time).await?;
            let steps_per_s = seen.executions_per_s * f64::from(STEPS);
            let (raw, ratio) = if self.store == "sqlite" {
                let raw = tokio::task::block_in_place(|| raw::steps_per_s(concurrent, &payload, time))?;
                (format!("{raw:.0}"), format!("{:.2}", steps_per_s / raw))
            } else {
                ("-".to_owned(), "-".to_owned())
            };
            let latency = |percent| format!("{:.2}", seen.latency_ms(percent));
            table.add_row([concurrent.to_string(), format!("{steps_per_s:.0}"), latency(50), latency(99), raw, ratio]);
        }
        println!("{table}");
        println!(
            "Latency: from asking to start an execution to having its result. Raw: the same rows, by one writer, one"
        );
        println!(
            "commit for one command of each concurrent execution (at 1: a commit a command), without reads or decisions."
        );
        Ok(())
    }

    async fn engine(&self, concurrent: usize, payload: &str, time: Duration) -> anyhow::Result<Seen> {
        let folder = tempfile::tempdir()?;
        let store: Arc<dyn Store> = match self.store.as_str() {
            "memory" => Arc::new(MemoryStore::new()),
            _ => Arc::new(SqliteStore::open(folder.path().join("bench.sqlite"))?),
        };
        let worker = load::worker(store.clone(), concurrent).start()?;
        let client = Client::new(store);
        let seen = load::drive(client, concurrent, payload, Until::Time(time), Arc::new(AtomicU64::new(0))).await?;
        worker.shutdown(Duration::from_secs(5)).await;
        Ok(seen)
    }
}
