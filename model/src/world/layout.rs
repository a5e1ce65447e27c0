//! How many bits each part of a state takes, under given bounds. What the bounds rule out takes none.

use super::bounds::Bounds;
use super::drive::Machine;
use hydra_protocol::Kind;

/// Widths in bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Workers, executions, steps.
    pub workers: usize,
    /// See `workers`.
    pub executions: usize,
    /// See `workers`.
    pub steps: usize,
    /// An attempt's number, and the number allowed.
    pub attempt: u32,
    /// Claims in a row that settled nothing, where they are limited.
    pub(super) replays: u32,
    /// A deadline, where there are any.
    pub(super) deadline: u32,
    /// Whether an operator retried, where there is one.
    pub(super) retried: u32,
    /// Bodies entered of a step, where that is counted.
    pub(super) entered: u32,
    /// Whether a worker is cut off, and whether it stands still, where that can be.
    pub(super) flags: u32,
    /// Whether a copy of a request may be in the network.
    pub has_late: bool,
}

/// Status 4, claimed 1, settled 2.
const EXECUTION_BITS: u32 = 7;
/// State 5, order 2, epoch 1, effects 2, success known 1.
const STEP_BITS: u32 = 11;
/// Phase 3, holds the current epoch 1, is of the latest claim 1.
const DRIVE_BITS: u32 = 5;

impl Layout {
    /// The widths that these bounds need.
    pub fn of(bounds: &Bounds) -> Self {
        // One more than allowed must be told apart, and an operator's retry grants one more again.
        let highest = bounds.attempts + 1 + u32::from(bounds.operator);
        Layout {
            workers: bounds.workers,
            executions: bounds.executions,
            steps: bounds.program.steps.len(),
            attempt: u32::BITS - highest.leading_zeros(),
            replays: if bounds.replays.is_some() { 2 } else { 0 },
            deadline: if bounds.deadline { 2 } else { 0 },
            retried: u32::from(bounds.operator),
            entered: if bounds.program.steps.iter().any(|step| step.kind == Kind::AtMostOnce) { 2 } else { 0 },
            flags: if bounds.faults.pause { 2 } else { u32::from(bounds.faults.partition) },
            has_late: bounds.faults.duplicate,
        }
    }

    /// The highest attempt that can be stored; a state beyond it lies outside the model.
    pub fn attempt_max(&self) -> u32 {
        (1 << self.attempt) - 1
    }

    pub(super) fn execution(&self) -> u32 {
        EXECUTION_BITS + self.replays + self.deadline + self.retried
    }

    pub(super) fn row(&self) -> u32 {
        self.execution() + self.steps as u32 * (STEP_BITS + self.entered + 2 * self.attempt)
    }

    pub(super) fn drive(&self) -> u32 {
        DRIVE_BITS + self.steps as u32 * self.machine()
    }

    /// What a worker has in memory of all executions, and its flags: at most 64.
    pub(super) fn worker(&self) -> u32 {
        self.executions as u32 * self.drive() + self.flags
    }

    pub(super) fn machine(&self) -> u32 {
        u32::BITS - (Machine::codes(self) - 1).leading_zeros()
    }

    /// A machine, its step 2, execution 1, the epochs 2, kind of command 2.
    pub(super) fn late(&self) -> u32 {
        if self.has_late { self.machine() + 7 } else { 0 }
    }

    /// Words of 64 bits that a state takes.
    pub(super) fn words(&self) -> usize {
        self.bits().div_ceil(u64::BITS) as usize
    }

    /// Bits of a whole state.
    pub fn bits(&self) -> u32 {
        let (workers, executions) = (self.workers as u32, self.executions as u32);
        executions * self.row() + workers * self.worker() + self.late()
    }
}

/// Writes fields one after the other into a word, the lowest bits first.
#[derive(Default)]
pub(super) struct Writer {
    word: u64,
    used: u32,
}

impl Writer {
    #[inline]
    pub(super) fn put(&mut self, value: u64, bits: u32) {
        debug_assert!(value < 1 << bits, "{value} does not fit into {bits} bits");
        self.word |= value << self.used;
        self.used += bits;
    }

    pub(super) fn word(self) -> u64 {
        debug_assert!(self.used <= 64);
        self.word
    }
}

/// Reads them back.
pub(super) struct Reader(pub(super) u64);

impl Reader {
    #[inline]
    pub(super) fn take(&mut self, bits: u32) -> u64 {
        let value = self.0 & ((1 << bits) - 1);
        self.0 >>= bits;
        value
    }
}
