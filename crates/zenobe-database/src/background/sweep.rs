//! Deleting items that have expired.
//!
//! The sweep reads the expiry indexes ([`crate::ttl`]), never tables. It takes as many due entries of
//! a shard as fit into a batch and deletes their items in one commit through the write path, on the
//! condition that each item still has expired: somebody may have written it since. A batch that fails
//! is tried again item by item, so that one item does not hold up the others.
//!
//! After a batch the sweep rests as long as the batch took: with a backlog it takes half of what
//! one writer could have, and leaves the rest to requests. A batch waits for the disk like any
//! write, so it slows down where they do. Nothing is kept between sweeps but what
//! [`crate::catalog`]'s `Due` remembers, so a restart goes on where the process before ended.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use zenobe_model::{AttributeValue, ErrorCode, Item, ServiceError, key as encoding};
use zenobe_storage::{
    Direction, EngineError, Lane, PageLimit, RangeRead, Read, RowPlace, SortBound, SpaceId,
};

use super::BackgroundError;
use crate::Inner;
use crate::catalog::{ExpiryIndex, IndexState, Table};
use crate::ttl::{self, Entry};
use crate::write::{Change, ItemWrite, Origin, write_all};

/// The most items that one commit deletes.
const BATCH_ITEMS_MAX: usize = 100;
/// How large the items of a batch are together, about.
const BATCH_BYTES: u64 = 4 << 20;
/// The longest rest after a batch.
const REST_MS_MAX: u64 = 100;

/// Sweeps now and then, for ever.
pub(super) async fn run(db: &Arc<Inner>) {
    loop {
        if let Err(error) = all(db).await {
            tracing::warn!(%error, "expired items could not be deleted; it will be tried again");
        }
        db.environment.sleep(db.config.ttl_interval).await;
    }
}

/// Deletes what has expired in all tables; says how many items there were. A table that fails does
/// not keep the others waiting.
///
/// # Errors
/// The last error, after all tables.
pub(super) async fn all(db: &Arc<Inner>) -> Result<u64, BackgroundError> {
    // Names, since holding on to snapshots would keep index creation waiting.
    let active = |table: &Table| {
        let index = table.expiry_index().filter(|index| index.state == IndexState::Active)?;
        Some((table.name.clone(), index.space))
    };
    let indexes: Vec<_> =
        db.catalog.tables().iter().filter_map(|table| active(table.as_ref())).collect();
    let mut deleted = 0;
    let mut result = Ok(());
    for (name, space) in indexes {
        let mut sweep =
            Sweep { db, name: &name, space, now_ms: db.environment.now_ms(), deleted: 0 };
        if let Err(error) = sweep.table().await {
            result = Err(error);
        }
        deleted += sweep.deleted;
    }
    result.map(|()| deleted)
}

/// The sweep of one table.
struct Sweep<'a> {
    db: &'a Arc<Inner>,
    name: &'a str,
    space: SpaceId,
    now_ms: u64,
    deleted: u64,
}

/// Where the sweep of a shard stands.
struct Place {
    from: SortBound,
    /// The next second that the shard has an entry at, once everything before is gone.
    next_s: Option<u64>,
    is_over: bool,
}

/// What one page of a shard holds.
struct Due {
    entries: Vec<Entry>,
    place: Place,
}

