//! The measure that falls on every step, so that nothing but faults, time and clients can keep the system going.
//!
//! Of each execution it adds up, in falling weight:
//! 1. what its rows still have to go through: every write that settles or begins something lowers it;
//! 2. whether it can be claimed: a claim trades this for a worker at work;
//! 3. what its workers still have to do before they either write or drop it.
//!
//! Giving a lease back makes an execution claimable again. If something is due by then, the next claim gets further; so
//! a request to give it back weighs more than the claim that it allows.

use super::World;
use super::clock::Moment;
use super::drive::{Drive, Machine};
use super::layout::Layout;
use super::program::Plans;
use super::row::{LATEST, OLDER, Row};
use super::state::State;
use hydra_protocol::worker::{drive, step};
use hydra_protocol::{Command, Kind, Protocol, Release, Settlement, Step, StepState};

/// Weight of one attempt among the parts of a machine.
const ATTEMPT: u32 = 16;

impl<P: Protocol + ?Sized + Sync + 'static> World<P> {
    pub(super) fn measure(&self, state: &State) -> Option<u64> {
        Some((0..self.layout.executions).map(|execution| self.measure_of(state, execution)).sum())
    }

    fn measure_of(&self, state: &State, execution: usize) -> u64 {
        let row = state.row(execution, &self.layout, &self.plans);
        let claim = self.claim_weight();
        let is_claimable = row.due() == Some(Moment::Due);
        let work: u64 =
            state.drives[..self.layout.workers].iter().map(|drives| self.work(drives[execution], claim)).sum();
        self.to_go(&row) * 4 * claim + if is_claimable { claim } else { 0 } + work
    }

    /// More than all workers together can have to do for one execution.
    fn claim_weight(&self) -> u64 {
        let machine = u64::from(ATTEMPT * (self.layout.attempt_max() + 3));
        (self.layout.workers as u64 + 1) * (self.layout.steps as u64 * machine + 4)
    }

    /// Writes that the rows still have to go through, at most.
    fn to_go(&self, row: &Row) -> u64 {
        let fresh = 2 * u64::from(self.layout.attempt_max()) + 4;
        if row.execution.is_none() {
            return fresh * self.layout.steps as u64 + 2;
        }
        if row.is_ended() {
            return 0;
        }
        1 + row.steps[..self.layout.steps].iter().map(|step| step.as_ref().map_or(fresh, writes_left)).sum::<u64>()
    }

    fn work(&self, drive: u32, claim: u64) -> u64 {
        let Some(phase) = Drive::phase_of(drive.into()) else { return 0 };
        let phase = match phase {
            drive::Phase::Gone => 0,
            drive::Phase::Driving => 3,
            drive::Phase::Asking(Command::Release { release: Release::Parked { wake }, .. })
                if Moment::of(wake) != Moment::Due =>
            {
                2
            }
            drive::Phase::Asking(Command::Release { .. }) => claim + 1,
            drive::Phase::Asking(_) => 2,
        };
        let is_latest = super::drive::holds_latest(drive);
        let machines = Drive::machines_of(drive.into(), &self.layout).enumerate();
        phase + machines.map(|(step, code)| u64::from(self.weights.of(step, is_latest, code))).sum::<u64>()
    }
}

/// What each machine still has to do, by its code. The measure is taken of every step's end: this spares it decoding.
pub(super) struct Weights {
    codes: usize,
    weights: Vec<u32>,
}

impl Weights {
    pub(super) fn new(layout: &Layout, plans: &Plans) -> Self {
        let codes = Machine::codes(layout) as usize;
        let mut weights = Vec::with_capacity(2 * layout.steps * codes);
        for step in 0..layout.steps {
            for epoch in [OLDER, LATEST] {
                weights.extend((0..codes as u64).map(|code| {
                    let machine = Machine::decode(code, step, epoch, layout, plans);
                    weight(&machine, plans.kinds[step], epoch == LATEST, layout.attempt_max())
                }));
            }
        }
        Weights { codes, weights }
    }

    #[inline]
    fn of(&self, step: usize, is_latest: bool, code: u64) -> u32 {
        self.weights[(2 * step + usize::from(is_latest)) * self.codes + code as usize]
    }
}

fn weight(machine: &Machine, kind: Kind, is_latest: bool, attempt_max: u32) -> u32 {
    let from = |attempt: u32| ATTEMPT * (attempt_max + 1).saturating_sub(attempt);
    match machine.phase {
        step::Phase::New => ATTEMPT * (attempt_max + 3),
        // A worker that has lost its lease may stop waiting at any time.
        step::Phase::Waiting { due_at, attempt } => {
            let base = if kind == Kind::Timer { 0 } else { from(attempt + 1) };
            base + if Moment::of(due_at) == Moment::Due || !is_latest { 8 } else { 1 }
        }
        step::Phase::Asking(Command::Sleep { .. }) => 9,
        step::Phase::Asking(Command::Fire { .. }) => 7,
        step::Phase::Asking(Command::Begin { attempt, .. }) => from(attempt) + 7,
        step::Phase::Running { attempt } => from(attempt) + 6,
        step::Phase::Asking(Command::Settle { attempt, settlement: Settlement::Succeeded, .. }) => from(attempt) + 5,
        step::Phase::Asking(Command::Settle { attempt, .. }) => from(attempt) + 4,
        step::Phase::Asking(_) | step::Phase::Done | step::Phase::Gone => 0,
    }
}

fn writes_left(step: &Step) -> u64 {
    let attempts_left = 2 * u64::from(step.attempts_max.saturating_sub(step.attempt));
    match step.state {
        StepState::Settled { .. } => 0,
        StepState::Waiting { .. } => attempts_left + 1,
        StepState::Running | StepState::Abandoned { due_at: None } => attempts_left + 2,
        StepState::Sleeping { .. } => 2,
        StepState::Abandoned { due_at: Some(_) } => 3,
    }
}
