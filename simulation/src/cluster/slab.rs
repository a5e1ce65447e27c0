//! Things that come and go by the million, in memory that is used again.

/// Indices into a vector, with those that are free.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    items: Vec<T>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Slab { items: Vec::new(), free: Vec::new() }
    }
}

impl<T: Default> Slab<T> {
    /// A place for one more. What stood there before is still in it: its memory is meant to be used again.
    pub(crate) fn take(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.items.push(T::default());
            self.items.len() as u32 - 1
        })
    }

    pub(crate) fn give_back(&mut self, index: u32) {
        self.free.push(index);
    }

    /// Everything is free again, in an order that does not depend on what was before: a run must not notice the last.
    pub(crate) fn clear(&mut self) {
        self.free.clear();
        self.free.extend((0..self.items.len() as u32).rev());
    }

    /// How many are taken.
    pub(crate) fn taken(&self) -> usize {
        self.items.len() - self.free.len()
    }

    pub(crate) fn len(&self) -> u32 {
        self.items.len() as u32
    }
}

impl<T> std::ops::Index<u32> for Slab<T> {
    type Output = T;
    fn index(&self, index: u32) -> &T {
        &self.items[index as usize]
    }
}

impl<T> std::ops::IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, index: u32) -> &mut T {
        &mut self.items[index as usize]
    }
}
