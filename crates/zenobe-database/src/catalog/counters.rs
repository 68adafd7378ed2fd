//! How many items a table or an index has, and how large they are together; and how that is counted again
//! while others write.
//!
//! # Counting while others write
//!
//! The rows are counted page by page, each page at a snapshot of its own; one snapshot for the whole would pin a
//! large table for hours. What is counted shall be exact all the same: each change is either in the page of its
//! place, or comes on top of it, never both. Which of the two the position of its commit says:
//!
//! 1. [`Counters::begin_count`]. Then all latches are passed once ([`crate::latch`]): a writer notes down its
//!    change before it lets go of its latch, so who did not know of the count yet has done so. A commit made
//!    now has a position after all of theirs ([`Counters::begin_after`]).
//! 2. For each page: [`Counters::begin_page`] says which position the page's snapshot must have. Of changes
//!    *ahead*, where no page came yet, those noted down before are thus in whatever page comes there. Those from
//!    now on are kept in a list.
//! 3. The page is read at its snapshot, and all latches are passed once more. So every change that the page may
//!    have seen is noted down before [`Counters::end_page`].
//! 4. That takes from the list what is at a place of this page with a later position than the snapshot, and
//!    forgets the rest. From now on the page's places are passed, and each change there comes on top.
//! 5. With the last page the figures become what was counted. Until then they go on from what they were.
//!
//! Example: pages end at `h` and `z`. The first is read at position 50. A writer puts `c` at 49 and has not noted it
//! down; the count waits at its latch, finds 49 in the list, and leaves it out: the page has it. Another one deletes
//! `d` at 51 before the page ends: on the list and later, so it is taken off. A third deletes `m` at 52: ahead. The second
//! page is read at 52 or later and does not find it. Then `b` is put at 60: passed, so it is one more.
//!
//! It is exact where a write knows its position and notes itself down under its latch. Where outcomes can be unknown,
//! transactions take two phases or others write too, as on a shared engine, it is about right.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use zenobe_storage::{Engine, Position, RowPlace};

/// How many changes ahead are kept while a page is read. If there are more, it is read again.
const AHEAD_MAX: usize = 1 << 16;

/// How many items (or index entries) there are and how large they are together.
///
/// The writer adds what a commit changed right after it; nothing is locked and no row becomes hot.
/// All snapshots of one table share the counters. They are saved now and then, and recounted in the
/// background after a crash; until that is over they are about right, which is what `ItemCount` and
/// `TableSizeBytes` promise.
#[derive(Debug, Default)]
pub struct Counters {
    items: AtomicI64,
    bytes: AtomicI64,
    /// Whether there may be a count under way: all that a writer looks at when there is none.
    is_counted: AtomicBool,
    count: Mutex<Option<Count>>,
}

/// The sizes of a row before and after a write, in bytes as DynamoDB counts them; `None` where there was
/// or is none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SizeChange {
    pub(crate) old_bytes: Option<usize>,
    pub(crate) new_bytes: Option<usize>,
}

impl SizeChange {
    fn total(self) -> Sum {
        Sum::gone(self.old_bytes).plus(Sum::there(self.new_bytes))
    }
}

/// Where in the order of scans a row was before a write, and where it is after.
#[derive(Debug)]
pub(crate) struct Places {
    pub(crate) old: Option<ScanPlace>,
    pub(crate) new: Option<ScanPlace>,
}

/// A place in the order of scans. Engines order partitions of one hash as they like; that two partitions share a
/// hash is so improbable that a figure may go wrong by it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ScanPlace {
    hash: u64,
    partition: Bytes,
    sort: Bytes,
}

impl ScanPlace {
    pub(crate) fn new(engine: &dyn Engine, place: RowPlace) -> Self {
        let RowPlace { partition, sort } = place;
        Self { hash: engine.partition_hash(&partition), partition, sort }
    }
}

/// Items and their bytes; a difference may be below zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    items: i64,
    bytes: i64,
}

impl Sum {
    /// One item of this size, or none.
    pub(crate) fn there(bytes: Option<usize>) -> Self {
        bytes.map_or_else(Self::default, |bytes| Self {
            items: 1,
            bytes: i64::try_from(bytes).unwrap_or(i64::MAX),
        })
    }

    fn gone(bytes: Option<usize>) -> Self {
        Self::default().minus(Self::there(bytes))
    }

