//! Which parameters go together, and the checks of keys and items that several operations share.
//!
//! Source: the texts and their order as the service answers them; API Reference, "Expressions
//! and legacy parameters" of each operation.

use std::collections::BTreeSet;

use crate::codec::EncodedItem;
use crate::error::ServiceError;
use crate::expression::ExpressionKind;
use crate::limits::{EXPRESSION_VALUES_BYTES_MAX, ITEM_SIZE_BYTES_MAX};
use crate::number::Number;
use crate::operation::{ExpressionAttributeValues, Parsed};
use crate::size::value_size;
use crate::value::{AttributeValue, Item};

/// Which parameters a request has, in the order in which DynamoDB lists them.
pub(super) struct Parameters<const EXPRESSIONS: usize, const LEGACY: usize> {
    /// The expressions that the operation knows.
    pub(super) expressions: [(ExpressionKind, bool); EXPRESSIONS],
    /// The legacy parameters that do not go with them.
    pub(super) legacy: [(&'static str, bool); LEGACY],
    /// `ExpressionAttributeNames`
    pub(super) names: bool,
    /// `ExpressionAttributeValues`
    pub(super) values: bool,
}

impl<const EXPRESSIONS: usize, const LEGACY: usize> Parameters<EXPRESSIONS, LEGACY> {
    /// Checks that expressions and legacy parameters are not mixed, and that names and values come
    /// with an expression that can use them. A parameter that is present but empty counts.
    pub(super) fn check(&self) -> Result<(), ServiceError> {
        let has_expressions = self.expressions.iter().any(|(_, present)| *present);
        if has_expressions && self.legacy.iter().any(|(_, present)| *present) {
            let legacy = self.legacy.iter().filter(|(_, present)| *present).map(|(name, _)| *name);
            let expressions = self.expressions.iter().filter(|(_, present)| *present);
            return Err(ServiceError::validation(format!(
                "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {{{}}} Expression parameters: {{{}}}",
                list(legacy, ", "),
                list(expressions.map(|(kind, _)| kind.name()), ", ")
            )));
        }
        if self.names && !has_expressions {
            return Err(ServiceError::validation(
                "ExpressionAttributeNames can only be specified when using expressions",
            ));
        }
        let mut using =
            self.expressions.iter().filter(|(kind, _)| *kind != ExpressionKind::Projection);
        if self.values && using.clone().all(|(_, present)| !present) {
            // Only scans, which the older of the service's two layers checks, say which expression
            // could have used the values.
            let missing = match (using.next(), using.next()) {
                (Some((ExpressionKind::Filter, _)), None) => ": FilterExpression is null",
                _ => "",
            };
            return Err(ServiceError::validation(format!(
                "ExpressionAttributeValues can only be specified when using expressions{missing}"
            )));
        }
        Ok(())
    }
}

fn list<'a>(names: impl Iterator<Item = &'a str>, separator: &str) -> String {
    names.collect::<Vec<_>>().join(separator)
}

/// Raises the error of a part of the request, at the place that DynamoDB looks at it.
pub(super) fn raise<T>(parsed: Parsed<T>) -> Result<T, ServiceError> {
    parsed.map_err(|error| *error)
}

/// How the texts begin with which DynamoDB refuses a value while it still converts the request. All
/// other errors in values it finds while it looks at the starting key, and then it says so.
const CONVERSION_ERRORS: [&str; 7] = [
    "The parameter cannot be converted to a numeric value",
    "Number overflow",
    "Number underflow",
    "Attempting to store more than 38 significant digits in a Number",
    "Input collection contains duplicates",
    "One or more parameter values were invalid: An number set",
    "One or more parameter values were invalid: Input collection",
];

/// Raises what is wrong with the values of `ExclusiveStartKey`.
///
/// Which errors carry the prefix depends on nothing but the error. The values are read where nobody
/// knows what they will be used for, so this looks at the text: the only place that does.
pub(super) fn starting_key(key: Option<Parsed<Item>>) -> Result<Option<Item>, ServiceError> {
    key.transpose().map_err(|error| {
        let mut error = *error;
        if !CONVERSION_ERRORS.iter().any(|text| error.message.starts_with(text)) {
            error.message.insert_str(0, "The provided starting key is invalid: ");
        }
        error
    })
}

/// Checks that an item to be put is not larger than items may be.
pub(super) fn check_item_size(item: &EncodedItem) -> Result<(), ServiceError> {
    if item.size_bytes() > ITEM_SIZE_BYTES_MAX {
        return Err(ServiceError::validation("Item size has exceeded the maximum allowed size"));
    }
    Ok(())
}

/// Checks the size of all `ExpressionAttributeValues`, names included.
pub(super) fn check_values_size(values: &ExpressionAttributeValues) -> Result<(), ServiceError> {
    let sizes = values.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, value_size));
    if sizes.sum::<usize>() > EXPRESSION_VALUES_BYTES_MAX {
        return Err(ServiceError::validation("ExpressionAttributeValues exceeds max size"));
    }
    Ok(())
}

/// A value that can be part of a key.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum KeyValue<'a> {
    S(&'a str),
    N(&'a Number),
    B(&'a [u8]),
}

/// Checks that no two keys are the same. Keys with values that cannot be part of a key are not
/// compared: they do not match any schema.
pub(super) fn check_distinct(keys: &[Item]) -> Result<(), ServiceError> {
    let mut seen = BTreeSet::new();
    for key in keys {
        let values = key.iter().map(|(name, value)| {
            let value = match value {
                AttributeValue::S(value) => KeyValue::S(value),
                AttributeValue::N(value) => KeyValue::N(value),
                AttributeValue::B(value) => KeyValue::B(value),
                _ => return None,
            };
            Some((name.as_str(), value))
        });
        if let Some(values) = values.collect::<Option<Vec<_>>>()
            && !seen.insert(values)
        {
            return Err(ServiceError::validation("Provided list of item keys contains duplicates"));
        }
    }
    Ok(())
}
