//! `TransactWriteItems` and `TransactGetItems`.

use std::collections::BTreeMap;

use super::{
    ExpressionAttributeNames, ExpressionAttributeValues, ItemCollectionMetrics, Parsed,
    ReturnConsumedCapacity, ReturnItemCollectionMetrics, ReturnValuesOnConditionCheckFailure,
};
use crate::capacity::ConsumedCapacity;
use crate::codec::EncodedItem;
use crate::value::Item;

/// `TransactWriteItems`.
#[derive(Clone, Debug, Default)]
pub struct TransactWriteItemsRequest {
    /// `TransactItems`, 1 to 100. What is not exactly one action holds its error.
    pub transact_items: Vec<Parsed<TransactWriteItem>>,
    /// `ReturnConsumedCapacity`
    pub return_consumed_capacity: ReturnConsumedCapacity,
    /// `ReturnItemCollectionMetrics`
    pub return_item_collection_metrics: ReturnItemCollectionMetrics,
    /// `ClientRequestToken`, 1 to 36 characters.
    pub client_request_token: Option<String>,
}

/// What an action of a transaction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the API")]
pub enum TransactWriteKind {
    ConditionCheck,
    Put,
    Delete,
    Update,
}

/// One action of `TransactWriteItems`.
#[derive(Clone, Debug)]
pub struct TransactWriteItem {
    /// Which of the four it is.
    pub kind: TransactWriteKind,
    /// `TableName`: a name or an ARN.
    pub table_name: String,
    /// `Item` of a Put, `Key` of the others.
    pub item: Parsed<EncodedItem>,
    /// `UpdateExpression` of an Update.
    pub update_expression: Option<String>,
    /// `ConditionExpression`
    pub condition_expression: Option<String>,
    /// `ExpressionAttributeNames`
    pub expression_attribute_names: Option<ExpressionAttributeNames>,
    /// `ExpressionAttributeValues`
    pub expression_attribute_values: Option<ExpressionAttributeValues>,
    /// `ReturnValuesOnConditionCheckFailure`
    pub return_values_on_condition_check_failure: ReturnValuesOnConditionCheckFailure,
}

/// `TransactGetItems`.
#[derive(Clone, Debug, Default)]
pub struct TransactGetItemsRequest {
    /// `TransactItems`, 1 to 100.
    pub transact_items: Vec<TransactGetItem>,
    /// `ReturnConsumedCapacity`
    pub return_consumed_capacity: ReturnConsumedCapacity,
}

/// One `Get` of `TransactGetItems`.
#[derive(Clone, Debug)]
pub struct TransactGetItem {
    /// `TableName`: a name or an ARN.
    pub table_name: String,
    /// `Key`
    pub key: Parsed<Item>,
    /// `ProjectionExpression`
    pub projection_expression: Option<String>,
    /// `ExpressionAttributeNames`
    pub expression_attribute_names: Option<ExpressionAttributeNames>,
}

/// Answer of `TransactWriteItems`.
#[derive(Clone, Debug, Default)]
pub struct TransactWriteItemsResponse {
    /// `ConsumedCapacity`, one per table.
    pub consumed_capacity: Option<Vec<ConsumedCapacity>>,
    /// `ItemCollectionMetrics` by table; a table is named as the request named it.
    pub item_collection_metrics: Option<BTreeMap<String, Vec<ItemCollectionMetrics>>>,
}

/// Answer of `TransactGetItems`.
#[derive(Clone, Debug, Default)]
pub struct TransactGetItemsResponse {
    /// `ConsumedCapacity`, one per table.
    pub consumed_capacity: Option<Vec<ConsumedCapacity>>,
    /// `Responses`, in the order of the request; `None` where there is no item.
    pub responses: Vec<Option<EncodedItem>>,
}
