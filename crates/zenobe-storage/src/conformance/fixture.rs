//! A store under test, with short words for what behaviours say often.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use super::EngineFactory;
use crate::{
    Commit, Direction, Engine, EngineError, Expect, HashInterval, Key, Lane, Mutation, Outcome,
    Page, PageLimit, Position, Precondition, RangeRead, Read, Row, RowPlace, ScanRead, Snapshot,
    SpaceId, Version,
};

/// The space that behaviours use unless they need several.
pub(super) const SPACE: SpaceId = SpaceId(7);

/// No limit that a test's page reaches.
pub(super) const ALL_ROWS: PageLimit = PageLimit { rows: 1_000_000, bytes: 1 << 40 };

/// How many reads it may take at most until a derived row is there.
const READS_UNTIL_RELAYED: usize = 20_000;

/// An engine with one space.
pub(super) struct Store {
    pub(super) engine: Arc<dyn Engine>,
}

pub(super) type Rows = Vec<(RowPlace, Row)>;

pub(super) fn bytes(text: impl AsRef<[u8]>) -> Bytes {
    Bytes::copy_from_slice(text.as_ref())
}

pub(super) fn key(partition: impl AsRef<[u8]>, sort: impl AsRef<[u8]>) -> Key {
    Key { space: SPACE, partition: bytes(partition), lane: Lane::ITEM, sort: bytes(sort) }
}

pub(super) fn key_in(lane: Lane, partition: impl AsRef<[u8]>, sort: impl AsRef<[u8]>) -> Key {
    Key { lane, ..key(partition, sort) }
}

pub(super) fn put(key: Key, value: impl AsRef<[u8]>) -> Mutation {
    Mutation { key, value: Some(bytes(value)) }
}

pub(super) const fn delete(key: Key) -> Mutation {
    Mutation { key, value: None }
}

pub(super) const fn absent(key: Key) -> Precondition {
    Precondition { key, expect: Expect::Absent }
}

pub(super) const fn at(key: Key, version: Version) -> Precondition {
    Precondition { key, expect: Expect::At(version) }
}

pub(super) const fn commit_of(
    preconditions: Vec<Precondition>,
    mutations: Vec<Mutation>,
) -> Commit {
    Commit { preconditions, mutations, derived: Vec::new(), records: Vec::new() }
}

/// All rows of a lane of a partition, forwards.
pub(super) fn whole_range(partition: impl AsRef<[u8]>, lane: Lane) -> RangeRead {
    RangeRead {
        space: SPACE,
        partition: bytes(partition),
        lane,
        from: Bound::Unbounded,
        to: Bound::Unbounded,
        direction: Direction::Forward,
        limit: ALL_ROWS,
    }
}

/// All rows of a lane.
pub(super) const fn whole_scan(lane: Lane) -> ScanRead {
    ScanRead { space: SPACE, lane, interval: HashInterval::ALL, after: None, limit: ALL_ROWS }
}

/// The sort bytes of rows.
pub(super) fn sorts(rows: &[(RowPlace, Row)]) -> Vec<Bytes> {
    rows.iter().map(|(place, _)| place.sort.clone()).collect()
}

/// The values of rows.
pub(super) fn values(rows: &[(RowPlace, Row)]) -> Vec<Bytes> {
    rows.iter().map(|(_, row)| row.value.clone()).collect()
}

impl Store {
    /// A new store; the name is that of the behaviour.
    pub(super) async fn new(factory: &dyn EngineFactory, name: &str) -> Self {
        Self::with(factory.open(name).await).await
    }

    /// An engine, with [`SPACE`] made.
    pub(super) async fn with(engine: Arc<dyn Engine>) -> Self {
        engine.create_space(SPACE).await.unwrap();
        Self { engine }
    }

    pub(super) fn global_commit(&self) -> bool {
        self.engine.capabilities().global_commit
    }

    pub(super) async fn try_commit(&self, commit: Commit) -> Result<Outcome, EngineError> {
        self.engine.commit(commit).await
    }

    /// Commits what must succeed.
    pub(super) async fn commit(&self, commit: Commit) -> (Position, Version) {
        match self.engine.commit(commit).await.unwrap() {
            Outcome::Committed { position, version } => (position, version),
            outcome @ (Outcome::Conflict { .. } | Outcome::Closed { .. } | Outcome::Unknown) => {
                panic!("not committed: {outcome:?}")
            }
        }
    }

