//! A clock that may be wrong, seen by an observer whose own is right.

/// Millionths.
const MILLION: u64 = 1_000_000;

/// What a clock shows, in milliseconds, as it jumps and drifts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    since_ms: u64,
    shown_ms: u64,
    /// Its speed in millionths.
    speed: u64,
}

impl Clock {
    /// A right clock that shows `shown_ms` when the observer's shows zero.
    pub const fn starting_at(shown_ms: u64) -> Self {
        Clock { since_ms: 0, shown_ms, speed: MILLION }
    }

    /// What it shows at `now_ms`.
    pub fn shows_ms(&self, now_ms: u64) -> u64 {
        let passed_ms = now_ms.saturating_sub(self.since_ms);
        let passed_ms = if self.speed == MILLION { passed_ms } else { passed_ms * self.speed / MILLION };
        self.shown_ms + passed_ms
    }

    /// How long a span by this clock really lasts, in milliseconds.
    pub fn lasts_ms(&self, span_ms: u64) -> u64 {
        match self.speed {
            MILLION => span_ms,
            speed => {
                let lasts_ms = (u128::from(span_ms) * u128::from(MILLION)).div_ceil(u128::from(speed));
                u64::try_from(lasts_ms).unwrap_or(u64::MAX)
            }
        }
    }

    /// When it shows `shown_ms`, if nothing more happens to it; when it last changed, if that is past.
    pub fn when_ms(&self, shown_ms: u64) -> u64 {
        self.since_ms.saturating_add(self.lasts_ms(shown_ms.saturating_sub(self.shown_ms)))
    }

    /// It jumps.
    pub fn jump(&mut self, now_ms: u64, by_ms: i64) {
        let shown_ms = self.shows_ms(now_ms).saturating_add_signed(by_ms);
        *self = Clock { since_ms: now_ms, shown_ms, speed: self.speed };
    }

    /// It changes its speed, by so many millionths of the right one.
    pub fn drift(&mut self, now_ms: u64, ppm: i64) {
        let shown_ms = self.shows_ms(now_ms);
        let speed = MILLION.saturating_add_signed(ppm.clamp(-900_000, 9_000_000));
        *self = Clock { since_ms: now_ms, shown_ms, speed };
    }
}

#[cfg(test)]
mod tests {
    use super::Clock;

    #[test]
    fn a_fast_clock_shows_more_and_waits_less() {
        let mut clock = Clock::starting_at(0);
        clock.drift(1_000, 100_000);
        assert_eq!((clock.shows_ms(11_000), clock.lasts_ms(11_000), clock.when_ms(12_000)), (12_000, 10_000, 11_000));
        clock.jump(11_000, -5_000);
        assert_eq!((clock.shows_ms(11_000), clock.when_ms(3_000)), (7_000, 11_000));
        clock.drift(11_000, -500_000);
        assert_eq!(clock.when_ms(u64::MAX), u64::MAX);
    }
}
