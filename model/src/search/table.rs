//! From a packed state to its number: open addressing over 64-bit slots, shared by all threads without a lock.
//!
//! A slot is empty (0), or holds 32 bits of the hash and a reference. A reference is the number of a state, or, while
//! a batch is being resolved, the place of one *candidate* that carries the state. Which one depends on the race; nothing
//! else does: afterwards one thread walks the candidates in order and gives the numbers.

use super::arena::Arena;
use super::checkable::Words;
use super::hash::hash;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;

/// Marks a reference to a candidate of the current batch.
const PENDING: u32 = 1 << 31;
/// Numbers are stored plus one, because zero means empty.
pub(super) const STATES_MAX: usize = PENDING as usize - 2;
const SLOTS_MIN: usize = 1 << 10;
/// States whose slots are fetched at once: one alone would wait for memory by itself.
pub(super) const GROUP: usize = 16;

/// Relaxed ordering suffices everywhere: what a reference points to was written before the threads were started.
pub(super) struct Table {
    slots: Vec<AtomicU64>,
}

/// What the table knows of a candidate.
#[derive(Clone, Copy)]
pub(super) enum Seen {
    /// A state with this number.
    Known(u32),
    /// First met in this batch; its number will be in this slot.
    Pending(u32),
}

impl Table {
    pub(super) fn new() -> Self {
        Table { slots: empty(SLOTS_MIN) }
    }

    pub(super) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<AtomicU64>()
    }

    /// Slots needed so that `states` states fill at most four fifths, and whether that means growing.
    fn slots_for(&self, states: usize) -> Option<usize> {
        (states > self.slots.len() / 5 * 4).then(|| {
            let slots = (states / 4 * 5 + 5).max(self.slots.len() / 2 * 3);
            slots.min(u32::MAX as usize)
        })
    }

    /// Bytes of the table once it holds `states` states. Growing never holds the old and the new table at once.
    pub(super) fn bytes_for(&self, states: usize) -> usize {
        self.slots_for(states).map_or(self.bytes(), |slots| slots * size_of::<AtomicU64>())
    }

    /// Makes room for `states` states by building a new table from the states themselves.
    pub(super) fn reserve<P: Words>(&mut self, states: usize, stored: &Arena<P>, threads: usize) {
        let Some(slots) = self.slots_for(states) else {
            return;
        };
        self.slots = Vec::new();
        self.slots = empty(slots);
        let share = stored.len().div_ceil(threads).max(1 << 14);
        thread::scope(|scope| {
            let table = &*self;
            for start in (0..stored.len()).step_by(share) {
                let end = (start + share).min(stored.len());
                let fill = move || {
                    for group in (start..end).step_by(GROUP) {
                        let ids = group..(group + GROUP).min(end);
                        let mut hashes = [0; GROUP];
                        for (slot, id) in hashes.iter_mut().zip(ids.clone()) {
                            *slot = hash(&stored.get(id));
                            black_box(table.glance(*slot));
                        }
                        ids.zip(hashes).for_each(|(id, hash)| table.insert_distinct(hash, id));
                    }
                };
                if end == stored.len() {
                    fill();
                } else {
                    scope.spawn(fill);
                }
            }
        });
    }

    fn insert_distinct(&self, hash: u64, id: usize) {
        let entry = entry(hash, id as u32 + 1);
        let mut at = self.home(hash);
        while self.slots[at].compare_exchange(0, entry, Relaxed, Relaxed).is_err() {
            at = self.after(at);
        }
    }

    #[inline]
    fn home(&self, hash: u64) -> usize {
        ((u128::from(hash) * self.slots.len() as u128) >> 64) as usize
    }

    #[inline]
    fn after(&self, at: usize) -> usize {
        if at + 1 == self.slots.len() { 0 } else { at + 1 }
    }

    /// What stands where a search for this hash begins: reading it brings the slots close. If it may be the state that
    /// is looked for, its number.
    #[inline]
    pub(super) fn glance(&self, hash: u64) -> Option<u32> {
        let slot = self.slots[self.home(hash)].load(Relaxed);
        (slot != 0 && slot as u32 & PENDING == 0 && slot >> 32 == hash & 0xffff_ffff).then(|| slot as u32 - 1)
    }

    /// Looks a candidate up and enters it if it is new. `place` orders the candidates of a batch; `is_state` and
    /// `is_candidate` compare the candidate with a stored state and with another candidate.
    #[inline]
    pub(super) fn resolve(
        &self,
        hash: u64,
        place: u32,
        is_state: impl Fn(u32) -> bool,
        is_candidate: impl Fn(u32) -> bool,
    ) -> Seen {
        let mine = entry(hash, place | PENDING);
        let mut at = self.home(hash);
        loop {
            let mut slot = self.slots[at].load(Relaxed);
            if slot == 0 {
                match self.slots[at].compare_exchange(0, mine, Relaxed, Relaxed) {
                    Ok(_) => return Seen::Pending(at as u32),
                    Err(other) => slot = other,
                }
            }
            if slot >> 32 == mine >> 32 {
                let reference = slot as u32;
                if reference & PENDING == 0 {
                    if is_state(reference - 1) {
                        return Seen::Known(reference - 1);
                    }
                } else if is_candidate(reference & !PENDING) {
                    return Seen::Pending(at as u32);
                }
            }
            at = self.after(at);
        }
    }

    /// The number of the pending state in `slot`: `Some` if it has one, `None` if the caller must give it one with
    /// [`number`](Self::number). Called in the order of places.
    #[inline]
    pub(super) fn numbered(&self, slot: u32) -> Option<u32> {
        let reference = self.slots[slot as usize].load(Relaxed) as u32;
        (reference & PENDING == 0).then(|| reference - 1)
    }

    #[inline]
    pub(super) fn number(&self, slot: u32, id: u32) {
        let slot = &self.slots[slot as usize];
        slot.store((slot.load(Relaxed) >> 32) << 32 | u64::from(id + 1), Relaxed);
    }

    /// The number of a state, when no batch is being resolved.
    pub(super) fn find<P: Words>(&self, packed: &P, stored: &Arena<P>) -> Option<u32> {
        let hash = hash(packed);
        let mut at = self.home(hash);
        loop {
            let slot = self.slots[at].load(Relaxed);
            if slot == 0 {
                return None;
            }
            let id = (slot as u32).wrapping_sub(1);
            if slot >> 32 == hash & 0xffff_ffff && stored.is(id as usize, packed) {
                return Some(id);
            }
            at = self.after(at);
        }
    }
}

