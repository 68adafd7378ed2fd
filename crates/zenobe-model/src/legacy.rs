//! The legacy parameters: their own rules, and what expressions would say in their place.
//!
//! `Expected`, `QueryFilter` and `ScanFilter` become a [`Condition`], `KeyConditions` a
//! [`KeyConditionExpression`], `AttributeUpdates` an [`Update`] and `AttributesToGet` a
//! [`Projection`], so that nothing below knows of them. Their attribute names are names of
//! top-level attributes: a dot in one is part of the name.
//!
//! Invariant: what leaves this module has the right number of operands, of the right types.
//!
//! Source: Developer Guide, "Legacy conditional parameters". `NOT_CONTAINS` is the one comparison
//! that is not what its expression says: it does not hold for an attribute that does not exist.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::ServiceError;
use crate::expression::{
    Action, BoundKeyCondition, Comparison, Condition, Given, KeyConditionExpression, KeyPredicate,
    KeySchemaRef, Operand, Path, Projection, Update, UpdateOperand, UpdateValue, name_fault,
};
use crate::operation::{
    AttributeAction, AttributeValueUpdate, ComparisonOperator, Condition as LegacyCondition,
    ConditionalOperator, ExpectedAttribute, Parsed,
};
use crate::value::{AttributeValue, ValueType};

#[cfg(test)]
mod tests;

/// The most attributes that `KeyConditions` may name, unless the key has several of a kind.
const KEY_CONDITIONS_MAX: usize = 2;

/// One checked comparison of an attribute with operands.
#[derive(Clone, Debug)]
pub(crate) struct AttributeComparison {
    name: String,
    test: Test,
}

/// What is asked of an attribute.
#[derive(Clone, Debug)]
enum Test {
    Exists,
    NotExists,
    Compare(Comparison, AttributeValue),
    Between(AttributeValue, AttributeValue),
    /// At least one.
    In(Vec<AttributeValue>),
    BeginsWith(AttributeValue),
    Contains(AttributeValue),
    NotContains(AttributeValue),
}

/// Checks `Expected`.
pub(crate) fn expected(
    expected: BTreeMap<String, ExpectedAttribute>,
) -> Result<Vec<AttributeComparison>, ServiceError> {
    expected.into_iter().map(|(name, attribute)| expected_attribute(name, attribute)).collect()
}

fn expected_attribute(
    name: String,
    attribute: ExpectedAttribute,
) -> Result<AttributeComparison, ServiceError> {
    check_name(&name)?;
    let ExpectedAttribute { value, exists, comparison_operator, attribute_value_list } = attribute;
    if value.is_some() && attribute_value_list.is_some() {
        return Err(invalid(format_args!(
            "Value and AttributeValueList cannot be used together for Attribute: {name}"
        )));
    }
    if let Some(operator) = comparison_operator {
        if exists.is_some() {
            return Err(invalid(format_args!(
                "Exists and ComparisonOperator cannot be used together for Attribute: {name}"
            )));
        }
        let Some(operands) = attribute_value_list.or_else(|| value.map(|value| vec![value])) else {
            if matches!(operator, ComparisonOperator::Null | ComparisonOperator::NotNull) {
                return comparison(name, operator, Vec::new());
            }
            return Err(invalid(format_args!(
                "Value or AttributeValueList must be used with ComparisonOperator: {} for Attribute: {name}",
                operator_name(operator)
            )));
        };
        return comparison(name, operator, operands);
    }
    if attribute_value_list.is_some() {
        return Err(invalid(format_args!(
            "AttributeValueList can only be used with a ComparisonOperator for Attribute: {name}"
        )));
    }
    match (exists, value) {
        (Some(false), None) => comparison(name, ComparisonOperator::Null, Vec::new()),
        (Some(false), Some(_)) => Err(invalid(format_args!(
            "Value cannot be used when Exists is false for Attribute: {name}"
        ))),
        (_, Some(value)) => comparison(name, ComparisonOperator::Eq, vec![value]),
        (exists, None) => Err(invalid(format_args!(
            "Value must be provided when Exists is {} for Attribute: {name}",
            if exists.is_some() { "true" } else { "null" }
        ))),
    }
}

