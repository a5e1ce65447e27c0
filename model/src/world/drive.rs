//! What one worker has in memory of one execution that it drives.

use super::bounds::STEPS_MAX;
use super::clock::Moment;
use super::layout::{Layout, Reader, Writer};
use super::program::Plans;
use super::row::{LATEST, OLDER, OUTCOMES, outcome_code};
use hydra_protocol::worker::{drive, step};
use hydra_protocol::{Command, Ending, Epoch, Failure, Outcome, Release, Settlement};

/// A worker at work on an execution: the core's own machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drive {
    /// The epoch it holds: the latest or an older one.
    pub epoch: Epoch,
    /// Its claim was the latest to be granted, whatever the engine's own epochs say.
    pub is_latest_claim: bool,
    /// The machine of the execution.
    pub phase: drive::Phase,
    /// The machines of its steps.
    pub steps: [Machine; STEPS_MAX],
}

/// A step as a worker sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// The core's machine.
    pub phase: step::Phase,
    /// Whether the body of the attempt that it reports has succeeded, whatever it reports.
    pub has_succeeded: bool,
    /// The outcome that it wants to hand over, once it is its turn.
    pub turn: Option<(u32, Outcome)>,
}

impl Machine {
    /// The workflow has not asked for the step.
    pub const NEW: Machine = Machine { phase: step::Phase::New, has_succeeded: false, turn: None };

    /// Whether its outcome was handed over.
    pub fn is_delivered(&self) -> bool {
        self.phase == step::Phase::Done && self.turn.is_none()
    }
}

impl Drive {
    pub(super) fn new(epoch: Epoch) -> Self {
        Drive { epoch, is_latest_claim: true, phase: drive::Phase::Driving, steps: [Machine::NEW; STEPS_MAX] }
    }

    /// Outcomes handed over to the workflow.
    pub fn delivered(&self) -> u32 {
        self.steps.iter().filter(|step| step.is_delivered()).count() as u32
    }

    /// A body runs, or may be running inside a transaction.
    pub fn runs_a_body(&self) -> bool {
        self.steps.iter().any(|step| match step.phase {
            step::Phase::Running { .. } => true,
            step::Phase::Asking(command) => matches!(command, Command::Settle { .. }),
            step::Phase::New | step::Phase::Waiting { .. } | step::Phase::Done | step::Phase::Gone => false,
        })
    }

    /// Another lease was granted.
    pub(super) fn outdate(&mut self) {
        *self = self.under(OLDER);
    }

    /// The same under another epoch, in its commands too.
    fn under(mut self, epoch: Epoch) -> Self {
        self.epoch = epoch;
        if let drive::Phase::Asking(command) = &mut self.phase {
            set_epoch(command, epoch);
        }
        for machine in &mut self.steps {
            if let step::Phase::Asking(command) = &mut machine.phase {
                set_epoch(command, epoch);
            }
        }
        self
    }

    pub(super) fn encode(&self, layout: &Layout) -> u32 {
        let mut word = Writer::default();
        word.put(drive_code(self.phase), 3);
        word.put(u64::from(self.epoch == LATEST), 1);
        word.put(u64::from(self.is_latest_claim), 1);
        for machine in &self.steps[..layout.steps] {
            word.put(machine.encode(layout), layout.machine());
        }
        // A layout in which it does not fit is refused.
        word.word() as u32
    }

    pub(super) fn decode(word: u64, layout: &Layout, plans: &Plans) -> Option<Drive> {
        let mut word = Reader(word);
        let phase = word.take(3);
        if phase == 0 {
            return None;
        }
        let epoch = if word.take(1) == 1 { LATEST } else { OLDER };
        let mut drive = Drive {
            epoch,
            is_latest_claim: word.take(1) == 1,
            phase: drive_of(phase, epoch),
            steps: [Machine::NEW; STEPS_MAX],
        };
        for step in 0..layout.steps {
            drive.steps[step] = Machine::decode(word.take(layout.machine()), step, epoch, layout, plans);
        }
        Some(drive)
    }
}

impl Drive {
    /// [`Drive::decode`]`.phase`, straight from the word; only the kinds of its commands mean anything.
    #[inline]
    pub(super) fn phase_of(word: u64) -> Option<drive::Phase> {
        (word & 7 != 0).then(|| drive_of(word & 7, LATEST))
    }

    /// The codes of its machines, straight from the word.
    #[inline]
    pub(super) fn machines_of(word: u64, layout: &Layout) -> impl Iterator<Item = u64> {
        let mut word = Reader(word >> 5);
        let bits = layout.machine();
        (0..layout.steps).map(move |_| word.take(bits))
    }
}

/// [`Drive::decode`]`.epoch == LATEST`, straight from the word.
#[inline]
pub(super) fn holds_latest(word: u32) -> bool {
    word & 7 != 0 && word >> 3 & 1 == 1
}

fn set_epoch(command: &mut Command, new: Epoch) {
    match command {
        Command::Heartbeat { epoch, .. }
        | Command::Begin { epoch, .. }
        | Command::Settle { epoch, .. }
        | Command::Sleep { epoch, .. }
        | Command::Fire { epoch }
        | Command::Release { epoch, .. }
        | Command::Finish { epoch, .. } => *epoch = new,
        Command::Start { .. }
        | Command::Claim { .. }
        | Command::Cancel
        | Command::Retry { .. }
        | Command::Resolve { .. } => {}
    }
}

