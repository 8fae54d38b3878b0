//! Chance from a seed: the one source of randomness of a run.

use std::cell::Cell;

/// A stream of random numbers, the same for the same seed.
#[derive(Debug)]
pub struct Chance(Cell<u64>);

impl Chance {
    /// The numbers of this seed, for this purpose.
    #[must_use]
    pub fn new(seed: u64, purpose: &str) -> Self {
        let start =
            purpose.bytes().fold(seed ^ 0x9e37_79b9_7f4a_7c15, |sum, byte| mix(sum ^ u64::from(byte)));
        Self(Cell::new(start))
    }

    /// The next number, each as likely as the other. `SplitMix64`: <https://doi.org/10.1145/2714064.2660195>
    pub fn next(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        mix(state)
    }

    /// A number below this one; 0 where that is 0.
    pub fn below(&self, end: u64) -> u64 {
        u64::try_from((u128::from(self.next()) * u128::from(end)) >> 64).unwrap_or_default()
    }

    /// A number from the first to the last, both of them counted.
    pub fn between(&self, first: u64, last: u64) -> u64 {
        first + self.below(last.saturating_sub(first) + 1)
    }

    /// A place in something of this length.
    pub fn place(&self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or_default()
    }

    /// Yes, in so many cases of a hundred.
    pub fn percent(&self, chance: u64) -> bool {
        self.below(100) < chance
    }

    /// One of these.
    ///
    /// # Panics
    ///
    /// When there are none.
    #[expect(clippy::indexing_slicing, reason = "a place in them is in them")]
    pub fn pick<T: Copy>(&self, all: &[T]) -> T {
        all[self.place(all.len())]
    }

    /// Puts these into any order.
    pub fn shuffle<T>(&self, all: &mut [T]) {
        for last in (1..all.len()).rev() {
            all.swap(last, self.place(last + 1));
        }
    }
}

fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