/// Checks `QueryFilter`, `ScanFilter` or `KeyConditions`.
pub(crate) fn conditions(
    conditions: BTreeMap<String, LegacyCondition>,
) -> Result<Vec<AttributeComparison>, ServiceError> {
    conditions
        .into_iter()
        .map(|(name, condition)| {
            check_name(&name)?;
            let operands = condition.attribute_value_list.unwrap_or_default();
            comparison(name, condition.comparison_operator, operands)
        })
        .collect()
}

fn check_name(name: &str) -> Result<(), ServiceError> {
    name_fault(name).map_or(Ok(()), |fault| Err(ServiceError::validation(fault)))
}

/// Checks the operands of one comparison: each value, then their number, then their types.
fn comparison(
    name: String,
    operator: ComparisonOperator,
    operands: Vec<Parsed<AttributeValue>>,
) -> Result<AttributeComparison, ServiceError> {
    let operands = operands
        .into_iter()
        .map(|operand| operand.map_err(|error| *error))
        .collect::<Result<Vec<_>, ServiceError>>()?;
    let Some(test) = Test::new(operator, operands) else {
        return Err(invalid(format_args!(
            "Invalid number of argument(s) for the {} ComparisonOperator",
            operator_name(operator)
        )));
    };
    let types: Vec<_> = test.operands().map(AttributeValue::value_type).collect();
    if let Some((first, rest)) = types.split_first() {
        if rest.iter().any(|other| other != first) {
            return Err(invalid(format_args!(
                "AttributeValues inside AttributeValueList must be of same type"
            )));
        }
        if !compares(operator, *first) {
            return Err(invalid(format_args!(
                "ComparisonOperator {} is not valid for {} AttributeValue type",
                operator_name(operator),
                first.name()
            )));
        }
    }
    match &test {
        Test::Between(low, high) if is_greater(low, high) => Err(ServiceError::validation(
            "The BETWEEN condition was provided a range where the lower bound is greater than the upper bound",
        )),
        _ => Ok(AttributeComparison { name, test }),
    }
}

impl Test {
    /// The test of an operator with these operands, unless their number is wrong.
    fn new(operator: ComparisonOperator, operands: Vec<AttributeValue>) -> Option<Self> {
        if operator == ComparisonOperator::In {
            return (!operands.is_empty()).then_some(Self::In(operands));
        }
        let mut operands = operands.into_iter();
        let (first, second, third) = (operands.next(), operands.next(), operands.next());
        Some(match (operator, first, second, third) {
            (ComparisonOperator::NotNull, None, None, None) => Self::Exists,
            (ComparisonOperator::Null, None, None, None) => Self::NotExists,
            (ComparisonOperator::Between, Some(low), Some(high), None) => Self::Between(low, high),
            (operator, Some(operand), None, None) => match operator {
                ComparisonOperator::Eq => Self::Compare(Comparison::Equal, operand),
                ComparisonOperator::Ne => Self::Compare(Comparison::NotEqual, operand),
                ComparisonOperator::Lt => Self::Compare(Comparison::Less, operand),
                ComparisonOperator::Le => Self::Compare(Comparison::LessOrEqual, operand),
                ComparisonOperator::Gt => Self::Compare(Comparison::Greater, operand),
                ComparisonOperator::Ge => Self::Compare(Comparison::GreaterOrEqual, operand),
                ComparisonOperator::Contains => Self::Contains(operand),
                ComparisonOperator::NotContains => Self::NotContains(operand),
                ComparisonOperator::BeginsWith => Self::BeginsWith(operand),
                ComparisonOperator::In
                | ComparisonOperator::Between
                | ComparisonOperator::NotNull
                | ComparisonOperator::Null => return None,
            },
            _ => return None,
        })
    }

