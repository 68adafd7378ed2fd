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

use crate::codec::EncodedItem;
use crate::error::ServiceError;
use crate::expression::{
    BoundKeyCondition, Compiler, Condition, ExpressionKind, KeyConditionExpression, KeySchemaRef,
    Projection, Update,
};
use crate::legacy::{self, KeyConditions};
use crate::limits::{BATCH_GET_KEYS_MAX, BATCH_WRITE_ITEMS_MAX};
use crate::operation::{
    BatchGetItemRequest, BatchWriteItemRequest, DeleteItemRequest, ExpressionAttributeNames,
    ExpressionAttributeValues, GetItemRequest, KeysAndAttributes, PutItemRequest, QueryRequest,
    ReadOptions, ReturnConsumedCapacity, ReturnItemCollectionMetrics, ReturnValues,
    ReturnValuesOnConditionCheckFailure, ScanRequest, Select, UpdateItemRequest, WriteOptions,
    WriteRequest,
};
use crate::value::Item;

mod parameters;
mod select;
#[cfg(test)]
mod tests;
mod transact;

pub use transact::{
    CompiledTransactAction, CompiledTransactGet, CompiledTransactGetItem, CompiledTransactWrite,
    transact_get_items, transact_write_items, transaction_too_large,
};

use parameters::{Parameters, check_distinct, raise, starting_key};

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
    pub item: EncodedItem,
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
    filter_is_legacy: bool,
}

/// A key condition as the request has it.
#[derive(Clone, Debug)]
pub enum KeyConditionSource {
    /// `KeyConditionExpression`
    Expression(KeyConditionExpression),
    /// `KeyConditions`
    Legacy(KeyConditions),
}

impl KeyConditionSource {
    /// Checks the condition against a key schema and puts it in the schema's order.
    ///
    /// # Errors
    /// A `ValidationException` if the condition does not fit the schema.
    pub fn bind(&self, schema: KeySchemaRef<'_>) -> Result<BoundKeyCondition, ServiceError> {
        match self {
            Self::Expression(expression) => expression.bind(schema),
            Self::Legacy(conditions) => conditions.bind(schema),
        }
    }
}

impl CompiledQuery {
    /// What error texts call the parameter that the filter comes from.
    #[must_use]
    pub const fn filter_parameter(&self) -> &'static str {
        if self.filter_is_legacy { "QueryFilter" } else { "Filter Expression" }
    }
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
    Put(EncodedItem),
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
    let PutItemRequest { table_name, item, mut options } = request;
    write_parameters(&options).check()?;
    let item = raise(item)?;
    check_return_values(options.return_values)?;
    parameters::check_item_size(&item)?;
    let condition = write_condition(&mut options)?;
    Ok(CompiledPut { table_name, item, condition, answer: answer(&options) })
}

/// Checks a `DeleteItem`.
///
/// # Errors
/// A `ValidationException`: the first rule, in DynamoDB's order, that the request breaks.
pub fn delete_item(request: DeleteItemRequest) -> Result<CompiledDelete, ServiceError> {
    let DeleteItemRequest { table_name, key, mut options } = request;
    write_parameters(&options).check()?;
    let key = raise(key)?;
    check_return_values(options.return_values)?;
    let condition = write_condition(&mut options)?;
    Ok(CompiledDelete { table_name, key, condition, answer: answer(&options) })
}

