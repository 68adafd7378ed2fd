//! Reads: one row, the rows of a range, the rows of a scan.
//!
//! Strong reads of one partition are serial: they see every commit that is decided. A strong scan asks a
//! quorum, which has every commit that was acknowledged; Cassandra has no serial read over partitions.
//!
//! Pages ask for few rows first, and then for as many as the rows seen so far let expect within the limit:
//! rows may be 100 bytes or 400 KB. An end is only told when Cassandra told it.

use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use scylla::response::PagingState;
use scylla::response::query_result::QueryRowsResult;
use zenobe_storage::{
    BoxFuture, Direction, EngineError, EngineResult, Key, Page, PageLimit, RangeRead, Read, Row,
    RowPlace, ScanRead, SpaceId, Version,
};

use crate::client::{Answer, Bind, BoundRead, Failure, Freshness};
use crate::core::{Core, successor};
use crate::figures::Kind;
use crate::schema::Table;
use crate::token::{hash_of, token, tokens};

/// How many rows the first page asks for, before anything is known of their size.
const FIRST_PAGE_ROWS: usize = 32;
const PAGE_ROWS_MAX: usize = 2000;
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
    Error(EngineError),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(text) => Self::Refused(text),
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

/// How a range asks for its interval: from these sort bytes on, up to but without the end.
fn interval(range: &RangeRead) -> Option<[Bind; 5]> {
    let lane = i16::from(range.lane.0);
    let from = match &range.from {
        Bound::Unbounded => Bytes::new(),
        Bound::Included(sort) => sort.clone(),
        Bound::Excluded(sort) => successor(sort),
    };
    let (to_lane, to) = match &range.to {
        Bound::Unbounded => (lane + 1, Bytes::new()),
        Bound::Included(sort) => (lane, successor(sort)),
        Bound::Excluded(sort) => (lane, sort.clone()),
    };
    ((lane, &from) < (to_lane, &to)).then(|| {
        [
            Bind::Blob(range.partition.clone()),
            Bind::Small(lane),
            Bind::Blob(from),
            Bind::Small(to_lane),
            Bind::Blob(to),
        ]
    })
}

/// What a read of the seam means here, for reads within a partition.
fn freshness(read: &Read) -> EngineResult<Freshness> {
    match read {
        Read::Eventual => Ok(Freshness::One),
        Read::Strong | Read::Latest => Ok(Freshness::Serial),
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
            Err(Stop::Error(error)) => return Err(error),
            Err(Stop::Refused(text)) => text,
        };
        let table = self.table_after_refusal(&table, text).await?;
        match read(table).await {
            Ok(found) => Ok(found),
            Err(Stop::Error(error)) => Err(error),
            Err(Stop::Refused(text)) => Err(EngineError::Unavailable(text)),
        }
    }

    pub(crate) async fn get(&self, key: Key, read: Read) -> EngineResult<Option<Row>> {
        self.check_open()?;
        let freshness = freshness(&read)?;
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
        let freshness = freshness(&read)?;
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
        let Some(values) = interval(range) else { return Ok(()) };
        let statement = match range.direction {
            Direction::Forward => &table.range,
            Direction::Backward => &table.range_backward,
        };
        let read = BoundRead { statement, freshness, values: values.into() };
        self.collect(&read, kind, collector).await
    }

    /// Reads pages until one row more than the limit was seen, or the end.
    async fn collect(
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
        let freshness = match freshness(&read)? {
            Freshness::Serial => Freshness::Quorum,
            other => other,
        };
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
        let mut interval = scan.interval;
        if let Some(after) = &scan.after {
            let hash = hash_of(token(&after.partition));
            if hash > interval.last {
                return Ok(());
            }
            if hash >= interval.first {
                self.collect_rest(table, scan, after, freshness, collector).await?;
                let Some(first) = hash.checked_add(1) else { return Ok(()) };
                interval.first = first;
            }
        }
        let Some((first, last)) = tokens(interval) else { return Ok(()) };
        let lane = i16::from(scan.lane.0);
        let values = vec![Bind::Big(first), Bind::Big(last), Bind::Small(lane)];
        let read = BoundRead { statement: &table.scan, freshness, values };
        self.collect(&read, Kind::Scan, collector).await
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
        let mut range = RangeRead {
            space: scan.space,
            partition: after.partition.clone(),
            lane: scan.lane,
            from: Bound::Excluded(after.sort.clone()),
            to: Bound::Unbounded,
            direction: Direction::Forward,
            limit: scan.limit,
        };
        self.collect_range(table, &range, freshness, Kind::Scan, collector).await?;
        let values = vec![Bind::Big(token(&after.partition))];
        let answer = self.client.run(Kind::Scan, &table.at_token, freshness, values).await?;
        let Some(rows) = answer else { return Ok(()) };
        range.from = Bound::Unbounded;
        for row in rows.rows::<(Bytes,)>().map_err(corrupt)? {
            let (partition,) = row.map_err(corrupt)?;
            if partition > after.partition && !collector.more {
                range.partition = partition;
                self.collect_range(table, &range, freshness, Kind::Scan, collector).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use zenobe_storage::Lane;

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
        let all = interval(&range(Bound::Unbounded, Bound::Unbounded));
        assert_eq!(all, Some([blob("p"), Bind::Small(255), blob(""), Bind::Small(256), blob("")]));
        let some = interval(&range(Bound::Excluded("a"), Bound::Included("b")));
        assert_eq!(
            some,
            Some([blob("p"), Bind::Small(255), blob("a\0"), Bind::Small(255), blob("b\0")])
        );
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
