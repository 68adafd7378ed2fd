//! The pager: Query and Scan, of tables and of indexes, share it.
//!
//! A page ends when it has examined `limit` items or a megabyte of them, counted before filtering,
//! as DynamoDB does. Where items are fetched from the table for what a local index does not project, the megabyte is
//! that of both. The engine is read in chunks with no cursor held between them.
//! Source: Developer Guide, "Paginating table query results" and "Querying a local secondary index".

use std::sync::Arc;

use bytes::Bytes;
use zenobe_model::capacity::{HalfUnits, READ_UNIT_BYTES};
use zenobe_model::expression::{Condition, Projection};
use zenobe_model::limits::PAGE_BYTES;
use zenobe_model::{EncodedItem, Item, ServiceError};
use zenobe_storage::{
    Direction, HashInterval, Key, Lane, Page, PageLimit, RangeRead, Read, Row, RowPlace, ScanRead,
    SortBound, SpaceId,
};

use crate::catalog::{GlobalIndex, KeyAttribute, LocalIndex, Table};
use crate::{Inner, engine_failure, key, transact, write};

/// The most rows that one call of the engine returns.
const CHUNK_ROWS: usize = 512;
/// After so many items that a filter looked at, others get a turn: a filter may have thousands of conditions.
const FILTERED_AT_ONCE: usize = 16;
/// The most items that are fetched from the table at a time: each may be as long as an item can be.
const FETCH_ROWS: usize = 32;

