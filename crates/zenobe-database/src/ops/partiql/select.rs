//! SELECT: the reads that its condition comes down to, a page over all of them, and `NextToken`.
//!
//! Reads of several partitions are made one after the other in the order of the partition key, and
//! within it in that of the sort key, so that a position is the ordinal of a read and a key in it.

use std::cmp::Ordering;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use zenobe_model::capacity::HalfUnits;
use zenobe_model::expression::{
    BoundKeyCondition, Comparison, Condition, KeyPredicate, sort_as_hash_set,
};
use zenobe_model::operation::{ExecuteStatementResponse, ReturnConsumedCapacity};
use zenobe_model::partiql::keys::{KeyNames, KeyedRead, Reads};
use zenobe_model::partiql::{Columns, Select};
use zenobe_model::{AttributeValue, Item, ServiceError};
use zenobe_storage::{Direction, HashInterval, RowPlace, SortBound};

use super::super::capacity;
use super::super::query::{holds, missing_names, sort_interval};
use super::key_type_mismatch;
use super::token::{self, Position, Scope};
use crate::catalog::{IndexProjection, KeyAttribute, Table};
use crate::read::{self, Extent, ItemsPage, PageRead, Source};
use crate::{Inner, key};

/// A page ends after the read with which this much was consumed: what a megabyte costs.
const fn page_units(consistent: bool) -> HalfUnits {
    HalfUnits::read(zenobe_model::limits::PAGE_BYTES, consistent)
}

/// Which page of a SELECT is asked for, and how.
pub(super) struct PageRequest<'a> {
    pub(super) text: &'a str,
    pub(super) parameters: &'a [AttributeValue],
    pub(super) consistent: bool,
    pub(super) limit: Option<u32>,
    pub(super) next_token: Option<&'a str>,
    pub(super) wanted: ReturnConsumedCapacity,
}

/// One read of a SELECT.
struct PlannedRead {
    extent: PlannedExtent,
    filter: Option<Condition>,
    /// Whether it is of one item at most.
    single: bool,
}

enum PlannedExtent {
    All,
    Partition { partition: Bytes, from: SortBound, to: SortBound, direction: Direction },
}

/// The order of the reads and within them.
#[derive(Clone, Copy, Default)]
struct Order {
    partition_descending: bool,
    sort_descending: bool,
}

/// Executes a SELECT.
///
/// # Errors
/// The service's errors.
pub(super) async fn select(
    db: &Inner,
    select: Select,
    request: PageRequest<'_>,
) -> Result<ExecuteStatementResponse, ServiceError> {
    let table = db.catalog.table(&select.table)?;
    let source = source_of(&table, select.index.as_deref(), request.consistent)?;
    let columns = select.columns.map_err(|error| *error)?;
    let paths = columns.iter().flat_map(Columns::paths);
    key::check_paths(&table, paths.chain(select.condition.iter().flat_map(Condition::paths)))?;
    let fetch = needs_fetch(&table, source, columns.as_ref())?;
    let order = order(&table, source, &select.order_by, select.condition.as_ref())?;
    let reads = plan_reads(&table, source, select.condition, order)?;
    let scope = Scope { table_id: &table.id, text: request.text, parameters: request.parameters };
    let start = request.next_token.map(|token| scope.decode(token)).transpose()?;
    let pages = Pages { db, table: &table, source, fetch, request: &request };
    let (page, next) = pages.run(&reads, start.unwrap_or_default()).await?;
    let items = match &columns {
        Some(columns) => page.items.iter().map(|item| columns.project(item)).collect(),
        None => page.items,
    };
    Ok(ExecuteStatementResponse {
        items,
        next_token: next.as_ref().map(|next| scope.encode(next)),
        last_evaluated_key: next.and_then(|next| next.after),
        consumed_capacity: capacity::of_read(
            &table,
            source,
            page.source_units,
            page.fetch_units,
            request.wanted,
        ),
    })
}