/// Checks an `UpdateItem`.
///
/// # Errors
/// A `ValidationException`: the first rule, in DynamoDB's order, that the request breaks.
pub fn update_item(request: UpdateItemRequest) -> Result<CompiledUpdate, ServiceError> {
    let UpdateItemRequest { table_name, key, attribute_updates, update_expression, mut options } =
        request;
    Parameters {
        expressions: [
            (ExpressionKind::Update, update_expression.is_some()),
            (ExpressionKind::Condition, options.condition_expression.is_some()),
        ],
        legacy: [
            ("AttributeUpdates", attribute_updates.is_some()),
            ("Expected", options.expected.is_some()),
            ("ConditionalOperator", options.conditional_operator.is_some()),
        ],
        names: options.expression_attribute_names.is_some(),
        values: options.expression_attribute_values.is_some(),
    }
    .check()?;
    let key = raise(key)?;
    let updates = legacy::attribute_updates(attribute_updates.unwrap_or_default())?;
    let condition = expected_condition(&mut options)?;
    let mut compiler = compiler(
        options.expression_attribute_names.as_ref(),
        options.expression_attribute_values.as_ref(),
    )?;
    let update = update_expression.as_deref().map(|text| compiler.update(text)).transpose()?;
    let compiled = compile_condition(
        &mut compiler,
        ExpressionKind::Condition,
        options.condition_expression.as_deref(),
    )?;
    compiler.finish()?;
    Ok(CompiledUpdate {
        table_name,
        key,
        update: update.or(updates),
        condition: compiled.or(condition),
        answer: answer(&options),
    })
}

/// The parameters of a write without an update.
const fn write_parameters(options: &WriteOptions) -> Parameters<1, 2> {
    Parameters {
        expressions: [(ExpressionKind::Condition, options.condition_expression.is_some())],
        legacy: [
            ("Expected", options.expected.is_some()),
            ("ConditionalOperator", options.conditional_operator.is_some()),
        ],
        names: options.expression_attribute_names.is_some(),
        values: options.expression_attribute_values.is_some(),
    }
}

/// `PutItem` and `DeleteItem` have nothing new to return.
fn check_return_values(return_values: ReturnValues) -> Result<(), ServiceError> {
    match return_values {
        ReturnValues::None | ReturnValues::AllOld => Ok(()),
        ReturnValues::UpdatedOld | ReturnValues::AllNew | ReturnValues::UpdatedNew => {
            Err(ServiceError::validation("ReturnValues can only be ALL_OLD or NONE"))
        }
    }
}

const fn answer(options: &WriteOptions) -> WriteAnswer {
    WriteAnswer {
        return_values: options.return_values,
        return_consumed_capacity: options.return_consumed_capacity,
        return_item_collection_metrics: options.return_item_collection_metrics,
        return_values_on_condition_check_failure: options.return_values_on_condition_check_failure,
    }
}

/// The condition of a write without an update.
fn write_condition(options: &mut WriteOptions) -> Result<Option<Condition>, ServiceError> {
    let expected = expected_condition(options)?;
    let mut compiler = compiler(
        options.expression_attribute_names.as_ref(),
        options.expression_attribute_values.as_ref(),
    )?;
    let compiled = compile_condition(
        &mut compiler,
        ExpressionKind::Condition,
        options.condition_expression.as_deref(),
    )?;
    compiler.finish()?;
    Ok(compiled.or(expected))
}

fn expected_condition(options: &mut WriteOptions) -> Result<Option<Condition>, ServiceError> {
    let expected = legacy::expected(options.expected.take().unwrap_or_default())?;
    legacy::join(expected, options.conditional_operator)
}

fn compiler<'a>(
    names: Option<&'a ExpressionAttributeNames>,
    values: Option<&'a ExpressionAttributeValues>,
) -> Result<Compiler<'a>, ServiceError> {
    let compiler = Compiler::new(names, values)?;
    values.map_or(Ok(()), parameters::check_values_size)?;
    Ok(compiler)
}

fn compile_condition<'a>(
    compiler: &mut Compiler<'a>,
    kind: ExpressionKind,
    text: Option<&'a str>,
) -> Result<Option<Condition>, ServiceError> {
    text.map(|text| compiler.condition(kind, text)).transpose()
}

