//! Claims: workers of many processes take from one queue, and none waits for a row that another one holds.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use hydra_protocol::{Span, Time};
use tokio::sync::{mpsc, watch};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Row, Statement};

use super::Shared;
use super::clock::now_ms;
use super::connect::{Connection, Link};
use super::fault::{Fault, What};
use super::flush::Writes;
use super::image::Image;
use super::rows::{column, execution_columns, ms};
use super::{load, writer};
use crate::store::apply::Tx;
use crate::store::backend::Candidate;
use crate::store::group_commit::job::Job;
use crate::store::leases::Passed;
use crate::store::signals::Effects;
use crate::store::{ClaimRequest, Claims, StoreError};

/// How long a worker that found due rows locked waits before it looks again: about as long as a transaction lasts.
const LOCKED_AGAIN: Span = Span::from_millis(10);

/// What is due, of all sources together the longest first, locked; rows that others have locked are passed over.
///
/// First it is counted, without locks, how many of the longest due each source has; then so many of each are locked. So
/// no more are locked than are wanted, each from an index that begins with its source. Source 0 are executions past their
/// deadline, of any workflow. Each source is read from after its cursor on. Due is what is due at a time that is given, or
/// when the server comes to it: so that nobody has to ask it for the time first.
macro_rules! by_now {
    () => {
        concat!("(SELECT coalesce($2::bigint, ", now_ms!(), "))")
    };
}
macro_rules! due {
    ($lock:literal, $columns:expr, $limit:literal) => {
        concat!(
            "SELECT e.due_at AS since, ",
            $columns,
            " FROM hydra.executions e WHERE e.namespace = $1 AND e.workflow = s.workflow AND e.due_at <= ",
            by_now!(),
            " AND (e.due_at, e.seq) > (s.from_due, s.from_seq) ORDER BY e.due_at, e.seq LIMIT ",
            $limit,
            $lock
        )
    };
}
macro_rules! overdue {
    ($lock:literal, $columns:expr, $limit:literal) => {
        concat!(
            "SELECT e.deadline AS since, ",
            $columns,
            " FROM hydra.executions e WHERE e.namespace = $1 AND e.due_at IS NOT NULL AND e.deadline <= ",
            by_now!(),
            " AND (e.deadline, e.seq) > ($6, $7) ORDER BY e.deadline, e.seq LIMIT ",
            $limit,
            $lock
        )
    };
}
macro_rules! all_columns {
    () => {
        concat!(execution_columns!(), ", e.seq, namespace, id, e.workflow")
    };
}
const DUE: &str = concat!(
    "WITH source AS (SELECT * FROM unnest($3::text[], $4::bigint[], $5::bigint[]) WITH ORDINALITY \
                     AS s (workflow, from_due, from_seq, at)), \
     first AS (SELECT s.at, c.since, c.seq FROM source s CROSS JOIN LATERAL (",
    due!("", "e.seq", "$8"),
    ") c UNION ALL SELECT 0, c.since, c.seq FROM (",
    overdue!("", "e.seq", "$8"),
    ") c ORDER BY 2, 3 LIMIT $8), \
     quota AS (SELECT at, count(*) AS n FROM first GROUP BY at), \
     due AS (SELECT c.*, s.at FROM quota q JOIN source s ON s.at = q.at CROSS JOIN LATERAL (",
    due!(" FOR NO KEY UPDATE SKIP LOCKED", all_columns!(), "q.n"),
    ") c), \
     overdue AS (SELECT c.*, 0::bigint AS at FROM (",
    overdue!(" FOR NO KEY UPDATE SKIP LOCKED", all_columns!(), "(SELECT coalesce(max(n), 0) FROM quota WHERE at = 0)"),
    ") c) \
     SELECT ",
    execution_columns!(),
    ", seq, namespace, id, workflow, since, at, input FROM (SELECT * FROM due UNION ALL SELECT * FROM overdue) c \
     LEFT JOIN hydra.payloads ON execution = seq ORDER BY since, seq"
);

