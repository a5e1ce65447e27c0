//! A growing array that never moves what it holds.
//!
//! A `Vec` that doubles holds up to three times its content while it copies; at hundreds of millions of states that is
//! the difference between a proof and `INCOMPLETE`.

use super::checkable::Words;
use std::marker::PhantomData;

const BLOCK_BITS: usize = 16;
const BLOCK_LEN: usize = 1 << BLOCK_BITS;

pub(super) struct Arena<T> {
    blocks: Vec<Vec<u64>>,
    len: usize,
    /// Words of an item that are stored.
    width: usize,
    items: PhantomData<T>,
}

impl<T: Words> Arena<T> {
    pub(super) fn new(width: usize) -> Self {
        assert!((1..=T::MAX).contains(&width), "an item has from 1 to {} words", T::MAX);
        Arena { blocks: Vec::new(), len: 0, width, items: PhantomData }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn push(&mut self, item: &T) {
        if self.len.is_multiple_of(BLOCK_LEN) {
            // The first block grows with its content, so that a small model stays small.
            self.blocks.push(Vec::with_capacity(if self.len == 0 { 0 } else { BLOCK_LEN * self.width }));
        }
        let block = self.blocks.last_mut().expect("pushed above");
        let start = block.len();
        block.resize(start + self.width, 0);
        item.put(&mut block[start..]);
        self.len += 1;
    }

    #[inline]
    fn words(&self, at: usize) -> &[u64] {
        &self.blocks[at >> BLOCK_BITS][(at & (BLOCK_LEN - 1)) * self.width..][..self.width]
    }

    #[inline]
    pub(super) fn get(&self, at: usize) -> T {
        T::take(self.words(at))
    }

    /// `self.get(at) == *item`.
    #[inline]
    pub(super) fn is(&self, at: usize, item: &T) -> bool {
        item.is(self.words(at))
    }

    /// Some of the item's bits: reading them brings the rest close.
    #[inline]
    pub(super) fn glance(&self, at: usize) -> u64 {
        self.words(at)[0]
    }

    /// Bytes allocated, not only used.
    pub(super) fn bytes(&self) -> usize {
        self.bytes_of(self.blocks.first().map_or(0, Vec::capacity), self.blocks.len())
    }

    /// Bytes allocated once it holds `len` items.
    pub(super) fn bytes_for(&self, len: usize) -> usize {
        let first = (len.min(BLOCK_LEN) * self.width).next_power_of_two().max(4);
        self.bytes_of(first, len.div_ceil(BLOCK_LEN)).max(self.bytes())
    }

    fn bytes_of(&self, first_words: usize, blocks: usize) -> usize {
        let words = first_words + blocks.saturating_sub(1) * BLOCK_LEN * self.width;
        words * size_of::<u64>() + self.blocks.capacity().max(blocks) * size_of::<Vec<u64>>()
    }
}

#[cfg(test)]
mod tests {
    use super::Arena;

    #[test]
    fn keeps_every_item_across_blocks_and_accounts_for_them() {
        // Of three words two are used.
        let item = |at: u64| [at, at * 3, 0];
        let mut arena = Arena::new(2);
        (0..200_000).for_each(|at| arena.push(&item(at)));
        assert_eq!(arena.len(), 200_000);
        assert!((0..200_000).all(|at| arena.get(at as usize) == item(at) && arena.is(at as usize, &item(at))));
        assert!(!arena.is(7, &item(8)) && !arena.is(7, &[7, 22, 0]));
        assert!(arena.bytes() >= 200_000 * 16 && arena.bytes() < 270_000 * 16, "{}", arena.bytes());
    }
}