/// Checks a `GetItem`.
///
/// # Errors
/// A `ValidationException`: the first rule, in DynamoDB's order, that the request breaks.
pub fn get_item(request: GetItemRequest) -> Result<CompiledGet, ServiceError> {
    Parameters {
        expressions: [(ExpressionKind::Projection, request.projection_expression.is_some())],
        legacy: [("AttributesToGet", request.attributes_to_get.is_some())],
        names: request.expression_attribute_names.is_some(),
        values: false,
    }
    .check()?;
    let Some(key) = request.key else {
        return Err(ServiceError::validation(
            "1 validation error detected: Value null at 'key' failed to satisfy constraint: Member must not be null",
        ));
    };
    let key = raise(key)?;
    let projection = projection(
        request.attributes_to_get,
        request.projection_expression.as_deref(),
        request.expression_attribute_names.as_ref(),
    )?;
    Ok(CompiledGet {
        table_name: request.table_name,
        key,
        projection,
        consistent_read: request.consistent_read,
        return_consumed_capacity: request.return_consumed_capacity,
    })
}

/// The projection of a read that has no other expression.
fn projection(
    attributes_to_get: Option<Vec<String>>,
    text: Option<&str>,
    names: Option<&ExpressionAttributeNames>,
) -> Result<Option<Projection>, ServiceError> {
    let attributes = attributes_to_get.map(legacy::attributes_to_get).transpose()?;
    let mut compiler = Compiler::new(names, None)?;
    let compiled = text.map(|text| compiler.projection(text)).transpose()?;
    compiler.finish()?;
    Ok(compiled.or(attributes))
}

/// Checks a `Query`.
///
/// # Errors
/// A `ValidationException`: the first rule, in DynamoDB's order, that the request breaks.
pub fn query(request: QueryRequest) -> Result<CompiledQuery, ServiceError> {
    let QueryRequest { mut options, key_conditions, key_condition_expression, scan_index_forward } =
        request;
    let key_text = key_condition_expression.as_deref();
    Parameters {
        expressions: [
            (ExpressionKind::Projection, options.projection_expression.is_some()),
            (ExpressionKind::Filter, options.filter_expression.is_some()),
            (ExpressionKind::KeyCondition, key_text.is_some()),
        ],
        legacy: [
            ("AttributesToGet", options.attributes_to_get.is_some()),
            ("QueryFilter", options.filter.is_some()),
            ("ConditionalOperator", options.conditional_operator.is_some()),
            // The one legacy parameter that goes with expressions, unless both say the same.
            ("KeyConditions", key_conditions.is_some() && key_text.is_some()),
        ],
        names: options.expression_attribute_names.is_some(),
        values: options.expression_attribute_values.is_some(),
    }
    .check()?;
    let legacy_filter = legacy_filter(&mut options)?;
    let attributes = attributes_to_get(&mut options)?;
    let exclusive_start_key = starting_key(options.exclusive_start_key.take())?;
    if key_conditions.is_none() && key_text.is_none() {
        return Err(ServiceError::validation(
            "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.",
        ));
    }
    let names = options.expression_attribute_names.take();
    let values = options.expression_attribute_values.take();
    let mut compiler = compiler(names.as_ref(), values.as_ref())?;
    let key_expression = compile_condition(&mut compiler, ExpressionKind::KeyCondition, key_text)?;
    let texts = (options.filter_expression.take(), options.projection_expression.take());
    let filter = compile_condition(&mut compiler, ExpressionKind::Filter, texts.0.as_deref())?;
    let projection = texts.1.as_deref().map(|text| compiler.projection(text)).transpose()?;
    compiler.finish()?;
    let key_condition = match key_expression {
        // Whether it is one for keys is asked when all expressions are known to be sound.
        Some(condition) => {
            KeyConditionSource::Expression(KeyConditionExpression::from_condition(&condition)?)
        }
        None => {
            KeyConditionSource::Legacy(legacy::key_conditions(key_conditions.unwrap_or_default())?)
        }
    };
    select::check_query(&options, select::projecting(&attributes, &projection))?;
    Ok(CompiledQuery {
        filter_is_legacy: legacy_filter.is_some(),
        read: compiled_read(
            options,
            filter.or(legacy_filter),
            projection.or(attributes),
            exclusive_start_key,
        ),
        key_condition,
        scan_index_forward: scan_index_forward.unwrap_or(true),
    })
}

