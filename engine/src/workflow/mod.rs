//! What a user writes: workflows, their steps, and what may become of them.

mod attempt;
mod context;
mod error;
mod registry;
mod retry;
mod step;

pub use attempt::{Attempt, Tx};
pub use context::Context;
pub use error::{BoxError, StepError, StepFailure};
pub use retry::RetryPolicy;
pub use step::StepBuilder;

pub(crate) use context::{Delivered, Host, Run, StepEnd};
pub(crate) use registry::{Registry, WorkflowEnd, WorkflowFuture};
