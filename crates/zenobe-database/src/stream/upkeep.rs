//! Shards that are closed in time, records that are forgotten in time.
//!
//! # Age
//!
//! A record's position does not tell its age. So every now and then a mark is set: this position had
//! been reached at this time. What is before a mark is at least as old as the mark. The newest mark
//! that is older than the retention is the *horizon*: records up to it are forgotten, in all shards at
//! once. A record is kept for the retention and up to a 48th of it longer. A shard that was closed as
//! long ago as the retention is forgotten as a whole, and so is a stream that was disabled, or whose
//! table was deleted.
//!
//! Marks and horizon are a row of the catalogue. The horizon is published before the engine is told to
//! trim, and readers look at it after they have read: nobody is shown a gap.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use zenobe_model::ServiceError;
use zenobe_storage::{EngineError, Position};

use super::{Draft, Switch};
use crate::catalog::{Catalog, Changer, Edit, Stream, Table, contended};
use crate::{Database, Inner, engine_failure};

/// How often to look, as a part of the shorter of the two durations, within bounds.
const LOOKS_PER_DURATION: u64 = 16;
const LOOK_MIN_MS: u64 = 50;
const LOOK_MAX_MS: u64 = 30_000;
/// How many marks a retention has.
const MARKS_PER_RETENTION: u64 = 48;
const MARK_INTERVAL_MIN_MS: u64 = 50;
/// No more than so many shards of a stream are kept; until old ones are forgotten, none is closed.
const SHARDS_MAX: usize = 10_000;

impl Database {
    /// Keeps the streams for as long as the future is polled. Never ends.
    pub(crate) async fn run_stream_upkeep(&self) {
        let db = &self.inner;
        let config = db.config.streams;
        let look_ms = config.shard_duration_ms.min(config.retention_ms) / LOOKS_PER_DURATION;
        let look = Duration::from_millis(look_ms.clamp(LOOK_MIN_MS, LOOK_MAX_MS));
        loop {
            db.environment.sleep(look).await;
            if let Err(error) = self.maintain_streams().await {
                tracing::warn!(%error, "the upkeep of streams failed; it will be tried again");
            }
        }
    }

    /// Does what the time asks for: closes shards that are old enough and opens their children,
    /// forgets records, shards and streams that are too old.
    ///
    /// # Errors
    /// What the catalogue or the engine answered. It will be tried again by the next call.
    pub async fn maintain_streams(&self) -> Result<(), ServiceError> {
        let db = &self.inner;
        let streams = db.catalog.streams.all();
        if streams.is_empty() {
            return Ok(());
        }
        let now_ms = db.environment.now_ms();
        if db.catalog.claim(db, "horizon").await?.is_some() {
            move_horizon(db, &streams, now_ms).await?;
        }
        for stream in streams {
            if db.catalog.claim(db, &format!("stream/{}", stream.table_id)).await?.is_none() {
                continue;
            }
            if expire(db, &stream, now_ms).await? {
                continue;
            }
            if is_due(db, &stream, now_ms) {
                roll_over(db, &stream, now_ms).await?;
            }
        }
        Ok(())
    }
}

/// Sets a mark when it is time, and forgets what is before one that is old enough.
async fn move_horizon(
    db: &Inner,
    streams: &[Arc<Stream>],
    now_ms: u64,
) -> Result<(), ServiceError> {
    let retention_ms = db.config.streams.retention_ms;
    let interval_ms = (retention_ms / MARKS_PER_RETENTION).max(MARK_INTERVAL_MIN_MS);
    let before = db.catalog.streams.marks.lock().clone();
    let is_time = before.marks.last().is_none_or(|(ms, _)| ms + interval_ms <= now_ms);
    if !is_time {
        return Ok(());
    }
    let mut marks = before;
    marks.marks.push((now_ms, super::cut(db, Vec::new(), Vec::new()).await?.0));
    let old = marks.marks.partition_point(|(ms, _)| ms + retention_ms <= now_ms);
    if let Some((_, position)) = marks.marks.drain(..old).next_back() {
        marks.horizon = marks.horizon.max(position);
    }
    let changer = db.catalog.change(db).await;
    changer.put_rows(vec![Catalog::marks_row(&marks)]).await?;
    let horizon = marks.horizon;
    *db.catalog.streams.marks.lock() = marks;
    drop(changer);
    db.catalog.streams.horizon.fetch_max(horizon, Ordering::AcqRel);
    // Readers of other processes must know the horizon first; until then the next call does it.
    if db.catalog.streams.trimmed.load(Ordering::Acquire) < horizon
        && db.catalog.all_follow_what_is_known(db).await?
    {
        for shard in streams.iter().flat_map(|stream| &stream.shards) {
            let trimmed = db.engine.log_trim(shard.name.shard(), Position(horizon)).await;
            trimmed.map_err(failed)?;
        }
        db.catalog.streams.trimmed.fetch_max(horizon, Ordering::AcqRel);
    }
    Ok(())
}

