//! Whole partitions that are kept: who reads one again finds its rows side by side.
//!
//! A partition read from tables and memtables is put together from pieces that lie anywhere in memory, and each
//! costs a wait for it. When one is read as a whole again soon, its rows are copied next to each other and go
//! into the item cache.
//!
//! Writers look nothing up here. Each commit leaves its LSN at the stripes of its partitions before it
//! becomes visible; what was read as of an LSN is current as long as its stripe has no later one.

use std::ops::{Bound, Range};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use zenobe_storage::{Direction, Page, RangeRead, Row, RowPlace, SortBound, Version};

use crate::digest::Digest;
use crate::layout;
use crate::prefetch;
use crate::read::{PageBuilder, Seen};

/// So many that under a thousand writes a second a stripe is written to once a minute.
const STRIPES: usize = 1 << 16;
/// A larger partition is not kept: reading it costs more than finding it.
const KEPT_BYTES_MAX: usize = 64 << 10;

/// One lane of a partition.
pub(crate) struct PartitionKey {
    /// The physical key with no sort bytes.
    pub(crate) prefix: Bytes,
    pub(crate) digest: Digest,
    stripe: usize,
}

impl PartitionKey {
    pub(crate) fn new(prefix: Bytes, salt: u64) -> Self {
        // Another seed than that of rows: a row without sort bytes has this very key.
        let digest = Digest::of(&prefix, !salt);
        Self { stripe: stripe(&prefix), digest, prefix }
    }
}

fn stripe(physical_key: &[u8]) -> usize {
    let stripe = layout::stripe_hash(physical_key) % STRIPES as u64;
    usize::try_from(stripe).unwrap_or(0)
}

/// A row of a partition: where its bytes are.
#[derive(Debug)]
struct KeptRow {
    version: Version,
    sort: Range<usize>,
    value: Range<usize>,
}

/// The rows of a partition as of an LSN.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) prefix: Bytes,
    /// They have all commits up to this LSN.
    pub(crate) as_of_lsn: u64,
    /// The last LSN that they depend on, deletions included.
    pub(crate) newest_lsn: u64,
    rows: Box<[KeptRow]>,
    /// The prefix, the sort bytes of all rows, then their values.
    data: Bytes,
}

impl Partition {
    /// Copies the rows of a read of a whole partition next to each other; `None` if they are too many to be kept.
    pub(crate) fn of(key: &PartitionKey, seen: &Seen) -> Option<Self> {
        let rows = &seen.page.rows;
        let sorts: usize = rows.iter().map(|(place, _)| place.sort.len()).sum();
        let values: usize = rows.iter().map(|(_, row)| row.value.len()).sum();
        if sorts + values + rows.len() * size_of::<KeptRow>() > KEPT_BYTES_MAX {
            return None;
        }
        let prefix = key.prefix.len();
        let mut data = BytesMut::with_capacity(prefix + sorts + values);
        data.extend_from_slice(&key.prefix);
        rows.iter().for_each(|(place, _)| data.extend_from_slice(&place.sort));
        rows.iter().for_each(|(_, row)| data.extend_from_slice(&row.value));
        let (mut sorts, mut values) = (prefix, prefix + sorts);
        let kept = |(place, row): &(RowPlace, Row)| {
            let (sort, value) = (sorts..sorts + place.sort.len(), values..values + row.value.len());
            (sorts, values) = (sort.end, value.end);
            KeptRow { version: row.version, sort, value }
        };
        let data = data.freeze();
        Some(Self {
            prefix: data.slice(..prefix),
            as_of_lsn: seen.as_of_lsn,
            newest_lsn: seen.newest_lsn,
            rows: rows.iter().map(kept).collect(),
            data,
        })
    }

    /// How many bytes it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.data.len() + size_of_val(&*self.rows)
    }

    /// The page of a read of this partition.
    pub(crate) fn page(&self, range: &RangeRead) -> Page {
        let (low, high) = (self.low(&range.from), self.high(&range.to));
        let rows = self.rows.get(low..high).unwrap_or_default();
        let partition = self.prefix.slice(layout::PREFIX_BYTES.min(self.prefix.len())..);
        let mut page = PageBuilder::new(range.limit);
        let mut push = |row: &KeptRow| {
            let sort = self.data.slice(row.sort.clone());
            let value = self.data.slice(row.value.clone());
            prefetch::lines(&value);
            let place = RowPlace { partition: partition.clone(), sort };
            page.push(place, Row { version: row.version, value })
        };
        let _ = match range.direction {
            Direction::Forward => rows.iter().all(&mut push),
            Direction::Backward => rows.iter().rev().all(&mut push),
        };
        page.finish()
    }

    /// The index of the first row that is not below a low bound.
    fn low(&self, bound: &SortBound) -> usize {
        match bound {
            Bound::Unbounded => 0,
            Bound::Included(sort) => self.count_while(|own| own < sort),
            Bound::Excluded(sort) => self.count_while(|own| own <= sort),
        }
    }

    /// The index behind the last row that is not above a high bound.
    fn high(&self, bound: &SortBound) -> usize {
        match bound {
            Bound::Unbounded => self.rows.len(),
            Bound::Included(sort) => self.count_while(|own| own <= sort),
            Bound::Excluded(sort) => self.count_while(|own| own < sort),
        }
    }

    /// How many rows there are before the first one for whose sort bytes this does not hold.
    fn count_while(&self, holds: impl Fn(&[u8]) -> bool) -> usize {
        let sort = |row: &KeptRow| self.data.get(row.sort.clone()).unwrap_or_default();
        self.rows.partition_point(|row| holds(sort(row)))
    }
}

/// What was written to partitions, and which were asked for lately.
pub(crate) struct Partitions {
    written: Box<[AtomicU64]>,
    asked: Box<[AtomicU64]>,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl Partitions {
    pub(crate) fn new() -> Self {
        Self {
            written: (0..STRIPES).map(|_| AtomicU64::new(0)).collect(),
            asked: (0..STRIPES).map(|_| AtomicU64::new(0)).collect(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// Notes a write to a row. The caller holds the sequencer's lock, and makes the commit visible later.
    pub(crate) fn wrote(&self, physical_key: &[u8], lsn: u64) {
        if let Some(written) = self.written.get(stripe(physical_key)) {
            written.store(lsn, Ordering::Release);
        }
    }

    pub(crate) fn count(&self, hit: bool) {
        let counter = if hit { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// How many reads were answered from kept partitions, and how many were not.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.hits.load(Ordering::Relaxed), self.misses.load(Ordering::Relaxed))
    }

    /// Whether nothing was written to a partition since an LSN.
    pub(crate) fn is_unwritten(&self, key: &PartitionKey, since_lsn: u64) -> bool {
        let written = self.written.get(key.stripe);
        written.is_some_and(|lsn| lsn.load(Ordering::Acquire) <= since_lsn)
    }

    /// Whether a read of a whole partition as of an LSN is worth keeping: not the first time, for most are never
    /// asked for again, nor if it is out of date already.
    pub(crate) fn is_worth_keeping(&self, key: &PartitionKey, as_of_lsn: u64) -> bool {
        let tag = key.digest.high();
        let asked = self.asked.get(key.digest.low() % STRIPES);
        asked.is_some_and(|asked| asked.swap(tag, Ordering::Relaxed) == tag)
            && self.is_unwritten(key, as_of_lsn)
    }
}
