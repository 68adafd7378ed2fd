//! The catalogue: which tables exist, and what they look like.
//!
//! # Reading
//!
//! [`Catalog::table`] is on the path of every request: it is a lookup in an immutable map, without
//! a lock. A caller holds the `Arc<Table>` until its commit is ordered. A change publishes a new
//! snapshot; [`Catalog::is_superseded`] says when nobody works under an older one any more, which is
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
//! | `d` | space id | nothing: the space is to be dropped |
//! | `b` | space id | how far the backfill of the index in that space got |
//! | `f` | table id | the table's figures when they were last saved |
//! | `s` | table name, `/`, stream label | the [`Stream`] |
//! | `k` | | [`Marks`]: how old the records of streams are |
//! | `x` | | nothing: written to know a position in the order of commits |
//! | `o` | | nothing: the figures since were not saved, so they are to be recounted |
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

mod arn;
mod expiry;
mod stored;
mod stream;
mod table;

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use bytes::Bytes;
use minicbor::{Decode, Encode};
use parking_lot::Mutex;
use tokio::sync::{MutexGuard, Notify};
use zenobe_model::operation::ResourceStatus;
use zenobe_model::{ErrorCode, ServiceError};
use zenobe_storage::{
    Commit, Direction, Engine, EngineError, Expect, Key, Lane, Mutation, Outcome, PageLimit,
    Precondition, RangeRead, Read, Row, RowPlace, SortBound, SpaceId, Version,
};

pub(crate) use self::arn::{ArnProblem, parse as parse_arn, table_arn};
pub use self::expiry::ExpiryIndex;
pub(crate) use self::expiry::Look;
pub(crate) use self::stream::{Marks, mix};
pub use self::stream::{Shard, ShardEnd, ShardName, Stream};
pub(crate) use self::table::Upkeep;
pub use self::table::{
    Counters, Encryption, GlobalIndex, Index, IndexProjection, IndexState, KeyAttribute, KeySchema,
    LocalIndex, Table,
};
use crate::stream::{Streams, Writer};
use crate::{DatabaseConfig, OpenError, engine_failure};

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

/// The tables.
pub struct Catalog {
    tables: ArcSwap<Tables>,
    region: String,
    account_id: String,
    /// Held by whoever changes the catalogue: one change at a time in this process.
    changing: tokio::sync::Mutex<()>,
    /// Older snapshots that somebody may still work under, by table id.
    superseded: Mutex<HashMap<String, Vec<Weak<Table>>>>,
    /// Spaces that nothing refers to any more.
    dropped: Mutex<BTreeSet<SpaceId>>,
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

/// A row of the catalogue.
enum CatalogRow<'a> {
    NextSpace,
    Table(&'a str),
    Drop(SpaceId),
    Backfill(SpaceId),
    Figures(&'a str),
    Stream(&'a Stream),
    Marks,
    Cut,
    Open,
}

impl CatalogRow<'_> {
    fn key(&self) -> Key {
        let stream_name;
        let (kind, rest): (u8, &[u8]) = match self {
            Self::NextSpace => (b'c', &[]),
            Self::Table(name) => (b't', name.as_bytes()),
            Self::Drop(space) => (b'd', &space.0.to_be_bytes()),
            Self::Backfill(space) => (b'b', &space.0.to_be_bytes()),
            Self::Figures(table_id) => (b'f', table_id.as_bytes()),
            Self::Stream(stream) => {
                // A table's name has no slash.
                stream_name = format!("{}/{}", stream.table_name, stream.label);
                (b's', stream_name.as_bytes())
            }
            Self::Marks => (b'k', &[]),
            Self::Cut => (b'x', &[]),
            Self::Open => (b'o', &[]),
        };
        let mut sort = Vec::with_capacity(1 + rest.len());
        sort.push(kind);
        sort.extend_from_slice(rest);
        let partition = Bytes::from_static(PARTITION);
        Key { space: SPACE, partition, lane: Lane::ITEM, sort: Bytes::from(sort) }
    }

    fn put(&self, value: Bytes) -> Mutation {
        Mutation { key: self.key(), value: Some(value) }
    }

    fn delete(&self) -> Mutation {
        Mutation { key: self.key(), value: None }
    }
}

/// How far a backfill got: the place of the last item that was looked at.
#[derive(Clone, Debug, Encode, Decode)]
struct StoredPlace {
    #[cbor(n(0), with = "minicbor::bytes")]
    partition: Vec<u8>,
    #[cbor(n(1), with = "minicbor::bytes")]
    sort: Vec<u8>,
}

/// The figures of a table and its indexes, as saved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Figures {
    /// Items and bytes of the table.
    #[n(0)]
    table: (i64, i64),
    /// Items and bytes of each local secondary index, by ordinal.
    #[n(1)]
    local: Vec<(u8, i64, i64)>,
    /// Items and bytes of each global secondary index, by space.
    #[n(2)]
    global: Vec<(u64, i64, i64)>,
}

impl Figures {
    /// The figures as they are now.
    pub(crate) fn of(table: &Table) -> Self {
        let local = |index: &LocalIndex| {
            let (items, bytes) = index.counters.signed();
            (index.ordinal, items, bytes)
        };
        let global = |index: &GlobalIndex| {
            let (items, bytes) = index.counters.signed();
            (index.space.0, items, bytes)
        };
        Self {
            table: table.counters.signed(),
            local: table.local_indexes.iter().map(local).collect(),
            global: table.global_indexes.iter().map(global).collect(),
        }
    }

