//! Key conditions: what `KeyConditionExpression` and `KeyConditions` compile to.
//!
//! A key condition says something of some attributes; only a key schema tells which of them are
//! the partition key. Every attribute of the partition key is given by equality, those of the sort
//! key from the left without a gap, and only the last of them by anything but equality.
//!
//! Source: Developer Guide, "Key condition expressions for the Query operation" and "Multi-attribute
//! keys pattern".

use super::condition::{Comparison, Condition, Literal, Operand};
use super::path::Path;
use crate::error::ServiceError;
use crate::limits::{PARTITION_KEY_BYTES_MAX, SORT_KEY_BYTES_MAX};
use crate::size::value_size;
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

/// What a request says of a key attribute, as far as the rules for keys of several attributes look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Given {
    /// It has one value.
    Equal,
    /// Anything else is said of it.
    Other,
}

impl KeySchemaRef<'_> {
    /// Whether more than one attribute makes up the partition key, or the sort key: only global
    /// secondary indexes have such keys, and faults in their conditions have texts of their own.
    #[must_use]
    pub const fn is_multi_attribute(&self) -> bool {
        self.partition.len() > 1 || self.sort.len() > 1
    }

    /// Checks that every attribute of a multi-attribute key's partition key is given by equality.
    /// If some are not given at all, the error names only those.
    pub(crate) fn check_partition_given(
        &self,
        given: impl Fn(&str) -> Option<Given>,
    ) -> Result<(), ServiceError> {
        let mut lacking = names_but(self.partition.iter(), |name| given(name).is_some());
        if lacking.is_empty() {
            lacking = names_but(self.partition.iter(), |name| given(name) == Some(Given::Equal));
        }
        if !self.is_multi_attribute() || lacking.is_empty() {
            return Ok(());
        }
        Err(ServiceError::validation(format!(
            "HASH key attributes {} must have equality conditions specified in the query",
            lacking.join(", ")
        )))
    }

    /// Checks that the attributes of a multi-attribute key's sort key are given from the left, and
    /// all but the last of them by equality. A gap is reported before a comparison, the first
    /// gap first.
    pub(crate) fn check_sort_given(
        &self,
        given: impl Fn(&str) -> Option<Given>,
    ) -> Result<(), ServiceError> {
        let is_given = |(name, _): &(String, ValueType)| given(name).is_some();
        let Some(last) = self.sort.iter().rposition(is_given) else { return Ok(()) };
        if !self.is_multi_attribute() {
            return Ok(());
        }
        let gap = self.sort.iter().take(last).position(|attribute| !is_given(attribute));
        let rest = self.sort.get(gap.unwrap_or(last)..).unwrap_or_default();
        let Some(present) = rest.iter().find(|attribute| is_given(attribute)) else {
            return Ok(());
        };
        let before = self.sort.iter().take_while(|attribute| *attribute != present);
        let lacking = names_but(before, |name| {
            given(name) == Some(Given::Equal) || (gap.is_some() && given(name).is_some())
        });
        if lacking.is_empty() {
            return Ok(());
        }
        Err(ServiceError::validation(format!(
            "RANGE key attributes {} must have equality conditions specified in the query because \
             a condition is present on key attribute {}",
            lacking.join(", "),
            present.0
        )))
    }
}

/// The names of the attributes that are not `fine`.
fn names_but<'a>(
    attributes: impl Iterator<Item = &'a (String, ValueType)>,
    fine: impl Fn(&str) -> bool,
) -> Vec<&'a str> {
    attributes.map(|(name, _)| name.as_str()).filter(|name| !fine(name)).collect()
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

impl KeyPredicate {
    /// The values that the attribute is compared with.
    pub fn operands(&self) -> impl Iterator<Item = &AttributeValue> {
        let (first, second) = match self {
            Self::Compare(_, value) | Self::BeginsWith(value) => (value, None),
            Self::Between(low, high) => (low, Some(high)),
        };
        std::iter::once(first).chain(second)
    }

    const fn equal(&self) -> Option<&AttributeValue> {
        match self {
            Self::Compare(Comparison::Equal, value) => Some(value),
            _ => None,
        }
    }

    /// The predicate as a condition that is no equality; `None` for `=` and `<>`.
    #[must_use]
    pub fn sort_condition(&self) -> Option<SortCondition> {
        Some(match self.clone() {
            Self::Compare(Comparison::Less, value) => SortCondition::Less(value),
            Self::Compare(Comparison::LessOrEqual, value) => SortCondition::LessOrEqual(value),
            Self::Compare(Comparison::Greater, value) => SortCondition::Greater(value),
            Self::Compare(Comparison::GreaterOrEqual, value) => {
                SortCondition::GreaterOrEqual(value)
            }
            Self::Compare(Comparison::Equal | Comparison::NotEqual, _) => return None,
            Self::Between(low, high) => SortCondition::Between(low, high),
            Self::BeginsWith(prefix) => SortCondition::BeginsWith(prefix),
        })
    }
}

