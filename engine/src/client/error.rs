//! What a client may be told.

use hydra_protocol::{Failure, Rejection};

use crate::names::NameError;
use crate::store::{ExecutionId, StoreError};

/// Why something was not done. Nothing was lost by it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// There is no such execution.
    #[error("no execution {0}")]
    Unknown(ExecutionId),
    /// There is an execution with this id, with another workflow or another input.
    #[error("execution {0} exists with another workflow or input; use the same input to get its result, or another id")]
    Conflict(ExecutionId),
    /// Its state does not allow it.
    #[error("execution {id}: {rejection}")]
    Rejected {
        /// Which execution.
        id: ExecutionId,
        /// Why.
        rejection: Rejection,
    },
    /// A name that cannot be used.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A value that cannot be encoded.
    #[error("the value cannot be encoded: {0}")]
    Unencodable(String),
    /// A value larger than the store takes.
    #[error(
        "the value has {bytes} bytes encoded; this store takes {max}. Keep large data elsewhere, and pass its name"
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// What is allowed.
        max: usize,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an execution has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResultError {
    /// It failed.
    #[error("the execution failed ({}): {error}", hydra_protocol::decode::failure_name(*.failure))]
    Failed {
        /// Why.
        failure: Failure,
        /// What it said.
        error: String,
    },
    /// It was cancelled.
    #[error("the execution was cancelled")]
    Cancelled,
    /// It succeeded, and its output is not of the type asked for.
    #[error("the output cannot be decoded as asked: {0}")]
    Undecodable(String),
    /// It could not be looked at.
    #[error(transparent)]
    Client(#[from] ClientError),
}