/// What is read: a table or one of its indexes.
#[derive(Clone, Copy)]
pub(crate) enum Source<'t> {
    Table,
    Local(&'t LocalIndex),
    Global(&'t GlobalIndex),
}

impl<'t> Source<'t> {
    pub(crate) fn space(self, table: &Table) -> SpaceId {
        match self {
            Self::Table | Self::Local(_) => table.space,
            Self::Global(index) => index.space,
        }
    }

    pub(crate) fn lane(self) -> Lane {
        match self {
            Self::Table | Self::Global(_) => Lane::ITEM,
            Self::Local(index) => Lane::local_index(index.ordinal),
        }
    }

    /// The partition key attributes of the source.
    pub(crate) fn partition(self, table: &'t Table) -> &'t [KeyAttribute] {
        match self {
            Self::Table | Self::Local(_) => std::slice::from_ref(&table.key.partition),
            Self::Global(index) => &index.partition,
        }
    }

    /// The sort key attributes of the source.
    pub(crate) fn sort(self, table: &'t Table) -> &'t [KeyAttribute] {
        match self {
            Self::Table => table.key.sort.as_slice(),
            Self::Local(index) => index.key.sort.as_slice(),
            Self::Global(index) => &index.sort,
        }
    }

    /// What orders the rows of a partition of the source: its sort key, then what tells apart the
    /// items of an index.
    fn order(self, table: &'t Table) -> Vec<&'t KeyAttribute> {
        let own = self.sort(table).iter();
        match self {
            Self::Table => own.collect(),
            Self::Local(_) => own.chain(&table.key.sort).collect(),
            Self::Global(_) => own.chain(table.key.attributes()).collect(),
        }
    }

    /// The attributes of a start key of the source, each once.
    pub(crate) fn key_attributes(self, table: &'t Table) -> Vec<&'t KeyAttribute> {
        let mut all: Vec<&KeyAttribute> = table.key.attributes().collect();
        for attribute in self.partition(table).iter().chain(self.sort(table)) {
            if !all.iter().any(|known| known.name == attribute.name) {
                all.push(attribute);
            }
        }
        all
    }

    /// The place in the source that a start key names; `None` if an attribute is missing.
    pub(crate) fn place_of(self, table: &'t Table, start: &Item) -> Option<RowPlace> {
        let encode = |attributes: Vec<&KeyAttribute>| {
            let values: Option<Vec<_>> =
                attributes.iter().map(|attribute| start.get(&attribute.name)).collect();
            Some(if attributes.is_empty() { Bytes::new() } else { key::encode(&values?) })
        };
        Some(RowPlace {
            partition: encode(self.partition(table).iter().collect())?,
            sort: encode(self.order(table))?,
        })
    }
}

/// The rows to read, before any limit.
pub(crate) enum Extent {
    /// Rows of one partition, in the order of the sort key.
    Partition { partition: Bytes, from: SortBound, to: SortBound, direction: Direction },
    /// Rows of all partitions whose hash is in the interval.
    Hashes { interval: HashInterval, after: Option<RowPlace> },
}

/// A read of one page.
pub(crate) struct PageRead<'t> {
    pub(crate) table: &'t Arc<Table>,
    pub(crate) source: Source<'t>,
    pub(crate) extent: Extent,
    pub(crate) consistent: bool,
    /// The most items to examine.
    pub(crate) limit: Option<u32>,
    pub(crate) filter: Option<Condition>,
    pub(crate) projection: Option<Projection>,
    /// Whether to count only.
    pub(crate) count_only: bool,
    /// Whether the whole items are fetched from the table, for what a local index does not project.
    pub(crate) fetch: bool,
}

impl PageRead<'_> {
    /// Whether the items are more than passed on to the client.
    fn looks_into_items(&self) -> bool {
        self.filter.is_some() || self.projection.is_some() || self.count_only || self.fetch
    }

    /// Whether the extent is one item at most, after which nothing can follow.
    fn is_whole_item(&self) -> bool {
        matches!(
            (&self.extent, self.source),
            (Extent::Partition { .. }, Source::Table) if self.table.key.sort.is_none()
        )
    }
}

/// A page as read.
#[derive(Default)]
pub(crate) struct ItemsPage {
    pub(crate) items: Vec<EncodedItem>,
    pub(crate) count: u32,
    pub(crate) scanned_count: u32,
    pub(crate) last_evaluated_key: Option<Item>,
    /// What reading the source consumed.
    pub(crate) source_units: HalfUnits,
    /// What fetching from the table consumed.
    pub(crate) fetch_units: HalfUnits,
}

/// Reads one page.
///
/// # Errors
/// Of the engine, or of evaluating the filter.
pub(crate) async fn page(db: &Inner, mut request: PageRead<'_>) -> Result<ItemsPage, ServiceError> {
    let read = read_mode(db, &request).await?;
    let limit = request.limit.map_or(usize::MAX, |limit| limit as usize);
    let mut page = ItemsPage::default();
    if let (true, Extent::Partition { partition, .. }) = (request.consistent, &request.extent) {
        transact::settle_partition(db, request.table.space, partition).await?;
    }
    let settles = request.consistent && !db.engine.capabilities().global_commit;
    let chunk_rows = if request.fetch { FETCH_ROWS } else { CHUNK_ROWS };
    let mut examined = Examined::default();
    let mut scanned = 0;
    'pages: loop {
        let chunk = PageLimit {
            rows: (limit - scanned).min(chunk_rows),
            bytes: PAGE_BYTES.saturating_sub(examined.page_bytes()).max(1),
        };
        let rows = match request.extent {
            Extent::Hashes { interval, .. } if settles => {
                settled_chunk(db, &mut request, interval, chunk, read.clone()).await?
            }
            _ => read_chunk(db, &request, chunk, read.clone()).await?,
        };
        let end = rows.end;
        match rows.rows.last() {
            Some((place, _)) => request.extent.advance(place),
            None if end => break,
            None => continue,
        }
        let chunk = decode_chunk(db, &request, rows, &read).await?;
        for (entry, item) in chunk {
            scanned += 1;
            examined.entry_bytes += entry.size_bytes();
            if let Some(item) = &item {
                examined.fetched_bytes += item.size_bytes().next_multiple_of(READ_UNIT_BYTES);
            }
            page.take(&request, item.unwrap_or_else(|| entry.clone()))?;
            if scanned >= limit || examined.page_bytes() >= PAGE_BYTES {
                page.last_evaluated_key =
                    (!request.is_whole_item()).then(|| start_key(&request, &entry));
                break 'pages;
            }
            if request.filter.is_some() && scanned.is_multiple_of(FILTERED_AT_ONCE) {
                tokio::task::yield_now().await;
            }
        }
        if end {
            break;
        }
    }
    page.scanned_count = u32::try_from(scanned).unwrap_or(u32::MAX);
    page.source_units = HalfUnits::read(examined.entry_bytes, request.consistent);
    if examined.fetched_bytes > 0 {
        page.fetch_units = HalfUnits::read(examined.fetched_bytes, request.consistent);
    }
    Ok(page)
}

/// How much a page has examined so far.
#[derive(Default)]
struct Examined {
    /// The sizes of the source's entries.
    entry_bytes: usize,
    /// The sizes of the items fetched for them, each in whole read units.
    fetched_bytes: usize,
}

impl Examined {
    /// What the limit of a page counts: with items that are fetched, the entries, too, are counted in whole read units.
    fn page_bytes(&self) -> usize {
        match self.fetched_bytes {
            0 => self.entry_bytes,
            fetched => self.entry_bytes.next_multiple_of(READ_UNIT_BYTES) + fetched,
        }
    }
}

impl ItemsPage {
    fn take(&mut self, request: &PageRead<'_>, item: EncodedItem) -> Result<(), ServiceError> {
        if let Some(filter) = &request.filter
            && !filter.evaluate(Some(&item))?
        {
            return Ok(());
        }
        self.count += 1;
        if !request.count_only {
            self.items.push(match &request.projection {
                Some(projection) => projection.project(&item)?,
                None => item,
            });
        }
        Ok(())
    }
}

impl Extent {
    /// Leaves out what lies up to and with `place`.
    fn advance(&mut self, place: &RowPlace) {
        match self {
            Self::Hashes { after, .. } => *after = Some(place.clone()),
            Self::Partition { from, to, direction, .. } => match direction {
                Direction::Forward => *from = SortBound::Excluded(place.sort.clone()),
                Direction::Backward => *to = SortBound::Excluded(place.sort.clone()),
            },
        }
    }
}

/// A chunk of a strong scan where transactions leave intents beside items. What they have decided is written to
/// the items first, as far as the chunk goes; to learn how far that is, it is read once before.
async fn settled_chunk(
    db: &Inner,
    request: &mut PageRead<'_>,
    interval: HashInterval,
    limit: PageLimit,
    read: Read,
) -> Result<Page, ServiceError> {
    let hash = |place: &RowPlace| db.engine.partition_hash(&place.partition);
    let ahead = read_chunk(db, request, limit, Read::Eventual).await?;
    let Extent::Hashes { interval: now, after } = &mut request.extent else {
        return Err(ServiceError::internal());
    };
    let first = after.as_ref().map_or(interval.first, hash);
    let last = match ahead.rows.last() {
        Some((place, _)) if !ahead.end => hash(place),
        _ => interval.last,
    };
    transact::settle_interval(db, request.table.space, HashInterval { first, last }).await?;
    now.last = last;
    let mut rows = read_chunk(db, request, limit, read).await?;
    if let Extent::Hashes { interval: now, after } = &mut request.extent {
        *now = interval;
        rows.end &= last == interval.last;
        if rows.rows.is_empty() && !rows.end {
            // What was there is gone: the scan goes on behind it.
            (now.first, *after) = (last + 1, None);
        }
    }
    Ok(rows)
}

/// How to read these items: a strong read leaves no committed transaction's intent beside them.
pub(crate) async fn items_mode(
    db: &Inner,
    items: &[Key],
    consistent: bool,
) -> Result<Read, ServiceError> {
    if !consistent {
        return Ok(Read::Eventual);
    }
    transact::settle_items(db, items).await?;
    Ok(Read::Strong)
}

/// The row of one item.
pub(crate) async fn row(
    db: &Inner,
    item: Key,
    consistent: bool,
) -> Result<Option<Row>, ServiceError> {
    let read = items_mode(db, std::slice::from_ref(&item), consistent).await?;
    db.engine.get(item, read).await.map_err(|error| engine_failure(&error))
}

/// A page that joins an index with its table reads both at one point in time, where it can.
async fn read_mode(db: &Inner, request: &PageRead<'_>) -> Result<Read, ServiceError> {
    if request.fetch && db.engine.capabilities().snapshot_read {
        let snapshot = db.engine.snapshot().await.map_err(|error| engine_failure(&error))?;
        return Ok(Read::Snapshot(snapshot));
    }
    Ok(if request.consistent { Read::Strong } else { Read::Eventual })
}

async fn read_chunk(
    db: &Inner,
    request: &PageRead<'_>,
    limit: PageLimit,
    read: Read,
) -> Result<Page, ServiceError> {
    let space = request.source.space(request.table);
    let lane = request.source.lane();
    let rows = match &request.extent {
        Extent::Partition { partition, from, to, direction } => {
            let range = RangeRead {
                space,
                lane,
                partition: partition.clone(),
                from: from.clone(),
                to: to.clone(),
                direction: *direction,
                limit,
            };
            db.engine.range(range, read).await
        }
        Extent::Hashes { interval, after } => {
            let scan = ScanRead { space, lane, interval: *interval, after: after.clone(), limit };
            db.engine.scan(scan, read).await
        }
    };
    rows.map_err(|error| engine_failure(&error))
}

/// Decodes the rows of a chunk: each entry of the source, and the item to filter and return where
/// that is another one.
async fn decode_chunk(
    db: &Inner,
    request: &PageRead<'_>,
    rows: Page,
    read: &Read,
) -> Result<Vec<(EncodedItem, Option<EncodedItem>)>, ServiceError> {
    let decode = if request.looks_into_items() { write::decode } else { write::decode_to_pass_on };
    let entries = rows.rows.into_iter().map(|(_, row)| decode(row.value));
    if !request.fetch {
        return entries.map(|entry| Ok((entry?, None))).collect();
    }
    let entries: Vec<EncodedItem> = entries.collect::<Result<_, _>>()?;
    let keys: Vec<Key> = entries
        .iter()
        .filter_map(|entry| key::place_of_encoded(&request.table.key, entry))
        .map(|place| key::item_key(request.table, place))
        .collect();
    let items = db.engine.multi_get(keys, read.clone()).await;
    let items = items.map_err(|error| engine_failure(&error))?;
    let mut joined = Vec::with_capacity(entries.len());
    for (entry, row) in entries.into_iter().zip(items) {
        // Without a snapshot the item may have gone since; the entry is what is left of it.
        let item = match row {
            Some(row) => write::decode(row.value)?,
            None => entry.clone(),
        };
        joined.push((entry, Some(item)));
    }
    Ok(joined)
}

fn start_key(request: &PageRead<'_>, entry: &EncodedItem) -> Item {
    request
        .source
        .key_attributes(request.table)
        .into_iter()
        .filter_map(|attribute| {
            Some((attribute.name.clone(), entry.get(&attribute.name)?.to_owned()))
        })
        .collect()
}
