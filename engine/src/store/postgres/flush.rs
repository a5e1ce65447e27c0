//! Writes an image back: new executions in one statement and all other rows in another, whatever their number and kinds.
//! One that finds fewer rows than it was given fails, on the server: so the COMMIT may be sent right behind it, and undoes
//! the transaction then.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use futures::try_join;
use hydra_protocol::decode;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Statement};

use super::connect::Connection;
use super::fault::Fault;
use super::image::{ExecutionImage, Image, StepWrite};
use super::rows::ms;
use crate::store::{ExecutionId, ExecutionKey, StoreError};

/// A start of the same id by somebody else, not yet committed when this transaction looked, is waited for and then in the
/// way.
const INSERT_EXECUTIONS: &str = "\
    WITH new AS ( \
        INSERT INTO hydra.executions (namespace, id, workflow, status, due_at, epoch, settled, replays, replays_max, \
                                      deadline, failure, worker, started_at, ended_at) \
        SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], \
                             $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::text[], $12::text[], \
                             $13::bigint[], $14::bigint[]) \
        RETURNING seq, namespace, id), \
    paid AS ( \
        INSERT INTO hydra.payloads (execution, input, output, error) \
        SELECT new.seq, u.input, u.output, u.error \
        FROM unnest($1::text[], $2::text[], $15::bytea[], $16::bytea[], $17::text[]) \
             AS u (namespace, id, input, output, error) \
        JOIN new ON new.namespace = u.namespace AND new.id = u.id) \
    SELECT seq, namespace, id FROM new";

/// The guard: the row still has the epoch that was read.
const UPDATE_EXECUTIONS: &str = "\
    UPDATE hydra.executions e SET status = u.status, due_at = u.due_at, epoch = u.epoch, settled = u.settled, \
        replays = u.replays, replays_max = u.replays_max, deadline = u.deadline, failure = u.failure, \
        worker = coalesce(u.worker, e.worker), ended_at = u.ended_at \
    FROM unnest($::bigint[], $::bigint[], $::text[], $::bigint[], $::bigint[], $::bigint[], $::bigint[], \
                $::bigint[], $::bigint[], $::text[], $::text[], $::bigint[]) \
         AS u (seq, was, status, due_at, epoch, settled, replays, replays_max, deadline, failure, worker, ended_at) \
    WHERE e.seq = u.seq AND e.epoch = u.was";

const UPDATE_PAYLOADS: &str = "\
    UPDATE hydra.payloads p SET output = u.output, error = u.error \
    FROM unnest($::bigint[], $::bytea[], $::text[]) AS u (execution, output, error) \
    WHERE p.execution = u.execution";

const INSERT_STEPS: &str = "\
    INSERT INTO hydra.steps (execution, step, kind, epoch, attempt, attempts_max, state, due_at, ord, cause, \
                             settled_at, output, error, name, input, begun_at) \
    SELECT * FROM unnest($::bigint[], $::bigint[], $::text[], $::bigint[], $::bigint[], $::bigint[], \
                         $::text[], $::bigint[], $::bigint[], $::text[], $::bigint[], $::bytea[], \
                         $::text[], $::text[], $::bytea[], $::bigint[])";

const UPDATE_STEPS: &str = "\
    UPDATE hydra.steps s SET kind = u.kind, epoch = u.epoch, attempt = u.attempt, attempts_max = u.attempts_max, \
        state = u.state, due_at = u.due_at, ord = u.ord, cause = u.cause, settled_at = u.settled_at, \
        output = u.output, error = CASE WHEN u.keep_error THEN s.error ELSE u.error END \
    FROM unnest($::bigint[], $::bigint[], $::text[], $::bigint[], $::bigint[], $::bigint[], $::text[], \
                $::bigint[], $::bigint[], $::text[], $::bigint[], $::bytea[], $::text[], $::bool[]) \
         AS u (execution, step, kind, epoch, attempt, attempts_max, state, due_at, ord, cause, settled_at, output, \
               error, keep_error) \
    WHERE s.execution = u.execution AND s.step = u.step";

const INSERT_LEASES: &str = "\
    INSERT INTO hydra.leases (execution, epoch, worker, claimed_at) \
    SELECT * FROM unnest($::bigint[], $::bigint[], $::text[], $::bigint[])";

const END_LEASES: &str = "\
    UPDATE hydra.leases l SET ended_at = u.ended_at \
    FROM unnest($::bigint[], $::bigint[], $::bigint[]) AS u (execution, epoch, ended_at) \
    WHERE l.execution = u.execution AND l.epoch = u.epoch";

/// What changes rows that are there, and adds to them. Each stands for its rows in one statement for all of them: what the
/// server does for a statement, whatever its rows, costs as much as dozens of rows do. No two change the same row.
const KINDS: [&str; 6] = [UPDATE_EXECUTIONS, UPDATE_PAYLOADS, INSERT_STEPS, UPDATE_STEPS, INSERT_LEASES, END_LEASES];

