//! What the workflow does, as the machines of the core want to know it.

use super::bounds::{Body, Bounds, STEPS_MAX, Shape};
use super::clock::{BACKOFF, LEASE, SALT};
use hydra_protocol::worker::step::Plan;
use hydra_protocol::{Epoch, Kind, Outcome, Wake};

/// The program of a model, ready for use.
#[derive(Clone, Debug)]
pub struct Plans {
    /// Steps.
    pub len: usize,
    /// Their kinds.
    pub kinds: [Kind; STEPS_MAX],
    /// Their bodies.
    pub bodies: [Body; STEPS_MAX],
    /// How they follow each other.
    pub shape: Shape,
    /// Attempts each is allowed.
    pub attempts: u32,
    /// Claims in a row that may settle nothing.
    pub replays_max: u32,
}

/// What the workflow does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It waits for steps.
    Wait,
    /// It returns a value.
    Succeed,
    /// It returns an error.
    Fail,
}

impl Plans {
    pub(super) fn of(bounds: &Bounds) -> Self {
        let mut kinds = [Kind::Keyed; STEPS_MAX];
        let mut bodies = [Body::Returns; STEPS_MAX];
        for (at, step) in bounds.program.steps.iter().enumerate() {
            kinds[at] = step.kind;
            bodies[at] = step.body;
        }
        Plans {
            len: bounds.program.steps.len(),
            kinds,
            bodies,
            shape: bounds.program.shape,
            attempts: bounds.attempts,
            replays_max: bounds.replays.unwrap_or(u32::MAX),
        }
    }

    pub(super) fn plan(&self, step: usize, epoch: Epoch) -> Plan {
        Plan {
            epoch,
            kind: self.kinds[step],
            attempts_max: self.attempts,
            backoff: BACKOFF,
            salt: SALT,
            wake: Wake::After(LEASE),
        }
    }

    pub(crate) fn has_transactional(&self) -> bool {
        self.kinds[..self.len].contains(&Kind::Transactional)
    }

    /// Whether the workflow asks for a step, once it has seen `delivered` outcomes, all good.
    pub(super) fn asks_for(&self, step: usize, delivered: u32) -> bool {
        match self.shape {
            Shape::Sequence => step as u32 <= delivered,
            Shape::Together | Shape::Race => true,
        }
    }

    /// What the workflow does, once it has seen `delivered` outcomes of which the last is this.
    pub(super) fn next(&self, delivered: u32, last: Outcome) -> Next {
        match last {
            Outcome::Failed(_) | Outcome::Unencodable | Outcome::InDoubt => Next::Fail,
            Outcome::Succeeded | Outcome::Fired if self.is_complete(delivered) => Next::Succeed,
            Outcome::Succeeded | Outcome::Fired => Next::Wait,
        }
    }

    /// Whether so many outcomes are those of all steps.
    pub(super) fn is_all(&self, delivered: u32) -> bool {
        delivered as usize >= self.len
    }

    /// Whether so many good outcomes are all that the workflow waits for.
    pub(crate) fn is_complete(&self, delivered: u32) -> bool {
        match self.shape {
            Shape::Sequence | Shape::Together => delivered as usize >= self.len,
            Shape::Race => delivered >= 1,
        }
    }
}
