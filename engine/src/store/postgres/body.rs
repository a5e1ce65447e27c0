//! A transactional body: its task on one side, a connection's transaction on the other, a channel between.
//!
//! The execution is locked for the decision at the body's end and not while the body runs: commands about it go on, and
//! nobody waits for somebody else's body. Two bodies of one step (a worker lost its lease while its body ran) may so run
//! side by side: whoever commits first has settled the step, and the other finds that under the lock and is undone.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use futures::TryStreamExt;
use futures::future::BoxFuture;
use hydra_protocol::Time;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::Instant;

use super::connect::{Connection, Link, USERS_PLANS};
use super::fault::{self, Fault, What};
use super::flush::Writes;
use super::image::Image;
use super::load::{self, Lock, Wanted};
use super::values::{self, Param};
use super::{Shared, guard, writer};
use crate::store::apply::{Decided, Tx};
use crate::store::signals::Effects;
use crate::store::{Answer, CommandRequest, StoreError, Transact, Transaction, Value, body, check};

type Reply<A> = oneshot::Sender<Result<A, StoreError>>;

/// What a body asks of its transaction.
enum Request {
    Execute(String, Vec<Value>, Reply<u64>),
    Query(String, Vec<Value>, Reply<Vec<Vec<Value>>>),
    Commit(Vec<u8>, Reply<Answer>),
}

/// Opens a transaction, runs a body's statements in it, and ends it. `opened` is told what was found at its beginning.
pub async fn run(shared: Arc<Shared>, request: CommandRequest, opened: Reply<Transact>) {
    let waited =
        tokio::time::timeout(shared.postgres.connect_timeout, Arc::clone(&shared.bodies).acquire_owned()).await;
    let Ok(Ok(permit)) = waited else {
        let busy = format!(
            "all {} connections for transactional bodies are in use; raise `bodies_max`",
            shared.postgres.bodies_max
        );
        drop(opened.send(Err(StoreError::Unavailable(busy))));
        return;
    };
    let mut link = shared.take_link();
    let end = serve(&shared, &mut link, request, opened).await;
    if end.is_err() {
        link.forget();
    }
    shared.give_link(link);
    release(permit);
}

/// After the link is back, so that whoever comes next finds it.
fn release(permit: OwnedSemaphorePermit) {
    drop(permit);
}

/// An error if the connection is not to be used again.
async fn serve(
    shared: &Arc<Shared>,
    link: &mut Link,
    mut request: CommandRequest,
    opened: Reply<Transact>,
) -> Result<(), Fault> {
    let connection = match link.get().await {
        Ok(connection) => connection,
        Err(error) => {
            drop(opened.send(Err(error.clone())));
            return Err(Fault::connection_error(error));
        }
    };
    let begun = tokio::time::timeout(shared.postgres.answer_timeout, begin(shared, connection, &request)).await;
    let now = match begun.unwrap_or_else(|_| Err(Fault::connection("the server did not answer"))) {
        Ok(Begun::Open(now)) => now,
        Ok(Begun::Answered(answer)) => {
            drop(opened.send(Ok(Transact::Answered(answer))));
            return undo(connection).await;
        }
        Err(fault) => {
            drop(opened.send(Err(fault.error.clone())));
            return if fault.what == What::Connection { Err(fault) } else { undo(connection).await };
        }
    };
    let until = Instant::now() + shared.options.body_time_max;
    let (requests, received) = mpsc::channel(1);
    let transaction = BodyTransaction {
        requests,
        payload_bytes_max: shared.options.payload_bytes_max,
        body_time_max: shared.options.body_time_max,
    };
    if opened.send(Ok(Transact::Open(Box::new(transaction)))).is_err() {
        return undo(connection).await;
    }
    let Some((value, reply)) = statements(shared, connection, received, until).await? else {
        return undo(connection).await;
    };
    request.payload.value = Some(value);
    // On this very connection: on another one the checkpoint would be written without what the body wrote.
    let settled =
        writer::on(shared, connection, async |connection, sent| settle(shared, connection, sent, &request, now).await);
    let (answer, lost) = match settled.await {
        Ok(answer) => (Ok(answer), None),
        Err(fault) => (Err(fault.error.clone()), (fault.what == What::Connection).then_some(fault)),
    };
    drop(reply.send(answer));
    lost.map_or(Ok(()), Err)
}

async fn undo(connection: &Connection) -> Result<(), Fault> {
    if connection.rollback().await { Ok(()) } else { Err(Fault::connection("a rollback failed")) }
}

enum Begun {
    Open(Time),
    Answered(Answer),
}