/// The statement for each set of kinds, by their bits.
static CHANGES: LazyLock<[String; 1 << KINDS.len()]> = LazyLock::new(|| std::array::from_fn(changes));

/// The statement for a set of kinds: parameters are numbered on from one kind to the next, and the rows that all of them
/// changed are counted against those that each was given, in its first.
fn changes(set: usize) -> String {
    let (mut with, mut done, mut given, mut number) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for (at, kind) in KINDS.iter().enumerate().filter(|(at, _)| set & (1 << at) != 0) {
        given.push(format!("cardinality(${})", number + 1));
        done.push(format!("TABLE done_{at}"));
        let mut parts = kind.split('$');
        let mut numbered = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            number += 1;
            numbered += &format!("${number}{part}");
        }
        with.push(format!("done_{at} AS ({numbered} RETURNING 1)"));
    }
    format!(
        "WITH {} SELECT hydra.all_or_nothing(count(*), {}) FROM ({}) AS done",
        with.join(", "),
        given.join(" + "),
        done.join(" UNION ALL ")
    )
}

/// The parameters of one statement: one list for each column, all of the same length.
#[derive(Default)]
struct Columns<'a> {
    len: usize,
    numbers: Vec<Vec<Option<i64>>>,
    texts: Vec<Vec<Option<&'a str>>>,
    blobs: Vec<Vec<Option<&'a [u8]>>>,
    flags: Vec<bool>,
    /// For each parameter, which list of which type it is.
    order: Vec<(Type, usize)>,
}

#[derive(Clone, Copy)]
enum Type {
    Number,
    Text,
    Blob,
    Flag,
}

