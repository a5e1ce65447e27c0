//! The rows of the engine, on the connection that writes.

use hydra_protocol::{Epoch, Execution, RawStep, Step, StepNo, Time, decode};
use rusqlite::params;

use super::SqliteBackend;
use super::rows::{self, execution_columns, ms, step_columns};
use crate::store::backend::{
    Checkpoint, EngineRows, ExecutionUpdate, Field, Identity, NewExecution, NewStep, StepUpdate, WithStep,
};
use crate::store::{ExecutionId, ExecutionKey, JournalStep, StoreError, Target, sql_error};

/// All steps of an execution with their checkpoints: what a replay of however many reads.
pub(super) const JOURNAL: &str =
    concat!("SELECT ", step_columns!(), ", name, output, error FROM hydra_steps WHERE execution = ?1 ORDER BY step");

impl EngineRows for SqliteBackend {
    fn find(&mut self, target: &Target) -> Result<Option<(ExecutionKey, Execution)>, StoreError> {
        if let Target::Key(key) = target
            && let Some(row) = self.known.execution(*key)
        {
            let known = Some((*key, row));
            debug_assert!(self.is_there(self.load(target), &known), "what is known is not what is there");
            return Ok(known);
        }
        self.load(target)
    }

    fn find_step(&mut self, key: ExecutionKey, owner: &Execution, no: StepNo) -> Result<Option<Step>, StoreError> {
        self.first(
            concat!("SELECT ", step_columns!(), " FROM hydra_steps WHERE execution = ?1 AND step = ?2"),
            params![key.0, no.0],
            |row| rows::step(key, owner, row, 0).map(|(_, step)| step),
        )
    }

    fn find_with_step(&mut self, target: &Target, no: StepNo) -> Result<Option<WithStep>, StoreError> {
        let Target::Key(key) = *target else {
            let Some((key, row)) = self.find(target)? else { return Ok(None) };
            let step = self.find_step(key, &row, no)?;
            return Ok(Some(WithStep { key, row, step }));
        };
        if let Some((row, step)) = self.known.with_step(key, no) {
            let known = Some(WithStep { key, row, step });
            debug_assert!(self.is_there(self.load_with_step(key, no), &known), "what is known is not what is there");
            return Ok(known);
        }
        self.load_with_step(key, no)
    }

    fn find_settled(
        &mut self,
        key: ExecutionKey,
        owner: &Execution,
        order: u32,
    ) -> Result<Option<(StepNo, Step)>, StoreError> {
        self.first(
            concat!("SELECT ", step_columns!(), " FROM hydra_steps WHERE execution = ?1 AND ord = ?2"),
            params![key.0, order],
            |row| rows::step(key, owner, row, 0),
        )
    }

    fn open_steps(&mut self, key: ExecutionKey, owner: &Execution) -> Result<Vec<(StepNo, Step)>, StoreError> {
        if let Some(open) = self.known.open_steps(key) {
            debug_assert!(self.is_there(self.load_open(key, owner), &open), "what is known is not what is there");
            return Ok(open);
        }
        self.load_open(key, owner)
    }

    fn same_input(&mut self, key: ExecutionKey, workflow: &str, input: &[u8]) -> Result<bool, StoreError> {
        let same = self.first(
            "SELECT workflow = ?2 AND input = ?3 FROM hydra_executions JOIN hydra_payloads ON execution = seq \
             WHERE seq = ?1",
            params![key.0, workflow, input],
            |row| row.get(0).map_err(sql_error::of),
        )?;
        same.ok_or_else(|| no_payload(key))
    }

    fn checkpoint(&mut self, key: ExecutionKey, no: StepNo) -> Result<Checkpoint, StoreError> {
        let checkpoint = self.first(
            "SELECT output, error FROM hydra_steps WHERE execution = ?1 AND step = ?2",
            params![key.0, no.0],
            |row| {
                let read = || -> rusqlite::Result<_> { Ok(Checkpoint { value: row.get(0)?, error: row.get(1)? }) };
                read().map_err(|error| rows::column(rows::execution_name(key), error))
            },
        )?;
        Ok(checkpoint.unwrap_or_default())
    }

