//! Whether what follows from the items of the tables fits them: the entries of indexes, the records of streams.
//!
//! Nothing is changed, and others may write meanwhile: what does not fit counts only if it stays so while its item
//! does not change.

mod indexes;

use std::fmt;
use std::time::Duration;

use zenobe_model::ServiceError;

pub use self::indexes::IndexCheck;
use crate::Database;
use crate::catalog::Table;
pub use crate::stream::StreamCheck;

/// How often what does not fit is looked at, and how long to wait between.
pub(crate) const LOOKS_MAX: usize = 10;
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// How many faults of an index or of a stream are named; the rest are counted.
const NAMED_MAX: usize = 10;

/// Is told what is looked at, and how much of it was.
pub(crate) type Progress<'a> = dyn FnMut(&str, u64) + Send + 'a;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checks {
    /// Of each index.
    pub indexes: Vec<IndexCheck>,
    /// Of each stream.
    pub streams: Vec<StreamCheck>,
}

impl Checks {
    /// Whether everything fits.
    #[must_use]
    pub fn agree(&self) -> bool {
        self.indexes.iter().all(IndexCheck::agrees) && self.streams.iter().all(StreamCheck::agrees)
    }
}

impl fmt::Display for Checks {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { indexes, streams } = self;
        indexes.iter().try_for_each(|check| write!(out, "{check}"))?;
        streams.iter().try_for_each(|check| write!(out, "{check}"))?;
        write!(out, "{} indexes and {} streams checked", indexes.len(), streams.len())
    }
}

/// Names a fault, if there is still room for names.
pub(crate) fn name(named: &mut Vec<String>, fault: impl FnOnce() -> String) {
    if named.len() < NAMED_MAX {
        named.push(fault());
    }
}

impl Database {
    /// Compares every index and every stream with its table. `progress` is told what is looked at and how many
    /// items, entries or records of it were.
    ///
    /// # Errors
    /// What the engine answered, or that stored bytes of a table or an index do not decode.
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
            checks.indexes.extend(indexes::check(db, &table, &mut progress).await?);
        }
        for stream in db.catalog.streams.all() {
            checks.streams.push(crate::stream::check(db, &stream, &mut progress).await?);
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
