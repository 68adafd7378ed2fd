//! Query and Scan: what they read, and the rules that depend on the table and its indexes.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use zenobe_model::compile::{self, CompiledRead, Segment};
use zenobe_model::expression::{
    BoundKeyCondition, Condition, KeySchemaRef, Projection, SortCondition,
};
use zenobe_model::key as encoding;
use zenobe_model::operation::{QueryRequest, ReadItemsResponse, ScanRequest, Select};
use zenobe_model::value::ValueType;
use zenobe_model::{AttributeValue, Item, ServiceError};
use zenobe_storage::{Direction, HashInterval, RowPlace, SortBound};

use super::capacity;
use crate::catalog::{IndexProjection, KeyAttribute, Table};
use crate::read::{self, Extent, PageRead, Source};
use crate::{Inner, key};

/// Query.
///
/// # Errors
/// The service's errors.
pub(crate) async fn query(
    db: &Inner,
    request: QueryRequest,
) -> Result<ReadItemsResponse, ServiceError> {
    let query = compile::query(request)?;
    let table = db.catalog.table(&query.read.table_name)?;
    let source = source_of(&table, &query.read)?;
    let bound = bind(&table, source, &query.key_condition)?;
    if let Some(filter) = &query.read.filter {
        check_filter(&table, source, filter, query.filter_parameter())?;
        check_filter_projected(&table, source, filter)?;
    }
    let partition = key::encode(&bound.partition.iter().collect::<Vec<_>>());
    let (mut from, mut to) = sort_interval(&bound);
    let direction = if query.scan_index_forward { Direction::Forward } else { Direction::Backward };
    if let Some(start) = &query.read.exclusive_start_key {
        let place = start_place(&table, source, start)?;
        if !contains(&from, &to, &place.sort) {
            return Err(ServiceError::validation(
                "The provided starting key does not match the range key predicate",
            ));
        }
        if place.partition != partition {
            let is_whole_partition = bound.sort_equal.is_empty() && bound.sort_last.is_none();
            return Err(ServiceError::validation(if is_whole_partition {
                "The provided starting key is outside query boundaries based on provided conditions"
            } else {
                "The query can return at most one row and cannot be restarted"
            }));
        }
        match direction {
            Direction::Forward => from = Bound::Excluded(place.sort),
            Direction::Backward => to = Bound::Excluded(place.sort),
        }
    }
    let extent = Extent::Partition { partition, from, to, direction };
    read_page(db, &table, source, query.read, extent).await
}

/// Scan.
///
/// # Errors
/// The service's errors.
pub(crate) async fn scan(
    db: &Inner,
    request: ScanRequest,
) -> Result<ReadItemsResponse, ServiceError> {
    let scan = compile::scan(request)?;
    let table = db.catalog.table(&scan.read.table_name)?;
    let source = source_of(&table, &scan.read)?;
    let interval = match scan.segment {
        None => HashInterval::ALL,
        Some(segment) => db.engine.split(segment.total, segment.index),
    };
    let after = match &scan.read.exclusive_start_key {
        None => None,
        Some(start) => {
            let place = start_place(&table, source, start)?;
            check_segment(db, scan.segment, interval, &place)?;
            Some(place)
        }
    };
    let extent = Extent::Hashes { interval, after };
    read_page(db, &table, source, scan.read, extent).await
}

fn check_segment(
    db: &Inner,
    segment: Option<Segment>,
    interval: HashInterval,
    place: &RowPlace,
) -> Result<(), ServiceError> {
    let hash = db.engine.partition_hash(&place.partition);
    match segment {
        Some(segment) if hash < interval.first || hash > interval.last => {
            Err(ServiceError::validation(format!(
                "The provided starting key is invalid: Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct Segment. TotalSegments: {} Segment: {}",
                segment.total, segment.index
            )))
        }
        _ => Ok(()),
    }
}

async fn read_page(
    db: &Inner,
    table: &Arc<Table>,
    source: Source<'_>,
    read: CompiledRead,
    extent: Extent,
) -> Result<ReadItemsResponse, ServiceError> {
    let paths = read.projection.iter().flat_map(Projection::paths);
    key::check_paths(table, paths.chain(read.filter.iter().flat_map(|filter| filter.paths())))?;
    let fetch = needs_fetch(table, source, &read)?;
    let count_only = read.select == Some(Select::Count);
    let page = read::page(
        db,
        PageRead {
            table,
            source,
            extent,
            consistent: read.consistent_read,
            limit: read.limit,
            filter: read.filter,
            projection: read.projection,
            count_only,
            fetch,
        },
    )
    .await?;
    Ok(ReadItemsResponse {
        items: (!count_only).then_some(page.items),
        count: page.count,
        scanned_count: page.scanned_count,
        last_evaluated_key: page.last_evaluated_key,
        consumed_capacity: capacity::of_read(
            table,
            source,
            page.source_units,
            page.fetch_units,
            read.return_consumed_capacity,
        ),
    })
}