    fn restore(&self, table: &Table) {
        table.counters.add(self.table.0, self.table.1);
        for index in &table.local_indexes {
            let saved = self.local.iter().find(|(ordinal, ..)| *ordinal == index.ordinal);
            if let Some((_, items, bytes)) = saved {
                index.counters.add(*items, *bytes);
            }
        }
        for index in &table.global_indexes {
            let saved = self.global.iter().find(|(space, ..)| *space == index.space.0);
            if let Some((_, items, bytes)) = saved {
                index.counters.add(*items, *bytes);
            }
        }
    }
}

/// What a change does to a table's row and beside it, in one commit.
#[derive(Debug, Default)]
pub(crate) struct Edit {
    /// The table after the change; `None` removes it.
    pub(crate) table: Option<Table>,
    /// Spaces that nothing refers to after the change.
    pub(crate) drop: Vec<SpaceId>,
    /// Spaces that were allocated and that the table refers to after the change.
    pub(crate) keep: Vec<SpaceId>,
    /// Spaces whose backfill is over.
    pub(crate) backfilled: Vec<SpaceId>,
    /// Rows of the table's stream.
    pub(crate) rows: Vec<Mutation>,
}

impl From<Table> for Edit {
    fn from(table: Table) -> Self {
        Self { table: Some(table), ..Self::default() }
    }
}

/// A table before and after a change.
#[derive(Debug)]
pub(crate) struct Changed {
    pub(crate) before: Arc<Table>,
    pub(crate) after: Option<Arc<Table>>,
}

/// The right to change the catalogue, held for the length of one change.
pub(crate) struct Changer<'a> {
    catalog: &'a Catalog,
    engine: &'a dyn Engine,
    /// Whether a change before this one was given up and is still to be settled.
    owing: bool,
    _alone: MutexGuard<'a, ()>,
}

impl Catalog {
    /// Reads the catalogue that the engine holds.
    pub(crate) async fn open(
        engine: &dyn Engine,
        config: &DatabaseConfig,
    ) -> Result<Self, OpenError> {
        engine.create_space(SPACE).await?;
        let mut tables = Tables::new();
        let mut dropped = BTreeSet::new();
        let mut figures_lost = false;
        let mut figures: HashMap<String, Figures> = HashMap::new();
        let (mut streams, mut marks): (Vec<Stream>, Marks) = Default::default();
        for (place, row) in read_all(engine).await? {
            match place.sort.split_first() {
                Some((b't', _)) => {
                    let mut table: Table = decode(&place, &row)?;
                    table.arn = table_arn(&config.region, &config.account_id, &table.name);
                    table.row_version = Some(row.version);
                    tables.insert(table.name.clone(), Arc::new(table));
                }
                Some((b'd', space)) => {
                    dropped.insert(space_of(&place, space)?);
                }
                Some((b'f', id)) => {
                    figures.insert(String::from_utf8_lossy(id).into_owned(), decode(&place, &row)?);
                }
                Some((b'o', _)) => figures_lost = true,
                Some((b's', _)) => streams.push(decode(&place, &row)?),
                Some((b'k', _)) => marks = decode(&place, &row)?,
                Some((b'c' | b'b' | b'x', _)) => {}
                _ => return Err(corrupt(&place, "a row of an unknown kind")),
            }
        }
        for table in tables.values() {
            if let Some(figures) = figures.get(&table.id) {
                figures.restore(table);
            }
        }
        let streams = Streams::restored(streams, marks);
        for table in tables.values_mut() {
            if let Some(stream) = streams.of_table(table)
                && let Some(table) = Arc::get_mut(table)
            {
                table.writer = Writer::of(&stream);
            }
        }
        Ok(Self {
            streams,
            tables: ArcSwap::from_pointee(tables),
            region: config.region.clone(),
            account_id: config.account_id.clone(),
            changing: tokio::sync::Mutex::new(()),
            superseded: Mutex::default(),
            dropped: Mutex::new(dropped),
            unsettled: Mutex::default(),
            work: Notify::new(),
            figures_lost,
        })
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
            _ => {
                Err(ServiceError::new(ErrorCode::ResourceNotFound, "Requested resource not found"))
            }
        }
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