/// Reads pages of several reads as one.
struct Pages<'a> {
    db: &'a Inner,
    table: &'a Arc<Table>,
    source: Source<'a>,
    fetch: bool,
    request: &'a PageRequest<'a>,
}

impl Pages<'_> {
    /// What is read from `start` on, and where the next page begins.
    async fn run(
        &self,
        reads: &[PlannedRead],
        start: Position,
    ) -> Result<(ItemsPage, Option<Position>), ServiceError> {
        let mut all = ItemsPage::default();
        let mut left = self.request.limit;
        let first = usize::try_from(start.read).map_err(|_| token::invalid())?;
        let mut after = start.after;
        for (ordinal, read) in reads.iter().enumerate().skip(first) {
            let page = self.page(read, left, after.take()).await?;
            all.items.extend(page.items);
            all.source_units += page.source_units;
            all.fetch_units += page.fetch_units;
            left = left.map(|left| left.saturating_sub(page.scanned_count));
            let position = u32::try_from(ordinal).map_err(|_| ServiceError::internal())?;
            if let Some(key) = page.last_evaluated_key.filter(|_| !read.single) {
                return Ok((all, Some(Position { read: position, after: Some(key) })));
            }
            let units = all.source_units + all.fetch_units;
            let full = left == Some(0) || units >= page_units(self.request.consistent);
            if full && ordinal + 1 < reads.len() {
                return Ok((all, Some(Position { read: position + 1, after: None })));
            }
        }
        if reads.is_empty() {
            all.source_units = HalfUnits::read(0, self.request.consistent);
        }
        Ok((all, None))
    }

    async fn page(
        &self,
        read: &PlannedRead,
        limit: Option<u32>,
        after: Option<Item>,
    ) -> Result<ItemsPage, ServiceError> {
        let after = match after {
            None => None,
            Some(key) => Some(self.source.place_of(self.table, &key).ok_or_else(token::invalid)?),
        };
        let page = PageRead {
            table: self.table,
            source: self.source,
            extent: read.extent.after(after)?,
            consistent: self.request.consistent,
            limit,
            filter: read.filter.clone(),
            projection: None,
            count_only: false,
            fetch: self.fetch,
        };
        read::page(self.db, page).await
    }
}

impl PlannedExtent {
    /// The extent behind a place in it.
    fn after(&self, place: Option<RowPlace>) -> Result<Extent, ServiceError> {
        let (partition, from, to, direction) = match self {
            Self::All => return Ok(Extent::Hashes { interval: HashInterval::ALL, after: place }),
            Self::Partition { partition, from, to, direction } => (partition, from, to, *direction),
        };
        let (mut from, mut to) = (from.clone(), to.clone());
        if let Some(place) = place {
            if place.partition != *partition {
                return Err(token::invalid());
            }
            match direction {
                Direction::Forward => from = Bound::Excluded(place.sort),
                Direction::Backward => to = Bound::Excluded(place.sort),
            }
        }
        Ok(Extent::Partition { partition: partition.clone(), from, to, direction })
    }
}

/// The table or index that is read.
///
/// # Errors
/// The service's errors for an index that there is not, or that cannot be read so.
pub(super) fn source_of<'t>(
    table: &'t Table,
    index: Option<&str>,
    consistent: bool,
) -> Result<Source<'t>, ServiceError> {
    let Some(name) = index else { return Ok(Source::Table) };
    if let Some(index) = table.local_indexes.iter().find(|index| index.name == name) {
        return Ok(Source::Local(index));
    }
    let index = table.global_indexes.iter().find(|index| index.name == name && index.is_written());
    let Some(index) = index else {
        return Err(ServiceError::validation("The table does not have the specified index"));
    };
    if index.partition.len() > 1 || index.sort.len() > 1 {
        return Err(ServiceError::validation(
            "PartiQL statements cannot be executed on tables with multi-attribute HASH keys or multi-attribute RANGE keys.",
        ));
    }
    if consistent {
        return Err(ServiceError::validation(
            "Strongly consistent read is not supported on Global Secondary Indexes",
        ));
    }
    if !index.is_readable() {
        return Err(ServiceError::validation(format!(
            "Cannot read from backfilling global secondary index: {name}"
        )));
    }
    Ok(Source::Global(index))
}