    fn identity(&mut self, key: ExecutionKey) -> Result<Identity, StoreError> {
        let identity = self.first(
            concat!(
                "SELECT ",
                execution_columns!(),
                ", namespace, id, workflow, input FROM hydra_executions JOIN hydra_payloads ON execution = seq \
                 WHERE seq = ?1"
            ),
            [key.0],
            |row| {
                let (execution, at) = (rows::execution(key, row, 0)?, rows::EXECUTION_COLUMNS);
                let read = || -> rusqlite::Result<_> {
                    let id = ExecutionId { namespace: row.get(at)?, id: row.get(at + 1)? };
                    Ok(Identity { row: execution, id, workflow: row.get(at + 2)?, input: row.get(at + 3)? })
                };
                read().map_err(|error| rows::column(rows::execution_name(key), error))
            },
        )?;
        let identity = identity.ok_or_else(|| no_payload(key))?;
        self.known.read(key, &identity.row);
        Ok(identity)
    }

    fn journal(&mut self, key: ExecutionKey, owner: &Execution) -> Result<Vec<JournalStep>, StoreError> {
        let steps = self.all(JOURNAL, [key.0], |row| rows::journal_step(key, owner, row))?;
        self.known.read_steps(key, steps.iter().map(|step| (step.no, step.row)));
        Ok(steps)
    }