impl Sweep<'_> {
    const fn now_s(&self) -> u64 {
        self.now_ms / 1000
    }

    /// The table as it is now, if it still has the index.
    fn snapshot(&self) -> Option<Arc<Table>> {
        let table = self.db.catalog.find(self.name)?;
        table.expiry_index().is_some_and(|index| index.space == self.space).then_some(table)
    }

    async fn table(&mut self) -> Result<(), BackgroundError> {
        // Held for what is remembered in it, not for the table.
        let Some(due) =
            self.snapshot().and_then(|table| Some(Arc::clone(&table.expiry_index()?.due)))
        else {
            return Ok(());
        };
        let Some(look) = due.look(self.now_ms) else { return Ok(()) };
        let first = look.from_s.max(ttl::first_second(self.now_s()));
        let mut passed_over = false;
        for shard in 0..ttl::SHARDS {
            let mut from = SortBound::Included(ttl::sort_of_second(first));
            loop {
                let Some(table) = self.snapshot() else { return Ok(()) };
                let Due { entries, place } = self.read(&table, shard, from).await?;
                if !entries.is_empty() {
                    passed_over |= self.delete(table, &entries).await?;
                }
                if place.is_over {
                    place.next_s.into_iter().for_each(|second| due.lower(second));
                    break;
                }
                from = place.from;
            }
        }
        if !passed_over {
            look.finish();
        }
        Ok(())
    }

    /// Reads the next due entries of a shard.
    async fn read(
        &self,
        table: &Table,
        shard: u8,
        from: SortBound,
    ) -> Result<Due, BackgroundError> {
        let range = RangeRead {
            space: self.space,
            partition: ttl::shard_partition(shard),
            lane: Lane::ITEM,
            from,
            to: SortBound::Unbounded,
            direction: Direction::Forward,
            limit: PageLimit { rows: batch_items(table), bytes: usize::MAX },
        };
        let page = match self.db.engine.range(range, Read::Latest).await {
            Ok(page) => page,
            // Disabled or deleted meanwhile.
            Err(EngineError::NoSpace(_)) => {
                let place = Place { from: SortBound::Unbounded, next_s: None, is_over: true };
                return Ok(Due { entries: Vec::new(), place });
            }
            Err(error) => return Err(error.into()),
        };
        let mut due = Due {
            entries: Vec::with_capacity(page.rows.len()),
            place: Place { from: SortBound::Unbounded, next_s: None, is_over: page.end },
        };
        for (place, row) in page.rows {
            let entry = Entry::read(&place.sort, &row.value).ok_or_else(corrupt)?;
            if entry.second >= self.now_s() {
                due.place.next_s = Some(entry.second);
                due.place.is_over = true;
                break;
            }
            due.place.from = SortBound::Excluded(place.sort);
            due.entries.push(entry);
        }
        Ok(due)
    }

    /// Deletes the items of these entries, and rests; says whether one was passed over that is to be
    /// tried again.
    async fn delete(
        &mut self,
        table: Arc<Table>,
        entries: &[Entry],
    ) -> Result<bool, BackgroundError> {
        let begun_ms = self.db.environment.now_ms();
        let Some(index) = table.expiry_index() else { return Ok(false) };
        let writes = entries
            .iter()
            .map(|entry| self.write(&table, index, entry))
            .collect::<Result<Vec<_>, _>>()?;
        let passed_over = match write_all(self.db, &writes).await {
            Ok(_) => {
                self.count(writes.len());
                false
            }
            Err(_) => self.delete_each(&writes).await?,
        };
        // Rests without the snapshot, which others may wait for.
        drop(writes);
        drop(table);
        let elapsed_ms = self.db.environment.now_ms().saturating_sub(begun_ms);
        let rest = Duration::from_millis(elapsed_ms.clamp(1, REST_MS_MAX));
        self.db.environment.sleep(rest).await;
        Ok(passed_over)
    }

    /// Deletes item by item.
    async fn delete_each(&mut self, writes: &[ItemWrite]) -> Result<bool, BackgroundError> {
        let mut passed_over = false;
        for write in writes {
            match write_all(self.db, std::slice::from_ref(write)).await {
                Ok(_) => self.count(1),
                // Written meanwhile: whoever did kept the index.
                Err(error) if error.code == ErrorCode::ConditionalCheckFailed => {}
                Err(error) if is_fault(&error) => return Err(error.into()),
                Err(_) => passed_over = true,
            }
        }
        Ok(passed_over)
    }

    fn count(&mut self, items: usize) {
        self.deleted += items as u64;
        self.db.background.expired_items.fetch_add(items as u64, Ordering::Relaxed);
    }

    fn write(
        &self,
        table: &Arc<Table>,
        index: &ExpiryIndex,
        entry: &Entry,
    ) -> Result<ItemWrite, BackgroundError> {
        Ok(ItemWrite {
            table: Arc::clone(table),
            place: entry.place.clone(),
            change: Change::Delete { key: key_of(table, &entry.place).ok_or_else(corrupt)? },
            condition: Some(ttl::has_expired(&index.attribute, self.now_s())),
            return_item_on_failure: false,
            origin: Origin::TimeToLive,
        })
    }
}

/// How many items of this table make a batch.
fn batch_items(table: &Table) -> usize {
    let item_bytes = table.counters.bytes() / table.counters.items().max(1);
    let items = BATCH_BYTES / item_bytes.max(1);
    usize::try_from(items).unwrap_or(usize::MAX).clamp(1, BATCH_ITEMS_MAX)
}

/// Whether an error is about the database rather than the item.
const fn is_fault(error: &ServiceError) -> bool {
    error.code.status() >= 500
}

/// The key attributes of the item at a place.
fn key_of(table: &Table, place: &RowPlace) -> Option<Item> {
    let value = |bytes: &Bytes| -> Option<AttributeValue> {
        let (value, rest) = encoding::decode(bytes).ok()?;
        rest.is_empty().then_some(value)
    };
    let mut key = Item::new();
    key.insert(table.key.partition.name.clone(), value(&place.partition)?);
    if let Some(sort) = &table.key.sort {
        key.insert(sort.name.clone(), value(&place.sort)?);
    }
    Some(key)
}

fn corrupt() -> EngineError {
    EngineError::Corrupt("an expiry index holds an entry that is none".to_owned())
}
