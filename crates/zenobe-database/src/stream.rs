//! Streams: the records of a table's changes, in shards.
//!
//! # How a record comes to be
//!
//! A write's records are part of the commit that changes the items ([`crate::write`]), so there is
//! exactly one for each change, or neither. The partition key's hash decides the shard: the hash
//! intervals of a stream's open shards lie side by side and do not change for as long as the stream
//! lives, so each item has one lineage of shards.
//!
//! # Which shard a write goes to
//!
//! Not the table's snapshot says so, or a write that looked the table up long ago would still go to a
//! shard that was closed since. All snapshots of a table share a [`Writer`], a lock around the open
//! shards. A write holds it shared from before its commit until that is ordered. Whoever opens or
//! closes shards holds it alone ([`Switch`]): then no write of the table is between looking up its
//! shard and its place in the order of commits. The commit that is made then marks the cut: every
//! record of the shards that are closed is before it, every record of the shards that are opened
//! after it. So an item's records are in order over the lineage: a reader who reads each shard to its
//! end before the child has them in the order of the changes.
//!
//! A lock reaches the writes of one process. Where several share the store the engine makes the cut
//! ([`zenobe_storage::Engine::log_cut`]): from then on it refuses commits with records for the shards that were
//! closed, and whoever is refused looks what came after them ([`meet_cut`]).
//!
//! Locks are taken in this order: latches of keys, writers of tables (by address); and, apart from
//! those, the right to change the catalogue before a writer.
//!
//! # What is kept
//!
//! [`upkeep`] closes shards in time and opens their children, forgets what is older than the
//! retention, and last the streams themselves.

mod check;
pub(crate) mod position;
pub(crate) mod reading;
mod record;
pub(crate) mod upkeep;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use parking_lot::Mutex;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use zenobe_model::operation::{BillingMode, StreamViewType};
use zenobe_model::{EncodedItem, ServiceError};
use zenobe_storage::{
    BoxFuture, EngineError, Figure, LogRecord, Mutation, Outcome, Position, ShardId,
};

pub use self::check::StreamCheck;
pub(crate) use self::check::check;
use crate::catalog::{Catalog, KeySchema, Marks, Stream, Table, contended};
use crate::write::{ItemWrite, Origin, Written};
use crate::{Inner, engine_failure};

/// The most shards that are open side by side.
const OPEN_SHARDS_MAX: u64 = 16;
/// The shards of a table on demand.
const OPEN_SHARDS_ON_DEMAND: u64 = 4;
/// What one partition of a provisioned table is for, as DynamoDB reckons.
const READ_UNITS_PER_PARTITION: u64 = 3000;
const WRITE_UNITS_PER_PARTITION: u64 = 1000;

/// How long shards take records and how long records are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamConfig {
    /// After this time a shard is closed and a child takes its place, in milliseconds.
    pub shard_duration_ms: u64,
    /// Older records are forgotten, in milliseconds.
    pub retention_ms: u64,
}

impl Default for StreamConfig {
    /// As DynamoDB: four hours, 24 hours.
    fn default() -> Self {
        Self { shard_duration_ms: 4 * 3_600_000, retention_ms: 24 * 3_600_000 }
    }
}

/// What the writes of a table need to know about its stream.
#[derive(Debug)]
pub(crate) struct OpenStream {
    view: StreamViewType,
    key: KeySchema,
    /// The open shards, in the order of their hash intervals; at least one.
    shards: Vec<ShardId>,
}

impl OpenStream {
    /// The shard of the partitions with this hash.
    fn shard(&self, hash: u64) -> Option<ShardId> {
        let place = (u128::from(hash) * self.shards.len() as u128) >> 64;
        self.shards.get(usize::try_from(place).ok()?).copied()
    }
}

/// The stream that a table's writes go to, shared by all snapshots of the table.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    gate: RwLock<()>,
    /// Nothing, if the table has no stream.
    open: ArcSwapOption<OpenStream>,
}

impl Writer {
    /// The writer of a table that nobody writes to yet.
    pub(crate) fn of(stream: &Stream) -> Arc<Self> {
        let writer = Self::default();
        writer.open.store(opened(stream));
        Arc::new(writer)
    }

