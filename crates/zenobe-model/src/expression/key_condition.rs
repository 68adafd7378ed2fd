//! Key conditions: what `KeyConditionExpression` and `KeyConditions` compile to.

use super::condition::Comparison;
use crate::error::ServiceError;
use crate::value::{AttributeValue, ValueType};

/// A compiled key condition, not yet bound to a key schema: predicates on distinct attributes.
#[derive(Clone, Debug)]
pub struct KeyConditionExpression {
    predicates: Vec<(String, KeyPredicate)>,
}

/// What a key condition says of one attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPredicate {
    /// A comparison; never [`Comparison::NotEqual`].
    Compare(Comparison, AttributeValue),
    /// Both bounds are included.
    Between(AttributeValue, AttributeValue),
    /// A string or binary prefix.
    BeginsWith(AttributeValue),
}

/// The key attributes of a table or index, in the order of its key schema.
#[derive(Clone, Copy, Debug)]
pub struct KeySchemaRef<'a> {
    /// The attributes of the partition key, one to four.
    pub partition: &'a [(String, ValueType)],
    /// The attributes of the sort key, none to four.
    pub sort: &'a [(String, ValueType)],
}

/// A key condition in terms of a key schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundKeyCondition {
    /// A value for each attribute of the partition key.
    pub partition: Vec<AttributeValue>,
    /// Values for the first attributes of the sort key.
    pub sort_equal: Vec<AttributeValue>,
    /// A condition on the attribute of the sort key that follows those of `sort_equal`.
    pub sort_last: Option<SortCondition>,
}

/// A condition on one attribute of the sort key that is not an equality.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SortCondition {
    /// `<`
    Less(AttributeValue),
    /// `<=`
    LessOrEqual(AttributeValue),
    /// `>`
    Greater(AttributeValue),
    /// `>=`
    GreaterOrEqual(AttributeValue),
    /// Both bounds are included.
    Between(AttributeValue, AttributeValue),
    /// A string or binary prefix.
    BeginsWith(AttributeValue),
}

impl KeyConditionExpression {
    /// A key condition of these predicates; the attributes must be distinct.
    #[must_use]
    pub const fn new(predicates: Vec<(String, KeyPredicate)>) -> Self {
        Self { predicates }
    }

    /// The attributes and what is said of them, in the order of the text.
    #[must_use]
    pub fn predicates(&self) -> &[(String, KeyPredicate)] {
        &self.predicates
    }

    /// Checks the condition against a key schema and puts it in the schema's order.
    ///
    /// # Errors
    /// A `ValidationException` if a key attribute is missing, an attribute is not one of the key,
    /// or a value has another type than its attribute.
    pub fn bind(&self, schema: KeySchemaRef<'_>) -> Result<BoundKeyCondition, ServiceError> {
        let _ = schema;
        Err(ServiceError::internal())
    }
}