    /// The operands, in the order of the request.
    fn operands(&self) -> impl Iterator<Item = &AttributeValue> {
        let (first, second, more): (_, _, &[AttributeValue]) = match self {
            Self::Exists | Self::NotExists => (None, None, &[]),
            Self::Compare(_, operand)
            | Self::Contains(operand)
            | Self::NotContains(operand)
            | Self::BeginsWith(operand) => (Some(operand), None, &[]),
            Self::Between(low, high) => (Some(low), Some(high), &[]),
            Self::In(operands) => (None, None, operands),
        };
        first.into_iter().chain(second).chain(more)
    }
}

/// Whether an operator may have operands of this type.
const fn compares(operator: ComparisonOperator, value_type: ValueType) -> bool {
    let ordered = matches!(value_type, ValueType::S | ValueType::N | ValueType::B);
    match operator {
        ComparisonOperator::Eq
        | ComparisonOperator::Ne
        | ComparisonOperator::Null
        | ComparisonOperator::NotNull => true,
        ComparisonOperator::Le
        | ComparisonOperator::Lt
        | ComparisonOperator::Ge
        | ComparisonOperator::Gt
        | ComparisonOperator::Between
        | ComparisonOperator::In => ordered,
        ComparisonOperator::Contains | ComparisonOperator::NotContains => {
            ordered || matches!(value_type, ValueType::Bool | ValueType::Null)
        }
        ComparisonOperator::BeginsWith => matches!(value_type, ValueType::S | ValueType::B),
    }
}

/// Whether one of two values of the same ordered type comes after the other.
fn is_greater(left: &AttributeValue, right: &AttributeValue) -> bool {
    match (left, right) {
        (AttributeValue::S(left), AttributeValue::S(right)) => left > right,
        (AttributeValue::N(left), AttributeValue::N(right)) => left > right,
        (AttributeValue::B(left), AttributeValue::B(right)) => left > right,
        _ => false,
    }
}

/// Checks `ConditionalOperator` and joins comparisons to one condition, if there are any.
pub(crate) fn join(
    comparisons: Vec<AttributeComparison>,
    operator: Option<ConditionalOperator>,
) -> Result<Option<Condition>, ServiceError> {
    match (operator, comparisons.len()) {
        (Some(_), 0) => Err(ServiceError::validation(
            "ConditionalOperator cannot be used without Filter or Expected",
        )),
        (Some(_), 1) => Err(ServiceError::validation(
            "ConditionalOperator can only be used when Filter or Expected has two or more elements",
        )),
        (None, 0) => Ok(None),
        (operator, _) => {
            let mut conditions: Vec<_> = comparisons.into_iter().map(condition).collect();
            Ok(Some(match (operator, conditions.len()) {
                (_, 1) => conditions.remove(0),
                (Some(ConditionalOperator::Or), _) => Condition::Or(conditions),
                (Some(ConditionalOperator::And) | None, _) => Condition::And(conditions),
            }))
        }
    }
}

/// The condition that a comparison stands for.
fn condition(comparison: AttributeComparison) -> Condition {
    let path = Path::attribute(comparison.name);
    match comparison.test {
        Test::Exists => Condition::AttributeExists(path),
        Test::NotExists => Condition::AttributeNotExists(path),
        Test::Compare(operator, operand) => {
            Condition::Compare { operator, left: Operand::Path(path), right: literal(operand) }
        }
        Test::Between(low, high) => Condition::Between {
            operand: Operand::Path(path),
            low: literal(low),
            high: literal(high),
        },
        Test::In(operands) => Condition::In {
            operand: Operand::Path(path),
            candidates: operands.into_iter().map(literal).collect(),
        },
        Test::BeginsWith(prefix) => {
            Condition::BeginsWith { operand: Operand::Path(path), prefix: literal(prefix) }
        }
        Test::Contains(element) => contains(path, element),
        Test::NotContains(element) => Condition::And(vec![
            Condition::AttributeExists(path.clone()),
            Condition::Not(Box::new(contains(path, element))),
        ]),
    }
}

