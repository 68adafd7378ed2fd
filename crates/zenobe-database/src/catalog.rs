//! The catalogue: which tables exist, and what they look like.
//!
//! # Reading
//!
//! [`Catalog::table`] is on the path of every request: it is a lookup in an immutable map, without
//! a lock. A caller holds the `Arc<Table>` until its commit is ordered. A change publishes a new
//! snapshot; [`Catalog::nobody_is_behind`] says when nobody works under an older one any more, which is
//! what index backfill and the dropping of an index's space wait for.
//!
//! # Storing
//!
//! The catalogue lives in [`SPACE`], in a single partition, so that on every engine a change is one
//! commit. Its rows, by the first byte of their sort key:
//!
//! | byte | then | value |
//! |---|---|---|
//! | `c` | | the next space id, which never goes back |
//! | `t` | table name | the [`Table`] |
//! | `d` | space id | nothing: the space is to be dropped; or the member that allocated it and did not use it yet |
//! | `b` | space id | how far the backfill of the index in that space got |
//! | `f` | table id | the table's figures when they were last saved |
//! | `s` | table name, `/`, stream label | the [`Stream`] |
//! | `k` | | [`Marks`]: how old the records of streams are |
//! | `x` | | nothing: written to know a position in the order of commits |
//! | `o` | | nothing: the figures since were not saved, so they are to be recounted |
//! | `g` | | nothing: its version numbers the changes of a shared catalogue |
//! | `z` | table name | nothing: the last table of this name was deleted by the change of this version |
//! | `m` | member | a process that shares the catalogue, and what it follows ([`agreement`]) |
//! | `w` | a piece of work | the member that does it |
//!
//! Every change expects the version of the row that it replaces, so that a second process over the
//! same engine is noticed. A space is created before the table that uses it is: until that commit,
//! its id stands among those to be dropped, so a crash leaves no space behind.
//!
//! # Lifecycle
//!
//! A table that CreateTable answered for with `CREATING` is `ACTIVE` for the next request already,
//! and one that DeleteTable answered for with `DELETING` is gone: its name can be used again at
//! once, and its space is dropped in the background. Clients that wait for either never wait.

mod agreement;
mod arn;
mod change;
mod counters;
mod expiry;
mod figures;
mod rows;
mod stored;
mod stream;
mod table;

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::Notify;
use zenobe_model::operation::ResourceStatus;
use zenobe_model::{ErrorCode, ServiceError};
use zenobe_storage::{
    Commit, Engine, EngineError, Expect, Mutation, Outcome, PageLimit, Precondition, Read,
    RowPlace, SpaceId,
};

use self::agreement::Agreement;
pub(crate) use self::agreement::{BEAT, Fence};
pub(crate) use self::arn::{ArnProblem, parse as parse_arn, table_arn};
pub(crate) use self::change::{Changed, Changer, Edit};
pub use self::counters::Counters;
pub(crate) use self::counters::{CountedPage, Places, ScanPlace, SizeChange, Sum};
pub use self::expiry::ExpiryIndex;
pub(crate) use self::expiry::Look;
pub(crate) use self::figures::Figures;
use self::rows::{CatalogRow, Loaded, StoredPlace};
pub(crate) use self::stream::{Marks, mix};
pub use self::stream::{Shard, ShardEnd, ShardName, Stream};
pub(crate) use self::table::Upkeep;
pub use self::table::{
    Encryption, GlobalIndex, Index, IndexProjection, IndexState, KeyAttribute, KeySchema,
    LocalIndex, Table,
};
use crate::environment::Environment;
use crate::stream::Streams;
use crate::{DatabaseConfig, Inner, OpenError, engine_failure};

/// The space of the catalogue.
pub const SPACE: SpaceId = SpaceId(0);
/// The only partition of the catalogue's space.
const PARTITION: &[u8] = b"catalog";
/// The first space that a table may get; those below are reserved.
const FIRST_TABLE_SPACE: u64 = 16;
/// How many rows of the catalogue are read at once.
const PAGE: PageLimit = PageLimit { rows: 256, bytes: 1 << 20 };
/// How often a change starts again because another process changed the row under it.
const CONFLICT_RETRIES_MAX: usize = 16;

