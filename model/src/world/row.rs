//! One execution in the store: its row, its steps' rows, and what the world knows of it.

use super::bounds::STEPS_MAX;
use super::clock::Moment;
use super::layout::{Layout, Reader, Writer};
use super::program::Plans;
use hydra_protocol::{Cause, Ending, Epoch, Execution, Failure, Kind, Outcome, Rows, Status, Step, StepState};

/// The epoch of the latest lease. Epochs are told apart only as the latest and older ones, for no rule asks for more.
pub const LATEST: Epoch = Epoch(10);
/// Any older epoch.
pub const OLDER: Epoch = Epoch(9);

/// Everything there is of one execution, outside of its workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its row, once it was started.
    pub execution: Option<Execution>,
    /// The rows of its steps.
    pub steps: [Option<Step>; STEPS_MAX],
    /// What happened outside of the store.
    pub ghosts: [Ghost; STEPS_MAX],
    /// An operator retried it.
    pub retried: bool,
}

/// What happened to a step outside of the store. No rule can read it; the properties do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ghost {
    /// Bodies entered of an at-most-once step: 0, 1, or 2 for more.
    pub entered: u8,
    /// Effects that a receiver honouring keys performed: 0, 1, or 2 for more.
    pub effects: u8,
    /// The store was told of an attempt whose body succeeded.
    pub known_success: bool,
}

impl Row {
    /// Not started.
    pub const NONE: Row = Row {
        execution: None,
        steps: [None; STEPS_MAX],
        ghosts: [Ghost { entered: 0, effects: 0, known_success: false }; STEPS_MAX],
        retried: false,
    };

    /// Whether it was started and has ended.
    pub fn is_ended(&self) -> bool {
        self.execution.is_some_and(|execution| execution.is_ended())
    }

    /// When it is due, unless it has ended.
    pub fn due(&self) -> Option<Moment> {
        self.execution.and_then(|execution| execution.due_at()).map(Moment::of)
    }

    /// The rows that a command about this step (or none) is decided over.
    pub(super) fn rows(&self, step: Option<usize>) -> Rows {
        Rows { execution: self.execution, step: step.and_then(|step| self.steps[step]), same_input: true }
    }

    /// The step that settled last.
    pub fn last_settled(&self) -> Option<usize> {
        let orders = self.steps.iter().enumerate().filter_map(|(at, step)| Some((at, (*step)?.settled()?.0)));
        orders.max_by_key(|&(_, order)| order).map(|(at, _)| at)
    }

    /// Rounds times and epochs to what the model tells apart.
    pub(super) fn round(&mut self) {
        if let Some(execution) = &mut self.execution {
            if execution.epoch > Epoch(0) {
                execution.epoch = LATEST;
            }
            execution.deadline = execution.deadline.map(|at| Moment::of(at).deadline());
            let round = |at: hydra_protocol::Time| Moment::of(at).time();
            execution.status = match execution.status {
                Status::Ready { due_at } => Status::Ready { due_at: round(due_at) },
                Status::Leased { due_at } => Status::Leased { due_at: round(due_at) },
                Status::Ended(ending) => Status::Ended(ending),
            };
        }
        for step in self.steps.iter_mut().flatten() {
            let round = |at: hydra_protocol::Time| Moment::of(at).time();
            step.state = match step.state {
                StepState::Waiting { due_at } => StepState::Waiting { due_at: round(due_at) },
                StepState::Sleeping { due_at } => StepState::Sleeping { due_at: round(due_at) },
                StepState::Abandoned { due_at } => StepState::Abandoned { due_at: due_at.map(round) },
                StepState::Running | StepState::Settled { .. } => step.state,
            };
        }
    }

    /// Whether an attempt is so high that the next could not be told from it.
    pub(super) fn is_beyond(&self, layout: &Layout, plans: &Plans) -> bool {
        let max = layout.attempt_max();
        max > plans.attempts && self.steps.iter().flatten().any(|step| step.attempt >= max)
    }

    pub(super) fn encode(&self, layout: &Layout) -> u64 {
        let mut word = Writer::default();
        match &self.execution {
            None => word.put(0, layout.execution()),
            Some(execution) => {
                word.put(status_code(execution.status), 4);
                word.put(u64::from(execution.epoch > Epoch(0)), 1);
                word.put(u64::from(execution.settled).min(3), 2);
                let replays = if execution.replays_max == u32::MAX { 0 } else { execution.replays };
                word.put(u64::from(replays).min(3), layout.replays);
                word.put(execution.deadline.map_or(0, |at| 1 + Moment::of(at).code()), layout.deadline);
                word.put(u64::from(self.retried), layout.retried);
            }
        }
        for (step, ghost) in self.steps.iter().zip(&self.ghosts).take(layout.steps) {
            match step {
                None => word.put(0, 8 + 2 * layout.attempt),
                Some(step) => {
                    let (state, order) = state_code(step.state);
                    word.put(state, 5);
                    word.put(u64::from(order).min(3), 2);
                    word.put(u64::from(step.epoch == LATEST), 1);
                    word.put(u64::from(step.attempt.min(layout.attempt_max())), layout.attempt);
                    word.put(u64::from(step.attempts_max.min(layout.attempt_max())), layout.attempt);
                }
            }
            word.put(u64::from(ghost.entered), layout.entered);
            word.put(u64::from(ghost.effects), 2);
            word.put(u64::from(ghost.known_success), 1);
        }
        word.word()
    }

