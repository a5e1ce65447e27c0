//! Campaigns do several runs at once: each of them mostly waits, for a process, its tracer and its leases.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::stage::Verdict;

/// Runs at once, for each processor.
const FOR_EACH_PROCESSOR: usize = 2;

/// Does each of these, several at once, in their order. The first error that comes ends it.
pub fn side_by_side<T: Sync>(items: &[T], one: impl Fn(usize, &T) -> Verdict + Sync) -> Verdict {
    let (next, broken) = (AtomicUsize::new(0), Mutex::new(None));
    let broken = &broken;
    let broken_now = || broken.lock().unwrap_or_else(PoisonError::into_inner);
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..processors * FOR_EACH_PROCESSOR {
            scope.spawn(|| {
                while broken_now().is_none() {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(at) else { return };
                    if let Err(why) = one(at, item) {
                        broken_now().get_or_insert(why);
                    }
                }
            });
        }
    });
    broken_now().take().map_or(Ok(()), Err)
}

/// What ends a campaign is not lost among the runs beside it, and all others are done.
pub fn every_item_is_done_and_an_error_is_told() {
    let done = Mutex::new(Vec::new());
    let note = |at: usize, item: &u32| {
        done.lock().unwrap().push((at, *item));
        if *item == 30 { Err("thirty".to_owned()) } else { Ok(()) }
    };
    assert_eq!(side_by_side(&[10, 20], note), Ok(()));
    let mut both = std::mem::take(&mut *done.lock().unwrap());
    both.sort_unstable();
    assert_eq!(both, [(0, 10), (1, 20)]);
    assert_eq!(side_by_side(&[10, 20, 30], note), Err("thirty".to_owned()));
}
