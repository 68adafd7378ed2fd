//! Requests and responses of the operations on items.

use std::collections::BTreeMap;

use super::Parsed;
use crate::capacity::ConsumedCapacity;
use crate::codec::EncodedItem;
use crate::value::{AttributeValue, Item};

/// `ReturnValues`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the API")]
pub enum ReturnValues {
    #[default]
    None,
    AllOld,
    UpdatedOld,
    AllNew,
    UpdatedNew,
}

/// `ReturnConsumedCapacity`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the API")]
pub enum ReturnConsumedCapacity {
    #[default]
    None,
    Total,
    Indexes,
}

/// `ReturnItemCollectionMetrics`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the API")]
pub enum ReturnItemCollectionMetrics {
    #[default]
    None,
    Size,
}

/// `ReturnValuesOnConditionCheckFailure`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the API")]
pub enum ReturnValuesOnConditionCheckFailure {
    #[default]
    None,
    AllOld,
}

/// `Select`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the API")]
pub enum Select {
    AllAttributes,
    AllProjectedAttributes,
    SpecificAttributes,
    Count,
}

/// `ConditionalOperator` of the legacy parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the API")]
pub enum ConditionalOperator {
    And,
    Or,
}

/// `ComparisonOperator` of the legacy parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the API")]
pub enum ComparisonOperator {
    Eq,
    Ne,
    In,
    Le,
    Lt,
    Ge,
    Gt,
    Between,
    NotNull,
    Null,
    Contains,
    NotContains,
    BeginsWith,
}

/// One attribute of the legacy `Expected`.
#[derive(Clone, Debug)]
pub struct ExpectedAttribute {
    /// `Value`
    pub value: Option<Parsed<AttributeValue>>,
    /// `Exists`
    pub exists: Option<bool>,
    /// `ComparisonOperator`
    pub comparison_operator: Option<ComparisonOperator>,
    /// `AttributeValueList`
    pub attribute_value_list: Option<Vec<Parsed<AttributeValue>>>,
}

/// One attribute of the legacy `KeyConditions`, `QueryFilter` and `ScanFilter`.
#[derive(Clone, Debug)]
pub struct Condition {
    /// `ComparisonOperator`
    pub comparison_operator: ComparisonOperator,
    /// `AttributeValueList`
    pub attribute_value_list: Option<Vec<Parsed<AttributeValue>>>,
}

/// `Action` of the legacy `AttributeUpdates`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the API")]
pub enum AttributeAction {
    Add,
    Put,
    Delete,
}

/// One attribute of the legacy `AttributeUpdates`.
#[derive(Clone, Debug)]
pub struct AttributeValueUpdate {
    /// `Value`
    pub value: Option<Parsed<AttributeValue>>,
    /// `Action`
    pub action: Option<AttributeAction>,
}

/// `ExpressionAttributeNames`.
pub type ExpressionAttributeNames = BTreeMap<String, String>;

/// `ExpressionAttributeValues`, each value with its own error; names keep their order of bytes.
pub type ExpressionAttributeValues = BTreeMap<String, Parsed<AttributeValue>>;

/// `GetItem`.
#[derive(Clone, Debug, Default)]
pub struct GetItemRequest {
    /// `TableName`: a name or an ARN.
    pub table_name: String,
    /// `Key`
    pub key: Option<Parsed<Item>>,
    /// `AttributesToGet` (legacy)
    pub attributes_to_get: Option<Vec<String>>,
    /// `ConsistentRead`
    pub consistent_read: bool,
    /// `ReturnConsumedCapacity`
    pub return_consumed_capacity: ReturnConsumedCapacity,
    /// `ProjectionExpression`
    pub projection_expression: Option<String>,
    /// `ExpressionAttributeNames`
    pub expression_attribute_names: Option<ExpressionAttributeNames>,
}

