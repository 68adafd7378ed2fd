//! Responses as the service writes them: which members are there, how figures and times look.

mod stream;

use std::collections::BTreeMap;

use zenobe_model::capacity::{CapacityDirection, ConsumedCapacity, HalfUnits};
use zenobe_model::error::{CancellationReason, Detail};
use zenobe_model::operation::*;
use zenobe_model::{EncodedItem, ErrorCode, ServiceError};

use crate::write::{self, Object, array};

mod statement;

/// Appends the body of a response. It is UTF-8 if the texts of all stored items in it are, which the
/// caller must make sure of.
pub fn encode(response: &Response, out: &mut Vec<u8>) {
    match response {
        Response::BatchExecuteStatement(response) => statement::batch(out, response),
        Response::BatchGetItem(response) => batch_get_item(out, response),
        Response::BatchWriteItem(response) => batch_write_item(out, response),
        Response::CreateTable(table)
        | Response::DeleteTable(table)
        | Response::UpdateTable(table) => wrapped_table(out, "TableDescription", table),
        Response::DescribeStream(stream) => stream::describe_stream(out, stream),
        Response::DescribeTable(table) => wrapped_table(out, "Table", table),
        Response::DeleteItem(response)
        | Response::PutItem(response)
        | Response::UpdateItem(response) => write_item(out, response),
        Response::DescribeEndpoints(response) => describe_endpoints(out, response),
        Response::DescribeLimits(response) => describe_limits(out, response),
        Response::ExecuteStatement(response) => statement::execute(out, response),
        Response::GetItem(response) => get_item(out, response),
        Response::GetRecords(response) => stream::get_records(out, response),
        Response::GetShardIterator(response) => stream::get_shard_iterator(out, response),
        Response::ListStreams(response) => stream::list_streams(out, response),
        Response::ListTables(response) => list_tables(out, response),
        Response::ListTagsOfResource(response) => list_tags(out, response),
        Response::Query(response) | Response::Scan(response) => read_items(out, response),
        Response::DescribeTimeToLive(description) => describe_time_to_live(out, description),
        Response::UpdateTimeToLive(specification) => update_time_to_live(out, specification),
        Response::ExecuteTransaction(response) | Response::TransactGetItems(response) => {
            transact_get_items(out, response);
        }
        Response::TransactWriteItems(response) => transact_write_items(out, response),
        // These answer without a body.
        Response::TagResource | Response::UntagResource => {}
    }
}

/// Appends the body of an error: its type, its text if it has one, and what it carries.
pub fn encode_error(error: &ServiceError, out: &mut Vec<u8>) {
    let mut object = Object::open(out);
    object.text("__type", error.code.type_name());
    match &error.detail {
        Detail::None => {}
        Detail::Item(item) => write::encoded_item(object.member("Item"), item),
        Detail::Reasons(reasons) => {
            array(object.member("CancellationReasons"), reasons, cancellation_reason);
        }
    }
    if !error.message.is_empty() {
        object.text(message_member(error.code), &error.message);
    }
    object.close();
}

fn cancellation_reason(out: &mut Vec<u8>, reason: &CancellationReason) {
    let mut object = Object::open(out);
    object.text("Code", reason.code());
    if let Some(item) = &reason.item {
        write::encoded_item(object.member("Item"), item);
    }
    if let Some((_, message)) = &reason.error {
        object.text("Message", message);
    }
    object.close();
}

/// Some codes are raised before the service's own code runs, and spell the member with a capital; so
/// does the model of the service for those of transactions.
const fn message_member(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::Serialization
        | ErrorCode::AccessDenied
        | ErrorCode::TagAccessDenied
        | ErrorCode::TransactionCanceled
        | ErrorCode::TransactionInProgress
        | ErrorCode::IdempotentParameterMismatch => "Message",
        _ => "message",
    }
}

fn get_item(out: &mut Vec<u8>, response: &GetItemResponse) {
    let mut object = Object::open(out);
    consumed_capacity(&mut object, response.consumed_capacity.as_ref());
    if let Some(item) = &response.item {
        encoded_item(object.member("Item"), item);
    }
    object.close();
}