    /// Makes writes follow what is known of the stream now. Where the engine refuses records of shards that
    /// were closed, nobody need wait for writes under way.
    pub(crate) async fn follow(&self, stream: Option<&Stream>, engine_refuses: bool) {
        let _alone = if engine_refuses { None } else { Some(self.gate.write().await) };
        self.open.store(stream.and_then(opened));
    }
}

fn opened(stream: &Stream) -> Option<Arc<OpenStream>> {
    let shards = shard_ids(stream);
    (!shards.is_empty())
        .then(|| Arc::new(OpenStream { view: stream.view, key: stream.key.clone(), shards }))
}

/// The open shards of a stream, in the order of their hash intervals.
fn shard_ids(stream: &Stream) -> Vec<ShardId> {
    stream.open_shards().map(|shard| shard.name.shard()).collect()
}

/// The streams of the tables that a commit writes to, held until it is ordered.
pub(crate) struct Entered<'a> {
    /// By the address of the writer, in ascending order: nobody waits in a circle.
    writers: Vec<EnteredOne<'a>>,
}

/// A table's writer, what is open behind it, and the gate.
struct EnteredOne<'a> {
    writer: &'a Arc<Writer>,
    open: Option<Arc<OpenStream>>,
    _gate: RwLockReadGuard<'a, ()>,
}

impl<'a> Entered<'a> {
    /// Enters the streams of the tables that are written to. Waits while shards are switched.
    pub(crate) async fn enter(tables: impl Iterator<Item = &'a Arc<Table>>) -> Self {
        let mut wanted: Vec<&Arc<Writer>> = Vec::new();
        for table in tables {
            if !wanted.iter().any(|known| Arc::ptr_eq(known, &table.writer)) {
                wanted.push(&table.writer);
            }
        }
        wanted.sort_unstable_by_key(|writer| Arc::as_ptr(writer));
        let mut writers = Vec::with_capacity(wanted.len());
        for writer in wanted {
            let gate = writer.gate.read().await;
            writers.push(EnteredOne { writer, open: writer.open.load_full(), _gate: gate });
        }
        Self { writers }
    }

    /// The records of what was planned, in the order of the writes.
    pub(crate) fn records(
        &self,
        db: &Inner,
        writes: &[ItemWrite],
        written: &[Written],
        now_ms: u64,
    ) -> Vec<LogRecord> {
        writes
            .iter()
            .zip(written)
            .filter_map(|(write, written)| {
                let change = (written.old.as_ref(), written.new.as_ref());
                let item = (write.table.as_ref(), &write.place.partition[..], write.origin);
                self.record(db, item, change, now_ms)
            })
            .collect()
    }

    /// The record of the change of one item, given its table, its partition and who wants it.
    pub(crate) fn record(
        &self,
        db: &Inner,
        (table, partition, origin): (&Table, &[u8], Origin),
        (old, new): (Option<&EncodedItem>, Option<&EncodedItem>),
        now_ms: u64,
    ) -> Option<LogRecord> {
        let is_own = |one: &&EnteredOne<'_>| Arc::ptr_eq(one.writer, &table.writer);
        let open = self.writers.iter().find(is_own)?.open.as_ref()?;
        let payload = record::encode((open.view, &open.key), old, new, origin, now_ms)?;
        let shard = open.shard(db.engine.partition_hash(partition))?;
        db.catalog.streams.written.fetch_add(1, Ordering::Relaxed);
        Some(LogRecord { shard, payload })
    }
}

/// The streams by table name and label: the order of ListStreams.
type ByName = BTreeMap<(String, String), Arc<Stream>>;

/// All streams, those of deleted tables too.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    by_name: ArcSwap<ByName>,
    /// Records up to this position are forgotten.
    horizon: AtomicU64,
    /// Up to where the engine was told to forget them.
    trimmed: AtomicU64,
    marks: Mutex<Marks>,
    /// Records that were made and that were read since the start.
    written: AtomicU64,
    read: AtomicU64,
}