fn contains(path: Path, element: AttributeValue) -> Condition {
    Condition::Contains { operand: Operand::Path(path), element: literal(element) }
}

fn literal(value: AttributeValue) -> Operand {
    Operand::Literal(value.into())
}

/// Checked `KeyConditions`. What remains to be checked needs the key schema.
#[derive(Clone, Debug)]
pub struct KeyConditions {
    comparisons: Vec<AttributeComparison>,
}

/// Checks `KeyConditions` as far as possible without a key schema.
pub(crate) fn key_conditions(
    key_conditions: BTreeMap<String, LegacyCondition>,
) -> Result<KeyConditions, ServiceError> {
    let comparisons = conditions(key_conditions)?;
    if comparisons.is_empty() {
        return Err(wrong_length());
    }
    Ok(KeyConditions { comparisons })
}

impl KeyConditions {
    /// Checks the conditions against a key schema and puts them in the schema's order.
    ///
    /// # Errors
    /// A `ValidationException`: the first rule that the key attributes, in the order of the
    /// schema, break.
    pub fn bind(&self, schema: KeySchemaRef<'_>) -> Result<BoundKeyCondition, ServiceError> {
        let length = self.comparisons.len();
        if !schema.is_multi_attribute() && length > KEY_CONDITIONS_MAX {
            return Err(wrong_length());
        }
        let attributes = schema.partition.len() + schema.sort.len();
        if length > attributes {
            return Err(ServiceError::validation("Query key condition not supported"));
        }
        let given = |name: &str| {
            let comparison = self.of(name)?;
            let is_equal = matches!(comparison.test, Test::Compare(Comparison::Equal, _));
            Some(if is_equal { Given::Equal } else { Given::Other })
        };
        schema.check_partition_given(given)?;
        let mut predicates = Vec::with_capacity(self.comparisons.len());
        for (name, value_type) in schema.partition {
            let Some(comparison) = self.of(name) else { return Err(missed(name)) };
            let predicate = comparison.key_predicate(*value_type)?;
            if !matches!(predicate, KeyPredicate::Compare(Comparison::Equal, _)) {
                return Err(ServiceError::validation("Query key condition not supported"));
            }
            predicates.push((name.clone(), predicate));
        }
        schema.check_sort_given(given)?;
        for (name, value_type) in schema.sort {
            if predicates.len() == self.comparisons.len() {
                break;
            }
            let Some(comparison) = self.of(name) else { return Err(missed(name)) };
            predicates.push((name.clone(), comparison.key_predicate(*value_type)?));
        }
        KeyConditionExpression::new(predicates).bind(schema)
    }

    fn of(&self, name: &str) -> Option<&AttributeComparison> {
        self.comparisons.iter().find(|comparison| comparison.name == name)
    }
}

impl AttributeComparison {
    /// What the comparison says of a key attribute of this type.
    fn key_predicate(&self, value_type: ValueType) -> Result<KeyPredicate, ServiceError> {
        let predicate = match &self.test {
            Test::Compare(operator, operand) if *operator != Comparison::NotEqual => {
                KeyPredicate::Compare(*operator, operand.clone())
            }
            Test::Between(low, high) => KeyPredicate::Between(low.clone(), high.clone()),
            Test::BeginsWith(prefix) => KeyPredicate::BeginsWith(prefix.clone()),
            Test::Compare(..)
            | Test::Exists
            | Test::NotExists
            | Test::In(_)
            | Test::Contains(_)
            | Test::NotContains(_) => {
                return Err(ServiceError::validation(
                    "Attempted conditional constraint is not an indexable operation",
                ));
            }
        };
        if self.test.operands().any(|operand| operand.value_type() != value_type) {
            return Err(invalid(format_args!(
                "Condition parameter type does not match schema type"
            )));
        }
        Ok(predicate)
    }
}