/// The tables by name.
type Tables = HashMap<String, Arc<Table>>;

/// What a table is that was not known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// There when this process began.
    Before,
    /// Made by another process since.
    Coming,
}

/// The tables.
pub struct Catalog {
    tables: ArcSwap<Tables>,
    region: String,
    account_id: String,
    /// Held by whoever changes the catalogue: one change at a time in this process.
    changing: tokio::sync::Mutex<()>,
    /// Older snapshots that somebody may still work under.
    superseded: Mutex<Vec<Weak<Table>>>,
    /// Spaces that nothing refers to any more.
    dropped: Mutex<BTreeSet<SpaceId>>,
    /// Held while what the tables are is read or changed, and then published.
    applying: tokio::sync::Mutex<()>,
    /// What processes that share the catalogue agree on; `None` where this one has it to itself.
    agreement: Option<Agreement>,
    /// Tables whose change was begun: while nobody changes the catalogue, those whose change was
    /// given up half-way, because the client went away or the engine failed.
    unsettled: Mutex<BTreeSet<String>>,
    /// The streams of all tables, deleted ones too.
    pub(crate) streams: Streams,
    /// Wakes the background worker.
    pub(crate) work: Notify,
    /// Whether the process before this one ended without saving the tables' figures.
    pub(crate) figures_lost: bool,
}

impl Catalog {
    /// Reads the catalogue that the engine holds.
    pub(crate) async fn open(
        engine: &dyn Engine,
        environment: &dyn Environment,
        config: &DatabaseConfig,
    ) -> Result<Self, OpenError> {
        engine.create_space(SPACE).await?;
        let agreement = match engine.capabilities().shared {
            true => Some(Agreement::join(engine, environment).await?),
            false => None,
        };
        let loaded = Loaded::read(engine, &config.region, &config.account_id).await?;
        let catalog = Self {
            streams: Streams::default(),
            tables: ArcSwap::default(),
            region: config.region.clone(),
            account_id: config.account_id.clone(),
            changing: tokio::sync::Mutex::new(()),
            applying: tokio::sync::Mutex::new(()),
            agreement,
            superseded: Mutex::default(),
            dropped: Mutex::default(),
            unsettled: Mutex::default(),
            work: Notify::new(),
            figures_lost: loaded.figures_lost,
        };
        let (streams, fresh) = catalog.apply(loaded, Seen::Before);
        catalog.follow_streams(&streams, &fresh).await;
        Ok(catalog)
    }

    /// Reads the catalogue again and works by what it says from now on.
    ///
    /// # Errors
    /// What the engine answered, or that a row does not decode.
    pub(crate) async fn reload(&self, db: &Inner) -> Result<(), ServiceError> {
        let (streams, fresh) = self.reload_tables(db).await?;
        self.follow_streams(&streams, &fresh).await;
        Ok(())
    }

    /// The same, but for the writes of tables, which go on as before. Answers the streams before and the
    /// tables that were not known.
    async fn reload_tables(
        &self,
        db: &Inner,
    ) -> Result<(Vec<Arc<Stream>>, Vec<Arc<Table>>), ServiceError> {
        let _applying = self.applying.lock().await;
        let loaded = Loaded::read(db.engine.as_ref(), &self.region, &self.account_id).await;
        let loaded = loaded.map_err(|error| match error {
            OpenError::Engine(error) => failed(error),
            OpenError::CorruptCatalog(what) | OpenError::Streams(what) => corrupt_row(what),
        })?;
        Ok(self.apply(loaded, Seen::Coming))
    }

