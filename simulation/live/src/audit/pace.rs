//! How many runs go on side by side: most of a run is waiting, so more of them than cores, but not so many that the
//! processes wait for each other rather than for their engine.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::strain::slowness;

/// Below this slowness there is room for more runs.
const ROOM: f64 = 1.5;
/// Above it there are too many. Well below what calls the machine strained, where findings no longer count.
const CROWDED: f64 = 2.5;

/// Where runs go on side by side.
pub(super) struct Room {
    floor: Mutex<Floor>,
    left: Condvar,
}

struct Floor {
    under_way: usize,
    pace: Pace,
}

/// A run under way. Dropped when it is over, even by a panic: else the others would wait for its place for ever.
pub(super) struct Place<'a> {
    room: &'a Room,
    entered: Round,
}

impl Room {
    /// For at most so many.
    pub(super) fn new(most: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Room { floor: Mutex::new(Floor { under_way: 0, pace: Pace::new(2 * cores, most) }), left: Condvar::new() }
    }

    /// Waits until another run may begin.
    pub(super) fn enter(&self) -> Place<'_> {
        let is_full = |floor: &mut Floor| floor.under_way >= floor.pace.now;
        let mut floor = self.left.wait_while(self.floor(), is_full).unwrap_or_else(PoisonError::into_inner);
        floor.under_way += 1;
        Place { room: self, entered: floor.pace.round }
    }

    fn floor(&self) -> MutexGuard<'_, Floor> {
        self.floor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut floor = self.room.floor();
        floor.under_way -= 1;
        floor.pace.ended(self.entered, slowness());
        drop(floor);
        self.room.left.notify_all();
    }
}

/// A round lasts from one change of the pace until a run has ended that began after it: before, nothing has been seen of
/// what the change did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Round(u64);

/// How many runs may go on at once.
#[derive(Debug)]
struct Pace {
    least: usize,
    now: usize,
    most: usize,
    round: Round,
}

impl Pace {
    /// Begins with so many and never has fewer: what makes so few wait is not the audit. Never has more than `most`.
    fn new(first: usize, most: usize) -> Self {
        let most = most.max(1);
        let least = first.clamp(1, most);
        Pace { least, now: least, most, round: Round(0) }
    }

    /// A run of that round ended while the processes took so many times longer than alone: a quarter more of them from
    /// now on, or a quarter fewer.
    fn ended(&mut self, entered: Round, slowness: f64) {
        if entered != self.round {
            return;
        }
        let step = self.now.div_ceil(4);
        let before = self.now;
        if slowness < ROOM {
            self.now = (self.now + step).min(self.most);
        } else if slowness > CROWDED {
            self.now = self.now.saturating_sub(step).max(self.least);
        }
        if self.now != before {
            self.round.0 += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(pace: &mut Pace, slowness: &[f64]) -> Vec<usize> {
        let mut seen = Vec::new();
        for slowness in slowness {
            pace.ended(pace.round, *slowness);
            seen.push(pace.now);
        }
        seen
    }

    #[test]
    fn more_run_while_there_is_room_and_fewer_in_a_crowd() {
        let mut pace = Pace::new(4, 16);
        assert_eq!(rounds(&mut pace, &[1.0, 1.1, 2.0, 1.0]), [5, 7, 7, 9]);
        assert_eq!(rounds(&mut pace, &[9.0; 4]), [6, 4, 4, 4]);
        assert_eq!(*rounds(&mut pace, &[1.0; 20]).last().unwrap(), 16);
    }

    #[test]
    fn a_change_is_judged_by_runs_that_began_after_it() {
        let mut pace = Pace::new(4, 16);
        let before = pace.round;
        for _ in 0..4 {
            pace.ended(before, 1.0);
        }
        assert_eq!(pace.now, 5);
    }

    #[test]
    fn a_run_that_panics_gives_its_place_back() {
        let room = Room::new(1);
        assert!(Room::new(0).floor().pace.now > 0, "one always may, or nothing would ever be done");
        let panicked = std::thread::scope(|scope| {
            let run = scope.spawn(|| {
                let _place = room.enter();
                panic!("as planted");
            });
            run.join().is_err()
        });
        assert!(panicked);
        drop(room.enter());
    }
}
