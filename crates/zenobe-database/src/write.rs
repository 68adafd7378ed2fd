//! The one write path: every change of an item goes through [`write_all`].
//!
//! # The algorithm
//!
//! 1. Take the latches of the items' keys.
//! 2. Read the items as they are ([`Read::Latest`]).
//! 3. Apply each write to its item. [`ItemWrite::apply`] is pure: it may run again.
//! 4. Commit the new items, the index entries that follow from them, the sizes of their item
//!    collections and the records of their streams ([`crate::stream`]) at once, on the precondition that the items are still as they were read.
//! 5. Drop the latches, wait until the commit is durable, answer. On a conflict (another process was
//!    quicker) start again at 1.
//!
//! A transaction is the same with more items, and with a [`Rider`] in the commit: its token. On an
//! engine that does not commit across partitions `transact` takes these steps apart into two phases
//! if they concern several; there, every write also expects that no transaction has left an intent
//! beside its item.
//!
//! Example: a counter is at version 7 with `n = 4`. Two clients add 1. The first takes the latch,
//! reads version 7, commits `n = 5` expecting version 7, and drops the latch; its answer waits for
//! the disk. The second reads `n = 5` at version 8 without waiting for the disk, and commits `n = 6`
//! expecting version 8. Its answer waits for its own, later, commit, which is durable only when the
//! first one is.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use zenobe_model::capacity::HalfUnits;
use zenobe_model::codec::ItemHeader;
use zenobe_model::compile;
use zenobe_model::error::Detail;
use zenobe_model::expression::{Condition, Update, too_large};
use zenobe_model::limits::ITEM_SIZE_BYTES_MAX;
use zenobe_model::{EncodedItem, ErrorCode, Item, ServiceError};
use zenobe_storage::{
    Commit, EngineError, Expect, Key, Mutation, Outcome, Position, Precondition, Read, Row,
    RowPlace,
};

use crate::background::make_good;
use crate::catalog::{Places, ScanPlace, SizeChange, Table};
use crate::fault::Fault;
use crate::index::{self, IndexChange};
use crate::key::{self, IndexKeyOrigin};
use crate::stream::Entered;
use crate::{Inner, engine_failure, join, stream, transact, ttl};

/// How often a write starts again because another process changed an item under it.
pub(crate) const CONFLICT_RETRIES_MAX: usize = 64;
/// The most bytes of items and projected items in one item collection.
const COLLECTION_BYTES_MAX: u64 = 10 << 30;

/// One write of one item.
#[derive(Clone, Debug)]
pub struct ItemWrite {
    /// The table as it was when the request was planned.
    pub table: Arc<Table>,
    /// Where the item lives.
    pub place: RowPlace,
    /// What to do.
    pub change: Change,
    /// What must hold of the item before.
    pub condition: Option<Condition>,
    /// Whether the error of a failed condition carries the item.
    pub return_item_on_failure: bool,
    /// Who wants it.
    pub origin: Origin,
    /// Whether the item before is part of the answer.
    pub answers_old: bool,
}

/// Who wants a write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// A client's request.
    #[default]
    Request,
    /// The end of the item's time to live. The record in the table's stream says so.
    TimeToLive,
}

/// What a write does to its item.
#[derive(Clone, Debug)]
pub enum Change {
    /// Replaces the item by this one; its header is that of the write.
    Put(NewItem),
    /// Changes attributes of the item, which is made from its key if it does not exist.
    Update {
        /// The item's key attributes.
        key: Item,
        /// The changes; `None` makes the item from its key, or leaves it as it is.
        update: Option<Update>,
    },
    /// Removes the item.
    Delete {
        /// The item's key attributes.
        key: Item,
    },
    /// Leaves the item alone: only the condition counts.
    Check {
        /// The item's key attributes.
        key: Item,
    },
}

/// An item to put. It gets the header of its write where it is, as long as no earlier attempt shares its
/// bytes: an item is large, and was written once already.
#[derive(Debug)]
pub struct NewItem(Mutex<EncodedItem>);

