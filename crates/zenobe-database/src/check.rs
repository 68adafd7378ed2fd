//! Whether every item can be read, and whether what follows from the items fits them: the entries of indexes, the
//! records of streams.
//!
//! Stored bytes that are damaged do not end the check: they are a fault of what they belong to.
//!
//! Nothing is changed, and others may write meanwhile: what does not fit counts only if it stays so while its item
//! does not change.

mod indexes;
mod items;

use std::fmt;
use std::time::Duration;

use zenobe_model::{ErrorCode, ServiceError};
use zenobe_storage::{HashInterval, Lane, PageLimit, Read, Row, RowPlace, ScanRead, SpaceId};

pub use self::indexes::IndexCheck;
pub use self::items::TableCheck;
use crate::catalog::{Stream, Table};
pub use crate::stream::StreamCheck;
use crate::{Database, Inner, engine_failure};

/// How often what does not fit is looked at, and how long to wait between.
pub(crate) const LOOKS_MAX: usize = 10;
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// How many faults of an index or of a stream are named; the rest are counted.
const NAMED_MAX: usize = 10;
const PAGE: PageLimit = PageLimit { rows: 500, bytes: 1 << 20 };

/// Is told what is looked at, and how much of it was.
pub(crate) type Progress<'a> = dyn FnMut(&str, u64) + Send + 'a;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checks {
    /// Of each table.
    pub tables: Vec<TableCheck>,
    /// Of each index.
    pub indexes: Vec<IndexCheck>,
    /// Of each stream.
    pub streams: Vec<StreamCheck>,
}

impl Checks {
    /// Whether everything can be read and fits.
    #[must_use]
    pub fn agree(&self) -> bool {
        self.tables.iter().all(TableCheck::is_sound)
            && self.indexes.iter().all(IndexCheck::agrees)
            && self.streams.iter().all(StreamCheck::agrees)
    }
}

impl fmt::Display for Checks {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tables, indexes, streams } = self;
        tables.iter().try_for_each(|check| write!(out, "{check}"))?;
        indexes.iter().try_for_each(|check| write!(out, "{check}"))?;
        streams.iter().try_for_each(|check| write!(out, "{check}"))?;
        let items = tables.iter().map(|table| table.items).sum::<u64>();
        let (tables, indexes, streams) = (tables.len(), indexes.len(), streams.len());
        write!(
            out,
            "{tables} tables, {items} items read, {indexes} indexes and {streams} streams checked"
        )
    }
}

/// Names a fault, if there is still room for names.
pub(crate) fn name(named: &mut Vec<String>, fault: impl FnOnce() -> String) {
    if named.len() < NAMED_MAX {
        named.push(fault());
    }
}

/// Whether an answer of the engine says that stored bytes are damaged. Nothing else is an internal error here,
/// where nothing is written.
fn is_damage(error: &ServiceError) -> bool {
    error.code == ErrorCode::InternalServer
}

/// Looks at all rows of a lane, a page at a time. How many there were.
async fn each_row(
    db: &Inner,
    (space, lane): (SpaceId, Lane),
    progress: &mut (impl FnMut(u64) + Send),
    mut look: impl AsyncFnMut(RowPlace, Row) -> Result<(), ServiceError>,
) -> Result<u64, ServiceError> {
    let (mut after, mut count) = (None, 0);
    loop {
        let scan = ScanRead { space, lane, interval: HashInterval::ALL, after, limit: PAGE };
        let page = db.engine.scan(scan, Read::Strong).await;
        let page = page.map_err(|error| engine_failure(&error))?;
        after = page.rows.last().map(|(place, _)| place.clone());
        count += page.rows.len() as u64;
        for (place, row) in page.rows {
            look(place, row).await?;
        }
        progress(count);
        if page.end {
            return Ok(count);
        }
    }
}

/// Reads all items of a table, and compares its indexes.
async fn check_table(
    db: &Inner,
    table: &Table,
    checks: &mut Checks,
    progress: &mut Progress<'_>,
) -> Result<(), ServiceError> {
    checks.tables.push(items::check(db, table, progress).await?);
    checks.indexes.extend(indexes::check(db, table, progress).await?);
    Ok(())
}

async fn check_stream(
    db: &Inner,
    stream: &Stream,
    progress: &mut Progress<'_>,
) -> Result<StreamCheck, ServiceError> {
    match crate::stream::check(db, stream, progress).await {
        Err(error) if is_damage(&error) => Ok(StreamCheck {
            table: stream.table_name.clone(),
            label: stream.label.clone(),
            faults: 1,
            named: vec![format!("it cannot be compared: {}", error.message)],
            ..StreamCheck::default()
        }),
        checked => checked,
    }
}

impl Database {
    /// Reads every item of every table, and compares every index and every stream with its table. `progress` is
    /// told what is looked at and how many items, entries or records of it were.
    ///
    /// # Errors
    /// What the engine answered, unless that is that stored bytes are damaged.
    pub async fn check(
        &self,
        mut progress: impl FnMut(&str, u64) + Send,
    ) -> Result<Checks, ServiceError> {
        let db = &self.inner;
        let mut checks = Checks::default();
        for name in db.catalog.names() {
            // A copy: others wait for whoever holds on to the snapshot itself.
            let table = db.catalog.find(&name).map(|table| Table::clone(&table));
            let Some(table) = table else { continue };
            check_table(db, &table, &mut checks, &mut progress).await?;
        }
        for stream in db.catalog.streams.all() {
            checks.streams.push(check_stream(db, &stream, &mut progress).await?);
        }
        Ok(checks)
    }

    /// Keeps in touch with the processes that share the store for as long as the future is polled, and does no
    /// other background work. Never ends where there may be others.
    pub async fn keep_in_touch(&self) {
        self.run_agreement().await;
        std::future::pending().await
    }
}
