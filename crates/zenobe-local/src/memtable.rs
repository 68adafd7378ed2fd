//! Recent rows in memory, all versions of each, until they are in the tree.
//!
//! A B-tree under a lock: writers come one at a time anyway, and eleven rows to a node are far fewer trips to
//! memory than a node each, when a row is put in and when all are flushed. Readers hold the lock for a few rows
//! at a time. Most reads of a memtable ask for what it does not have; the filter answers those without the lock.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::{RwLock, RwLockReadGuard};

use crate::filter::KeyFilter;
use crate::layout::Interval;
use crate::prefetch;

/// What an entry costs beside its key and value.
const ENTRY_OVERHEAD_BYTES: usize = 176;
/// How many versions a range takes at first while it holds the lock, and at most.
const STRIDE_FIRST: usize = 16;
const STRIDE_MAX: usize = 128;
/// How many rows one who reads all fetches at a time.
const ROWS_AHEAD: usize = 32;

/// A version of a row: newest first among those of one key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct VersionKey {
    /// The first bytes of the key, compared first: they lie in the tree's node, the key elsewhere.
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

/// A version of a row and its value; `None` is a deletion.
type Version = (VersionKey, Option<Bytes>);
type Rows = BTreeMap<VersionKey, Option<Bytes>>;

/// Rows sorted by key and version. Written under the sequencer's lock, read by anyone.
#[derive(Debug, Default)]
pub(crate) struct Memtable {
    rows: RwLock<Rows>,
    filter: Arc<KeyFilter>,
    bytes: AtomicU64,
    last_lsn: AtomicU64,
}

impl Memtable {
    /// Puts the rows of a commit in.
    pub(crate) fn insert(&self, commit: &[(Bytes, Option<Bytes>)], lsn: u64) {
        if commit.is_empty() {
            return;
        }
        let mut bytes = 0;
        let mut rows = self.rows.write();
        for (key, value) in commit {
            bytes += key.len() + value.as_ref().map_or(0, Bytes::len) + ENTRY_OVERHEAD_BYTES;
            self.filter.note(key);
            rows.insert(VersionKey::new(key.clone(), lsn), value.clone());
        }
        drop(rows);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.last_lsn.fetch_max(lsn, Ordering::Relaxed);
    }

    /// The newest version at `lsn`: its LSN, and the value unless it is a deletion.
    pub(crate) fn get(&self, key: &Bytes, lsn: u64) -> Option<(u64, Option<Bytes>)> {
        if !self.filter.may_have(key) {
            return None;
        }
        let (found, value) = self.newest(VersionKey::new(key.clone(), lsn))?;
        Some((found.lsn.0, value))
    }

    /// The newest version of a row that is not newer than this one.
    fn newest(&self, from: VersionKey) -> Option<Version> {
        let rows = self.rows.read();
        let (found, value) = rows.range(&from..).next()?;
        found.is_of_same_row(&from).then(|| (found.clone(), value.clone()))
    }

    /// Whether there may be rows in an interval; a quick answer for those within one partition.
    pub(crate) fn may_overlap(&self, interval: &Interval) -> bool {
        !self.is_empty() && self.filter.may_overlap(interval)
    }

    /// The filter over its rows.
    pub(crate) fn filter(&self) -> &Arc<KeyFilter> {
        &self.filter
    }

    /// All versions in an interval of keys, in order or in reverse.
    pub(crate) fn range(&self, interval: &Interval, backward: bool) -> Range<'_> {
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
        let (stride, taken) = (STRIDE_FIRST, Vec::new().into_iter());
        Range {
            memtable: self,
            bounds: Some((low, high)),
            backward,
            stride,
            taken,
            #[cfg(test)]
            read: 0,
        }
    }

    /// All rows, for one who reads them when none is added any more.
    pub(crate) fn all(&self) -> AllRows<'_> {
        AllRows(self.rows.read())
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn last_lsn(&self) -> u64 {
        self.last_lsn.load(Ordering::Relaxed)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.last_lsn() == 0
    }
}

/// Versions in an interval, a few at a time.
pub(crate) struct Range<'a> {
    memtable: &'a Memtable,
    /// What is left; `None` at the end.
    bounds: Option<(Bound<VersionKey>, Bound<VersionKey>)>,
    backward: bool,
    stride: usize,
    taken: std::vec::IntoIter<Version>,
    /// How many versions were read.
    #[cfg(test)]
    read: usize,
}