/// The home of a state comes from the high bits of its hash, so the entry keeps the low ones.
#[inline]
fn entry(hash: u64, reference: u32) -> u64 {
    hash << 32 | u64::from(reference)
}

fn empty(slots: usize) -> Vec<AtomicU64> {
    let mut table = Vec::with_capacity(slots);
    table.resize_with(slots, || AtomicU64::new(0));
    table
}

#[cfg(test)]
mod tests {
    use super::{Arena, Seen, Table};

    /// Different states with one hash are told apart by themselves, as states and as candidates of a batch.
    #[test]
    fn states_with_equal_hashes_are_told_apart() {
        let table = Table::new();
        let candidates = ["a", "b", "a", "c", "b"];
        let mut stored = Vec::new();
        for _ in 0..2 {
            let mut ids = Vec::new();
            let seen: Vec<_> = (0..candidates.len())
                .map(|at| {
                    let is_candidate = |place: u32| candidates[place as usize] == candidates[at];
                    table.resolve(42, at as u32, |id| stored[id as usize] == candidates[at], is_candidate)
                })
                .collect();
            for (at, seen) in seen.into_iter().enumerate() {
                ids.push(match seen {
                    Seen::Known(id) => id,
                    Seen::Pending(slot) => table.numbered(slot).unwrap_or_else(|| {
                        stored.push(candidates[at]);
                        table.number(slot, stored.len() as u32 - 1);
                        stored.len() as u32 - 1
                    }),
                });
            }
            assert_eq!(ids, [0, 1, 0, 2, 1]);
        }
        assert_eq!(stored, ["a", "b", "c"]);
    }

    #[test]
    fn growing_keeps_every_state_and_takes_what_was_foretold() {
        let (mut table, mut stored) = (Table::new(), Arena::new(1));
        for state in 0..100_000_u64 {
            let foretold = table.bytes_for(stored.len() + 1);
            table.reserve(stored.len() + 1, &stored, 2);
            assert_eq!(table.bytes(), foretold);
            assert_eq!(table.find(&state, &stored), None);
            let seen = table.resolve(super::hash(&state), 0, |id| stored.is(id as usize, &state), |_| false);
            let Seen::Pending(slot) = seen else { panic!("{state} is new") };
            table.number(slot, stored.len() as u32);
            stored.push(&state);
        }
        assert!((0..100_000_u64).all(|state| table.find(&state, &stored) == Some(state as u32)));
    }
}
