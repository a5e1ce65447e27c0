//! A set of state numbers, one bit each.

#[derive(Clone)]
pub(super) struct Bits {
    words: Vec<u64>,
    len: usize,
}

/// States a word, and a block of the edge store: a sweep skips a block by looking at one word.
pub(super) const WORD: usize = 64;

impl Bits {
    pub(super) fn new() -> Self {
        Bits { words: Vec::new(), len: 0 }
    }

    pub(super) fn push(&mut self, bit: bool) {
        if self.len.is_multiple_of(WORD) {
            self.words.push(0);
        }
        self.words[self.len / WORD] |= u64::from(bit) << (self.len % WORD);
        self.len += 1;
    }

    #[inline]
    pub(super) fn get(&self, at: usize) -> bool {
        self.words[at / WORD] >> (at % WORD) & 1 == 1
    }

    /// Sets a bit; says whether it was not set before.
    pub(super) fn insert(&mut self, at: usize) -> bool {
        let before = self.get(at);
        self.words[at / WORD] |= 1 << (at % WORD);
        !before
    }

    /// Whether every bit of the `word`th word that stands for a state is set.
    #[inline]
    fn is_word_full(&self, word: usize) -> bool {
        self.words[word] | !self.mask(word) == u64::MAX
    }

    pub(super) fn words(&self) -> &[u64] {
        &self.words
    }

    /// A set of as many states with other words.
    pub(super) fn with_words(&self, words: Vec<u64>) -> Bits {
        Bits { words, len: self.len }
    }

    /// The bits of the `word`th word that stand for states.
    pub(super) fn mask(&self, word: usize) -> u64 {
        let used = (self.len - word * WORD).min(WORD);
        if used == WORD { u64::MAX } else { (1 << used) - 1 }
    }

    pub(super) fn zeros(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.words.len()).filter(|&word| !self.is_word_full(word)).flat_map(move |word| {
            let end = (word * WORD + WORD).min(self.len);
            (word * WORD..end).filter(|&at| !self.get(at))
        })
    }

    pub(super) fn bytes(&self) -> usize {
        self.words.capacity() * size_of::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::Bits;

    #[test]
    fn zeros_and_full_words_respect_the_ragged_end() {
        let mut bits = Bits::new();
        for at in 0..130 {
            bits.push(at != 70);
        }
        assert!(bits.is_word_full(0) && !bits.is_word_full(1) && bits.is_word_full(2));
        assert_eq!(bits.zeros().collect::<Vec<_>>(), [70]);
        let full = bits.with_words(vec![u64::MAX, u64::MAX, 3]);
        assert!(full.is_word_full(1) && full.zeros().next().is_none());
    }
}
