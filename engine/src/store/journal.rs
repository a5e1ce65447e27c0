//! The journal of commands, as a transaction writes it: each decided command with its time and its answer, committed
//! together with what it changed. See [`crate::conform`].

use hydra_protocol::{Command, Rejection, Reply, Time};

use super::{CommandRequest, ExecutionKey, Target};
use crate::conform::{Decided, Digest, Entry};

/// The entry for one command. `found` is the execution that it was decided of, or that it made.
pub fn entry(
    request: &CommandRequest,
    found: Option<ExecutionKey>,
    now: Time,
    decision: Result<Reply, Rejection>,
) -> Entry {
    let (id, key) = match &request.target {
        Target::Id(id) => (Some(id.clone()), found),
        Target::Key(key) => (None, Some(*key)),
    };
    let name = match request.command {
        Command::Start { .. } => Some(request.payload.workflow.as_deref().unwrap_or_default()),
        Command::Begin { .. } | Command::Sleep { .. } => request.step.as_ref().map(|step| &*step.name),
        _ => None,
    };
    let value = match request.command {
        Command::Start { .. } => Some(request.payload.value.as_deref().unwrap_or_default()),
        Command::Settle { .. } | Command::Finish { .. } | Command::Resolve { .. } => request.payload.value.as_deref(),
        _ => None,
    };
    Entry::Decided(Box::new(Decided {
        now,
        id,
        key,
        step: request.step.as_ref().map(|step| step.no),
        command: request.command,
        name: name.map(|name| Digest::of(name.as_bytes())),
        value: value.map(Digest::of),
        decision,
    }))
}