fn write_item(out: &mut Vec<u8>, response: &WriteItemResponse) {
    let mut object = Object::open(out);
    if let Some(attributes) = &response.attributes {
        write::encoded_item(object.member("Attributes"), attributes);
    }
    consumed_capacity(&mut object, response.consumed_capacity.as_ref());
    if let Some(metrics) = &response.item_collection_metrics {
        item_collection_metrics(object.member("ItemCollectionMetrics"), metrics);
    }
    object.close();
}

fn read_items(out: &mut Vec<u8>, response: &ReadItemsResponse) {
    let mut object = Object::open(out);
    consumed_capacity(&mut object, response.consumed_capacity.as_ref());
    object.integer("Count", response.count);
    if let Some(items) = &response.items {
        encoded_items(object.member("Items"), items);
    }
    if let Some(key) = &response.last_evaluated_key {
        write::item(object.member("LastEvaluatedKey"), key);
    }
    object.integer("ScannedCount", response.scanned_count);
    object.close();
}

fn encoded_items(out: &mut Vec<u8>, items: &[EncodedItem]) {
    out.reserve(items.iter().map(json_bytes).sum());
    array(out, items, write::encoded_item);
}

fn encoded_item(out: &mut Vec<u8>, item: &EncodedItem) {
    out.reserve(json_bytes(item));
    write::encoded_item(out, item);
}

/// About how long an item is as JSON: its bytes, and quotes, types and brackets for each attribute.
fn json_bytes(item: &EncodedItem) -> usize {
    const PER_ATTRIBUTE: usize = 12;
    item.bytes().len() + item.len().saturating_mul(PER_ATTRIBUTE)
}

fn batch_get_item(out: &mut Vec<u8>, response: &BatchGetItemResponse) {
    let mut object = Object::open(out);
    consumed_capacities(&mut object, response.consumed_capacity.as_deref());
    let mut tables = Object::open(object.member("Responses"));
    for (table, items) in &response.responses {
        encoded_items(tables.key(table), items);
    }
    tables.close();
    let mut tables = Object::open(object.member("UnprocessedKeys"));
    for (table, keys) in &response.unprocessed_keys {
        keys_and_attributes(tables.key(table), keys);
    }
    tables.close();
    object.close();
}

fn keys_and_attributes(out: &mut Vec<u8>, request: &KeysAndAttributes) {
    let mut object = Object::open(out);
    if let Some(names) = &request.attributes_to_get {
        texts(object.member("AttributesToGet"), names);
    }
    if let Some(consistent) = request.consistent_read {
        object.boolean("ConsistentRead", consistent);
    }
    if let Some(names) = &request.expression_attribute_names {
        let mut map = Object::open(object.member("ExpressionAttributeNames"));
        for (placeholder, name) in names {
            write::string(map.key(placeholder), name);
        }
        map.close();
    }
    // What could not be parsed has failed the request before.
    let keys = request.keys.iter().filter_map(|key| key.as_ref().ok());
    array(object.member("Keys"), keys, write::item);
    if let Some(expression) = &request.projection_expression {
        object.text("ProjectionExpression", expression);
    }
    object.close();
}

fn batch_write_item(out: &mut Vec<u8>, response: &BatchWriteItemResponse) {
    let mut object = Object::open(out);
    consumed_capacities(&mut object, response.consumed_capacity.as_deref());
    table_metrics(&mut object, response.item_collection_metrics.as_ref());
    let mut tables = Object::open(object.member("UnprocessedItems"));
    for (table, requests) in &response.unprocessed_items {
        array(tables.key(table), requests.iter().filter(is_known), write_request);
    }
    tables.close();
    object.close();
}

fn table_metrics(
    object: &mut Object<'_>,
    metrics: Option<&BTreeMap<String, Vec<ItemCollectionMetrics>>>,
) {
    let Some(metrics) = metrics else { return };
    let mut tables = Object::open(object.member("ItemCollectionMetrics"));
    for (table, metrics) in metrics {
        array(tables.key(table), metrics, item_collection_metrics);
    }
    tables.close();
}