fn wrong_length() -> ServiceError {
    ServiceError::validation("Conditions can be of length 1 or 2 only")
}

fn missed(name: &str) -> ServiceError {
    ServiceError::validation(format!("Query condition missed key schema element: {name}"))
}

/// Checks `AttributeUpdates`. An update without actions is none.
pub(crate) fn attribute_updates(
    updates: BTreeMap<String, AttributeValueUpdate>,
) -> Result<Option<Update>, ServiceError> {
    let actions = updates
        .into_iter()
        .map(|(name, update)| attribute_update(name, update))
        .collect::<Result<Vec<_>, ServiceError>>()?;
    Ok((!actions.is_empty()).then(|| Update::new(actions)))
}

fn attribute_update(name: String, update: AttributeValueUpdate) -> Result<Action, ServiceError> {
    check_name(&name)?;
    let path = Path::attribute(name);
    let action = update.action.unwrap_or(AttributeAction::Put);
    let Some(value) = update.value.transpose().map_err(|error| *error)? else {
        return match action {
            AttributeAction::Delete => Ok(Action::Remove { path }),
            AttributeAction::Add | AttributeAction::Put => Err(invalid(format_args!(
                "Only DELETE action is allowed when no attribute value is specified"
            ))),
        };
    };
    let value_type = value.value_type();
    let is_set = matches!(value_type, ValueType::Ss | ValueType::Ns | ValueType::Bs);
    match action {
        AttributeAction::Put => Ok(Action::Set {
            path,
            value: UpdateValue::Operand(UpdateOperand::Literal(value.into())),
        }),
        AttributeAction::Delete if is_set => Ok(Action::LegacyDelete { path, value: value.into() }),
        AttributeAction::Delete => Err(invalid(format_args!(
            "DELETE action with value is not supported for the type {}",
            value_type.name()
        ))),
        AttributeAction::Add if is_set || matches!(value_type, ValueType::N | ValueType::L) => {
            Ok(Action::LegacyAdd { path, value: value.into() })
        }
        AttributeAction::Add => Err(invalid(format_args!(
            "ADD action is not supported for the type {}",
            value_type.name()
        ))),
    }
}

/// Checks `AttributesToGet`.
pub(crate) fn attributes_to_get(names: Vec<String>) -> Result<Projection, ServiceError> {
    names.iter().try_for_each(|name| check_name(name))?;
    let mut seen = BTreeSet::new();
    if let Some(duplicate) = names.iter().find(|name| !seen.insert(name.as_str())) {
        return Err(invalid(format_args!("Duplicate value in attribute name: {duplicate}")));
    }
    Ok(Projection::attributes(names))
}

/// The name that the API uses.
const fn operator_name(operator: ComparisonOperator) -> &'static str {
    match operator {
        ComparisonOperator::Eq => "EQ",
        ComparisonOperator::Ne => "NE",
        ComparisonOperator::In => "IN",
        ComparisonOperator::Le => "LE",
        ComparisonOperator::Lt => "LT",
        ComparisonOperator::Ge => "GE",
        ComparisonOperator::Gt => "GT",
        ComparisonOperator::Between => "BETWEEN",
        ComparisonOperator::NotNull => "NOT_NULL",
        ComparisonOperator::Null => "NULL",
        ComparisonOperator::Contains => "CONTAINS",
        ComparisonOperator::NotContains => "NOT_CONTAINS",
        ComparisonOperator::BeginsWith => "BEGINS_WITH",
    }
}

fn invalid(reason: std::fmt::Arguments<'_>) -> ServiceError {
    ServiceError::validation(format!("One or more parameter values were invalid: {reason}"))
}