    /// Whether nobody works under an older snapshot of this table any more. What this process
    /// commits from then on follows the present one.
    pub(crate) fn is_superseded(&self, table_id: &str) -> bool {
        let mut superseded = self.superseded.lock();
        let Some(older) = superseded.get_mut(table_id) else { return true };
        older.retain(|snapshot| snapshot.strong_count() > 0);
        if !older.is_empty() {
            return false;
        }
        superseded.remove(table_id);
        // Pairs with the release of the last reference: what its holder committed is visible here.
        fence(Ordering::Acquire);
        true
    }

    /// A space that is to be dropped, if there is one.
    pub(crate) fn next_dropped(&self) -> Option<SpaceId> {
        self.dropped.lock().first().copied()
    }

    /// Whether there is a change whose end nobody here saw.
    pub(crate) fn is_unsettled(&self) -> bool {
        !self.unsettled.lock().is_empty()
    }

    /// Waits for the right to change the catalogue.
    pub(crate) async fn change<'a>(&'a self, engine: &'a dyn Engine) -> Changer<'a> {
        let alone = self.changing.lock().await;
        Changer { catalog: self, engine, owing: self.is_unsettled(), _alone: alone }
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

    /// Makes `after` what readers see of the table with this name.
    fn publish(&self, name: &str, after: Option<Arc<Table>>) {
        let mut tables = Tables::clone(&self.tables.load());
        let before = match after {
            Some(table) => tables.insert(name.to_owned(), table),
            None => tables.remove(name),
        };
        // Known as superseded before anybody can see that it is.
        if let Some(before) = before {
            let mut superseded = self.superseded.lock();
            let older = superseded.entry(before.id.clone()).or_default();
            older.retain(|snapshot| snapshot.strong_count() > 0);
            older.push(Arc::downgrade(&before));
        }
        self.tables.store(Arc::new(tables));
        self.work.notify_one();
    }
}

impl Drop for Changer<'_> {
    fn drop(&mut self) {
        if self.catalog.is_unsettled() {
            self.catalog.work.notify_one();
        }
    }
}