/// Begins the transaction and decides, without a lock: is there anything for a body to do?
async fn begin(shared: &Shared, connection: &mut Connection, request: &CommandRequest) -> Result<Begun, Fault> {
    let (mut image, mut effects, mut wanted) = (Image::default(), Effects::default(), Wanted::default());
    wanted.command(request);
    let requests = std::iter::once(request);
    let now = load::begin(connection, &shared.clock, &mut image, wanted, requests, Lock::Nothing).await?;
    let mut tx = Tx { backend: &mut image, rules: shared.options.rules, now, effects: &mut effects };
    let decided = tx.decide(request)?;
    if !decided.writes() {
        return Ok(Begun::Answered(tx.apply(request, None, decided)?));
    }
    // A body that is cut off is undone by the server, soon after its time.
    let limit = shared.options.body_time_max.as_millis().max(1);
    let mut settings = format!(
        "SET LOCAL statement_timeout = {limit}; SET LOCAL idle_in_transaction_session_timeout = {}; \
         SET LOCAL search_path = {}; {USERS_PLANS}",
        limit + 1_000,
        shared.search_path()
    );
    if let Some(role) = &shared.postgres.body_role {
        settings += &format!("; SET LOCAL ROLE {}", quoted(role));
    }
    connection.client.batch_execute(&settings).await?;
    Ok(Begun::Open(now))
}

/// A name, so that the server reads it as it is.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Runs a body's statements until it commits, or ends without (none), or its time is over (none). An error if its
/// connection is lost.
async fn statements(
    shared: &Shared,
    connection: &Connection,
    mut received: mpsc::Receiver<Request>,
    until: Instant,
) -> Result<Option<(Vec<u8>, Reply<Answer>)>, Fault> {
    let undone = body::undone(shared.options.body_time_max);
    loop {
        let request = tokio::time::timeout_at(until, received.recv()).await;
        // A request is looked at before the timer, and the timer's clock ticks in milliseconds.
        let request = match request {
            Ok(request) if Instant::now() < until => request,
            late => {
                tracing::warn!("a transactional body took too long and is undone");
                received.close();
                let others = std::iter::from_fn(|| received.try_recv().ok());
                late.ok().flatten().into_iter().chain(others).for_each(|late| late.refuse(undone.clone()));
                return Ok(None);
            }
        };
        let lost = match request {
            None => return Ok(None),
            Some(Request::Commit(value, reply)) => return Ok(Some((value, reply))),
            Some(Request::Execute(sql, params, reply)) => {
                let done = one(connection, &sql, &params, until, &undone).await;
                answer(reply, done.map(|done| done.0))
            }
            Some(Request::Query(sql, params, reply)) => {
                answer(reply, one(connection, &sql, &params, until, &undone).await.map(|done| done.1))
            }
        };
        match lost {
            None => {}
            Some(End::Undone) => return Ok(None),
            Some(End::Lost(fault)) => return Err(fault),
        }
    }
}

/// Why a body's transaction is over after a statement.
enum End {
    /// The connection is good, the transaction is to be undone.
    Undone,
    Lost(Fault),
}

/// Answers a statement. What it says if the transaction is over with it.
fn answer<A>(reply: Reply<A>, done: Result<A, Failed>) -> Option<End> {
    let (error, end) = match done {
        Ok(done) => {
            drop(reply.send(Ok(done)));
            return None;
        }
        Err(Failed::Statement(error)) => (error, None),
        Err(Failed::Transaction(error)) => (error, Some(End::Undone)),
        Err(Failed::Connection(error)) => (error.clone(), Some(End::Lost(Fault::connection_error(error)))),
    };
    drop(reply.send(Err(error)));
    end
}

/// How far a statement's failure goes.
enum Failed {
    /// It has done nothing, and the body may go on.
    Statement(StoreError),
    /// The transaction is over.
    Transaction(StoreError),
    /// And the connection with it.
    Connection(StoreError),
}

/// Runs one statement under a savepoint: one that fails has done nothing. Answers rows changed, and rows.
async fn one(
    connection: &Connection,
    sql: &str,
    params: &[Value],
    until: Instant,
    undone: &StoreError,
) -> Result<(u64, Vec<Vec<Value>>), Failed> {
    guard::check(sql).map_err(Failed::Statement)?;
    // The server cuts it off at the same time; this one is for a server that cannot be reached.
    let limit = until + Duration::from_millis(500);
    match tokio::time::timeout_at(limit, under_savepoint(connection, sql, params)).await {
        Ok(done) => done,
        Err(_) => Err(Failed::Connection(undone.clone())),
    }
}

async fn under_savepoint(
    connection: &Connection,
    sql: &str,
    params: &[Value],
) -> Result<(u64, Vec<Vec<Value>>), Failed> {
    let client = &connection.client;
    let lost = |error: tokio_postgres::Error| Failed::Connection(Fault::from(error).error);
    client.batch_execute("SAVEPOINT hydra_statement").await.map_err(lost)?;
    match user_statement(client, sql, params).await {
        Ok(done) => {
            client.batch_execute("RELEASE hydra_statement").await.map_err(lost)?;
            Ok(done)
        }
        Err(UserError::Refused(error)) => {
            client.batch_execute("ROLLBACK TO hydra_statement; RELEASE hydra_statement").await.map_err(lost)?;
            Err(Failed::Statement(error))
        }
        Err(UserError::Database(error)) if fault::is_cancelled(&error) => Err(Failed::Transaction(
            StoreError::Refused("the statement took too long and was interrupted; its transaction is undone".into()),
        )),
        Err(UserError::Database(error)) => {
            let fault = Fault::from(error);
            match fault.what {
                What::Connection => Err(Failed::Connection(fault.error)),
                // A deadlock: what is locked must be let go.
                What::Conflict => Err(Failed::Transaction(fault.error)),
                What::Statement => {
                    client.batch_execute("ROLLBACK TO hydra_statement; RELEASE hydra_statement").await.map_err(lost)?;
                    Err(Failed::Statement(fault.error))
                }
            }
        }
    }
}

