//! What goes into a decision and what comes out.

use crate::{Ending, Epoch, Execution, Outcome, Span, Step, Time};

/// The rows that a command is about, read in the transaction that will write them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rows {
    /// The execution's row, if there is one.
    pub execution: Option<Execution>,
    /// The row of the step that the command names, if there is one. For a retry: of the step that settled last.
    pub step: Option<Step>,
    /// For a start: whether the row there has the same workflow and the same input, byte for byte.
    pub same_input: bool,
}

/// What one transaction writes. Applying it is mechanical.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Commit {
    /// The execution's new row.
    pub execution: Option<Execution>,
    /// The guard of every write: the execution's row must still have this epoch; none means that it must not exist.
    /// The rows were read in the same transaction, so a guard that fails is a store that does not isolate.
    pub guard: Option<Epoch>,
    /// The step's new row.
    pub step: Option<StepWrite>,
    /// Whether every open step of the execution becomes [`Step::abandoned`].
    pub abandon_open: bool,
    /// What the sender is told, once the commit is durable.
    pub reply: Reply,
}

/// How a step's row is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepWrite {
    /// A new row: the unique key must refuse it when there is one already.
    Insert(Step),
    /// The row there, changed.
    Update(Step),
}

impl StepWrite {
    /// The row to be written, either way.
    pub fn step(&self) -> &Step {
        match self {
            StepWrite::Insert(step) | StepWrite::Update(step) => step,
        }
    }
}

/// What the sender of a command learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reply {
    /// The execution was started now.
    Started,
    /// It had been started before, with the same input.
    AlreadyStarted,
    /// The sender holds a lease.
    Claimed {
        /// Its epoch.
        epoch: Epoch,
        /// How long it lasts, from the store's `now`. Shorter than asked for where a deadline is near.
        lease: Span,
    },
    /// The lease lasts this long from the store's `now`.
    Renewed {
        /// How long.
        lease: Span,
    },
    /// The attempt is begun: run the body.
    Run {
        /// The attempt.
        attempt: u32,
    },
    /// The step is settled.
    Settled {
        /// Its place among the settled steps.
        order: u32,
        /// Its outcome.
        outcome: Outcome,
    },
    /// The attempt failed; the next may begin then.
    Waiting {
        /// End of the backoff.
        due_at: Time,
    },
    /// The timer runs.
    Sleeping {
        /// When it may fire.
        due_at: Time,
    },
    /// The lease is given back.
    Released {
        /// When the execution is due again.
        due_at: Time,
    },
    /// The execution has ended, by this command or by an equal one before.
    Ended(Ending),
    /// The execution is open again.
    Reopened,
    /// The step has the outcome that the operator gave.
    Resolved(Outcome),
}

impl Commit {
    /// A commit that writes nothing and only answers.
    pub fn answer(execution: &Execution, reply: Reply) -> Self {
        Commit { execution: None, guard: Some(execution.epoch), step: None, abandon_open: false, reply }
    }

    /// A commit that writes the execution's row.
    pub fn write(guard: Option<Epoch>, execution: Execution, reply: Reply) -> Self {
        Commit { execution: Some(execution), guard, step: None, abandon_open: false, reply }
    }

    /// The same, which also writes a step's row.
    pub fn with_step(mut self, step: StepWrite) -> Self {
        self.step = Some(step);
        self
    }

    /// The same, which also abandons every open step.
    pub fn abandoning(mut self) -> Self {
        self.abandon_open = true;
        self
    }
}
