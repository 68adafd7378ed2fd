//! Recent rows in memory, all versions of each, until they are in the tree.

use std::cmp::Reverse;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use crossbeam_skiplist::SkipMap;

use crate::layout::Interval;

/// What an entry costs beside its key and value.
const ENTRY_OVERHEAD_BYTES: usize = 160;

/// A version of a row: newest first among those of one key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct VersionKey {
    pub(crate) key: Bytes,
    pub(crate) lsn: Reverse<u64>,
}

/// Rows sorted by key and version. Written under the sequencer's lock, read by anyone.
#[derive(Debug, Default)]
pub(crate) struct Memtable {
    rows: SkipMap<VersionKey, Option<Bytes>>,
    bytes: AtomicU64,
    last_lsn: AtomicU64,
}

impl Memtable {
    pub(crate) fn insert(&self, key: Bytes, lsn: u64, value: Option<Bytes>) {
        let size = key.len() + value.as_ref().map_or(0, Bytes::len) + ENTRY_OVERHEAD_BYTES;
        self.rows.insert(VersionKey { key, lsn: Reverse(lsn) }, value);
        self.bytes.fetch_add(size as u64, Ordering::Relaxed);
        self.last_lsn.fetch_max(lsn, Ordering::Relaxed);
    }

    /// The newest version at `lsn`: its LSN, and the value unless it is a deletion.
    pub(crate) fn get(&self, key: &Bytes, lsn: u64) -> Option<(u64, Option<Bytes>)> {
        let from = VersionKey { key: key.clone(), lsn: Reverse(lsn) };
        let entry = self.rows.lower_bound(Bound::Included(&from))?;
        (entry.key().key == *key).then(|| (entry.key().lsn.0, entry.value().clone()))
    }

    /// All versions in an interval of keys.
    pub(crate) fn range(
        &self,
        interval: &Interval,
    ) -> impl DoubleEndedIterator<Item = (VersionKey, Option<Bytes>)> + '_ {
        // All versions of a key lie between (key, newest) and (key, oldest).
        let low = match &interval.0 {
            Bound::Included(key) => {
                Bound::Included(VersionKey { key: key.clone(), lsn: Reverse(u64::MAX) })
            }
            Bound::Excluded(key) => {
                Bound::Excluded(VersionKey { key: key.clone(), lsn: Reverse(0) })
            }
            Bound::Unbounded => Bound::Unbounded,
        };
        let high = match &interval.1 {
            Bound::Included(key) => {
                Bound::Included(VersionKey { key: key.clone(), lsn: Reverse(0) })
            }
            Bound::Excluded(key) => {
                Bound::Excluded(VersionKey { key: key.clone(), lsn: Reverse(u64::MAX) })
            }
            Bound::Unbounded => Bound::Unbounded,
        };
        self.rows.range((low, high)).map(|entry| (entry.key().clone(), entry.value().clone()))
    }

    /// The newest version of every key.
    pub(crate) fn newest(&self) -> impl Iterator<Item = (VersionKey, Option<Bytes>)> + '_ {
        let mut last: Option<Bytes> = None;
        self.rows.iter().filter_map(move |entry| {
            let key = entry.key();
            if last.as_ref() == Some(&key.key) {
                return None;
            }
            last = Some(key.key.clone());
            Some((key.clone(), entry.value().clone()))
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
