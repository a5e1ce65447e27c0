//! A random source whose numbers are the same for ever, on every machine and in every version.

/// xoshiro256**, seeded by SplitMix64, both as their authors (Blackman and Vigna) published them.
///
/// Our own, since a seed that is written down must still mean the same run years later; general random crates change
/// their algorithms between versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Random {
    state: [u64; 4],
}

fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Random {
    /// The source that `seed` stands for.
    pub fn new(mut seed: u64) -> Self {
        Random { state: std::array::from_fn(|_| split_mix(&mut seed)) }
    }

    /// An independent source for one purpose, so that a further draw for one does not shift what others see.
    pub fn fork(&self, purpose: u64) -> Self {
        let [a, b, c, d] = self.state;
        Random::new(a ^ b.rotate_left(16) ^ c.rotate_left(32) ^ d.rotate_left(48) ^ split_mix(&mut purpose.clone()))
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        let s = &mut self.state;
        let result = s[1].wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// A number below `bound`; 0 if the bound is 0. The bias is below `bound / 2^64`.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// A number from `low` to `high`, both included; `low` if they are the wrong way round.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        match high.checked_sub(low) {
            None => low,
            Some(u64::MAX) => self.bits(),
            Some(width) => low + self.below(width + 1),
        }
    }

    /// True in `percent` of 100 cases.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of them; nothing if there is none.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len() as u64) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_that_the_authors_published() {
        // SplitMix64 from state 1234567 (the reference C program's first outputs).
        let mut state = 1_234_567;
        assert_eq!(split_mix(&mut state), 6_457_827_717_110_365_317);
        assert_eq!(split_mix(&mut state), 3_203_168_211_198_807_973);
        // xoshiro256** from state 1, 2, 3, 4.
        let mut random = Random { state: [1, 2, 3, 4] };
        assert_eq!([random.bits(), random.bits(), random.bits()], [11_520, 0, 1_509_978_240]);
    }

    #[test]
    fn ranges_are_kept() {
        let mut random = Random::new(7);
        for _ in 0..1_000 {
            assert!(random.below(3) < 3);
            assert!((5..=9).contains(&random.between(5, 9)));
        }
        assert_eq!(random.below(0), 0);
        assert_eq!(random.between(9, 5), 9);
        assert_eq!(random.pick::<u8>(&[]), None);
        assert_ne!(random.fork(1), random.fork(2));
    }
}