impl KeyConditionExpression {
    /// A key condition of these predicates; the attributes must be distinct.
    #[must_use]
    pub const fn new(predicates: Vec<(String, KeyPredicate)>) -> Self {
        Self { predicates }
    }

    /// Takes the predicates out of a condition that was compiled from a `KeyConditionExpression`.
    ///
    /// # Errors
    /// A `ValidationException` if it has an operator or operand that key conditions do not have.
    pub fn from_condition(condition: &Condition) -> Result<Self, ServiceError> {
        from_condition(condition)
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
    /// a value has another type than its attribute, or a condition is of a kind that its attribute
    /// cannot have.
    pub fn bind(&self, schema: KeySchemaRef<'_>) -> Result<BoundKeyCondition, ServiceError> {
        let attributes = schema.partition.len() + schema.sort.len();
        if self.predicates.len() > attributes {
            return Err(ServiceError::validation(format!(
                "The number of query conditions ({}) exceeds the number of key attributes defined \
                 in the schema ({attributes})",
                self.predicates.len()
            )));
        }
        let given = |name: &str| {
            let predicate = self.predicate(name)?;
            Some(if predicate.equal().is_some() { Given::Equal } else { Given::Other })
        };
        schema.check_partition_given(given)?;
        let mut partition = Vec::with_capacity(schema.partition.len());
        for (name, value_type) in schema.partition {
            let predicate = self.predicate(name).ok_or_else(|| missed(name))?;
            check_operands(name, *value_type, predicate)?;
            partition.push(predicate.equal().ok_or_else(not_supported)?.clone());
        }
        check_size(&partition, PARTITION_KEY_BYTES_MAX, PARTITION_TOO_LONG)?;
        schema.check_sort_given(given)?;
        let mut left = self.predicates.len() - partition.len();
        let mut sort_equal = Vec::new();
        let mut sort_last = None;
        for (name, value_type) in schema.sort {
            if left == 0 {
                break;
            }
            let predicate = self.predicate(name).ok_or_else(|| missed(name))?;
            check_operands(name, *value_type, predicate)?;
            left -= 1;
            if sort_last.is_some() {
                return Err(not_supported());
            }
            match predicate.equal() {
                Some(value) => sort_equal.push(value.clone()),
                None => sort_last = Some(predicate.sort_condition().ok_or_else(not_supported)?),
            }
            for value in predicate.operands() {
                check_size(std::slice::from_ref(value), SORT_KEY_BYTES_MAX, SORT_TOO_LONG)?;
            }
        }
        Ok(BoundKeyCondition { partition, sort_equal, sort_last })
    }

    fn predicate(&self, name: &str) -> Option<&KeyPredicate> {
        self.predicates.iter().find(|(mine, _)| mine == name).map(|(_, predicate)| predicate)
    }
}

const PARTITION_TOO_LONG: &str = "One or more parameter values were invalid: Size of hashkey has \
                                  exceeded the maximum size limit of2048 bytes";
const SORT_TOO_LONG: &str = "One or more parameter values were invalid: Aggregated size of all \
                             range keys has exceeded the size limit of 1024 bytes";

fn check_size(
    values: &[AttributeValue],
    max_bytes: usize,
    message: &str,
) -> Result<(), ServiceError> {
    if values.iter().any(|value| value_size(value) > max_bytes) {
        return Err(ServiceError::validation(message));
    }
    Ok(())
}

fn check_operands(
    name: &str,
    value_type: ValueType,
    predicate: &KeyPredicate,
) -> Result<(), ServiceError> {
    if predicate.operands().any(|value| value.value_type() != value_type) {
        return Err(ServiceError::validation(
            "One or more parameter values were invalid: Condition parameter type does not match \
             schema type",
        ));
    }
    for value in predicate.operands() {
        let kind = match value {
            AttributeValue::S(text) if text.is_empty() => "string",
            AttributeValue::B(bytes) if bytes.is_empty() => "binary",
            _ => continue,
        };
        return Err(ServiceError::validation(format!(
            "One or more parameter values are not valid. The AttributeValue for a key attribute \
             cannot contain an empty {kind} value. Key: {name}"
        )));
    }
    Ok(())
}

fn missed(name: &str) -> ServiceError {
    ServiceError::validation(format!("Query condition missed key schema element: {name}"))
}

fn not_supported() -> ServiceError {
    ServiceError::validation("Query key condition not supported")
}

/// Takes the predicates out of a condition that was compiled from a `KeyConditionExpression`.
pub(super) fn from_condition(
    condition: &Condition,
) -> Result<KeyConditionExpression, ServiceError> {
    let mut predicates = Vec::new();
    collect(condition, &mut predicates)?;
    Ok(KeyConditionExpression { predicates })
}

fn collect(
    condition: &Condition,
    predicates: &mut Vec<(String, KeyPredicate)>,
) -> Result<(), ServiceError> {
    let (name, predicate) = match condition {
        Condition::And(conditions) => {
            for condition in conditions {
                collect(condition, predicates)?;
            }
            return Ok(());
        }
        Condition::Or(_) => return Err(invalid_operator("OR")),
        Condition::Not(_) => return Err(invalid_operator("NOT")),
        Condition::Compare { operator: Comparison::NotEqual, .. } => {
            return Err(invalid_operator(Comparison::NotEqual.symbol()));
        }
        Condition::In { .. } => return Err(invalid_operator("IN")),
        Condition::AttributeExists(_) => return Err(invalid_operator("attribute_exists")),
        Condition::AttributeNotExists(_) => return Err(invalid_operator("attribute_not_exists")),
        Condition::AttributeType { .. } => return Err(invalid_operator("attribute_type")),
        Condition::Contains { .. } => return Err(invalid_operator("contains")),
        Condition::Compare { operator, left, right } => compare(*operator, left, right)?,
        Condition::Between { operand, low, high } => {
            let path = single_path("BETWEEN", &[operand, low, high])?;
            let predicate = match (low, high) {
                (Operand::Literal(low), Operand::Literal(high)) => {
                    KeyPredicate::Between(low.to_value(), high.to_value())
                }
                _ => return Err(not_first("BETWEEN")),
            };
            (path, predicate)
        }
        Condition::BeginsWith { operand, prefix } => {
            let path = single_path("begins_with", &[operand, prefix])?;
            match prefix {
                Operand::Literal(prefix) => (path, KeyPredicate::BeginsWith(prefix.to_value())),
                _ => return Err(not_first("begins_with")),
            }
        }
    };
    if predicates.iter().any(|(mine, _)| *mine == name.root) {
        return Err(ServiceError::validation(
            "Invalid KeyConditionExpression: KeyConditionExpressions must only contain one \
             condition per key",
        ));
    }
    predicates.push((name.root.clone(), predicate));
    Ok(())
}

fn compare<'a>(
    operator: Comparison,
    left: &'a Operand,
    right: &'a Operand,
) -> Result<(&'a Path, KeyPredicate), ServiceError> {
    check_operands_flat(&[left, right])?;
    let literal = |literal: &Literal| literal.to_value();
    match (left, right) {
        (Operand::Path(path), Operand::Literal(value)) => {
            Ok((path, KeyPredicate::Compare(operator, literal(value))))
        }
        (Operand::Literal(value), Operand::Path(path)) => {
            Ok((path, KeyPredicate::Compare(operator.mirrored(), literal(value))))
        }
        (Operand::Path(_), _) => Err(multiple_names()),
        _ => Err(ServiceError::validation(
            "Invalid condition in KeyConditionExpression: No key attribute specified",
        )),
    }
}