fn projection_of<'t>(source: Source<'t>) -> Option<(&'t str, &'t IndexProjection)> {
    match source {
        Source::Table => None,
        Source::Local(index) => Some((&index.name, &index.projection)),
        Source::Global(index) => Some((&index.name, &index.projection)),
    }
}

/// Whether selected attributes are fetched from the table. Without a list, what the index holds is
/// all that is selected.
fn needs_fetch(
    table: &Table,
    source: Source<'_>,
    columns: Option<&Columns>,
) -> Result<bool, ServiceError> {
    let (Some((name, projection)), Some(columns)) = (projection_of(source), columns) else {
        return Ok(false);
    };
    let roots = columns.paths().map(|path| path.root.as_str());
    let missing = missing_names(table, source, projection, roots);
    if !missing.is_empty() && matches!(source, Source::Global(_)) {
        return Err(ServiceError::validation(format!(
            "One or more parameter values were invalid: Global secondary index {name} does not project [{}]",
            missing.join(", ")
        )));
    }
    Ok(!missing.is_empty())
}

fn key_names<'t>(table: &'t Table, source: Source<'t>) -> Option<KeyNames<'t>> {
    let partition = source.partition(table).first()?;
    let sort = source.sort(table).first().map(|sort| sort.name.as_str());
    Some(KeyNames { partition: &partition.name, sort })
}

/// What ORDER BY says.
fn order(
    table: &Table,
    source: Source<'_>,
    order_by: &[(String, bool)],
    condition: Option<&Condition>,
) -> Result<Order, ServiceError> {
    if order_by.is_empty() {
        return Ok(Order::default());
    }
    let Some(condition) = condition else {
        return Err(ServiceError::validation(
            "Must have WHERE clause in the statement when using ORDER BY clause.",
        ));
    };
    let is_key = |name: &str| {
        source.partition(table).iter().chain(source.sort(table)).any(|key| key.name == name)
    };
    if let Some((name, _)) = order_by.iter().find(|(name, _)| !is_key(name)) {
        return Err(ServiceError::validation(format!(
            "Attribute {name} in ORDER BY clause must be part of the primary key"
        )));
    }
    let keys = key_names(table, source).ok_or_else(ServiceError::internal)?;
    let descending = |wanted: Option<&str>| {
        let found = order_by.iter().find(|(name, _)| Some(name.as_str()) == wanted);
        found.map(|(_, descending)| *descending)
    };
    let partition_descending = descending(Some(keys.partition));
    match keys.reads(condition) {
        Reads::Scan => {
            return Err(ServiceError::validation(
                "Must have at least one non-optional hash key condition in WHERE clause when using ORDER BY clause.",
            ));
        }
        Reads::Keyed(reads) if partition_descending.is_none() && !are_of_one_partition(&reads) => {
            return Err(ServiceError::validation(
                "Must have hash key in ORDER BY clause when more than one hash key condition specified in WHERE clause.",
            ));
        }
        Reads::Keyed(_) | Reads::TooMany => {}
    }
    Ok(Order {
        partition_descending: partition_descending.unwrap_or(false),
        // The service's default, once there is an order.
        sort_descending: descending(keys.sort).unwrap_or(true),
    })
}

fn are_of_one_partition(reads: &[KeyedRead]) -> bool {
    reads.windows(2).all(|pair| matches!(pair, [a, b] if a.partition == b.partition))
}