fn drive_code(phase: drive::Phase) -> u64 {
    match phase {
        drive::Phase::Gone => 0,
        drive::Phase::Driving => 1,
        drive::Phase::Asking(Command::Finish { ending, .. }) => match ending {
            Ending::Succeeded => 2,
            Ending::Failed(Failure::Workflow) => 3,
            Ending::Failed(Failure::Undecodable) => 4,
            Ending::Failed(_) | Ending::Cancelled => unreachable!("no workflow of the model ends with {ending:?}"),
        },
        drive::Phase::Asking(Command::Release { release: Release::Parked { wake }, .. }) => match Moment::of(wake) {
            Moment::Future | Moment::Never => 5,
            Moment::Due => 7,
        },
        drive::Phase::Asking(Command::Release { release: Release::Shutdown, .. }) => 6,
        drive::Phase::Asking(command) => unreachable!("no execution's machine asks {command:?}"),
    }
}

fn drive_of(code: u64, epoch: Epoch) -> drive::Phase {
    let finish = |ending| drive::Phase::Asking(Command::Finish { epoch, ending });
    let release = |release| drive::Phase::Asking(Command::Release { epoch, release });
    match code {
        0 => drive::Phase::Gone,
        1 => drive::Phase::Driving,
        2 => finish(Ending::Succeeded),
        3 => finish(Ending::Failed(Failure::Workflow)),
        4 => finish(Ending::Failed(Failure::Undecodable)),
        5 => release(Release::Parked { wake: Moment::Future.time() }),
        6 => release(Release::Shutdown),
        _ => release(Release::Parked { wake: Moment::Due.time() }),
    }
}

/// What stands where in the codes of a machine: phases that say nothing more, outcomes that wait for their turn, and
/// phases of an attempt.
const OUTCOMES_FROM: u64 = 5;
const ORDERS: u64 = 4;
const ATTEMPTS_FROM: u64 = OUTCOMES_FROM + ORDERS * OUTCOMES.len() as u64;
const ATTEMPT_PHASES: u64 = 9;

impl Machine {
    /// How many codes there are.
    pub(super) fn codes(layout: &Layout) -> u32 {
        (ATTEMPTS_FROM + (ATTEMPT_PHASES << (layout.attempt + 1))) as u32
    }

    pub(super) fn encode(&self, layout: &Layout) -> u64 {
        let (phase, attempt) = match self.phase {
            step::Phase::New => return 0,
            step::Phase::Gone => return 1,
            step::Phase::Asking(Command::Sleep { .. }) => return 2,
            step::Phase::Asking(Command::Fire { .. }) => return 3,
            step::Phase::Done => {
                return self.turn.map_or(4, |(order, outcome)| {
                    OUTCOMES_FROM + u64::from(order.min(3)) * OUTCOMES.len() as u64 + outcome_code(outcome)
                });
            }
            step::Phase::Asking(Command::Begin { attempt, .. }) => (0, attempt),
            step::Phase::Running { attempt } => (1, attempt),
            step::Phase::Waiting { due_at, attempt } if Moment::of(due_at) == Moment::Due => (2, attempt),
            step::Phase::Waiting { attempt, .. } => (3, attempt),
            step::Phase::Asking(Command::Settle { attempt, settlement, .. }) => (settlement_code(settlement), attempt),
            step::Phase::Asking(command) => unreachable!("no step's machine asks {command:?}"),
        };
        let attempt = u64::from(attempt.min(layout.attempt_max()));
        ATTEMPTS_FROM + (((phase << layout.attempt) | attempt) << 1 | u64::from(self.has_succeeded))
    }

    pub(super) fn decode(code: u64, step: usize, epoch: Epoch, layout: &Layout, plans: &Plans) -> Machine {
        let simple = |phase| Machine { phase, ..Machine::NEW };
        let plan = plans.plan(step, epoch);
        match code {
            0 => return Machine::NEW,
            1 => return simple(step::Phase::Gone),
            2 => return simple(step::Phase::Asking(Command::Sleep { epoch, wake: plan.wake })),
            3 => return simple(step::Phase::Asking(Command::Fire { epoch })),
            4 => return simple(step::Phase::Done),
            OUTCOMES_FROM..ATTEMPTS_FROM => {
                let at = (code - OUTCOMES_FROM) as usize;
                let turn = ((at / OUTCOMES.len()) as u32, OUTCOMES[at % OUTCOMES.len()]);
                return Machine { turn: Some(turn), ..simple(step::Phase::Done) };
            }
            _ => {}
        }
        let payload = code - ATTEMPTS_FROM;
        let attempt = (payload >> 1) as u32 & layout.attempt_max();
        let waiting = |moment: Moment| step::Phase::Waiting { due_at: moment.time(), attempt };
        let phase = match payload >> (layout.attempt + 1) {
            0 => {
                step::Phase::Asking(Command::Begin { epoch, kind: plan.kind, attempt, attempts_max: plan.attempts_max })
            }
            1 => step::Phase::Running { attempt },
            2 => waiting(Moment::Due),
            3 => waiting(Moment::Future),
            code => step::Phase::Asking(Command::Settle { epoch, attempt, settlement: settlement_of(code, &plan) }),
        };
        Machine { has_succeeded: payload & 1 == 1, ..simple(phase) }
    }
}

fn settlement_code(settlement: Settlement) -> u64 {
    match settlement {
        Settlement::Succeeded => 4,
        Settlement::Failed { retryable: true, .. } => 5,
        Settlement::Failed { retryable: false, .. } => 6,
        Settlement::Unencodable => 7,
        Settlement::InDoubt => 8,
    }
}

fn settlement_of(code: u64, plan: &step::Plan) -> Settlement {
    let failed = |retryable| Settlement::Failed { retryable, backoff: plan.backoff, salt: plan.salt };
    match code {
        4 => Settlement::Succeeded,
        5 => failed(true),
        6 => failed(false),
        7 => Settlement::Unencodable,
        _ => Settlement::InDoubt,
    }
}
