//! What the journal of commands costs: the same commands on a file that keeps none and on one that does, in turn.
//!
//! `cargo run --release -p hydra-engine --example journal_cost [ROUNDS]`
//!
//! CPU time is the whole process's, so that it means the same on a machine that others use too.

use std::path::Path;
use std::time::Duration;

use futures::future::try_join_all;
use hydra_engine::store::{
    ClaimRequest, CommandRequest, ExecutionId, ExecutionKey, Payload, SqliteOptions, StepRef, Store, StoreError,
    StoreOptions, Target,
};
use hydra_protocol::{Command, Ending, Epoch, Kind, Settlement, Span, StepNo, Time};

/// Executions that go on side by side, so that their commands are committed together.
const TOGETHER: usize = 256;
/// Commands of each: start, claim, begin, settle, finish.
const COMMANDS: usize = 5;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rounds: usize = std::env::args().nth(1).map_or(Ok(40), |rounds| rounds.parse())?;
    let mut spent = [Duration::ZERO; 2];
    let mut bytes = [0; 2];
    for turn in 0..6 {
        let journal = turn % 2 == 1;
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("store.db");
        let before = cpu()?;
        drive(&path, journal, rounds).await?;
        spent[usize::from(journal)] += cpu()? - before;
        bytes[usize::from(journal)] += std::fs::metadata(&path)?.len();
    }
    let commands = (3 * rounds * TOGETHER * COMMANDS) as f64;
    let each = |spent: Duration| spent.as_secs_f64() * 1e6 / commands;
    let [without, with] = spent.map(each);
    println!("CPU a command: {without:.1} us without a journal, {with:.1} us with one ({:.2} times)", with / without);
    println!("file a command: {:.0} bytes without, {:.0} with", bytes[0] as f64 / commands, bytes[1] as f64 / commands);
    Ok(())
}

async fn drive(path: &Path, journal: bool, rounds: usize) -> Result<(), StoreError> {
    let options = SqliteOptions { journal, ..SqliteOptions::at(path) };
    let store = options.open(StoreOptions::default())?;
    let all = async |requests: Vec<CommandRequest>| {
        try_join_all(requests.into_iter().map(|request| store.command(request))).await.map(drop)
    };
    let payload = |workflow: Option<&str>| Payload {
        workflow: workflow.map(str::to_owned),
        value: Some(vec![b'x'; 64]),
        error: None,
    };
    for round in 0..rounds {
        let start = |number| CommandRequest {
            target: Target::Id(ExecutionId { namespace: "default".into(), id: format!("{round}-{number}") }),
            step: None,
            command: Command::Start { due_at: Time::default(), deadline: None, replays_max: 10 },
            payload: payload(Some("w")),
        };
        all((0..TOGETHER).map(start).collect()).await?;
        let (worker, namespace, workflows) = ("w".into(), "default".into(), vec!["w".to_owned()].into());
        let lease = Span::from_millis(3_600_000);
        let claims = store.claim(ClaimRequest { worker, namespace, workflows, limit: TOGETHER, lease }).await?;
        let of = |command: fn(Epoch) -> Command| {
            let request = move |(key, epoch): (ExecutionKey, Epoch)| CommandRequest {
                target: Target::Key(key),
                step: Some(StepRef { no: StepNo(1), name: "charge".into() }),
                command: command(epoch),
                payload: payload(None),
            };
            claims.claimed.iter().map(|claimed| request((claimed.key, claimed.epoch))).collect()
        };
        all(of(|epoch| Command::Begin { epoch, kind: Kind::Keyed, attempt: 1, attempts_max: 3 })).await?;
        all(of(|epoch| Command::Settle { epoch, attempt: 1, settlement: Settlement::Succeeded })).await?;
        all(of(|epoch| Command::Finish { epoch, ending: Ending::Succeeded })).await?;
    }
    store.close().await;
    Ok(())
}

/// What this process has used so far: user and system, in hundredths of a second.
fn cpu() -> Result<Duration, Box<dyn std::error::Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(Duration::from_millis(ticks * 10))
}
