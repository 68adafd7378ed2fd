//! Reading a shard: where a reader starts, and a page of records.

use std::sync::atomic::Ordering;

use zenobe_model::operation::{GetRecordsResponse, ShardIteratorType, StreamRecord};
use zenobe_model::{EncodedItem, ErrorCode, ServiceError};
use zenobe_storage::{EngineError, LogCursor, LogPage, LoggedRecord, PageLimit};

use super::position::{self, Iterator};
use super::{is_by_time_to_live, record};
use crate::catalog::{Shard, Stream, mix};
use crate::{Inner, engine_failure};

/// How long a shard iterator can be used.
const ITERATOR_LIFE_MS: u64 = 15 * 60_000;
/// A page ends before the record with which it would have more bytes.
const PAGE_BYTES_MAX: usize = 1 << 20;
/// How many records are looked at together for one that is young enough.
const SEARCH_RECORDS: usize = 1000;

/// Where a reader starts, as GetShardIterator is told.
#[derive(Clone, Debug)]
pub(crate) struct Start<'a> {
    pub(crate) kind: ShardIteratorType,
    pub(crate) sequence_number: Option<&'a str>,
    pub(crate) timestamp_ms: Option<i64>,
}

fn invalid(what: &str) -> ServiceError {
    ServiceError::validation(format!("One or more parameter values were invalid: {what}"))
}

fn trimmed() -> ServiceError {
    ServiceError::new(
        ErrorCode::TrimmedDataAccess,
        "The operation attempted to read past the oldest stream record in a shard.",
    )
}

/// The error for a shard that does not exist (any more).
pub(crate) fn no_shard() -> ServiceError {
    ServiceError::new(
        ErrorCode::ResourceNotFound,
        "Requested resource not found: Shard does not exist",
    )
}

/// An iterator that starts where it is told.
pub(crate) async fn iterator(
    db: &Inner,
    arn: &str,
    shard: &Shard,
    start: Start<'_>,
) -> Result<String, ServiceError> {
    let cursor = cursor(db, shard, &start).await?;
    let issued_ms = db.environment.now_ms();
    Ok(Iterator { arn, log: shard.name.log, cursor, issued_ms }.text())
}

/// The last place that a reader leaves behind who starts like this.
async fn cursor(db: &Inner, shard: &Shard, start: &Start<'_>) -> Result<LogCursor, ServiceError> {
    use ShardIteratorType as Kind;
    let by_number = matches!(start.kind, Kind::AtSequenceNumber | Kind::AfterSequenceNumber);
    if start.sequence_number.is_some() && !by_number {
        return Err(invalid("SequenceNumber should not be passed for this iterator type"));
    }
    if start.timestamp_ms.is_some() && start.kind != Kind::AtTimestamp {
        return Err(invalid("Timestamp should not be passed for this iterator type"));
    }
    match start.kind {
        Kind::TrimHorizon => Ok(oldest(db, shard)),
        Kind::Latest => {
            let end = db.engine.log_end(shard.name.shard()).await;
            let end = end.map_err(|error| engine_failure(&error))?;
            Ok(position::end_of(end.0.max(shard.start)))
        }
        Kind::AtSequenceNumber => place(db, shard, start, position::before),
        Kind::AfterSequenceNumber => place(db, shard, start, |at| at),
        Kind::AtTimestamp => {
            let given = start.timestamp_ms.ok_or_else(|| invalid("Invalid Timestamp"))?;
            let wanted_ms = u64::try_from(given).unwrap_or(0);
            if wanted_ms > db.environment.now_ms() {
                return Err(invalid("Timestamp cannot be in the future"));
            }
            before_time(db, shard, wanted_ms).await
        }
    }
}

/// The place before the oldest record that is kept.
fn oldest(db: &Inner, shard: &Shard) -> LogCursor {
    position::end_of(shard.start.max(db.catalog.streams.horizon()))
}

/// What a sequence number's reader leaves behind, if the shard has that number.
fn place(
    db: &Inner,
    shard: &Shard,
    start: &Start<'_>,
    left_behind: impl FnOnce(LogCursor) -> LogCursor,
) -> Result<LogCursor, ServiceError> {
    let place = start
        .sequence_number
        .and_then(position::parse_sequence_number)
        .ok_or_else(|| invalid("Invalid SequenceNumber"))?;
    let ended = shard.end.is_some_and(|end| place.position.0 > end.position);
    if place.position.0 <= shard.start || ended {
        return Err(ServiceError::validation("Invalid SequenceNumber for the shard"));
    }
    if place.position.0 > db.catalog.streams.horizon() {
        return Ok(left_behind(place));
    }
    // A shard's first number can be named for as long as the shard has records.
    if place.position.0 == shard.start + 1 { Ok(oldest(db, shard)) } else { Err(trimmed()) }
}

