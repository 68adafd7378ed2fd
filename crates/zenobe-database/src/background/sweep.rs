//! Deleting items that have expired.
//!
//! The sweep reads the expiry indexes ([`crate::ttl`]), never tables. It takes as many due entries of
//! a shard as fit into a batch and deletes their items in one commit through the write path, on the
//! condition that each item still has expired: somebody may have written it since. A batch that fails
//! is tried again item by item, so that one item does not hold up the others; so is every batch on an engine
//! whose commits stay within a partition.
//!
//! After a batch the sweep rests as long as the batch took: with a backlog it takes half of what
//! one writer could have, and leaves the rest to requests. A batch waits for the disk like any
//! write, so it slows down where they do. Tables take turns, batch by batch. Nothing is kept between
//! sweeps but what [`crate::catalog`]'s `Due` remembers, so a restart goes on where the process
//! before ended.

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
use crate::catalog::{ExpiryIndex, IndexState, Look, Table};
use crate::ttl::{self, Entry};
use crate::write::{self, Change, ItemWrite, Origin};

/// The most items that one commit deletes.
const BATCH_ITEMS_MAX: usize = 100;
/// How large the items of a batch are together, about.
const BATCH_BYTES: u64 = 4 << 20;
/// The longest rest after a batch.
const REST_MS_MAX: u64 = 100;

/// Sweeps now and then, for ever.
pub(super) async fn run(db: &Arc<Inner>) {
    let mut sweeper = Sweeper { db, sweeps: Vec::new(), deleted: 0 };
    let mut looked_ms = 0;
    loop {
        if sweeper.sweeps.is_empty() {
            db.environment.sleep(db.config.ttl_interval).await;
        }
        // While one table has a backlog, the others are looked at as always.
        let now_ms = db.environment.now_ms();
        let interval_ms = u64::try_from(db.config.ttl_interval.as_millis()).unwrap_or(u64::MAX);
        if sweeper.sweeps.is_empty() || now_ms.saturating_sub(looked_ms) >= interval_ms {
            if let Err(error) = sweeper.look().await {
                tracing::warn!(%error, "looking for expired items failed; it will be tried again");
            }
            looked_ms = now_ms;
        }
        if let Err(error) = sweeper.round().await {
            tracing::warn!(%error, "expired items could not be deleted; it will be tried again");
        }
    }
}

/// Deletes what has expired in all tables; says how many items there were. A table that fails does
/// not keep the others waiting.
///
/// # Errors
/// The last error, after all tables.
pub(super) async fn all(db: &Arc<Inner>) -> Result<u64, BackgroundError> {
    let mut sweeper = Sweeper { db, sweeps: Vec::new(), deleted: 0 };
    let mut result = Ok(());
    sweeper.look().await?;
    while !sweeper.sweeps.is_empty() {
        result = sweeper.round().await.and(result);
    }
    result.map(|()| sweeper.deleted)
}

/// The sweeps of all tables that have something to delete, which take turns.
struct Sweeper<'a> {
    db: &'a Arc<Inner>,
    sweeps: Vec<Sweep>,
    deleted: u64,
}

impl Sweeper<'_> {
    /// Begins the sweeps of tables where something is due.
    async fn look(&mut self) -> Result<(), BackgroundError> {
        for table in self.db.catalog.tables() {
            let active = |index: &&ExpiryIndex| index.state == IndexState::Active;
            let Some(index) = table.expiry_index().filter(active) else { continue };
            if self.sweeps.iter().any(|sweep| sweep.space == index.space) {
                continue;
            }
            if self.db.catalog.claim(self.db, &table.work()).await?.is_none() {
                continue;
            }
            let now_ms = self.db.environment.now_ms();
            if let Some(look) = index.due.look(now_ms, self.db.catalog.is_shared()) {
                let first = look.from_s.max(ttl::first_second(now_ms / 1000));
                self.sweeps.push(Sweep {
                    db: Arc::clone(self.db),
                    // The name, since holding on to the snapshot would keep index creation waiting.
                    name: table.name.clone(),
                    space: index.space,
                    now_s: now_ms / 1000,
                    look,
                    first: SortBound::Included(ttl::sort_of_second(first)),
                    shard: 0,
                    from: None,
                    passed_over: false,
                    deleted: 0,
                });
            }
        }
        Ok(())
    }

    /// Gives each sweep a turn.
    ///
    /// # Errors
    /// The last error; the sweep that failed is given up, and begins again where it began.
    async fn round(&mut self) -> Result<(), BackgroundError> {
        let mut result = Ok(());
        for mut sweep in std::mem::take(&mut self.sweeps) {
            let step = sweep.step().await;
            self.deleted += std::mem::take(&mut sweep.deleted);
            match step {
                Ok(Turn::More) => self.sweeps.push(sweep),
                Ok(Turn::Over) => sweep.finish(),
                Ok(Turn::GivenUp) => {}
                Err(error) => result = Err(error),
            }
        }
        result
    }
}

