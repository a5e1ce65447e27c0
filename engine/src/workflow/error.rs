//! What a step and its body may fail with.

use std::error::Error;
use std::fmt;

/// Any error.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// How a body says that it failed. `?` turns any error into one that may be retried.
pub struct StepFailure {
    pub(crate) error: BoxError,
    pub(crate) retryable: bool,
}

impl StepFailure {
    /// Another attempt may help.
    pub fn retryable(error: impl Into<BoxError>) -> Self {
        StepFailure { error: error.into(), retryable: true }
    }

    /// Another attempt cannot help: the card was declined, the address does not exist.
    pub fn fatal(error: impl Into<BoxError>) -> Self {
        StepFailure { error: error.into(), retryable: false }
    }
}

// No `impl Error`, so that the conversion below may cover every error type.
impl<E: Into<BoxError>> From<E> for StepFailure {
    fn from(error: E) -> Self {
        StepFailure::retryable(error)
    }
}

impl fmt::Debug for StepFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.error, if self.retryable { "may be retried" } else { "final" })
    }
}

/// What a workflow sees when a step did not succeed. Durable: every replay sees the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// It failed, and will not be tried again.
    #[error("step {step} failed {}: {message}", why(*.cause))]
    Failed {
        /// The step's name.
        step: String,
        /// Why there is no further attempt.
        cause: hydra_protocol::Cause,
        /// What the last attempt said.
        message: String,
    },
    /// Its body succeeded, so its effect happened, but its result could not be stored. The body does not run again.
    #[error("step {step} succeeded, and its result is lost: {message}")]
    Unencodable {
        /// The step's name.
        step: String,
        /// Why.
        message: String,
    },
    /// An at-most-once body began and nobody knows how far it got. The body does not run again. Find out (ask the
    /// receiver), then go on accordingly; or let the execution fail, and resolve it by hand.
    #[error("step {step} may or may not have happened: {message}")]
    InDoubt {
        /// The step's name.
        step: String,
        /// What is known.
        message: String,
    },
}

fn why(cause: hydra_protocol::Cause) -> &'static str {
    match cause {
        hydra_protocol::Cause::Final => "for good",
        hydra_protocol::Cause::Exhausted => "at its last attempt",
        hydra_protocol::Cause::Crashed => "as its worker died in its last attempt",
    }
}