    /// Makes what was read what everybody sees. Answers the streams before and the tables that were not
    /// known.
    fn apply(&self, loaded: Loaded, unknown: Seen) -> (Vec<Arc<Stream>>, Vec<Arc<Table>>) {
        let Loaded { generation, tables, figures, streams, marks, dropped, allocated, .. } = loaded;
        let before = self.streams.all();
        self.streams.restore(streams, marks);
        let (known, epoch) = (self.tables.load_full(), self.epoch());
        let mut gone: BTreeSet<String> = known.keys().cloned().collect();
        let (mut changes, mut fresh) = (Vec::new(), Vec::new());
        for mut table in tables {
            gone.remove(&table.name);
            table.epoch = epoch;
            match known.get(&table.name).filter(|known| known.id == table.id) {
                Some(known) if known.row_version == table.row_version && known.epoch == epoch => {
                    continue;
                }
                Some(known) => {
                    share_counters(known, &mut table);
                    table.created = known.created;
                    table.writer = Arc::clone(&known.writer);
                }
                None => {
                    table.created = table.row_version.filter(|_| unknown == Seen::Coming);
                    if let Some(figures) = figures.get(&table.id) {
                        figures.restore(&table);
                        table.restored = Arc::new(figures.clone());
                    }
                }
            }
            let table = Arc::new(table);
            if known.get(&table.name).is_none_or(|known| known.id != table.id) {
                fresh.push(Arc::clone(&table));
            }
            changes.push((table.name.clone(), Some(table)));
        }
        changes.extend(gone.into_iter().map(|name| (name, None)));
        self.publish(changes);
        *self.dropped.lock() = dropped;
        self.loaded(generation, allocated);
        (before, fresh)
    }

    /// Makes the writes of tables follow their streams, where these are not as before.
    async fn follow_streams(&self, before: &[Arc<Stream>], fresh: &[Arc<Table>]) {
        let now = self.streams.all();
        let is_new = |stream: &&Arc<Stream>| !before.contains(stream);
        let is_gone = |stream: &&Arc<Stream>| !now.contains(stream);
        let changed: BTreeSet<&str> = now
            .iter()
            .filter(is_new)
            .chain(before.iter().filter(is_gone))
            .map(|stream| stream.table_id.as_str())
            .chain(fresh.iter().map(|table| table.id.as_str()))
            .collect();
        for table in self.tables().iter().filter(|table| changed.contains(table.id.as_str())) {
            let stream = self.streams.of_table(table);
            table.writer.follow(stream.as_deref(), self.is_shared()).await;
        }
    }

    /// The table with this name or ARN, for an operation on items.
    ///
    /// # Errors
    /// `ResourceNotFoundException` when there is no such table, or not yet, or no more;
    /// `ValidationException` or `AccessDeniedException` for an ARN that is malformed or of another
    /// Region or account.
    pub fn table(&self, name_or_arn: &str) -> Result<Arc<Table>, ServiceError> {
        let name = self.table_name(name_or_arn)?;
        match self.tables.load().get(name) {
            Some(table) if matches!(table.status, ResourceStatus::Active) => Ok(Arc::clone(table)),
            _ => Err(not_found()),
        }
    }

