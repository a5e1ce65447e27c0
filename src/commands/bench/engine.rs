//! Steps a second, latency, and the ratio to the raw limit, over whatever is varied.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::Context as _;
use comfy_table::{CellAlignment, Table, presets};
use hydra_engine::Client;

use super::case::{Case, Measured};
use super::load::{self, Input, Until};
use super::place::{Place, Server, StoreKind};
use super::{chart, drain, history, raw, usage};

/// What to measure. Of each list every value is measured with every value of the others.
#[derive(clap::Args)]
pub struct Engine {
    /// Where the rows are kept.
    #[arg(long, value_enum, default_value_t = StoreKind::Sqlite)]
    store: StoreKind,
    /// PostgreSQL: the URL of a database, in which the engine's rows are thrown away. Without it a server is started from
    /// the installed binaries, in a temporary folder.
    #[arg(long)]
    url: Option<String>,
    /// How many executions at a time, up to 4096 or so.
    #[arg(long, value_delimiter = ',', default_value = "1,16,256,1024", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    concurrency: Vec<u32>,
    /// Bytes of input of each execution.
    #[arg(long, value_delimiter = ',', default_value = "100", value_parser = clap::value_parser!(u32).range(..=8_388_608))]
    payload: Vec<u32>,
    /// Steps of each execution.
    #[arg(long, value_delimiter = ',', default_value = "3", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    steps: Vec<u32>,
    /// Rows of executions that have ended, in the store before it is measured.
    #[arg(long, value_delimiter = ',', default_value = "0", value_parser = clap::value_parser!(u64).range(..=100_000_000))]
    history: Vec<u64>,
    /// Worker processes. With more than one, a backlog is started and then drained by them.
    #[arg(long, value_delimiter = ',', default_value = "1", value_parser = clap::value_parser!(u32).range(1..=64))]
    processes: Vec<u32>,
    /// How long to measure each, in seconds.
    #[arg(long, default_value_t = 4.0, value_parser = seconds)]
    seconds: f64,
    /// Writes what was measured as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draws steps a second over whatever has several values.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.1..=3_600.0).contains(&seconds) => Ok(seconds),
        _ => Err("give between 0.1 and 3600 seconds".to_owned()),
    }
}

impl Engine {
    pub async fn run(self) -> anyhow::Result<()> {
        println!(
            "Executions of keyed steps on {}; each row {} s of engine, then {} s of the raw writer.",
            self.store.word(),
            self.seconds,
            self.seconds
        );
        println!("fdatasync of 4 KiB on this disk: {:.2} ms (median of 200)\n", raw::fdatasync_ms()?);
        let server = match self.store {
            StoreKind::Postgres => Some(Server::start(self.url.as_deref())?),
            StoreKind::Sqlite | StoreKind::Memory => None,
        };
        let mut all = Vec::new();
        for (number, case) in self.cases().into_iter().enumerate() {
            let measured = self.measure(case, server.as_ref(), number).await?;
            eprintln!("{}", progress(&measured));
            all.push(measured);
        }
        println!("{}", table(&all));
        self.explain(&all);
        if let Some(file) = &self.json {
            std::fs::write(file, serde_json::to_string_pretty(&all)?).context("the figures cannot be written")?;
        }
        if let Some(file) = &self.svg {
            chart::engine(file, &all)?;
        }
        Ok(())
    }

    fn cases(&self) -> Vec<Case> {
        let mut cases = Vec::new();
        for &concurrency in &self.concurrency {
            for &payload_bytes in &self.payload {
                for &steps in &self.steps {
                    for &history_rows in &self.history {
                        cases.extend(self.processes.iter().map(|&processes| Case {
                            store: self.store,
                            concurrency: concurrency as usize,
                            payload_bytes: payload_bytes as usize,
                            steps,
                            history_rows,
                            processes: processes as usize,
                        }));
                    }
                }
            }
        }
        cases
    }

    async fn measure(&self, case: Case, server: Option<&Server>, number: usize) -> anyhow::Result<Measured> {
        let time = Duration::from_secs_f64(self.seconds);
        let place = Place::new(case.store, server, &number.to_string())?;
        tokio::task::block_in_place(|| history::fill(&place, case.history_rows))?;
        let input = Input::new(case.steps, case.payload_bytes);
        let server_cpu = || server.and_then(Server::cpu_s);
        let before = server_cpu();
        let mut measured = if case.processes > 1 {
            drained(&place, case, &input, time).await?
        } else {
            driven(&place, case, &input, time).await?
        };
        let steps = measured.steps_done as f64;
        measured.server_cpu_s_per_1000_steps =
            before.zip(server_cpu()).map(|(before, after)| (after - before) / steps * 1e3);
        drop(place);
        if case.store == StoreKind::Sqlite {
            let raw = tokio::task::block_in_place(|| raw::steps_per_s(case.concurrency, &input, time))?;
            measured.raw_steps_per_s = Some(raw);
        }
        Ok(measured)
    }