/// When something is due next, after a time; and whether something is due by then that was not looked at: locked.
const NEXT_DUE: &str = "\
    SELECT min(l.due_at), bool_or(d.due) FROM unnest($2::text[]) AS s (workflow) \
    LEFT JOIN LATERAL (SELECT due_at FROM hydra.executions e WHERE e.namespace = $1 AND e.workflow = s.workflow \
                       AND e.due_at > $3 ORDER BY e.due_at LIMIT 1) l ON true \
    LEFT JOIN LATERAL (SELECT true AS due FROM hydra.executions e WHERE e.namespace = $1 AND e.workflow = s.workflow \
                       AND e.due_at <= $3 AND NOT e.seq = ANY ($4::bigint[]) LIMIT 1) d ON true";

/// Where a source was read up to. `source` counts from 1; 0 are those past their deadline.
#[derive(Clone, Copy)]
struct Found {
    candidate: Candidate,
    source: usize,
}

/// Until the store is closed and the queue empty.
pub async fn run(
    shared: Arc<Shared>,
    mut queue: mpsc::Receiver<Job<ClaimRequest, Claims>>,
    mut closing: watch::Receiver<bool>,
) {
    let mut link = Link::new(Arc::clone(&shared.connector));
    loop {
        let job = tokio::select! {
            biased;
            job = queue.recv() => job,
            _ = closing.wait_for(|closing| *closing) => {
                queue.close();
                continue;
            }
        };
        let Some(job) = job else { return };
        // Nobody would hold what it claimed.
        if job.reply.is_closed() {
            continue;
        }
        let done = claim(&shared, &mut link, &job.request).await;
        if let Err(error) = &done {
            tracing::warn!(%error, "a claim failed");
        }
        let _ = job.reply.send(done);
    }
}

async fn claim(shared: &Shared, link: &mut Link, request: &ClaimRequest) -> Result<Claims, StoreError> {
    let mut conflicts = 0;
    loop {
        let done = writer::bounded(shared, link, async |connection, sent| {
            transaction(shared, connection, sent, request).await
        });
        match done.await {
            Err(fault) if fault.what == What::Conflict && conflicts < 10 => {
                conflicts += 1;
                tokio::time::sleep(Duration::from_millis(conflicts)).await;
            }
            done => return done.map_err(|fault| fault.error),
        }
    }
}

/// The same as [`Tx::claim`], with pages that are locked as they are read.
async fn transaction(
    shared: &Shared,
    connection: &mut Connection,
    sent: &AtomicBool,
    request: &ClaimRequest,
) -> Result<Claims, Fault> {
    let mut cursors: Vec<Option<Candidate>> = vec![None; request.workflows.len() + 1];
    let (reading, due) = (shared.clock.prepare(connection).await?, connection.prepare(DUE).await?);
    // The clock is read last: what was due before is due by then.
    let ((), first, now) = futures::try_join!(
        connection.begin(),
        lock_due(&connection.client, &due, request, reading.given(), &cursors, request.limit),
        reading.read(connection),
    )?;
    let mut first = Some(first);
    let (mut image, mut effects) = (Image::default(), Effects::default());
    let mut claims = Claims { claimed: Vec::new(), ended: 0, now, next_due: None };
    let mut tried: Vec<i64> = Vec::new();
    loop {
        let wanted = request.limit - claims.claimed.len();
        if wanted == 0 {
            break;
        }
        let rows = match first.take() {
            Some(rows) => rows,
            None => lock_due(&connection.client, &due, request, Some(now), &cursors, wanted).await?,
        };
        let page = read_page(connection, &mut image, &rows).await?;
        let exhausted = page.len() < wanted;
        for found in page {
            cursors[found.source] = Some(found.candidate);
            let key = found.candidate.key;
            tried.push(key.0);
            let rules = shared.options.rules;
            loop {
                let mut tx = Tx { backend: &mut image, rules, now, effects: &mut effects };
                match tx.claim_one(request, key) {
                    Ok(Some(claimed)) => claims.claimed.push(claimed),
                    Ok(None) => claims.ended += 1,
                    Err(Passed::Over) => {}
                    Err(Passed::Failed(StoreError::Corrupt { row, what })) => {
                        tracing::error!(row, what, "corrupt row, not claimed");
                    }
                    Err(Passed::Failed(error)) => match image.take_miss() {
                        Some(miss) => {
                            load::missed(connection, &mut image, miss).await?;
                            continue;
                        }
                        None => return Err(error.into()),
                    },
                }
                break;
            }
        }
        if exhausted {
            break;
        }
    }
    let statement = connection.prepare(NEXT_DUE).await?;
    let writes = Writes::prepare(connection, &image).await?;
    let next = next_due(&connection.client, &statement, request, now, &claims, &tried);
    claims.next_due = writer::commit(shared, connection, sent, writes, next, effects, claims.claimed.len()).await?;
    Ok(claims)
}

