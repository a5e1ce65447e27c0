//! The row of one step.

use crate::{Epoch, Time};

/// A step's place in its execution: the first step that the workflow asked for is 1. With the execution's id it is
/// the step's one identity, in the unique key of its row and in its idempotency key alike. (The engine of the audit
/// spelled an id one way when a step began and another when it completed, so no step ever read as completed.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepNo(pub u32);

/// One step, as its row says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Step {
    /// What was promised of it.
    pub kind: Kind,
    /// The epoch that wrote it last.
    pub epoch: Epoch,
    /// Attempts begun, whether or not they came back. Zero for a timer.
    pub attempt: u32,
    /// Attempts that may begin at most. Zero for a timer.
    pub attempts_max: u32,
    /// Where it stands.
    pub state: StepState,
}

/// What a step promises of its effect. See SPEC.md, "What is promised".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The body writes through the store's own transaction: effect and checkpoint commit together.
    Transactional,
    /// The body runs at least once and hands on an idempotency key: one effect at a receiver that honours it.
    Keyed,
    /// The body begins at most once. A crash in it leaves the step in doubt.
    AtMostOnce,
    /// No body: a durable sleep.
    Timer,
}

/// Where a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepState {
    /// An attempt has begun. Under the execution's current epoch its worker is at it; under an older one nobody knows.
    Running,
    /// The last attempt failed; the next may begin at this time.
    Waiting {
        /// End of the backoff.
        due_at: Time,
    },
    /// A timer that has not fired.
    Sleeping {
        /// When it may fire.
        due_at: Time,
    },
    /// It has its outcome: the checkpoint.
    Settled {
        /// The how-manieth step of its execution to settle, from 1. Replay hands outcomes to the workflow in this
        /// order, so that a race between steps ends as it did in the live run.
        order: u32,
        /// What came of it.
        outcome: Outcome,
    },
    /// It was open when its execution ended. If an operator retries the execution, an attempt counts as orphaned and
    /// a timer sleeps on.
    Abandoned {
        /// When a timer would have fired; none for a step with a body.
        due_at: Option<Time>,
    },
}

/// The durable outcome of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The body returned a value, and the row holds it.
    Succeeded,
    /// The body failed for the last time.
    Failed(Cause),
    /// The body succeeded, so its effect happened; its result could not be encoded. The body does not run again.
    Unencodable,
    /// An at-most-once body began, and nobody knows whether its effect happened.
    InDoubt,
    /// The timer fired.
    Fired,
}

/// Why a failed step was not tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Its error was declared final, or its kind allows no second attempt.
    Final,
    /// Its last allowed attempt returned an error.
    Exhausted,
    /// Its last allowed attempt never came back: the worker died in it.
    Crashed,
}

impl Step {
    /// When it can go on without anybody's help: the end of a backoff or of a sleep.
    pub fn due_at(&self) -> Option<Time> {
        match self.state {
            StepState::Waiting { due_at } | StepState::Sleeping { due_at } => Some(due_at),
            StepState::Running | StepState::Settled { .. } | StepState::Abandoned { .. } => None,
        }
    }

    /// Its order and outcome, once settled.
    pub fn settled(&self) -> Option<(u32, Outcome)> {
        match self.state {
            StepState::Settled { order, outcome } => Some((order, outcome)),
            StepState::Running
            | StepState::Waiting { .. }
            | StepState::Sleeping { .. }
            | StepState::Abandoned { .. } => None,
        }
    }

    /// What becomes of it when its execution ends: a settled step stays, an open one is abandoned.
    pub fn abandoned(mut self) -> Step {
        self.state = match self.state {
            StepState::Running | StepState::Waiting { .. } => StepState::Abandoned { due_at: None },
            StepState::Sleeping { due_at } => StepState::Abandoned { due_at: Some(due_at) },
            StepState::Settled { .. } | StepState::Abandoned { .. } => self.state,
        };
        self
    }
}
