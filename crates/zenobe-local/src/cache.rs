//! Hot rows, keys known to have none, and whole partitions ([`crate::partitions`]), all in one room.
//!
//! A row's entry holds the newest version of its key. Commits replace the entry of a cached key before
//! they become visible; readers fill a missing one under the key's latch, and only when nothing wrote
//! to that stripe since the LSN they read at. So an entry is either current or too new for a reader,
//! who then asks the memtables. Values that were read are copied in, or an entry would keep alive a block
//! of which it is a part, and so are rows of commits of more than one row. The others are shared with the
//! memtables.
//!
//! Entries are found by digests, which lie in the table itself: who writes a key need not fetch the
//! cached key from memory. Should two keys have one digest, they put each other out.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use quick_cache::sync::{Cache, DefaultLifecycle};

use crate::digest::Digest;
use crate::partitions::{Partition, PartitionKey};
use crate::read::Seen;
use crate::view::Found;

const ENTRY_OVERHEAD_BYTES: u64 = 166;
/// What an entry is guessed to weigh, to size the tables in advance.
const ENTRY_BYTES_GUESS: u64 = 1 << 10;

/// What is kept. A row has its whole key with it, for digests of two keys may be the same.
#[derive(Clone)]
enum Kept {
    Row { key: Bytes, found: Found },
    Partition(Arc<Partition>),
}

#[derive(Clone)]
struct Weigh;

impl quick_cache::Weighter<Digest, Kept> for Weigh {
    fn weight(&self, _: &Digest, kept: &Kept) -> u64 {
        let bytes = match kept {
            Kept::Row { key, found } => key.len() + found.value.as_ref().map_or(0, Bytes::len),
            Kept::Partition(partition) => partition.bytes(),
        };
        ENTRY_OVERHEAD_BYTES + bytes as u64
    }
}

/// A digest is hashed already.
#[derive(Clone, Copy, Debug, Default)]
struct AsItIs(u64);

impl BuildHasher for AsItIs {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        Self(0)
    }
}

impl Hasher for AsItIs {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The cache.
pub(crate) struct ItemCache {
    kept: Option<Cache<Digest, Kept, Weigh, AsItIs>>,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl ItemCache {
    pub(crate) fn new(capacity_bytes: u64) -> Self {
        let entries = usize::try_from(capacity_bytes / ENTRY_BYTES_GUESS).unwrap_or(0);
        let kept = (capacity_bytes > 0).then(|| {
            let lifecycle = DefaultLifecycle::default();
            Cache::with(entries, capacity_bytes, Weigh, AsItIs::default(), lifecycle)
        });
        Self { kept, hits: AtomicU64::new(0), misses: AtomicU64::new(0) }
    }

    /// The entry, if it is not too new for a reader at `lsn`.
    pub(crate) fn get(&self, digest: Digest, key: &Bytes, lsn: u64) -> Option<Found> {
        let found = match self.kept.as_ref()?.get(&digest) {
            Some(Kept::Row { key: own, found }) if found.lsn <= lsn && own == *key => Some(found),
            _ => None,
        };
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// Replaces the entry if there is one. The caller holds the key's latch. A row that is not alone in its allocation
    /// is copied.
    pub(crate) fn replace(
        &self,
        digest: Digest,
        key: &Bytes,
        lsn: u64,
        value: Option<&Bytes>,
        is_alone: bool,
    ) {
        let own = |bytes: &Bytes| {
            if is_alone { bytes.clone() } else { Bytes::copy_from_slice(bytes) }
        };
        if let Some(kept) = &self.kept
            && kept.contains_key(&digest)
        {
            // Gone meanwhile is as good: what is not there is not stale.
            let found = Found { lsn, value: value.map(own) };
            let _ = kept.replace(digest, Kept::Row { key: own(key), found }, false);
        }
    }

    /// Puts an entry in. The caller holds the key's latch, knows that `found` is the newest, and gives
    /// a key that has its own allocation.
    pub(crate) fn fill(&self, digest: Digest, key: &Bytes, found: &Found) {
        if let Some(kept) = &self.kept {
            let value = found.value.as_ref().map(|value| Bytes::copy_from_slice(value));
            let found = Found { lsn: found.lsn, value };
            kept.insert(digest, Kept::Row { key: key.clone(), found });
        }
    }

    /// The partition, whether or not it is current.
    pub(crate) fn partition(&self, key: &PartitionKey) -> Option<Arc<Partition>> {
        match self.kept.as_ref()?.get(&key.digest)? {
            Kept::Partition(kept) if kept.prefix == key.prefix => Some(kept),
            Kept::Partition(_) | Kept::Row { .. } => None,
        }
    }

    /// Puts a partition in, unless it is too large.
    pub(crate) fn fill_partition(&self, key: &PartitionKey, seen: &Seen) {
        if let Some(kept) = &self.kept
            && let Some(partition) = Partition::of(key, seen)
        {
            kept.insert(key.digest, Kept::Partition(Arc::new(partition)));
        }
    }

    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.hits.load(Ordering::Relaxed), self.misses.load(Ordering::Relaxed))
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.kept.as_ref().map_or(0, Cache::weight)
    }
}
