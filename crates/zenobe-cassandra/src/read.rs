//! Reads: one row, the rows of a range, the rows of a scan.
//!
//! A strong read of one row is serial: it sees every commit that is decided. A strong page, of a range or a scan,
//! asks a quorum, which has every commit that was acknowledged: Cassandra has no serial read over partitions, and
//! one with a limit may fail for good ([`Freshness::Serial`]). What such a page saw, the next one sees too, for
//! Cassandra repairs what it finds to differ before it answers.
//!
//! Pages ask for few rows first, and then for as many as the rows seen so far let expect within the limit:
//! rows may be 100 bytes or 400 KB. An end is only told when Cassandra told it. What Cassandra gives up, or does not answer in
//! time, is read in pieces ([`crate::pieces`]), each of which has the time of a call.

use std::collections::BTreeSet;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use scylla::response::PagingState;
use scylla::response::query_result::QueryRowsResult;
use tokio::time::Instant;
use zenobe_storage::{
    BoxFuture, Direction, EngineError, EngineResult, HashInterval, Key, Lane, Page, PageLimit,
    RangeRead, Read, Row, RowPlace, ScanRead, SortBound, SpaceId, Version,
};

use crate::client::{Answer, Bind, BoundRead, Failure, Freshness};
use crate::core::{Core, successor};
use crate::figures::Kind;
use crate::pieces::{Interval, Pace, Pieces, first_hashes};
use crate::schema::Table;
use crate::token::{hash_of, token, token_of, tokens};

/// How many rows the first page asks for, before anything is known of their size.
const FIRST_PAGE_ROWS: usize = 32;
/// How many partitions of one token are asked for at once; there is hardly ever more than one.
const PARTITIONS_PAGE_ROWS: i32 = 10;
const PAGE_ROWS_MAX: usize = 2000;
/// A piece is slow that took this part of a page's patience: one of four times its size would come late.
const SLOW_PART: u32 = 4;
/// How many rows of one `multi_get` are read at once.
const GETS_AT_ONCE: usize = 32;

/// How many rows to ask for next: one more than the limit takes, to learn whether there are more.
pub(crate) fn next_page_rows(limit: PageLimit, rows: usize, bytes: usize) -> i32 {
    let by_rows = limit.rows.saturating_sub(rows).saturating_add(1);
    let by_bytes = match bytes.checked_div(rows) {
        None => FIRST_PAGE_ROWS,
        Some(average) => limit.bytes.saturating_sub(bytes) / average.max(1) + 1,
    };
    i32::try_from(by_rows.min(by_bytes).min(PAGE_ROWS_MAX)).unwrap_or(i32::MAX)
}

/// Why a read on one table gave up.
enum Stop {
    Refused(String),
    /// A smaller piece may be answered.
    GivenUp(String),
    /// A smaller piece may be answered in time.
    TimedOut(String),
    Error(EngineError),
}

impl Stop {
    /// What the caller is told, where there is nothing else to try.
    fn error(self) -> EngineError {
        match self {
            Self::Refused(text) | Self::GivenUp(text) | Self::TimedOut(text) => {
                EngineError::Unavailable(text)
            }
            Self::Error(error) => error,
        }
    }

    /// Whether a smaller piece is worth trying; the pieces are smaller then.
    fn divides(&self, pieces: &mut Pieces) -> bool {
        match self {
            Self::GivenUp(_) => pieces.refused(),
            Self::TimedOut(_) => pieces.timed_out(),
            Self::Refused(_) | Self::Error(_) => false,
        }
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(text) => Self::Refused(text),
            Failure::GivenUp(text) => Self::GivenUp(text),
            Failure::TimedOut(text) => Self::TimedOut(text),
            other => Self::Error(other.error()),
        }
    }
}

impl From<EngineError> for Stop {
    fn from(error: EngineError) -> Self {
        Self::Error(error)
    }
}

fn corrupt(what: impl std::fmt::Display) -> EngineError {
    EngineError::Corrupt(what.to_string())
}

fn row_of(version: Option<i64>, value: Option<Bytes>) -> EngineResult<Row> {
    let version = version.and_then(|version| u64::try_from(version).ok());
    match (version, value) {
        (Some(version), Some(value)) => Ok(Row { version: Version(version), value }),
        _ => Err(corrupt("a row without a version or a value")),
    }
}

