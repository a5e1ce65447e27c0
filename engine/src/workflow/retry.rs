//! How often a step is tried, and how long it waits in between.

use std::time::Duration;

use hydra_protocol::Backoff;

use crate::codec::span;

/// A step's attempts and the waits between them.
///
/// An attempt counts from its beginning: one that kills its worker is used up like one that returns an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    pub(crate) attempts: u32,
    pub(crate) backoff: Backoff,
}

impl Default for RetryPolicy {
    /// 3 attempts; waits of 1 s and 2 s, less up to a quarter.
    fn default() -> Self {
        RetryPolicy::attempts(3)
    }
}

impl RetryPolicy {
    /// At most so many attempts (zero counts as 1), waiting 1 s after the first, doubling, up to 5 min, less up to a
    /// quarter.
    pub fn attempts(attempts: u32) -> Self {
        RetryPolicy {
            attempts: attempts.max(1),
            backoff: Backoff {
                initial: span(Duration::from_secs(1)),
                cap: span(Duration::from_secs(300)),
                factor_percent: 200,
                jitter_percent: 25,
            },
        }
    }

    /// One attempt only.
    pub fn never() -> Self {
        RetryPolicy::attempts(1)
    }

    /// The wait after the first failed attempt.
    pub fn initial(mut self, initial: Duration) -> Self {
        self.backoff.initial = span(initial);
        self
    }

    /// The longest wait.
    pub fn cap(mut self, cap: Duration) -> Self {
        self.backoff.cap = span(cap);
        self
    }

    /// Growth from one wait to the next, in percent: 200 doubles. Less than 100 counts as 100.
    pub fn factor_percent(mut self, percent: u32) -> Self {
        self.backoff.factor_percent = percent;
        self
    }

    /// How much of a wait chance may take away, in percent, so that many executions that failed together do not come
    /// back together. The same share for all waits of one step, so they never fall.
    pub fn jitter_percent(mut self, percent: u32) -> Self {
        self.backoff.jitter_percent = percent;
        self
    }
}