impl NewItem {
    fn with_header(&self, header: ItemHeader) -> EncodedItem {
        let mut item = self.0.lock();
        item.set_header(header);
        item.clone()
    }

    /// The item; its header is that of its last attempt.
    pub(crate) fn item(&self) -> EncodedItem {
        self.0.lock().clone()
    }
}

impl From<EncodedItem> for NewItem {
    fn from(item: EncodedItem) -> Self {
        Self(Mutex::new(item))
    }
}

impl Clone for NewItem {
    fn clone(&self) -> Self {
        self.item().into()
    }
}

/// What a write did.
#[derive(Clone, Debug)]
pub struct Written {
    /// The item before, where the write looked into it or answers it.
    pub old: Option<EncodedItem>,
    /// The size of the item before.
    pub old_size_bytes: Option<usize>,
    /// The item after.
    pub new: Option<EncodedItem>,
    /// What the table consumed.
    pub table_units: HalfUnits,
    /// What it did to the table's indexes.
    pub indexes: Vec<IndexChange>,
    /// The size of the item collection in bytes, for tables with local secondary indexes.
    pub collection_bytes: Option<u64>,
}

/// A row that a commit writes beside its items: the token of a transaction.
#[derive(Clone, Debug)]
pub(crate) struct Rider {
    /// The row's key.
    pub(crate) key: Key,
    /// The row as it was read.
    pub(crate) before: Option<Row>,
    /// What to write, never the same twice.
    pub(crate) value: Bytes,
}

/// Why writes were not made.
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    /// For the request as a whole.
    Request(ServiceError),
    /// For what these actions found, one entry for each.
    Actions(Vec<Option<ServiceError>>),
    /// Somebody else has written the rider's row.
    Rider,
    /// Other processes have changed the items all the time.
    Contended,
    /// One commit of the engine cannot hold them all.
    TooLarge,
}

impl Refusal {
    /// The error of a request that is no transaction: that of its first action which has one.
    fn into_first(self) -> ServiceError {
        match self {
            Self::Request(error) => error,
            Self::Actions(actions) => {
                actions.into_iter().flatten().next().unwrap_or_else(ServiceError::internal)
            }
            Self::Rider | Self::Contended | Self::TooLarge => ServiceError::internal(),
        }
    }
}

impl From<ServiceError> for Refusal {
    fn from(error: ServiceError) -> Self {
        Self::Request(error)
    }
}

impl ItemWrite {
    /// A client's write without a condition.
    #[must_use]
    pub fn new(table: Arc<Table>, place: RowPlace, change: Change) -> Self {
        Self {
            table,
            place,
            change,
            condition: None,
            return_item_on_failure: false,
            origin: Origin::Request,
            answers_old: true,
        }
    }

    /// The item after this write, given the item before. Pure.
    fn apply(
        &self,
        old: Option<&EncodedItem>,
        header: ItemHeader,
    ) -> Result<Option<EncodedItem>, Fault> {
        if let Some(condition) = &self.condition
            && !condition.evaluate(old)?
        {
            return Err(self.condition_failed(old).into());
        }
        let new = match (&self.change, old) {
            (Change::Delete { .. }, _) => return Ok(None),
            (Change::Check { .. }, old) => return Ok(old.cloned()),
            (Change::Put(item), _) => item.with_header(header),
            // Removing from an item that does not exist does not make it, whatever is removed.
            (Change::Update { update: Some(update), .. }, None) if update.only_removes() => {
                return Ok(None);
            }
            (Change::Update { key, update: Some(update) }, None) => {
                EncodedItem::encode(&update.apply(key)?, header)
            }
            (Change::Update { update: Some(update), .. }, Some(old)) => {
                update.apply_encoded(old, header)?
            }
            (Change::Update { key, update: None }, None) => EncodedItem::encode(key, header),
            (Change::Update { update: None, .. }, Some(old)) => old.with_header(header),
        };
        if new.size_bytes() > ITEM_SIZE_BYTES_MAX {
            return Err(match self.change {
                Change::Update { .. } => too_large(),
                _ => ServiceError::validation("Item size has exceeded the maximum allowed size"),
            }
            .into());
        }
        if let Change::Update { .. } = self.change {
            let value_of = |name: &str| key::of_encoded(&new, name);
            key::check_index_keys(&self.table, IndexKeyOrigin::Update, value_of)?;
        }
        Ok(Some(new))
    }