/// Checks that a condition comes down to reads that can be made, whatever the types of their keys.
///
/// # Errors
/// The service's errors for too many reads, and for some that overlap.
pub(super) fn check_reads(
    table: &Table,
    source: Source<'_>,
    condition: &Condition,
) -> Result<(), ServiceError> {
    let keys = key_names(table, source).ok_or_else(ServiceError::internal)?;
    match keys.reads(condition) {
        Reads::Scan => Ok(()),
        Reads::TooMany => Err(too_many()),
        Reads::Keyed(reads) => intervals(reads).map(drop),
    }
}

fn too_many() -> ServiceError {
    ServiceError::validation("Too many decomposed read operations for a given query.")
}

/// What reads are of, ascending.
fn intervals(reads: Vec<KeyedRead>) -> Result<Vec<Interval>, ServiceError> {
    let mut intervals: Vec<Interval> = reads.into_iter().map(Interval::of).collect();
    intervals.retain(|interval| !interval.is_empty());
    intervals.sort_by(Interval::compare);
    let overlap = |(one, other): (&Interval, &Interval)| one.overlaps(other);
    if intervals.iter().zip(intervals.iter().skip(1)).any(overlap) {
        return Err(ServiceError::validation(
            "Overlapping conditions with range keys are not supported in where clause",
        ));
    }
    Ok(intervals)
}

fn plan_reads(
    table: &Table,
    source: Source<'_>,
    condition: Option<Condition>,
    order: Order,
) -> Result<Vec<PlannedRead>, ServiceError> {
    let scan = |filter| vec![PlannedRead { extent: PlannedExtent::All, filter, single: false }];
    let Some(condition) = condition else { return Ok(scan(None)) };
    let keys = key_names(table, source).ok_or_else(ServiceError::internal)?;
    let is_alternative = matches!(condition, Condition::Or(_));
    let reads = match keys.reads(&condition) {
        Reads::Scan => return Ok(scan(Some(condition))),
        Reads::TooMany => return Err(too_many()),
        Reads::Keyed(reads) => reads,
    };
    for read in &reads {
        check_key_values(table, source, read)?;
    }
    let mut intervals = intervals(reads)?;
    order.sort(&mut intervals);
    if !is_alternative && let Some(first) = intervals.first() {
        check_filter_projected(table, source, &first.filter)?;
    }
    let direction = if order.sort_descending { Direction::Backward } else { Direction::Forward };
    let has_sort = table.key.sort.is_some();
    let is_table = matches!(source, Source::Table);
    let planned = intervals.into_iter().map(|interval| PlannedRead {
        single: is_table && (interval.point || !has_sort),
        filter: (!interval.filter.is_empty()).then_some(Condition::And(interval.filter)),
        extent: PlannedExtent::Partition {
            partition: interval.partition,
            from: interval.from,
            to: interval.to,
            direction,
        },
    });
    Ok(planned.collect())
}

impl Order {
    /// Sorts intervals that are ascending.
    fn sort(self, intervals: &mut [Interval]) {
        match (self.partition_descending, self.sort_descending) {
            (false, false) => {}
            (true, true) => intervals.reverse(),
            (true, false) => intervals.sort_by(|one, other| other.partition.cmp(&one.partition)),
            (false, true) => {
                intervals.reverse();
                intervals.sort_by(|one, other| one.partition.cmp(&other.partition));
            }
        }
    }
}

/// The part of a partition that one read is of.
struct Interval {
    partition: Bytes,
    from: SortBound,
    to: SortBound,
    /// Whether it is one value of the sort key.
    point: bool,
    filter: Vec<Condition>,
}

