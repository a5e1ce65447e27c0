//! Histories: what clients, receivers and, where it can be read, the subject's journal showed, in order.
//!
//! A history is JSON lines: a header that holds the workload, then one record a line. It is complete in itself, so that
//! it can be judged again when the oracle has changed. The order of the lines is the order of observation and is what the
//! oracle trusts; times are for people and for bounds.

mod lines;
mod words;

use std::collections::BTreeMap;

use hydra_schedule::{Event, Name, StepName};
use serde::{Deserialize, Serialize};

use crate::workload::Workload;
pub use lines::{HistoryError, VERSION};

/// Everything observed in one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// What ran.
    pub header: Header,
    /// What was observed, in order.
    pub records: Vec<Record>,
}

/// What ran.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The engine, with its version where it has one.
    pub subject: String,
    /// The seed, if one decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The workers' names.
    #[serde(default)]
    pub workers: Vec<Name>,
    /// The programs.
    pub workload: Workload,
}

/// One observation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When, in milliseconds of the observer's clock since the run began.
    pub at_ms: u64,
    /// Who did it: a worker's name, `client`, `store` or `nemesis`.
    pub who: String,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What was observed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum What {
    /// A client's call, at its beginning and at its end.
    Call(Call),
    /// A body was entered: it stands at its door.
    Entered(Entered),
    /// A receiver saw an effect.
    Effect(Effect),
    /// A body was left. A body whose worker died in it is entered and never left.
    Left {
        /// Which step.
        step: StepName,
        /// Which entry.
        body: u64,
        /// What the worker was given.
        gave: Gave,
    },
    /// A worker's process came up, or was seen to be gone.
    Worker {
        /// Whether it is up now.
        up: bool,
    },
    /// The nemesis struck or healed.
    Fault {
        /// The line of the schedule, such as `fault pause A 60000`.
        event: Event,
    },
    /// From here on there are no faults, and every worker is up: everything must converge.
    Healed,
    /// The observation ended here.
    Ended,
    /// The subject's journal was seen to hold this (only where it can be read).
    Journal(Journal),
}

/// One side of a client's call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Tells the two sides of one call.
    pub call: u64,
    /// What is asked.
    pub op: Op,
    /// Of which execution.
    pub execution: Name,
    /// Which side, and what came back.
    pub phase: Phase,
    /// For a start: whether its input differs from the program's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub other_input: bool,
    /// The status that came back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// For a result: what the workflow had of each step when it ended.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub saw: BTreeMap<Name, Seen>,
    /// The error that came back, in the subject's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What a client asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Op {
    /// Starts an execution.
    Start,
    /// Asks for the status.
    Status,
    /// Waits for the result.
    Result,
    /// Cancels.
    Cancel,
    /// Re-opens a failed execution, as an operator.
    Retry,
}

/// How far a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// It was made.
    Invoked,
    /// It was answered.
    Ok,
    /// It was refused: nothing happened.
    Failed,
    /// No answer: it may or may not have happened.
    Unknown,
}

/// An execution's status, in our words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Nobody has claimed it yet.
    Pending,
    /// It is open: running, sleeping or waiting for a retry.
    Running,
    /// It ended with a result.
    Succeeded,
    /// It ended with a failure.
    Failed,
    /// It was cancelled.
    Cancelled,
    /// The subject does not know it.
    Missing,
}

impl Status {
    /// Whether nothing should follow.
    pub fn is_terminal(self) -> bool {
        matches!(self, Status::Succeeded | Status::Failed | Status::Cancelled)
    }

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Status::Pending => "pending",
            Status::Running => "running",
            Status::Succeeded => "succeeded",
            Status::Failed => "failed",
            Status::Cancelled => "cancelled",
            Status::Missing => "missing",
        }
    }
}

/// What a workflow has of a step.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seen {
    /// The value that a body returned.
    Value(String),
    /// A typed failure, caught.
    Failed,
    /// A typed "may have happened", caught.
    InDoubt,
}

/// A body at its door.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entered {
    /// Which step.
    pub step: StepName,
    /// A number for this entry, unique in the history.
    pub body: u64,
    /// The attempt, if the subject tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// Whether the execution's input is the one of another start under its id.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub other_input: bool,
    /// What the workflow had of earlier steps.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub saw: BTreeMap<Name, Seen>,
}

/// An effect at a receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// Which step.
    pub step: StepName,
    /// Which entry into its body.
    pub body: u64,
    /// The idempotency key that was presented, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The epoch that was presented, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// Whether the receiver did it: false if it had seen the key, or a later epoch, before.
    pub applied: bool,
}

/// What a worker was given by a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gave {
    /// A value that no other entry returns.
    Value(String),
    /// A failure that a retry may mend.
    Failure,
    /// A failure that no retry can mend.
    FinalFailure,
    /// Something that cannot be encoded; the effect has happened.
    Unencodable,
    /// Nothing: the worker cancelled the body.
    Cancelled,
}

/// What the subject's journal was seen to hold. `who` of the record is the worker that wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "kebab-case")]
pub enum Journal {
    /// A claim was accepted.
    Claimed {
        /// Of which execution.
        execution: Name,
        /// Under which epoch, if the subject has epochs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        epoch: Option<u64>,
    },
    /// The lease was given back.
    Released {
        /// Of which execution.
        execution: Name,
    },
    /// The beginning of an attempt was accepted.
    Began {
        /// Of which step.
        step: StepName,
        /// Which attempt, from 1.
        attempt: u32,
    },
    /// A checkpoint was accepted.
    Checkpoint {
        /// Of which step.
        step: StepName,
        /// What it holds.
        seen: Seen,
    },
    /// A timer was set.
    TimerSet {
        /// Which sleep.
        step: StepName,
        /// Until when, on the observer's clock.
        due_ms: u64,
    },
    /// A timer fired.
    TimerFired {
        /// Which sleep.
        step: StepName,
    },
    /// The status was written.
    Status {
        /// Of which execution.
        execution: Name,
        /// What it is now.
        status: Status,
    },
    /// The rows of an execution were checked.
    Rows {
        /// Of which execution.
        execution: Name,
        /// The most rows that one step has.
        rows_per_step_max: u32,
        /// How many steps are open (begun and not settled).
        open_steps: u32,
        /// How the rows contradict one another, if they do.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        contradiction: Option<String>,
    },
}

impl Call {
    /// The beginning of a call.
    pub fn invoked(call: u64, op: Op, execution: &Name) -> Self {
        Call {
            call,
            op,
            execution: execution.clone(),
            phase: Phase::Invoked,
            other_input: false,
            status: None,
            saw: BTreeMap::new(),
            error: None,
        }
    }

    /// The end of a call.
    pub fn answered(&self, phase: Phase) -> Self {
        Call { phase, ..self.clone() }
    }
}

impl Record {
    /// The execution that the record is about, if it is about one.
    pub fn execution(&self) -> Option<&Name> {
        match &self.what {
            What::Call(call) => Some(&call.execution),
            What::Entered(entered) => Some(&entered.step.execution),
            What::Effect(effect) => Some(&effect.step.execution),
            What::Left { step, .. } => Some(&step.execution),
            What::Worker { .. } | What::Fault { .. } | What::Healed | What::Ended => None,
            What::Journal(journal) => Some(match journal {
                Journal::Claimed { execution, .. }
                | Journal::Released { execution }
                | Journal::Status { execution, .. }
                | Journal::Rows { execution, .. } => execution,
                Journal::Began { step, .. }
                | Journal::Checkpoint { step, .. }
                | Journal::TimerSet { step, .. }
                | Journal::TimerFired { step } => &step.execution,
            }),
        }
    }
}
