//! `hydra executions FILE`: what an operator does by hand.

mod list;
mod show;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use hydra_engine::Client;
use hydra_engine::store::SqliteStore;

/// Executions in an SQLite file.
#[derive(clap::Args)]
pub struct Executions {
    /// The engine's file.
    file: PathBuf,
    /// The namespace to look into.
    #[arg(long, default_value = hydra_engine::DEFAULT_NAMESPACE, global = true)]
    namespace: String,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(clap::Subcommand)]
enum What {
    /// Lists executions, newest first (the default).
    List(list::List),
    /// Shows one: its steps, their attempts, inputs and outputs, and who held which epoch when.
    Show {
        /// The execution's id.
        id: String,
    },
    /// Cancels one, at once. Effects that happened stay.
    Cancel {
        /// The execution's id.
        id: String,
    },
    /// Opens a failed one again. If the step that settled last had failed, it gets further attempts.
    Retry {
        /// The execution's id.
        id: String,
        /// How many further attempts.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        attempts: u32,
    },
    /// Deletes what ended long ago, with its steps and results, a batch at a time. Never one that has not ended, and never
    /// the one that was started last: the next one's number is counted from it.
    Prune {
        /// Ended longer ago than this: `30d`, `12h`.
        #[arg(long, value_parser = humantime::parse_duration)]
        older_than: Duration,
    },
    /// Says what became of a step in doubt, or of one whose result was lost. Then `retry` lets its execution go on.
    Resolve {
        /// The execution's id.
        id: String,
        /// The step's number.
        step: u32,
        /// It happened, and this is its result, as JSON.
        #[arg(long, value_name = "JSON", required_unless_present = "failed")]
        succeeded: Option<String>,
        /// It did not happen, for this reason. A retry runs it again.
        #[arg(long, value_name = "WHY", conflicts_with = "succeeded")]
        failed: Option<String>,
    },
}

impl Executions {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        // Opening makes a file; looking into one must not.
        if !self.file.is_file() {
            bail!("there is no file {}; give the engine's SQLite file", self.file.display());
        }
        super::runtime()?.block_on(async {
            let store = SqliteStore::open(&self.file).context("cannot open the store")?;
            let client = Client::new(Arc::new(store)).namespace(&self.namespace)?;
            match self.what {
                None => list::List::default().run(&client).await?,
                Some(What::List(list)) => list.run(&client).await?,
                Some(What::Show { id }) => show::show(&client, &id).await?,
                Some(What::Cancel { id }) => {
                    client.cancel(&id).await?;
                    println!("{id} is cancelled.");
                }
                Some(What::Retry { id, attempts }) => {
                    client.retry(&id, attempts).await?;
                    println!("{id} is open again; the next worker that looks for work takes it up.");
                }
                Some(What::Prune { older_than }) => {
                    let deleted = client.prune(older_than).await?;
                    println!("{deleted} executions deleted; the file keeps its size and uses the room again.");
                }
                Some(What::Resolve { id, step, succeeded, failed }) => {
                    match (succeeded, failed) {
                        (Some(json), _) => client.resolve_succeeded_json(&id, step, json.into_bytes()).await?,
                        (None, why) => client.resolve_failed(&id, step, &why.unwrap_or_default()).await?,
                    }
                    println!("step {step} of {id} is resolved. To go on: retry {id}");
                }
            }
            Ok(ExitCode::SUCCESS)
        })
    }
}
