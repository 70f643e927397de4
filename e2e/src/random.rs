//! Reproducible random bytes.

/// The SplitMix64 generator: a failing seed gives the same traffic again.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator for `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which must not be 0.
    #[expect(clippy::cast_possible_truncation, reason = "the remainder is below a usize")]
    pub const fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// `length` bytes. From 256 bytes on, every byte value occurs.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut out: Vec<u8> = (0..=255).take(length).collect();
        while out.len() < length {
            let word = self.next().to_le_bytes();
            let take = word.len().min(length - out.len());
            out.extend(word.iter().take(take));
        }
        out
    }

    /// A size up to `limit` bytes, small ones as likely as large ones, 0 included.
    pub const fn size(&mut self, limit: usize) -> usize {
        let bits = limit.ilog2() as usize + 1;
        let ceiling = 1 << self.below(bits + 1);
        self.below(if ceiling > limit { limit + 1 } else { ceiling })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_value_occurs_in_a_body_of_256_bytes_or_more() {
        let body = Random::new(7).bytes(300);
        assert_eq!(body.len(), 300);
        assert!((0..=255).all(|value: u8| body.contains(&value)));
    }

    #[test]
    fn sizes_stay_within_the_limit_and_reach_both_ends() {
        let mut random = Random::new(1);
        let sizes: Vec<usize> = (0..4000).map(|_| random.size(1 << 20)).collect();
        assert!(sizes.iter().all(|&size| size <= 1 << 20));
        assert!(sizes.contains(&0));
        assert!(sizes.iter().any(|&size| size > 1 << 19));
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        assert_eq!(Random::new(3).bytes(1000), Random::new(3).bytes(1000));
        assert_ne!(Random::new(3).bytes(1000), Random::new(4).bytes(1000));
    }
}
