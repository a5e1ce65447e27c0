//! The core over plain rows, the store in memory and an SQLite file, by two connections that take turns: answers and all
//! rows are equal after every command.

use std::cell::Cell;
use std::path::PathBuf;

use arbitrary::{Result, Unstructured};
use hydra_engine::store::Rules;
use hydra_protocol::{Backoff, Ending, Failure, Kind, Settlement, Span, Verdict};
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use crate::differential::beside::Beside;
use crate::differential::ops::{Op, What};
use crate::{Judged, subject};

/// The most operations of one input.
const OPS_MAX: usize = 60;

/// Judges the stores under the rules in `HYDRA_SUBJECT`, beside a model that goes by the right ones.
pub fn judge(bytes: &[u8]) -> Judged {
    thread_local!(static KEPT: Cell<Option<Stores>> = const { Cell::new(None) });
    // Not put back after a finding: whatever state that left.
    let mut stores = KEPT.take().map_or_else(|| Stores::open(subject::rules()), Ok)?;
    stores.judge(bytes)?;
    KEPT.set(Some(stores));
    Ok(())
}

/// Judges stores that go by these rules.
pub fn judge_rules(rules: Rules, bytes: &[u8]) -> Judged {
    Stores::open(rules)?.judge(bytes)
}

/// The model and its stores, used again for the next input: opening a file by two connections, which then prepare every
/// statement, takes many times longer than judging an input.
struct Stores {
    rules: Rules,
    beside: Beside,
    /// Empties the file: the engine has no words for that.
    broom: Connection,
    runtime: Runtime,
    _folder: TempDir,
}

impl Stores {
    fn open(rules: Rules) -> std::result::Result<Self, String> {
        let folder = tempfile::tempdir_in(memory()).map_err(|error| error.to_string())?;
        let path = folder.path().join("store.db");
        let beside = Beside::sqlite_at(rules, &path);
        let broom = Connection::open(&path).map_err(|error| error.to_string())?;
        broom.pragma_update(None, "foreign_keys", "ON").map_err(|error| error.to_string())?;
        let runtime = Builder::new_current_thread().enable_time().build().map_err(|error| error.to_string())?;
        Ok(Stores { rules, beside, broom, runtime, _folder: folder })
    }

    fn judge(&mut self, bytes: &[u8]) -> Judged {
        // What belongs to an execution goes with it, and keys begin at 1 again.
        self.broom.execute("DELETE FROM hydra_executions", []).map_err(|error| error.to_string())?;
        self.beside.begin_again(self.rules);
        let ops = ops(&mut Unstructured::new(bytes));
        self.runtime.block_on(async {
            for (index, op) in ops.iter().enumerate() {
                let done = self.beside.apply(op).await;
                done.map_err(|difference| format!("{difference}\nafter {:#?}", &ops[..=index]))?;
            }
            Ok(())
        })
    }
}

/// A folder that no disk is behind, where there is one.
pub(crate) fn memory() -> PathBuf {
    let shared = PathBuf::from("/dev/shm");
    if shared.is_dir() { shared } else { std::env::temp_dir() }
}

fn ops(bytes: &mut Unstructured<'_>) -> Vec<Op> {
    let mut ops = vec![
        Op::Start { execution: 0, due_in_ms: 0, deadline_in_ms: None, input: 0 },
        Op::Claim { limit: 1, lease_ms: 1_000 },
    ];
    while !bytes.is_empty() && ops.len() < OPS_MAX {
        match one(bytes) {
            Ok(next) => ops.push(next),
            Err(_) => break,
        }
    }
    ops
}

fn one(bytes: &mut Unstructured<'_>) -> Result<Op> {
    let ms = |bytes: &mut Unstructured<'_>| bytes.arbitrary::<u8>().map(u64::from);
    let rarely = |bytes: &mut Unstructured<'_>| bytes.ratio(1, 16).map(u32::from);
    Ok(match bytes.int_in_range(0..=13_u8)? {
        0 => Op::Advance(ms(bytes)?),
        1 => Op::Advance(10 * ms(bytes)?),
        2 => {
            let deadline_in_ms = if bytes.ratio(1, 4)? { Some(4 * ms(bytes)?) } else { None };
            let (due_in_ms, input) = (if bytes.arbitrary()? { 0 } else { ms(bytes)? }, rarely(bytes)? as u8);
            Op::Start { execution: execution(bytes)?, due_in_ms, deadline_in_ms, input }
        }
        3 | 4 => Op::Claim { limit: bytes.int_in_range(0..=2)?, lease_ms: 8 * ms(bytes)? },
        5 => {
            let count = bytes.int_in_range(0..=2)?;
            Op::Heartbeat { epochs_back: (0..count).map(|_| rarely(bytes)).collect::<Result<_>>()? }
        }
        _ => Op::Command {
            execution: execution(bytes)?,
            step: bytes.int_in_range(1..=4)?,
            epochs_back: rarely(bytes)?,
            attempt: match bytes.arbitrary::<u8>()? {
                0..=15 => 0,
                16..=31 => 2,
                _ => 1,
            },
            what: what(bytes)?,
        },
    })
}

/// Mostly the first, so that commands meet.
fn execution(bytes: &mut Unstructured<'_>) -> Result<u8> {
    Ok(bytes.int_in_range(0..=7_u8)?.saturating_sub(5))
}

fn what(bytes: &mut Unstructured<'_>) -> Result<What> {
    let ms = |bytes: &mut Unstructured<'_>| bytes.int_in_range(0..=63_u64);
    let backoff =
        Backoff { initial: Span::from_millis(20), cap: Span::from_millis(50), factor_percent: 200, jitter_percent: 50 };
    let kinds = [Kind::Keyed, Kind::Transactional, Kind::AtMostOnce, Kind::Timer];
    Ok(match bytes.int_in_range(0..=15_u8)? {
        0..=3 => {
            let kind = if bytes.ratio(1, 8)? { Some(*bytes.choose(&kinds)?) } else { None };
            What::Begin(kind, bytes.int_in_range(0..=2)?)
        }
        4 | 5 => What::Settle(Settlement::Succeeded),
        6 => What::Settle(Settlement::Failed { retryable: bytes.arbitrary()?, backoff, salt: bytes.arbitrary()? }),
        7 => What::Settle(*bytes.choose(&[Settlement::Unencodable, Settlement::InDoubt])?),
        8 => What::Body { commit: bytes.arbitrary()? },
        9 => What::Sleep(ms(bytes)?),
        10 => What::Fire,
        11 => What::Release(if bytes.arbitrary()? { Some(ms(bytes)?) } else { None }),
        12 => What::Finish(*bytes.choose(&[
            Ending::Succeeded,
            Ending::Failed(Failure::Workflow),
            Ending::Failed(Failure::Nondeterministic),
            Ending::Cancelled,
        ])?),
        13 => What::Cancel,
        14 => What::Retry,
        _ => What::Resolve(*bytes.choose(&[Verdict::Succeeded, Verdict::Failed])?),
    })
}
