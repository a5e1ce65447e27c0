//! The thread that all of a store's connections live on: so a store can be opened and used from any runtime, or from
//! none, like one on SQLite.

use std::sync::Arc;

use tokio::runtime::{Builder, Handle};
use tokio::sync::{mpsc, oneshot, watch};

use super::connect::Link;
use super::fault::Fault;
use super::lookups::{self, Look};
use super::writer::{Work, Writer};
use super::{Shared, body, claims, listen, lock, pooler, schema};
use crate::store::group_commit::job::Job;
use crate::store::{ClaimRequest, Claims, StoreError};

/// The ends of the queues.
pub struct Queues {
    pub writers: Vec<mpsc::Sender<Work>>,
    pub claims: mpsc::Sender<Job<ClaimRequest, Claims>>,
    pub lookups: mpsc::Sender<Look>,
}

/// What a store needs of its thread.
pub struct Running {
    pub handle: Handle,
    pub queues: Queues,
    pub ended: watch::Receiver<bool>,
}

/// Starts the thread, connects, brings the database to this engine's schema, and starts the tasks. Waits for that.
pub fn start(shared: Arc<Shared>, closing: watch::Receiver<bool>) -> Result<Running, StoreError> {
    let no_thread = |error: std::io::Error| StoreError::Unavailable(format!("no thread for the store: {error}"));
    let runtime = Builder::new_current_thread().enable_all().build().map_err(no_thread)?;
    let (ready, opened) = std::sync::mpsc::channel();
    let (ended_sender, ended) = watch::channel(false);
    let handle = runtime.handle().clone();
    let work = move || {
        runtime.block_on(async {
            if let Err(fault) = open(&shared).await {
                drop(ready.send(Err(fault.error)));
                return;
            }
            serve(shared, closing, |queues| drop(ready.send(Ok(queues)))).await;
        });
        // Connections close with the runtime.
        drop(runtime);
        ended_sender.send_replace(true);
    };
    std::thread::Builder::new().name("hydra-postgres".into()).spawn(work).map_err(no_thread)?;
    let queues = opened.recv().unwrap_or_else(|_| Err(StoreError::Unavailable("the store's thread died".into())))?;
    Ok(Running { handle, queues, ended })
}

async fn open(shared: &Shared) -> Result<(), Fault> {
    let mut connection = shared.connector.connect().await?;
    pooler::refuse_without_statements(&shared.connector, &mut connection).await?;
    schema::migrate(&connection.client).await?;
    // A user named `hydra` would find the engine's schema first in its path, and its bodies' tables would be made there.
    let schemas: Vec<String> =
        connection.client.query_one("SELECT current_schemas(false)::text[]", &[]).await?.try_get(0)?;
    let theirs: Vec<_> = schemas.iter().filter(|name| *name != "hydra").map(|name| body::quoted(name)).collect();
    *lock(&shared.search_path) = if theirs.is_empty() { "public".into() } else { theirs.join(", ") };
    shared.clock.read(&mut connection).await?;
    Ok(())
}

async fn serve(shared: Arc<Shared>, mut closing: watch::Receiver<bool>, ready: impl FnOnce(Queues)) {
    let (waiting, mut tasks) = (shared.options.queue_commands_max.max(1), Vec::new());
    let mut writers = Vec::new();
    for _ in 0..shared.postgres.writers.max(1) {
        let (sender, queue) = mpsc::channel(waiting);
        writers.push(sender);
        tasks.push(tokio::spawn(Writer::new(Arc::clone(&shared)).run(queue, closing.clone())));
    }
    let (claims, queue) = mpsc::channel(waiting);
    tasks.push(tokio::spawn(claims::run(Arc::clone(&shared), queue, closing.clone())));
    let (lookups, queue) = mpsc::channel(waiting);
    tasks.push(tokio::spawn(lookups::run(Arc::clone(&shared), queue, closing.clone())));
    if shared.postgres.listen {
        tasks.push(tokio::spawn(listen::run(Arc::clone(&shared), closing.clone())));
    }
    ready(Queues { writers, claims, lookups });
    let _ = closing.wait_for(|closing| *closing).await;
    for task in tasks {
        if let Err(error) = task.await {
            tracing::error!(%error, "a task of the store died");
        }
    }
    // Bodies that are running have their time.
    let all = u32::try_from(shared.postgres.bodies_max.max(1)).unwrap_or(u32::MAX);
    let _ = shared.bodies.acquire_many(all).await;
}

/// A task on the store's thread, awaited from anywhere.
pub async fn run<A: Send + 'static>(
    handle: &Handle,
    work: impl Future<Output = Result<A, StoreError>> + Send + 'static,
) -> Result<A, StoreError> {
    let (reply, answer) = oneshot::channel();
    handle.spawn(async move { reply.send(work.await).is_ok() });
    answer.await.unwrap_or_else(|_| Err(StoreError::Unknown("the store was closed before it answered".into())))
}

/// A link for a reader.
pub fn link(shared: &Shared) -> Link {
    Link::new(Arc::clone(&shared.connector))
}
