//! What a body gets to know of the attempt it is.

use std::sync::{Arc, OnceLock};

use tokio::sync::Mutex;

use crate::store::{ExecutionId, StoreError, Transaction, Value};

/// One attempt, as its body sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Hand this to the receiver of the effect. The same for every attempt of this step, whoever runs it, so a
    /// receiver that honours it lets the effect happen once.
    pub idempotency_key: String,
    /// Which attempt this is, from 1.
    pub number: u32,
    /// The epoch of the lease it runs under: a fencing token. A receiver that remembers the highest it has seen, and
    /// refuses lower ones, is safe from workers that were overtaken.
    pub epoch: u32,
    /// The execution.
    pub execution: ExecutionId,
}

/// The store's own transaction, for the body of a transactional step: what it writes is committed together with the
/// step's checkpoint, or not at all.
///
/// The whole store waits for it, so do nothing here that is slow: no network, no long queries. A body that takes
/// longer than the store allows is rolled back and counts as failed.
#[derive(Clone)]
pub struct Tx(Arc<Shared>);

struct Shared {
    transaction: Mutex<Option<Box<dyn Transaction>>>,
    /// The first error that it gave the body and that passes: a full disk, a broken connection.
    lost: OnceLock<StoreError>,
}

impl Tx {
    pub(crate) fn new(transaction: Box<dyn Transaction>) -> Self {
        Tx(Arc::new(Shared { transaction: Mutex::new(Some(transaction)), lost: OnceLock::new() }))
    }

    /// Takes the transaction back from the body; what the body kept of it is closed.
    pub(crate) async fn close(&self) -> Option<Box<dyn Transaction>> {
        self.0.transaction.lock().await.take()
    }

    /// Why the store could not do what the body asked of it, if that will pass.
    pub(crate) fn lost(&self) -> Option<StoreError> {
        self.0.lost.get().cloned()
    }

    fn noted<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(error) = &result
            && error.is_passing()
        {
            let _ = self.0.lost.set(error.clone());
        }
        result
    }

    /// Runs one statement and answers how many rows it changed. Parameters are `$1`, `$2`, ... on every store.
    pub async fn execute(&self, sql: &str, params: &[Value]) -> Result<u64, StoreError> {
        match self.0.transaction.lock().await.as_mut() {
            Some(transaction) => self.noted(transaction.execute(sql, params).await),
            None => Err(closed()),
        }
    }

    /// Runs one query and answers all of its rows.
    pub async fn query(&self, sql: &str, params: &[Value]) -> Result<Vec<Vec<Value>>, StoreError> {
        match self.0.transaction.lock().await.as_mut() {
            Some(transaction) => self.noted(transaction.query(sql, params).await),
            None => Err(closed()),
        }
    }
}

fn closed() -> StoreError {
    StoreError::Refused("the step's body has returned, so its transaction is closed".to_owned())
}