impl Changer<'_> {
    /// Takes space ids that were never used and creates their spaces, for the table with this name.
    /// Until a change keeps them they are among those to be dropped.
    pub(crate) async fn allocate(
        &self,
        name: &str,
        count: usize,
    ) -> Result<Vec<SpaceId>, ServiceError> {
        self.catalog.unsettled.lock().insert(name.to_owned());
        let counter = CatalogRow::NextSpace.key();
        for _ in 0..CONFLICT_RETRIES_MAX {
            let row = self.engine.get(counter.clone(), Read::Latest).await.map_err(failed)?;
            let next = match &row {
                None => FIRST_TABLE_SPACE,
                Some(row) => stored::decode(&row.value).map_err(corrupt_row)?,
            };
            let spaces: Vec<SpaceId> = (next..).take(count).map(SpaceId).collect();
            let after = next.saturating_add(spaces.len() as u64);
            let mut mutations = vec![CatalogRow::NextSpace.put(stored::encode(&after))];
            mutations.extend(spaces.iter().map(|space| drop_row(*space)));
            let preconditions = vec![Precondition { key: counter.clone(), expect: expect(row) }];
            let commit = Commit { preconditions, mutations, ..Commit::default() };
            match self.engine.commit(commit).await.map_err(failed)? {
                // Durable with the change that keeps the spaces, which comes after it.
                Outcome::Committed { .. } => {
                    for space in &spaces {
                        self.engine.create_space(*space).await.map_err(failed)?;
                    }
                    return Ok(spaces);
                }
                Outcome::Conflict { .. } => {}
                Outcome::Closed { .. } | Outcome::Unknown => return Err(unknown_outcome()),
            }
        }
        Err(contended())
    }

    /// Adds a table that does not exist, with the row of its stream.
    pub(crate) async fn create(
        &self,
        table: Table,
        rows: Vec<Mutation>,
    ) -> Result<Arc<Table>, ServiceError> {
        let name = table.name.clone();
        let edit = Edit { keep: table.spaces().collect(), rows, ..Edit::from(table) };
        match self.commit(&name, None, edit).await? {
            Some(after) => after.ok_or_else(ServiceError::internal),
            None => Err(table_exists(&name)),
        }
    }

    /// Changes a table. `change` is pure and may run again.
    pub(crate) async fn update(
        &self,
        name: &str,
        change: impl Fn(&Table) -> Result<Edit, ServiceError>,
    ) -> Result<Changed, ServiceError> {
        for _ in 0..CONFLICT_RETRIES_MAX {
            let before = self.catalog.find(name).ok_or_else(|| table_not_found(name))?;
            let edit = change(&before)?;
            if let Some(after) = self.commit(name, Some(&before), edit).await? {
                return Ok(Changed { before, after });
            }
        }
        Err(contended())
    }

    /// Changes rows that only whoever holds this right changes; they are durable then.
    pub(crate) async fn put_rows(&self, mutations: Vec<Mutation>) -> Result<(), ServiceError> {
        let commit = Commit { mutations, ..Commit::default() };
        match self.engine.commit(commit).await.map_err(failed)? {
            Outcome::Committed { position, .. } => {
                self.engine.durable(position).await.map_err(failed)
            }
            Outcome::Conflict { .. } | Outcome::Closed { .. } | Outcome::Unknown => {
                Err(unknown_outcome())
            }
        }
    }

    /// Forgets a space that was dropped.
    pub(crate) async fn forget_dropped(&self, space: SpaceId) -> Result<(), EngineError> {
        let mutations =
            vec![CatalogRow::Drop(space).delete(), CatalogRow::Backfill(space).delete()];
        self.engine.commit(Commit { mutations, ..Commit::default() }).await?;
        self.catalog.dropped.lock().remove(&space);
        Ok(())
    }

    /// Finds out how changes ended that were given up half-way.
    pub(crate) async fn settle(&self) -> Result<(), ServiceError> {
        loop {
            let Some(name) = self.catalog.unsettled.lock().first().cloned() else {
                return Ok(());
            };
            let before = self.catalog.find(&name);
            self.reload(&name, before.as_deref()).await?;
            let mut streams: Vec<Stream> = Vec::new();
            // Nobody is creating a table now, so every such space is left over.
            for (place, row) in read_all(self.engine).await.map_err(failed)? {
                match place.sort.split_first() {
                    Some((b'd', space)) => {
                        let space =
                            space_of(&place, space).map_err(|e| corrupt_row(e.to_string()))?;
                        self.catalog.dropped.lock().insert(space);
                    }
                    Some((b's', _)) => {
                        streams.push(stored::decode(&row.value).map_err(corrupt_row)?);
                    }
                    _ => {}
                }
            }
            self.catalog.streams.replace_all(streams);
            if let Some(table) = self.catalog.find(&name) {
                table.writer.follow(self.catalog.streams.of_table(&table).as_deref()).await;
            }
            self.catalog.unsettled.lock().remove(&name);
        }
    }

    /// Commits an edit and publishes it. `None`: the row is not as `before` says; it was read again.
    async fn commit(
        &self,
        name: &str,
        before: Option<&Table>,
        edit: Edit,
    ) -> Result<Option<Option<Arc<Table>>>, ServiceError> {
        let key = CatalogRow::Table(name).key();
        let mut mutations = vec![match &edit.table {
            Some(table) => CatalogRow::Table(name).put(stored::encode(table)),
            None => CatalogRow::Table(name).delete(),
        }];
        if edit.table.is_none()
            && let Some(before) = before
        {
            mutations.push(CatalogRow::Figures(&before.id).delete());
        }
        mutations.extend(edit.keep.iter().map(|space| CatalogRow::Drop(*space).delete()));
        mutations.extend(edit.drop.iter().map(|space| drop_row(*space)));
        mutations.extend(edit.backfilled.iter().map(|space| CatalogRow::Backfill(*space).delete()));
        mutations.extend(edit.rows);
        let version = before.and_then(|table| table.row_version);
        let expect = version.map_or(Expect::Absent, Expect::At);
        let preconditions = vec![Precondition { key: key.clone(), expect }];
        let commit = Commit { preconditions, mutations, ..Commit::default() };
        self.catalog.unsettled.lock().insert(name.to_owned());
        match self.engine.commit(commit).await.map_err(failed)? {
            Outcome::Committed { position, version } => {
                self.engine.durable(position).await.map_err(failed)?;
                let after = edit.table.map(|table| self.snapshot(table, version));
                self.catalog.publish(name, after.clone());
                self.catalog.dropped.lock().extend(edit.drop);
                if !self.owing {
                    self.catalog.unsettled.lock().remove(name);
                }
                Ok(Some(after))
            }
            Outcome::Conflict { .. } => {
                self.reload(name, before).await?;
                Ok(None)
            }
            Outcome::Closed { .. } | Outcome::Unknown => Err(unknown_outcome()),
        }
    }

    /// Publishes a table as it is stored.
    async fn reload(&self, name: &str, before: Option<&Table>) -> Result<(), ServiceError> {
        let key = CatalogRow::Table(name).key();
        let row = self.engine.get(key, Read::Strong).await.map_err(failed)?;
        let table = match row {
            None => None,
            Some(row) => {
                let mut table: Table = stored::decode(&row.value).map_err(corrupt_row)?;
                if let Some(before) = before.filter(|before| before.id == table.id) {
                    share_counters(before, &mut table);
                    table.writer = Arc::clone(&before.writer);
                }
                Some(self.snapshot(table, row.version))
            }
        };
        self.catalog.publish(name, table);
        Ok(())
    }

    fn snapshot(&self, mut table: Table, version: Version) -> Arc<Table> {
        table.row_version = Some(version);
        table.arn = self.catalog.arn(&table.name);
        Arc::new(table)
    }
}