impl Streams {
    /// Replaces all that is known by what the catalogue holds.
    pub(crate) fn restore(&self, streams: impl IntoIterator<Item = Stream>, marks: Marks) {
        self.horizon.fetch_max(marks.horizon, Ordering::AcqRel);
        *self.marks.lock() = marks;
        self.replace_all(streams);
    }

    fn replace_all(&self, streams: impl IntoIterator<Item = Stream>) {
        let named =
            |stream: Stream| ((stream.table_name.clone(), stream.label.clone()), Arc::new(stream));
        self.by_name.store(Arc::new(streams.into_iter().map(named).collect()));
    }

    /// The stream of the table with this name that has this label.
    pub(crate) fn find(&self, table_name: &str, label: &str) -> Option<Arc<Stream>> {
        self.by_name.load().get(&(table_name.to_owned(), label.to_owned())).cloned()
    }

    /// The stream that the writes of a table go to, if there is one.
    pub(crate) fn of_table(&self, table: &Table) -> Option<Arc<Stream>> {
        table.stream?;
        let stream = self.find(&table.name, table.stream_label.as_deref()?)?;
        (stream.table_id == table.id && stream.is_enabled()).then_some(stream)
    }

    /// All streams, by table name and label.
    pub(crate) fn all(&self) -> Vec<Arc<Stream>> {
        self.by_name.load().values().cloned().collect()
    }

    /// Makes a stream known.
    pub(crate) fn add(&self, stream: Stream) {
        self.put(Arc::new(stream));
    }

    fn put(&self, stream: Arc<Stream>) {
        let mut by_name = ByName::clone(&self.by_name.load());
        by_name.insert((stream.table_name.clone(), stream.label.clone()), stream);
        self.by_name.store(Arc::new(by_name));
    }

    fn remove(&self, stream: &Stream) {
        let mut by_name = ByName::clone(&self.by_name.load());
        by_name.remove(&(stream.table_name.clone(), stream.label.clone()));
        self.by_name.store(Arc::new(by_name));
    }

    /// The position up to which records are forgotten.
    fn horizon(&self) -> u64 {
        self.horizon.load(Ordering::Acquire)
    }

    /// Figures for the metrics page.
    pub(crate) fn figures(&self) -> Vec<Figure> {
        let figure = |name, help, value| Figure { name, help, value };
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
        vec![
            figure(
                "stream_records_written_total",
                "Records that commits gave to streams.",
                count(&self.written),
            ),
            figure(
                "stream_records_read_total",
                "Records that GetRecords answered.",
                count(&self.read),
            ),
            figure(
                "streams",
                "Streams that can be read, disabled ones too.",
                self.by_name.load().len() as f64,
            ),
        ]
    }
}

/// A label for a new stream that no stream of this table name has: the time, or a later one.
pub(crate) fn fresh_label(db: &Inner, table_name: &str, now_ms: u64) -> String {
    let mut labels = (now_ms..).map(crate::ops::stream_label);
    let taken = |label: &String| db.catalog.streams.find(table_name, label).is_some();
    labels.find(|label| !taken(label)).unwrap_or_default()
}

/// The stream that a new table is to have, if it is to have one.
pub(crate) async fn first(db: &Inner, table: &Table) -> Result<Option<Stream>, ServiceError> {
    if table.stream.is_none() {
        return Ok(None);
    }
    // Nobody writes to the table yet.
    let Some(draft) = Draft::opening(db, table, table.creation_ms) else { return Ok(None) };
    draft.cut(db).await.map(Some)
}

/// A stream that is to have other shards than it has.
struct Draft {
    before: Stream,
    now_ms: u64,
    /// How many children there are to be.
    count: usize,
    random: u128,
}

impl Draft {
    /// The stream that a table is to have; `None` if it is to have none.
    fn opening(db: &Inner, table: &Table, now_ms: u64) -> Option<Self> {
        let before = Stream {
            table_id: table.id.clone(),
            table_name: table.name.clone(),
            label: table.stream_label.clone()?,
            view: table.stream?,
            key: table.key.clone(),
            creation_ms: now_ms,
            disabled_ms: None,
            shards: Vec::new(),
        };
        Some(Self { before, now_ms, count: shard_count(table), random: db.environment.random() })
    }

