//! Reads: the cache, then the memtables, then the tree.
//!
//! The view is taken before the LSN. So everything up to the LSN that the view's tables can hold is
//! in them, and nothing beyond it ([`crate::tree`]); and a commit is in the view as a whole or not at
//! all, because memtables are changed between commits. A memtable that was begun after the view was taken is
//! not in it, though its commits may be up to the LSN. So what is kept of a read for later ones is as of an LSN
//! that was taken before the view.

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Bytes, BytesMut};
use zenobe_storage::{
    Direction, EngineError, EngineResult, Key, LogCursor, LogPage, LoggedRecord, Page, PageLimit,
    Position, RangeRead, Read, Row, RowPlace, ScanRead, ShardId, Snapshot,
};

use crate::core::Core;
use crate::digest::Digest;
use crate::heads::{HEAD_BYTES, Head};
use crate::layout::{self, Interval};
use crate::log::Segment;
use crate::log::frame::{self, FRAME_HEADER_BYTES, Header, Kind};
use crate::log::records::STRETCH_BYTES;
use crate::partitions::{Partition, PartitionKey};
use crate::prefetch;
use crate::view::{Found, View};

/// How many rows a page has room for at first.
const FIRST_ROOM_ROWS: usize = 16;
/// How many stretches of log one read of records looks at before it takes a new route.
const STRETCHES_AT_ONCE: usize = 64;

/// Which state a read sees.
#[derive(Clone, Debug)]
pub(crate) enum Level {
    Visible,
    Durable,
    At(Arc<View>, u64),
}

/// What one read looks at.
struct Sight {
    /// An LSN from before the view was taken: all commits up to it are in the view.
    as_of_lsn: u64,
    view: Arc<View>,
    /// The LSN to read at.
    lsn: u64,
}

/// A view that is kept, with the LSN to read at.
#[derive(Debug)]
pub(crate) struct LocalSnapshot {
    pub(crate) view: Arc<View>,
    pub(crate) lsn: u64,
}

impl Snapshot for LocalSnapshot {
    fn position(&self) -> Position {
        Position(self.lsn)
    }
}

impl Core {
    fn level(&self, read: &Read) -> EngineResult<Level> {
        Ok(match read {
            Read::Eventual => Level::Durable,
            Read::Strong | Read::Latest => Level::Visible,
            Read::Snapshot(snapshot) => {
                let any: &dyn std::any::Any = snapshot.as_ref();
                let Some(own) = any.downcast_ref::<LocalSnapshot>() else {
                    return Err(EngineError::Unsupported("a snapshot of another engine"));
                };
                Level::At(own.view.clone(), own.lsn)
            }
        })
    }

    fn lsn_now(&self, level: &Level) -> u64 {
        match level {
            Level::Visible => self.visible.load(Ordering::Acquire),
            Level::Durable => self.durable.lsn(),
            Level::At(_, lsn) => *lsn,
        }
    }

    fn sight(&self, level: &Level) -> Sight {
        let as_of_lsn = self.lsn_now(level);
        let view = match level {
            Level::At(view, _) => view.clone(),
            _ => self.view.load_full(),
        };
        Sight { as_of_lsn, view, lsn: self.lsn_now(level) }
    }

    async fn wait_for(&self, read: &Read, seen_lsn: u64) -> EngineResult<()> {
        if matches!(read, Read::Strong) && seen_lsn > self.durable.lsn() {
            self.durable.wait(seen_lsn).await?;
        }
        Ok(())
    }

    pub(crate) async fn get(
        &self,
        key: Key,
        read: Read,
    ) -> EngineResult<Option<zenobe_storage::Row>> {
        self.check_open()?;
        let physical = layout::physical_key(self.incarnation(key.space)?, &key)?;
        let found = self.newest_at(&physical, &self.level(&read)?).await?;
        self.wait_for(&read, found.lsn).await?;
        Ok(found.row())
    }

    /// The version of a row that a reader at this level sees, from the cache or elsewhere.
    async fn newest_at(&self, key: &Bytes, level: &Level) -> EngineResult<Found> {
        let digest = self.digest(key);
        match self.cached(digest, key, level) {
            Some(found) => {
                found.value.iter().for_each(|value| prefetch::lines(value));
                Ok(found)
            }
            None => self.read_row(digest, key, level).await,
        }
    }

    /// What the cache has for a reader at this level.
    ///
    /// That a key has no row is cached without since when: a deletion leaves nothing behind once it
    /// is in the tree. So a snapshot, which may be older than the deletion, does not rely on it.
    fn cached(&self, digest: Digest, key: &Bytes, level: &Level) -> Option<Found> {
        let found = self.cache.get(digest, key, self.lsn_now(level))?;
        (found.value.is_some() || !matches!(level, Level::At(..))).then_some(found)
    }

