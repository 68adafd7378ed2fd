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
//! Example: a counter is at version 7 with `n = 4`. Two clients add 1. The first takes the latch,
//! reads version 7, commits `n = 5` expecting version 7, and drops the latch; its answer waits for
//! the disk. The second reads `n = 5` at version 8 without waiting for the disk, and commits `n = 6`
//! expecting version 8. Its answer waits for its own, later, commit, which is durable only when the
//! first one is.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use zenobe_model::capacity::HalfUnits;
use zenobe_model::codec::ItemHeader;
use zenobe_model::error::Detail;
use zenobe_model::expression::{Condition, Update};
use zenobe_model::limits::ITEM_SIZE_BYTES_MAX;
use zenobe_model::{EncodedItem, ErrorCode, Item, ServiceError};
use zenobe_storage::{
    Commit, EngineError, Expect, Key, Mutation, Outcome, Precondition, Read, Row, RowPlace,
};

use crate::catalog::Table;
use crate::index::{self, IndexChange};
use crate::key::{self, IndexKeyOrigin};
use crate::stream::Entered;
use crate::{Inner, engine_failure, ttl};

/// How often a write starts again because another process changed an item under it.
const CONFLICT_RETRIES_MAX: usize = 64;
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
    /// Replaces the item.
    Put(Item),
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
}

/// What a write did.
#[derive(Clone, Debug)]
pub struct Written {
    /// The item before.
    pub old: Option<EncodedItem>,
    /// The item after.
    pub new: Option<EncodedItem>,
    /// What the table consumed.
    pub table_units: HalfUnits,
    /// What it did to the table's indexes.
    pub indexes: Vec<IndexChange>,
    /// The size of the item collection in bytes, for tables with local secondary indexes.
    pub collection_bytes: Option<u64>,
}