/// What is wrong with a statement of the user's.
pub enum UserError {
    Refused(StoreError),
    Database(tokio_postgres::Error),
}

/// Runs one statement of the user's. Answers rows changed, and rows.
pub async fn user_statement(
    client: &tokio_postgres::Client,
    sql: &str,
    params: &[Value],
) -> Result<(u64, Vec<Vec<Value>>), UserError> {
    let statement = client.prepare(sql).await.map_err(UserError::Database)?;
    let wanted = statement.params().len();
    if wanted != params.len() {
        let error = format!("the statement takes {wanted} parameters, not {}", params.len());
        return Err(UserError::Refused(StoreError::Refused(error)));
    }
    let stream = client.query_raw(&statement, params.iter().map(Param)).await.map_err(UserError::Database)?;
    let mut stream = std::pin::pin!(stream);
    let mut rows = Vec::new();
    while let Some(row) = stream.try_next().await.map_err(UserError::Database)? {
        rows.push(values::row(&row).map_err(UserError::Refused)?);
    }
    Ok((stream.rows_affected().unwrap_or(0), rows))
}

/// The end of a body that wants to commit: decided anew, under the lock, and written beside what the body wrote. A
/// refusal undoes what the body wrote.
async fn settle(
    shared: &Shared,
    connection: &mut Connection,
    sent: &AtomicBool,
    request: &CommandRequest,
    now: Time,
) -> Result<Answer, Fault> {
    connection.client.batch_execute("SET LOCAL ROLE NONE").await?;
    connection.engines_settings().await?;
    let (mut image, mut effects) = (Image::default(), Effects::default());
    load::again(connection, &mut image, request).await?;
    let mut tx = Tx { backend: &mut image, rules: shared.options.rules, now, effects: &mut effects };
    let decided: Decided = tx.decide(request)?;
    let writes = decided.writes();
    let answer = tx.apply(request, None, decided)?;
    if !writes {
        undo(connection).await?;
        return Ok(answer);
    }
    let writes = Writes::prepare(connection, &image).await?;
    writer::commit(shared, connection, sent, writes, async { Ok(()) }, effects, 1).await?;
    Ok(answer)
}

impl Request {
    /// Tells a body that its transaction is over.
    fn refuse(self, error: StoreError) {
        match self {
            Request::Execute(_, _, reply) => drop(reply.send(Err(error))),
            Request::Query(_, _, reply) => drop(reply.send(Err(error))),
            Request::Commit(_, reply) => drop(reply.send(Err(error))),
        }
    }
}

/// The body's side. Dropping it ends the channel, and so the transaction.
struct BodyTransaction {
    requests: mpsc::Sender<Request>,
    payload_bytes_max: usize,
    body_time_max: Duration,
}

impl BodyTransaction {
    async fn ask<A>(
        &self,
        request: Request,
        answer: oneshot::Receiver<Result<A, StoreError>>,
    ) -> Option<Result<A, StoreError>> {
        if self.requests.send(request).await.is_err() {
            return Some(Err(body::undone(self.body_time_max)));
        }
        answer.await.ok()
    }

    fn undone<A>(&self, answer: Option<Result<A, StoreError>>) -> Result<A, StoreError> {
        answer.unwrap_or_else(|| Err(body::undone(self.body_time_max)))
    }
}

impl Transaction for BodyTransaction {
    fn execute<'a>(&'a mut self, sql: &'a str, params: &'a [Value]) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move {
            check::params(params, self.payload_bytes_max)?;
            let (reply, answer) = oneshot::channel();
            let request = Request::Execute(sql.to_owned(), params.to_vec(), reply);
            self.undone(self.ask(request, answer).await)
        })
    }

    fn query<'a>(
        &'a mut self,
        sql: &'a str,
        params: &'a [Value],
    ) -> BoxFuture<'a, Result<Vec<Vec<Value>>, StoreError>> {
        Box::pin(async move {
            check::params(params, self.payload_bytes_max)?;
            let (reply, answer) = oneshot::channel();
            let request = Request::Query(sql.to_owned(), params.to_vec(), reply);
            self.undone(self.ask(request, answer).await)
        })
    }

    fn commit(self: Box<Self>, value: Vec<u8>) -> BoxFuture<'static, Result<Answer, StoreError>> {
        Box::pin(async move {
            check::bytes("output", value.len(), self.payload_bytes_max)?;
            let (reply, answer) = oneshot::channel();
            let answer = self.ask(Request::Commit(value, reply), answer).await;
            // Taken, and not answered: the store may have been closed before or after the commit.
            answer.unwrap_or_else(|| Err(StoreError::Unknown("the store was closed".into())))
        })
    }
}