/// Locks the next page of what is due. Sent when it is first polled.
async fn lock_due(
    client: &Client,
    statement: &Statement,
    request: &ClaimRequest,
    by: Option<Time>,
    cursors: &[Option<Candidate>],
    wanted: usize,
) -> Result<Vec<Row>, Fault> {
    if wanted == 0 {
        return Ok(Vec::new());
    }
    let cursors: Vec<_> =
        cursors.iter().map(|after| after.map_or((0, i64::MIN), |after| (ms(after.due_at), after.key.0))).collect();
    let (from_due, from_seq): (Vec<_>, Vec<_>) = cursors[1..].iter().copied().unzip();
    let limit = i64::try_from(wanted).unwrap_or(i64::MAX);
    let (overdue_from, overdue_seq) = cursors[0];
    let workflows: Vec<&str> = request.workflows.iter().map(|workflow| &**workflow).collect();
    let by = by.map(ms);
    let params: [&(dyn ToSql + Sync); 8] =
        [&&*request.namespace, &by, &workflows, &from_due, &from_seq, &overdue_from, &overdue_seq, &limit];
    Ok(client.query(statement, &params).await?)
}

/// Reads what claiming the locked rows needs.
async fn read_page(connection: &mut Connection, image: &mut Image, rows: &[Row]) -> Result<Vec<Found>, Fault> {
    let (mut page, mut journals) = (Vec::with_capacity(rows.len()), Vec::new());
    for row in rows {
        let key = image.fill_execution(row)?;
        let name = || super::rows::execution_name(key);
        let since: i64 = column(row, 12, name)?;
        let source: i64 = column(row, 13, name)?;
        let candidate = Candidate { due_at: Time::from_millis(u64::try_from(since).unwrap_or(0)), key };
        page.push(Found { candidate, source: usize::try_from(source).unwrap_or(0) });
        image.fill_input(key.0, column(row, 14, name)?);
        let Some(Some(execution)) = image.executions.get(&key.0) else { continue };
        if !image.journals.contains(&key.0) {
            // One that was never claimed has no steps.
            match &execution.row {
                Ok(row) if row.epoch.0 == 0 => drop((image.journals.insert(key.0), image.open.insert(key.0))),
                _ => journals.push(key.0),
            }
        }
    }
    load::for_claims(connection, image, journals).await?;
    Ok(page)
}

/// When the worker should look again. Sees what this transaction has written.
async fn next_due(
    client: &Client,
    statement: &Statement,
    request: &ClaimRequest,
    now: Time,
    claims: &Claims,
    tried: &[i64],
) -> Result<Option<Time>, Error> {
    // With the limit reached more may be due by now. Otherwise all that was due was tried, and what could not be
    // claimed must not make an idle worker ask again at once, for ever.
    let full = claims.claimed.len() >= request.limit;
    let after = if full { -1 } else { ms(now) };
    let workflows: Vec<&str> = request.workflows.iter().map(|workflow| &**workflow).collect();
    let row = client.query_one(statement, &[&&*request.namespace, &workflows, &after, &tried]).await?;
    let next: Option<i64> = row.try_get(0)?;
    let locked: Option<bool> = row.try_get(1)?;
    let next = next.map(|ms| Time::from_millis(u64::try_from(ms).unwrap_or(0)));
    let again = locked.unwrap_or(false).then_some(now + LOCKED_AGAIN);
    Ok([next, again].into_iter().flatten().min())
}