    fn condition_failed(&self, old: Option<&EncodedItem>) -> ServiceError {
        let mut error =
            ServiceError::new(ErrorCode::ConditionalCheckFailed, "The conditional request failed");
        if self.return_item_on_failure
            && let Some(item) = old
        {
            error.detail = Detail::Item(item.clone());
        }
        error
    }

    /// Whether anything depends on what the item holds before, beside its size.
    fn looks_into_old(&self) -> bool {
        self.condition.is_some()
            || matches!(self.change, Change::Update { .. })
            || !self.table.local_indexes.is_empty()
            || self.table.spaces().nth(1).is_some()
            || self.table.stream.is_some()
    }

    /// Whether of the item before no more than its version and its size are needed.
    fn replaces_blindly(&self) -> bool {
        !self.answers_old && !self.is_check() && !self.looks_into_old()
    }

    /// The key of the item.
    pub(crate) fn key(&self) -> Key {
        key::item_key(&self.table, self.place.clone())
    }

    /// Whether the write leaves its item alone.
    pub(crate) const fn is_check(&self) -> bool {
        matches!(self.change, Change::Check { .. })
    }

    /// The key of the row that counts the item's collection, if its table counts collections.
    fn collection_key(&self) -> Option<Key> {
        (!self.table.local_indexes.is_empty() && !self.is_check()).then(|| Key {
            space: self.table.space,
            partition: self.place.partition.clone(),
            lane: key::COLLECTION_LANE,
            sort: Bytes::new(),
        })
    }
}

/// Makes all writes, in one commit where the engine can. No two of them may name the same item.
///
/// # Errors
/// The first error of a write, or of the engine.
pub(crate) async fn write_all(
    db: &Inner,
    writes: &[ItemWrite],
) -> Result<Vec<Written>, ServiceError> {
    match commit_all(db, writes, None, usize::MAX).await {
        // Nobody counts on it that this is one commit.
        Err(Refusal::TooLarge) => write_each(db, writes).await.into_iter().collect(),
        made => made.map_err(Refusal::into_first),
    }
}

/// Makes each write by itself, all at once; each has its own result.
pub(crate) async fn write_each(
    db: &Inner,
    writes: &[ItemWrite],
) -> Vec<Result<Written, ServiceError>> {
    let mut made = Vec::with_capacity(writes.len());
    for write in writes {
        made.push(write_one(db, write));
    }
    join::all(made).await
}

async fn write_one(db: &Inner, write: &ItemWrite) -> Result<Written, ServiceError> {
    let written = commit_all(db, std::slice::from_ref(write), None, usize::MAX).await;
    let written = written.map_err(Refusal::into_first)?;
    written.into_iter().next().ok_or_else(ServiceError::internal)
}

/// Makes all writes or none in one commit, with the rider, if there is one. No two of the writes may
/// name the same item, and the new items be of more than `bytes_max` bytes together.
///
/// # Errors
/// [`Refusal`]: every action is looked at, and all that is wrong with them is said.
pub(crate) async fn commit_all(
    db: &Inner,
    writes: &[ItemWrite],
    rider: Option<&Rider>,
    bytes_max: usize,
) -> Result<Vec<Written>, Refusal> {
    let mut doubts = Vec::new();
    let made = commit_doubting(db, writes, rider, bytes_max, &mut doubts).await;
    match made {
        // One of the commits may have happened: whatever went wrong then, nobody can say that nothing did.
        Err(refusal) if !doubts.is_empty() && !matches!(refusal, Refusal::Rider) => {
            tracing::warn!(?refusal, "the outcome of a write is unknown");
            Err(ServiceError::internal().into())
        }
        made => made,
    }
}

