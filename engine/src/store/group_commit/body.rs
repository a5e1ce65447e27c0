//! A transactional body: a task on one side, the writer's transaction on the other, a channel between.

use std::sync::mpsc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::oneshot;

use super::job::Reply;
use crate::store::{Answer, StoreError, Transaction, Value, body, check};

/// What a body asks of its transaction.
#[derive(Debug)]
pub enum BodyRequest {
    Execute(String, Vec<Value>, Reply<u64>),
    Query(String, Vec<Value>, Reply<Vec<Vec<Value>>>),
    Commit(Vec<u8>, Reply<Answer>),
}

impl BodyRequest {
    /// Tells a body that its transaction is over.
    pub fn refuse(self, error: StoreError) {
        match self {
            BodyRequest::Execute(_, _, reply) => drop(reply.send(Err(error))),
            BodyRequest::Query(_, _, reply) => drop(reply.send(Err(error))),
            BodyRequest::Commit(_, reply) => drop(reply.send(Err(error))),
        }
    }
}

/// What a request for a transaction found.
#[derive(Debug)]
pub enum Opened {
    Answered(Answer),
    Open(mpsc::Sender<BodyRequest>),
}

/// The body's side. Dropping it ends the channel, and so the transaction.
pub struct BodyTransaction {
    pub requests: mpsc::Sender<BodyRequest>,
    pub payload_bytes_max: usize,
    pub body_time_max: Duration,
}

impl BodyTransaction {
    async fn ask<A>(
        &self,
        request: BodyRequest,
        answer: oneshot::Receiver<Result<A, StoreError>>,
    ) -> Option<Result<A, StoreError>> {
        if self.requests.send(request).is_err() {
            return Some(Err(body::undone(self.body_time_max)));
        }
        answer.await.ok()
    }
}

impl Transaction for BodyTransaction {
    fn execute<'a>(&'a mut self, sql: &'a str, params: &'a [Value]) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move {
            check::params(params, self.payload_bytes_max)?;
            let (reply, answer) = oneshot::channel();
            let request = BodyRequest::Execute(sql.to_owned(), params.to_vec(), reply);
            self.ask(request, answer).await.unwrap_or_else(|| Err(body::undone(self.body_time_max)))
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
            let request = BodyRequest::Query(sql.to_owned(), params.to_vec(), reply);
            self.ask(request, answer).await.unwrap_or_else(|| Err(body::undone(self.body_time_max)))
        })
    }

    fn commit(self: Box<Self>, value: Vec<u8>) -> BoxFuture<'static, Result<Answer, StoreError>> {
        Box::pin(async move {
            check::bytes("output", value.len(), self.payload_bytes_max)?;
            let (reply, answer) = oneshot::channel();
            let answer = self.ask(BodyRequest::Commit(value, reply), answer).await;
            // Taken, and not answered: the writer may have died before or after the commit.
            answer.unwrap_or_else(|| Err(StoreError::Unknown("the store's writer ended".into())))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without an answer of its own, a commit would be taken for one that may have happened.
    #[test]
    fn what_comes_too_late_is_told_that_it_was_not_done() {
        let undone = body::undone(Duration::from_millis(60));
        let (reply, answer) = oneshot::channel();
        BodyRequest::Commit(Vec::new(), reply).refuse(undone.clone());
        assert_eq!(answer.blocking_recv().unwrap(), Err(undone.clone()));
        let (reply, answer) = oneshot::channel();
        BodyRequest::Execute(String::new(), Vec::new(), reply).refuse(undone.clone());
        assert_eq!(answer.blocking_recv().unwrap(), Err(undone.clone()));
        let (reply, answer) = oneshot::channel();
        BodyRequest::Query(String::new(), Vec::new(), reply).refuse(undone.clone());
        assert_eq!(answer.blocking_recv().unwrap(), Err(undone));
    }
}
