//! The writer's side of a transactional body: what the body asks of its transaction, until its end or its time's.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Instant;

use super::body::BodyRequest;
use super::job::Reply;
use crate::store::backend::Backend;
use crate::store::{Answer, StoreError};

/// A body's value, and where to answer that it is committed.
type Checkpoint = (Vec<u8>, Reply<Answer>);

/// Runs a body's statements until it commits, or ends without (none). An error if one
/// of them ended the transaction.
pub fn serve<B: Backend>(
    backend: &mut B,
    received: &mpsc::Receiver<BodyRequest>,
    until: Instant,
    undone: &StoreError,
) -> Result<Option<Checkpoint>, StoreError> {
    loop {
        // What has been sent already is received even when no time is left to wait.
        let request = match received.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(request) if Instant::now() < until => request,
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
            late => {
                tracing::warn!("a transactional body took too long and is undone");
                // Asked in the last moment: certainly not done. Later ones find the channel closed.
                late.into_iter().chain(received.try_iter()).for_each(|late| late.refuse(undone.clone()));
                return Ok(None);
            }
        };
        match request {
            BodyRequest::Execute(sql, params, reply) => drop(reply.send(backend.execute(&sql, &params))),
            BodyRequest::Query(sql, params, reply) => drop(reply.send(backend.query(&sql, &params))),
            BodyRequest::Commit(value, reply) => return Ok(Some((value, reply))),
        }
        if !backend.in_transaction() {
            received.try_iter().for_each(|late| late.refuse(undone.clone()));
            return Err(undone.clone());
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::*;
    use crate::store::body;
    use crate::store::memory::MemoryBackend;

    /// Asks for a table and then for the commit, with the time's end `until`: what came of the two, and of the body.
    fn asked(until: Instant) -> (Result<u64, StoreError>, bool) {
        let (requests, received) = mpsc::channel();
        let (reply, executed) = oneshot::channel();
        requests.send(BodyRequest::Execute("CREATE TABLE t (a)".into(), vec![], reply)).expect("received");
        requests.send(BodyRequest::Commit(b"1".to_vec(), oneshot::channel().0)).expect("received");
        let mut backend = MemoryBackend::default();
        backend.begin().expect("a transaction");
        let end = serve(&mut backend, &received, until, &body::undone(Duration::from_secs(1))).expect("not lost");
        (executed.blocking_recv().expect("answered"), end.is_some())
    }

    #[test]
    fn what_is_asked_in_time_is_done() {
        assert_eq!(asked(Instant::now() + Duration::from_secs(3600)), (Ok(0), true));
    }

    /// A channel gives what is in it, however late it is: body sends, its time ends, writer receives.
    #[test]
    fn what_is_received_after_the_time_is_refused() {
        let (executed, committed) = asked(Instant::now());
        assert_eq!((executed, committed), (Err(body::undone(Duration::from_secs(1))), false));
    }
}
