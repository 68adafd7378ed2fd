//! Everything about a data-plane request that can be checked without knowing its table.
//!
//! DynamoDB checks these things before it looks the table up, in an order of its own: one function
//! per operation keeps that order and the exact texts, and consumes the request. What comes out
//! has no legacy parameters any more: [`crate::legacy`] turned them into the same conditions,
//! updates and projections that expressions compile to, so that there is one executor.
//!
//! Deliberately elsewhere: constraints of the service's model (`zenobe-wire`, before this), and
//! whatever needs the key schema (`zenobe-database`, after this).
//!
//! Source: API Reference, the operations' pages; Developer Guide, "Legacy conditional parameters".

use std::collections::BTreeMap;

use crate::error::ServiceError;
use crate::operation::{
    BatchGetItemRequest, BatchWriteItemRequest, DeleteItemRequest, GetItemRequest,
    KeysAndAttributes, PutItemRequest, QueryRequest, ReturnConsumedCapacity,
    ReturnItemCollectionMetrics, ReturnValues, ReturnValuesOnConditionCheckFailure, ScanRequest,
    Select, UpdateItemRequest,
};
use crate::value::Item;

pub use pending::*;

/// Stand-ins until the expression module has its types.
mod pending {
    /// A condition on an item.
    #[derive(Clone, Debug)]
    pub struct Condition;
    /// Changes to an item.
    #[derive(Clone, Debug)]
    pub struct Update;
    /// Which parts of items are returned.
    #[derive(Clone, Debug)]
    pub struct Projection;
    /// A key condition, not yet bound to a key schema.
    #[derive(Clone, Debug)]
    pub struct KeyConditionSource;
}

/// What a single-item write is asked to answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteAnswer {
    /// `ReturnValues`, one that the operation allows.
    pub return_values: ReturnValues,
    /// `ReturnConsumedCapacity`
    pub return_consumed_capacity: ReturnConsumedCapacity,
    /// `ReturnItemCollectionMetrics`
    pub return_item_collection_metrics: ReturnItemCollectionMetrics,
    /// `ReturnValuesOnConditionCheckFailure`
    pub return_values_on_condition_check_failure: ReturnValuesOnConditionCheckFailure,
}

/// A checked `PutItem`.
#[derive(Clone, Debug)]
pub struct CompiledPut {
    /// A table name or an ARN.
    pub table_name: String,
    /// The item; its keys are not yet checked.
    pub item: Item,
    /// `ConditionExpression` or `Expected`.
    pub condition: Option<Condition>,
    /// What to answer.
    pub answer: WriteAnswer,
}

/// A checked `DeleteItem`.
#[derive(Clone, Debug)]
pub struct CompiledDelete {
    /// A table name or an ARN.
    pub table_name: String,
    /// The key, not yet checked against the schema.
    pub key: Item,
    /// `ConditionExpression` or `Expected`.
    pub condition: Option<Condition>,
    /// What to answer.
    pub answer: WriteAnswer,
}

/// A checked `UpdateItem`.
#[derive(Clone, Debug)]
pub struct CompiledUpdate {
    /// A table name or an ARN.
    pub table_name: String,
    /// The key, not yet checked against the schema.
    pub key: Item,
    /// `UpdateExpression` or `AttributeUpdates`; absent when the request has neither, which
    /// creates the item if it does not exist.
    pub update: Option<Update>,
    /// `ConditionExpression` or `Expected`.
    pub condition: Option<Condition>,
    /// What to answer.
    pub answer: WriteAnswer,
}

/// A checked `GetItem`.
#[derive(Clone, Debug)]
pub struct CompiledGet {
    /// A table name or an ARN.
    pub table_name: String,
    /// The key, not yet checked against the schema.
    pub key: Item,
    /// `ProjectionExpression` or `AttributesToGet`.
    pub projection: Option<Projection>,
    /// `ConsistentRead`
    pub consistent_read: bool,
    /// `ReturnConsumedCapacity`
    pub return_consumed_capacity: ReturnConsumedCapacity,
}

/// What a checked `Query` and a checked `Scan` have in common.
#[derive(Clone, Debug)]
pub struct CompiledRead {
    /// A table name or an ARN.
    pub table_name: String,
    /// `IndexName`
    pub index_name: Option<String>,
    /// `Select` as the request has it; absent means all attributes of a table, the projected ones
    /// of an index, or `projection` if there is one.
    pub select: Option<Select>,
    /// `ProjectionExpression` or `AttributesToGet`.
    pub projection: Option<Projection>,
    /// `FilterExpression`, `QueryFilter` or `ScanFilter`.
    pub filter: Option<Condition>,
    /// `Limit`, at least 1.
    pub limit: Option<u32>,
    /// `ConsistentRead`
    pub consistent_read: bool,
    /// `ExclusiveStartKey`, not yet checked against the schema.
    pub exclusive_start_key: Option<Item>,
    /// `ReturnConsumedCapacity`
    pub return_consumed_capacity: ReturnConsumedCapacity,
}

