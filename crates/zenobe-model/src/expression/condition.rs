//! Conditions: what `ConditionExpression`, `FilterExpression` and their legacy forms compile to.

use super::path::Path;
use crate::codec::EncodedItem;
use crate::error::ServiceError;
use crate::value::{AttributeValue, ValueType};

/// A compiled condition on one item.
#[derive(Clone, Debug)]
pub enum Condition {
    /// All of them hold; true if there are none.
    And(Vec<Condition>),
    /// One of them holds; false if there are none.
    Or(Vec<Condition>),
    /// It does not hold.
    Not(Box<Condition>),
    /// A comparison. False if an operand does not exist, except `<>`, which is then true.
    Compare {
        /// The operator.
        operator: Comparison,
        /// What stands before it.
        left: Operand,
        /// What stands after it.
        right: Operand,
    },
    /// `operand BETWEEN low AND high`
    Between {
        /// What is tested.
        operand: Operand,
        /// The lower bound, included.
        low: Operand,
        /// The upper bound, included.
        high: Operand,
    },
    /// `operand IN (candidates)`
    In {
        /// What is tested.
        operand: Operand,
        /// What it is compared with, for equality.
        candidates: Vec<Operand>,
    },
    /// `attribute_exists(path)`
    AttributeExists(Path),
    /// `attribute_not_exists(path)`
    AttributeNotExists(Path),
    /// `attribute_type(operand, type)`
    AttributeType {
        /// What is tested.
        operand: Operand,
        /// The type that it shall have.
        value_type: ValueType,
    },
    /// `begins_with(operand, prefix)`: both strings, or both binary.
    BeginsWith {
        /// What is tested.
        operand: Operand,
        /// What it shall begin with.
        prefix: Operand,
    },
    /// `contains(operand, element)`: a substring, an element of a set or of a list.
    Contains {
        /// What is searched.
        operand: Operand,
        /// What is searched for.
        element: Operand,
    },
}

/// A comparison operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// What a condition looks at.
#[derive(Clone, Debug)]
pub enum Operand {
    /// The value at a path, if there is one.
    Path(Path),
    /// A value of the request.
    Literal(Literal),
    /// `size(operand)`: a number, or nothing for types without a size.
    Size(Box<Operand>),
}

/// A value of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Literal {
    value: AttributeValue,
}

impl From<AttributeValue> for Literal {
    fn from(value: AttributeValue) -> Self {
        Self { value }
    }
}

impl Literal {
    /// The value.
    #[must_use]
    pub const fn value(&self) -> &AttributeValue {
        &self.value
    }
}

impl Condition {
    /// Whether the condition holds for an item, or for none.
    ///
    /// # Errors
    /// `InternalServerError` if the item does not decode.
    pub fn evaluate(&self, item: Option<&EncodedItem>) -> Result<bool, ServiceError> {
        let _ = item;
        Err(ServiceError::internal())
    }

    /// Every path that the condition looks at, in the order of the text.
    #[must_use]
    pub fn paths(&self) -> Vec<&Path> {
        Vec::new()
    }

    /// Whether the condition looks at this top-level attribute, or below it.
    #[must_use]
    pub fn mentions(&self, name: &str) -> bool {
        self.paths().iter().any(|path| path.root == name)
    }
}
