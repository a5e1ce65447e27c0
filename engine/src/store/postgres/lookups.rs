//! Looks of clients at one execution each: those that come while one is answered are answered together by the next.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::Shared;
use super::connect::Link;
use super::fault::{Fault, What};
use super::reads::{Viewed, Views};
use crate::store::group_commit::job::Job;
use crate::store::{ExecutionId, ExecutionView, StoreError};

/// One look.
pub type Look = Job<ExecutionId, Option<ExecutionView>>;

/// Looks answered together at most, so that none waits long for another one's payload.
const LOOKS_MAX: usize = 64;

/// Until the store is closed and the queue empty.
pub async fn run(shared: Arc<Shared>, mut queue: mpsc::Receiver<Look>, mut closing: watch::Receiver<bool>) {
    let mut link = Link::new(Arc::clone(&shared.connector));
    let mut taken = Vec::new();
    loop {
        let count = tokio::select! {
            biased;
            count = queue.recv_many(&mut taken, LOOKS_MAX) => count,
            _ = closing.wait_for(|closing| *closing) => {
                queue.close();
                continue;
            }
        };
        if count == 0 {
            return;
        }
        let mut looks: Vec<_> = taken.drain(..).filter(|look| !look.reply.is_closed()).collect();
        let found = look(&shared, &mut link, &looks).await;
        for look in &mut looks {
            // A row that cannot be read is told to who asked for it. Two may have asked for the same.
            let view = found.as_ref().map_err(StoreError::clone).and_then(|views| {
                views.get(&look.request).map(|view| view.as_ref().map_err(StoreError::clone).cloned()).transpose()
            });
            let _ = look.run(|_| view);
        }
        looks.into_iter().for_each(|look| look.answer(None));
    }
}

async fn look(shared: &Shared, link: &mut Link, looks: &[Look]) -> Result<HashMap<ExecutionId, Viewed>, StoreError> {
    let ids: Vec<_> = looks.iter().map(|look| &look.request).collect();
    let mut again = true;
    loop {
        let done = async {
            let connection = link.get().await.map_err(Fault::connection_error)?;
            let read = tokio::time::timeout(shared.postgres.answer_timeout, Views(&ids).read(connection)).await;
            read.unwrap_or_else(|_| Err(Fault::connection("the server did not answer")))
        };
        match done.await {
            Err(fault) if fault.what == What::Connection => {
                link.forget();
                // Reading twice does no harm; the first connection may have been lost long ago.
                if !std::mem::take(&mut again) {
                    return Err(fault.error);
                }
            }
            done => return done.map(|views| views.into_iter().collect()).map_err(|fault| fault.error),
        }
    }
}