async fn commit_doubting(
    db: &Inner,
    writes: &[ItemWrite],
    rider: Option<&Rider>,
    bytes_max: usize,
    doubts: &mut Vec<Doubt>,
) -> Result<Vec<Written>, Refusal> {
    let mut keys = Keys::of(db, writes);
    for _ in 0..CONFLICT_RETRIES_MAX {
        let latches = db.latches.lock(&keys.all).await;
        let rows = keys.depth.read(db, &keys.all).await?;
        if !doubts.is_empty()
            && let Some(written) = settle(db, &keys, &rows, doubts).await?
        {
            count(db, writes, &written, None);
            return Ok(written);
        }
        if let Some(intent) = keys.first_intent(&rows) {
            drop(latches);
            transact::meet_for(db, writes, intent).await?;
            continue;
        }
        let header = header(db);
        let mut plan = match Plan::make(writes, &keys, &rows, header, bytes_max) {
            Ok(plan) => plan,
            Err(refusal) => {
                drop(latches);
                await_durable(db, &keys.all).await?;
                return Err(refusal);
            }
        };
        let streams = Entered::enter(writes.iter().map(|write| &write.table)).await;
        let records = streams.records(db, writes, &plan.written, header.timestamp >> 16);
        let begun_ms = db.environment.elapsed_ms();
        db.catalog.check_may_commit(db, writes.iter().map(|write| &*write.table))?;
        let commit = Commit { records, ..plan.take_commit(&keys, &rows, rider) };
        let outcome = match db.engine.commit(commit).await {
            Err(EngineError::TooLarge(_)) if writes.len() > 1 => return Err(Refusal::TooLarge),
            outcome => outcome.map_err(|error| engine_failure(&error))?,
        };
        drop(streams);
        if let Outcome::Committed { position, .. } = outcome {
            count(db, writes, &plan.written, Some(position));
        }
        drop(latches);
        match outcome {
            Outcome::Committed { position, .. } => {
                if db.catalog.may_be_late(db, begun_ms) {
                    make_good(db, writes, &plan.written).await?;
                }
                db.engine.durable(position).await.map_err(|e| engine_failure(&e))?;
                return Ok(plan.written);
            }
            Outcome::Conflict { key, .. } if rider.is_some_and(|rider| rider.key == key) => {
                let ours = find_rider(db, rider, doubts).await?;
                let Some(written) = ours else { return Err(Refusal::Rider) };
                count(db, writes, &written, None);
                return Ok(written);
            }
            Outcome::Conflict { .. } => {}
            Outcome::Closed { shard } => {
                stream::meet_cut(db, shard).await?;
                db.catalog.check_still_there(writes.iter().map(|write| &*write.table))?;
            }
            Outcome::Unknown => {
                // The plan is the same whenever it is made of the same rows and header.
                let mut again = Plan::make(writes, &keys, &rows, header, bytes_max)?;
                let intended = again.take_commit(&keys, &rows, rider);
                doubts.push(Doubt::new(rows, intended.mutations, plan.written, writes));
                keys.depth = Depth::Items;
            }
        }
    }
    tracing::warn!("a write met too many conflicts");
    Err(Refusal::Contended)
}

/// The header of what is written now.
pub(crate) fn header(db: &Inner) -> ItemHeader {
    ItemHeader { timestamp: db.clock.next(db.environment.now_ms()), ..ItemHeader::default() }
}

