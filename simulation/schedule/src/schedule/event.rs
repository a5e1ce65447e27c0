//! Events: who did what.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::fault::{Boundary, Fault};
use super::parse::ScheduleError;
use crate::name::{Name, StepName};
use crate::words::words;

words! {
    /// How a step, or one attempt of it, was settled.
    StepOutcome {
        /// The body succeeded and its result is checkpointed.
        Succeeded = "succeeded",
        /// The attempt failed; another may follow.
        Failed = "failed",
        /// The step failed for good.
        Exhausted = "exhausted",
        /// The body succeeded and its result could not be encoded; recorded as such.
        Unencodable = "unencodable",
        /// Whether the body ran is not known.
        InDoubt = "in-doubt",
        /// The execution was cancelled.
        Cancelled = "cancelled",
    }
}

words! {
    /// How an execution ended.
    ExecutionOutcome {
        /// The workflow returned a result.
        Succeeded = "succeeded",
        /// The workflow failed.
        Failed = "failed",
        /// A client cancelled it.
        Cancelled = "cancelled",
    }
}

/// One line of a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Event {
    /// When, in milliseconds of the run's clock, if that matters.
    pub at_ms: Option<u64>,
    /// What.
    pub action: Action,
}

/// Who does what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// `A claims W1`: a worker acts.
    Worker {
        /// Which worker.
        worker: Name,
        /// What it does.
        act: WorkerAct,
    },
    /// `client starts W1`: a client acts.
    Client(ClientAct),
    /// `time passes W1`: the due time of the execution comes (retry, sleep or lease).
    TimePasses {
        /// Whose due time.
        execution: Name,
    },
    /// `store expires W1`: the store itself takes the lease away, in engines that sweep.
    StoreExpires {
        /// Whose lease.
        execution: Name,
    },
    /// `fault crash A`, and where the auditor can place it exactly, `fault crash A on write#12`.
    Fault {
        /// What goes wrong.
        fault: Fault,
        /// The place in the worker's process, if it is bound to one.
        on: Option<Boundary>,
    },
}

/// What a worker does. One word each, then what it is done to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum WorkerAct {
    /// `claims W1`: takes the lease, under a new epoch.
    Claims(Name),
    /// `begins W1/2 attempt 1`: the attempt is recorded.
    Begins {
        /// Which step.
        step: StepName,
        /// Which attempt, from 1.
        attempt: u32,
    },
    /// `runs W1/2`: the body runs and its effect happens.
    Runs(StepName),
    /// `settles W1/2 succeeded`: the outcome of the attempt is recorded.
    Settles {
        /// Which step.
        step: StepName,
        /// How it ended.
        outcome: StepOutcome,
    },
    /// `replays W1/2`: reads the checkpoint instead of running the body.
    Replays(StepName),
    /// `sleeps W1/3`: a timer is recorded.
    Sleeps(StepName),
    /// `fires W1/3`: the timer is recorded as fired.
    Fires(StepName),
    /// `releases W1`: gives the lease back while the execution is open.
    Releases(Name),
    /// `finishes W1 succeeded`: the execution's end is recorded.
    Finishes {
        /// Which execution.
        execution: Name,
        /// How it ended.
        outcome: ExecutionOutcome,
    },
    /// `asks W1`: reads the journal again, after a reply that never came.
    Asks(Name),
    /// `abandons W1`: drops its work unasked, since its lease is gone or about to end.
    Abandons(Name),
    /// `beats`: renews every lease it holds.
    Beats,
    /// `stops`: shuts down in an orderly way.
    Stops,
}

/// What a client does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ClientAct {
    /// `starts W1`, or `starts W1 other-input`: the same id with an input that differs from the first one.
    Starts {
        /// Under which id.
        execution: Name,
        /// Whether the input differs from the program's.
        other_input: bool,
    },
    /// `cancels W1`.
    Cancels(Name),
    /// `retries W1`: an operator re-opens a failed execution.
    Retries(Name),
    /// `looks W1`: asks for the status.
    Looks(Name),
    /// `awaits W1`: asks for the result.
    Awaits(Name),
}

