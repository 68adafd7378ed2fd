//! `TransactWriteItems` and `TransactGetItems`.
//!
//! The service checks one action after the other and reports the first problem that it meets,
//! whatever its kind: expressions with their names and values first, then the item or the key. Only
//! then does it look tables up. Source: the service's answers as published in October 2026.

use super::parameters::{self, raise};
use super::{compile_condition, compiler, projection};
use crate::codec::EncodedItem;
use crate::error::ServiceError;
use crate::expression::{Condition, ExpressionKind, Projection, Update};
use crate::limits::TRANSACTION_BYTES_MAX;
use crate::operation::{
    ReturnConsumedCapacity, ReturnItemCollectionMetrics, ReturnValuesOnConditionCheckFailure,
    TransactGetItemsRequest, TransactWriteItem, TransactWriteItemsRequest, TransactWriteKind,
};
use crate::size::value_size;
use crate::value::Item;

/// A checked `TransactWriteItems`.
#[derive(Clone, Debug)]
pub struct CompiledTransactWrite {
    /// The actions, not yet checked for duplicates.
    pub actions: Vec<CompiledTransactAction>,
    /// `ReturnConsumedCapacity`
    pub return_consumed_capacity: ReturnConsumedCapacity,
    /// `ReturnItemCollectionMetrics`
    pub return_item_collection_metrics: ReturnItemCollectionMetrics,
    /// `ClientRequestToken`
    pub client_request_token: Option<String>,
}

/// A checked action of `TransactWriteItems`.
#[derive(Clone, Debug)]
pub struct CompiledTransactAction {
    /// Which of the four it is.
    pub kind: TransactWriteKind,
    /// A table name or an ARN.
    pub table_name: String,
    /// The item of a Put, the key of the others; neither is checked against the schema yet.
    pub item: EncodedItem,
    /// `UpdateExpression`, of an Update.
    pub update: Option<Update>,
    /// `ConditionExpression`
    pub condition: Option<Condition>,
    /// Whether the reason for a failed condition carries the item.
    pub return_item_on_failure: bool,
}

/// A checked `TransactGetItems`.
#[derive(Clone, Debug)]
pub struct CompiledTransactGet {
    /// The items to read, not yet checked for duplicates.
    pub items: Vec<CompiledTransactGetItem>,
    /// `ReturnConsumedCapacity`
    pub return_consumed_capacity: ReturnConsumedCapacity,
}

/// A checked `Get` of `TransactGetItems`.
#[derive(Clone, Debug)]
pub struct CompiledTransactGetItem {
    /// A table name or an ARN.
    pub table_name: String,
    /// The key, not yet checked against the schema.
    pub key: Item,
    /// `ProjectionExpression`
    pub projection: Option<Projection>,
}

/// Checks a `TransactWriteItems`.
///
/// # Errors
/// A `ValidationException`: the first rule, in DynamoDB's order, that the request breaks.
pub fn transact_write_items(
    request: TransactWriteItemsRequest,
) -> Result<CompiledTransactWrite, ServiceError> {
    let mut bytes = 0;
    let mut actions = Vec::with_capacity(request.transact_items.len());
    for item in request.transact_items {
        actions.push(compile_action(raise(item)?, &mut bytes)?);
    }
    if bytes > TRANSACTION_BYTES_MAX {
        return Err(transaction_too_large(bytes));
    }
    Ok(CompiledTransactWrite {
        actions,
        return_consumed_capacity: request.return_consumed_capacity,
        return_item_collection_metrics: request.return_item_collection_metrics,
        client_request_token: request.client_request_token,
    })
}

/// The error of a transaction that is asked to write, or would write, this many bytes.
#[must_use]
pub fn transaction_too_large(bytes: usize) -> ServiceError {
    ServiceError::validation(format!(
        "Transaction payload size cannot exceed 4MB. Payload Size: {bytes}"
    ))
}

/// Checks an action and adds its size to that of the transaction: the item or the key, the texts of
/// the expressions and the values, without the names of either.
fn compile_action(
    action: TransactWriteItem,
    bytes: &mut usize,
) -> Result<CompiledTransactAction, ServiceError> {
    check_parameters(&action)?;
    let values = action.expression_attribute_values.as_ref();
    let mut compiler = compiler(action.expression_attribute_names.as_ref(), values)?;
    let text = action.update_expression.as_deref();
    let update = text.map(|text| compiler.update(text)).transpose()?;
    let condition = action.condition_expression.as_deref();
    let condition = compile_condition(&mut compiler, ExpressionKind::Condition, condition)?;
    compiler.finish()?;
    let item = raise(action.item)?;
    if action.kind == TransactWriteKind::Put {
        parameters::check_item_size(&item)?;
    }
    *bytes += item.size_bytes()
        + action.update_expression.as_ref().map_or(0, String::len)
        + action.condition_expression.as_ref().map_or(0, String::len)
        + values
            .into_iter()
            .flatten()
            .map(|(_, value)| value.as_ref().map_or(0, value_size))
            .sum::<usize>();
    Ok(CompiledTransactAction {
        kind: action.kind,
        table_name: action.table_name,
        item,
        update,
        condition,
        return_item_on_failure: action.return_values_on_condition_check_failure
            == ReturnValuesOnConditionCheckFailure::AllOld,
    })
}

/// Names and values come with an expression that can use them.
fn check_parameters(action: &TransactWriteItem) -> Result<(), ServiceError> {
    if action.condition_expression.is_some() || action.update_expression.is_some() {
        return Ok(());
    }
    let (parameter, missing) = if action.expression_attribute_names.is_some() {
        ("ExpressionAttributeNames", "")
    } else if action.expression_attribute_values.is_some() {
        ("ExpressionAttributeValues", ": ConditionExpression is null")
    } else {
        return Ok(());
    };
    Err(ServiceError::validation(format!(
        "{parameter} can only be specified when using expressions{missing}"
    )))
}

/// Checks a `TransactGetItems`.
///
/// # Errors
/// A `ValidationException`: the first rule, in DynamoDB's order, that the request breaks.
pub fn transact_get_items(
    request: TransactGetItemsRequest,
) -> Result<CompiledTransactGet, ServiceError> {
    let mut items = Vec::with_capacity(request.transact_items.len());
    for get in request.transact_items {
        if get.expression_attribute_names.is_some() && get.projection_expression.is_none() {
            return Err(ServiceError::validation(
                "ExpressionAttributeNames can only be specified when using expressions",
            ));
        }
        let projection = projection(
            None,
            get.projection_expression.as_deref(),
            get.expression_attribute_names.as_ref(),
        )?;
        items.push(CompiledTransactGetItem {
            table_name: get.table_name,
            key: raise(get.key)?,
            projection,
        });
    }
    Ok(CompiledTransactGet { items, return_consumed_capacity: request.return_consumed_capacity })
}
