//! Table descriptors.

use zenobe_storage::Engine;

use crate::{DatabaseConfig, OpenError};

/// The tables.
pub struct Catalog;

impl Catalog {
    pub(crate) async fn open(
        _engine: &dyn Engine,
        _config: &DatabaseConfig,
    ) -> Result<Self, OpenError> {
        Ok(Self)
    }
}
