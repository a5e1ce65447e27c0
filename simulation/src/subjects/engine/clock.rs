//! The clock of one process, which may be wrong, and the observer's.

/// Maps the observer's time to what a process's clock shows. A process measures time with a clock that never goes
/// back, as operating systems have one: set back, it stands still until time has caught up.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProcessClock {
    /// The observer's time that the process has reached.
    pub at_ms: u64,
    /// What its clock has come to since the process began.
    pub local_ms: u64,
    since_ms: u64,
    shown_ms: i64,
    /// Its speed in millionths.
    speed: i64,
}

const MILLION: i64 = 1_000_000;

impl ProcessClock {
    pub fn starting_at(at_ms: u64) -> Self {
        ProcessClock { at_ms, local_ms: 0, since_ms: at_ms, shown_ms: 0, speed: MILLION }
    }

    /// A new process on the same machine: its clock begins anew and runs as fast as before.
    pub fn restarted_at(self, at_ms: u64) -> Self {
        ProcessClock { speed: self.speed, ..Self::starting_at(at_ms) }
    }

    fn shown(&self, at_ms: u64) -> i64 {
        self.shown_ms + (at_ms as i64 - self.since_ms as i64) * self.speed / MILLION
    }

    /// How far its clock has come at a time of the observer's.
    pub fn target(&self, at_ms: u64) -> u64 {
        self.local_ms.max(u64::try_from(self.shown(at_ms)).unwrap_or(0))
    }

    /// Its clock is seen to have come to `local_ms`. The observer's time of that.
    pub fn came_to(&mut self, local_ms: u64) -> u64 {
        if local_ms > self.local_ms {
            let passed = i128::from(local_ms as i64 - self.shown_ms) * i128::from(MILLION);
            let speed = i128::from(self.speed);
            let passed = (passed + speed - 1).div_euclid(speed);
            let at_ms = u64::try_from(i128::from(self.since_ms) + passed).unwrap_or(self.at_ms);
            self.local_ms = local_ms;
            self.at_ms = self.at_ms.max(at_ms);
        }
        self.at_ms
    }

    /// The clock jumps.
    pub fn jump(&mut self, at_ms: u64, by_ms: i64) {
        (self.shown_ms, self.since_ms) = (self.shown(at_ms) + by_ms, at_ms);
    }

    /// The clock changes its speed.
    pub fn drift(&mut self, at_ms: u64, ppm: i64) {
        self.jump(at_ms, 0);
        self.speed = (MILLION + ppm).clamp(100_000, 10 * MILLION);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_clock_shows_more_and_a_clock_set_back_stands_still() {
        let mut clock = ProcessClock::starting_at(1_000);
        clock.drift(1_000, 100_000);
        assert_eq!(clock.target(11_000), 11_000);
        assert_eq!(clock.came_to(11_000), 11_000);
        clock.jump(11_000, -2_200);
        assert_eq!((clock.target(12_000), clock.target(13_000), clock.target(14_000)), (11_000, 11_000, 12_100));
        assert_eq!(clock.came_to(12_100), 14_000);
        assert_eq!(clock.restarted_at(20_000).target(30_000), 11_000);
    }

    #[test]
    fn no_observed_time_lies_beyond_the_one_that_a_process_was_run_to() {
        for ppm in [-190_000, -7, 0, 33, 199_999] {
            let mut clock = ProcessClock::starting_at(17);
            clock.drift(17, ppm);
            for at_ms in (18..5_000).step_by(7) {
                let target = clock.target(at_ms);
                assert!(clock.came_to(target) <= at_ms, "{ppm} {at_ms}");
            }
        }
    }
}