    /// Reads a row that the cache does not have, and puts it there.
    async fn read_row(&self, digest: Digest, key: &Bytes, level: &Level) -> EngineResult<Found> {
        let (found, as_of_lsn) = self.find_row(key, level).await?;
        // For an old snapshot's LSN the latch alone does not say that nothing newer exists.
        if !matches!(level, Level::At(..)) {
            self.keep_row(digest, key, &found, as_of_lsn);
        }
        Ok(found)
    }

    /// Keeps a row that was read as of this LSN, unless it may have been written since.
    fn keep_row(&self, digest: Digest, key: &Bytes, found: &Found, as_of_lsn: u64) {
        if let Some(_latch) = self.latches.try_lock_unwritten(digest, as_of_lsn) {
            self.cache.fill(digest, key, found);
        }
    }

    /// Keeps a head that was read as of this LSN, unless it may have been written since.
    fn keep_head(&self, digest: Digest, head: Head, as_of_lsn: u64) {
        if let Some(_latch) = self.latches.try_lock_unwritten(digest, as_of_lsn) {
            self.heads.put(digest, head);
        }
    }

    /// Looks a row up in memory and on disk, and says as of which LSN.
    async fn find_row(&self, key: &Bytes, level: &Level) -> EngineResult<(Found, u64)> {
        let Sight { view, lsn, as_of_lsn } = self.sight(level);
        let found = match view.in_memory(key, lsn) {
            Some(found) => found,
            None if view.tree.is_empty() => Found { lsn: 0, value: None },
            None => {
                let key = key.clone();
                let bytes = |found: &Found| found.value.as_ref().map_or(0, Bytes::len);
                self.on_disk(bytes, move || view.on_disk(&key)).await?
            }
        };
        Ok((found, as_of_lsn))
    }

    /// The head of the newest version of a key, which is looked up if it is not kept.
    pub(crate) async fn head(&self, digest: Digest, key: &Bytes) -> EngineResult<Head> {
        match self.known_head(digest) {
            Some(head) => Ok(head),
            None => self.find_head(digest, key).await,
        }
    }

    /// The head of the newest version of a key, if it is kept.
    pub(crate) fn known_head(&self, digest: Digest) -> Option<Head> {
        self.heads.get(digest, self.visible.load(Ordering::Acquire))
    }

    /// Looks up a head that is not kept.
    async fn find_head(&self, digest: Digest, key: &Bytes) -> EngineResult<Head> {
        if let Some(found) = self.cache.get(digest, key, self.visible.load(Ordering::Acquire)) {
            return Ok(found.head());
        }
        let (found, as_of_lsn) = self.find_row(key, &Level::Visible).await?;
        let head = found.head();
        self.keep_head(digest, head, as_of_lsn);
        Ok(head)
    }

    pub(crate) async fn heads(
        &self,
        keys: Vec<Key>,
        bytes: usize,
    ) -> EngineResult<Vec<Option<zenobe_storage::Row>>> {
        if bytes > HEAD_BYTES {
            let mut rows = self.multi_get(keys, Read::Latest).await?;
            rows.iter_mut().flatten().for_each(|row| row.value.truncate(bytes));
            return Ok(rows);
        }
        self.check_open()?;
        // One state of the spaces, or a digest might be that of another incarnation's key.
        let spaces = self.spaces.load_full();
        let mut digests = Vec::with_capacity(keys.len());
        // Most are known: their keys take no memory of their own.
        let mut physical = BytesMut::new();
        for key in &keys {
            physical.clear();
            layout::put_key(&mut physical, spaces.get(key.space)?, key)?;
            digests.push(self.digest(&physical));
        }
        let known = self.heads.get_all(&digests, self.visible.load(Ordering::Acquire));
        let mut heads = Vec::with_capacity(keys.len());
        for ((key, digest), known) in keys.iter().zip(digests).zip(known) {
            heads.push(match known {
                Some(head) => head,
                None => {
                    let physical = layout::physical_key(spaces.get(key.space)?, key)?;
                    self.find_head(digest, &physical).await?
                }
            });
        }
        Ok(Head::rows(&heads, bytes))
    }

    pub(crate) async fn multi_get(
        &self,
        keys: Vec<Key>,
        read: Read,
    ) -> EngineResult<Vec<Option<zenobe_storage::Row>>> {
        self.check_open()?;
        let level = self.level(&read)?;
        let mut rows = Vec::with_capacity(keys.len());
        let mut seen_lsn = 0;
        for key in &keys {
            let physical = layout::physical_key(self.incarnation(key.space)?, key)?;
            let found = self.newest_at(&physical, &level).await?;
            seen_lsn = seen_lsn.max(found.lsn);
            rows.push(found.row());
        }
        self.wait_for(&read, seen_lsn).await?;
        Ok(rows)
    }

