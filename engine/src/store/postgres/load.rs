//! Reads what a batch of commands is about: in one round trip where workers ask, who name executions by their keys, and
//! in a second one where clients do, who name them by their ids.

use futures::future::OptionFuture;
use futures::try_join;
use hydra_protocol::{Command, Time};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement};

use super::clock::StoreClock;
use super::connect::Connection;
use super::fault::Fault;
use super::image::{Image, Miss};
use super::rows::{column, execution_columns, step_columns};
use crate::store::{CommandRequest, ExecutionId, Target};

macro_rules! executions {
    ($rest:expr) => {
        concat!("SELECT ", execution_columns!(), ", seq, namespace, id, workflow FROM hydra.executions ", $rest)
    };
}
macro_rules! steps {
    ($rest:literal) => {
        concat!("SELECT ", step_columns!(), ", execution, output, error FROM hydra.steps ", $rest)
    };
}

/// Those of keys and those of ids. A key never changes, so it may be looked up without a lock.
macro_rules! named {
    ($rest:literal) => {
        executions!(concat!(
            "WHERE seq = ANY ($1::bigint[] || ARRAY( \
                SELECT e.seq FROM unnest($2::text[], $3::text[]) AS u (namespace, id) \
                JOIN hydra.executions e ON e.namespace = u.namespace AND e.id = u.id))",
            $rest
        ))
    };
}
/// Locked by their keys in order, so that no two batches wait for each other. What reads the locked rows' other tables
/// comes in a later statement, which sees what was committed while this one waited.
const LOCKED: &str = named!(" ORDER BY seq FOR NO KEY UPDATE");
const UNLOCKED: &str = named!("");
/// Steps by their numbers, and the open ones of executions. The output of a step that has one only if it is settled: an
/// answer may tell it.
const STEPS: &str = concat!(
    steps!(
        "JOIN unnest($1::bigint[], $2::bigint[]) AS u (of_execution, of_step) \
         ON execution = of_execution AND step = of_step UNION ALL "
    ),
    steps!("WHERE execution = ANY ($3::bigint[]) AND state IN ('running', 'waiting', 'sleeping')")
);
const SETTLED: &str = steps!(
    "JOIN unnest($1::bigint[], $2::bigint[]) AS u (of_execution, of_ord) ON execution = of_execution AND ord = of_ord"
);
const INPUTS: &str = "SELECT e.seq, p.input FROM hydra.executions e LEFT JOIN hydra.payloads p ON p.execution = e.seq \
                      WHERE e.seq = ANY ($1::bigint[])";
const JOURNALS: &str = concat!(
    "SELECT ",
    step_columns!(),
    ", execution, output, error, name FROM hydra.steps WHERE execution = ANY ($1::bigint[])"
);

/// Whether rows are locked until the end of the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    Rows,
    Nothing,
}

/// What commands are about, as far as it can be told from them.
#[derive(Default)]
pub struct Wanted {
    keys: Vec<i64>,
    ids: Vec<ExecutionId>,
    parts: Parts,
}

/// What is read of executions whose keys are known.
#[derive(Default)]
struct Parts {
    /// Executions and step numbers.
    steps: (Vec<i64>, Vec<i64>),
    /// Executions and orders.
    settled: (Vec<i64>, Vec<i64>),
    open: Vec<i64>,
    inputs: Vec<i64>,
    journals: Vec<i64>,
}

impl Wanted {
    /// Adds a command.
    pub fn command(&mut self, request: &CommandRequest) {
        match &request.target {
            Target::Key(key) => {
                self.keys.push(key.0);
                self.parts.command(key.0, request);
            }
            Target::Id(id) => self.ids.push(id.clone()),
        }
    }

    /// Adds an execution of which only its row is needed.
    pub fn key(&mut self, key: i64) {
        self.keys.push(key);
    }
}

