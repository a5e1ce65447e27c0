//! What the journal held and what a workflow saw, in a few words.

use std::fmt;

use super::{Journal, Seen};

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Seen::Value(value) => write!(f, "{value:?}"),
            Seen::Failed => f.write_str("a failure"),
            Seen::InDoubt => f.write_str("in doubt"),
        }
    }
}

/// A sentence without its subject: `claims W1, epoch 2`.
impl fmt::Display for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Journal::Claimed { execution, epoch: Some(epoch) } => write!(f, "claims {execution}, epoch {epoch}"),
            Journal::Claimed { execution, epoch: None } => write!(f, "claims {execution}"),
            Journal::Released { execution } => write!(f, "releases {execution}"),
            Journal::Began { step, attempt } => write!(f, "begins {step}, attempt {attempt}"),
            Journal::Checkpoint { step, seen } => write!(f, "checkpoints {step}: {seen}"),
            Journal::TimerSet { step, due_ms } => {
                write!(f, "sets the timer {step} for {due_ms} ms")
            }
            Journal::TimerFired { step } => write!(f, "fires {step}"),
            Journal::Status { execution, status } => {
                write!(f, "writes {execution} {}", status.word())
            }
            Journal::Rows { contradiction: Some(contradiction), .. } => {
                write!(f, "holds a contradiction: {contradiction}")
            }
            Journal::Rows { rows_per_step_max, open_steps, .. } => {
                write!(f, "holds {rows_per_step_max} rows a step at most, {open_steps} open steps")
            }
        }
    }
}