    pub(crate) async fn range(&self, range: RangeRead, read: Read) -> EngineResult<Page> {
        self.check_open()?;
        let space = self.incarnation(range.space)?;
        let level = self.level(&read)?;
        let key = PartitionKey::new(layout::partition_key(space, &range)?, self.salt);
        if let Some(kept) = self.kept_partition(&key, &level) {
            self.wait_for(&read, kept.newest_lsn).await?;
            return Ok(kept.page(&range));
        }
        let interval = layout::range_interval(&key.prefix, &range);
        let Some(interval) = interval else { return Ok(Page { rows: Vec::new(), end: true }) };
        let seen = self.page(interval, range.direction, range.limit, &level).await?;
        // No sort bytes are below none.
        let from_start = match &range.from {
            Bound::Unbounded => true,
            Bound::Included(sort) => sort.is_empty(),
            Bound::Excluded(_) => false,
        };
        let is_whole = from_start && range.to == Bound::Unbounded && seen.page.end;
        let forward = range.direction == Direction::Forward;
        if is_whole
            && forward
            && !matches!(level, Level::At(..))
            && self.partitions.is_worth_keeping(&key, seen.as_of_lsn)
        {
            self.cache.fill_partition(&key, &seen);
        }
        self.wait_for(&read, seen.newest_lsn).await?;
        Ok(seen.page)
    }

    /// The partition, if it is kept, nothing was written to it since, and a reader at this level may see it.
    fn kept_partition(&self, key: &PartitionKey, level: &Level) -> Option<Arc<Partition>> {
        let readable = |kept: &Arc<Partition>| match level {
            Level::Visible => true,
            Level::Durable => kept.newest_lsn <= self.durable.lsn(),
            Level::At(..) => false,
        };
        let current = |kept: &Arc<Partition>| self.partitions.is_unwritten(key, kept.as_of_lsn);
        let kept = self.cache.partition(key).filter(|kept| current(kept) && readable(kept));
        self.partitions.count(kept.is_some());
        kept
    }

    pub(crate) async fn scan(&self, scan: ScanRead, read: Read) -> EngineResult<Page> {
        self.check_open()?;
        let space = self.incarnation(scan.space)?;
        if let Some(after) = &scan.after {
            layout::check_place(&after.partition, &after.sort)?;
        }
        let interval = layout::scan_interval(space, &scan);
        let Some(interval) = interval else { return Ok(Page { rows: Vec::new(), end: true }) };
        let level = self.level(&read)?;
        let seen = self.page(interval, Direction::Forward, scan.limit, &level).await?;
        self.wait_for(&read, seen.newest_lsn).await?;
        Ok(seen.page)
    }

    async fn page(
        &self,
        interval: Interval,
        direction: Direction,
        limit: PageLimit,
        level: &Level,
    ) -> EngineResult<Seen> {
        let sight = self.sight(level);
        let in_memory = sight.view.tree.is_empty();
        let read = move || collect(&sight, &interval, direction, limit);
        let bytes = |seen: &Seen| seen.page.rows.iter().map(|(_, row)| row.value.len()).sum();
        if in_memory { read() } else { self.on_disk(bytes, read).await }
    }

    /// A snapshot of the durable state.
    pub(crate) fn take_snapshot(&self) -> EngineResult<Arc<dyn Snapshot>> {
        self.check_open()?;
        // No memtable is begun meanwhile, so everything up to the LSN is in the view.
        let _serial = self.view_lock.lock();
        let lsn = self.durable.lsn();
        Ok(Arc::new(LocalSnapshot { view: self.view.load_full(), lsn }))
    }
}

/// A page, and of when it is.
pub(crate) struct Seen {
    pub(crate) page: Page,
    /// It has all commits up to this LSN, and perhaps later ones.
    pub(crate) as_of_lsn: u64,
    /// The last LSN that it depends on, deletions included.
    pub(crate) newest_lsn: u64,
}

/// A page that is being filled.
pub(crate) struct PageBuilder {
    limit: PageLimit,
    bytes: usize,
    page: Page,
}

impl PageBuilder {
    pub(crate) fn new(limit: PageLimit) -> Self {
        let rows = Vec::with_capacity(limit.rows.min(FIRST_ROOM_ROWS));
        Self { limit, bytes: 0, page: Page { rows, end: true } }
    }

