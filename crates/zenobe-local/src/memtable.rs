//! Recent rows in memory, all versions of each, until they are in the tree.
//!
//! Most reads of a memtable ask for what it does not have; the filter answers those without a walk
//! through the list.

use std::cmp::Reverse;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use crossbeam_skiplist::SkipMap;
use crossbeam_skiplist::map::Entry;

use crate::filter::KeyFilter;
use crate::layout::Interval;

/// What an entry costs beside its key and value.
const ENTRY_OVERHEAD_BYTES: usize = 176;

/// A version of a row: newest first among those of one key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct VersionKey {
    /// The first bytes of the key, compared first: they lie in the list's node, the key elsewhere.
    head: u128,
    pub(crate) key: Bytes,
    pub(crate) lsn: Reverse<u64>,
}

impl VersionKey {
    fn is_of_same_row(&self, other: &Self) -> bool {
        self.head == other.head && self.key == other.key
    }

    fn new(key: Bytes, lsn: u64) -> Self {
        let head = key.first_chunk().map_or_else(
            || {
                let mut padded = [0; 16];
                padded.iter_mut().zip(key.iter()).for_each(|(to, from)| *to = *from);
                padded
            },
            |head: &[u8; 16]| *head,
        );
        Self { head: u128::from_be_bytes(head), key, lsn: Reverse(lsn) }
    }
}

/// The newest version of a row in a memtable.
pub(crate) struct NewestEntry<'a>(Entry<'a, VersionKey, Option<Bytes>>);

impl NewestEntry<'_> {
    pub(crate) fn key(&self) -> &Bytes {
        &self.0.key().key
    }

    pub(crate) fn lsn(&self) -> u64 {
        self.0.key().lsn.0
    }

    /// `None` is a deletion.
    pub(crate) fn value(&self) -> Option<&Bytes> {
        self.0.value().as_ref()
    }
}

/// Rows sorted by key and version. Written under the sequencer's lock, read by anyone.
#[derive(Debug, Default)]
pub(crate) struct Memtable {
    rows: SkipMap<VersionKey, Option<Bytes>>,
    filter: Arc<KeyFilter>,
    bytes: AtomicU64,
    last_lsn: AtomicU64,
}

impl Memtable {
    pub(crate) fn insert(&self, key: Bytes, lsn: u64, value: Option<Bytes>) {
        let size = key.len() + value.as_ref().map_or(0, Bytes::len) + ENTRY_OVERHEAD_BYTES;
        self.filter.note(&key);
        self.rows.insert(VersionKey::new(key, lsn), value);
        self.bytes.fetch_add(size as u64, Ordering::Relaxed);
        self.last_lsn.fetch_max(lsn, Ordering::Relaxed);
    }

    /// The newest version at `lsn`: its LSN, and the value unless it is a deletion.
    pub(crate) fn get(&self, key: &Bytes, lsn: u64) -> Option<(u64, Option<Bytes>)> {
        if !self.filter.may_have(key) {
            return None;
        }
        let from = VersionKey::new(key.clone(), lsn);
        let entry = self.rows.lower_bound(Bound::Included(&from))?;
        (entry.key().key == *key).then(|| (entry.key().lsn.0, entry.value().clone()))
    }

    /// Whether there may be rows in an interval; a quick answer for those within one partition.
    pub(crate) fn may_overlap(&self, interval: &Interval) -> bool {
        !self.is_empty() && self.filter.may_overlap(interval)
    }

    /// The filter over its rows.
    pub(crate) fn filter(&self) -> &Arc<KeyFilter> {
        &self.filter
    }

    /// All versions in an interval of keys.
    pub(crate) fn range(
        &self,
        interval: &Interval,
    ) -> impl DoubleEndedIterator<Item = (VersionKey, Option<Bytes>)> + '_ {
        // All versions of a key lie between (key, newest) and (key, oldest).
        let low = match &interval.0 {
            Bound::Included(key) => Bound::Included(VersionKey::new(key.clone(), u64::MAX)),
            Bound::Excluded(key) => Bound::Excluded(VersionKey::new(key.clone(), 0)),
            Bound::Unbounded => Bound::Unbounded,
        };
        let high = match &interval.1 {
            Bound::Included(key) => Bound::Included(VersionKey::new(key.clone(), 0)),
            Bound::Excluded(key) => Bound::Excluded(VersionKey::new(key.clone(), u64::MAX)),
            Bound::Unbounded => Bound::Unbounded,
        };
        self.rows.range((low, high)).map(|entry| (entry.key().clone(), entry.value().clone()))
    }

    /// The newest version of every key. Nothing is cloned: rows of a large memtable are in no cache of the
    /// processor, and to count one more owner of key and value is two more trips to memory.
    pub(crate) fn newest(&self) -> impl Iterator<Item = NewestEntry<'_>> + '_ {
        let mut entries = self.rows.iter();
        let mut newest = entries.next();
        std::iter::from_fn(move || {
            let entry = newest.take()?;
            newest = entries.by_ref().find(|next| !next.key().is_of_same_row(entry.key()));
            Some(NewestEntry(entry))
        })
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn last_lsn(&self) -> u64 {
        self.last_lsn.load(Ordering::Relaxed)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}