    pub(crate) const fn plus(self, other: Self) -> Self {
        Self {
            items: self.items.saturating_add(other.items),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }

    const fn minus(self, other: Self) -> Self {
        Self {
            items: self.items.saturating_sub(other.items),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }
}

/// A page that was read.
#[derive(Debug)]
pub(crate) struct CountedPage {
    /// The position of the snapshot.
    pub(crate) read_at: Position,
    /// What is in it.
    pub(crate) rows: Sum,
    /// The place of its last row; `None`: no row comes after this page.
    pub(crate) last: Option<ScanPlace>,
}

/// A count under way.
#[derive(Debug, Default)]
struct Count {
    /// The last place of the pages that were counted.
    passed: Option<ScanPlace>,
    /// What they hold, with what was written there since.
    sum: Sum,
    /// The latest position of the changes that were noted down.
    newest: Position,
    /// Changes ahead, noted down since the page that is being read was begun; `None`: there is no such page, or
    /// there are too many.
    ahead: Option<Vec<Ahead>>,
}

/// A change where no page came yet.
#[derive(Debug)]
struct Ahead {
    commit: Position,
    place: ScanPlace,
    change: Sum,
}

impl Count {
    fn note(&mut self, commit: Position, place: ScanPlace, change: Sum) {
        self.newest = self.newest.max(commit);
        if self.passed.as_ref().is_some_and(|passed| place <= *passed) {
            self.sum = self.sum.plus(change);
            return;
        }
        match &mut self.ahead {
            Some(ahead) if ahead.len() == AHEAD_MAX => self.ahead = None,
            Some(ahead) => ahead.push(Ahead { commit, place, change }),
            None => {}
        }
    }

    /// Adds a page; says whether it could.
    fn add_page(&mut self, page: CountedPage) -> bool {
        let Some(ahead) = self.ahead.take() else { return false };
        self.sum = self.sum.plus(page.rows);
        for Ahead { commit, place, change } in ahead {
            if commit > page.read_at && page.last.as_ref().is_none_or(|last| place <= *last) {
                self.sum = self.sum.plus(change);
            }
        }
        self.passed = page.last;
        true
    }
}

impl Counters {
    /// Takes note of a committed write of a row. `places` is asked only while there is a count under way. A commit
    /// whose position nobody knows is [`None`], and counts as seen by whoever has not passed it yet.
    ///
    /// To be called before the latches of the write are dropped.
    pub(crate) fn record(
        &self,
        change: SizeChange,
        commit: Option<Position>,
        places: impl FnOnce() -> Places,
    ) {
        // Relaxed: whoever takes a latch after the count has passed it sees what was set before that.
        if self.is_counted.load(Ordering::Relaxed) {
            self.record_while_counted(change, commit.unwrap_or_default(), places());
        } else {
            self.add_sum(change.total());
        }
    }

    #[cold]
    fn record_while_counted(&self, change: SizeChange, commit: Position, places: Places) {
        let mut count = self.count.lock();
        if let Some(count) = count.as_mut() {
            let sides = [
                (places.old, Sum::gone(change.old_bytes)),
                (places.new, Sum::there(change.new_bytes)),
            ];
            for (place, change) in sides {
                if let Some(place) = place
                    && change != Sum::default()
                {
                    count.note(commit, place, change);
                }
            }
        }
        // With the lock, so that the end of the count finds either both or neither.
        self.add_sum(change.total());
    }

    /// Adds (or takes away) items and bytes.
    pub fn add(&self, items: i64, bytes: i64) {
        if items != 0 {
            self.items.fetch_add(items, Ordering::Relaxed);
        }
        if bytes != 0 {
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    fn add_sum(&self, sum: Sum) {
        self.add(sum.items, sum.bytes);
    }

    /// The figures as they are, which may be below zero while writers add theirs.
    pub(crate) fn signed(&self) -> (i64, i64) {
        (self.items.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }

    /// The number of items.
    #[must_use]
    pub fn items(&self) -> u64 {
        u64::try_from(self.items.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// The size of all items, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        u64::try_from(self.bytes.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Begins to count anew.
    pub(crate) fn begin_count(&self) {
        *self.count.lock() = Some(Count::default());
        self.is_counted.store(true, Ordering::Relaxed);
    }

    /// Has every page read at this position or later.
    pub(crate) fn begin_after(&self, position: Position) {
        if let Some(count) = self.count.lock().as_mut() {
            count.newest = count.newest.max(position);
        }
    }

    /// Begins a page, perhaps once more; says at which position it must be read, or at a later one.
    pub(crate) fn begin_page(&self) -> Position {
        let mut count = self.count.lock();
        let count = count.get_or_insert_default();
        count.ahead = Some(Vec::new());
        count.newest
    }

    /// Ends a page. Whether it was counted: if not, too much was written meanwhile, and it is to be read again.
    pub(crate) fn end_page(&self, page: CountedPage) -> bool {
        let mut count = self.count.lock();
        let Some(counting) = count.as_mut() else { return false };
        let is_last = page.last.is_none();
        if !counting.add_page(page) {
            return false;
        }
        if is_last {
            let (items, bytes) = self.signed();
            self.add_sum(counting.sum.minus(Sum { items, bytes }));
            *count = None;
            self.is_counted.store(false, Ordering::Relaxed);
        }
        true
    }

    /// Leaves the figures as they are.
    pub(crate) fn give_count_up(&self) {
        *self.count.lock() = None;
        self.is_counted.store(false, Ordering::Relaxed);
    }
}