/// Gives a snapshot that was read from the engine the counters of the one before it.
fn share_counters(before: &Table, after: &mut Table) {
    after.counters = Arc::clone(&before.counters);
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

fn drop_row(space: SpaceId) -> Mutation {
    CatalogRow::Drop(space).put(stored::encode(&()))
}

fn expect(row: Option<Row>) -> Expect {
    row.map_or(Expect::Absent, |row| Expect::At(row.version))
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

fn contended() -> ServiceError {
    engine_failure(&EngineError::Unavailable("the catalogue changes too often".to_owned()))
}

fn corrupt(place: &RowPlace, what: impl std::fmt::Display) -> OpenError {
    OpenError::CorruptCatalog(format!("row {}: {what}", place.sort.escape_ascii()))
}

fn decode<T: for<'b> Decode<'b, ()>>(place: &RowPlace, row: &Row) -> Result<T, OpenError> {
    stored::decode(&row.value).map_err(|what| corrupt(place, what))
}

fn space_of(place: &RowPlace, bytes: &[u8]) -> Result<SpaceId, OpenError> {
    let bytes: [u8; 8] = bytes.try_into().map_err(|_| corrupt(place, "a malformed space id"))?;
    Ok(SpaceId(u64::from_be_bytes(bytes)))
}

async fn read_all(engine: &dyn Engine) -> Result<Vec<(RowPlace, Row)>, EngineError> {
    let mut rows = Vec::new();
    let mut from = SortBound::Unbounded;
    loop {
        let range = RangeRead {
            space: SPACE,
            partition: Bytes::from_static(PARTITION),
            lane: Lane::ITEM,
            from,
            to: SortBound::Unbounded,
            direction: Direction::Forward,
            limit: PAGE,
        };
        let page = engine.range(range, Read::Strong).await?;
        let last = page.rows.last().map(|(place, _)| place.sort.clone());
        rows.extend(page.rows);
        match last {
            Some(last) if !page.end => from = SortBound::Excluded(last),
            _ => return Ok(rows),
        }
    }
}