/// Counts what was written in the figures of the tables and their indexes, and takes note of when
/// it expires. While the latches are held, so that who counts again can wait for it.
pub(crate) fn count(
    db: &Inner,
    writes: &[ItemWrite],
    written: &[Written],
    commit: Option<Position>,
) {
    let size = |item: &Option<EncodedItem>| item.as_ref().map(EncodedItem::size_bytes);
    for (write, written) in writes.iter().zip(written) {
        let change =
            SizeChange { old_bytes: written.old_size_bytes, new_bytes: size(&written.new) };
        write.table.counters.record(change, commit, || {
            let place = ScanPlace::new(db.engine.as_ref(), write.place.clone());
            Places { old: Some(place.clone()), new: Some(place) }
        });
        ttl::note(&write.table, &write.place, written.new.as_ref());
        for index in &written.indexes {
            let change = SizeChange { old_bytes: index.old_bytes, new_bytes: index.new_bytes };
            index.counters.record(change, commit, || {
                let place = |item: &Option<EncodedItem>| {
                    let place = index::entry_place(&write.table, index, item.as_ref()?)?;
                    Some(ScanPlace::new(db.engine.as_ref(), place))
                };
                Places { old: place(&written.old), new: place(&written.new) }
            });
        }
    }
}

/// The keys that a write reads and expects: the items, the item collections, the intents.
pub(crate) struct Keys {
    pub(crate) all: Vec<Key>,
    /// For each write the ordinal of its collection in `all`.
    collections: Vec<Option<usize>>,
    /// Where in `all` the intents begin. An engine with a global commit has none.
    intents: usize,
    /// How much to read of them.
    depth: Depth,
}

impl Keys {
    pub(crate) fn of(db: &Inner, writes: &[ItemWrite]) -> Self {
        let mut all: Vec<Key> = writes.iter().map(ItemWrite::key).collect();
        let mut known: BTreeMap<Key, usize> = BTreeMap::new();
        let collections = writes
            .iter()
            .map(|write| {
                let key = write.collection_key()?;
                Some(*known.entry(key).or_insert_with_key(|key| {
                    all.push(key.clone());
                    all.len() - 1
                }))
            })
            .collect();
        let intents = all.len();
        let is_blind = all.len() == writes.len()
            && writes.iter().all(ItemWrite::replaces_blindly)
            && db.engine.capabilities().global_commit;
        let depth = if is_blind { Depth::Heads } else { Depth::Items };
        if !db.engine.capabilities().global_commit {
            all.extend(writes.iter().map(|write| key::intent_key(write.key())));
        }
        Self { all, collections, intents, depth }
    }

    /// The first intent among the rows of these keys: whose it is, and its row.
    pub(crate) fn first_intent<'k>(
        &'k self,
        rows: &'k [Option<Row>],
    ) -> Option<(&'k Key, &'k Row)> {
        let found = self.all.iter().zip(rows).skip(self.intents);
        found.filter_map(|(key, row)| Some((key, row.as_ref()?))).next()
    }
}

pub(crate) async fn read_rows(db: &Inner, keys: &[Key]) -> Result<Vec<Option<Row>>, ServiceError> {
    let rows = match keys {
        [key] => db.engine.get(key.clone(), Read::Latest).await.map(|row| vec![row]),
        keys => db.engine.multi_get(keys.to_vec(), Read::Latest).await,
    };
    rows.map_err(|error| engine_failure(&error))
}

/// How much of the items a commit reads before it changes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// All of them.
    Items,
    /// What says how large they are.
    Heads,
}

impl Depth {
    async fn read(self, db: &Inner, keys: &[Key]) -> Result<Vec<Option<Row>>, ServiceError> {
        match self {
            Self::Items => read_rows(db, keys).await,
            Self::Heads => {
                let heads = db.engine.heads(keys.to_vec(), EncodedItem::HEAD_BYTES).await;
                heads.map_err(|error| engine_failure(&error))
            }
        }
    }

    /// The item in a row that these writes read.
    fn decode(self, write: &ItemWrite, row: &Row) -> Result<EncodedItem, ServiceError> {
        match self {
            Self::Heads => {
                EncodedItem::from_head(&row.value).map_err(|error| corrupt(&error.to_string()))
            }
            Self::Items if write.looks_into_old() => decode(row.value.clone()),
            Self::Items => decode_to_pass_on(row.value.clone()),
        }
    }
}

