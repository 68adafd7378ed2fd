//! Projections: what `ProjectionExpression` and `AttributesToGet` compile to.

use super::path::Path;
use crate::codec::EncodedItem;
use crate::error::ServiceError;

/// Which parts of items are returned: paths that do not overlap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Projection {
    paths: Vec<Path>,
}

impl Projection {
    /// A projection on top-level attributes, as `AttributesToGet` has it.
    pub fn attributes(names: impl IntoIterator<Item = String>) -> Self {
        Self { paths: names.into_iter().map(Path::attribute).collect() }
    }

    /// The paths, in the order of the text.
    #[must_use]
    pub fn paths(&self) -> &[Path] {
        &self.paths
    }

    /// The top-level attributes that the paths begin with, in the order of the text.
    pub fn top_level_names(&self) -> impl Iterator<Item = &str> {
        self.paths.iter().map(|path| path.root.as_str())
    }

    /// The projected parts of an item. Elements of lists keep their order and close up.
    ///
    /// # Errors
    /// `InternalServerError` if the item does not decode.
    pub fn project(&self, item: &EncodedItem) -> Result<EncodedItem, ServiceError> {
        let _ = item;
        Err(ServiceError::internal())
    }
}