    /// Adds a row, or notes that there is one more when the page is full, and returns `false`.
    pub(crate) fn push(&mut self, place: RowPlace, row: Row) -> bool {
        let rows = &mut self.page.rows;
        self.page.end = rows.is_empty()
            || (rows.len() < self.limit.rows.max(1) && self.bytes < self.limit.bytes);
        if self.page.end {
            self.bytes = self.bytes.saturating_add(row.value.len());
            rows.push((place, row));
        }
        self.page.end
    }

    pub(crate) fn finish(self) -> Page {
        self.page
    }
}

/// Reads a page.
fn collect(
    sight: &Sight,
    interval: &Interval,
    direction: Direction,
    limit: PageLimit,
) -> EngineResult<Seen> {
    let mut page = PageBuilder::new(limit);
    let mut newest_lsn = 0;
    for entry in sight.view.range(interval, sight.lsn, direction == Direction::Backward) {
        let (key, found) = entry?;
        newest_lsn = newest_lsn.max(found.lsn);
        let Some(row) = found.row() else { continue };
        if !page.push(layout::place_of(key)?, row) {
            break;
        }
    }
    Ok(Seen { page: page.finish(), as_of_lsn: sight.as_of_lsn, newest_lsn })
}

impl Core {
    pub(crate) fn log_read(
        &self,
        shard: ShardId,
        after: Option<LogCursor>,
        limit: PageLimit,
    ) -> EngineResult<LogPage> {
        self.check_open()?;
        let reached = Position(self.durable.lsn());
        let mut out = Collected { shard, after, limit, records: Vec::new(), bytes: 0 };
        // Whoever has a commit's last record need not look into that commit again.
        let mut from = after.map_or(0, |cursor| {
            cursor.position.0.saturating_add(u64::from(cursor.ordinal == u32::MAX))
        });
        let mut window = Window::default();
        loop {
            window.forget();
            let durable_lsn = self.durable.lsn();
            let route = self.records.lock().route(shard.0, from, STRETCHES_AT_ONCE);
            if route.trimmed >= from {
                // What is forgotten is not given again, even while its log is still there.
                let floor = LogCursor { position: Position(route.trimmed), ordinal: u32::MAX };
                out.after = out.after.max(Some(floor));
            }
            let last_lsn = route.last_lsn.min(durable_lsn);
            let Some(end) = route.points.last().copied() else { return Ok(out.all(reached)) };
            for (index, point) in route.points.iter().enumerate() {
                let until =
                    route.points.get(index + 1).map_or(u64::MAX, |next| next.lsn - 1).min(last_lsn);
                if point.lsn > last_lsn {
                    return Ok(out.all(reached));
                }
                let segment = self.segments.lock().get(&point.segment).cloned();
                // A segment that is gone was trimmed meanwhile.
                let Some(segment) = segment else { continue };
                let finished =
                    match read_stretch((&segment, &mut window), point.offset, until, &mut out) {
                        Ok(finished) => finished,
                        Err(_) if !self.segments.lock().contains_key(&point.segment) => false,
                        Err(error) => return Err(error),
                    };
                if finished {
                    return Ok(LogPage { records: out.records, reached: Position(0) });
                }
            }
            if route.points.len() < STRETCHES_AT_ONCE {
                return Ok(out.all(reached));
            }
            from = end.lsn + 1;
        }
    }
}

struct Collected {
    shard: ShardId,
    after: Option<LogCursor>,
    limit: PageLimit,
    records: Vec<LoggedRecord>,
    bytes: usize,
}

impl Collected {
    /// The page of a reader who has seen all up to `reached`.
    fn all(self, reached: Position) -> LogPage {
        LogPage { records: self.records, reached }
    }

    /// Takes the records of a commit; says whether the page is full.
    fn take(&mut self, lsn: u64, payload: &[u8]) -> Option<bool> {
        let own = frame::records_of(payload, self.shard)?;
        for (ordinal, record) in (0_u32..).zip(own) {
            let cursor = LogCursor { position: Position(lsn), ordinal };
            if self.after.is_some_and(|after| cursor <= after) {
                continue;
            }
            if self.records.len() >= self.limit.rows.max(1)
                || (self.bytes >= self.limit.bytes && self.bytes > 0)
            {
                return Some(true);
            }
            self.bytes += record.len();
            let payload = Bytes::copy_from_slice(record);
            // A stretch may be looked through twice; its records are given once.
            self.after = Some(cursor);
            self.records.push(LoggedRecord { position: cursor.position, ordinal, payload });
        }
        Some(false)
    }
}