impl Range<'_> {
    /// The next row's newest version at `lsn`, if it has one. Others are passed over, not read: a row that is
    /// written all the time has many.
    pub(crate) fn next_at(&mut self, lsn: u64) -> Option<Version> {
        loop {
            let (first, value) = self.next()?;
            let at = |lsn: u64| VersionKey { lsn: Reverse(lsn), ..first.clone() };
            if self.backward {
                // The oldest version comes first, and mostly it is the only one.
                let next = self.taken.as_slice().first();
                if next.is_some_and(|(next, _)| !next.is_of_same_row(&first)) {
                    if first.lsn.0 <= lsn {
                        return Some((first, value));
                    }
                    continue;
                }
                self.pass_over(&at(u64::MAX));
                if first.lsn.0 <= lsn {
                    return self.memtable.newest(at(lsn));
                }
            } else if first.lsn.0 > lsn {
                self.pass_over(&at(lsn + 1));
            } else {
                self.pass_over(&at(0));
                return Some((first, value));
            }
        }
    }

    /// Goes on behind a version.
    fn pass_over(&mut self, version: &VersionKey) {
        let is_passed = |(next, _): &Version| {
            if self.backward { next >= version } else { next <= version }
        };
        while self.taken.as_slice().first().is_some_and(is_passed) {
            self.taken.next();
        }
        if self.taken.len() > 0 {
            return;
        }
        if let Some((low, high)) = &mut self.bounds {
            let end = if self.backward { high } else { low };
            *end = Bound::Excluded(version.clone());
        }
    }

    fn take_more(&mut self) -> Option<()> {
        let (low, high) = self.bounds.take()?;
        if is_empty(&low, &high) {
            return None;
        }
        let rows = self.memtable.rows.read();
        let range = rows.range((low.as_ref(), high.as_ref()));
        let own =
            |(version, value): (&VersionKey, &Option<Bytes>)| (version.clone(), value.clone());
        let taken: Vec<Version> = if self.backward {
            range.rev().take(self.stride).map(own).collect()
        } else {
            range.take(self.stride).map(own).collect()
        };
        drop(rows);
        if taken.len() == self.stride {
            let last = Bound::Excluded(taken.last()?.0.clone());
            self.bounds = Some(if self.backward { (low, last) } else { (last, high) });
            self.stride = (self.stride * 2).min(STRIDE_MAX);
        }
        #[cfg(test)]
        {
            self.read += taken.len();
        }
        self.taken = taken.into_iter();
        Some(())
    }
}

/// Whether nothing can lie between two bounds, which the standard library's tree panics on.
fn is_empty(low: &Bound<VersionKey>, high: &Bound<VersionKey>) -> bool {
    match (low, high) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(low), Bound::Included(high)) => low > high,
        (
            Bound::Included(low) | Bound::Excluded(low),
            Bound::Included(high) | Bound::Excluded(high),
        ) => low >= high,
    }
}

impl Iterator for Range<'_> {
    type Item = Version;

    fn next(&mut self) -> Option<Version> {
        loop {
            if let Some(version) = self.taken.next() {
                return Some(version);
            }
            self.take_more()?;
        }
    }
}

/// All rows of a memtable.
pub(crate) struct AllRows<'a>(RwLockReadGuard<'a, Rows>);

/// The newest version of a row in a memtable.
pub(crate) struct NewestEntry<'a> {
    pub(crate) key: &'a Bytes,
    pub(crate) lsn: u64,
    /// `None` is a deletion.
    pub(crate) value: Option<&'a Bytes>,
}

/// Something of key and value, so that the processor has to fetch them.
fn first_bytes((version, value): &(&VersionKey, &Option<Bytes>)) -> u64 {
    let first = |bytes: &Bytes| bytes.first().map_or(0, |&byte| u64::from(byte));
    first(&version.key) ^ value.as_ref().map_or(0, first)
}

