//! The store's clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hydra_protocol::Time;
use tokio::time::Instant;

/// Where a store reads the time, in each transaction. Nothing that is promised rests on its being right: a wrong
/// clock makes timers early or late in the eyes of others, and leases long or short, and never lets two workers write.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Time;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Time {
        // A clock set before 1970 reads as 1970.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Time::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// A clock that stands still until a test moves it.
#[derive(Clone, Debug, Default)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// A clock that shows `now`.
    pub fn at(now: Time) -> Self {
        let clock = Self::default();
        clock.set(now);
        clock
    }

    /// Sets it, forward or back.
    pub fn set(&self, now: Time) {
        self.0.store(now.as_millis(), Ordering::SeqCst);
    }

    /// Moves it forward by so many milliseconds.
    pub fn advance_ms(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Time {
        Time::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// A clock that goes with tokio's: in a runtime whose time is paused, it moves only as timers fire.
#[derive(Clone, Copy, Debug)]
pub struct TokioClock {
    origin: Instant,
    at_origin: Time,
}

impl TokioClock {
    /// A clock that shows `now` at this moment. Must be called within a runtime.
    pub fn starting_at(now: Time) -> Self {
        TokioClock { origin: Instant::now(), at_origin: now }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Time {
        let passed = Instant::now().saturating_duration_since(self.origin);
        self.at_origin + hydra_protocol::Span::from_millis(u64::try_from(passed.as_millis()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_clock_counts_milliseconds_from_1970() {
        let ms = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
        let (before, now, after) = (ms(), SystemClock.now().as_millis(), ms());
        assert!((before..=after).contains(&now), "{before} {now} {after}");
    }
}