    pub(super) fn decode(word: u64, layout: &Layout, plans: &Plans) -> Row {
        let mut word = Reader(word);
        let mut row = Row::NONE;
        let status = status_of(word.take(4));
        let claimed = word.take(1) == 1;
        let settled = word.take(2) as u32;
        let replays = word.take(layout.replays) as u32;
        let deadline = word.take(layout.deadline).checked_sub(1).map(|code| Moment::from_code(code).deadline());
        row.retried = word.take(layout.retried) == 1;
        row.execution = status.map(|status| Execution {
            status,
            epoch: if claimed { LATEST } else { Epoch(0) },
            settled,
            replays,
            replays_max: plans.replays_max,
            deadline,
        });
        for at in 0..layout.steps {
            let state = word.take(5);
            let order = word.take(2) as u32;
            let epoch = if word.take(1) == 1 { LATEST } else { OLDER };
            let attempt = word.take(layout.attempt) as u32;
            let attempts_max = word.take(layout.attempt) as u32;
            row.steps[at] =
                state_of(state, order).map(|state| Step { kind: plans.kinds[at], epoch, attempt, attempts_max, state });
            row.ghosts[at] = Ghost {
                entered: word.take(layout.entered) as u8,
                effects: word.take(2) as u8,
                known_success: word.take(1) == 1,
            };
        }
        row
    }
}

/// Whether `kind` has a body whose entries must be counted.
pub(super) fn counts_entries(kind: Kind) -> bool {
    kind == Kind::AtMostOnce
}

/// [`Row::due`]` == Some(Never)`, straight from the word.
#[inline]
pub(super) fn is_never_due(word: u64) -> bool {
    matches!(word & 15, 3 | 6)
}

const FAILURES: [Failure; 7] = [
    Failure::Workflow,
    Failure::Panicked,
    Failure::Nondeterministic,
    Failure::Undecodable,
    Failure::Unencodable,
    Failure::DeadlineExceeded,
    Failure::ReplaysExhausted,
];

fn status_code(status: Status) -> u64 {
    match status {
        Status::Ready { due_at } => 1 + Moment::of(due_at).code(),
        Status::Leased { due_at } => 4 + Moment::of(due_at).code(),
        Status::Ended(Ending::Succeeded) => 7,
        Status::Ended(Ending::Cancelled) => 8,
        Status::Ended(Ending::Failed(failure)) => 9 + failure as u64,
    }
}

fn status_of(code: u64) -> Option<Status> {
    match code {
        0 => None,
        1..=3 => Some(Status::Ready { due_at: Moment::from_code(code - 1).time() }),
        4..=6 => Some(Status::Leased { due_at: Moment::from_code(code - 4).time() }),
        7 => Some(Status::Ended(Ending::Succeeded)),
        8 => Some(Status::Ended(Ending::Cancelled)),
        _ => Some(Status::Ended(Ending::Failed(FAILURES[code as usize - 9]))),
    }
}

/// All outcomes; the index is the code.
pub(super) const OUTCOMES: [Outcome; 7] = [
    Outcome::Succeeded,
    Outcome::Failed(Cause::Final),
    Outcome::Failed(Cause::Exhausted),
    Outcome::Failed(Cause::Crashed),
    Outcome::Unencodable,
    Outcome::InDoubt,
    Outcome::Fired,
];

pub(super) fn outcome_code(outcome: Outcome) -> u64 {
    match outcome {
        Outcome::Succeeded => 0,
        Outcome::Failed(Cause::Final) => 1,
        Outcome::Failed(Cause::Exhausted) => 2,
        Outcome::Failed(Cause::Crashed) => 3,
        Outcome::Unencodable => 4,
        Outcome::InDoubt => 5,
        Outcome::Fired => 6,
    }
}

fn state_code(state: StepState) -> (u64, u32) {
    match state {
        StepState::Running => (1, 0),
        StepState::Waiting { due_at } => (2 + Moment::of(due_at).code(), 0),
        StepState::Sleeping { due_at } => (5 + Moment::of(due_at).code(), 0),
        StepState::Settled { order, outcome } => (8 + outcome_code(outcome), order),
        StepState::Abandoned { due_at: None } => (15, 0),
        StepState::Abandoned { due_at: Some(due_at) } => (16 + Moment::of(due_at).code(), 0),
    }
}

fn state_of(code: u64, order: u32) -> Option<StepState> {
    Some(match code {
        0 => return None,
        1 => StepState::Running,
        2..=4 => StepState::Waiting { due_at: Moment::from_code(code - 2).time() },
        5..=7 => StepState::Sleeping { due_at: Moment::from_code(code - 5).time() },
        8..=14 => StepState::Settled { order, outcome: OUTCOMES[code as usize - 8] },
        15 => StepState::Abandoned { due_at: None },
        _ => StepState::Abandoned { due_at: Some(Moment::from_code(code - 16).time()) },
    })
}