fn transact_write_items(out: &mut Vec<u8>, response: &TransactWriteItemsResponse) {
    let mut object = Object::open(out);
    consumed_capacities(&mut object, response.consumed_capacity.as_deref());
    table_metrics(&mut object, response.item_collection_metrics.as_ref());
    object.close();
}

fn transact_get_items(out: &mut Vec<u8>, response: &TransactGetItemsResponse) {
    let mut object = Object::open(out);
    consumed_capacities(&mut object, response.consumed_capacity.as_deref());
    array(object.member("Responses"), &response.responses, |out, item| {
        let mut object = Object::open(out);
        if let Some(item) = item {
            write::encoded_item(object.member("Item"), item);
        }
        object.close();
    });
    object.close();
}

/// Whether a write that was left undone can be told.
fn is_known(request: &&WriteRequest) -> bool {
    matches!(request, WriteRequest::Put(Ok(_)) | WriteRequest::Delete(Ok(_)))
}

/// A write that was left undone.
fn write_request(out: &mut Vec<u8>, request: &WriteRequest) {
    let mut object = Object::open(out);
    match request {
        WriteRequest::Put(Ok(item)) => {
            let mut put = Object::open(object.member("PutRequest"));
            write::encoded_item(put.member("Item"), item);
            put.close();
        }
        WriteRequest::Delete(Ok(key)) => {
            let mut delete = Object::open(object.member("DeleteRequest"));
            write::item(delete.member("Key"), key);
            delete.close();
        }
        WriteRequest::Put(Err(_)) | WriteRequest::Delete(Err(_)) | WriteRequest::Malformed(_) => {}
    }
    object.close();
}

fn item_collection_metrics(out: &mut Vec<u8>, metrics: &ItemCollectionMetrics) {
    let mut object = Object::open(out);
    write::item(object.member("ItemCollectionKey"), &metrics.item_collection_key);
    let (low, high) = metrics.size_estimate_range_gb;
    array(object.member("SizeEstimateRangeGB"), [low, high], write::decimal);
    object.close();
}

fn consumed_capacity(object: &mut Object<'_>, capacity: Option<&ConsumedCapacity>) {
    if let Some(capacity) = capacity {
        one_capacity(object.member("ConsumedCapacity"), capacity);
    }
}

fn consumed_capacities(object: &mut Object<'_>, capacities: Option<&[ConsumedCapacity]>) {
    if let Some(capacities) = capacities {
        array(object.member("ConsumedCapacity"), capacities, one_capacity);
    }
}

fn one_capacity(out: &mut Vec<u8>, capacity: &ConsumedCapacity) {
    let mut object = Object::open(out);
    let direction = capacity.direction;
    units(&mut object, capacity.total, direction);
    if let Some(detail) = &capacity.detail {
        let (global, local) = (&detail.global_secondary_indexes, &detail.local_secondary_indexes);
        index_capacities(&mut object, "GlobalSecondaryIndexes", global, direction);
        index_capacities(&mut object, "LocalSecondaryIndexes", local, direction);
        capacity_units(object.member("Table"), detail.table, direction);
    }
    object.text("TableName", &capacity.table_name);
    object.close();
}

fn index_capacities(
    object: &mut Object<'_>,
    name: &str,
    indexes: &BTreeMap<String, HalfUnits>,
    direction: Option<CapacityDirection>,
) {
    if indexes.is_empty() {
        return;
    }
    let mut map = Object::open(object.member(name));
    for (index, units) in indexes {
        capacity_units(map.key(index), *units, direction);
    }
    map.close();
}

fn capacity_units(out: &mut Vec<u8>, figure: HalfUnits, direction: Option<CapacityDirection>) {
    let mut object = Object::open(out);
    units(&mut object, figure, direction);
    object.close();
}