/// Rows for a page of the seam, and whether one more was seen.
struct Collector {
    limit: PageLimit,
    bytes: usize,
    page: Page,
    more: bool,
}

impl Collector {
    fn new(limit: PageLimit) -> Self {
        Self { limit, bytes: 0, page: Page::default(), more: false }
    }

    fn is_full(&self) -> bool {
        let rows = self.page.rows.len();
        rows > 0 && (rows >= self.limit.rows || self.bytes >= self.limit.bytes)
    }

    /// Where the last of the rows is that came after the first so many.
    fn last_since(&self, before: usize) -> Option<&RowPlace> {
        self.page.rows.iter().skip(before).next_back().map(|(place, _)| place)
    }

    fn take(&mut self, place: RowPlace, row: Row) {
        if self.is_full() {
            self.more = true;
            return;
        }
        self.bytes += row.value.len();
        self.page.rows.push((place, row));
    }

    fn take_all(&mut self, rows: &QueryRowsResult) -> EngineResult<()> {
        let rows = rows.rows::<(Bytes, Bytes, Option<i64>, Option<Bytes>)>().map_err(corrupt)?;
        for row in rows {
            let (partition, sort, version, value) = row.map_err(corrupt)?;
            self.take(RowPlace { partition, sort }, row_of(version, value)?);
        }
        Ok(())
    }

    fn finish(mut self) -> Page {
        self.page.end = !self.more;
        self.page
    }
}

/// The sort bytes that a range asks for, if there can be any.
fn interval(range: &RangeRead) -> Option<Interval> {
    let from = match &range.from {
        Bound::Unbounded => Bytes::new(),
        Bound::Included(sort) => sort.clone(),
        Bound::Excluded(sort) => successor(sort),
    };
    let to = match &range.to {
        Bound::Unbounded => None,
        Bound::Included(sort) => Some(successor(sort)),
        Bound::Excluded(sort) => Some(sort.clone()),
    };
    let interval = Interval { from, to };
    (!interval.is_empty()).then_some(interval)
}

/// An interval of a lane as statements ask for it: from this lane and these sort bytes on, up to but without others.
fn bounds(lane: Lane, interval: Interval) -> [Bind; 4] {
    let lane = i16::from(lane.0);
    let (to_lane, to) = match interval.to {
        Some(to) => (lane, to),
        None => (lane + 1, Bytes::new()),
    };
    [Bind::Small(lane), Bind::Blob(interval.from), Bind::Small(to_lane), Bind::Blob(to)]
}

/// What a read of the seam means here: `strong` is for those that are not eventual.
fn freshness(read: &Read, strong: Freshness) -> EngineResult<Freshness> {
    match read {
        Read::Eventual => Ok(Freshness::One),
        Read::Strong | Read::Latest => Ok(strong),
        Read::Snapshot(_) => Err(EngineError::Unsupported("snapshot reads")),
    }
}

