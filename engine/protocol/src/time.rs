//! Points and lengths of time, in milliseconds, that cannot overflow.

use core::ops::{Add, Sub};

/// A point on a clock: milliseconds since the Unix epoch, at most [`Time::MAX`].
///
/// Rows hold times of the **store's** clock only; the worker side uses the same type for its own monotonic clock and
/// never mixes the two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

/// A length of time: milliseconds, at most [`Span::MAX`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(u64);

/// The largest value of either: what a signed 64-bit column of a database holds.
const LIMIT_MS: u64 = i64::MAX as u64;

impl Time {
    /// The end of time. A later point is clamped to it: "never" rather than a wrapped "at once".
    pub const MAX: Time = Time(LIMIT_MS);

    /// The point `ms` milliseconds after the Unix epoch, clamped to [`Time::MAX`].
    pub const fn from_millis(ms: u64) -> Self {
        Time(if ms > LIMIT_MS { LIMIT_MS } else { ms })
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero when it is not later.
    pub const fn since(self, earlier: Time) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Span = Span(0);
    /// The longest span; longer ones are clamped to it.
    pub const MAX: Span = Span(LIMIT_MS);

    /// `ms` milliseconds, clamped to [`Span::MAX`].
    pub const fn from_millis(ms: u64) -> Self {
        Span(if ms > LIMIT_MS { LIMIT_MS } else { ms })
    }

    /// The length in milliseconds.
    pub const fn as_millis(self) -> u64 {
        self.0
    }
}

impl Add<Span> for Time {
    type Output = Time;
    /// Saturates at [`Time::MAX`].
    fn add(self, span: Span) -> Time {
        Time::from_millis(self.0.saturating_add(span.0))
    }
}

impl Sub<Span> for Time {
    type Output = Time;
    /// Saturates at the Unix epoch.
    fn sub(self, span: Span) -> Time {
        Time(self.0.saturating_sub(span.0))
    }
}