/// The figure, and once more as that of reading or of writing where the operation says which.
fn units(object: &mut Object<'_>, figure: HalfUnits, direction: Option<CapacityDirection>) {
    write::decimal(object.member("CapacityUnits"), figure.units());
    let again = match direction {
        None => return,
        Some(CapacityDirection::Read) => "ReadCapacityUnits",
        Some(CapacityDirection::Write) => "WriteCapacityUnits",
    };
    write::decimal(object.member(again), figure.units());
}

fn texts(out: &mut Vec<u8>, values: &[String]) {
    array(out, values, |out, value| write::string(out, value));
}

fn list_tables(out: &mut Vec<u8>, response: &ListTablesResponse) {
    let mut object = Object::open(out);
    if let Some(name) = &response.last_evaluated_table_name {
        object.text("LastEvaluatedTableName", name);
    }
    texts(object.member("TableNames"), &response.table_names);
    object.close();
}

fn list_tags(out: &mut Vec<u8>, response: &ListTagsOfResourceResponse) {
    let mut object = Object::open(out);
    if let Some(token) = &response.next_token {
        object.text("NextToken", token);
    }
    array(object.member("Tags"), &response.tags, |out, tag| {
        let mut object = Object::open(out);
        object.text("Key", &tag.key);
        object.text("Value", &tag.value);
        object.close();
    });
    object.close();
}

fn describe_time_to_live(out: &mut Vec<u8>, description: &TimeToLiveDescription) {
    let mut object = Object::open(out);
    let mut inner = Object::open(object.member("TimeToLiveDescription"));
    inner.text(
        "TimeToLiveStatus",
        match description.status {
            TimeToLiveStatus::Enabling => "ENABLING",
            TimeToLiveStatus::Disabling => "DISABLING",
            TimeToLiveStatus::Enabled => "ENABLED",
            TimeToLiveStatus::Disabled => "DISABLED",
        },
    );
    if let Some(name) = &description.attribute_name {
        inner.text("AttributeName", name);
    }
    inner.close();
    object.close();
}

fn update_time_to_live(out: &mut Vec<u8>, specification: &TimeToLiveSpecification) {
    let mut object = Object::open(out);
    let mut inner = Object::open(object.member("TimeToLiveSpecification"));
    inner.boolean("Enabled", specification.enabled);
    inner.text("AttributeName", &specification.attribute_name);
    inner.close();
    object.close();
}

fn describe_limits(out: &mut Vec<u8>, response: &DescribeLimitsResponse) {
    let mut object = Object::open(out);
    object.integer("AccountMaxReadCapacityUnits", response.account_max_read_capacity_units);
    object.integer("AccountMaxWriteCapacityUnits", response.account_max_write_capacity_units);
    object.integer("TableMaxReadCapacityUnits", response.table_max_read_capacity_units);
    object.integer("TableMaxWriteCapacityUnits", response.table_max_write_capacity_units);
    object.close();
}

fn describe_endpoints(out: &mut Vec<u8>, response: &DescribeEndpointsResponse) {
    let mut object = Object::open(out);
    array(object.member("Endpoints"), [response], |out, endpoint| {
        let mut object = Object::open(out);
        object.text("Address", &endpoint.address);
        object.integer("CachePeriodInMinutes", endpoint.cache_period_minutes);
        object.close();
    });
    object.close();
}

fn wrapped_table(out: &mut Vec<u8>, member: &str, table: &TableDescription) {
    let mut object = Object::open(out);
    let mut description = Object::open(object.member(member));
    table_identity(&mut description, table);
    table_settings(&mut description, table);
    description.close();
    object.close();
}

/// What a table is: its names, keys, state and size.
fn table_identity(object: &mut Object<'_>, table: &TableDescription) {
    if !table.attribute_definitions.is_empty() {
        let definitions = &table.attribute_definitions;
        array(object.member("AttributeDefinitions"), definitions, |out, definition| {
            let mut object = Object::open(out);
            object.text("AttributeName", &definition.attribute_name);
            object.text("AttributeType", definition.attribute_type.name());
            object.close();
        });
    }
    object.text("TableName", &table.table_name);
    key_schema(object, &table.key_schema);
    object.text("TableStatus", status_name(table.table_status));
    if let Some(time) = table.creation_ms {
        write::seconds(object.member("CreationDateTime"), time);
    }
    throughput(object, &table.provisioned_throughput);
    object.integer("TableSizeBytes", table.table_size_bytes);
    object.integer("ItemCount", table.item_count);
    object.text("TableArn", &table.table_arn);
    object.text("TableId", &table.table_id);
}