impl Core {
    /// Runs a read on a space's table, and once more where the server refuses it and there is another table.
    async fn in_space<'a, T>(
        &'a self,
        space: SpaceId,
        read: impl Fn(Arc<Table>) -> BoxFuture<'a, Result<T, Stop>> + Send,
    ) -> EngineResult<T> {
        let table = self.table(space).await?;
        let text = match read(Arc::clone(&table)).await {
            Ok(found) => return Ok(found),
            Err(Stop::Refused(text)) => text,
            Err(stop) => return Err(stop.error()),
        };
        let table = self.table_after_refusal(&table, text).await?;
        read(table).await.map_err(Stop::error)
    }

    pub(crate) async fn get(&self, key: Key, read: Read) -> EngineResult<Option<Row>> {
        self.check_open()?;
        let freshness = freshness(&read, Freshness::Serial)?;
        let key = &key;
        self.in_space(key.space, |table| {
            let key = key.clone();
            Box::pin(async move { self.get_in(&table, &key, freshness).await })
        })
        .await
    }

    async fn get_in(
        &self,
        table: &Table,
        key: &Key,
        freshness: Freshness,
    ) -> Result<Option<Row>, Stop> {
        let values = vec![
            Bind::Blob(key.partition.clone()),
            Bind::Small(i16::from(key.lane.0)),
            Bind::Blob(key.sort.clone()),
        ];
        let answer: Answer = self.client.run(Kind::Get, &table.get, freshness, values).await?;
        let Some(rows) = answer else { return Ok(None) };
        let row = rows.maybe_first_row::<(Option<i64>, Option<Bytes>)>().map_err(corrupt)?;
        Ok(row.map(|(version, value)| row_of(version, value)).transpose()?)
    }

    pub(crate) async fn multi_get(
        &self,
        keys: Vec<Key>,
        read: Read,
    ) -> EngineResult<Vec<Option<Row>>> {
        self.check_open()?;
        let mut found = Vec::with_capacity(keys.len());
        for keys in keys.chunks(GETS_AT_ONCE) {
            let gets: Vec<_> = keys.iter().map(|key| self.get(key.clone(), read.clone())).collect();
            for row in join_all(gets).await {
                found.push(row?);
            }
        }
        Ok(found)
    }

    pub(crate) async fn range(&self, range: RangeRead, read: Read) -> EngineResult<Page> {
        self.check_open()?;
        let freshness = freshness(&read, Freshness::Quorum)?;
        let range = &range;
        self.in_space(range.space, |table| {
            let range = range.clone();
            Box::pin(async move {
                let mut collector = Collector::new(range.limit);
                self.collect_range(&table, &range, freshness, Kind::Range, &mut collector).await?;
                Ok(collector.finish())
            })
        })
        .await
    }

    async fn collect_range(
        &self,
        table: &Table,
        range: &RangeRead,
        freshness: Freshness,
        kind: Kind,
        collector: &mut Collector,
    ) -> Result<(), Stop> {
        let direction = range.direction;
        let statement = match direction {
            Direction::Forward => &table.range,
            Direction::Backward => &table.range_backward,
        };
        let (mut rest, mut pieces) = (interval(range), Pieces::default());
        while let Some(interval) = rest.filter(|_| !collector.more) {
            let piece = interval.first(pieces.scale(), direction);
            let mut values = vec![Bind::Blob(range.partition.clone())];
            values.extend(bounds(range.lane, piece.clone()));
            let before = collector.page.rows.len();
            let may_be_given_up = pieces.is_begun();
            let read = BoundRead { statement, freshness, may_be_given_up, values };
            let began = Instant::now();
            rest = match self.collect(&read, kind, collector).await {
                Ok(()) => {
                    pieces.read(self.pace(began));
                    interval.after(&piece, direction)
                }
                Err(stop) if stop.divides(&mut pieces) => match collector.last_since(before) {
                    Some(place) => interval.after_row(&place.sort, direction),
                    None => Some(interval),
                },
                Err(stop) => return Err(stop),
            };
        }
        Ok(())
    }

    /// Reads pages until one row more than the limit was seen, or the end, in the time of a call.
    async fn collect(
        &self,
        read: &BoundRead<'_>,
        kind: Kind,
        collector: &mut Collector,
    ) -> Result<(), Stop> {
        let reading = Box::pin(self.collect_pages(read, kind, collector));
        let in_time = tokio::time::timeout(self.options.call_budget, reading).await;
        in_time.unwrap_or_else(|_| Err(Stop::TimedOut("the call took too long".to_owned())))
    }

    /// How long a piece took, seen from what one page may take.
    fn pace(&self, began: Instant) -> Pace {
        let is_slow = began.elapsed() >= self.options.page_patience / SLOW_PART;
        if is_slow { Pace::Slow } else { Pace::Quick }
    }

    async fn collect_pages(
        &self,
        read: &BoundRead<'_>,
        kind: Kind,
        collector: &mut Collector,
    ) -> Result<(), Stop> {
        let mut state = PagingState::start();
        while !collector.more {
            let rows = next_page_rows(collector.limit, collector.page.rows.len(), collector.bytes);
            let (rows, next) = Box::pin(self.client.page(kind, read, rows, state)).await?;
            collector.take_all(&rows)?;
            match next.into_paging_control_flow() {
                ControlFlow::Continue(more) => state = more,
                ControlFlow::Break(()) => break,
            }
        }
        Ok(())
    }

    pub(crate) async fn scan(&self, scan: ScanRead, read: Read) -> EngineResult<Page> {
        self.check_open()?;
        let freshness = freshness(&read, Freshness::Quorum)?;
        let scan = &scan;
        self.in_space(scan.space, |table| {
            let scan = scan.clone();
            Box::pin(async move {
                let mut collector = Collector::new(scan.limit);
                self.collect_scan(&table, &scan, freshness, &mut collector).await?;
                Ok(collector.finish())
            })
        })
        .await
    }

    async fn collect_scan(
        &self,
        table: &Table,
        scan: &ScanRead,
        freshness: Freshness,
        collector: &mut Collector,
    ) -> Result<(), Stop> {
        let (mut after, mut pieces) = (scan.after.clone(), Pieces::default());
        let mut rest = Some(scan.interval);
        while let Some(interval) = rest.filter(|_| !collector.more) {
            if let Some(after) = after.take() {
                let hash = hash_of(token(&after.partition));
                if hash >= interval.first {
                    if hash <= interval.last {
                        self.collect_rest(table, scan, &after, freshness, collector).await?;
                    }
                    rest = after_hash(interval, hash);
                    continue;
                }
            }
            let piece = first_hashes(interval, pieces.scale());
            let before = collector.page.rows.len();
            let Some((first, last)) = tokens(piece) else {
                rest = after_hash(interval, piece.last);
                continue;
            };
            let lane = Bind::Small(i16::from(scan.lane.0));
            let values = vec![Bind::Big(first), Bind::Big(last), lane];
            let (statement, may_be_given_up) = (&table.scan, pieces.is_begun());
            let read = BoundRead { statement, freshness, may_be_given_up, values };
            let began = Instant::now();
            match self.collect(&read, Kind::Scan, collector).await {
                Ok(()) => pieces.read(self.pace(began)),
                Err(stop) if stop.divides(&mut pieces) => {
                    after = collector.last_since(before).cloned();
                    if after.is_some() || piece.first < piece.last {
                        continue;
                    }
                    self.collect_token(table, scan, piece.first, freshness, collector).await?;
                }
                Err(stop) => return Err(stop),
            }
            rest = after_hash(interval, piece.last);
        }
        Ok(())
    }

    /// What follows a row within its token: the rest of its partition, and the partitions with the same token
    /// that Cassandra orders after it, by their bytes. There hardly ever are any.
    async fn collect_rest(
        &self,
        table: &Table,
        scan: &ScanRead,
        after: &RowPlace,
        freshness: Freshness,
        collector: &mut Collector,
    ) -> Result<(), Stop> {
        let from = Bound::Excluded(after.sort.clone());
        let partition = after.partition.clone();
        self.collect_partition(table, scan, partition, from, freshness, collector).await?;
        let others =
            self.partitions_at(table, scan.lane, token(&after.partition), freshness).await?;
        for partition in others.into_iter().filter(|other| *other > after.partition) {
            let from = Bound::Unbounded;
            self.collect_partition(table, scan, partition, from, freshness, collector).await?;
        }
        Ok(())
    }

    /// The partitions of one hash, each by itself.
    async fn collect_token(
        &self,
        table: &Table,
        scan: &ScanRead,
        hash: u64,
        freshness: Freshness,
        collector: &mut Collector,
    ) -> Result<(), Stop> {
        let token = token_of(hash);
        for partition in self.partitions_at(table, scan.lane, token, freshness).await? {
            let from = Bound::Unbounded;
            self.collect_partition(table, scan, partition, from, freshness, collector).await?;
        }
        Ok(())
    }

    async fn collect_partition(
        &self,
        table: &Table,
        scan: &ScanRead,
        partition: Bytes,
        from: SortBound,
        freshness: Freshness,
        collector: &mut Collector,
    ) -> Result<(), Stop> {
        let range = RangeRead {
            space: scan.space,
            partition,
            lane: scan.lane,
            from,
            to: Bound::Unbounded,
            direction: Direction::Forward,
            limit: scan.limit,
        };
        self.collect_range(table, &range, freshness, Kind::Scan, collector).await
    }

    /// The partitions with a token, in Cassandra's order: all that have rows in the lane, perhaps others.
    async fn partitions_at(
        &self,
        table: &Table,
        lane: Lane,
        token: i64,
        freshness: Freshness,
    ) -> Result<BTreeSet<Bytes>, Stop> {
        let mut found = BTreeSet::new();
        let values = vec![Bind::Big(token)];
        let answer = self.client.run(Kind::Scan, &table.at_token, freshness, values).await;
        if !matches!(answer, Err(Failure::GivenUp(_) | Failure::TimedOut(_))) {
            let rows = answer?;
            rows.map_or(Ok(()), |rows| take_partitions(&rows, &mut found))?;
            return Ok(found);
        }
        let (mut rest, mut pieces) =
            (Some(Interval { from: Bytes::new(), to: None }), Pieces::default());
        while let Some(interval) = rest {
            let piece = interval.first(pieces.scale(), Direction::Forward);
            let mut values = vec![Bind::Big(token)];
            values.extend(bounds(lane, piece.clone()));
            let statement = &table.at_token_within;
            let read = BoundRead { statement, freshness, may_be_given_up: true, values };
            let began = Instant::now();
            rest = match self.find_partitions(&read, &mut found).await {
                Ok(()) => {
                    pieces.read(self.pace(began));
                    interval.after(&piece, Direction::Forward)
                }
                Err(stop) if stop.divides(&mut pieces) => Some(interval),
                Err(stop) => return Err(stop),
            };
        }
        Ok(found)
    }

    async fn find_partitions(
        &self,
        read: &BoundRead<'_>,
        found: &mut BTreeSet<Bytes>,
    ) -> Result<(), Stop> {
        let mut state = PagingState::start();
        loop {
            let page = self.client.page(Kind::Scan, read, PARTITIONS_PAGE_ROWS, state);
            let (rows, next) = Box::pin(page).await?;
            take_partitions(&rows, found)?;
            match next.into_paging_control_flow() {
                ControlFlow::Continue(more) => state = more,
                ControlFlow::Break(()) => return Ok(()),
            }
        }
    }
}