/// Waits until what was read of these keys is durable: an answer tells the client about it.
pub(crate) async fn await_durable(db: &Inner, keys: &[Key]) -> Result<(), ServiceError> {
    if db.engine.capabilities().latest_is_durable {
        return Ok(());
    }
    let rows = db.engine.multi_get(keys.to_vec(), Read::Strong).await;
    rows.map(drop).map_err(|error| engine_failure(&error))
}

/// What a row must be for a commit that read `row`.
pub(crate) fn as_read(key: Key, row: Option<&Row>) -> Precondition {
    Precondition { key, expect: row.map_or(Expect::Absent, |row| Expect::At(row.version)) }
}

/// What a commit will change and what it will answer.
pub(crate) struct Plan {
    /// Without its preconditions.
    commit: Commit,
    pub(crate) written: Vec<Written>,
}

impl Plan {
    pub(crate) fn make(
        writes: &[ItemWrite],
        keys: &Keys,
        rows: &[Option<Row>],
        header: ItemHeader,
        bytes_max: usize,
    ) -> Result<Self, Refusal> {
        let mut plan =
            Self { commit: Commit::default(), written: Vec::with_capacity(writes.len()) };
        let mut sizes = CollectionSizes::of(keys, rows, writes.len())?;
        // Empty as long as nothing is wrong; then one for each write.
        let mut errors: Vec<Option<ServiceError>> = Vec::new();
        let mut bytes = 0;
        for (ordinal, (write, row)) in writes.iter().zip(rows).enumerate() {
            let old = row.as_ref().map(|row| keys.depth.decode(write, row)).transpose()?;
            let collection = keys.collections.get(ordinal).copied().flatten();
            match plan.add(write, old, collection, &mut sizes, header) {
                Ok(written) => {
                    if !write.is_check() {
                        bytes += written.new.as_ref().map_or(0, EncodedItem::size_bytes);
                    }
                    // Of what is only a head nobody shall read more.
                    if keys.depth == Depth::Heads {
                        written.old = None;
                    }
                }
                Err(Fault::Request(error)) => return Err(Refusal::Request(error)),
                Err(Fault::Action(error)) => {
                    errors.resize(ordinal, None);
                    errors.push(Some(error));
                }
            }
        }
        if !errors.is_empty() {
            errors.resize(writes.len(), None);
            return Err(Refusal::Actions(errors));
        }
        if bytes > bytes_max {
            return Err(Refusal::Request(compile::transaction_too_large(bytes)));
        }
        sizes.mutations(keys, &mut plan.commit.mutations);
        Ok(plan)
    }

    /// Adds what one write does, given the item before.
    fn add(
        &mut self,
        write: &ItemWrite,
        old: Option<EncodedItem>,
        collection: Option<usize>,
        sizes: &mut CollectionSizes,
        header: ItemHeader,
    ) -> Result<&mut Written, Fault> {
        let new = write.apply(old.as_ref(), header)?;
        let size = |item: &Option<EncodedItem>| item.as_ref().map_or(0, EncodedItem::size_bytes);
        let table_units = HalfUnits::write(size(&old).max(size(&new)));
        let indexes = if write.is_check() {
            Vec::new()
        } else {
            let item = ItemChange { table: &write.table, key: write.key(), old: &old, new: &new };
            item.add_to(&mut self.commit)
        };
        let collection_bytes = match collection {
            None => None,
            Some(collection) => Some(sizes.change(
                collection,
                size(&old) + local_bytes(&indexes, |change| change.old_bytes),
                size(&new) + local_bytes(&indexes, |change| change.new_bytes),
            )?),
        };
        let old_size_bytes = old.as_ref().map(EncodedItem::size_bytes);
        let written = Written { table_units, indexes, collection_bytes, old_size_bytes, old, new };
        Ok(self.written.push_mut(written))
    }