    fn insert_execution(&mut self, new: NewExecution<'_>) -> Result<ExecutionKey, StoreError> {
        let raw = decode::raw_execution(new.row);
        let connection = self.sql.connection();
        let mut statement = connection
            .prepare_cached(
                "INSERT INTO hydra_executions (namespace, id, workflow, status, due_at, epoch, settled, replays, \
                 replays_max, deadline, failure, started_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            )
            .map_err(sql_error::of)?;
        let key = statement.insert(params![
            new.id.namespace,
            new.id.id,
            new.workflow,
            raw.status,
            raw.due_at,
            raw.epoch,
            raw.settled,
            raw.replays,
            raw.replays_max,
            raw.deadline,
            raw.failure,
            ms(new.started_at),
        ]);
        let key = ExecutionKey(key.map_err(sql_error::of)?);
        self.write_one(
            "INSERT INTO hydra_payloads (execution, input) VALUES (?1, ?2)",
            params![key.0, new.input],
            || rows::execution_name(key),
        )?;
        Ok(key)
    }

    fn update_execution(&mut self, update: ExecutionUpdate<'_>) -> Result<(), StoreError> {
        let ExecutionUpdate { key, before, row, worker, ended_at, result } = update;
        // Here and below, before the write: when a write fails the transaction is undone, and all is forgotten.
        self.known.wrote(key, row);
        let (was, raw) = (decode::raw_execution(before), decode::raw_execution(row));
        let name = || format!("{} at epoch {}", rows::execution_name(key), before.epoch.0);
        if (was.status, was.due_at, was.deadline) == (raw.status, raw.due_at, raw.deadline) && worker.is_none() {
            // The indexes stay as they are: half the cost of what every settled step writes.
            self.write_one(
                "UPDATE hydra_executions SET epoch = ?3, settled = ?4, replays = ?5, replays_max = ?6, failure = ?7 \
                 WHERE seq = ?1 AND epoch = ?2",
                params![key.0, before.epoch.0, raw.epoch, raw.settled, raw.replays, raw.replays_max, raw.failure],
                name,
            )?;
        } else {
            self.write_one(
                "UPDATE hydra_executions SET status = ?3, due_at = ?4, epoch = ?5, settled = ?6, replays = ?7, \
                 replays_max = ?8, deadline = ?9, failure = ?10, worker = coalesce(?11, worker), ended_at = ?12 \
                 WHERE seq = ?1 AND epoch = ?2",
                params![
                    key.0,
                    before.epoch.0,
                    raw.status,
                    raw.due_at,
                    raw.epoch,
                    raw.settled,
                    raw.replays,
                    raw.replays_max,
                    raw.deadline,
                    raw.failure,
                    worker,
                    ended_at.map(ms),
                ],
                name,
            )?;
        }
        if let Field::Set(result) = result {
            self.write_one(
                "UPDATE hydra_payloads SET output = ?2, error = ?3 WHERE execution = ?1",
                params![key.0, result.output, result.error],
                name,
            )?;
        }
        Ok(())
    }

    fn insert_step(&mut self, new: NewStep<'_>) -> Result<(), StoreError> {
        self.known.wrote_step(new.key, new.no, new.row);
        let raw = decode::raw_step(new.row);
        self.write_one(
            "INSERT INTO hydra_steps (execution, step, name, kind, epoch, attempt, attempts_max, state, due_at, ord, \
             cause, begun_at, input) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
            params![
                new.key.0,
                new.no.0,
                &**new.name,
                raw.kind,
                raw.epoch,
                raw.attempt,
                raw.attempts_max,
                raw.state,
                raw.due_at,
                raw.order,
                raw.cause,
                ms(new.begun_at),
                new.input,
            ],
            || step_name(new.key, new.no),
        )
    }

    fn update_step(&mut self, update: StepUpdate<'_>) -> Result<(), StoreError> {
        self.known.wrote_step(update.key, update.no, update.row);
        let (was, raw) = (decode::raw_step(update.before), decode::raw_step(update.row));
        let (keep, error) = match update.error {
            Field::Keep => (true, None),
            Field::Set(error) => (false, error),
        };
        let attempt = |raw: &RawStep<'_>| (raw.epoch, raw.attempt, raw.attempts_max, raw.due_at);
        if was.kind == raw.kind && attempt(&was) == attempt(&raw) {
            // What a settlement changes. SQLite judges the checks of the columns that are named, so they are few.
            return self.write_one(
                "UPDATE hydra_steps SET state = ?3, ord = ?4, cause = ?5, settled_at = ?6, output = ?7, \
                 error = iif(?8, error, ?9) WHERE execution = ?1 AND step = ?2",
                params![
                    update.key.0,
                    update.no.0,
                    raw.state,
                    raw.order,
                    raw.cause,
                    update.settled_at.map(ms),
                    update.output,
                    keep,
                    error,
                ],
                || step_name(update.key, update.no),
            );
        }
        self.write_one(
            "UPDATE hydra_steps SET kind = ?3, epoch = ?4, attempt = ?5, attempts_max = ?6, state = ?7, due_at = ?8, \
             ord = ?9, cause = ?10, settled_at = ?11, output = ?12, error = iif(?13, error, ?14) \
             WHERE execution = ?1 AND step = ?2",
            params![
                update.key.0,
                update.no.0,
                raw.kind,
                raw.epoch,
                raw.attempt,
                raw.attempts_max,
                raw.state,
                raw.due_at,
                raw.order,
                raw.cause,
                update.settled_at.map(ms),
                update.output,
                keep,
                error,
            ],
            || step_name(update.key, update.no),
        )
    }

    fn insert_lease(&mut self, key: ExecutionKey, epoch: Epoch, worker: &str, now: Time) -> Result<(), StoreError> {
        self.write_one(
            "INSERT INTO hydra_leases (execution, epoch, worker, claimed_at) VALUES (?1, ?2, ?3, ?4)",
            params![key.0, epoch.0, worker, ms(now)],
            || rows::execution_name(key),
        )
    }

    fn end_lease(&mut self, key: ExecutionKey, epoch: Epoch, at: Time) -> Result<(), StoreError> {
        self.write_one(
            "UPDATE hydra_leases SET ended_at = ?3 WHERE execution = ?1 AND epoch = ?2",
            params![key.0, epoch.0, ms(at)],
            || format!("lease {} of {}", epoch.0, rows::execution_name(key)),
        )
    }

    fn names_at_once(&self) -> bool {
        true
    }

    fn keeps_journal(&self) -> bool {
        self.journal
    }

    fn record(&mut self, entry: &[u8]) -> Result<(), StoreError> {
        self.write_one("INSERT INTO hydra_journal (entry) VALUES (?1)", [entry], || "the journal".to_owned())
    }
}

impl SqliteBackend {
    /// Whether the file has what is known. One that cannot be read does not contradict it, and neither does one that is
    /// damaged: (1) bytes of a page are overwritten, and two keys are no longer in their order; (2) all steps of an
    /// execution are read, one after another; (3) the search for one of them does not find it.
    fn is_there<T: PartialEq>(&self, there: Result<T, StoreError>, known: &T) -> bool {
        there.map_or(true, |there| there == *known) || !self.is_sound()
    }

    /// Whether SQLite finds nothing wrong with the file.
    fn is_sound(&self) -> bool {
        let found = self.first("PRAGMA integrity_check(1)", [], |row| row.get(0).map_err(sql_error::of));
        matches!(found, Ok(Some::<String>(said)) if said == "ok")
    }
}

fn step_name(key: ExecutionKey, no: StepNo) -> String {
    format!("{}, step {}", rows::execution_name(key), no.0)
}

fn no_payload(key: ExecutionKey) -> StoreError {
    rows::corrupt(rows::execution_name(key), "its row in hydra_payloads is missing")
}