/// Looks through the frames from `offset` on, at most a stretch of them, up to the LSN `until`. Says
/// whether the page is full.
fn read_stretch(
    (segment, window): (&Segment, &mut Window),
    offset: u64,
    until: u64,
    out: &mut Collected,
) -> EngineResult<bool> {
    let mut at = offset;
    while at < offset + STRETCH_BYTES {
        let corrupt = || {
            EngineError::Corrupt(format!(
                "log segment {} at offset {at}: unreadable records",
                Segment::name(segment.id)
            ))
        };
        let head = window.at(segment, at, FRAME_HEADER_BYTES).ok_or_else(corrupt)?;
        let header = Header::decode(head, segment.seed).ok_or_else(corrupt)?;
        if header.kind == Kind::End || header.lsn > until {
            return Ok(false);
        }
        let start = at + FRAME_HEADER_BYTES as u64;
        let length = header.payload_bytes as usize;
        let payload = window.at(segment, start, length).ok_or_else(corrupt)?;
        if frame::payload_hash(payload) != header.payload_hash {
            return Err(corrupt());
        }
        if header.kind == Kind::Commit && out.take(header.lsn, payload).ok_or_else(corrupt)? {
            return Ok(true);
        }
        if header.lsn == until {
            return Ok(false);
        }
        at += header.frame_bytes() as u64;
    }
    Ok(false)
}

/// A part of a segment in memory: a call of the system for each stretch, not for each frame.
#[derive(Default)]
struct Window {
    segment: u64,
    start: u64,
    length: usize,
    /// Kept from stretch to stretch, so that it is not zeroed for each.
    buffer: Vec<u8>,
}

impl Window {
    /// The bytes at an offset; `None` if they cannot be read.
    fn at(&mut self, segment: &Segment, offset: u64, length: usize) -> Option<&[u8]> {
        let has = |window: &Self| {
            let from = usize::try_from(offset.checked_sub(window.start)?).ok()?;
            let to = from.checked_add(length)?;
            (window.segment == segment.id && to <= window.length).then_some(from..to)
        };
        if has(self).is_none() {
            let stretch = usize::try_from(STRETCH_BYTES).unwrap_or(0);
            let left = usize::try_from(segment.size_bytes.checked_sub(offset)?).ok()?;
            let wanted = stretch.max(length).min(left);
            if self.buffer.len() < wanted {
                self.buffer.resize(wanted, 0);
            }
            self.length = 0;
            segment.file.read_at(self.buffer.get_mut(..wanted)?, offset).ok()?;
            (self.segment, self.start, self.length) = (segment.id, offset, wanted);
        }
        let part = has(self)?;
        self.buffer.get(part)
    }

    /// Forgets what was read, for it may have been written to since.
    fn forget(&mut self) {
        self.length = 0;
    }
}

#[cfg(test)]
mod tests {
    use zenobe_storage::{Commit, Engine as _, Lane, Mutation, SpaceId};

    use super::*;
    use crate::{LocalEngine, LocalOptions};

    #[tokio::test]
    async fn what_was_read_before_a_commit_is_not_kept_after_it() {
        let directory = tempfile::tempdir().unwrap();
        let engine = LocalEngine::open(LocalOptions::new(directory.path())).unwrap();
        let space = SpaceId(1);
        engine.create_space(space).await.unwrap();
        let key = Key {
            space,
            partition: Bytes::from_static(b"p"),
            lane: Lane::ITEM,
            sort: Bytes::new(),
        };
        let put = |value: &'static str| {
            let mutation = Mutation { key: key.clone(), value: Some(value.into()) };
            engine.commit(Commit { mutations: vec![mutation], ..Commit::default() })
        };
        let core = engine.core.clone();
        put("old").await.unwrap();
        let physical = layout::physical_key(core.incarnation(space).unwrap(), &key).unwrap();
        let digest = core.digest(&physical);
        let (old, as_of_lsn) = core.find_row(&physical, &Level::Visible).await.unwrap();
        // Unwritten since: kept.
        core.keep_row(digest, &physical, &old, as_of_lsn);
        core.keep_head(digest, old.head(), as_of_lsn);
        put("new").await.unwrap();
        for as_of_lsn in [as_of_lsn, 0] {
            core.keep_row(digest, &physical, &old, as_of_lsn);
            core.keep_head(digest, old.head(), as_of_lsn);
        }
        let lsn = core.visible.load(Ordering::Acquire);
        assert!(lsn > old.lsn);
        assert_eq!(core.known_head(digest).map(|head| head.lsn), Some(lsn));
        let kept = core.cache.get(digest, &physical, lsn);
        assert!(kept.is_none_or(|kept| kept.lsn == lsn));
    }
}