/// One value of a row.
enum Cell<'a> {
    Number(Option<i64>),
    Text(Option<&'a str>),
    Blob(Option<&'a [u8]>),
    Flag(bool),
}

impl<'a> Columns<'a> {
    /// Adds a row. All rows of a statement have the same types in the same order.
    fn push(&mut self, row: impl IntoIterator<Item = Cell<'a>>) {
        self.len += 1;
        let first = self.len == 1;
        for (at, cell) in row.into_iter().enumerate() {
            if first {
                let (kind, list) = match cell {
                    Cell::Number(_) => (Type::Number, add(&mut self.numbers)),
                    Cell::Text(_) => (Type::Text, add(&mut self.texts)),
                    Cell::Blob(_) => (Type::Blob, add(&mut self.blobs)),
                    Cell::Flag(_) => (Type::Flag, 0),
                };
                self.order.push((kind, list));
            }
            let list = self.order[at].1;
            match cell {
                Cell::Number(value) => self.numbers[list].push(value),
                Cell::Text(value) => self.texts[list].push(value),
                Cell::Blob(value) => self.blobs[list].push(value),
                Cell::Flag(value) => self.flags.push(value),
            }
        }
    }

    fn params(&self) -> Vec<&(dyn ToSql + Sync)> {
        let param = |(kind, list): &(Type, usize)| -> &(dyn ToSql + Sync) {
            match kind {
                Type::Number => &self.numbers[*list],
                Type::Text => &self.texts[*list],
                Type::Blob => &self.blobs[*list],
                Type::Flag => &self.flags,
            }
        };
        self.order.iter().map(param).collect()
    }
}

fn add<T>(lists: &mut Vec<Vec<T>>) -> usize {
    lists.push(Vec::new());
    lists.len() - 1
}

/// What is to be written.
pub struct Writes<'a> {
    image: &'a Image,
    new: Columns<'a>,
    changed: [Columns<'a>; KINDS.len()],
    /// For new executions, and for all else; none for no rows.
    statements: [Option<Statement>; 2],
}

impl<'a> Writes<'a> {
    /// Gathers it, and prepares its statements.
    pub async fn prepare(connection: &mut Connection, image: &'a Image) -> Result<Self, Fault> {
        let (new, changed, results) = executions(image)?;
        let (begun, steps) = steps(image)?;
        let mut leases_begun = Columns::default();
        for (key, epoch, worker, at) in &image.leases_begun {
            let text = Cell::Text(Some(worker));
            leases_begun.push([number(key.0), number(epoch.0.into()), text, number(ms(*at))]);
        }
        let mut leases_ended = Columns::default();
        for (key, epoch, at) in &image.leases_ended {
            leases_ended.push([number(key.0), number(epoch.0.into()), number(ms(*at))]);
        }
        let changed = [changed, results, begun, steps, leases_begun, leases_ended];
        let set = changed.iter().enumerate().fold(0, |set, (at, rows)| set | (usize::from(rows.len > 0) << at));
        let statements = [
            if new.len > 0 { Some(connection.prepare(INSERT_EXECUTIONS).await?) } else { None },
            if set > 0 { Some(connection.prepare(&CHANGES[set]).await?) } else { None },
        ];
        Ok(Writes { image, new, changed, statements })
    }

    /// Sends all of it when it is first polled: what is sent behind it sees it, and a COMMIT undoes it if any of it
    /// fails. Answers the keys of new executions by those that they had in the image.
    pub async fn send(&self, client: &Client) -> Result<BTreeMap<i64, ExecutionKey>, Error> {
        try_join!(self.insert(client), self.change(client)).map(|(keys, ())| keys)
    }

    async fn insert(&self, client: &Client) -> Result<BTreeMap<i64, ExecutionKey>, Error> {
        let mut keys = BTreeMap::new();
        let Some(statement) = &self.statements[0] else { return Ok(keys) };
        for row in client.query(statement, &self.new.params()).await? {
            let id = ExecutionId { namespace: row.try_get(1)?, id: row.try_get(2)? };
            if let Some(Some(key)) = self.image.ids.get(&id) {
                keys.insert(*key, ExecutionKey(row.try_get(0)?));
            }
        }
        Ok(keys)
    }

    async fn change(&self, client: &Client) -> Result<(), Error> {
        let Some(statement) = &self.statements[1] else { return Ok(()) };
        let params: Vec<_> = self.changed.iter().flat_map(Columns::params).collect();
        client.execute(statement, &params).await.map(drop)
    }
}

fn number<'a>(value: i64) -> Cell<'a> {
    Cell::Number(Some(value))
}

/// New executions, changed ones, and what came of those that ended.
fn executions(image: &Image) -> Result<(Columns<'_>, Columns<'_>, Columns<'_>), Fault> {
    let (mut changed, mut results) = (Columns::default(), Columns::default());
    let mut fresh: Vec<&ExecutionImage> = Vec::new();
    for (key, execution) in &image.executions {
        let Some(execution) = execution else { continue };
        let Some(write) = &execution.write else { continue };
        let Some(was) = execution.was else {
            fresh.push(execution);
            continue;
        };
        let raw = decode::raw_execution(execution.row.as_ref().map_err(StoreError::clone)?);
        changed.push([
            number(*key),
            number(was.0.into()),
            Cell::Text(Some(raw.status)),
            Cell::Number(raw.due_at),
            number(raw.epoch),
            number(raw.settled),
            number(raw.replays),
            number(raw.replays_max),
            Cell::Number(raw.deadline),
            Cell::Text(raw.failure),
            Cell::Text(write.worker.as_deref()),
            Cell::Number(write.ended_at.map(ms)),
        ]);
        if let Some((output, error)) = &write.result {
            results.push([number(*key), Cell::Blob(output.as_deref()), Cell::Text(error.as_deref())]);
        }
    }
    // By their ids: of two batches with the same ones, the second waits for the first, and never the first for the
    // second as well.
    fresh.sort_by_key(|execution| &execution.id);
    let mut new = Columns::default();
    for execution in fresh {
        let raw = decode::raw_execution(execution.row.as_ref().map_err(StoreError::clone)?);
        let write = execution.write.as_ref();
        let (output, error) = match write.and_then(|write| write.result.as_ref()) {
            Some((output, error)) => (output.as_deref(), error.as_deref()),
            None => (None, None),
        };
        new.push([
            Cell::Text(Some(&execution.id.namespace)),
            Cell::Text(Some(&execution.id.id)),
            Cell::Text(Some(&execution.workflow)),
            Cell::Text(Some(raw.status)),
            Cell::Number(raw.due_at),
            number(raw.epoch),
            number(raw.settled),
            number(raw.replays),
            number(raw.replays_max),
            Cell::Number(raw.deadline),
            Cell::Text(raw.failure),
            Cell::Text(write.and_then(|write| write.worker.as_deref())),
            number(ms(execution.started_at)),
            Cell::Number(write.and_then(|write| write.ended_at).map(ms)),
            Cell::Blob(execution.input.as_deref()),
            Cell::Blob(output),
            Cell::Text(error),
        ]);
    }
    Ok((new, changed, results))
}

/// New steps and changed ones.
fn steps(image: &Image) -> Result<(Columns<'_>, Columns<'_>), Fault> {
    let (mut begun, mut changed) = (Columns::default(), Columns::default());
    for ((key, no), step) in &image.steps {
        let Some(step) = step else { continue };
        if step.write == StepWrite::Nothing {
            continue;
        }
        let raw = decode::raw_step(step.row.as_ref().map_err(StoreError::clone)?);
        let row = [
            number(*key),
            number((*no).into()),
            Cell::Text(Some(raw.kind)),
            number(raw.epoch),
            number(raw.attempt),
            number(raw.attempts_max),
            Cell::Text(Some(raw.state)),
            Cell::Number(raw.due_at),
            Cell::Number(raw.order),
            Cell::Text(raw.cause),
            Cell::Number(step.settled_at.map(ms)),
            Cell::Blob(step.output.as_deref()),
            Cell::Text(step.error.as_deref()),
        ];
        match step.write {
            StepWrite::Update { keep_error } => changed.push(row.into_iter().chain([Cell::Flag(keep_error)])),
            StepWrite::Insert | StepWrite::Nothing => begun.push(row.into_iter().chain([
                Cell::Text(step.name.as_deref()),
                Cell::Blob(step.input.as_deref()),
                number(ms(step.begun_at)),
            ])),
        }
    }
    Ok((begun, changed))
}
