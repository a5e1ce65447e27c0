//! What both drivers do with a transactional body.

use std::time::Duration;

use super::apply::Tx;
use super::backend::Backend;
use super::{Answer, CommandRequest, StoreError};

/// What a body is told whose transaction is over before it committed.
pub fn undone(body_time_max: Duration) -> StoreError {
    StoreError::Refused(format!(
        "the transaction is over and all that the body wrote in it is undone: the body took longer than {} ms, a \
         statement of its own ended it, or the store was closed",
        body_time_max.as_millis()
    ))
}

/// The end of a body that wants to commit: decided anew, and written beside what the body wrote. A refusal undoes
/// what the body wrote.
pub fn settle<B: Backend>(tx: &mut Tx<'_, B>, request: &CommandRequest) -> Result<Answer, StoreError> {
    let decided = tx.decide(request)?;
    if decided.writes() {
        tx.backend.release()?;
    } else {
        tx.backend.rollback_to()?;
    }
    tx.apply(request, None, decided)
}
