//! BatchGetItem and BatchWriteItem.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use zenobe_model::capacity::{ConsumedCapacity, HalfUnits};
use zenobe_model::compile::{self, CompiledBatchEntry, CompiledKeys};
use zenobe_model::expression::Projection;
use zenobe_model::limits::BATCH_GET_BYTES_MAX;
use zenobe_model::operation::{
    BatchGetItemRequest, BatchGetItemResponse, BatchWriteItemRequest, BatchWriteItemResponse,
    ItemCollectionMetrics, KeysAndAttributes, ReturnConsumedCapacity, ReturnItemCollectionMetrics,
};
use zenobe_model::{EncodedItem, Item, ServiceError};
use zenobe_storage::{Key, RowPlace};

use super::capacity;
use super::item::place_of_new;
use crate::catalog::Table;
use crate::fault::Fault;
use crate::key::ItemKeyWords;
use crate::read::{self, Source};
use crate::write::{self, Change, ItemWrite, Written};
use crate::{Inner, engine_failure, key};

/// How many items one call of the engine reads; between calls the sum of their sizes is checked.
const READ_CHUNK: usize = 25;

/// BatchGetItem: reads items until 16 MB are reached; the rest is unprocessed.
///
/// # Errors
/// The service's errors.
pub(crate) async fn batch_get_item(
    db: &Inner,
    request: BatchGetItemRequest,
) -> Result<BatchGetItemResponse, ServiceError> {
    let batch = compile::batch_get_item(request)?;
    let mut plans = Vec::with_capacity(batch.tables.len());
    for (name, keys) in batch.tables {
        let plan = GetPlan::make(db, name, keys, &plans)?;
        plans.push(plan);
    }
    let mut response = BatchGetItemResponse::default();
    let mut consumed: Vec<(Arc<Table>, HalfUnits)> = Vec::new();
    let mut bytes = 0;
    for plan in plans {
        let table = Arc::clone(&plan.table);
        let units = plan.run(db, &mut bytes, &mut response).await?;
        match consumed.iter_mut().find(|(other, _)| other.space == table.space) {
            Some((_, sum)) => *sum += units,
            None => consumed.push((table, units)),
        }
    }
    let wanted = batch.return_consumed_capacity;
    if wanted != ReturnConsumedCapacity::None {
        let of_table = |(table, units): (Arc<Table>, HalfUnits)| {
            capacity::of_read(&table, Source::Table, units, HalfUnits(0), wanted)
        };
        response.consumed_capacity = Some(consumed.into_iter().filter_map(of_table).collect());
    }
    Ok(response)
}

/// The keys to read from one table.
struct GetPlan {
    name: String,
    table: Arc<Table>,
    keys: CompiledKeys,
    places: Vec<RowPlace>,
}

impl GetPlan {
    /// Plans to read keys of one name, after those of `others`, which may mean the same table.
    fn make(
        db: &Inner,
        name: String,
        keys: CompiledKeys,
        others: &[Self],
    ) -> Result<Self, ServiceError> {
        let table = db.catalog.table(&name)?;
        let places: Result<Vec<RowPlace>, Fault> =
            keys.keys.iter().map(|key| key::place_of_key(&table, key)).collect();
        let places = places?;
        let same_table = others.iter().filter(|other| other.table.space == table.space);
        check_distinct(same_table.flat_map(|other| &other.places).chain(&places))?;
        key::check_paths(&table, keys.projection.iter().flat_map(Projection::paths))?;
        Ok(Self { name, table, keys, places })
    }

    /// Reads what fits into the answer, and returns what that consumed.
    async fn run(
        self,
        db: &Inner,
        bytes: &mut usize,
        response: &mut BatchGetItemResponse,
    ) -> Result<HalfUnits, ServiceError> {
        let mut units = HalfUnits(0);
        let mut items = Vec::new();
        let mut done = 0;
        let looks = self.keys.projection.is_some();
        let decode = if looks { write::decode } else { write::decode_to_pass_on };
        'table: for chunk in self.places.chunks(READ_CHUNK) {
            let keys = chunk.iter().map(|place| key::item_key(&self.table, place.clone()));
            let keys: Vec<Key> = keys.collect();
            let read = read::items_mode(db, &keys, self.keys.consistent_read).await?;
            let rows = db.engine.multi_get(keys, read).await;
            for row in rows.map_err(|error| engine_failure(&error))? {
                let item = row.map(|row| decode(row.value)).transpose()?;
                let size = item.as_ref().map_or(0, EncodedItem::size_bytes);
                // The first item is answered whatever its size, so that every call gets further.
                if *bytes + size > BATCH_GET_BYTES_MAX && *bytes > 0 {
                    break 'table;
                }
                *bytes += size;
                done += 1;
                units += HalfUnits::read(size, self.keys.consistent_read);
                if let Some(item) = item {
                    items.push(match &self.keys.projection {
                        Some(projection) => projection.project(&item)?,
                        None => item,
                    });
                }
            }
        }
        response.responses.insert(self.name.clone(), items);
        let rest: Vec<Item> = self.keys.keys.into_iter().skip(done).collect();
        if !rest.is_empty() {
            let unprocessed = KeysAndAttributes {
                keys: rest.into_iter().map(Ok).collect(),
                ..self.keys.parameters
            };
            response.unprocessed_keys.insert(self.name, unprocessed);
        }
        Ok(units)
    }
}

