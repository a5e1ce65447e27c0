//! When a worker renews its lease, and when it has to have stopped.

use crate::{Span, Time};

/// The worker's own view of its lease, on its own monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LeaseClock {
    /// When to send the next heartbeat.
    pub beat_at: Time,
    /// From here on nothing may be done under this lease, unless a heartbeat was answered since.
    pub stop_at: Time,
}

/// What a worker does about its lease now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Duty {
    /// Nothing.
    Hold,
    /// Send a heartbeat.
    Beat,
    /// Cancel the bodies, discard their results, forget the execution.
    Stop,
}

/// Heartbeats are sent at a third of the lease: two may be lost.
const BEATS_PER_LEASE: u64 = 3;
/// The last tenth of the lease is left unused: the clocks may differ in speed by so much, and a body takes a while to
/// be cancelled. Only progress rests on it; what is written is judged by the epoch.
const MARGIN_PER_LEASE: u64 = 10;

impl LeaseClock {
    /// A lease granted for `span`, asked for at `sent_at`.
    ///
    /// Counted from the sending, not from the answer: (1) A asks; (2) the store grants 10 s; (3) the answer takes 8 s;
    /// (4) counted from the answer, A would believe in its lease for 8 s after B has claimed.
    pub fn granted(sent_at: Time, span: Span) -> Self {
        let span = span.as_millis();
        LeaseClock {
            beat_at: sent_at + Span::from_millis(span / BEATS_PER_LEASE),
            stop_at: sent_at + Span::from_millis(span - span / MARGIN_PER_LEASE),
        }
    }

    /// A heartbeat was sent at `now`: the next one is due as long after it as this one was after the grant.
    pub fn beat_sent(&mut self, now: Time, lease: Span) {
        self.beat_at = now + Span::from_millis(lease.as_millis() / BEATS_PER_LEASE);
    }

    /// A heartbeat sent at `sent_at` was answered: the lease lasts for `span` from then, and no shorter than before.
    pub fn renewed(&mut self, sent_at: Time, span: Span) {
        self.stop_at = self.stop_at.max(Self::granted(sent_at, span).stop_at);
    }

    /// What to do at `now`.
    pub fn duty(&self, now: Time) -> Duty {
        if now >= self.stop_at {
            Duty::Stop
        } else if now >= self.beat_at {
            Duty::Beat
        } else {
            Duty::Hold
        }
    }
}