    fn explain(&self, all: &[Measured]) {
        println!("Latency: from asking to start an execution to having its result. CPU: of engine, clients and worker");
        println!(
            "processes together, for 1,000 steps; beside it that of the server that this command has started. MiB: the"
        );
        println!("most that engine, clients and worker processes have held.");
        if self.store == StoreKind::Sqlite {
            println!(
                "Raw: the same rows, by one writer, one commit for one command of each concurrent execution (at 1: a"
            );
            println!("commit a command), without reads or decisions.");
        }
        let alone = all.iter().find(|one| one.case.concurrency == 1 && one.case.steps == 3);
        if let Some((Some(p50), Some(raw))) = alone.map(|one| (one.p50_ms, one.raw_steps_per_s)) {
            // Nine commits for three steps: start, claim, three times begin and settle, finish.
            let commit_ms = 1_000.0 * 3.0 / (raw * 9.0);
            println!(
                "Alone, an execution takes {p50:.2} ms from start to result; three commits and 2 ms are {:.2} ms (a commit: {commit_ms:.2} ms).",
                3.0 * commit_ms + 2.0
            );
        }
    }
}

/// Clients and a worker in this process, each client with one execution at a time.
async fn driven(place: &Place, case: Case, input: &Input, time: Duration) -> anyhow::Result<Measured> {
    let store = place.open()?;
    usage::forget_peak();
    let me = [usage::own()];
    let cpu = usage::cpu_s(&me);
    let worker = load::worker(store.clone(), case.concurrency).start()?;
    let done = Arc::new(AtomicU64::new(0));
    let seen = load::drive(Client::new(store), case.concurrency, input, Until::Time(time), done.clone()).await?;
    worker.shutdown(Duration::from_secs(5)).await;
    let cpu = usage::cpu_s(&me) - cpu;
    let steps = done.load(std::sync::atomic::Ordering::Relaxed) * u64::from(case.steps);
    Ok(Measured {
        case,
        steps_done: steps,
        steps_per_s: seen.executions_per_s * f64::from(case.steps),
        p50_ms: Some(seen.latency_ms(50)),
        p99_ms: Some(seen.latency_ms(99)),
        cpu_s_per_1000_steps: cpu / steps as f64 * 1e3,
        server_cpu_s_per_1000_steps: None,
        peak_mib: usage::peak_mib(&me),
        raw_steps_per_s: None,
    })
}

async fn drained(place: &Place, case: Case, input: &Input, time: Duration) -> anyhow::Result<Measured> {
    let drained = drain::drain(place, case, input, time).await?;
    Ok(Measured {
        case,
        steps_done: drained.steps,
        steps_per_s: drained.steps_per_s,
        p50_ms: None,
        p99_ms: None,
        cpu_s_per_1000_steps: drained.cpu_s / drained.steps as f64 * 1e3,
        server_cpu_s_per_1000_steps: None,
        peak_mib: drained.peak_mib,
        raw_steps_per_s: None,
    })
}

fn progress(measured: &Measured) -> String {
    let Case { concurrency, payload_bytes, steps, history_rows, processes, .. } = measured.case;
    format!(
        "concurrency {concurrency}, payload {payload_bytes}, steps {steps}, history {history_rows}, processes {processes}: \
         {:.0} steps/s",
        measured.steps_per_s
    )
}

fn table(all: &[Measured]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "concurrent",
        "payload",
        "steps",
        "history",
        "processes",
        "steps/s",
        "p50 ms",
        "p99 ms",
        "CPU s",
        "server CPU s",
        "MiB",
        "raw steps/s",
        "engine/raw",
    ]);
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let optional =
        |value: Option<f64>, digits: usize| value.map_or("-".to_owned(), |value| format!("{value:.digits$}"));
    for one in all {
        table.add_row([
            one.case.concurrency.to_string(),
            one.case.payload_bytes.to_string(),
            one.case.steps.to_string(),
            one.case.history_rows.to_string(),
            one.case.processes.to_string(),
            format!("{:.0}", one.steps_per_s),
            optional(one.p50_ms, 2),
            optional(one.p99_ms, 2),
            format!("{:.3}", one.cpu_s_per_1000_steps),
            optional(one.server_cpu_s_per_1000_steps, 3),
            format!("{:.0}", one.peak_mib),
            optional(one.raw_steps_per_s, 0),
            optional(one.ratio(), 2),
        ]);
    }
    table
}