/// The table or index that the request reads.
fn source_of<'t>(table: &'t Table, read: &CompiledRead) -> Result<Source<'t>, ServiceError> {
    let Some(name) = &read.index_name else {
        if read.select == Some(Select::AllProjectedAttributes) {
            return Err(ServiceError::validation(
                "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName",
            ));
        }
        return Ok(Source::Table);
    };
    if let Some(index) = table.local_indexes.iter().find(|index| index.name == *name) {
        return Ok(Source::Local(index));
    }
    let Some(index) =
        table.global_indexes.iter().find(|index| index.name == *name && index.is_written())
    else {
        return Err(ServiceError::validation(format!(
            "The table does not have the specified index: {name}"
        )));
    };
    if read.consistent_read {
        return Err(ServiceError::validation(
            "Consistent reads are not supported on global secondary indexes",
        ));
    }
    if !index.is_readable() {
        return Err(ServiceError::validation(format!(
            "Cannot read from backfilling global secondary index: {name}"
        )));
    }
    Ok(Source::Global(index))
}

fn bind(
    table: &Table,
    source: Source<'_>,
    condition: &compile::KeyConditionSource,
) -> Result<BoundKeyCondition, ServiceError> {
    let pairs = |attributes: &[KeyAttribute]| -> Vec<(String, ValueType)> {
        attributes.iter().map(|attribute| (attribute.name.clone(), attribute.ty)).collect()
    };
    let (partition, sort) = (pairs(source.partition(table)), pairs(source.sort(table)));
    condition.bind(KeySchemaRef { partition: &partition, sort: &sort })
}

/// A filter of a query may not name the keys of what is queried.
fn check_filter(
    table: &Table,
    source: Source<'_>,
    filter: &Condition,
    parameter: &str,
) -> Result<(), ServiceError> {
    let keys = source.partition(table).iter().chain(source.sort(table));
    match keys.into_iter().find(|attribute| filter.mentions(&attribute.name)) {
        None => Ok(()),
        Some(attribute) => Err(ServiceError::validation(format!(
            "{parameter} can only contain non-primary key attributes: Primary key attribute: {}",
            attribute.name
        ))),
    }
}

/// The sort bytes that satisfy a key condition.
///
/// Every element of a sort key is self-delimiting, so the keys that begin with given elements are
/// those between the encoded elements and their successor.
pub(super) fn sort_interval(condition: &BoundKeyCondition) -> (SortBound, SortBound) {
    let prefix = key::encode(&condition.sort_equal.iter().collect::<Vec<_>>());
    let with = |value: &AttributeValue| {
        let mut bytes = prefix.to_vec();
        bytes.extend_from_slice(&key::encode(&[value]));
        bytes
    };
    let at = |bytes: Vec<u8>| Bound::Included(Bytes::from(bytes));
    let before = |bytes: Vec<u8>| Bound::Excluded(Bytes::from(bytes));
    let from_prefix = || at(prefix.to_vec());
    let to_prefix = || past(&prefix);
    match &condition.sort_last {
        None => (from_prefix(), to_prefix()),
        Some(SortCondition::Less(value)) => (from_prefix(), before(with(value))),
        Some(SortCondition::LessOrEqual(value)) => (from_prefix(), past(&with(value))),
        Some(SortCondition::Greater(value)) => (from_past(&with(value)), to_prefix()),
        Some(SortCondition::GreaterOrEqual(value)) => (at(with(value)), to_prefix()),
        Some(SortCondition::Between(low, high)) => (at(with(low)), past(&with(high))),
        Some(SortCondition::BeginsWith(value)) => {
            let bytes = key::begin_with(&prefix, value);
            let end = past(&bytes);
            (at(bytes), end)
        }
    }
}

/// Up to and with all keys that begin with `prefix`.
fn past(prefix: &[u8]) -> SortBound {
    encoding::prefix_end(prefix).map_or(Bound::Unbounded, Bound::Excluded)
}

/// After all keys that begin with `prefix`. An encoded element never consists of 0xff alone, so it
/// has a successor; without one nothing would follow.
fn from_past(prefix: &[u8]) -> SortBound {
    match encoding::prefix_end(prefix) {
        Some(successor) => Bound::Included(successor),
        None => Bound::Excluded(Bytes::copy_from_slice(prefix)),
    }
}

