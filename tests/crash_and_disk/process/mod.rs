//! The engine's process under test: this very program, started again with a plan.

mod listening;
pub mod outside;
pub mod tour;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use hydra_engine::protocol::{Protocol, Reference, Time};
use hydra_engine::store::{Clock, SqliteOptions, SqliteStore, StoreError, StoreOptions, Synchronous, SystemClock};
use hydra_engine::{Client, ClientError, Worker};
use serde::{Deserialize, Serialize};

use listening::Listening;
use outside::{Note, Outside};

/// Set for a process that is to be the engine: its plan.
pub const PLAN: &str = "HYDRA_ENGINE_PLAN";

/// What an engine's process does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// The store's file.
    pub file: PathBuf,
    /// The port of the outside: receiver of effects, and of what clients were told.
    pub outside: u16,
    /// Executions to start and to wait for, one after the other.
    pub ids: Vec<String>,
    /// Started together rather than one after the other.
    pub together: bool,
    pub lease_ms: u64,
    /// So much later is it by the store's clock: the leases of processes before are over.
    pub ahead_ms: u64,
    /// How long a receipt is: what a commit has to write.
    pub paper_bytes: usize,
    /// How long a body takes after its effect: time to kill it.
    pub pace_ms: u64,
    /// Commits that are not synced: what must be noticed.
    pub normal: bool,
    /// Rules of the museum to go by: what must be noticed.
    pub mutant: Option<String>,
    /// A store that calls what it could not read not there: what must be noticed.
    pub blind: bool,
    /// Between executions somebody checkpoints the log, and then the store is closed and opened again.
    pub housekeeping: bool,
}

impl Plan {
    pub fn new(file: PathBuf, ids: &[&str]) -> Self {
        Plan {
            file,
            outside: 0,
            ids: ids.iter().map(|&id| id.to_owned()).collect(),
            together: false,
            lease_ms: 20_000,
            ahead_ms: 0,
            paper_bytes: 3,
            pace_ms: 0,
            normal: false,
            mutant: None,
            blind: false,
            housekeeping: false,
        }
    }

    /// The plan of this process, if it is to be the engine.
    pub fn told() -> Option<Self> {
        Some(serde_json::from_str(&std::env::var(PLAN).ok()?).unwrap())
    }

    fn rules(&self) -> &'static (dyn Protocol + Sync) {
        match &self.mutant {
            None => &Reference,
            Some(name) => hydra_model::museum::find(name).unwrap().rules,
        }
    }

    fn open(&self) -> Result<SqliteStore, StoreError> {
        let synchronous = if self.normal { Synchronous::Normal } else { Synchronous::Full };
        let clock = Arc::new(Ahead(self.ahead_ms));
        SqliteOptions { synchronous, ..SqliteOptions::at(&self.file) }.open(StoreOptions {
            rules: self.rules(),
            clock,
            ..StoreOptions::default()
        })
    }
}

/// The machine's clock, and so much later.
struct Ahead(u64);

impl Clock for Ahead {
    fn now(&self) -> Time {
        Time::from_millis(SystemClock.now().as_millis() + self.0)
    }
}

/// How long to wait before something that the store could not do is tried again.
const AGAIN: Duration = Duration::from_millis(10);

/// Runs a plan to its end.
pub fn run(plan: &Plan) -> ExitCode {
    // Not before whoever traces this has said so.
    std::io::stdin().read_line(&mut String::new()).unwrap();
    let outside = Arc::new(Outside::connect(plan.outside));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        if plan.housekeeping {
            let (first, rest) = plan.ids.split_at(plan.ids.len().min(2));
            serve(plan, &outside, first).await;
            serve(plan, &outside, rest).await;
        } else {
            serve(plan, &outside, &plan.ids).await;
        }
    });
    ExitCode::SUCCESS
}

/// From opening the store to closing it.
async fn serve(plan: &Plan, outside: &Arc<Outside>, ids: &[String]) {
    let sqlite = loop {
        match plan.open() {
            Ok(sqlite) => break Arc::new(sqlite),
            Err(error) => again("open", &error, outside).await,
        }
    };
    while let Err(error) = sqlite.execute(&[tour::TABLE]).await {
        again("create a table", &error, outside).await;
    }
    let store = Arc::new(Listening { store: sqlite.clone(), outside: outside.clone(), blind: plan.blind });
    let (bodies, client) = (outside.clone(), Client::new(store.clone()));
    let pace = Duration::from_millis(plan.pace_ms);
    let worker = Worker::builder(store)
        .rules(plan.rules())
        .workflow(tour::WORKFLOW, move |ctx, paper_bytes| tour::tour(ctx, paper_bytes, bodies.clone(), pace))
        .lease(Duration::from_millis(plan.lease_ms))
        .poll_interval(AGAIN)
        .start()
        .unwrap();
    if plan.together {
        futures::future::join_all(ids.iter().map(|id| see_to_its_end(plan, &client, outside, id))).await;
    } else {
        for id in ids {
            see_to_its_end(plan, &client, outside, id).await;
            if plan.housekeeping {
                checkpoint(&plan.file);
            }
        }
    }
    worker.shutdown(Duration::from_secs(5)).await;
    sqlite.close().await;
}

async fn see_to_its_end(plan: &Plan, client: &Client, outside: &Outside, id: &str) {
    loop {
        match client.start(tour::WORKFLOW, id, &plan.paper_bytes).replays_max(1_000_000).await {
            Ok(_) => break,
            Err(ClientError::Store(error)) => again("start", &error, outside).await,
            Err(error) => panic!("{error}"),
        }
    }
    outside.tell(Note::Started { id: id.to_owned() });
    let view = loop {
        match client.ended(id).await {
            Ok(view) => break view,
            Err(ClientError::Store(error)) => again("wait", &error, outside).await,
            Err(error) => panic!("{error}"),
        }
    };
    let output = String::from_utf8(view.output.unwrap_or_default()).unwrap();
    outside.tell(Note::Ended { id: id.to_owned(), output });
}

async fn again(doing: &str, error: &StoreError, outside: &Outside) {
    outside.tell(listening::trouble(doing, error));
    tokio::time::sleep(AGAIN).await;
}

/// As any other program may that has the file open.
fn checkpoint(file: &std::path::Path) {
    let other = rusqlite::Connection::open(file).unwrap();
    other.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(())).unwrap();
}
