//! Hot rows, and keys known to have none.
//!
//! An entry holds the newest version of its key. Commits replace the entry of a cached key before
//! they become visible; readers fill a missing one under the key's latch, and only when nothing wrote
//! to that stripe since the LSN they read at. So an entry is either current or too new for a reader,
//! who then asks the memtables. Values that were read are copied in, or an entry would keep alive a block
//! of which it is a part; those of commits, and keys, have an allocation of their own, and are shared
//! with the memtables.

use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use quick_cache::sync::{Cache, DefaultLifecycle};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::view::Found;

const ENTRY_OVERHEAD_BYTES: u64 = 150;
/// What an entry is guessed to weigh, to size the tables in advance.
const ENTRY_BYTES_GUESS: u64 = 1 << 10;

#[derive(Clone)]
struct Weigh;

impl quick_cache::Weighter<Bytes, Found> for Weigh {
    fn weight(&self, key: &Bytes, found: &Found) -> u64 {
        ENTRY_OVERHEAD_BYTES + key.len() as u64 + found.value.as_ref().map_or(0, |v| v.len() as u64)
    }
}

/// Hashes keys with XXH3, seeded so that clients cannot aim at one shard.
#[derive(Clone, Debug)]
pub(crate) struct KeyHash {
    seed: u64,
}

pub(crate) struct KeyHasher(u64);

impl BuildHasher for KeyHash {
    type Hasher = KeyHasher;

    fn build_hasher(&self) -> KeyHasher {
        KeyHasher(self.seed)
    }
}

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    fn write_usize(&mut self, value: usize) {
        // Only lengths come here; the bytes that follow differ in length too.
        self.0 ^= value as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The cache.
pub(crate) struct ItemCache {
    rows: Option<Cache<Bytes, Found, Weigh, KeyHash>>,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl ItemCache {
    pub(crate) fn new(capacity_bytes: u64, seed: u64) -> Self {
        let entries = usize::try_from(capacity_bytes / ENTRY_BYTES_GUESS).unwrap_or(0);
        let rows = (capacity_bytes > 0).then(|| {
            Cache::with(
                entries,
                capacity_bytes,
                Weigh,
                KeyHash { seed },
                DefaultLifecycle::default(),
            )
        });
        Self { rows, hits: AtomicU64::new(0), misses: AtomicU64::new(0) }
    }

    /// The entry, if it is not too new for a reader at `lsn`.
    pub(crate) fn get(&self, key: &Bytes, lsn: u64) -> Option<Found> {
        let found = self.rows.as_ref()?.get(key).filter(|found| found.lsn <= lsn);
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// Replaces the entry if there is one. The caller holds the key's latch, and gives what has an
    /// allocation of its own.
    pub(crate) fn replace(&self, key: &Bytes, lsn: u64, value: Option<&Bytes>) {
        if let Some(rows) = &self.rows
            && rows.contains_key(key)
        {
            // Gone meanwhile is as good: what is not there is not stale.
            let found = Found { lsn, value: value.cloned() };
            let _ = rows.replace(key.clone(), found, false);
        }
    }

    /// Puts an entry in. The caller holds the key's latch, knows that `found` is the newest, and gives
    /// a key that has its own allocation.
    pub(crate) fn fill(&self, key: &Bytes, found: &Found) {
        if let Some(rows) = &self.rows {
            rows.insert(key.clone(), copied(found.lsn, found.value.as_ref()));
        }
    }

    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.hits.load(Ordering::Relaxed), self.misses.load(Ordering::Relaxed))
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.rows.as_ref().map_or(0, Cache::weight)
    }
}

fn copied(lsn: u64, value: Option<&Bytes>) -> Found {
    Found { lsn, value: value.map(|value| Bytes::copy_from_slice(value)) }
}
