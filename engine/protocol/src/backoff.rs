//! How long a step waits before its next attempt.

use crate::Span;

/// Exponential backoff with a cap and deterministic jitter. All fields are plain numbers, so any value is legal.
///
/// The wait before attempt `n + 1` is `initial * (factor_percent / 100)^(n - 1)`, at most `cap`, less up to
/// `jitter_percent` of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Backoff {
    /// Wait after the first failed attempt.
    pub initial: Span,
    /// Upper bound of every wait.
    pub cap: Span,
    /// Growth per attempt in percent: 200 doubles. Below 100 counts as 100, for a wait must not fall.
    pub factor_percent: u32,
    /// How much of the wait chance may take away, in percent. Above 100 counts as 100.
    pub jitter_percent: u32,
}

/// Growth stops here: beyond it even a factor of 101 % has multiplied a wait by 26,000, and the loop stays bounded.
const EXPONENT_MAX: u32 = 1_024;

impl Backoff {
    /// The wait after failed attempt `attempt` (from 1).
    ///
    /// `salt` chooses the jitter. It belongs to the step and stays the same over its attempts: steps of different
    /// executions spread out, yet the waits of one step never fall, since a fixed share of a rising number rises.
    ///
    /// The exponent is clamped *before* anything is multiplied, and each product is cut at `cap` in 128 bits.
    /// The engine of the audit shifted `1 << attempts` in 64 bits: from attempt 54 on its wait was negative, so
    /// the retry came at once, for ever.
    pub fn wait(&self, attempt: u32, salt: u64) -> Span {
        let cap = u128::from(self.cap.as_millis());
        let factor = u128::from(self.factor_percent.max(100));
        let mut wait = u128::from(self.initial.as_millis()).min(cap);
        // Scaled by 2^20, so that a small start with a small factor (10 ms at 105 %) grows at all.
        wait <<= 20;
        for _ in 1..attempt.min(EXPONENT_MAX) {
            if wait >= cap << 20 || wait == 0 {
                break;
            }
            wait = (wait * factor / 100).min(cap << 20);
        }
        wait >>= 20;
        let jitter = u128::from(self.jitter_percent.min(100));
        // The top 20 bits of `salt`, as a fraction of 2^20, of the share that chance may take: rounded down, so that
        // what is left rises with `wait`.
        let taken = wait * jitter * u128::from(salt >> 44) / (100 << 20);
        Span::from_millis((wait - taken) as u64)
    }

    /// The least that [`Backoff::wait`] may answer for any salt: the wait less all of its jitter.
    pub fn wait_min(&self, attempt: u32) -> Span {
        self.wait(attempt, u64::MAX)
    }

    /// The most that [`Backoff::wait`] may answer for any salt: the wait without jitter.
    pub fn wait_max(&self, attempt: u32) -> Span {
        self.wait(attempt, 0)
    }
}
