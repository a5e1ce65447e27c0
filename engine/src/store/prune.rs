//! Forgetting what has ended: a batch at a time, so that nobody waits long for it.

use super::apply::Tx;
use super::backend::{Aged, Backend};
use super::{ExecutionKey, PruneRequest, Pruned, StoreError};
use crate::conform::Entry;

/// What to do with the executions of a page: which to delete, and where to go on.
pub struct Plan {
    pub delete: Vec<Aged>,
    pub next: Option<ExecutionKey>,
}

/// Decides a page of at most [`PruneRequest::limit`] executions, in the order of their keys.
///
/// A row that cannot be read is left alone, for somebody to look at.
pub fn plan(request: &PruneRequest, page: Vec<Aged>) -> Plan {
    let full = page.len() >= request.limit;
    let last = page.last().map(|aged| aged.key);
    let mut delete = Vec::new();
    for aged in page {
        // Those after it were started later, so they have ended later. Where the clock was set back in between, they are
        // left for another time.
        if aged.started_at >= request.ended_before {
            return Plan { delete, next: None };
        }
        let is_asked_for = request.namespace.as_ref().is_none_or(|namespace| *namespace == aged.namespace);
        match &aged.row {
            Ok(row) => {
                let is_old = aged.ended_at.is_some_and(|ended_at| ended_at < request.ended_before);
                if is_asked_for && is_old && row.is_ended() {
                    delete.push(aged);
                }
            }
            Err(error) => tracing::error!(%error, "corrupt row, not deleted"),
        }
    }
    Plan { delete, next: last.filter(|_| full) }
}

impl<B: Backend> Tx<'_, B> {
    /// See [`super::Store::prune`].
    pub fn prune(&mut self, request: &PruneRequest) -> Result<Pruned, StoreError> {
        let page = self.backend.aged(request.after, request.limit)?;
        let Plan { delete, next } = plan(request, page);
        for aged in &delete {
            if let Ok(row) = &aged.row {
                self.backend.delete_execution(aged.key, row)?;
                if self.backend.keeps_journal() {
                    self.backend.record(&Entry::Deleted(aged.key).encode())?;
                }
            }
        }
        Ok(Pruned { deleted: delete.len(), next })
    }
}
