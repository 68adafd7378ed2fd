//! `ConsumedCapacity` and `ItemCollectionMetrics` of responses, from what reads and writes counted.

use zenobe_model::capacity::{CapacityDetail, ConsumedCapacity, HalfUnits};
use zenobe_model::operation::{ItemCollectionMetrics, ReturnConsumedCapacity};
use zenobe_model::{EncodedItem, Item};

use crate::catalog::Table;
use crate::read::Source;
use crate::write::{ItemWrite, Written};

/// Bytes in the gigabyte of `SizeEstimateRangeGB`.
const GIGABYTE: u64 = 1 << 30;

/// The capacity of a read of `units` of `source`, and of `fetch_units` of its table.
pub(crate) fn of_read(
    table: &Table,
    source: Source<'_>,
    units: HalfUnits,
    fetch_units: HalfUnits,
    wanted: ReturnConsumedCapacity,
) -> Option<ConsumedCapacity> {
    let mut detail = CapacityDetail { table: fetch_units, ..CapacityDetail::default() };
    match source {
        Source::Table => detail.table += units,
        Source::Local(index) => {
            detail.local_secondary_indexes.insert(index.name.clone(), units);
        }
        Source::Global(index) => {
            detail.global_secondary_indexes.insert(index.name.clone(), units);
        }
    }
    report(table, detail, wanted)
}

/// The capacity of writes to one table.
pub(crate) fn of_writes<'a>(
    table: &Table,
    writes: impl Iterator<Item = &'a Written>,
    wanted: ReturnConsumedCapacity,
) -> Option<ConsumedCapacity> {
    let mut detail = CapacityDetail::default();
    for written in writes {
        detail.table += written.table_units;
        for change in &written.indexes {
            let indexes = if change.local {
                &mut detail.local_secondary_indexes
            } else {
                &mut detail.global_secondary_indexes
            };
            *indexes.entry(change.name.clone()).or_default() += change.units;
        }
    }
    report(table, detail, wanted)
}

fn report(
    table: &Table,
    detail: CapacityDetail,
    wanted: ReturnConsumedCapacity,
) -> Option<ConsumedCapacity> {
    let total = detail.table
        + detail.local_secondary_indexes.values().copied().sum()
        + detail.global_secondary_indexes.values().copied().sum();
    match wanted {
        ReturnConsumedCapacity::None => None,
        ReturnConsumedCapacity::Total => {
            Some(ConsumedCapacity { table_name: table.name.clone(), total, detail: None })
        }
        ReturnConsumedCapacity::Indexes => {
            Some(ConsumedCapacity { table_name: table.name.clone(), total, detail: Some(detail) })
        }
    }
}

/// The metrics of the item collection that a write changed; `None` for tables without local
/// secondary indexes, which have no item collections to speak of.
pub(crate) fn collection_metrics(
    write: &ItemWrite,
    written: &Written,
) -> Option<ItemCollectionMetrics> {
    let bytes = written.collection_bytes?;
    let name = &write.table.key.partition.name;
    let item = written.new.as_ref().or(written.old.as_ref());
    let from_item = item.and_then(|item: &EncodedItem| Some(item.get(name)?.to_owned()));
    let value = from_item.or_else(|| match &write.change {
        crate::write::Change::Put(item) => item.get(name).cloned(),
        crate::write::Change::Update { key, .. } | crate::write::Change::Delete { key } => {
            key.get(name).cloned()
        }
    })?;
    let lower = (bytes / GIGABYTE) as f64;
    Some(ItemCollectionMetrics {
        item_collection_key: Item::from([(name.clone(), value)]),
        size_estimate_range_gb: (lower, lower + 1.0),
    })
}
