//! How many runs go on side by side: most of a run is waiting, so more of them than cores, but not so many that the
//! processes wait for each other rather than for their engine.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::strain::slowness;

/// Below this slowness there is room for one more run.
const ROOM: f64 = 2.0;
/// Above it there is one too many. Well below what calls the machine strained, where findings no longer count.
const CROWDED: f64 = 3.0;

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
pub(super) struct Place<'a>(&'a Room);

impl Room {
    /// For at most so many.
    pub(super) fn new(most: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Room { floor: Mutex::new(Floor { under_way: 0, pace: Pace::new(cores, most) }), left: Condvar::new() }
    }

    /// Waits until another run may begin.
    pub(super) fn enter(&self) -> Place<'_> {
        let is_full = |floor: &mut Floor| !floor.pace.admits(floor.under_way);
        let mut floor = self.left.wait_while(self.floor(), is_full).unwrap_or_else(PoisonError::into_inner);
        floor.under_way += 1;
        Place(self)
    }

    fn floor(&self) -> MutexGuard<'_, Floor> {
        self.floor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut floor = self.0.floor();
        floor.under_way -= 1;
        floor.pace.ended(slowness());
        drop(floor);
        self.0.left.notify_all();
    }
}

/// The number of runs that may go on at once. Grows by one with each run that ends while there is room, shrinks by one
/// with each that ends in a crowd.
#[derive(Debug)]
struct Pace {
    now: usize,
    most: usize,
}

impl Pace {
    /// Begins with a run for each core, and never has more than `most`.
    fn new(cores: usize, most: usize) -> Self {
        Pace { now: cores.clamp(1, most.max(1)), most: most.max(1) }
    }

    /// Whether another run may begin beside so many.
    fn admits(&self, under_way: usize) -> bool {
        under_way < self.now
    }

    /// A run ended while the processes took so many times longer than alone.
    fn ended(&mut self, slowness: f64) {
        if slowness < ROOM {
            self.now = (self.now + 1).min(self.most);
        } else if slowness > CROWDED {
            self.now = (self.now - 1).max(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_run_while_there_is_room_and_fewer_in_a_crowd() {
        let mut pace = Pace::new(2, 4);
        assert!(pace.admits(1) && !pace.admits(2));
        for _ in 0..9 {
            pace.ended(1.1);
        }
        assert!(pace.admits(3) && !pace.admits(4));
        pace.ended(2.5);
        assert!(pace.admits(3));
        for _ in 0..9 {
            pace.ended(3.5);
        }
        // One always may, or nothing would ever be done.
        assert!(pace.admits(0) && !pace.admits(1));
    }

    #[test]
    fn a_run_that_panics_gives_its_place_back() {
        let room = Room::new(1);
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

    #[test]
    fn one_at_a_time_stays_one_at_a_time() {
        let mut pace = Pace::new(8, 1);
        pace.ended(1.0);
        assert!(pace.admits(0) && !pace.admits(1));
    }
}