fn contains(from: &SortBound, to: &SortBound, sort: &Bytes) -> bool {
    use std::ops::RangeBounds;
    let interval: (Bound<&Bytes>, Bound<&Bytes>) = (from.as_ref(), to.as_ref());
    RangeBounds::<Bytes>::contains(&interval, sort)
}

/// The place that an exclusive start key names.
fn start_place(table: &Table, source: Source<'_>, start: &Item) -> Result<RowPlace, ServiceError> {
    let invalid = || ServiceError::validation("The provided starting key is invalid");
    let attributes = source.key_attributes(table);
    let fits = |attribute: &&KeyAttribute| {
        start.get(&attribute.name).is_some_and(|value| value.value_type() == attribute.ty)
    };
    if start.len() != attributes.len() || !attributes.iter().all(fits) {
        return Err(match source {
            Source::Table => ServiceError::validation(
                "The provided starting key is invalid: The provided key element does not match the schema",
            ),
            _ => invalid(),
        });
    }
    for KeyAttribute { name, .. } in attributes {
        let Some(value) = start.get(name) else { continue };
        let mut partition = source.partition(table).iter().chain([&table.key.partition]);
        let sort = partition.all(|attribute| attribute.name != *name);
        key::check_key_value(name, value, sort).map_err(ServiceError::from).map_err(|error| {
            let message = format!("The provided starting key is invalid: {}", error.message);
            ServiceError { message, ..error }
        })?;
    }
    source.place_of(table, start).ok_or_else(invalid)
}

/// Whether what is wanted of a local index must be fetched from the table.
///
/// # Errors
/// When a global index is asked for what it does not project: it never fetches.
fn needs_fetch(
    table: &Table,
    source: Source<'_>,
    read: &CompiledRead,
) -> Result<bool, ServiceError> {
    let (name, projection) = match source {
        Source::Table => return Ok(false),
        Source::Local(index) => (&index.name, &index.projection),
        Source::Global(index) => (&index.name, &index.projection),
    };
    if matches!(projection, IndexProjection::All) {
        return Ok(false);
    }
    let global = matches!(source, Source::Global(_));
    if read.select == Some(Select::AllAttributes) {
        if global {
            return Err(ServiceError::validation(format!(
                "One or more parameter values were invalid: Select type ALL_ATTRIBUTES is not supported for global secondary index {name} because its projection type is not ALL"
            )));
        }
        return Ok(true);
    }
    let wanted = read.projection.iter().flat_map(Projection::top_level_names);
    let mut missing = missing_names(table, source, projection, wanted);
    if missing.is_empty() {
        return Ok(false);
    }
    missing.sort_unstable();
    if global {
        return Err(ServiceError::validation(format!(
            "One or more parameter values were invalid: Global secondary index {name} does not project [{}]",
            missing.join(", ")
        )));
    }
    Ok(true)
}

/// A filter of a query may name only what the index that is read projects; one of a scan may name
/// anything.
fn check_filter_projected(
    table: &Table,
    source: Source<'_>,
    filter: &Condition,
) -> Result<(), ServiceError> {
    let (name, projection) = match source {
        Source::Table => return Ok(()),
        Source::Local(index) => (&index.name, &index.projection),
        Source::Global(index) => (&index.name, &index.projection),
    };
    let paths = filter.paths();
    let roots = paths.iter().map(|path| path.root.as_str());
    let mut missing = missing_names(table, source, projection, roots);
    if missing.is_empty() {
        return Ok(());
    }
    missing.sort_unstable();
    Err(ServiceError::validation(format!(
        "One or more parameter values were invalid: Secondary index {name} does not project one or more filter attributes: [{}]",
        missing.join(", ")
    )))
}

/// The attributes that are wanted and an index does not hold, each once, in the order in which they are wanted.
pub(super) fn missing_names<'a>(
    table: &Table,
    source: Source<'_>,
    projection: &IndexProjection,
    wanted: impl Iterator<Item = &'a str>,
) -> Vec<&'a str> {
    let mut missing = Vec::new();
    for name in wanted {
        if !missing.contains(&name) && !holds(table, source, projection, name) {
            missing.push(name);
        }
    }
    missing
}

/// Whether an index with this projection holds an attribute.
pub(super) fn holds(
    table: &Table,
    source: Source<'_>,
    projection: &IndexProjection,
    name: &str,
) -> bool {
    source.key_attributes(table).iter().any(|attribute| attribute.name == name)
        || match projection {
            IndexProjection::All => true,
            IndexProjection::KeysOnly => false,
            IndexProjection::Include(names) => names.iter().any(|known| known == name),
        }
}
