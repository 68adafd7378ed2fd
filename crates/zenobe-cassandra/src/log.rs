//! The change log over a store that has no log: one order per shard, made by conditional batches.
//!
//! A shard is a partition of the table `log`; its rows are ordered by position, and a position is the version of
//! the commit that appended the records.
//!
//! 1. *Reserve* ([`crate::reserve`]): before the commit, a conditional batch in the shard's partition puts a row at
//!    the commit's version with the records and the name of the commit's partition, if the shard's clock (the row at
//!    position 0) is behind that version. So rows come into a shard in the order of their positions, and a
//!    reader who has seen one will never find a new one before it.
//! 2. *Commit*: the batch of the commit leaves a trace ([`crate::trace`]) in its own partition, with the list of
//!    shards.
//! 3. *Publish*: the committing node marks the rows as done in all shards, then forgets the trace. The call
//!    returns after that. A commit that was refused removes its rows.
//!
//! Commits that go in one batch share the version, and so the position; their records have consecutive ordinals.
//!
//! A reader stops at a row that is neither done nor removed: its commit is under way. If that lasts (see
//! [`CassandraOptions::log_patience`](crate::CassandraOptions)), counted for all rows of a page from when the reader first
//! met one of them, the reader settles it: it moves the clock of
//! the commit's partition past the version, so that the commit cannot happen any more unless it has, and then
//! looks for the trace: found, it marks all rows as done; else, unless someone else has marked this one
//! meanwhile, it removes the row. Traces are forgotten after all rows are marked, so a missing trace and a row
//! still unmarked mean that there was no commit.
//!
//! Rows are removed with a write timestamp after all others: a position is never used again.

use std::collections::HashMap;

use bytes::{Buf as _, Bytes};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use scylla::response::PagingState;
use tokio::time::Instant;
use zenobe_storage::{
    EngineError, EngineResult, LogCursor, LogPage, LoggedRecord, PageLimit, Position, ShardId,
    SpaceId,
};

use crate::client::{Bind, BoundRead, Failure, Freshness};
use crate::core::{Core, number, ordered};
use crate::figures::Kind;
use crate::plan::trace_sort;
use crate::read::next_page_rows;
use crate::schema::{TRACE_LANE, Table, TableName};
use crate::trace::Trace;

/// The format of a row's records.
const FORMAT: u8 = 1;
/// How many commits under way a reader remembers; more make it forget when it met them.
const MET_MAX: usize = 10_000;
/// For how many times its patience it surely remembers one that it does not meet again.
const MET_FOR: u32 = 8;
/// How many commits under way a reader decides at once.
const SETTLED_AT_ONCE: usize = 16;
/// How often marking rows as done is tried before it is left to the readers.
const MARK_ATTEMPTS: u32 = 3;

/// The records of a shard, in order: a format byte, then each with its length before it.
pub(crate) fn encode_records(payloads: &[Bytes]) -> Bytes {
    let mut bytes = vec![FORMAT];
    for payload in payloads {
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(payload);
    }
    bytes.into()
}

fn decode_records(mut bytes: Bytes) -> EngineResult<Vec<Bytes>> {
    let corrupt = || EngineError::Corrupt("a record of the change log".to_owned());
    if bytes.try_get_u8().ok() != Some(FORMAT) {
        return Err(corrupt());
    }
    let mut payloads = Vec::new();
    while bytes.has_remaining() {
        let length = bytes.try_get_u32().map_err(|_| corrupt())?;
        let length = usize::try_from(length).map_err(|_| corrupt())?;
        if length > bytes.remaining() {
            return Err(corrupt());
        }
        payloads.push(bytes.split_to(length));
    }
    Ok(payloads)
}

pub(crate) const fn shard_column(shard: ShardId) -> Bind {
    Bind::Big(ordered(shard.0))
}

/// A row of the log whose commit is under way, or was.
struct Marker {
    shard: ShardId,
    position: i64,
    table: TableName,
    part: Bytes,
}