/// How a table is set up: billing, indexes, stream, encryption and class.
fn table_settings(object: &mut Object<'_>, table: &TableDescription) {
    if let Some(summary) = &table.billing_mode_summary {
        let mut inner = Object::open(object.member("BillingModeSummary"));
        inner.text("BillingMode", billing_name(summary.billing_mode));
        if let Some(time) = summary.last_update_to_pay_per_request_ms {
            write::seconds(inner.member("LastUpdateToPayPerRequestDateTime"), time);
        }
        inner.close();
    }
    if !table.local_secondary_indexes.is_empty() {
        let indexes = &table.local_secondary_indexes;
        array(object.member("LocalSecondaryIndexes"), indexes, local_index);
    }
    if !table.global_secondary_indexes.is_empty() {
        let indexes = &table.global_secondary_indexes;
        array(object.member("GlobalSecondaryIndexes"), indexes, global_index);
    }
    if let Some(stream) = &table.stream_specification {
        let mut inner = Object::open(object.member("StreamSpecification"));
        inner.boolean("StreamEnabled", stream.stream_enabled);
        if let Some(view) = stream.stream_view_type {
            inner.text("StreamViewType", view_name(view));
        }
        inner.close();
    }
    if let Some(label) = &table.latest_stream_label {
        object.text("LatestStreamLabel", label);
    }
    if let Some(arn) = &table.latest_stream_arn {
        object.text("LatestStreamArn", arn);
    }
    if let Some(encryption) = &table.sse_description {
        let mut inner = Object::open(object.member("SSEDescription"));
        inner.text("Status", encryption.status);
        inner.text("SSEType", encryption_name(encryption.sse_type));
        if let Some(arn) = &encryption.kms_master_key_arn {
            inner.text("KMSMasterKeyArn", arn);
        }
        inner.close();
    }
    if let Some((class, time)) = table.table_class_summary {
        let mut inner = Object::open(object.member("TableClassSummary"));
        inner.text("TableClass", class_name(class));
        if let Some(time) = time {
            write::seconds(inner.member("LastUpdateDateTime"), time);
        }
        inner.close();
    }
    object.boolean("DeletionProtectionEnabled", table.deletion_protection_enabled);
    on_demand(object, table.on_demand_throughput.as_ref());
    warm(object, table.warm_throughput.as_ref());
}

fn key_schema(object: &mut Object<'_>, elements: &[KeySchemaElement]) {
    if elements.is_empty() {
        return;
    }
    array(object.member("KeySchema"), elements, |out, element| {
        let mut object = Object::open(out);
        object.text("AttributeName", &element.attribute_name);
        object.text("KeyType", key_type_name(element.key_type));
        object.close();
    });
}

fn projection(object: &mut Object<'_>, projection: &Projection) {
    let mut inner = Object::open(object.member("Projection"));
    if let Some(projection_type) = projection.projection_type {
        inner.text("ProjectionType", projection_name(projection_type));
    }
    if let Some(names) = &projection.non_key_attributes {
        texts(inner.member("NonKeyAttributes"), names);
    }
    inner.close();
}

fn throughput(object: &mut Object<'_>, throughput: &ProvisionedThroughputDescription) {
    let mut inner = Object::open(object.member("ProvisionedThroughput"));
    if let Some(time) = throughput.last_increase_ms {
        write::seconds(inner.member("LastIncreaseDateTime"), time);
    }
    if let Some(time) = throughput.last_decrease_ms {
        write::seconds(inner.member("LastDecreaseDateTime"), time);
    }
    inner.integer("NumberOfDecreasesToday", throughput.number_of_decreases_today);
    inner.integer("ReadCapacityUnits", throughput.read_capacity_units);
    inner.integer("WriteCapacityUnits", throughput.write_capacity_units);
    inner.close();
}

