//! A growing array that never moves what it holds.
//!
//! A `Vec` that doubles holds up to three times its content while it copies; at hundreds of millions of states that is
//! the difference between a proof and `INCOMPLETE`.

use std::ops::Index;

const BLOCK_BITS: usize = 16;
const BLOCK_LEN: usize = 1 << BLOCK_BITS;

pub(super) struct Arena<T> {
    blocks: Vec<Vec<T>>,
    len: usize,
}

impl<T> Arena<T> {
    pub(super) fn new() -> Self {
        Arena { blocks: Vec::new(), len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn push(&mut self, item: T) {
        if self.len.is_multiple_of(BLOCK_LEN) {
            // The first block grows with its content, so that a small model stays small.
            self.blocks.push(Vec::with_capacity(if self.len == 0 { 0 } else { BLOCK_LEN }));
        }
        self.blocks.last_mut().expect("pushed above").push(item);
        self.len += 1;
    }

    /// Bytes allocated, not only used.
    pub(super) fn bytes(&self) -> usize {
        self.bytes_of(self.blocks.first().map_or(0, Vec::capacity), self.blocks.len())
    }

    /// Bytes allocated once it holds `len` items.
    pub(super) fn bytes_for(&self, len: usize) -> usize {
        let first = len.next_power_of_two().clamp(4, BLOCK_LEN);
        self.bytes_of(first, len.div_ceil(BLOCK_LEN)).max(self.bytes())
    }

    fn bytes_of(&self, first: usize, blocks: usize) -> usize {
        let items = first + blocks.saturating_sub(1) * BLOCK_LEN;
        items * size_of::<T>() + self.blocks.capacity().max(blocks) * size_of::<Vec<T>>()
    }
}

impl<T> Index<usize> for Arena<T> {
    type Output = T;

    #[inline]
    fn index(&self, at: usize) -> &T {
        &self.blocks[at >> BLOCK_BITS][at & (BLOCK_LEN - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::Arena;

    #[test]
    fn keeps_every_item_across_blocks_and_accounts_for_them() {
        let mut arena = Arena::new();
        for item in 0..200_000_u64 {
            arena.push(item);
        }
        assert_eq!(arena.len(), 200_000);
        assert!((0..200_000).all(|at| arena[at] == at as u64));
        assert!(arena.bytes() >= 200_000 * 8 && arena.bytes() < 270_000 * 8, "{}", arena.bytes());
    }
}