/// Checks a `Scan`.
///
/// # Errors
/// A `ValidationException`: the first rule, in DynamoDB's order, that the request breaks.
pub fn scan(request: ScanRequest) -> Result<CompiledScan, ServiceError> {
    let ScanRequest { mut options, total_segments, segment } = request;
    Parameters {
        expressions: [
            (ExpressionKind::Projection, options.projection_expression.is_some()),
            (ExpressionKind::Filter, options.filter_expression.is_some()),
        ],
        legacy: [
            ("AttributesToGet", options.attributes_to_get.is_some()),
            ("ScanFilter", options.filter.is_some()),
            ("ConditionalOperator", options.conditional_operator.is_some()),
        ],
        names: options.expression_attribute_names.is_some(),
        values: options.expression_attribute_values.is_some(),
    }
    .check()?;
    let attributes = attributes_to_get(&mut options)?;
    let legacy_filter = legacy_filter(&mut options)?;
    let exclusive_start_key = starting_key(options.exclusive_start_key.take())?;
    let segment = check_segment(segment, total_segments)?;
    let names = options.expression_attribute_names.take();
    let values = options.expression_attribute_values.take();
    let mut compiler = compiler(names.as_ref(), values.as_ref())?;
    let texts = (options.filter_expression.take(), options.projection_expression.take());
    let filter = compile_condition(&mut compiler, ExpressionKind::Filter, texts.0.as_deref())?;
    let projection = texts.1.as_deref().map(|text| compiler.projection(text)).transpose()?;
    compiler.finish()?;
    select::check_scan(&options, select::projecting(&attributes, &projection))?;
    Ok(CompiledScan {
        read: compiled_read(
            options,
            filter.or(legacy_filter),
            projection.or(attributes),
            exclusive_start_key,
        ),
        segment,
    })
}

fn legacy_filter(options: &mut ReadOptions) -> Result<Option<Condition>, ServiceError> {
    let comparisons = legacy::conditions(options.filter.take().unwrap_or_default())?;
    legacy::join(comparisons, options.conditional_operator)
}

fn attributes_to_get(options: &mut ReadOptions) -> Result<Option<Projection>, ServiceError> {
    options.attributes_to_get.take().map(legacy::attributes_to_get).transpose()
}

fn compiled_read(
    options: ReadOptions,
    filter: Option<Condition>,
    projection: Option<Projection>,
    exclusive_start_key: Option<Item>,
) -> CompiledRead {
    CompiledRead {
        table_name: options.table_name,
        index_name: options.index_name,
        select: options.select,
        projection,
        filter,
        limit: options.limit,
        consistent_read: options.consistent_read,
        exclusive_start_key,
        return_consumed_capacity: options.return_consumed_capacity,
    }
}

fn check_segment(
    segment: Option<u32>,
    total_segments: Option<u32>,
) -> Result<Option<Segment>, ServiceError> {
    match (segment, total_segments) {
        (None, None) => Ok(None),
        (Some(_), None) => Err(ServiceError::validation(
            "The TotalSegments parameter is required but was not present in the request when Segment parameter is present",
        )),
        (None, Some(_)) => Err(ServiceError::validation(
            "The Segment parameter is required but was not present in the request when parameter TotalSegments is present",
        )),
        (Some(index), Some(total)) if index < total => Ok(Some(Segment { index, total })),
        (Some(index), Some(total)) => Err(ServiceError::validation(format!(
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: {index} is not less than TotalSegments: {total}"
        ))),
    }
}