impl Interval {
    fn of(read: KeyedRead) -> Self {
        let bounds = |predicate: Option<&KeyPredicate>| {
            let equal = match predicate {
                Some(KeyPredicate::Compare(Comparison::Equal, value)) => vec![value.clone()],
                _ => Vec::new(),
            };
            sort_interval(&BoundKeyCondition {
                partition: Vec::new(),
                sort_equal: equal,
                sort_last: predicate.and_then(KeyPredicate::sort_condition),
            })
        };
        let (mut from, mut to) = bounds(None);
        for predicate in &read.sort {
            let (later, earlier) = bounds(Some(predicate));
            if compare_from(&later, &from).is_gt() {
                from = later;
            }
            if compare_to(&earlier, &to).is_lt() {
                to = earlier;
            }
        }
        let point = |one: &KeyPredicate| matches!(one, KeyPredicate::Compare(Comparison::Equal, _));
        Self {
            partition: key::encode(&[&read.partition]),
            from,
            to,
            point: read.sort.iter().any(point),
            filter: read.filter,
        }
    }

    fn is_empty(&self) -> bool {
        match (&self.from, &self.to) {
            (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
            (Bound::Included(from), Bound::Included(to)) => from > to,
            (
                Bound::Included(from) | Bound::Excluded(from),
                Bound::Included(to) | Bound::Excluded(to),
            ) => from >= to,
        }
    }

    fn compare(&self, other: &Self) -> Ordering {
        let partition = self.partition.cmp(&other.partition);
        partition.then_with(|| compare_from(&self.from, &other.from))
    }

    /// Whether an interval shares a value with one that does not begin before it.
    fn overlaps(&self, other: &Self) -> bool {
        self.partition == other.partition
            && !Self {
                partition: Bytes::new(),
                from: other.from.clone(),
                to: self.to.clone(),
                point: false,
                filter: Vec::new(),
            }
            .is_empty()
    }
}

fn compare_from(one: &SortBound, other: &SortBound) -> Ordering {
    let rank = |bound: &SortBound| match bound {
        Bound::Unbounded => None,
        Bound::Included(bytes) => Some((bytes.clone(), 0)),
        Bound::Excluded(bytes) => Some((bytes.clone(), 1)),
    };
    rank(one).cmp(&rank(other))
}

fn compare_to(one: &SortBound, other: &SortBound) -> Ordering {
    let rank = |bound: &SortBound| match bound {
        Bound::Unbounded => (true, Bytes::new(), 0),
        Bound::Excluded(bytes) => (false, bytes.clone(), 0),
        Bound::Included(bytes) => (false, bytes.clone(), 1),
    };
    rank(one).cmp(&rank(other))
}

/// Checks the values that a read compares keys with.
fn check_key_values(
    table: &Table,
    source: Source<'_>,
    read: &KeyedRead,
) -> Result<(), ServiceError> {
    let check = |attribute: &KeyAttribute, value: &AttributeValue, sort| {
        if value.value_type() != attribute.ty {
            return Err(key_type_mismatch(&attribute.name));
        }
        key::check_key_value(&attribute.name, value, sort).map_err(ServiceError::from)
    };
    if let Some(attribute) = source.partition(table).first() {
        check(attribute, &read.partition, false)?;
    }
    if let Some(attribute) = source.sort(table).first() {
        for value in read.sort.iter().flat_map(KeyPredicate::operands) {
            check(attribute, value, true)?;
        }
    }
    Ok(())
}

/// A filter beside a key may name only what the index that is read holds, but within an alternative it may name
/// anything. The service looks at the first of several reads only.
fn check_filter_projected(
    table: &Table,
    source: Source<'_>,
    filter: &[Condition],
) -> Result<(), ServiceError> {
    let Some((name, projection)) = projection_of(source) else { return Ok(()) };
    let mut missing: Vec<&str> = Vec::new();
    for path in filter.iter().flat_map(Condition::paths) {
        let root = path.root.as_str();
        if !holds(table, source, projection, root) && !missing.contains(&root) {
            missing.push(root);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    sort_as_hash_set(&mut missing);
    Err(ServiceError::validation(format!(
        "One or more parameter values were invalid: Secondary index {name} does not project one or more filter attributes: [{}]",
        missing.join(", ")
    )))
}
