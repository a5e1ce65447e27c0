//! Wakes the idle workers of other processes when something becomes due here, and those here when it does there.
//!
//! Beside the commits and not in them: the server lets only one transaction that notifies commit at a time. What is lost
//! with a connection, polling finds.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio_postgres::AsyncMessage;

use super::Shared;
use super::fault::Fault;
use crate::store::signals::Effects;

/// At most one announcement in this time, whatever happens. The first one after a rest goes out at once.
const PAUSE: Duration = Duration::from_millis(10);
/// It writes nothing, so there is nothing to wait for on the disk: a server that forgets it has forgotten its listeners.
const ANNOUNCE: &str = "BEGIN; SET LOCAL synchronous_commit = off; NOTIFY hydra_due; COMMIT";
/// Between attempts to connect.
const AGAIN: Duration = Duration::from_millis(500);

/// Until the store is closed.
pub async fn run(shared: Arc<Shared>, mut closing: watch::Receiver<bool>) {
    loop {
        let listened = tokio::select! {
            listened = listen(&shared) => listened,
            _ = closing.wait_for(|closing| *closing) => return,
        };
        if let Err(fault) = listened {
            tracing::debug!(error = %fault.error, "not listening for work of other processes");
        }
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            _ = closing.wait_for(|closing| *closing) => return,
        }
    }
}

async fn listen(shared: &Arc<Shared>) -> Result<(), Fault> {
    let own = Arc::new(AtomicI32::new(0));
    let (theirs, told) = (Arc::clone(&own), Arc::clone(shared));
    let mut connection = shared
        .connector
        .connect_telling(move |message| match message {
            AsyncMessage::Notification(news) if news.process_id() != theirs.load(Ordering::Relaxed) => wake(&told),
            _ => {}
        })
        .await?;
    let pid = connection.client.query_one("SELECT pg_backend_pid()", &[]).await?.try_get(0)?;
    own.store(pid, Ordering::Relaxed);
    connection.client.batch_execute("LISTEN hydra_due").await?;
    // What was announced while nobody listened.
    wake(shared);
    loop {
        tokio::select! {
            () = shared.announce.notified() => {
                connection.client.batch_execute(ANNOUNCE).await?;
                tokio::time::sleep(PAUSE).await;
            }
            () = connection.ended() => return Err(Fault::connection("the connection that listens ended")),
        }
    }
}

fn wake(shared: &Shared) {
    shared.signals.tell(&Effects { due_changed: true, ..Effects::default() });
}