/// What a turn of a sweep came to.
enum Turn {
    More,
    Over,
    /// Another process goes on.
    GivenUp,
}

/// The sweep of one table.
struct Sweep {
    db: Arc<Inner>,
    name: String,
    space: SpaceId,
    /// The present of this sweep.
    now_s: u64,
    look: Look,
    /// Where each shard begins.
    first: SortBound,
    shard: u8,
    /// Where the sweep stands in the shard; `None`: at its beginning.
    from: Option<SortBound>,
    /// Whether something was not deleted that is to be tried again.
    passed_over: bool,
    deleted: u64,
}

/// What one page of a shard holds.
struct Due {
    entries: Vec<Entry>,
    /// Where to read on; `None`: there is nothing due behind.
    next: Option<SortBound>,
    /// The second of the entry that comes first among those that are not due.
    later_s: Option<u64>,
}

impl Sweep {
    /// The table as it is now, if it still has the index.
    fn snapshot(&self) -> Option<Arc<Table>> {
        let table = self.db.catalog.find(&self.name)?;
        table.expiry_index().is_some_and(|index| index.space == self.space).then_some(table)
    }

    /// Deletes the items of the next page.
    async fn step(&mut self) -> Result<Turn, BackgroundError> {
        let Some(table) = self.snapshot() else { return Ok(Turn::Over) };
        if self.db.catalog.claim(&self.db, &table.work()).await?.is_none() {
            return Ok(Turn::GivenUp);
        }
        let from = self.from.take().unwrap_or_else(|| self.first.clone());
        let Due { entries, next, later_s } = self.read(&table, from).await?;
        if !entries.is_empty() {
            self.delete(table, &entries).await?;
        }
        later_s.into_iter().for_each(|second| self.look.leave(second));
        self.from = next;
        if self.from.is_none() {
            self.shard += 1;
        }
        Ok(if self.shard < ttl::SHARDS { Turn::More } else { Turn::Over })
    }

    fn finish(self) {
        if !self.passed_over {
            self.look.finish();
        }
    }

    /// Reads the next due entries of a shard.
    async fn read(&self, table: &Table, from: SortBound) -> Result<Due, BackgroundError> {
        let range = RangeRead {
            space: self.space,
            partition: ttl::shard_partition(self.shard),
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
                return Ok(Due { entries: Vec::new(), next: None, later_s: None });
            }
            Err(error) => return Err(error.into()),
        };
        let mut due =
            Due { entries: Vec::with_capacity(page.rows.len()), next: None, later_s: None };
        for (place, row) in page.rows {
            let entry = Entry::read(&place.sort, &row.value).ok_or_else(corrupt)?;
            if entry.second >= self.now_s {
                due.next = None;
                due.later_s = Some(entry.second);
                break;
            }
            due.next = (!page.end).then_some(SortBound::Excluded(place.sort));
            due.entries.push(entry);
        }
        Ok(due)
    }

    /// Deletes the items of these entries, and rests.
    async fn delete(
        &mut self,
        table: Arc<Table>,
        entries: &[Entry],
    ) -> Result<(), BackgroundError> {
        let begun_ms = self.db.environment.now_ms();
        let Some(index) = table.expiry_index() else { return Ok(()) };
        let write = |entry| self.write(&table, index, entry);
        let writes = entries.iter().map(write).collect::<Result<Vec<_>, _>>()?;
        let at_once = self.db.engine.capabilities().global_commit
            && write::write_all(&self.db, &writes).await.is_ok();
        if at_once {
            self.count(writes.len());
        } else {
            self.delete_each(&writes).await?;
        }
        // Rests without the snapshot, which others may wait for.
        drop(writes);
        drop(table);
        let elapsed_ms = self.db.environment.now_ms().saturating_sub(begun_ms);
        let rest = Duration::from_millis(elapsed_ms.clamp(1, REST_MS_MAX));
        self.db.environment.sleep(rest).await;
        Ok(())
    }

    /// Deletes item by item.
    async fn delete_each(&mut self, writes: &[ItemWrite]) -> Result<(), BackgroundError> {
        for written in write::write_each(&self.db, writes).await {
            match written {
                Ok(_) => self.count(1),
                // Written meanwhile: whoever did kept the index.
                Err(error) if error.code == ErrorCode::ConditionalCheckFailed => {}
                Err(error) if is_fault(&error) => return Err(error.into()),
                Err(_) => self.passed_over = true,
            }
        }
        Ok(())
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
            condition: Some(ttl::has_expired(&index.attribute, self.now_s)),
            return_item_on_failure: false,
            origin: Origin::TimeToLive,
            answers_old: false,
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