fn take_partitions(rows: &QueryRowsResult, found: &mut BTreeSet<Bytes>) -> EngineResult<()> {
    for row in rows.rows::<(Bytes,)>().map_err(corrupt)? {
        let (partition,) = row.map_err(corrupt)?;
        found.insert(partition);
    }
    Ok(())
}

/// What of an interval is after a hash.
fn after_hash(interval: HashInterval, hash: u64) -> Option<HashInterval> {
    let first = hash.checked_add(1)?;
    (first <= interval.last).then_some(HashInterval { first, ..interval })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_asks_for_what_the_limit_still_takes() {
        let limit = |rows, bytes| PageLimit { rows, bytes };
        assert_eq!(next_page_rows(limit(1, 1 << 20), 0, 0), 2);
        assert_eq!(next_page_rows(limit(usize::MAX, 1 << 20), 0, 0), 32);
        assert_eq!(next_page_rows(limit(usize::MAX, 1 << 20), 32, 32 << 10), 993);
        assert_eq!(next_page_rows(limit(usize::MAX, usize::MAX), 32, 32), 2000);
        assert_eq!(next_page_rows(limit(100, 1 << 20), 98, 980), 3);
        assert_eq!(next_page_rows(limit(5, 0), 1, 0), 1);
        assert_eq!(next_page_rows(limit(100, 1000), 10, 5000), 1);
    }

    fn range(from: Bound<&'static str>, to: Bound<&'static str>) -> RangeRead {
        let bytes = |sort: &'static str| Bytes::from_static(sort.as_bytes());
        RangeRead {
            space: SpaceId(1),
            partition: bytes("p"),
            lane: Lane(255),
            from: from.map(bytes),
            to: to.map(bytes),
            direction: Direction::Forward,
            limit: PageLimit { rows: 1, bytes: 1 },
        }
    }

    #[test]
    fn an_interval_is_asked_for_by_its_first_key_and_the_first_one_after() {
        let blob = |sort: &'static str| Bind::Blob(Bytes::from_static(sort.as_bytes()));
        let asked = |from, to| bounds(Lane(255), interval(&range(from, to)).unwrap());
        let all = asked(Bound::Unbounded, Bound::Unbounded);
        assert_eq!(all, [Bind::Small(255), blob(""), Bind::Small(256), blob("")]);
        let some = asked(Bound::Excluded("a"), Bound::Included("b"));
        assert_eq!(some, [Bind::Small(255), blob("a\0"), Bind::Small(255), blob("b\0")]);
        let empty = [
            range(Bound::Excluded("a"), Bound::Included("a")),
            range(Bound::Included("a"), Bound::Excluded("a")),
            range(Bound::Included("b"), Bound::Included("a")),
            range(Bound::Unbounded, Bound::Excluded("")),
        ];
        assert!(empty.iter().all(|range| interval(range).is_none()));
        assert!(interval(&range(Bound::Included("a"), Bound::Included("a"))).is_some());
    }
}
