//! How many bits each part of a state takes, under given bounds.

use super::bounds::Bounds;

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
    /// Whether a copy of a request may be in the network.
    pub has_late: bool,
}

/// Status 4, claimed 1, settled 2, replays 2, deadline 2, retried 1.
const EXECUTION_BITS: u32 = 12;
/// State 5, order 2, epoch 1, bodies entered 2, effects 2, success known 1.
const STEP_BITS: u32 = 13;
/// Phase 3, holds the current epoch 1, is of the latest claim 1.
const DRIVE_BITS: u32 = 5;
/// Phase 4.
const MACHINE_BITS: u32 = 4;
/// Order 2 and outcome 3 of a step that is done, or how its attempt ended and its number.
const DONE_BITS: u32 = 5;
/// Partitioned, paused.
pub(super) const FLAG_BITS: u32 = 2;

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
            has_late: bounds.faults.duplicate,
        }
    }

    /// The highest attempt that can be stored; a state beyond it lies outside the model.
    pub fn attempt_max(&self) -> u32 {
        (1 << self.attempt) - 1
    }

    pub(super) fn row(&self) -> u32 {
        EXECUTION_BITS + self.steps as u32 * (STEP_BITS + 2 * self.attempt)
    }

    pub(super) fn drive(&self) -> u32 {
        DRIVE_BITS + self.steps as u32 * self.machine()
    }

    pub(super) fn machine(&self) -> u32 {
        MACHINE_BITS + DONE_BITS.max(1 + self.attempt)
    }

    /// Phase and payload of a machine, its step 2, execution 1, the epochs 2, kind of command 2.
    pub(super) fn late(&self) -> u32 {
        if self.has_late { self.machine() + 7 } else { 0 }
    }

    /// Bits of a whole state.
    pub fn bits(&self) -> u32 {
        let (workers, executions) = (self.workers as u32, self.executions as u32);
        executions * self.row() + workers * (executions * self.drive() + FLAG_BITS) + self.late()
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