impl AllRows<'_> {
    /// The newest version of every key. Rows of a large memtable are in no cache of the processor. So nothing
    /// is cloned, for to count one more owner is one more trip to memory; and a few rows are fetched at a time.
    pub(crate) fn newest(&self) -> impl Iterator<Item = NewestEntry<'_>> + '_ {
        let mut rows = self.0.iter();
        let mut last: Option<&VersionKey> = None;
        let mut fetched = VecDeque::with_capacity(ROWS_AHEAD);
        std::iter::from_fn(move || {
            if fetched.is_empty() {
                fetched.extend(rows.by_ref().take(ROWS_AHEAD));
                prefetch::together(fetched.iter().map(first_bytes));
            }
            fetched.pop_front()
        })
        .filter(move |&(version, _)| {
            let is_older = last.is_some_and(|last| last.is_of_same_row(version));
            last = Some(version);
            !is_older
        })
        .map(|(VersionKey { key, lsn, .. }, value)| NewestEntry {
            key,
            lsn: lsn.0,
            value: value.as_ref(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: String) -> Bytes {
        Bytes::from(text)
    }

    fn filled() -> Memtable {
        let memtable = Memtable::default();
        for (lsn, number) in (1..).zip((0..500).chain((0..500).step_by(2))) {
            let value = (number % 5 > 0).then(|| bytes(format!("v{lsn}")));
            memtable.insert(&[(bytes(format!("key{number:04}")), value)], lsn);
        }
        memtable
    }

    #[test]
    fn a_range_has_all_versions_in_both_directions_and_takes_a_few_at_a_time() {
        let memtable = filled();
        let all = (Bound::Unbounded, Bound::Unbounded);
        let forward: Vec<_> = memtable.range(&all, false).collect();
        assert_eq!(forward.len(), 750);
        assert!(forward.is_sorted_by(|a, b| a.0 < b.0));
        let mut backward: Vec<_> = memtable.range(&all, true).collect();
        backward.reverse();
        assert_eq!(backward, forward);
        let part =
            (Bound::Excluded(bytes("key0002".into())), Bound::Included(bytes("key0006".into())));
        let keys: Vec<_> = memtable.range(&part, false).map(|(version, _)| version.lsn.0).collect();
        assert_eq!(keys, [4, 503, 5, 6, 504, 7]);
        let nothing =
            (Bound::Excluded(bytes("key0002".into())), Bound::Excluded(bytes("key0002".into())));
        assert_eq!(memtable.range(&nothing, false).count(), 0);
        let reversed =
            (Bound::Included(bytes("key0006".into())), Bound::Included(bytes("key0002".into())));
        assert_eq!(memtable.range(&reversed, true).count(), 0);
    }

    #[test]
    fn a_range_goes_on_while_rows_are_added() {
        let memtable = filled();
        let mut range = memtable.range(&(Bound::Unbounded, Bound::Unbounded), false);
        let first = range.next().map(|(version, _)| version.key);
        memtable.insert(&[(bytes("key0499x".into()), None), (bytes("a".into()), None)], 9999);
        let rest: Vec<_> = range.map(|(version, _)| version.key).collect();
        assert_eq!(first.as_deref(), Some(&b"key0000"[..]));
        assert_eq!(rest.len(), 750);
        assert_eq!(rest.last().map(|key| &key[..]), Some(&b"key0499x"[..]));
    }

    #[test]
    fn at_an_lsn_each_row_has_its_newest_version_by_then() {
        let memtable = Memtable::default();
        // Some rows are written once, some often, one all the time.
        let row_of = |lsn: u64| if lsn.is_multiple_of(3) { 7 } else { lsn * lsn % 41 };
        for lsn in 1..=2000 {
            let value = (lsn % 7 > 0).then(|| bytes(format!("v{lsn}")));
            memtable.insert(&[(bytes(format!("key{:02}", row_of(lsn))), value)], lsn);
        }
        let all = (Bound::Unbounded, Bound::Unbounded);
        let part = (Bound::Excluded(bytes("key07".into())), Bound::Included(bytes("key20".into())));
        let upto = (Bound::Unbounded, Bound::Excluded(bytes("key08".into())));
        for interval in [all, part, upto] {
            for lsn in [0, 1, 2, 50, 999, 1000, 2000, u64::MAX] {
                let mut expected: BTreeMap<Bytes, (u64, Option<Bytes>)> = BTreeMap::new();
                for (version, value) in memtable.range(&interval, true) {
                    if version.lsn.0 <= lsn {
                        expected.insert(version.key, (version.lsn.0, value));
                    }
                }
                for backward in [false, true] {
                    let mut range = memtable.range(&interval, backward);
                    let seen: Vec<_> = std::iter::from_fn(|| range.next_at(lsn)).collect();
                    let order = |(version, _): &Version| version.key.clone();
                    assert!(seen.is_sorted_by(|a, b| (order(a) < order(b)) != backward));
                    let seen: BTreeMap<_, _> = seen
                        .into_iter()
                        .map(|(version, value)| (version.key, (version.lsn.0, value)))
                        .collect();
                    assert_eq!(seen, expected, "at {lsn}, backward {backward}");
                }
            }
        }
    }

    #[test]
    fn the_versions_of_a_row_that_is_written_all_the_time_are_not_all_read() {
        let memtable = Memtable::default();
        for lsn in 1..=10_000 {
            memtable.insert(&[(bytes("hot".into()), Some(bytes(format!("v{lsn}"))))], lsn);
        }
        memtable.insert(&[(bytes("other".into()), None)], 10_001);
        for (backward, lsn) in [(false, 10_001), (true, 10_001), (false, 5000), (true, 5000)] {
            let mut range = memtable.range(&(Bound::Unbounded, Bound::Unbounded), backward);
            while range.next_at(lsn).is_some() {}
            assert!(range.read <= 3 * STRIDE_FIRST + STRIDE_MAX, "{} were read", range.read);
        }
    }

    #[test]
    fn the_newest_version_of_each_key_is_flushed() {
        let memtable = filled();
        let rows = memtable.all();
        let newest: Vec<_> = rows.newest().map(|row| (row.lsn, row.value.is_some())).collect();
        assert_eq!(newest.len(), 500);
        assert_eq!(newest[..4], [(501, false), (2, true), (502, true), (4, true)]);
    }
}
