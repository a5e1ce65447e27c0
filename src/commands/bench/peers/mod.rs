//! `hydra bench peers`: the same work through every engine that is installed, and through this one, in turn.

mod adapted;
mod embedded;
mod figures;
mod table;

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use anyhow::{Context as _, bail};
use hydra_live::adapter::{Adapter, Store as Wants, install};
use tokio::runtime::Runtime;

use super::place::{Server, StoreKind};
use super::{chart, raw};
use figures::{Figures, Row};

/// Executions of 3 steps that do nothing, durable, by as many worker processes with as many executions at a time each.
/// Workers are held while the executions are started and then let go: steps a second from there to the last end. Then
/// executions one at a time, for the latency.
#[derive(clap::Args)]
pub struct Peers {
    /// Adapters: folders, or names under adapters/; they are installed if they are not. Default: all that are installed.
    /// This engine, embedded in this process, always has its turns.
    adapters: Vec<String>,
    /// Executions of each round, for each of the others; this engine gets ten times as many.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    executions: u32,
    /// Executions at a time in each worker process, of engines that can be told.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=4_096))]
    concurrency: u32,
    /// Worker processes.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=8))]
    processes: u32,
    /// How often all of them have their turn.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Executions one at a time, of each round.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    alone: u32,
    /// Writes what was measured as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draws steps a second of each.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// Who has a turn.
enum Subject {
    /// An engine behind an adapter, in processes of its own.
    Adapted(Box<Adapter>),
    /// This engine, in this process.
    Embedded(StoreKind),
}

impl Subject {
    fn name(&self) -> String {
        match self {
            Subject::Adapted(adapter) => adapter.subject(),
            Subject::Embedded(store) => format!("hydra embedded, {}", store.word()),
        }
    }

    fn store(&self) -> &'static str {
        match self {
            Subject::Adapted(adapter) => match adapter.store {
                Wants::Sqlite => "sqlite",
                Wants::Postgres => "postgres",
                Wants::Own => "own",
            },
            Subject::Embedded(store) => store.word(),
        }
    }
}

impl Peers {
    pub fn run(self, runtime: &Runtime) -> anyhow::Result<()> {
        let subjects = self.subjects()?;
        let wants_postgres = subjects.iter().any(|subject| subject.store() == "postgres");
        let server = wants_postgres.then(|| Server::start(None)).transpose()?;
        let mut rows: Vec<Row> = subjects.iter().map(|subject| Row::new(subject.name(), subject.store())).collect();
        let mut fdatasync_ms = Vec::new();
        for round in 1..=self.rounds {
            fdatasync_ms.push(raw::fdatasync_ms()?);
            for (number, (subject, row)) in subjects.iter().zip(&mut rows).enumerate() {
                let turn = format!("{round}_{number}");
                match self.turn(subject, server.as_ref(), runtime, &turn) {
                    Ok(figures) => {
                        eprintln!("round {round}, {}: {:.0} steps/s", row.name, figures.steps_per_s);
                        row.rounds.push(figures);
                    }
                    Err(error) => {
                        eprintln!("round {round}, {}: {error:#}", row.name);
                        row.failed.push(format!("{error:#}"));
                    }
                }
            }
        }
        println!(
            "Executions of 3 steps that do nothing; {} worker processes of {} executions at a time, {} rounds in turn.",
            self.processes, self.concurrency, self.rounds
        );
        println!("fdatasync of 4 KiB before each round: {} ms\n", table::list(&fdatasync_ms));
        println!("{}", table::table(&rows));
        table::explain(&rows);
        if let Some(file) = &self.json {
            std::fs::write(file, serde_json::to_string_pretty(&rows)?).context("the figures cannot be written")?;
        }
        if let Some(file) = &self.svg {
            let bars: Vec<_> =
                rows.iter().filter_map(|row| Some((row.name.clone(), row.median(|one| one.steps_per_s)?))).collect();
            chart::bars(file, "Durable steps a second, the same work", "steps a second", &bars)?;
        }
        Ok(())
    }

    fn subjects(&self) -> anyhow::Result<Vec<Subject>> {
        let never = AtomicBool::new(false);
        let mut subjects = vec![Subject::Embedded(StoreKind::Sqlite), Subject::Embedded(StoreKind::Postgres)];
        let names = if self.adapters.is_empty() { adapted::installed()? } else { self.adapters.clone() };
        for name in names {
            let adapter = Adapter::find(&name)?;
            if adapter.supports.steps_max < 3 {
                bail!("{name}: a job queue has no steps to compare");
            }
            // This engine's own is built like this program.
            if adapter.name != "hydra-engine" {
                install::install(&adapter, &never, |step| eprintln!("installing {}: {step}", adapter.subject()))?;
            }
            subjects.push(Subject::Adapted(Box::new(adapter)));
        }
        Ok(subjects)
    }

    fn turn(
        &self,
        subject: &Subject,
        server: Option<&Server>,
        runtime: &Runtime,
        turn: &str,
    ) -> anyhow::Result<Figures> {
        match subject {
            Subject::Adapted(adapter) => adapted::turn(self, adapter, server, turn),
            Subject::Embedded(store) => runtime.block_on(embedded::turn(self, *store, server, turn)),
        }
    }
}