/// What the single-item writes have in common.
#[derive(Clone, Debug, Default)]
pub struct WriteOptions {
    /// `Expected` (legacy)
    pub expected: Option<BTreeMap<String, ExpectedAttribute>>,
    /// `ConditionalOperator` (legacy)
    pub conditional_operator: Option<ConditionalOperator>,
    /// `ConditionExpression`
    pub condition_expression: Option<String>,
    /// `ExpressionAttributeNames`
    pub expression_attribute_names: Option<ExpressionAttributeNames>,
    /// `ExpressionAttributeValues`
    pub expression_attribute_values: Option<ExpressionAttributeValues>,
    /// `ReturnValues`
    pub return_values: ReturnValues,
    /// `ReturnConsumedCapacity`
    pub return_consumed_capacity: ReturnConsumedCapacity,
    /// `ReturnItemCollectionMetrics`
    pub return_item_collection_metrics: ReturnItemCollectionMetrics,
    /// `ReturnValuesOnConditionCheckFailure`
    pub return_values_on_condition_check_failure: ReturnValuesOnConditionCheckFailure,
}

/// `PutItem`.
#[derive(Clone, Debug)]
pub struct PutItemRequest {
    /// `TableName`: a name or an ARN.
    pub table_name: String,
    /// `Item`
    pub item: Parsed<EncodedItem>,
    /// The rest.
    pub options: WriteOptions,
}

/// `DeleteItem`.
#[derive(Clone, Debug)]
pub struct DeleteItemRequest {
    /// `TableName`: a name or an ARN.
    pub table_name: String,
    /// `Key`
    pub key: Parsed<Item>,
    /// The rest.
    pub options: WriteOptions,
}

/// `UpdateItem`.
#[derive(Clone, Debug)]
pub struct UpdateItemRequest {
    /// `TableName`: a name or an ARN.
    pub table_name: String,
    /// `Key`
    pub key: Parsed<Item>,
    /// `AttributeUpdates` (legacy)
    pub attribute_updates: Option<BTreeMap<String, AttributeValueUpdate>>,
    /// `UpdateExpression`
    pub update_expression: Option<String>,
    /// The rest.
    pub options: WriteOptions,
}

/// What `Query` and `Scan` have in common.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// `TableName`: a name or an ARN.
    pub table_name: String,
    /// `IndexName`
    pub index_name: Option<String>,
    /// `Select`
    pub select: Option<Select>,
    /// `AttributesToGet` (legacy)
    pub attributes_to_get: Option<Vec<String>>,
    /// `Limit`, at least 1.
    pub limit: Option<u32>,
    /// `ConsistentRead`
    pub consistent_read: bool,
    /// `ConditionalOperator` (legacy)
    pub conditional_operator: Option<ConditionalOperator>,
    /// `QueryFilter` or `ScanFilter` (legacy)
    pub filter: Option<BTreeMap<String, Condition>>,
    /// `ExclusiveStartKey`
    pub exclusive_start_key: Option<Parsed<Item>>,
    /// `ReturnConsumedCapacity`
    pub return_consumed_capacity: ReturnConsumedCapacity,
    /// `ProjectionExpression`
    pub projection_expression: Option<String>,
    /// `FilterExpression`
    pub filter_expression: Option<String>,
    /// `ExpressionAttributeNames`
    pub expression_attribute_names: Option<ExpressionAttributeNames>,
    /// `ExpressionAttributeValues`
    pub expression_attribute_values: Option<ExpressionAttributeValues>,
}

/// `Query`.
#[derive(Clone, Debug, Default)]
pub struct QueryRequest {
    /// What `Scan` has too.
    pub options: ReadOptions,
    /// `KeyConditions` (legacy)
    pub key_conditions: Option<BTreeMap<String, Condition>>,
    /// `KeyConditionExpression`
    pub key_condition_expression: Option<String>,
    /// `ScanIndexForward`; true when absent.
    pub scan_index_forward: Option<bool>,
}

/// `Scan`.
#[derive(Clone, Debug, Default)]
pub struct ScanRequest {
    /// What `Query` has too.
    pub options: ReadOptions,
    /// `TotalSegments`, 1 to 1,000,000.
    pub total_segments: Option<u32>,
    /// `Segment`, 0 to 999,999.
    pub segment: Option<u32>,
}

/// One table of `BatchGetItem`. Also `UnprocessedKeys` of its response.
#[derive(Clone, Debug, Default)]
pub struct KeysAndAttributes {
    /// `Keys`
    pub keys: Vec<Parsed<Item>>,
    /// `AttributesToGet` (legacy)
    pub attributes_to_get: Option<Vec<String>>,
    /// `ConsistentRead`
    pub consistent_read: Option<bool>,
    /// `ProjectionExpression`
    pub projection_expression: Option<String>,
    /// `ExpressionAttributeNames`
    pub expression_attribute_names: Option<ExpressionAttributeNames>,
}

