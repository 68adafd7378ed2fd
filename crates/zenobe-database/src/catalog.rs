//! The catalogue: which tables exist, and what they look like.
//!
//! # Reading
//!
//! [`Catalog::table`] is on the path of every request: it is a lookup in an immutable map, without
//! a lock. A caller holds the `Arc<Table>` until its commit is ordered. A change publishes a new
//! snapshot; [`Catalog::superseded`] says when nobody works under an older one any more, which is
//! what index backfill and the dropping of an index's space wait for.

mod arn;
mod stored;
mod table;

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use zenobe_model::operation::ResourceStatus;
use zenobe_model::{ErrorCode, ServiceError};
use zenobe_storage::Engine;

pub use self::table::{
    Counters, Encryption, GlobalIndex, Index, IndexProjection, IndexState, KeyAttribute, KeySchema,
    LocalIndex, Table,
};
use crate::{DatabaseConfig, OpenError};

/// The tables by name.
type Tables = HashMap<String, Arc<Table>>;

/// The tables.
pub struct Catalog {
    tables: ArcSwap<Tables>,
    region: String,
    account_id: String,
}

impl Catalog {
    /// Reads the catalogue that the engine holds.
    pub(crate) async fn open(
        _engine: &dyn Engine,
        config: &DatabaseConfig,
    ) -> Result<Self, OpenError> {
        Ok(Self {
            tables: ArcSwap::default(),
            region: config.region.clone(),
            account_id: config.account_id.clone(),
        })
    }

    /// The table with this name or ARN, for an operation on items.
    ///
    /// # Errors
    /// `ResourceNotFoundException` when there is no such table, or not yet, or no more;
    /// `ValidationException` or `AccessDeniedException` for an ARN of another Region or account.
    pub fn table(&self, name_or_arn: &str) -> Result<Arc<Table>, ServiceError> {
        let name = self.table_name(name_or_arn)?;
        match self.tables.load().get(name) {
            Some(table) if matches!(table.status, ResourceStatus::Active) => Ok(Arc::clone(table)),
            _ => {
                Err(ServiceError::new(ErrorCode::ResourceNotFound, "Requested resource not found"))
            }
        }
    }

    /// The name that a `TableName` parameter means.
    ///
    /// # Errors
    /// See [`Catalog::table`].
    pub fn table_name<'a>(&self, name_or_arn: &'a str) -> Result<&'a str, ServiceError> {
        arn::table_name(name_or_arn, &self.region, &self.account_id)
    }
}
