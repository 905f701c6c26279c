//! Random numbers from a seed: jitter, and ids of terms.
//!
//! SplitMix64 (Steele, Lea, Flood, 2014). Not for secrets. The caller's seed makes two nodes differ.

/// A sequence of random numbers that its seed decides.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn next_u128(&mut self) -> u128 {
        u128::from(self.next()) << 64 | u128::from(self.next())
    }

    /// Gives a duration from zero to less than `most`.
    pub(crate) fn jitter(&mut self, most: core::time::Duration) -> core::time::Duration {
        let nanos = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
        core::time::Duration::from_nanos(if nanos == 0 { 0 } else { self.next() % nanos })
    }
}