/// `BatchGetItem`.
#[derive(Clone, Debug, Default)]
pub struct BatchGetItemRequest {
    /// `RequestItems` by table name or ARN.
    pub request_items: BTreeMap<String, KeysAndAttributes>,
    /// `ReturnConsumedCapacity`
    pub return_consumed_capacity: ReturnConsumedCapacity,
}

/// One write of `BatchWriteItem`, exactly one of the two.
#[derive(Clone, Debug)]
pub enum WriteRequest {
    /// `PutRequest` with its `Item`.
    Put(Parsed<EncodedItem>),
    /// `DeleteRequest` with its `Key`.
    Delete(Parsed<Item>),
    /// Neither or both were given: the operation raises the error.
    Malformed(Box<crate::ServiceError>),
}

/// `BatchWriteItem`.
#[derive(Clone, Debug, Default)]
pub struct BatchWriteItemRequest {
    /// `RequestItems` by table name or ARN.
    pub request_items: BTreeMap<String, Vec<WriteRequest>>,
    /// `ReturnConsumedCapacity`
    pub return_consumed_capacity: ReturnConsumedCapacity,
    /// `ReturnItemCollectionMetrics`
    pub return_item_collection_metrics: ReturnItemCollectionMetrics,
}

/// Answer of `GetItem`.
#[derive(Clone, Debug, Default)]
pub struct GetItemResponse {
    /// `Item`; absent when there is none.
    pub item: Option<EncodedItem>,
    /// `ConsumedCapacity`
    pub consumed_capacity: Option<ConsumedCapacity>,
}

/// `ItemCollectionMetrics`.
#[derive(Clone, Debug)]
pub struct ItemCollectionMetrics {
    /// `ItemCollectionKey`: the partition key.
    pub item_collection_key: Item,
    /// `SizeEstimateRangeGB`: lower and upper bound.
    pub size_estimate_range_gb: (f64, f64),
}

/// Answer of `PutItem`, `UpdateItem` and `DeleteItem`.
#[derive(Clone, Debug, Default)]
pub struct WriteItemResponse {
    /// `Attributes`
    pub attributes: Option<EncodedItem>,
    /// `ConsumedCapacity`
    pub consumed_capacity: Option<ConsumedCapacity>,
    /// `ItemCollectionMetrics`
    pub item_collection_metrics: Option<ItemCollectionMetrics>,
}

/// Answer of `Query` and `Scan`.
#[derive(Clone, Debug, Default)]
pub struct ReadItemsResponse {
    /// `Items`; absent with `Select` = `COUNT`.
    pub items: Option<Vec<EncodedItem>>,
    /// `Count`
    pub count: u32,
    /// `ScannedCount`
    pub scanned_count: u32,
    /// `LastEvaluatedKey`
    pub last_evaluated_key: Option<Item>,
    /// `ConsumedCapacity`
    pub consumed_capacity: Option<ConsumedCapacity>,
}

/// Answer of `BatchGetItem`. Tables are named as the request named them.
#[derive(Clone, Debug, Default)]
pub struct BatchGetItemResponse {
    /// `Responses`
    pub responses: BTreeMap<String, Vec<EncodedItem>>,
    /// `UnprocessedKeys`
    pub unprocessed_keys: BTreeMap<String, KeysAndAttributes>,
    /// `ConsumedCapacity`
    pub consumed_capacity: Option<Vec<ConsumedCapacity>>,
}

/// Answer of `BatchWriteItem`. Tables are named as the request named them.
#[derive(Clone, Debug, Default)]
pub struct BatchWriteItemResponse {
    /// `UnprocessedItems`
    pub unprocessed_items: BTreeMap<String, Vec<WriteRequest>>,
    /// `ItemCollectionMetrics`
    pub item_collection_metrics: Option<BTreeMap<String, Vec<ItemCollectionMetrics>>>,
    /// `ConsumedCapacity`
    pub consumed_capacity: Option<Vec<ConsumedCapacity>>,
}