impl Parts {
    fn command(&mut self, key: i64, request: &CommandRequest) {
        match request.command {
            Command::Start { .. } => self.inputs.push(key),
            Command::Begin { .. }
            | Command::Settle { .. }
            | Command::Sleep { .. }
            | Command::Fire { .. }
            | Command::Resolve { .. } => {
                if let Some(step) = &request.step {
                    self.steps.0.push(key);
                    self.steps.1.push(step.no.0.into());
                }
            }
            Command::Finish { .. } | Command::Cancel => self.open.push(key),
            Command::Claim { .. } | Command::Heartbeat { .. } | Command::Release { .. } | Command::Retry { .. } => {}
        }
    }

    fn is_empty(&self) -> bool {
        self.steps.0.is_empty()
            && self.settled.0.is_empty()
            && self.open.is_empty()
            && self.inputs.is_empty()
            && self.journals.is_empty()
    }

    /// Sends all that is wanted at once, and reads what comes.
    async fn load(&self, connection: &mut Connection, image: &mut Image) -> Result<(), Fault> {
        if self.is_empty() {
            return Ok(());
        }
        let prepared = self.prepare(connection).await?;
        let rows = self.query(connection, &prepared).await?;
        self.fill(image, rows)
    }

    async fn prepare(&self, connection: &mut Connection) -> Result<[Option<Statement>; 4], Fault> {
        let wanted = [
            (STEPS, self.steps.0.is_empty() && self.open.is_empty()),
            (SETTLED, self.settled.0.is_empty()),
            (INPUTS, self.inputs.is_empty()),
            (JOURNALS, self.journals.is_empty()),
        ];
        let mut statements = [const { None }; 4];
        for (statement, (sql, unwanted)) in statements.iter_mut().zip(wanted) {
            if !unwanted {
                *statement = Some(connection.prepare(sql).await?);
            }
        }
        Ok(statements)
    }

    async fn query(
        &self,
        connection: &Connection,
        statements: &[Option<Statement>; 4],
    ) -> Result<[Vec<Row>; 4], Fault> {
        let client = &connection.client;
        let [steps, settled, inputs, journals] = statements;
        type Params<'a> = [&'a (dyn ToSql + Sync)];
        let read = async |statement: &Option<Statement>, params: &Params<'_>| {
            let rows = statement.as_ref().map(|statement| client.query(statement, params));
            OptionFuture::from(rows).await.transpose().map(Option::unwrap_or_default)
        };
        let of_steps: [&(dyn ToSql + Sync); 3] = [&self.steps.0, &self.steps.1, &self.open];
        let of_settled: [&(dyn ToSql + Sync); 2] = [&self.settled.0, &self.settled.1];
        let of_inputs: [&(dyn ToSql + Sync); 1] = [&self.inputs];
        let of_journals: [&(dyn ToSql + Sync); 1] = [&self.journals];
        let (steps, settled, inputs, journals) = try_join!(
            read(steps, &of_steps),
            read(settled, &of_settled),
            read(inputs, &of_inputs),
            read(journals, &of_journals),
        )?;
        Ok([steps, settled, inputs, journals])
    }

    fn fill(&self, image: &mut Image, [steps, settled, inputs, journals]: [Vec<Row>; 4]) -> Result<(), Fault> {
        for row in journals {
            image.fill_step(&row, true)?;
        }
        for row in steps.iter().chain(&settled) {
            image.fill_step(row, false)?;
        }
        for row in inputs {
            let key = column(&row, 0, || "hydra.executions.seq".into())?;
            image.fill_input(key, column(&row, 1, || format!("hydra.payloads.execution = {key}"))?);
        }
        // What was looked for and not found is not there.
        for (key, no) in self.steps.0.iter().zip(&self.steps.1) {
            if let Ok(no) = u32::try_from(*no) {
                image.steps.entry((*key, no)).or_default();
            }
        }
        for (key, order) in self.settled.0.iter().zip(&self.settled.1) {
            image.no_such_order.extend(u32::try_from(*order).map(|order| (*key, order)));
        }
        image.open.extend(self.open.iter().chain(&self.journals));
        image.journals.extend(&self.journals);
        Ok(())
    }
}

