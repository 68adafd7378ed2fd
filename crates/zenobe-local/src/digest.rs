//! What stands for a key where only the processor's caches count: in latches, heads and the item cache.

use std::hash::{Hash, Hasher};

use xxhash_rust::xxh3::xxh3_128_with_seed;

/// A hash of a physical key, computed once for all who look the key up. Seeded, so that clients cannot
/// aim at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digest(u128);

impl Digest {
    pub(crate) fn of(key: &[u8], seed: u64) -> Self {
        Self(xxh3_128_with_seed(key, seed))
    }

    /// The half that tells keys apart.
    pub(crate) fn high(self) -> u64 {
        (self.0 >> 64) as u64
    }

    /// The half that says where a key is kept.
    pub(crate) fn low(self) -> usize {
        self.0 as usize
    }
}

impl Hash for Digest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.high());
    }
}