/// Checks a `BatchGetItem`.
///
/// # Errors
/// A `ValidationException`: the first rule, in DynamoDB's order, that the request breaks.
pub fn batch_get_item(request: BatchGetItemRequest) -> Result<CompiledBatchGet, ServiceError> {
    let any = |present: fn(&KeysAndAttributes) -> bool| request.request_items.values().any(present);
    // Expressions for one table and legacy parameters for another do not mix either.
    Parameters {
        expressions: [(ExpressionKind::Projection, any(|of| of.projection_expression.is_some()))],
        legacy: [("AttributesToGet", any(|of| of.attributes_to_get.is_some()))],
        names: false,
        values: false,
    }
    .check()?;
    let mut keys = 0;
    let mut tables = BTreeMap::new();
    for (table, parameters) in request.request_items {
        keys += parameters.keys.len();
        tables.insert(table, compile_keys(parameters, keys)?);
    }
    Ok(CompiledBatchGet { tables, return_consumed_capacity: request.return_consumed_capacity })
}

/// Checks one table of a `BatchGetItem`, up to whose last key the request has `keys_so_far`.
fn compile_keys(
    mut parameters: KeysAndAttributes,
    keys_so_far: usize,
) -> Result<CompiledKeys, ServiceError> {
    Parameters {
        expressions: [(ExpressionKind::Projection, parameters.projection_expression.is_some())],
        legacy: [("AttributesToGet", parameters.attributes_to_get.is_some())],
        names: parameters.expression_attribute_names.is_some(),
        values: false,
    }
    .check()?;
    let projection = projection(
        parameters.attributes_to_get.clone(),
        parameters.projection_expression.as_deref(),
        parameters.expression_attribute_names.as_ref(),
    )?;
    let keys = std::mem::take(&mut parameters.keys);
    let keys = keys.into_iter().map(raise).collect::<Result<Vec<_>, ServiceError>>()?;
    check_distinct(&keys)?;
    if keys_so_far > BATCH_GET_KEYS_MAX {
        return Err(ServiceError::validation("Too many items requested for the BatchGetItem call"));
    }
    Ok(CompiledKeys {
        keys,
        projection,
        consistent_read: parameters.consistent_read.unwrap_or_default(),
        parameters,
    })
}

/// Checks a `BatchWriteItem`.
///
/// # Errors
/// A `ValidationException`: the first rule, in DynamoDB's order, that the request breaks.
pub fn batch_write_item(
    request: BatchWriteItemRequest,
) -> Result<CompiledBatchWrite, ServiceError> {
    let writes: usize = request.request_items.values().map(Vec::len).sum();
    if writes > BATCH_WRITE_ITEMS_MAX {
        return Err(ServiceError::validation(
            "Too many items requested for the BatchWriteItem call",
        ));
    }
    let mut tables = BTreeMap::new();
    for (table, requests) in request.request_items {
        tables.insert(table, compile_writes(requests)?);
    }
    Ok(CompiledBatchWrite {
        tables,
        return_consumed_capacity: request.return_consumed_capacity,
        return_item_collection_metrics: request.return_item_collection_metrics,
    })
}

/// Checks the writes to one table: first that each is one write, then what it writes.
fn compile_writes(requests: Vec<WriteRequest>) -> Result<Vec<CompiledBatchEntry>, ServiceError> {
    for request in &requests {
        if let WriteRequest::Malformed(error) = request {
            return Err(ServiceError::clone(error));
        }
    }
    requests
        .into_iter()
        .map(|request| match request {
            WriteRequest::Put(item) => {
                let item = raise(item)?;
                parameters::check_item_size(&item)?;
                Ok(CompiledBatchEntry::Put(item))
            }
            WriteRequest::Delete(key) => Ok(CompiledBatchEntry::Delete(raise(key)?)),
            WriteRequest::Malformed(error) => Err(*error),
        })
        .collect()
}