/// The place before the first record that is as young as this.
async fn before_time(db: &Inner, shard: &Shard, wanted_ms: u64) -> Result<LogCursor, ServiceError> {
    let mark = {
        let marks = db.catalog.streams.marks.lock();
        let older = marks.marks.iter().rev().find(|(ms, _)| *ms < wanted_ms);
        older.map_or(0, |(_, position)| *position)
    };
    let mut cursor = oldest(db, shard).max(position::end_of(mark));
    let limit = PageLimit { rows: SEARCH_RECORDS, bytes: PAGE_BYTES_MAX };
    loop {
        let page = db.engine.log_read(shard.name.shard(), Some(cursor), limit).await;
        let page = page.map_err(|error| engine_failure(&error))?;
        if page.records.is_empty() {
            return Ok(cursor);
        }
        for record in page.records {
            let made_ms = record::creation_ms(&record.payload).ok_or_else(corrupt)?;
            if made_ms >= wanted_ms {
                return Ok(cursor);
            }
            cursor = place_of(&record);
        }
    }
}

/// A page of records, and the iterator that goes on behind it.
pub(crate) async fn page(
    db: &Inner,
    stream: &Stream,
    iterator: &Iterator<'_>,
    rows: usize,
) -> Result<GetRecordsResponse, ServiceError> {
    let streams = &db.catalog.streams;
    let now_ms = db.environment.now_ms();
    let age_ms = now_ms.saturating_sub(iterator.issued_ms);
    if age_ms > ITERATOR_LIFE_MS {
        return Err(ServiceError::new(
            ErrorCode::ExpiredIterator,
            "The shard iterator has expired and can no longer be used to retrieve stream records. A shard iterator expires 15 minutes after it is retrieved using the GetShardIterator action.",
        ));
    }
    let shard =
        stream.shards.iter().find(|shard| shard.name.log == iterator.log).ok_or_else(no_shard)?;
    let closed = match shard.end {
        Some(end) => {
            // Of what is in the shard at its end: a commit that is unfinished may still hide some of it.
            let reached = db.engine.log_end(shard.name.shard()).await;
            Some(reached.map_err(|error| engine_failure(&error))?.0.min(end.position))
        }
        None => None,
    };
    let limit = PageLimit { rows, bytes: PAGE_BYTES_MAX };
    let read = db.engine.log_read(shard.name.shard(), Some(iterator.cursor), limit).await;
    let LogPage { records: mut read, reached } = read.map_err(|error| engine_failure(&error))?;
    // After they were read: they may have been forgotten meanwhile.
    let horizon = streams.horizon();
    if iterator.cursor < position::end_of(horizon) && shard.start < horizon {
        return Err(trimmed());
    }
    let bytes: usize = read.iter().map(|record| record.payload.len()).sum();
    let exhausted = read.len() < rows && bytes < PAGE_BYTES_MAX;
    if bytes > PAGE_BYTES_MAX && read.len() > 1 {
        read.pop();
    }
    let last = read.last().map_or(iterator.cursor, place_of);
    let cursor = if exhausted { last.max(position::end_of(reached.0)) } else { last };
    let records = read
        .iter()
        .map(|record| decode(stream, iterator.log, record))
        .collect::<Result<Vec<_>, _>>()?;
    streams.read.fetch_add(records.len() as u64, Ordering::Relaxed);
    let next = Iterator { cursor, issued_ms: now_ms, ..iterator.clone() };
    let is_over = exhausted && closed.is_some_and(|end| reached.0 >= end);
    Ok(GetRecordsResponse {
        records,
        next_shard_iterator: (!is_over).then(|| next.text()),
        region: db.catalog.region().into(),
        view: stream.view,
    })
}

/// Where a record is.
pub(super) const fn place_of(record: &LoggedRecord) -> LogCursor {
    LogCursor { position: record.position, ordinal: record.ordinal }
}

fn decode(stream: &Stream, log: u64, logged: &LoggedRecord) -> Result<StreamRecord, ServiceError> {
    let record = record::decode(&logged.payload, &stream.key).ok_or_else(corrupt)?;
    let size = |item: &Option<EncodedItem>| item.as_ref().map_or(0, EncodedItem::size_bytes);
    Ok(StreamRecord {
        event_id: event_id(log, place_of(logged)),
        event: record.event,
        by_time_to_live: is_by_time_to_live(record.origin),
        creation_ms: record.creation_ms,
        sequence_number: position::sequence_number(place_of(logged)),
        size_bytes: record.keys.size_bytes() + size(&record.old) + size(&record.new),
        keys: record.keys,
        old_image: record.old,
        new_image: record.new,
    })
}

/// What identifies a record wherever it is read: it follows from the record's place.
fn event_id(log: u64, at: LogCursor) -> u128 {
    let high = mix(log ^ mix(at.position.0));
    let low = mix(mix(at.position.0).wrapping_add(u64::from(at.ordinal)) ^ log.rotate_left(32));
    u128::from(high) << 64 | u128::from(low)
}

fn corrupt() -> ServiceError {
    engine_failure(&EngineError::Corrupt("a stream record does not decode".to_owned()))
}
