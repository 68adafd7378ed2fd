//! The rows of one space, in the order of scans: lane, partition hash, partition, sort bytes.

use std::ops::Bound;

use bytes::Bytes;
use imbl::OrdMap;

use crate::{
    Direction, Lane, Page, PageLimit, RangeRead, Row, RowPlace, ScanRead, SortBound, hash_partition,
};

/// Orders rows within a space.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RowKey {
    lane: Lane,
    hash: u64,
    partition: Bytes,
    sort: Bytes,
}

impl RowKey {
    pub(super) fn new(lane: Lane, partition: Bytes, sort: Bytes) -> Self {
        Self { lane, hash: hash_partition(&partition), partition, sort }
    }

    /// No row of this lane and hash comes before it.
    const fn first_of_hash(lane: Lane, hash: u64) -> Self {
        Self { lane, hash, partition: Bytes::new(), sort: Bytes::new() }
    }

    pub(super) fn place(&self) -> RowPlace {
        RowPlace { partition: self.partition.clone(), sort: self.sort.clone() }
    }

    fn len(&self) -> usize {
        self.partition.len() + self.sort.len()
    }
}

/// One space. Cloning is O(1).
#[derive(Clone, Debug, Default)]
pub(super) struct Space {
    rows: OrdMap<RowKey, Row>,
    bytes: u64,
}

type Ends = (Bound<RowKey>, Bound<RowKey>);

impl Space {
    pub(super) fn row_count(&self) -> usize {
        self.rows.len()
    }

    /// The sum of the lengths of keys and values.
    pub(super) const fn stored_bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn get(&self, key: &RowKey) -> Option<Row> {
        self.rows.get(key).cloned()
    }

    pub(super) fn set(&mut self, key: RowKey, row: Option<Row>) {
        let key_bytes = key.len();
        let size = |row: &Row| (key_bytes + row.value.len()) as u64;
        self.bytes += row.as_ref().map_or(0, size);
        let old = match row {
            Some(row) => self.rows.insert(key, row),
            None => self.rows.remove(&key),
        };
        self.bytes -= old.as_ref().map_or(0, size);
    }

    pub(super) fn range(&self, range: &RangeRead) -> Page {
        let ends = range_ends(range);
        if is_empty(&ends) {
            return Page { rows: Vec::new(), end: true };
        }
        let rows = self.rows.range(ends);
        match range.direction {
            Direction::Forward => page_of(rows, range.limit),
            Direction::Backward => page_of(rows.rev(), range.limit),
        }
    }

    pub(super) fn scan(&self, scan: &ScanRead) -> Page {
        let ends = scan_ends(scan);
        if is_empty(&ends) {
            return Page { rows: Vec::new(), end: true };
        }
        page_of(self.rows.range(ends), scan.limit)
    }
}

fn range_ends(range: &RangeRead) -> Ends {
    let hash = hash_partition(&range.partition);
    let key = |sort: &Bytes| RowKey {
        lane: range.lane,
        hash,
        partition: range.partition.clone(),
        sort: sort.clone(),
    };
    let end = |bound: &SortBound| bound.as_ref().map(key);
    let from = match end(&range.from) {
        Bound::Unbounded => Bound::Included(key(&Bytes::new())),
        bound @ (Bound::Included(_) | Bound::Excluded(_)) => bound,
    };
    let to = match end(&range.to) {
        Bound::Unbounded => {
            let partition = partition_after(&range.partition);
            Bound::Excluded(RowKey { lane: range.lane, hash, partition, sort: Bytes::new() })
        }
        bound @ (Bound::Included(_) | Bound::Excluded(_)) => bound,
    };
    (from, to)
}

fn scan_ends(scan: &ScanRead) -> Ends {
    let first = RowKey::first_of_hash(scan.lane, scan.interval.first);
    let from = match &scan.after {
        None => Bound::Included(first),
        Some(place) => {
            let after = RowKey::new(scan.lane, place.partition.clone(), place.sort.clone());
            if after < first { Bound::Included(first) } else { Bound::Excluded(after) }
        }
    };
    let to = match (scan.interval.last.checked_add(1), scan.lane.0.checked_add(1)) {
        (Some(hash), _) => Bound::Excluded(RowKey::first_of_hash(scan.lane, hash)),
        (None, Some(lane)) => Bound::Excluded(RowKey::first_of_hash(Lane(lane), 0)),
        (None, None) => Bound::Unbounded,
    };
    (from, to)
}

/// Whether no key can lie between the ends; the map's own range may not be asked then.
fn is_empty(ends: &Ends) -> bool {
    match ends {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(from), Bound::Included(to)) => from > to,
        (
            Bound::Included(from) | Bound::Excluded(from),
            Bound::Included(to) | Bound::Excluded(to),
        ) => from >= to,
    }
}

/// The part of a page that fits a limit, and whether anything follows it.
fn page_of<'a>(rows: impl Iterator<Item = (&'a RowKey, &'a Row)>, limit: PageLimit) -> Page {
    let mut page = Page { rows: Vec::new(), end: true };
    let mut bytes = 0;
    let mut full = false;
    for (key, row) in rows {
        if full {
            page.end = false;
            break;
        }
        bytes += row.value.len();
        page.rows.push((key.place(), row.clone()));
        full = page.rows.len() >= limit.rows || bytes >= limit.bytes;
    }
    page
}

/// The least partition after this one, bytewise.
fn partition_after(partition: &Bytes) -> Bytes {
    let mut next = Vec::with_capacity(partition.len() + 1);
    next.extend_from_slice(partition);
    next.push(0);
    next.into()
}
