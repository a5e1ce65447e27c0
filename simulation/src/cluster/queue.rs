//! What is still to come, in the order in which it comes.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Something that happens at a time. Small and `Copy`: millions pass through the queue each second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A timed line of the schedule.
    Strike(u32),
    /// A client acts.
    Client(u32),
    /// An idle worker looks for work.
    Poll { worker: u8, incarnation: u32 },
    /// A request is at the store, and its transaction runs.
    Arrive { call: u32 },
    /// The body inside a transaction has ended.
    Transacted { call: u32 },
    /// The answer is at the sender.
    Reply { call: u32 },
    /// The sender gives up waiting.
    Lost { call: u32 },
    /// A body ends.
    Body { drive: u32, generation: u32, slot: u32 },
    /// What a step waited for is due by the worker's clock.
    Due { drive: u32, generation: u32, slot: u32 },
    /// A lease is to be renewed or given up.
    Duty { drive: u32, generation: u32 },
    /// A pause is over, unless it was made longer.
    Resume { worker: u8 },
    /// No more faults.
    Heal,
    /// The end of patience.
    End,
}

/// 32 bytes: two of them to a line of the processor's cache.
#[derive(Clone, Copy, Debug)]
struct Entry {
    at_ms: u64,
    /// The order of arrival; no two are equal.
    sequence: u32,
    event: Event,
}

impl Entry {
    fn key(&self) -> (u64, u32) {
        (self.at_ms, self.sequence)
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        other.key().cmp(&self.key())
    }
}

/// Ordered by time, then by the order in which they were put in: nothing else decides, so a run can be repeated.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Entry>,
    sequence: u32,
}

impl Queue {
    pub(crate) fn clear(&mut self) {
        self.heap.clear();
        self.sequence = 0;
    }

    pub(crate) fn push(&mut self, at_ms: u64, event: Event) {
        self.sequence += 1;
        self.heap.push(Entry { at_ms, sequence: self.sequence, event });
    }

    pub(crate) fn pop(&mut self) -> Option<(u64, Event)> {
        self.heap.pop().map(|entry| (entry.at_ms, entry.event))
    }

    /// The first event that `wanted` accepts, taken out of turn: for schedules that say what happens next.
    pub(crate) fn take(&mut self, mut wanted: impl FnMut(Event) -> bool) -> Option<(u64, Event)> {
        let key = self.heap.iter().filter(|entry| wanted(entry.event)).map(Entry::key).min()?;
        let mut taken = None;
        self.heap.retain(|entry| {
            if entry.key() == key {
                taken = Some(entry.event);
            }
            entry.key() != key
        });
        taken.map(|event| (key.0, event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_first_then_the_order_of_arrival() {
        let mut queue = Queue::default();
        queue.push(5, Event::Client(1));
        queue.push(3, Event::Client(2));
        queue.push(5, Event::Client(3));
        queue.push(3, Event::Heal);
        assert_eq!(queue.take(|event| event == Event::Client(1)), Some((5, Event::Client(1))));
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, [(3, Event::Client(2)), (3, Event::Heal), (5, Event::Client(3))]);
    }
}
