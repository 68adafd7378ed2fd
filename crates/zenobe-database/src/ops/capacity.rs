//! `ConsumedCapacity` and `ItemCollectionMetrics` of responses, from what reads and writes counted.

use zenobe_model::capacity::{CapacityDetail, CapacityDirection, ConsumedCapacity, HalfUnits};
use zenobe_model::codec::RawValue;
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
    report(table, detail, wanted, None)
}

/// The capacity of the statements of a batch that name one table. What failed ones consumed is in the total
/// alone.
pub(crate) fn of_statements(
    table: &Table,
    detail: CapacityDetail,
    failed: HalfUnits,
    wanted: ReturnConsumedCapacity,
) -> Option<ConsumedCapacity> {
    let mut consumed = report(table, detail, wanted, None)?;
    consumed.total += failed;
    Some(consumed)
}

/// The capacity of writes to one table.
pub(crate) fn of_writes<'a>(
    table: &Table,
    writes: impl Iterator<Item = &'a Written>,
    wanted: ReturnConsumedCapacity,
) -> Option<ConsumedCapacity> {
    report(table, detail_of_writes(writes), wanted, None)
}

/// The capacity of a transaction's writes to one table. What the table consumes counts twice, what
/// its indexes consume does not.
pub(crate) fn of_transaction<'a>(
    table: &Table,
    writes: impl Iterator<Item = &'a Written>,
    wanted: ReturnConsumedCapacity,
) -> Option<ConsumedCapacity> {
    let mut detail = detail_of_writes(writes);
    detail.table = detail.table.transactional();
    report(table, detail, wanted, Some(CapacityDirection::Write))
}

/// The capacity of reading items of these sizes in a transaction.
pub(crate) fn of_transactional_reads(
    table: &Table,
    sizes: impl Iterator<Item = usize>,
    wanted: ReturnConsumedCapacity,
) -> Option<ConsumedCapacity> {
    let units = sizes.map(|size| HalfUnits::read(size, true).transactional()).sum();
    let detail = CapacityDetail { table: units, ..CapacityDetail::default() };
    report(table, detail, wanted, Some(CapacityDirection::Read))
}

fn detail_of_writes<'a>(writes: impl Iterator<Item = &'a Written>) -> CapacityDetail {
    let mut detail = CapacityDetail::default();
    add_writes(&mut detail, writes);
    detail
}

/// Adds what writes consumed.
pub(crate) fn add_writes<'a>(
    detail: &mut CapacityDetail,
    writes: impl Iterator<Item = &'a Written>,
) {
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
}

fn report(
    table: &Table,
    detail: CapacityDetail,
    wanted: ReturnConsumedCapacity,
    direction: Option<CapacityDirection>,
) -> Option<ConsumedCapacity> {
    let total = detail.table
        + detail.local_secondary_indexes.values().copied().sum()
        + detail.global_secondary_indexes.values().copied().sum();
    let detail = match wanted {
        ReturnConsumedCapacity::None => return None,
        ReturnConsumedCapacity::Total => None,
        ReturnConsumedCapacity::Indexes => Some(detail),
    };
    Some(ConsumedCapacity { table_name: table.name.clone(), total, detail, direction })
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
        crate::write::Change::Put(item) => item.item().get(name).map(RawValue::to_owned),
        crate::write::Change::Update { key, .. }
        | crate::write::Change::Delete { key }
        | crate::write::Change::Check { key } => key.get(name).cloned(),
    })?;
    let lower = (bytes / GIGABYTE) as f64;
    Some(ItemCollectionMetrics {
        item_collection_key: Item::from([(name.clone(), value)]),
        size_estimate_range_gb: (lower, lower + 1.0),
    })
}