/// A checked `Query`.
#[derive(Clone, Debug)]
pub struct CompiledQuery {
    /// What `Scan` has too.
    pub read: CompiledRead,
    /// `KeyConditionExpression` or `KeyConditions`, to be bound against the schema.
    pub key_condition: KeyConditionSource,
    /// `ScanIndexForward`
    pub scan_index_forward: bool,
}

/// One of the segments of a parallel scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// `Segment`, less than `total`.
    pub index: u32,
    /// `TotalSegments`, 1 to 1,000,000.
    pub total: u32,
}

/// A checked `Scan`.
#[derive(Clone, Debug)]
pub struct CompiledScan {
    /// What `Query` has too.
    pub read: CompiledRead,
    /// `Segment` and `TotalSegments`.
    pub segment: Option<Segment>,
}

/// One table of a checked `BatchGetItem`.
#[derive(Clone, Debug)]
pub struct CompiledKeys {
    /// The keys, not yet checked against the schema nor for duplicates.
    pub keys: Vec<Item>,
    /// `ProjectionExpression` or `AttributesToGet`.
    pub projection: Option<Projection>,
    /// `ConsistentRead`
    pub consistent_read: bool,
    /// The request's parameters without its keys: what `UnprocessedKeys` repeats.
    pub parameters: KeysAndAttributes,
}

/// A checked `BatchGetItem`.
#[derive(Clone, Debug)]
pub struct CompiledBatchGet {
    /// By table name or ARN, as the request has them.
    pub tables: BTreeMap<String, CompiledKeys>,
    /// `ReturnConsumedCapacity`
    pub return_consumed_capacity: ReturnConsumedCapacity,
}

/// One write of a checked `BatchWriteItem`.
#[derive(Clone, Debug)]
pub enum CompiledBatchEntry {
    /// The item to put; its keys are not yet checked.
    Put(Item),
    /// The key to delete, not yet checked against the schema.
    Delete(Item),
}

/// A checked `BatchWriteItem`.
#[derive(Clone, Debug)]
pub struct CompiledBatchWrite {
    /// By table name or ARN, as the request has them; not yet checked for duplicates.
    pub tables: BTreeMap<String, Vec<CompiledBatchEntry>>,
    /// `ReturnConsumedCapacity`
    pub return_consumed_capacity: ReturnConsumedCapacity,
    /// `ReturnItemCollectionMetrics`
    pub return_item_collection_metrics: ReturnItemCollectionMetrics,
}

/// Checks a `PutItem`.
///
/// # Errors
/// A `ValidationException`: the first rule, in DynamoDB's order, that the request breaks.
pub fn put_item(request: PutItemRequest) -> Result<CompiledPut, ServiceError> {
    Err(pending(request))
}

/// Checks a `DeleteItem`.
///
/// # Errors
/// A `ValidationException`: the first rule, in DynamoDB's order, that the request breaks.
pub fn delete_item(request: DeleteItemRequest) -> Result<CompiledDelete, ServiceError> {
    Err(pending(request))
}

/// Checks an `UpdateItem`.
///
/// # Errors
/// A `ValidationException`: the first rule, in DynamoDB's order, that the request breaks.
pub fn update_item(request: UpdateItemRequest) -> Result<CompiledUpdate, ServiceError> {
    Err(pending(request))
}

/// Checks a `GetItem`.
///
/// # Errors
/// A `ValidationException`: the first rule, in DynamoDB's order, that the request breaks.
pub fn get_item(request: GetItemRequest) -> Result<CompiledGet, ServiceError> {
    Err(pending(request))
}

/// Checks a `Query`.
///
/// # Errors
/// A `ValidationException`: the first rule, in DynamoDB's order, that the request breaks.
pub fn query(request: QueryRequest) -> Result<CompiledQuery, ServiceError> {
    Err(pending(request))
}

/// Checks a `Scan`.
///
/// # Errors
/// A `ValidationException`: the first rule, in DynamoDB's order, that the request breaks.
pub fn scan(request: ScanRequest) -> Result<CompiledScan, ServiceError> {
    Err(pending(request))
}

/// Checks a `BatchGetItem`.
///
/// # Errors
/// A `ValidationException`: the first rule, in DynamoDB's order, that the request breaks.
pub fn batch_get_item(request: BatchGetItemRequest) -> Result<CompiledBatchGet, ServiceError> {
    Err(pending(request))
}

/// Checks a `BatchWriteItem`.
///
/// # Errors
/// A `ValidationException`: the first rule, in DynamoDB's order, that the request breaks.
pub fn batch_write_item(
    request: BatchWriteItemRequest,
) -> Result<CompiledBatchWrite, ServiceError> {
    Err(pending(request))
}

/// Until the expression module has its types, nothing can be compiled.
fn pending<T>(_request: T) -> ServiceError {
    ServiceError::internal()
}
