//! The hash that spreads packed states over the table. Exactness never rests on it: states are compared in full.

use std::hash::{Hash, Hasher};

/// Multiply-and-fold over 64-bit words; fixed seed, so that every run is the same run.
struct Folded(u64);

/// Odd constants without structure (the fractional digits of pi).
const SEED: u64 = 0x243f_6a88_85a3_08d3;
const FACTOR: u64 = 0xa409_3822_299f_31d1;

#[inline]
fn fold(word: u64) -> u64 {
    let product = u128::from(word) * u128::from(FACTOR);
    (product as u64) ^ ((product >> 64) as u64)
}

impl Hasher for Folded {
    #[inline]
    fn finish(&self) -> u64 {
        fold(self.0 ^ SEED.rotate_left(32))
    }

    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.write_u64(u64::from_le_bytes(word.try_into().expect("eight bytes")));
        }
        let rest = words.remainder();
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            self.write_u64(u64::from_le_bytes(last));
        }
    }

    #[inline]
    fn write_u64(&mut self, word: u64) {
        // The rotation keeps the order of words significant and the state off the fixed point at zero.
        self.0 = fold(self.0.rotate_left(23) ^ word).wrapping_add(SEED);
    }

    #[inline]
    fn write_u8(&mut self, word: u8) {
        self.write_u64(u64::from(word));
    }

    #[inline]
    fn write_u16(&mut self, word: u16) {
        self.write_u64(u64::from(word));
    }

    #[inline]
    fn write_u32(&mut self, word: u32) {
        self.write_u64(u64::from(word));
    }

    #[inline]
    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    #[inline]
    fn write_u128(&mut self, word: u128) {
        self.write_u64(word as u64);
        self.write_u64((word >> 64) as u64);
    }
}

#[inline]
pub(super) fn hash(packed: &impl Hash) -> u64 {
    let mut hasher = Folded(SEED);
    packed.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::hash;
    use std::collections::HashSet;

    #[test]
    fn small_integers_spread_over_the_high_bits_and_the_low_bits() {
        for take in [|h: u64| h >> 48, |h: u64| h & 0xffff] {
            let seen: HashSet<u64> = (0_u64..65_536).map(|word| take(hash(&word))).collect();
            // Of 65,536 balls in as many bins a fair throw fills 1 - 1/e, about 41,427.
            assert!((41_000..41_900).contains(&seen.len()), "{}", seen.len());
        }
    }

    #[test]
    fn the_order_of_words_matters() {
        assert_ne!(hash(&[1_u64, 2]), hash(&[2_u64, 1]));
        assert_ne!(hash(&1_u128), hash(&(1_u128 << 64)));
        assert_ne!(hash(&[0_u8; 9]), hash(&[0_u8, 0, 0, 0, 0, 0, 0, 0, 1]));
    }
}