    /// Commits what must conflict. Returns the key and, where the engine tells it, the current row.
    pub(super) async fn conflict(&self, commit: Commit) -> (Key, Option<Option<Row>>) {
        match self.engine.commit(commit).await.unwrap() {
            Outcome::Conflict { key, current } => (key, current),
            outcome @ (Outcome::Committed { .. } | Outcome::Closed { .. } | Outcome::Unknown) => {
                panic!("no conflict: {outcome:?}")
            }
        }
    }

    pub(super) async fn put(&self, key: Key, value: impl AsRef<[u8]>) -> Version {
        self.commit(commit_of(Vec::new(), vec![put(key, value)])).await.1
    }

    pub(super) async fn delete(&self, key: Key) {
        self.commit(commit_of(Vec::new(), vec![delete(key)])).await;
    }

    pub(super) async fn get(&self, key: Key) -> Option<Row> {
        self.engine.get(key, Read::Strong).await.unwrap()
    }

    /// The value of a derived row, once it is this one.
    pub(super) async fn becomes(&self, key: Key, value: Option<&str>) {
        let expected = value.map(bytes);
        let mut found = None;
        for _ in 0..READS_UNTIL_RELAYED {
            found = self.value(key.clone()).await;
            if found == expected {
                return;
            }
        }
        panic!("{key:?} is {found:?} and not {expected:?}");
    }

    pub(super) async fn value(&self, key: Key) -> Option<Bytes> {
        self.get(key).await.map(|row| row.value)
    }

    pub(super) async fn range(&self, range: RangeRead) -> Page {
        self.engine.range(range, Read::Strong).await.unwrap()
    }

    pub(super) async fn scan(&self, scan: ScanRead) -> Page {
        self.engine.scan(scan, Read::Strong).await.unwrap()
    }

    /// All rows of a lane, in one page.
    pub(super) async fn scan_all(&self, lane: Lane) -> Rows {
        let page = self.scan(whole_scan(lane)).await;
        assert!(page.end, "a page without a limit ends the scan");
        page.rows
    }

    /// All rows that a range has, page by page. Checks what must hold of each page.
    pub(super) async fn range_by_pages(&self, mut range: RangeRead, read: &Read) -> Rows {
        let mut all: Rows = Vec::new();
        loop {
            let page = self.engine.range(range.clone(), read.clone()).await.unwrap();
            check_page(&page, range.limit);
            all.extend(page.rows);
            if page.end {
                return all;
            }
            let last = Bound::Excluded(all.last().unwrap().0.sort.clone());
            match range.direction {
                Direction::Forward => range.from = last,
                Direction::Backward => range.to = last,
            }
        }
    }

    /// All rows that a scan has, page by page. Checks what must hold of each page.
    pub(super) async fn scan_by_pages(&self, mut scan: ScanRead, read: &Read) -> Rows {
        let mut all: Rows = Vec::new();
        loop {
            let page = self.engine.scan(scan.clone(), read.clone()).await.unwrap();
            check_page(&page, scan.limit);
            all.extend(page.rows);
            if page.end {
                return all;
            }
            scan.after = all.last().map(|(place, _)| place.clone());
        }
    }

    /// A snapshot that holds everything committed up to now.
    pub(super) async fn snapshot(&self, position: Position) -> Arc<dyn Snapshot> {
        self.engine.durable(position).await.unwrap();
        let snapshot = self.engine.snapshot().await.unwrap();
        assert!(snapshot.position() >= position, "{:?} lacks {position:?}", snapshot.position());
        snapshot
    }
}

/// A page never goes over its limits, and never stops below both with more to come.
pub(super) fn check_page(page: &Page, limit: PageLimit) {
    assert!(page.rows.len() <= limit.rows.max(1), "{} rows, limit {limit:?}", page.rows.len());
    let total: usize = page.rows.iter().map(|(_, row)| row.value.len()).sum();
    if let Some((_, last)) = page.rows.last() {
        let before = total - last.value.len();
        assert!(
            page.rows.len() == 1 || before < limit.bytes,
            "the row before the last reached {limit:?}"
        );
    }
    if !page.end {
        assert!(!page.rows.is_empty(), "an empty page is the end");
        assert!(
            page.rows.len() >= limit.rows || total >= limit.bytes,
            "stopped below {limit:?} before the end"
        );
    }
}

/// Runs a closure on a thread of its own, where it may block on futures.
pub(super) fn on_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| match scope.spawn(work).join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// Runs a closure on `count` threads at once and returns what they return.
pub(super) fn on_threads<T: Send>(count: u64, work: impl Fn(u64) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..count).map(|index| scope.spawn(move || work(index))).collect();
        threads
            .into_iter()
            .map(|thread| match thread.join() {
                Ok(value) => value,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    })
}
