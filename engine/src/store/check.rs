//! Requests that no store takes, refused before anything is written.

use hydra_protocol::{Command, Ending, Settlement, Verdict};

use super::{ClaimRequest, CommandRequest, StoreError, Target, Value};
use crate::names;

/// Whether a command has what it needs, in names that people can read and payloads that fit.
pub fn command(request: &CommandRequest, payload_bytes_max: usize) -> Result<(), StoreError> {
    names_and_payload(request, payload_bytes_max)?;
    let value = request.payload.value.as_ref();
    match request.command {
        Command::Start { .. } if !matches!(request.target, Target::Id(_)) => missing("the execution's id"),
        Command::Start { .. } if request.payload.workflow.is_none() => missing("the workflow's name"),
        Command::Start { .. } if value.is_none() => missing("the input"),
        Command::Begin { .. }
        | Command::Settle { .. }
        | Command::Sleep { .. }
        | Command::Fire { .. }
        | Command::Resolve { .. }
            if request.step.is_none() =>
        {
            missing("the step")
        }
        Command::Settle { settlement: Settlement::Succeeded, .. }
        | Command::Resolve { verdict: Verdict::Succeeded }
        | Command::Finish { ending: Ending::Succeeded, .. }
            if value.is_none() =>
        {
            missing("the output")
        }
        // Only a worker's claim names its holder.
        Command::Claim { .. } => Err(StoreError::Refused("executions are claimed through `Store::claim`".into())),
        _ => Ok(()),
    }
}

fn missing(what: &str) -> Result<(), StoreError> {
    Err(StoreError::Refused(format!("the command lacks {what}")))
}

fn names_and_payload(request: &CommandRequest, payload_bytes_max: usize) -> Result<(), StoreError> {
    if let Target::Id(id) = &request.target {
        name(names::NAMESPACE, &id.namespace)?;
        name(names::EXECUTION, &id.id)?;
    }
    // Other commands find the step by its number.
    if let (Some(step), Command::Begin { .. } | Command::Sleep { .. }) = (&request.step, request.command) {
        name(names::STEP, &step.name)?;
    }
    if let Some(workflow) = &request.payload.workflow {
        name(names::WORKFLOW, workflow)?;
    }
    bytes("input or output", request.payload.value.as_ref().map_or(0, Vec::len), payload_bytes_max)?;
    bytes("error text", request.payload.error.as_ref().map_or(0, String::len), payload_bytes_max)
}

/// Whether a transactional body may be asked for with this command. Its output comes later.
pub fn transact(request: &CommandRequest, payload_bytes_max: usize) -> Result<(), StoreError> {
    let settles = matches!(request.command, Command::Settle { settlement: Settlement::Succeeded, .. });
    if !settles {
        return Err(StoreError::Refused("a body's transaction opens with its step's success".into()));
    }
    names_and_payload(request, payload_bytes_max)?;
    if request.step.is_none() { missing("the step") } else { Ok(()) }
}

/// Whether a claim names somebody.
pub fn claim(request: &ClaimRequest) -> Result<(), StoreError> {
    name(names::NAMESPACE, &request.namespace)?;
    name(names::WORKER, &request.worker)
}

/// Whether a body's parameters fit.
pub fn params(params: &[Value], payload_bytes_max: usize) -> Result<(), StoreError> {
    params.iter().try_for_each(|value| match value {
        Value::Text(text) => bytes("parameter", text.len(), payload_bytes_max),
        Value::Blob(blob) => bytes("parameter", blob.len(), payload_bytes_max),
        Value::Null | Value::Integer(_) | Value::Real(_) => Ok(()),
    })
}

/// Whether a payload fits.
pub fn bytes(what: &str, len: usize, max: usize) -> Result<(), StoreError> {
    if len <= max {
        return Ok(());
    }
    Err(StoreError::Refused(format!(
        "the {what} has {len} bytes, and this store takes {max} at most: keep it elsewhere and hand over where it is, \
         or raise `payload_bytes_max`"
    )))
}

fn name(what: &'static str, name: &str) -> Result<(), StoreError> {
    names::check(what, name).map_err(|error| StoreError::Refused(error.to_string()))
}