    /// Looks whether tables are still there, whatever has become of them.
    ///
    /// # Errors
    /// `ResourceNotFoundException` when one is gone, as far as this process knows.
    pub(crate) fn check_still_there<'t>(
        &self,
        mut tables: impl Iterator<Item = &'t Table>,
    ) -> Result<(), ServiceError> {
        let known = self.tables.load();
        let is_there = |table: &Table| known.get(&table.name).is_some_and(|now| now.id == table.id);
        if tables.all(is_there) { Ok(()) } else { Err(not_found()) }
    }

    /// The table with this name or ARN, for an operation on tables.
    ///
    /// # Errors
    /// As [`Catalog::table`], with the text of these operations.
    pub fn describe(&self, name_or_arn: &str) -> Result<Arc<Table>, ServiceError> {
        let name = self.table_name(name_or_arn)?;
        self.find(name).ok_or_else(|| table_not_found(name))
    }

    /// The table with this name, if there is one.
    pub(crate) fn find(&self, name: &str) -> Option<Arc<Table>> {
        self.tables.load().get(name).cloned()
    }

    /// The table with this ARN as it names itself, if there is one.
    pub(crate) fn find_by_arn(&self, arn: &str) -> Option<Arc<Table>> {
        let name = arn.rsplit_once('/').map_or(arn, |(_, name)| name);
        self.find(name).filter(|table| table.arn == arn)
    }

    /// All tables, in no order.
    pub(crate) fn tables(&self) -> Vec<Arc<Table>> {
        self.tables.load().values().cloned().collect()
    }

    /// The names of all tables, in ascending order of their bytes.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.tables.load().keys().cloned().collect();
        names.sort_unstable();
        names
    }

    /// The name that a `TableName` parameter means.
    ///
    /// # Errors
    /// See [`Catalog::table`].
    pub fn table_name<'a>(&self, name_or_arn: &'a str) -> Result<&'a str, ServiceError> {
        arn::table_name(name_or_arn, &self.region, &self.account_id)
    }

    /// The ARN that a table with this name has.
    pub(crate) fn arn(&self, name: &str) -> String {
        table_arn(&self.region, &self.account_id, name)
    }

    /// The Region that ARNs name.
    pub(crate) fn region(&self) -> &str {
        &self.region
    }

    /// The account that ARNs name.
    pub(crate) fn account_id(&self) -> &str {
        &self.account_id
    }

    /// Adds what changed since `before` to the figures of a table that processes share; what they are then.
    /// `None` if another process was quicker.
    pub(crate) async fn merge_figures(
        &self,
        engine: &dyn Engine,
        table: &Table,
        own: &Figures,
        before: &Figures,
    ) -> Result<Option<Figures>, EngineError> {
        let row = CatalogRow::Figures(&table.id);
        let found = engine.get(row.key(), Read::Strong).await?;
        let stored: Figures = match &found {
            None => Figures::default(),
            Some(found) => stored::decode(&found.value).map_err(EngineError::Corrupt)?,
        };
        let change = own.minus(before);
        let all = stored.plus(&change);
        if all == stored {
            return Ok(Some(all));
        }
        let exists = Precondition {
            key: CatalogRow::Table(&table.name).key(),
            expect: table.row_version.map_or(Expect::Absent, Expect::At),
        };
        let as_found = Precondition { key: row.key(), expect: change::expect(found) };
        let commit = Commit {
            preconditions: vec![exists, as_found],
            mutations: vec![row.put(stored::encode(&all))],
            ..Commit::default()
        };
        match engine.commit(commit).await? {
            Outcome::Committed { .. } => Ok(Some(all)),
            Outcome::Conflict { .. } | Outcome::Closed { .. } | Outcome::Unknown => Ok(None),
        }
    }

    /// Whether nobody in this process works under an older snapshot of a table any more. What it commits
    /// from then on follows the present ones.
    pub(crate) fn nobody_is_behind(&self) -> bool {
        let mut superseded = self.superseded.lock();
        superseded.retain(|snapshot| snapshot.strong_count() > 0);
        // Pairs with the release of the last reference: what its holder committed is visible here.
        fence(Ordering::Acquire);
        superseded.is_empty()
    }

    /// A space that is to be dropped, if there is one.
    pub(crate) fn next_dropped(&self) -> Option<SpaceId> {
        self.dropped.lock().first().copied()
    }

    /// Whether there is a change whose end nobody here saw.
    pub(crate) fn is_unsettled(&self) -> bool {
        !self.unsettled.lock().is_empty()
    }

    /// How far the backfill of the index in this space got.
    pub(crate) async fn backfill_place(
        &self,
        engine: &dyn Engine,
        space: SpaceId,
    ) -> Result<Option<RowPlace>, EngineError> {
        let Some(row) = engine.get(CatalogRow::Backfill(space).key(), Read::Latest).await? else {
            return Ok(None);
        };
        let place: StoredPlace = stored::decode(&row.value).map_err(EngineError::Corrupt)?;
        Ok(Some(RowPlace { partition: place.partition.into(), sort: place.sort.into() }))
    }

    /// The mutation that says how far the backfill of the index in this space got.
    pub(crate) fn set_backfill_place(space: SpaceId, place: &RowPlace) -> Mutation {
        let place = StoredPlace { partition: place.partition.to_vec(), sort: place.sort.to_vec() };
        CatalogRow::Backfill(space).put(stored::encode(&place))
    }

    /// The commit that is made only for its position: after everything ordered before.
    pub(crate) fn cut() -> Commit {
        let mutations = vec![CatalogRow::Cut.put(stored::encode(&()))];
        Commit { mutations, ..Commit::default() }
    }

    /// The row of a stream.
    pub(crate) fn stream_row(stream: &Stream) -> Mutation {
        CatalogRow::Stream(stream).put(stored::encode(stream))
    }

    /// The absence of a stream's row.
    pub(crate) fn stream_gone(stream: &Stream) -> Mutation {
        CatalogRow::Stream(stream).delete()
    }

    /// The row of the marks.
    pub(crate) fn marks_row(marks: &Marks) -> Mutation {
        CatalogRow::Marks.put(stored::encode(marks))
    }

    /// Saves figures of tables, and whether later ones may get lost.
    pub(crate) async fn save_figures(
        &self,
        engine: &dyn Engine,
        figures: &[(String, Figures)],
        open: bool,
    ) -> Result<(), EngineError> {
        let row = |(id, figures): &(String, Figures)| {
            CatalogRow::Figures(id).put(stored::encode(figures))
        };
        let mut mutations: Vec<Mutation> = figures.iter().map(row).collect();
        mutations.push(if open {
            CatalogRow::Open.put(stored::encode(&()))
        } else {
            CatalogRow::Open.delete()
        });
        match engine.commit(Commit { mutations, ..Commit::default() }).await? {
            Outcome::Committed { position, .. } => engine.durable(position).await,
            Outcome::Conflict { .. } | Outcome::Closed { .. } | Outcome::Unknown => {
                Err(EngineError::Unavailable("the figures may not have been saved".to_owned()))
            }
        }
    }

    /// Makes these what readers see of the tables with these names.
    fn publish(&self, changes: Vec<(String, Option<Arc<Table>>)>) {
        if changes.is_empty() {
            return;
        }
        let mut tables = Tables::clone(&self.tables.load());
        let mut superseded = self.superseded.lock();
        superseded.retain(|snapshot| snapshot.strong_count() > 0);
        for (name, after) in changes {
            let before = match after {
                Some(table) => tables.insert(name, table),
                None => tables.remove(&name),
            };
            // Known as superseded before anybody can see that it is.
            superseded.extend(before.iter().map(Arc::downgrade));
        }
        self.tables.store(Arc::new(tables));
        drop(superseded);
        self.work.notify_one();
    }
}

