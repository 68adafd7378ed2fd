//! Updates: what `UpdateExpression` and `AttributeUpdates` compile to.

use super::condition::Literal;
use super::path::Path;
use crate::codec::EncodedItem;
use crate::error::ServiceError;
use crate::value::Item;

/// Compiled changes to one item. All operands are read from the item as it was.
#[derive(Clone, Debug, Default)]
pub struct Update {
    actions: Vec<Action>,
}

/// One change.
#[derive(Clone, Debug)]
pub enum Action {
    /// `SET path = value`; `PUT` of the legacy parameters.
    Set {
        /// What is assigned to.
        path: Path,
        /// What is assigned.
        value: UpdateValue,
    },
    /// `REMOVE path`; `DELETE` without a value of the legacy parameters.
    Remove {
        /// What is removed, if it exists.
        path: Path,
    },
    /// `ADD path value`: a number to a number, elements to a set.
    Add {
        /// What is added to; created if it does not exist.
        path: Path,
        /// What is added.
        value: Literal,
    },
    /// `DELETE path value`: elements from a set.
    Delete {
        /// What is removed from.
        path: Path,
        /// The elements to remove.
        value: Literal,
    },
    /// `ADD` of the legacy parameters: as [`Action::Add`], and elements to a list.
    LegacyAdd {
        /// The attribute that is added to.
        path: Path,
        /// What is added.
        value: Literal,
    },
}

/// The right side of `SET`.
#[derive(Clone, Debug)]
pub enum UpdateValue {
    /// An operand as it is.
    Operand(UpdateOperand),
    /// The sum of two numbers.
    Plus(UpdateOperand, UpdateOperand),
    /// The difference of two numbers.
    Minus(UpdateOperand, UpdateOperand),
}

/// An operand on the right side of `SET`.
#[derive(Clone, Debug)]
pub enum UpdateOperand {
    /// The value at a path, which must exist.
    Path(Path),
    /// A value of the request.
    Literal(Literal),
    /// `if_not_exists(path, otherwise)`
    IfNotExists(Path, Box<UpdateValue>),
    /// `list_append(first, second)`
    ListAppend(Box<UpdateValue>, Box<UpdateValue>),
}

impl Update {
    /// An update of these actions, whose paths must not overlap.
    #[must_use]
    pub const fn new(actions: Vec<Action>) -> Self {
        Self { actions }
    }

    /// The actions.
    #[must_use]
    pub fn actions(&self) -> &[Action] {
        &self.actions
    }

    /// The paths that are changed, in the order of the text.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.actions.iter().map(Action::path)
    }

    /// Whether the update changes this top-level attribute, or something below it.
    #[must_use]
    pub fn touches(&self, name: &str) -> bool {
        self.paths().any(|path| path.root == name)
    }

    /// The item after the update. For an item that does not exist yet, pass one of its key alone.
    ///
    /// # Errors
    /// A `ValidationException` if an operand does not exist or does not fit.
    pub fn apply(&self, old: &Item) -> Result<Item, ServiceError> {
        let _ = old;
        Err(ServiceError::internal())
    }

    /// The same on an encoded item: attributes that the update does not name are copied undecoded.
    ///
    /// # Errors
    /// As [`Update::apply`]; `InternalServerError` if the item does not decode.
    pub fn apply_encoded(&self, old: &EncodedItem) -> Result<EncodedItem, ServiceError> {
        let _ = old;
        Err(ServiceError::internal())
    }

    /// The parts of an item, before or after the update, that `UPDATED_OLD` or `UPDATED_NEW`
    /// returns; `None` if there are none, so that the response has no `Attributes`.
    ///
    /// # Errors
    /// `InternalServerError` if the item does not decode.
    pub fn select(&self, item: &EncodedItem) -> Result<Option<EncodedItem>, ServiceError> {
        let _ = item;
        Err(ServiceError::internal())
    }
}

impl Action {
    /// The path that the action changes.
    #[must_use]
    pub const fn path(&self) -> &Path {
        match self {
            Self::Set { path, .. }
            | Self::Remove { path }
            | Self::Add { path, .. }
            | Self::Delete { path, .. }
            | Self::LegacyAdd { path, .. } => path,
        }
    }
}