/// A row of the log as stored: position, space, incarnation, part, records, done.
type StoredRow = (i64, Option<i64>, Option<i64>, Option<Bytes>, Option<Bytes>, Option<bool>);

fn is_done((.., done): &StoredRow) -> bool {
    *done == Some(true)
}

fn corrupt(what: impl std::fmt::Display) -> EngineError {
    EngineError::Corrupt(what.to_string())
}

fn missing() -> EngineError {
    corrupt("a row of the change log lacks a column")
}

impl Marker {
    fn of(shard: ShardId, row: &StoredRow) -> EngineResult<Self> {
        let (position, space, incarnation, part, ..) = row;
        let incarnation = incarnation.ok_or_else(missing)?;
        let space = space.filter(|_| incarnation != 0).map(|space| SpaceId(number(space)));
        let table = TableName { space, incarnation };
        let part = part.clone().ok_or_else(missing)?;
        Ok(Self { shard, position: *position, table, part })
    }
}

/// What a reader of a shard has so far.
struct Collected {
    after: Option<LogCursor>,
    limit: PageLimit,
    bytes: usize,
    records: Vec<LoggedRecord>,
    /// Everything up to here was seen.
    reached: i64,
}

impl Collected {
    fn is_full(&self) -> bool {
        !self.records.is_empty()
            && (self.records.len() >= self.limit.rows || self.bytes >= self.limit.bytes)
    }

    /// Takes a stored row into the page, where `settled` says which of those under way happened. Returns whether the
    /// reader may go past it.
    fn take_row(&mut self, row: StoredRow, settled: &HashMap<i64, bool>) -> EngineResult<bool> {
        let happened = if is_done(&row) { Some(true) } else { settled.get(&row.0).copied() };
        let (position, .., records, _) = row;
        let records = records.ok_or_else(missing)?;
        match happened {
            Some(true) => self.take(position, decode_records(records)?),
            // It was removed.
            Some(false) => {}
            None => return Ok(false),
        }
        Ok(true)
    }

    /// Takes the records of one row, as many as there is room for.
    fn take(&mut self, row: i64, payloads: Vec<Bytes>) {
        let position = Position(row.cast_unsigned());
        for (ordinal, payload) in (0..).zip(payloads) {
            if self.after.is_some_and(|after| LogCursor { position, ordinal } <= after) {
                continue;
            }
            if self.is_full() {
                return;
            }
            self.bytes += payload.len();
            self.records.push(LoggedRecord { position, ordinal, payload });
        }
        self.reached = row;
    }

    /// The page of a reader that stopped where it is.
    fn stopped(self) -> LogPage {
        let reached = Position(self.reached.max(0).cast_unsigned());
        LogPage { records: self.records, reached }
    }

    /// The page of a reader that has seen all rows up to the clock.
    fn at_end(mut self, clock: i64) -> LogPage {
        self.reached = clock;
        self.stopped()
    }
}

impl Core {
    /// Removes the places of a commit that did not happen. Where that fails, the readers do it.
    pub(crate) async fn void_records(&self, shards: impl Iterator<Item = ShardId>, version: i64) {
        for shard in shards {
            if let Err(failure) = self.void_one(shard, version).await {
                tracing::debug!(?failure, "a place in the change log is left to its readers");
            }
        }
    }

    async fn void_one(&self, shard: ShardId, version: i64) -> Result<(), Failure> {
        let values =
            vec![Bind::Big(self.timestamp_after_all()), shard_column(shard), Bind::Big(version)];
        let voiding = self.client.run(Kind::LogMark, &self.own.log.void, Freshness::Quorum, values);
        voiding.await.map(|_| ())
    }

    /// Marks a commit's rows as done. Returns whether that is certain for all of them.
    pub(crate) async fn mark_done(
        &self,
        shards: impl Iterator<Item = ShardId>,
        version: i64,
    ) -> bool {
        let mut certain = true;
        for shard in shards {
            let mut attempt = 0;
            let marked = loop {
                let values = vec![shard_column(shard), Bind::Big(version)];
                let statement = &self.own.log.done;
                match self.client.run(Kind::LogMark, statement, Freshness::Quorum, values).await {
                    Ok(_) => break true,
                    Err(_) if attempt < MARK_ATTEMPTS => attempt += 1,
                    Err(_) => break false,
                }
            };
            certain &= marked;
        }
        certain
    }

