//! Writes the edges of a chunk in the format of the edge store; any thread can, once all targets have numbers.

use super::bits::WORD;
use super::checkable::Role;

/// Edges compared to find duplicates; more would cost more than it saves.
const DUPLICATES_MAX: usize = 32;

/// The edges of consecutive states, ready to be appended to the store. The buffers are used again for every batch.
#[derive(Default)]
pub(super) struct Encoder {
    pub(super) bytes: Vec<u8>,
    /// For each state whose number is a multiple of 64: where its list starts in `bytes`, and the next number there.
    pub(super) starts: Vec<(usize, u32)>,
    /// The number of the next state to write.
    pub(super) source: usize,
    /// The number that the next discovery has.
    pub(super) next: u32,
    /// Whether edges that discover nothing are kept, unless they are faults.
    keep_all: bool,
    /// Edges of the current source that discovered nothing, to write each only once.
    written: Vec<(u32, Role)>,
}

impl Encoder {
    /// With `keep_all` false only the breadth-first tree is kept: enough for counterexamples of safety. A fault that
    /// discovers nothing is never kept: no pass may count on it.
    pub(super) fn new(keep_all: bool) -> Self {
        Encoder { keep_all, ..Self::default() }
    }

    /// Forgets what was written, to go on with `source`, before which all numbers below `next` were given.
    pub(super) fn restart(&mut self, source: usize, next: u32) {
        self.bytes.clear();
        self.starts.clear();
        self.source = source;
        self.next = next;
    }

    /// Writes all edges of the next source, in their order.
    #[inline]
    pub(super) fn write(&mut self, edges: impl Iterator<Item = (u32, Role)>) {
        if self.source.is_multiple_of(WORD) {
            self.starts.push((self.bytes.len(), self.next));
        }
        self.source += 1;
        self.written.clear();
        for (target, role) in edges {
            let distance = self.next - target;
            if distance == 0 {
                self.next += 1;
            } else {
                if !self.keep_all || role == Role::Fault || self.written.contains(&(target, role)) {
                    continue;
                }
                if self.written.len() < DUPLICATES_MAX {
                    self.written.push((target, role));
                }
            }
            self.varint(1 + u64::from(distance) * Role::COUNT + role as u64);
        }
        self.bytes.push(0);
    }

    #[inline]
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    pub(super) fn bytes_held(&self) -> usize {
        self.bytes.capacity() + self.starts.capacity() * size_of::<(usize, u32)>()
    }
}