/// Begins a transaction, and loads into the image what the commands are about. Answers the time in it.
pub async fn begin<'a>(
    connection: &mut Connection,
    clock: &StoreClock,
    image: &mut Image,
    wanted: Wanted,
    requests: impl Iterator<Item = &'a CommandRequest>,
    lock: Lock,
) -> Result<Time, Fault> {
    let reading = clock.prepare(connection).await?;
    let executions = connection.prepare(executions_sql(lock)).await?;
    let parts = wanted.parts.prepare(connection).await?;
    // All of it at once.
    let (_, rows, parts, now) = try_join!(
        connection.begin(),
        query_executions(connection, &executions, &wanted.keys, &wanted.ids),
        wanted.parts.query(connection, &parts),
        reading.read(connection),
    )?;
    fill_executions(image, &wanted.keys, &wanted.ids, &rows)?;
    wanted.parts.fill(image, parts)?;
    of_ids(image, requests).load(connection, image).await?;
    Ok(now)
}

/// Loads the same again, in a transaction that is open: what a body's commit is decided on.
pub async fn again(connection: &mut Connection, image: &mut Image, request: &CommandRequest) -> Result<(), Fault> {
    let mut wanted = Wanted::default();
    wanted.command(request);
    executions(connection, image, &wanted.keys, &wanted.ids).await?;
    wanted.parts.load(connection, image).await?;
    of_ids(image, std::iter::once(request)).load(connection, image).await
}

/// What commands are about that name an execution by its id, and have found it.
fn of_ids<'a>(image: &Image, requests: impl Iterator<Item = &'a CommandRequest>) -> Parts {
    let mut parts = Parts::default();
    for request in requests {
        if let Target::Id(id) = &request.target
            && let Some(Some(key)) = image.ids.get(id)
        {
            parts.command(*key, request);
        }
    }
    parts
}

/// Loads what was missed.
pub async fn missed(connection: &mut Connection, image: &mut Image, miss: Miss) -> Result<(), Fault> {
    let mut parts = Parts::default();
    match miss {
        Miss::Execution(Target::Key(key)) => return executions(connection, image, &[key.0], &[]).await,
        Miss::Execution(Target::Id(id)) => return executions(connection, image, &[], &[id]).await,
        Miss::Step(key, no) => parts.steps = (vec![key], vec![no.into()]),
        Miss::Settled(key, order) => parts.settled = (vec![key], vec![order.into()]),
        Miss::Open(key) => parts.open.push(key),
        Miss::Input(key) => parts.inputs.push(key),
        Miss::Journal(key) => parts.journals.push(key),
    }
    parts.load(connection, image).await
}

/// Loads all steps of executions that may have some: what a claim hands over.
pub async fn for_claims(connection: &mut Connection, image: &mut Image, journals: Vec<i64>) -> Result<(), Fault> {
    Parts { journals, ..Parts::default() }.load(connection, image).await
}

fn executions_sql(lock: Lock) -> &'static str {
    match lock {
        Lock::Rows => LOCKED,
        Lock::Nothing => UNLOCKED,
    }
}

async fn executions(
    connection: &mut Connection,
    image: &mut Image,
    keys: &[i64],
    ids: &[ExecutionId],
) -> Result<(), Fault> {
    let statement = connection.prepare(LOCKED).await?;
    let rows = query_executions(connection, &statement, keys, ids).await?;
    fill_executions(image, keys, ids, &rows)
}

async fn query_executions(
    connection: &Connection,
    statement: &Statement,
    keys: &[i64],
    ids: &[ExecutionId],
) -> Result<Vec<Row>, Fault> {
    if keys.is_empty() && ids.is_empty() {
        return Ok(Vec::new());
    }
    let (namespaces, names): (Vec<_>, Vec<_>) = ids.iter().map(|id| (&*id.namespace, &*id.id)).unzip();
    Ok(connection.client.query(statement, &[&keys, &namespaces, &names]).await?)
}

fn fill_executions(image: &mut Image, keys: &[i64], ids: &[ExecutionId], rows: &[Row]) -> Result<(), Fault> {
    for row in rows {
        image.fill_execution(row)?;
    }
    // What was looked for and not found is not there.
    for key in keys {
        image.executions.entry(*key).or_default();
    }
    for id in ids {
        if !image.ids.contains_key(id) {
            image.ids.insert(id.clone(), None);
        }
    }
    Ok(())
}