    /// Whether a row is done, not yet, or not there.
    pub(crate) async fn marker_state(
        &self,
        shard: ShardId,
        version: i64,
    ) -> Result<Option<bool>, Failure> {
        let values = vec![shard_column(shard), Bind::Big(version)];
        let state = &self.own.log.state;
        let answer = self.client.run(Kind::Settle, state, Freshness::Serial, values).await?;
        let Some(rows) = answer else { return Ok(None) };
        let row = rows
            .maybe_first_row::<(Option<Bytes>, Option<bool>)>()
            .map_err(|error| Failure::Unavailable(error.to_string()))?;
        Ok(row.and_then(|(records, done)| records.map(|_| done == Some(true))))
    }

    pub(crate) async fn log_read(
        &self,
        shard: ShardId,
        after: Option<LogCursor>,
        limit: PageLimit,
    ) -> EngineResult<LogPage> {
        self.check_open()?;
        let mut page = Collected { after, limit, bytes: 0, records: Vec::new(), reached: 0 };
        let first = after.map_or(1, |after| after.position.0.max(1));
        // No position that was ever given is larger.
        let Ok(first) = i64::try_from(first) else { return Ok(LogPage::default()) };
        // Rows that come later are behind the clock as it is now; those up to it are decided, so that every quorum
        // knows them. Of those after it one may be seen before one that is in front of it.
        let clock = self.shard_clock(shard).await?.unwrap_or(0);
        let read = BoundRead {
            statement: &self.own.log.page,
            freshness: Freshness::Quorum,
            may_be_given_up: false,
            values: vec![shard_column(shard), Bind::Big(first), Bind::Big(clock)],
        };
        let mut state = PagingState::start();
        loop {
            let rows = next_page_rows(limit, page.records.len(), page.bytes);
            let (rows, next) = self
                .client
                .page(Kind::LogRead, &read, rows, state)
                .await
                .map_err(Failure::error)?;
            let rows = rows.rows::<StoredRow>().map_err(corrupt)?;
            let rows = rows.collect::<Result<Vec<_>, _>>().map_err(corrupt)?;
            let settled = self.settle_lasting(shard, &rows).await?;
            for row in rows {
                if !page.take_row(row, &settled)? || page.is_full() {
                    return Ok(page.stopped());
                }
            }
            match next.into_paging_control_flow() {
                std::ops::ControlFlow::Continue(more) => state = more,
                std::ops::ControlFlow::Break(()) => return Ok(page.at_end(clock)),
            }
        }
    }

    /// Decides what became of the commits that a reader stops at and has known for longer than is usual, up to the
    /// first that it has not. Returns by position whether each happened.
    async fn settle_lasting(
        &self,
        shard: ShardId,
        rows: &[StoredRow],
    ) -> EngineResult<HashMap<i64, bool>> {
        let lasting = self.lasting(shard, rows).into_iter().map(|row| Marker::of(shard, row));
        let lasting = lasting.collect::<EngineResult<Vec<_>>>()?;
        stream::iter(lasting)
            .map(async |marker: Marker| Ok((marker.position, self.settle_marker(&marker).await?)))
            .buffer_unordered(SETTLED_AT_ONCE)
            .try_collect()
            .await
    }