/// The path of BETWEEN or `begins_with`: the first operand, and no other one.
fn single_path<'a>(operator: &str, operands: &[&'a Operand]) -> Result<&'a Path, ServiceError> {
    check_operands_flat(operands)?;
    let mut operands = operands.iter();
    let Some(Operand::Path(path)) = operands.next() else { return Err(not_first(operator)) };
    if operands.any(|operand| matches!(operand, Operand::Path(_))) {
        return Err(multiple_names());
    }
    Ok(path)
}

/// No operand is a function or a nested path.
fn check_operands_flat(operands: &[&Operand]) -> Result<(), ServiceError> {
    for operand in operands {
        let message = match operand {
            Operand::Size(_) => "KeyConditionExpressions cannot contain nested operations",
            Operand::Path(path) if !path.elements.is_empty() => {
                "KeyConditionExpressions cannot have conditions on nested attributes"
            }
            _ => continue,
        };
        return Err(ServiceError::validation(format!("Invalid KeyConditionExpression: {message}")));
    }
    Ok(())
}

fn invalid_operator(operator: &str) -> ServiceError {
    ServiceError::validation(format!("Invalid operator used in KeyConditionExpression: {operator}"))
}

fn not_first(operator: &str) -> ServiceError {
    ServiceError::validation(format!(
        "Invalid condition in KeyConditionExpression: {operator} operator must have the key \
         attribute as its first operand"
    ))
}

fn multiple_names() -> ServiceError {
    ServiceError::validation(
        "Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition",
    )
}