    /// The stream with a child in the place of each open shard.
    fn rolling(db: &Inner, before: Stream, now_ms: u64) -> Self {
        let count = before.open_shards().count();
        Self { before, now_ms, count, random: db.environment.random() }
    }

    /// The stream without open shards.
    const fn closing(before: Stream, now_ms: u64) -> Self {
        Self { before, now_ms, count: 0, random: 0 }
    }

    fn at(&self, position: Position) -> Stream {
        self.before.rolled_over(position, self.now_ms, self.count, self.random)
    }

    /// Makes the cut, from which on the parents take no more records.
    async fn cut(&self, db: &Inner) -> Result<Stream, ServiceError> {
        let (close, open) = (shard_ids(&self.before), shard_ids(&self.at(Position(0))));
        Ok(self.at(cut(db, close, open).await?))
    }
}

/// A position in the order of commits, after all records of the shards that are closed and before those
/// of the shards that are opened. Where the engine does not see to that, the caller holds the gates.
pub(crate) async fn cut(
    db: &Inner,
    close: Vec<ShardId>,
    open: Vec<ShardId>,
) -> Result<Position, ServiceError> {
    if db.engine.capabilities().shared && !(close.is_empty() && open.is_empty()) {
        return db.engine.log_cut(close, open).await.map_err(|error| engine_failure(&error));
    }
    match db.engine.commit(Catalog::cut()).await.map_err(|error| engine_failure(&error))? {
        Outcome::Committed { position, .. } => Ok(position),
        Outcome::Conflict { .. } | Outcome::Closed { .. } | Outcome::Unknown => {
            Err(ServiceError::internal())
        }
    }
}

/// How many shards a stream of this table has side by side: as many as DynamoDB would have
/// partitions, within limits.
fn shard_count(table: &Table) -> usize {
    let count = match table.billing_mode {
        BillingMode::PayPerRequest => OPEN_SHARDS_ON_DEMAND,
        BillingMode::Provisioned => {
            let units = table.provisioned_throughput;
            // As a sum of fractions, rounded up.
            (units.read_capacity_units.saturating_mul(WRITE_UNITS_PER_PARTITION))
                .saturating_add(units.write_capacity_units.saturating_mul(READ_UNITS_PER_PARTITION))
                .div_ceil(READ_UNITS_PER_PARTITION * WRITE_UNITS_PER_PARTITION)
        }
    };
    usize::try_from(count.clamp(1, OPEN_SHARDS_MAX)).unwrap_or(1)
}

/// The right to open and close the shards that a table's writes go to. While it is held, no write of
/// this process to the table is between looking up its shard and its place in the order of commits; where other
/// processes write, too, the engine refuses what comes too late.
///
/// Whoever makes one holds the right to change the catalogue.
pub(crate) struct Switch<'a> {
    db: &'a Inner,
    writer: &'a Writer,
    _alone: Option<RwLockWriteGuard<'a, ()>>,
}

impl<'a> Switch<'a> {
    /// Waits for the writes under way.
    async fn begin(db: &'a Inner, writer: &'a Writer) -> Self {
        let shared = db.engine.capabilities().shared;
        let alone = if shared { None } else { Some(writer.gate.write().await) };
        Self { db, writer, _alone: alone }
    }

    /// Makes the change known: to be called when the catalogue has it, without waiting in between.
    fn finish(self, stream: Stream) {
        self.writer.open.store(opened(&stream));
        self.db.catalog.streams.add(stream);
    }
}

/// What a change of a table means for its stream.
pub(crate) struct Change<'a> {
    switch: Switch<'a>,
    /// The stream that it ends.
    before: Option<Arc<Stream>>,
    /// The stream that is opened or closed.
    stream: Option<Stream>,
}