    /// The rows that have been under way since this process first met them for longer than is usual, up to the first
    /// that has not. It meets all rows of a page at once: what a dead process left is waited for together.
    fn lasting<'a>(&self, shard: ShardId, rows: &'a [StoredRow]) -> Vec<&'a StoredRow> {
        let patience = self.options.log_patience;
        let under_way: Vec<_> = rows.iter().filter(|row| !is_done(row)).collect();
        if under_way.is_empty() {
            return under_way;
        }
        let now = Instant::now();
        let mut met = self.met_under_way.lock();
        if met.len() + under_way.len() > MET_MAX {
            // Those that were published since are never looked at again.
            met.retain(|_, first| now.duration_since(*first) < patience * MET_FOR);
        }
        if met.len() + under_way.len() > MET_MAX {
            met.clear();
        }
        let lasted: Vec<bool> = under_way
            .iter()
            .map(|(position, ..)| {
                let first = *met.entry((shard, *position)).or_insert(now);
                now.duration_since(first) >= patience
            })
            .collect();
        let lasting = under_way.into_iter().zip(lasted).take_while(|(_, lasted)| *lasted);
        lasting.map(|(row, _)| row).collect()
    }

    /// Decides what became of a commit that somebody left in the middle. Returns whether it happened.
    async fn settle_marker(&self, marker: &Marker) -> EngineResult<bool> {
        let Marker { shard, position, table, part } = marker;
        let settled = match self.table_named(*table).await? {
            Some(found) => match self.settle_in(&found, *shard, *position, part).await {
                Ok(happened) => Some(happened),
                // The table that this process knows may be gone.
                Err(error) => match self.table_of(*table).await? {
                    None => None,
                    Some(_) => return Err(error),
                },
            },
            None => None,
        };
        let happened = match settled {
            Some(happened) => happened,
            None => {
                // The space was dropped, its traces with it.
                let state = self.marker_state(*shard, *position).await;
                state.map_err(Failure::error)? == Some(true)
            }
        };
        if !happened {
            self.void_one(*shard, *position).await.map_err(Failure::error)?;
        }
        self.met_under_way.lock().remove(&(*shard, *position));
        Ok(happened)
    }

    async fn settle_in(
        &self,
        table: &Table,
        shard: ShardId,
        position: i64,
        part: &Bytes,
    ) -> EngineResult<bool> {
        self.pass(table, part, position, self.deadline()).await?;
        let values = vec![
            Bind::Blob(part.clone()),
            Bind::Small(TRACE_LANE),
            Bind::Blob(trace_sort(position)),
        ];
        let answer = self.client.run(Kind::Settle, &table.get, Freshness::Serial, values).await;
        let trace = match answer.map_err(Failure::error)? {
            Some(rows) => rows
                .maybe_first_row::<(Option<i64>, Option<Bytes>)>()
                .map_err(|error| EngineError::Corrupt(error.to_string()))?,
            None => None,
        };
        let Some((_, trace)) = trace else {
            let state = self.marker_state(shard, position).await;
            return Ok(state.map_err(Failure::error)? == Some(true));
        };
        let trace = Trace::decode(trace.unwrap_or_default())?;
        self.finish_trace(table, part, position, &trace).await?;
        Ok(true)
    }

    pub(crate) async fn log_trim(&self, shard: ShardId, up_to: Position) -> EngineResult<()> {
        self.check_open()?;
        let Some(clock) = self.shard_clock(shard).await? else { return Ok(()) };
        // What is appended later is never forgotten, whatever the caller says.
        let last = i64::try_from(up_to.0).unwrap_or(i64::MAX).min(clock);
        let values =
            vec![Bind::Big(self.timestamp_after_all()), shard_column(shard), Bind::Big(last)];
        let trimming =
            self.client.run(Kind::LogMark, &self.own.log.trim, Freshness::Quorum, values);
        trimming.await.map(|_| ()).map_err(Failure::error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payloads() -> Vec<Bytes> {
        [b"a" as &[u8], b"", b"bc"].map(Bytes::from_static).into()
    }

    #[test]
    fn records_read_as_written() {
        assert_eq!(decode_records(encode_records(&payloads())), Ok(payloads()));
        assert_eq!(decode_records(encode_records(&[])), Ok(Vec::new()));
    }

    #[test]
    fn damaged_records_are_corrupt() {
        let good = encode_records(&[Bytes::from_static(b"abc")]);
        for length in [0, 2, 4, good.len() - 1] {
            assert!(decode_records(good.slice(..length)).is_err(), "{length}");
        }
        let mut other = good.to_vec();
        other[0] = 9;
        assert!(decode_records(other.into()).is_err());
    }
}
