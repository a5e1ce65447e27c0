//! The raw limit: the same rows, written by one writer with plain SQLite.

use std::io::{Seek, SeekFrom, Write};
use std::time::{Duration, Instant};

use hydra_engine::store::SqliteStore;
use rusqlite::{Connection, Statement, ToSql, params};

use super::load::Input;

/// Steps a second with one commit for one command of each of `concurrent` executions: start, claim, begin and settle of
/// each step, finish. Nothing is read, nothing decided, nobody is answered.
pub fn steps_per_s(concurrent: usize, input: &Input, time: Duration) -> anyhow::Result<f64> {
    let payload = serde_json::to_vec(input)?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("raw.sqlite");
    // Opened once by the engine, so that the tables are the engine's own.
    drop(SqliteStore::open(&path)?);
    let connection = Connection::open(&path)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    let mut rows = Rows::prepare(&connection)?;
    let (mut first, mut steps) = (1_i64, 0_u64);
    let begun = Instant::now();
    while begun.elapsed() < time {
        let keys = first..first + concurrent as i64;
        let mut commit = |write: &mut dyn FnMut(&mut Rows<'_>, i64) -> rusqlite::Result<()>| {
            connection.execute_batch("begin immediate")?;
            keys.clone().try_for_each(|key| write(&mut rows, key))?;
            connection.execute_batch("commit")
        };
        commit(&mut |rows, key| rows.start(key, &payload))?;
        commit(&mut |rows, key| rows.claim(key))?;
        for step in 1..=i64::from(input.steps) {
            commit(&mut |rows, key| rows.begin(key, step))?;
            commit(&mut |rows, key| rows.settle(key, step))?;
        }
        commit(&mut |rows, key| rows.finish(key))?;
        steps += u64::from(input.steps) * concurrent as u64;
        first += concurrent as i64;
    }
    Ok(steps as f64 / begun.elapsed().as_secs_f64())
}

/// The statements, prepared.
struct Rows<'c> {
    start: Statement<'c>,
    input: Statement<'c>,
    claim: Statement<'c>,
    lease: Statement<'c>,
    begin: Statement<'c>,
    progress: Statement<'c>,
    settle: Statement<'c>,
    finish: Statement<'c>,
    output: Statement<'c>,
    end_lease: Statement<'c>,
}

impl<'c> Rows<'c> {
    fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Rows {
            start: connection.prepare(
                "insert into hydra_executions (seq, namespace, id, workflow, status, due_at, epoch, settled, replays, \
                 replays_max, started_at) values (?1, 'default', ?2, 'bench', 'ready', 0, 0, 0, 0, 100, 0)",
            )?,
            input: connection.prepare("insert into hydra_payloads (execution, input) values (?1, ?2)")?,
            claim: connection.prepare(
                "update hydra_executions set status = 'leased', due_at = 1, epoch = 1, replays = 1, worker = 'raw' \
                 where seq = ?1 and epoch = 0",
            )?,
            lease: connection.prepare(
                "insert into hydra_leases (execution, epoch, worker, claimed_at) values (?1, 1, 'raw', 0)",
            )?,
            begin: connection.prepare(
                "insert into hydra_steps (execution, step, name, kind, epoch, attempt, attempts_max, state, begun_at) \
                 values (?1, ?2, 'reserve', 'keyed', 1, 1, 3, 'running', 0)",
            )?,
            progress: connection.prepare(
                "update hydra_executions set settled = ?2, replays = 0 where seq = ?1 and epoch = 1",
            )?,
            settle: connection.prepare(
                "update hydra_steps set state = 'succeeded', ord = ?2, settled_at = 0, output = ?3 \
                 where execution = ?1 and step = ?2",
            )?,
            finish: connection.prepare(
                "update hydra_executions set status = 'succeeded', due_at = null, ended_at = 0 where seq = ?1 and epoch = 1",
            )?,
            output: connection.prepare("update hydra_payloads set output = ?2 where execution = ?1")?,
            end_lease: connection.prepare("update hydra_leases set ended_at = 0 where execution = ?1 and epoch = 1")?,
        })
    }

    fn start(&mut self, key: i64, payload: &[u8]) -> rusqlite::Result<()> {
        one(&mut self.start, params![key, format!("0-{key}")])?;
        one(&mut self.input, params![key, payload])
    }

    fn claim(&mut self, key: i64) -> rusqlite::Result<()> {
        one(&mut self.claim, params![key])?;
        one(&mut self.lease, params![key])
    }

    fn begin(&mut self, key: i64, step: i64) -> rusqlite::Result<()> {
        one(&mut self.begin, params![key, step])
    }

    fn settle(&mut self, key: i64, step: i64) -> rusqlite::Result<()> {
        one(&mut self.progress, params![key, step])?;
        one(&mut self.settle, params![key, step, b"64".as_slice()])
    }

    fn finish(&mut self, key: i64) -> rusqlite::Result<()> {
        one(&mut self.finish, params![key])?;
        one(&mut self.output, params![key, b"192".as_slice()])?;
        one(&mut self.end_lease, params![key])
    }
}

/// Each statement writes one row, or this measures something else than it says.
fn one(statement: &mut Statement<'_>, params: &[&dyn ToSql]) -> rusqlite::Result<()> {
    match statement.execute(params)? {
        1 => Ok(()),
        rows => Err(rusqlite::Error::StatementChangedRows(rows)),
    }
}

/// How long this disk takes to make 4 KiB durable: a figure without it says little.
pub fn fdatasync_ms() -> anyhow::Result<f64> {
    let mut file = tempfile::tempfile()?;
    let mut took = Vec::with_capacity(200);
    for _ in 0..200 {
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&[7; 4_096])?;
        let begun = Instant::now();
        file.sync_data()?;
        took.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    took.sort_by(f64::total_cmp);
    Ok(took[took.len() / 2])
}