impl ItemWrite {
    /// The item after this write, given the item before. Pure.
    fn apply(
        &self,
        old: Option<&EncodedItem>,
        header: ItemHeader,
    ) -> Result<Option<EncodedItem>, ServiceError> {
        if let Some(condition) = &self.condition
            && !condition.evaluate(old)?
        {
            return Err(self.condition_failed(old));
        }
        let new = match (&self.change, old) {
            (Change::Delete { .. }, _) => return Ok(None),
            (Change::Put(item), _) => EncodedItem::encode(item, header),
            (Change::Update { key, update: Some(update) }, None) => {
                let item = update.apply(key)?;
                // Removing from an item that does not exist does not make it.
                if update.only_removes() {
                    return Ok(None);
                }
                EncodedItem::encode(&item, header)
            }
            (Change::Update { update: Some(update), .. }, Some(old)) => {
                update.apply_encoded(old, header)?
            }
            (Change::Update { key, update: None }, None) => EncodedItem::encode(key, header),
            (Change::Update { update: None, .. }, Some(old)) => old.with_header(header),
        };
        if new.size_bytes() > ITEM_SIZE_BYTES_MAX {
            return Err(ServiceError::validation(match self.change {
                Change::Update { .. } => {
                    "Item size to update has exceeded the maximum allowed size"
                }
                _ => "Item size has exceeded the maximum allowed size",
            }));
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

    fn key(&self) -> Key {
        key::item_key(&self.table, self.place.clone())
    }

    /// The key of the row that counts the item's collection, if its table counts collections.
    fn collection_key(&self) -> Option<Key> {
        (!self.table.local_indexes.is_empty()).then(|| Key {
            space: self.table.space,
            partition: self.place.partition.clone(),
            lane: key::COLLECTION_LANE,
            sort: Bytes::new(),
        })
    }
}

/// Makes all writes or none. No two of them may name the same item.
///
/// # Errors
/// The first error of a write, or of the engine.
pub(crate) async fn write_all(
    db: &Inner,
    writes: &[ItemWrite],
) -> Result<Vec<Written>, ServiceError> {
    let keys = Keys::of(writes);
    for _ in 0..CONFLICT_RETRIES_MAX {
        let latches = db.latches.lock(&keys.all).await;
        let rows = read_rows(db, &keys.all).await?;
        let header = ItemHeader {
            timestamp: db.clock.next(db.environment.now_ms()),
            ..ItemHeader::default()
        };
        let plan = match Plan::make(writes, &keys, &rows, header) {
            Ok(plan) => plan,
            Err(error) => {
                drop(latches);
                await_durable(db, &keys.all).await?;
                return Err(error);
            }
        };
        let streams = Entered::enter(writes).await;
        let commit = Commit {
            preconditions: preconditions(&keys.all, &rows),
            mutations: plan.mutations,
            records: streams.records(db, writes, &plan.written, header.timestamp >> 16),
        };
        let intended = commit.mutations.clone();
        let outcome = db.engine.commit(commit).await.map_err(|e| engine_failure(&e))?;
        drop(streams);
        drop(latches);
        match outcome {
            Outcome::Committed { position, .. } => {
                count(writes, &plan.written);
                db.engine.durable(position).await.map_err(|e| engine_failure(&e))?;
                return Ok(plan.written);
            }
            Outcome::Conflict { .. } => {}
            Outcome::Unknown => {
                if resolve_unknown(db, &keys.all, &rows, &intended).await? {
                    count(writes, &plan.written);
                    return Ok(plan.written);
                }
            }
        }
    }
    tracing::warn!("a write met too many conflicts");
    Err(ServiceError::internal())
}

/// Counts what was written in the figures of the tables and their indexes, and takes note of when
/// it expires.
fn count(writes: &[ItemWrite], written: &[Written]) {
    let size = |item: &Option<EncodedItem>| item.as_ref().map(EncodedItem::size_bytes);
    for (write, written) in writes.iter().zip(written) {
        write.table.counters.record(size(&written.old), size(&written.new));
        ttl::note(&write.table, &write.place, written.new.as_ref());
        for change in &written.indexes {
            change.counters.record(change.old_bytes, change.new_bytes);
        }
    }
}

/// The keys that a write reads and expects: the items, then the item collections.
struct Keys {
    all: Vec<Key>,
    /// For each write the ordinal of its collection in `all`.
    collections: Vec<Option<usize>>,
}

impl Keys {
    fn of(writes: &[ItemWrite]) -> Self {
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
        Self { all, collections }
    }
}

async fn read_rows(db: &Inner, keys: &[Key]) -> Result<Vec<Option<Row>>, ServiceError> {
    let rows = match keys {
        [key] => db.engine.get(key.clone(), Read::Latest).await.map(|row| vec![row]),
        keys => db.engine.multi_get(keys.to_vec(), Read::Latest).await,
    };
    rows.map_err(|error| engine_failure(&error))
}

/// Waits until what was read of these keys is durable: an error tells the client about it.
async fn await_durable(db: &Inner, keys: &[Key]) -> Result<(), ServiceError> {
    let rows = db.engine.multi_get(keys.to_vec(), Read::Strong).await;
    rows.map(drop).map_err(|error| engine_failure(&error))
}

fn preconditions(keys: &[Key], rows: &[Option<Row>]) -> Vec<Precondition> {
    keys.iter()
        .zip(rows)
        .map(|(key, row)| Precondition {
            key: key.clone(),
            expect: row.as_ref().map_or(Expect::Absent, |row| Expect::At(row.version)),
        })
        .collect()
}

/// What a commit will change and what it will answer.
struct Plan {
    mutations: Vec<Mutation>,
    written: Vec<Written>,
}

impl Plan {
    fn make(
        writes: &[ItemWrite],
        keys: &Keys,
        rows: &[Option<Row>],
        header: ItemHeader,
    ) -> Result<Self, ServiceError> {
        let mut plan = Self { mutations: Vec::new(), written: Vec::with_capacity(writes.len()) };
        let mut sizes = CollectionSizes::of(keys, rows, writes.len())?;
        for (ordinal, (write, row)) in writes.iter().zip(rows).enumerate() {
            let old = row.as_ref().map(|row| decode(row.value.clone())).transpose()?;
            let new = write.apply(old.as_ref(), header)?;
            if new.is_some() || old.is_some() {
                let value = new.as_ref().map(|item| item.bytes().clone());
                plan.mutations.push(Mutation { key: write.key(), value });
            }
            let indexes =
                index::mutations(&write.table, old.as_ref(), new.as_ref(), &mut plan.mutations);
            let (before, after) = (old.as_ref(), new.as_ref());
            ttl::mutations(&write.table, &write.place, before, after, &mut plan.mutations);
            let size =
                |item: &Option<EncodedItem>| item.as_ref().map_or(0, EncodedItem::size_bytes);
            let collection = keys.collections.get(ordinal).copied().flatten();
            let collection_bytes = match collection {
                None => None,
                Some(collection) => Some(sizes.change(
                    collection,
                    size(&old) + local_bytes(&indexes, |change| change.old_bytes),
                    size(&new) + local_bytes(&indexes, |change| change.new_bytes),
                )?),
            };
            plan.written.push(Written {
                table_units: HalfUnits::write(size(&old).max(size(&new))),
                indexes,
                collection_bytes,
                old,
                new,
            });
        }
        sizes.mutations(keys, &mut plan.mutations);
        Ok(plan)
    }
}

/// The bytes of the entries that a write changed in local indexes. Entries that it did not change
/// count in a collection before and after, so they need not be looked at.
fn local_bytes(indexes: &[IndexChange], bytes: impl Fn(&IndexChange) -> Option<usize>) -> usize {
    indexes.iter().filter(|change| change.local).filter_map(bytes).sum()
}

/// The sizes of the item collections that a commit touches, by their ordinal among its keys.
struct CollectionSizes(BTreeMap<usize, u64>);

impl CollectionSizes {
    fn of(keys: &Keys, rows: &[Option<Row>], writes: usize) -> Result<Self, ServiceError> {
        let mut sizes = BTreeMap::new();
        for (ordinal, row) in rows.iter().enumerate().skip(writes) {
            let size = match row {
                None => 0,
                Some(row) => u64::from_be_bytes(
                    row.value.as_ref().try_into().map_err(|_| corrupt("an item collection"))?,
                ),
            };
            sizes.insert(ordinal, size);
        }
        debug_assert_eq!(sizes.len(), keys.all.len() - writes);
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

/// Decodes a stored item.
///
/// # Errors
/// An internal error when the bytes are not an item: corruption, never absence.
pub(crate) fn decode(value: Bytes) -> Result<EncodedItem, ServiceError> {
    EncodedItem::from_stored(value).map_err(|error| corrupt(&error.to_string()))
}

fn corrupt(what: &str) -> ServiceError {
    engine_failure(&EngineError::Corrupt(format!("stored bytes do not decode: {what}")))
}

/// Looks whether a commit with an unknown outcome happened: `true` if so, `false` if the items are
/// as they were before and the write may run again.
///
/// Every value of ours is unique, since it carries a timestamp that is never given twice.
async fn resolve_unknown(
    db: &Inner,
    keys: &[Key],
    before: &[Option<Row>],
    intended: &[Mutation],
) -> Result<bool, ServiceError> {
    let now = db.engine.multi_get(keys.to_vec(), Read::Strong).await;
    let now = now.map_err(|error| engine_failure(&error))?;
    let same = |a: &Option<Row>, b: &Option<Row>| {
        a.as_ref().map(|row| row.version) == b.as_ref().map(|row| row.version)
    };
    if now.iter().zip(before).all(|(now, before)| same(now, before)) {
        return Ok(intended.is_empty());
    }
    let happened = keys.iter().zip(&now).all(|(key, row)| {
        let mutation = intended.iter().find(|mutation| mutation.key == *key);
        mutation.is_none_or(|mutation| mutation.value == row.as_ref().map(|row| row.value.clone()))
    });
    if happened { Ok(true) } else { Err(ServiceError::internal()) }
}