    /// The commit: on the precondition that all is as it was read.
    fn take_commit(&mut self, keys: &Keys, rows: &[Option<Row>], rider: Option<&Rider>) -> Commit {
        let mut commit = std::mem::take(&mut self.commit);
        let as_they_were = keys.all.iter().zip(rows);
        commit.preconditions =
            as_they_were.map(|(key, row)| as_read(key.clone(), row.as_ref())).collect();
        if let Some(rider) = rider {
            commit.preconditions.push(as_read(rider.key.clone(), rider.before.as_ref()));
            let value = Some(rider.value.clone());
            commit.mutations.push(Mutation { key: rider.key.clone(), value });
        }
        commit
    }
}

/// The change of one item, from which everything follows that a commit does for it.
pub(crate) struct ItemChange<'a> {
    pub(crate) table: &'a Table,
    pub(crate) key: Key,
    pub(crate) old: &'a Option<EncodedItem>,
    pub(crate) new: &'a Option<EncodedItem>,
}

impl ItemChange<'_> {
    /// Adds the item, its index entries and its expiry to a commit, and says what was done to the
    /// indexes.
    pub(crate) fn add_to(self, commit: &mut Commit) -> Vec<IndexChange> {
        if self.new.is_some() || self.old.is_some() {
            let value = self.new.as_ref().map(|item| item.bytes().clone());
            commit.mutations.push(Mutation { key: self.key.clone(), value });
        }
        let (old, new) = (self.old.as_ref(), self.new.as_ref());
        let indexes = index::mutations(self.table, old, new, commit);
        let place = RowPlace { partition: self.key.partition, sort: self.key.sort };
        ttl::mutations(self.table, &place, old, new, commit);
        indexes
    }
}

/// The bytes of the entries that a write changed in local indexes. Entries that it did not change
/// count in a collection before and after, so they need not be looked at.
pub(crate) fn local_bytes(
    indexes: &[IndexChange],
    bytes: impl Fn(&IndexChange) -> Option<usize>,
) -> usize {
    indexes.iter().filter(|change| change.local).filter_map(bytes).sum()
}

/// The sizes of the item collections that a commit touches, by their ordinal among its keys.
struct CollectionSizes(BTreeMap<usize, u64>);

impl CollectionSizes {
    fn of(keys: &Keys, rows: &[Option<Row>], writes: usize) -> Result<Self, ServiceError> {
        let mut sizes = BTreeMap::new();
        for (ordinal, row) in rows.iter().enumerate().take(keys.intents).skip(writes) {
            let size = match row {
                None => 0,
                Some(row) => decode_collection(row)?,
            };
            sizes.insert(ordinal, size);
        }
        debug_assert_eq!(sizes.len(), keys.intents - writes);
        Ok(Self(sizes))
    }

    fn change(&mut self, ordinal: usize, old: usize, new: usize) -> Result<u64, ServiceError> {
        let size = self.0.entry(ordinal).or_default();
        *size = size.saturating_sub(old as u64).saturating_add(new as u64);
        if new > old && *size > COLLECTION_BYTES_MAX {
            return Err(ServiceError::new(
                ErrorCode::ItemCollectionSizeLimitExceeded,
                "Item collection too large.",
            ));
        }
        Ok(*size)
    }

    fn mutations(self, keys: &Keys, out: &mut Vec<Mutation>) {
        for (ordinal, size) in self.0 {
            if let Some(key) = keys.all.get(ordinal) {
                let value = (size > 0).then(|| Bytes::copy_from_slice(&size.to_be_bytes()));
                out.push(Mutation { key: key.clone(), value });
            }
        }
    }
}

/// The size of an item collection, as stored.
pub(crate) fn decode_collection(row: &Row) -> Result<u64, ServiceError> {
    let bytes = row.value.as_ref().try_into().map_err(|_| corrupt("an item collection"))?;
    Ok(u64::from_be_bytes(bytes))
}

