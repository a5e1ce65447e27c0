//! The cluster as a state of the model: the same rows and the same machines, with times and epochs rounded as there.

use hydra_model::world::clock::Moment;
use hydra_model::world::compose::Seen;
use hydra_model::world::drive::{Drive as ModelDrive, Machine};
use hydra_model::world::row::{Ghost, LATEST, OLDER, Row};
use hydra_protocol::worker::{drive, step};
use hydra_protocol::{
    Command, Epoch, Execution, Kind, Outcome, Protocol, Release, Status, Step, StepNo, StepState, Time,
};

use super::Cluster;
use super::drives::{Drive, Slot};
use crate::workload::BodyEnd;

/// Effects that a receiver has seen of bodies that have ended: the model has none in the middle of a body.
#[derive(Clone, Debug, Default)]
pub(crate) struct Effects {
    counted: Vec<bool>,
}

impl<P: Protocol + ?Sized> Cluster<'_, P> {
    /// The first execution and every worker as the model sees them. `effects` is of this run, and empty when it begins.
    pub(crate) fn project(&self, effects: &mut Effects) -> (Row, Vec<Seen>) {
        let now = self.store.clock(self.now_ms);
        let row = self.project_row(now, effects);
        let seen = |(at, worker): (usize, &super::worker::Worker)| Seen {
            drives: vec![self.project_drive(at as u8, now)],
            is_partitioned: worker.cut_in || worker.cut_out,
            is_paused: worker.paused_until_ms > self.now_ms,
        };
        (row, self.workers.iter().enumerate().map(seen).collect())
    }

    fn project_row(&self, now: Time, effects: &mut Effects) -> Row {
        let mut row = Row::NONE;
        let steps = self.programs.programs[0].steps.clone();
        effects.counted.resize(steps.len(), false);
        let execution = self.store.executions[0];
        let epoch = execution.map_or(Epoch(0), |execution| execution.epoch);
        row.execution = execution.map(|execution| round_execution(execution, now));
        for (at, step) in steps.clone().enumerate() {
            let there = self.store.steps[step as usize];
            row.steps[at] = there.row.map(|step| round_step(step, epoch, now));
            let outcome = there.row.and_then(|row| row.settled()).map(|(_, outcome)| outcome);
            let kind = self.programs.steps[step as usize].kind;
            if kind == Kind::Keyed && self.keys.contains(&(0, self.rules.key(StepNo(at as u32 + 1), 1))) {
                effects.counted[at] |= !self.in_body_with_effect(at);
            }
            row.ghosts[at] = Ghost {
                entered: if kind == Kind::AtMostOnce { self.entries[step as usize].min(2) as u8 } else { 0 },
                effects: match kind {
                    Kind::Keyed => u8::from(effects.counted[at]),
                    Kind::Transactional => u8::from(outcome == Some(Outcome::Succeeded)),
                    Kind::AtMostOnce | Kind::Timer => 0,
                },
                known_success: matches!(outcome, Some(Outcome::Succeeded | Outcome::Unencodable)),
            };
        }
        row
    }

    /// Whether a worker has yet to hear what was committed for it.
    pub(crate) fn answers_are_under_way(&self) -> bool {
        (0..self.calls.len()).any(|call| self.calls[call].is_answer_under_way())
    }

    /// Whether somebody is inside the body of a step whose effect happened at its beginning.
    fn in_body_with_effect(&self, slot: usize) -> bool {
        (0..self.drives.len()).any(|drive| {
            let there = &self.drives[drive];
            let inside = |slot: &Slot| slot.effected && matches!(slot.phase, step::Phase::Running { .. });
            there.live && there.begun && there.slots.get(slot).is_some_and(inside)
        })
    }

    fn project_drive(&self, worker: u8, now: Time) -> Option<ModelDrive> {
        let ours = |index: &u32| {
            let there = &self.drives[*index];
            there.live && there.begun && there.worker == worker && there.execution == 0
        };
        // Of two of one worker the model has the later: it is the one that the worker means.
        let index = (0..self.drives.len()).filter(ours).max_by_key(|index| self.drives[*index].claim)?;
        let there = &self.drives[index];
        let newest = self.store.executions[0].map(|execution| execution.epoch);
        let epoch = if Some(there.epoch) == newest { LATEST } else { OLDER };
        let mut steps = [Machine::NEW; hydra_model::world::bounds::STEPS_MAX];
        for (at, (machine, slot)) in steps.iter_mut().zip(&there.slots).enumerate() {
            *machine = project_machine(there, slot, self.kind_of(index, at as u32), now);
        }
        let is_latest_claim = there.claim == self.latest_claim[0];
        Some(ModelDrive { epoch, is_latest_claim, phase: project_phase(there.phase), steps })
    }
}

fn project_machine(drive: &Drive, slot: &Slot, kind: Kind, now: Time) -> Machine {
    // A workflow that is not run any more waits for nothing.
    if drive.phase != drive::Phase::Driving && slot.phase != step::Phase::Done {
        return Machine { phase: step::Phase::Gone, ..Machine::NEW };
    }
    let phase = match slot.phase {
        step::Phase::Waiting { due_at, attempt } => step::Phase::Waiting { due_at: round(due_at, now), attempt },
        phase => phase,
    };
    let settles = matches!(phase, step::Phase::Asking(Command::Settle { .. }));
    let succeeded = matches!(slot.end, BodyEnd::Returns | BodyEnd::Unencodable);
    Machine { phase, has_succeeded: settles && succeeded && kind != Kind::Transactional, turn: slot.pending }
}

fn project_phase(phase: drive::Phase) -> drive::Phase {
    match phase {
        // What it parks until lay ahead when it decided to.
        drive::Phase::Asking(Command::Release { epoch, release: Release::Parked { .. } }) => {
            let release = Release::Parked { wake: Moment::Future.time() };
            drive::Phase::Asking(Command::Release { epoch, release })
        }
        phase => phase,
    }
}

fn round(at: Time, now: Time) -> Time {
    match at {
        Time::MAX => Moment::Never.time(),
        at if at <= now => Moment::Due.time(),
        _ => Moment::Future.time(),
    }
}

fn round_execution(execution: Execution, now: Time) -> Execution {
    let status = match execution.status {
        Status::Ready { due_at } => Status::Ready { due_at: round(due_at, now) },
        Status::Leased { due_at } => Status::Leased { due_at: round(due_at, now) },
        Status::Ended(ending) => Status::Ended(ending),
    };
    let epoch = if execution.epoch > Epoch(0) { LATEST } else { Epoch(0) };
    Execution { status, epoch, ..execution }
}

fn round_step(step: Step, newest: Epoch, now: Time) -> Step {
    let state = match step.state {
        StepState::Waiting { due_at } => StepState::Waiting { due_at: round(due_at, now) },
        StepState::Sleeping { due_at } => StepState::Sleeping { due_at: round(due_at, now) },
        StepState::Abandoned { due_at } => StepState::Abandoned { due_at: due_at.map(|at| round(at, now)) },
        StepState::Running | StepState::Settled { .. } => step.state,
    };
    Step { epoch: if step.epoch == newest { LATEST } else { OLDER }, state, ..step }
}
