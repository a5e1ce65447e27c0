//! What must hold, judged on states and on edges. The words are those of [`hydra_schedule::PROPERTIES`].

mod commit;
mod explain;
mod state;

pub(crate) use commit::of_commit;
pub(crate) use explain::why;
pub use state::blames;
pub(crate) use state::of_state;

/// Who asks the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// A client.
    Client,
    /// A client who starts an execution with another input than the first.
    OtherInput,
    /// An operator.
    Operator,
    /// A worker that claims.
    Claimer,
    /// A worker that drives the execution, or did.
    Worker {
        /// Its claim is the latest to have been granted: the ghost count, whatever the engine's epochs say.
        is_latest_claim: bool,
        /// The body of the attempt that it settles has succeeded.
        has_succeeded: bool,
    },
}