/// Gives a snapshot that was read from the engine the counters of the one before it.
fn share_counters(before: &Table, after: &mut Table) {
    after.counters = Arc::clone(&before.counters);
    after.restored = Arc::clone(&before.restored);
    for index in &mut after.local_indexes {
        if let Some(old) = before.local_indexes.iter().find(|old| old.ordinal == index.ordinal) {
            index.counters = Arc::clone(&old.counters);
        }
    }
    for index in &mut after.global_indexes {
        if let Some(old) = before.global_indexes.iter().find(|old| old.space == index.space) {
            index.counters = Arc::clone(&old.counters);
        }
    }
    for index in &mut after.expiry_indexes {
        if let Some(old) = before.expiry_indexes.iter().find(|old| old.space == index.space) {
            index.due = Arc::clone(&old.due);
        }
    }
}

/// `ResourceNotFoundException` as the operations on items answer it.
fn not_found() -> ServiceError {
    ServiceError::new(ErrorCode::ResourceNotFound, "Requested resource not found")
}

/// `ResourceNotFoundException` as the operations on tables answer it.
pub(crate) fn table_not_found(name: &str) -> ServiceError {
    ServiceError::new(
        ErrorCode::ResourceNotFound,
        format!("Requested resource not found: Table: {name} not found"),
    )
}

/// `ResourceInUseException` of CreateTable.
pub(crate) fn table_exists(name: &str) -> ServiceError {
    ServiceError::new(ErrorCode::ResourceInUse, format!("Table already exists: {name}"))
}

#[expect(clippy::needless_pass_by_value, reason = "fits map_err")]
fn failed(error: EngineError) -> ServiceError {
    engine_failure(&error)
}

fn corrupt_row(what: String) -> ServiceError {
    engine_failure(&EngineError::Corrupt(what))
}

fn unknown_outcome() -> ServiceError {
    engine_failure(&EngineError::Unavailable("the outcome of a commit is unknown".to_owned()))
}

pub(crate) fn contended() -> ServiceError {
    engine_failure(&EngineError::Unavailable("the catalogue changes too often".to_owned()))
}