/// BatchWriteItem. The writes are independent of each other for the client; here those of one
/// commit happen together.
///
/// # Errors
/// The service's errors.
pub(crate) async fn batch_write_item(
    db: &Inner,
    request: BatchWriteItemRequest,
) -> Result<BatchWriteItemResponse, ServiceError> {
    let batch = compile::batch_write_item(request)?;
    let mut names = Vec::new();
    let mut writes: Vec<ItemWrite> = Vec::new();
    for (name, requests) in batch.tables {
        let table = db.catalog.table(&name)?;
        let first = writes.len();
        for request in requests {
            writes.push(item_write(&table, request)?);
        }
        let same_table = writes.iter().filter(|write| write.table.space == table.space);
        check_distinct(same_table.map(|write| &write.place))?;
        names.push((name, first..writes.len()));
    }
    let written = write_in_commits(db, &writes).await?;
    let mut response = BatchWriteItemResponse::default();
    let mut metrics: BTreeMap<String, Vec<ItemCollectionMetrics>> = BTreeMap::new();
    for (name, range) in names {
        let writes = writes.get(range.clone()).unwrap_or_default();
        let written = written.get(range).unwrap_or_default();
        let of_table: Vec<ItemCollectionMetrics> = writes
            .iter()
            .zip(written)
            .filter_map(|(write, written)| capacity::collection_metrics(write, written))
            .collect();
        if !of_table.is_empty() {
            metrics.insert(name, of_table);
        }
    }
    if batch.return_consumed_capacity != ReturnConsumedCapacity::None {
        response.consumed_capacity =
            Some(consumed_of(&writes, &written, batch.return_consumed_capacity));
    }
    if batch.return_item_collection_metrics == ReturnItemCollectionMetrics::Size {
        response.item_collection_metrics = Some(metrics);
    }
    Ok(response)
}

/// What the writes of each table consumed, however many names the request has for it.
fn consumed_of(
    writes: &[ItemWrite],
    written: &[Written],
    wanted: ReturnConsumedCapacity,
) -> Vec<ConsumedCapacity> {
    let mut tables: Vec<&Arc<Table>> = Vec::new();
    for write in writes {
        if tables.iter().all(|table| table.space != write.table.space) {
            tables.push(&write.table);
        }
    }
    let of_table = |table: &Arc<Table>| {
        let pairs = writes.iter().zip(written);
        let same_table = pairs.filter(|(write, _)| write.table.space == table.space);
        capacity::of_writes(table, same_table.map(|(_, written)| written), wanted)
    };
    tables.into_iter().filter_map(of_table).collect()
}

fn item_write(table: &Arc<Table>, request: CompiledBatchEntry) -> Result<ItemWrite, ServiceError> {
    let (place, change) = match request {
        CompiledBatchEntry::Put(item) => {
            (place_of_new(table, &item, ItemKeyWords::AsKey)?, Change::Put(item.into()))
        }
        CompiledBatchEntry::Delete(key) => {
            (key::place_of_key(table, &key)?, Change::Delete { key })
        }
    };
    Ok(ItemWrite { answers_old: false, ..ItemWrite::new(Arc::clone(table), place, change) })
}

/// Checks that no two of these places in one table are the same.
fn check_distinct<'a>(places: impl Iterator<Item = &'a RowPlace>) -> Result<(), ServiceError> {
    let mut distinct: BTreeSet<(&[u8], &[u8])> = BTreeSet::new();
    for place in places {
        if !distinct.insert((&place.partition[..], &place.sort[..])) {
            return Err(ServiceError::validation("Provided list of item keys contains duplicates"));
        }
    }
    Ok(())
}

/// One commit for all where the engine commits across partitions, else one for each.
async fn write_in_commits(db: &Inner, writes: &[ItemWrite]) -> Result<Vec<Written>, ServiceError> {
    if db.engine.capabilities().global_commit {
        return write::write_all(db, writes).await;
    }
    write::write_each(db, writes).await.into_iter().collect()
}
