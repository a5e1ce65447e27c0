//! Time, abstracted: a point has come, will come, or never comes.
//!
//! `now` stands still. What lies ahead comes when the model says so, at any moment and in any order, so every speed of
//! every clock and every length of a lease, backoff or sleep is covered at once. The core still computes with real
//! numbers; its results are rounded to these three.

use hydra_protocol::{Backoff, Span, Time};

/// The store's clock, always.
pub const NOW: Time = Time::from_millis(1_000_000);
/// Lease that workers ask for, and the length of a sleep, in milliseconds.
pub const LEASE: Span = Span::from_millis(1_000);
/// Wait of every step between attempts.
pub const BACKOFF: Backoff = Backoff {
    initial: Span::from_millis(1_000),
    cap: Span::from_millis(60_000),
    factor_percent: 200,
    jitter_percent: 0,
};
/// Seed of the jitter.
pub const SALT: u64 = 0;
/// What lies further ahead is taken for never.
const HORIZON: Span = Span::from_millis(1_000_000_000_000);

/// A point in time, as far as the model tells points apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Moment {
    /// It has come.
    Due,
    /// It will come.
    Future,
    /// It never comes.
    Never,
}

impl Moment {
    /// What `time` is, seen from now.
    pub fn of(time: Time) -> Self {
        if time <= NOW {
            Moment::Due
        } else if time < NOW + HORIZON {
            Moment::Future
        } else {
            Moment::Never
        }
    }

    /// A time of that kind.
    pub fn time(self) -> Time {
        match self {
            Moment::Due => NOW,
            Moment::Future => NOW + LEASE,
            Moment::Never => Time::MAX,
        }
    }

    /// A deadline of that kind: no due time in the future lies behind one in the future.
    pub fn deadline(self) -> Time {
        match self {
            Moment::Due => NOW,
            Moment::Future => NOW + LEASE + LEASE,
            Moment::Never => Time::MAX,
        }
    }

    pub(super) fn code(self) -> u64 {
        self as u64
    }

    pub(super) fn from_code(code: u64) -> Self {
        match code {
            0 => Moment::Due,
            1 => Moment::Future,
            _ => Moment::Never,
        }
    }
}