impl<'a> Change<'a> {
    /// Prepares the end of a table's stream.
    pub(crate) async fn disable(
        db: &'a Inner,
        table: &'a Table,
        now_ms: u64,
    ) -> Result<Self, ServiceError> {
        let switch = Switch::begin(db, &table.writer).await;
        let before = db.catalog.streams.of_table(table);
        let stream = match &before {
            Some(stream) => {
                let closed = Draft::closing(Stream::clone(stream), now_ms).cut(db).await?;
                Some(Stream { disabled_ms: Some(now_ms), ..closed })
            }
            None => None,
        };
        Ok(Self { switch, before, stream })
    }

    /// Prepares the stream that a table has after a change.
    pub(crate) async fn enable(
        db: &'a Inner,
        writer: &'a Writer,
        after: &Table,
        now_ms: u64,
    ) -> Result<Self, ServiceError> {
        let switch = Switch::begin(db, writer).await;
        let stream = match Draft::opening(db, after, now_ms) {
            Some(draft) => Some(draft.cut(db).await?),
            None => None,
        };
        Ok(Self { switch, before: None, stream })
    }

    /// What belongs into the commit of the change of this table.
    ///
    /// # Errors
    /// Another process has changed the stream since this was prepared: it may have opened shards, and have
    /// written to them.
    pub(crate) fn mutations(&self, table: &Table) -> Result<Vec<Mutation>, ServiceError> {
        let db = self.switch.db;
        if db.catalog.is_shared() && db.catalog.streams.of_table(table) != self.before {
            return Err(contended());
        }
        Ok(self.stream.iter().map(Catalog::stream_row).collect())
    }

    /// Makes the change known: to be called when the catalogue has it, without waiting in between.
    pub(crate) fn finish(self) {
        if let Some(stream) = self.stream {
            self.switch.finish(stream);
        }
    }
}

/// Gives tables that have a stream in name only, since they are older than streams were, a real one.
pub(crate) async fn adopt(db: &Inner) -> Result<(), ServiceError> {
    for table in db.catalog.tables() {
        if table.stream.is_none() || db.catalog.streams.of_table(&table).is_some() {
            continue;
        }
        let changer = db.catalog.change(db).await;
        let switch = Switch::begin(db, &table.writer).await;
        if let Some(draft) = Draft::opening(db, &table, db.environment.now_ms()) {
            let stream = draft.cut(db).await?;
            upkeep::store(db, &changer, None, &stream).await?;
            switch.finish(stream);
        }
    }
    Ok(())
}

/// How often to look whether a cut that was met has come into the catalogue, how long to wait between, and
/// from which look on whoever made it is taken for dead.
const CUT_LOOKS_MAX: usize = 100;
const CUT_POLL: Duration = Duration::from_millis(50);
const CUT_LOOKS_OF_THE_DEAD: usize = 40;

/// Meets a shard that another process has closed: returns when this process knows what came after it. If that
/// does not come, whoever closed it died before the catalogue had its children, and others take their place.
pub(crate) fn meet_cut(db: &Inner, shard: ShardId) -> BoxFuture<'_, Result<(), ServiceError>> {
    // Rare and large.
    Box::pin(wait_for_children(db, shard))
}

async fn wait_for_children(db: &Inner, shard: ShardId) -> Result<(), ServiceError> {
    let is_open = |stream: &Arc<Stream>| shard_ids(stream).contains(&shard);
    db.catalog.reload(db).await?;
    for look in 0..CUT_LOOKS_MAX {
        let Some(stream) = db.catalog.streams.all().into_iter().find(is_open) else {
            return Ok(());
        };
        // Nobody waits here for who changes the catalogue: they may be waiting for this write.
        if look >= CUT_LOOKS_OF_THE_DEAD
            && let Some(changer) = db.catalog.try_change(db)
            && let Err(error) =
                upkeep::roll_over_as(db, &changer, &stream, db.environment.now_ms()).await
        {
            tracing::debug!(%error, "another process may have opened the children of a shard");
        }
        db.environment.sleep(CUT_POLL).await;
        db.catalog.refresh(db).await?;
    }
    Err(engine_failure(&EngineError::Unavailable(
        "a shard was closed, and its children did not come".to_owned(),
    )))
}

/// Whether a write was made by the service itself.
const fn is_by_time_to_live(origin: Origin) -> bool {
    matches!(origin, Origin::TimeToLive)
}