/// Decodes a stored item.
///
/// # Errors
/// An internal error when the bytes are not an item: corruption, never absence.
pub(crate) fn decode(value: Bytes) -> Result<EncodedItem, ServiceError> {
    EncodedItem::from_stored(value).map_err(|error| corrupt(&error.to_string()))
}

/// Decodes a stored item that is only counted or passed on.
///
/// # Errors
/// As [`decode`]. Text that is not UTF-8 is met when the response is checked.
pub(crate) fn decode_to_pass_on(value: Bytes) -> Result<EncodedItem, ServiceError> {
    EncodedItem::from_stored_to_pass_on(value).map_err(|error| corrupt(&error.to_string()))
}

pub(crate) fn corrupt(what: &str) -> ServiceError {
    engine_failure(&EngineError::Corrupt(format!("stored bytes do not decode: {what}")))
}

/// A commit of which nobody knows yet whether it happened, or will.
struct Doubt {
    /// The rows that it expects.
    before: Vec<Option<Row>>,
    intended: Vec<Mutation>,
    written: Vec<Written>,
    /// Whether somebody else's commit can look the same: a deletion leaves nothing that says whose it
    /// was, which matters to whoever saw or did more. Whatever else is written carries a timestamp that
    /// is as good as never given twice ([`crate::environment`]).
    anonymous: bool,
}

impl Doubt {
    fn new(
        before: Vec<Option<Row>>,
        intended: Vec<Mutation>,
        written: Vec<Written>,
        writes: &[ItemWrite],
    ) -> Self {
        let anonymous = written.iter().zip(writes).all(|(written, write)| {
            let did_more = write.condition.is_some() || writes.len() > 1;
            write.is_check() || (written.new.is_none() && did_more)
        });
        Self { before, intended, written, anonymous }
    }

    /// Whether the rows of these keys are as this commit leaves them.
    fn is_done(&self, keys: &[Key], rows: &[Option<Row>]) -> bool {
        !self.anonymous
            && keys.iter().zip(rows).all(|(key, row)| {
                let mutation = self.intended.iter().find(|mutation| mutation.key == *key);
                mutation.is_none_or(|mutation| {
                    mutation.value.as_ref() == row.as_ref().map(|row| &row.value)
                })
            })
    }

    fn is_undone(&self, rows: &[Option<Row>]) -> bool {
        let version = |row: &Option<Row>| row.as_ref().map(|row| row.version);
        self.before.iter().zip(rows).all(|(before, now)| version(before) == version(now))
    }
}

/// Looks what became of commits whose outcome was unknown. What they did, if one of them happened;
/// `None` if all is as before and the writes may run again: should one of the commits arrive late, it
/// conflicts with the next, or the next with it.
///
/// # Errors
/// An internal error if the items have changed in another way: then nobody can tell.
async fn settle(
    db: &Inner,
    keys: &Keys,
    rows: &[Option<Row>],
    doubts: &mut Vec<Doubt>,
) -> Result<Option<Vec<Written>>, ServiceError> {
    if let Some(done) = doubts.iter().position(|doubt| doubt.is_done(&keys.all, rows)) {
        await_durable(db, &keys.all).await?;
        return Ok(Some(doubts.swap_remove(done).written));
    }
    if doubts.iter().all(|doubt| doubt.is_undone(rows)) {
        return Ok(None);
    }
    tracing::warn!("items changed while the outcome of a commit on them was unknown");
    Err(ServiceError::internal())
}

/// What this write did if the rider's row is its own after all: a commit of unknown outcome happened.
async fn find_rider(
    db: &Inner,
    rider: Option<&Rider>,
    doubts: &[Doubt],
) -> Result<Option<Vec<Written>>, ServiceError> {
    let (Some(rider), Some(doubt)) = (rider, doubts.last()) else { return Ok(None) };
    let row = db.engine.get(rider.key.clone(), Read::Strong).await;
    let row = row.map_err(|error| engine_failure(&error))?;
    let ours = row.is_some_and(|row| row.value == rider.value);
    Ok(ours.then(|| doubt.written.clone()))
}
