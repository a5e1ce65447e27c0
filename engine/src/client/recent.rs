//! Executions that a client has started a short while ago: it need not look at one to learn its key, nor whether it has
//! ended.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::store::{EndingMark, ExecutionKey};

/// Half of the executions that are remembered at most. Whoever waits for more than that looks at the row, as for one that
/// somebody else has started.
const GENERATION_MAX: usize = 4_096;

/// What a client has started and not yet waited for.
#[derive(Debug, Default)]
pub struct Recent(Mutex<Generations>);

/// When the young ones are too many, the old ones are forgotten: no order of all of them need be kept.
#[derive(Debug, Default)]
struct Generations {
    young: HashMap<String, (ExecutionKey, EndingMark)>,
    old: HashMap<String, (ExecutionKey, EndingMark)>,
}

impl Recent {
    /// An execution was made, after the mark was taken.
    pub fn started(&self, id: &str, key: ExecutionKey, mark: EndingMark) {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if generations.young.len() >= GENERATION_MAX {
            generations.old = std::mem::take(&mut generations.young);
        }
        generations.young.insert(id.to_owned(), (key, mark));
    }

    /// The execution's key, and a moment before it was made. Told once: whoever waits for it a second time looks at it.
    pub fn take(&self, id: &str) -> Option<(ExecutionKey, EndingMark)> {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Both, and the young one counts: an id that was started, deleted and started again.
        let old = generations.old.remove(id);
        generations.young.remove(id).or(old)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{MemoryStore, Store};

    fn mark() -> EndingMark {
        MemoryStore::new().ending_mark().unwrap()
    }

    #[test]
    fn it_forgets_the_oldest_and_tells_once() {
        let (recent, mark) = (Recent::default(), mark());
        let started = |number: usize| recent.started(&number.to_string(), ExecutionKey(number as i64), mark);
        let taken = |number: usize| recent.take(&number.to_string()).map(|(key, _)| key.0);
        (0..3 * GENERATION_MAX).for_each(started);
        assert_eq!(taken(GENERATION_MAX - 1), None);
        assert_eq!(taken(GENERATION_MAX), Some(GENERATION_MAX as i64));
        assert_eq!(taken(GENERATION_MAX), None);
        assert_eq!(taken(3 * GENERATION_MAX - 1), Some(3 * GENERATION_MAX as i64 - 1));
        let generations = recent.0.lock().unwrap();
        assert!(generations.young.len() + generations.old.len() <= 2 * GENERATION_MAX);
    }

    #[test]
    fn an_id_that_is_started_again_has_its_new_key() {
        let (recent, mark) = (Recent::default(), mark());
        recent.started("order", ExecutionKey(1), mark);
        (0..GENERATION_MAX).for_each(|number| recent.started(&number.to_string(), ExecutionKey(2), mark));
        recent.started("order", ExecutionKey(3), mark);
        assert_eq!(recent.take("order").map(|(key, _)| key), Some(ExecutionKey(3)));
        assert_eq!(recent.take("order").map(|(key, _)| key), None);
    }
}