fn on_demand(object: &mut Object<'_>, throughput: Option<&OnDemandThroughput>) {
    let Some(throughput) = throughput else { return };
    let mut inner = Object::open(object.member("OnDemandThroughput"));
    if let Some(units) = throughput.max_read_request_units {
        inner.integer("MaxReadRequestUnits", units);
    }
    if let Some(units) = throughput.max_write_request_units {
        inner.integer("MaxWriteRequestUnits", units);
    }
    inner.close();
}

fn warm(object: &mut Object<'_>, throughput: Option<&WarmThroughputDescription>) {
    let Some(throughput) = throughput else { return };
    let mut inner = Object::open(object.member("WarmThroughput"));
    inner.integer("ReadUnitsPerSecond", throughput.read_units_per_second);
    inner.integer("WriteUnitsPerSecond", throughput.write_units_per_second);
    inner.text("Status", status_name(throughput.status));
    inner.close();
}

fn local_index(out: &mut Vec<u8>, index: &LocalSecondaryIndexDescription) {
    let mut object = Object::open(out);
    object.text("IndexName", &index.index_name);
    key_schema(&mut object, &index.key_schema);
    projection(&mut object, &index.projection);
    object.integer("IndexSizeBytes", index.index_size_bytes);
    object.integer("ItemCount", index.item_count);
    object.text("IndexArn", &index.index_arn);
    object.close();
}

fn global_index(out: &mut Vec<u8>, index: &GlobalSecondaryIndexDescription) {
    let mut object = Object::open(out);
    object.text("IndexName", &index.index_name);
    key_schema(&mut object, &index.key_schema);
    projection(&mut object, &index.projection);
    object.text("IndexStatus", status_name(index.index_status));
    if let Some(backfilling) = index.backfilling {
        object.boolean("Backfilling", backfilling);
    }
    throughput(&mut object, &index.provisioned_throughput);
    object.integer("IndexSizeBytes", index.index_size_bytes);
    object.integer("ItemCount", index.item_count);
    object.text("IndexArn", &index.index_arn);
    on_demand(&mut object, index.on_demand_throughput.as_ref());
    warm(&mut object, index.warm_throughput.as_ref());
    object.close();
}

const fn status_name(status: ResourceStatus) -> &'static str {
    match status {
        ResourceStatus::Creating => "CREATING",
        ResourceStatus::Updating => "UPDATING",
        ResourceStatus::Deleting => "DELETING",
        ResourceStatus::Active => "ACTIVE",
    }
}

const fn key_type_name(key_type: KeyType) -> &'static str {
    match key_type {
        KeyType::Hash => "HASH",
        KeyType::Range => "RANGE",
    }
}

const fn projection_name(projection: ProjectionType) -> &'static str {
    match projection {
        ProjectionType::All => "ALL",
        ProjectionType::KeysOnly => "KEYS_ONLY",
        ProjectionType::Include => "INCLUDE",
    }
}

const fn billing_name(mode: BillingMode) -> &'static str {
    match mode {
        BillingMode::Provisioned => "PROVISIONED",
        BillingMode::PayPerRequest => "PAY_PER_REQUEST",
    }
}

const fn class_name(class: TableClass) -> &'static str {
    match class {
        TableClass::Standard => "STANDARD",
        TableClass::StandardInfrequentAccess => "STANDARD_INFREQUENT_ACCESS",
    }
}

const fn view_name(view: StreamViewType) -> &'static str {
    match view {
        StreamViewType::NewImage => "NEW_IMAGE",
        StreamViewType::OldImage => "OLD_IMAGE",
        StreamViewType::NewAndOldImages => "NEW_AND_OLD_IMAGES",
        StreamViewType::KeysOnly => "KEYS_ONLY",
    }
}

const fn encryption_name(encryption: SseType) -> &'static str {
    match encryption {
        SseType::Aes256 => "AES256",
        SseType::Kms => "KMS",
    }
}