impl Event {
    /// An event without a time of its own.
    pub fn new(action: Action) -> Self {
        Event { at_ms: None, action }
    }

    /// A worker's action.
    pub fn worker(worker: &Name, act: WorkerAct) -> Self {
        Event::new(Action::Worker { worker: worker.clone(), act })
    }

    /// A client's action.
    pub fn client(act: ClientAct) -> Self {
        Event::new(Action::Client(act))
    }

    /// A fault that is bound to no place in a process.
    pub fn fault(fault: Fault) -> Self {
        Event::new(Action::Fault { fault, on: None })
    }

    /// The same event at a time, in milliseconds of the run's clock.
    pub fn at(self, at_ms: u64) -> Self {
        Event { at_ms: Some(at_ms), ..self }
    }

    /// Whether it is a fault (a restart, a resume and a heal count too: they belong to the nemesis).
    pub fn is_fault(&self) -> bool {
        matches!(self.action, Action::Fault { .. })
    }

    /// The worker that acts or that the fault strikes, if it is one.
    pub fn worker_name(&self) -> Option<&Name> {
        match &self.action {
            Action::Worker { worker, .. } => Some(worker),
            Action::Fault { fault, .. } => fault.worker(),
            Action::Client(_) | Action::TimePasses { .. } | Action::StoreExpires { .. } => None,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at_ms) = self.at_ms {
            write!(f, "at {at_ms} ")?;
        }
        write!(f, "{}", self.action)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Worker { worker, act } => write!(f, "{worker} {act}"),
            Action::Client(act) => write!(f, "client {act}"),
            Action::TimePasses { execution } => write!(f, "time passes {execution}"),
            Action::StoreExpires { execution } => write!(f, "store expires {execution}"),
            Action::Fault { fault, on: None } => write!(f, "fault {fault}"),
            Action::Fault { fault, on: Some(on) } => write!(f, "fault {fault} on {on}"),
        }
    }
}

impl fmt::Display for WorkerAct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WorkerAct::Claims(execution) => write!(f, "claims {execution}"),
            WorkerAct::Begins { step, attempt } => write!(f, "begins {step} attempt {attempt}"),
            WorkerAct::Runs(step) => write!(f, "runs {step}"),
            WorkerAct::Settles { step, outcome } => write!(f, "settles {step} {outcome}"),
            WorkerAct::Replays(step) => write!(f, "replays {step}"),
            WorkerAct::Sleeps(step) => write!(f, "sleeps {step}"),
            WorkerAct::Fires(step) => write!(f, "fires {step}"),
            WorkerAct::Releases(execution) => write!(f, "releases {execution}"),
            WorkerAct::Finishes { execution, outcome } => {
                write!(f, "finishes {execution} {outcome}")
            }
            WorkerAct::Asks(execution) => write!(f, "asks {execution}"),
            WorkerAct::Abandons(execution) => write!(f, "abandons {execution}"),
            WorkerAct::Beats => f.write_str("beats"),
            WorkerAct::Stops => f.write_str("stops"),
        }
    }
}

impl fmt::Display for ClientAct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientAct::Starts { execution, other_input: false } => write!(f, "starts {execution}"),
            ClientAct::Starts { execution, other_input: true } => write!(f, "starts {execution} other-input"),
            ClientAct::Cancels(execution) => write!(f, "cancels {execution}"),
            ClientAct::Retries(execution) => write!(f, "retries {execution}"),
            ClientAct::Looks(execution) => write!(f, "looks {execution}"),
            ClientAct::Awaits(execution) => write!(f, "awaits {execution}"),
        }
    }
}

impl From<Event> for String {
    fn from(event: Event) -> String {
        event.to_string()
    }
}

impl TryFrom<String> for Event {
    type Error = ScheduleError;
    fn try_from(text: String) -> Result<Self, ScheduleError> {
        text.parse()
    }
}