/// Forgets shards that were closed long ago, and the stream if it was disabled long ago. Says
/// whether it is gone.
async fn expire(db: &Inner, stream: &Stream, now_ms: u64) -> Result<bool, ServiceError> {
    let is_old = |ms: u64| ms.saturating_add(db.config.streams.retention_ms) <= now_ms;
    let gone = stream.disabled_ms.is_some_and(is_old);
    let is_kept =
        |shard: &crate::catalog::Shard| !gone && !shard.end.is_some_and(|end| is_old(end.ms));
    if !gone && stream.shards.iter().all(is_kept) {
        return Ok(false);
    }
    let changer = db.catalog.change(db).await;
    // As it is now: it may have been disabled meanwhile.
    let Some(stream) = db.catalog.streams.find(&stream.table_name, &stream.label) else {
        return Ok(true);
    };
    let (kept, forgotten): (Vec<_>, Vec<_>) = stream.shards.iter().cloned().partition(is_kept);
    let after = Stream { shards: kept, ..Stream::clone(&stream) };
    if gone {
        changer.put_rows(vec![Catalog::stream_gone(&stream)]).await?;
        db.catalog.streams.remove(&stream);
    } else {
        store(db, &changer, Some(&stream), &after).await?;
        db.catalog.streams.put(Arc::new(after));
    }
    drop(changer);
    for shard in forgotten {
        // Closed, so that nothing comes after its end.
        let end = Position(shard.end.map_or(u64::MAX, |end| end.position));
        db.engine.log_trim(shard.name.shard(), end).await.map_err(failed)?;
    }
    Ok(gone)
}

fn is_due(db: &Inner, stream: &Stream, now_ms: u64) -> bool {
    let opened_ms = stream.open_shards().map(|shard| shard.name.creation_ms).max();
    let is_old = |ms: u64| ms.saturating_add(db.config.streams.shard_duration_ms) <= now_ms;
    opened_ms.is_some_and(is_old) && stream.shards.len() < SHARDS_MAX
}

/// Closes the open shards of a stream and opens a child in the place of each.
async fn roll_over(db: &Inner, stream: &Stream, now_ms: u64) -> Result<(), ServiceError> {
    roll_over_as(db, &db.catalog.change(db).await, stream, now_ms).await
}

/// The same for who has the right to change the catalogue.
pub(super) async fn roll_over_as(
    db: &Inner,
    changer: &Changer<'_>,
    stream: &Stream,
    now_ms: u64,
) -> Result<(), ServiceError> {
    let Some(table) = db.catalog.find(&stream.table_name) else { return Ok(()) };
    // As it is now: the table may have been changed meanwhile, or be another one.
    let Some(stream) = db.catalog.streams.of_table(&table).filter(|now| now.label == stream.label)
    else {
        return Ok(());
    };
    let switch = Switch::begin(db, &table.writer).await;
    let next = Draft::rolling(db, Stream::clone(&stream), now_ms).cut(db).await?;
    store(db, changer, Some(&stream), &next).await?;
    switch.finish(next);
    Ok(())
}

/// Stores a stream that was `before`, unless another process has changed it since. While it takes records its table's row is written with it, which expects its
/// version: so a commit of unknown outcome cannot happen after another one has taken its place.
pub(super) async fn store(
    db: &Inner,
    changer: &Changer<'_>,
    before: Option<&Stream>,
    stream: &Stream,
) -> Result<(), ServiceError> {
    let row = Catalog::stream_row(stream);
    let table = db.catalog.find(&stream.table_name).filter(|table| table.id == stream.table_id);
    if !stream.is_enabled() || table.is_none() {
        return changer.put_rows(vec![row]).await;
    }
    let edit = |table: &Table| {
        // A process that has the store to itself meets only a change of its own, whose outcome it did not
        // learn and whose shards nobody has written to.
        let now = db.catalog.streams.find(&stream.table_name, &stream.label);
        if db.catalog.is_shared() && now.as_deref() != before {
            return Err(contended());
        }
        Ok(Edit { rows: vec![row.clone()], ..Edit::from(table.clone()) })
    };
    changer.update_beside(&stream.table_name, edit).await
}

/// Forgets again what a crash may have brought back, and records of shards that nobody knows.
pub(crate) async fn forget_again(db: &Inner) -> Result<(), EngineError> {
    let streams = db.catalog.streams.all();
    let horizon = db.catalog.streams.horizon();
    let known = |log: u64| streams.iter().any(|s| s.shards.iter().any(|own| own.name.log == log));
    let shards = db.engine.log_shards().await?;
    if shards.is_empty() {
        return Ok(());
    }
    let reached = db.engine.snapshot().await?.position();
    for shard in shards {
        let up_to = if known(shard.0) { Position(horizon) } else { reached };
        db.engine.log_trim(shard, up_to).await?;
    }
    Ok(())
}

#[expect(clippy::needless_pass_by_value, reason = "fits map_err")]
fn failed(error: EngineError) -> ServiceError {
    engine_failure(&error)
}
