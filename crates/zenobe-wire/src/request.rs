//! From checked nodes to the typed requests of the model.
//!
//! The nodes have passed the constraints of their shape, so that what is missing or unknown here
//! cannot occur; where the types do not say so, it becomes the default. No list and no map has a
//! `null` in it any more, but for attribute values, of which each becomes a fault of its own.

use std::borrow::Cow;
use std::collections::BTreeMap;

use zenobe_model::operation::*;
use zenobe_model::value::{AttributeValue, Item, ValueType};
use zenobe_model::{EncodedItem, ServiceError};

use crate::echo;
use crate::node::Node;
use crate::shape::StructureShape;

/// The members of a structure, taken by name.
struct Members<'a> {
    shape: &'static StructureShape,
    nodes: Vec<Node<'a>>,
}

impl<'a> Members<'a> {
    /// Takes a member; [`Node::Null`] if it is absent.
    fn take(&mut self, name: &str) -> Node<'a> {
        let index = self.shape.members.iter().position(|member| member.name == name);
        debug_assert!(index.is_some(), "{} has no member {name}", self.shape.name);
        let node = index.and_then(|index| self.nodes.get_mut(index));
        node.map_or(Node::Null, |node| std::mem::replace(node, Node::Null))
    }

    fn text(&mut self, name: &str) -> Option<String> {
        match self.take(name) {
            Node::Text(text) => Some(text.into_owned()),
            _ => None,
        }
    }

    fn required_text(&mut self, name: &str) -> String {
        self.text(name).unwrap_or_default()
    }

    fn boolean(&mut self, name: &str) -> Option<bool> {
        match self.take(name) {
            Node::Boolean(value) => Some(value),
            _ => None,
        }
    }

    fn integer(&mut self, name: &str) -> Option<i64> {
        match self.take(name) {
            Node::Integer(value) => Some(value),
            _ => None,
        }
    }

    fn unsigned(&mut self, name: &str) -> Option<u32> {
        self.integer(name).and_then(|value| u32::try_from(value).ok())
    }

    fn encoded_item(&mut self, name: &str) -> Option<Parsed<EncodedItem>> {
        match self.take(name) {
            Node::Item(item) => Some(item),
            _ => None,
        }
    }

    fn required_encoded_item(&mut self, name: &str) -> Parsed<EncodedItem> {
        self.encoded_item(name).unwrap_or_else(|| Ok(EncodedItem::default()))
    }

    fn item(&mut self, name: &str) -> Option<Parsed<Item>> {
        Some(self.encoded_item(name)?.map(|item| item.to_item()))
    }

    fn required_item(&mut self, name: &str) -> Parsed<Item> {
        self.item(name).unwrap_or_else(|| Ok(Item::new()))
    }

    fn value(&mut self, name: &str) -> Option<Parsed<AttributeValue>> {
        match self.take(name) {
            Node::Value(value) => Some(value),
            _ => None,
        }
    }

    fn list(&mut self, name: &str) -> Option<Vec<Node<'a>>> {
        match self.take(name) {
            Node::List(nodes) => Some(nodes),
            _ => None,
        }
    }

    fn texts(&mut self, name: &str) -> Option<Vec<String>> {
        Some(self.list(name)?.into_iter().filter_map(into_text).collect())
    }

    fn values(&mut self, name: &str) -> Option<Vec<Parsed<AttributeValue>>> {
        let value = |node| match node {
            Node::Value(value) => Some(value),
            Node::Null => Some(Err(Box::new(ServiceError::validation(NULL_VALUE)))),
            _ => None,
        };
        Some(self.list(name)?.into_iter().filter_map(value).collect())
    }

    fn map(&mut self, name: &str) -> Option<Vec<(Cow<'a, str>, Node<'a>)>> {
        match self.take(name) {
            Node::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// Takes a member by the name that its value has in the API.
    fn choice<T: Copy>(&mut self, name: &str, choices: &[(&str, T)]) -> Option<T> {
        let Node::Text(text) = self.take(name) else { return None };
        choices.iter().find(|(known, _)| *known == text).map(|(_, choice)| *choice)
    }

    /// The structure that a member is, or that its elements or values are.
    fn inner_shape(&self, name: &str) -> Option<&'static StructureShape> {
        self.shape.members.iter().find(|member| member.name == name)?.shape.structure()
    }

    fn structure(&mut self, name: &str) -> Option<Members<'a>> {
        let shape = self.inner_shape(name)?;
        match self.take(name) {
            Node::Structure(nodes) => Some(Members { shape, nodes }),
            _ => None,
        }
    }

    fn structures(&mut self, name: &str) -> Option<Vec<Members<'a>>> {
        let shape = self.inner_shape(name)?;
        let members = |node| match node {
            Node::Structure(nodes) => Some(Members { shape, nodes }),
            _ => None,
        };
        Some(self.list(name)?.into_iter().filter_map(members).collect())
    }

    fn structure_map<T>(
        &mut self,
        name: &str,
        build: impl Fn(Members<'a>) -> T,
    ) -> Option<BTreeMap<String, T>> {
        let shape = self.inner_shape(name)?;
        let entry = |(key, node): (Cow<'a, str>, Node<'a>)| match node {
            Node::Structure(nodes) => Some((key.into_owned(), build(Members { shape, nodes }))),
            _ => None,
        };
        Some(self.map(name)?.into_iter().filter_map(entry).collect())
    }

    /// The first of these members that was given.
    fn first_given(&mut self, names: &[&'static str]) -> UnsupportedParameters {
        let given = |name: &&'static str| !matches!(self.take(name), Node::Null);
        UnsupportedParameters { first: names.iter().copied().find(given) }
    }
}

fn into_text(node: Node<'_>) -> Option<String> {
    match node {
        Node::Text(text) => Some(text.into_owned()),
        _ => None,
    }
}

/// Builds the typed request of an operation.
pub(crate) fn build(
    operation: Operation,
    shape: &'static StructureShape,
    nodes: Vec<Node<'_>>,
) -> Request {
    let members = Members { shape, nodes };
    match operation {
        Operation::BatchExecuteStatement => {
            Request::BatchExecuteStatement(Box::new(batch_execute_statement(members)))
        }
        Operation::BatchGetItem => Request::BatchGetItem(Box::new(batch_get_item(members))),
        Operation::BatchWriteItem => Request::BatchWriteItem(Box::new(batch_write_item(members))),
        Operation::CreateTable => Request::CreateTable(Box::new(create_table(members))),
        Operation::DeleteItem => Request::DeleteItem(Box::new(delete_item(members))),
        Operation::DeleteTable => Request::DeleteTable(Box::new(delete_table(members))),
        Operation::DescribeEndpoints => Request::DescribeEndpoints,
        Operation::DescribeLimits => Request::DescribeLimits,
        Operation::DescribeStream => Request::DescribeStream(Box::new(describe_stream(members))),
        Operation::DescribeTable => Request::DescribeTable(Box::new(describe_table(members))),
        Operation::DescribeTimeToLive => {
            Request::DescribeTimeToLive(Box::new(describe_time_to_live(members)))
        }
        Operation::ExecuteStatement => {
            Request::ExecuteStatement(Box::new(execute_statement(members)))
        }
        Operation::ExecuteTransaction => {
            Request::ExecuteTransaction(Box::new(execute_transaction(members)))
        }
        Operation::GetItem => Request::GetItem(Box::new(get_item(members))),
        Operation::GetRecords => Request::GetRecords(Box::new(get_records(members))),
        Operation::GetShardIterator => {
            Request::GetShardIterator(Box::new(get_shard_iterator(members)))
        }
        Operation::ListStreams => Request::ListStreams(Box::new(list_streams(members))),
        Operation::ListTables => Request::ListTables(Box::new(list_tables(members))),
        Operation::ListTagsOfResource => {
            Request::ListTagsOfResource(Box::new(list_tags_of_resource(members)))
        }
        Operation::PutItem => Request::PutItem(Box::new(put_item(members))),
        Operation::Query => Request::Query(Box::new(query(members))),
        Operation::Scan => Request::Scan(Box::new(scan(members))),
        Operation::TagResource => Request::TagResource(Box::new(tag_resource(members))),
        Operation::TransactGetItems => {
            Request::TransactGetItems(Box::new(transact_get_items(members)))
        }
        Operation::TransactWriteItems => {
            Request::TransactWriteItems(Box::new(transact_write_items(members)))
        }
        Operation::UntagResource => Request::UntagResource(Box::new(untag_resource(members))),
        Operation::UpdateItem => Request::UpdateItem(Box::new(update_item(members))),
        Operation::UpdateTable => Request::UpdateTable(Box::new(update_table(members))),
        Operation::UpdateTimeToLive => {
            Request::UpdateTimeToLive(Box::new(update_time_to_live(members)))
        }
    }
}

const RETURN_VALUES: &[(&str, ReturnValues)] = &[
    ("NONE", ReturnValues::None),
    ("ALL_OLD", ReturnValues::AllOld),
    ("UPDATED_OLD", ReturnValues::UpdatedOld),
    ("ALL_NEW", ReturnValues::AllNew),
    ("UPDATED_NEW", ReturnValues::UpdatedNew),
];
const RETURN_CAPACITY: &[(&str, ReturnConsumedCapacity)] = &[
    ("NONE", ReturnConsumedCapacity::None),
    ("TOTAL", ReturnConsumedCapacity::Total),
    ("INDEXES", ReturnConsumedCapacity::Indexes),
];
const RETURN_METRICS: &[(&str, ReturnItemCollectionMetrics)] =
    &[("NONE", ReturnItemCollectionMetrics::None), ("SIZE", ReturnItemCollectionMetrics::Size)];
const RETURN_ON_FAILURE: &[(&str, ReturnValuesOnConditionCheckFailure)] = &[
    ("NONE", ReturnValuesOnConditionCheckFailure::None),
    ("ALL_OLD", ReturnValuesOnConditionCheckFailure::AllOld),
];
const CONDITIONAL_OPERATORS: &[(&str, ConditionalOperator)] =
    &[("AND", ConditionalOperator::And), ("OR", ConditionalOperator::Or)];
const COMPARISONS: &[(&str, ComparisonOperator)] = &[
    ("EQ", ComparisonOperator::Eq),
    ("NE", ComparisonOperator::Ne),
    ("IN", ComparisonOperator::In),
    ("LE", ComparisonOperator::Le),
    ("LT", ComparisonOperator::Lt),
    ("GE", ComparisonOperator::Ge),
    ("GT", ComparisonOperator::Gt),
    ("BETWEEN", ComparisonOperator::Between),
    ("NOT_NULL", ComparisonOperator::NotNull),
    ("NULL", ComparisonOperator::Null),
    ("CONTAINS", ComparisonOperator::Contains),
    ("NOT_CONTAINS", ComparisonOperator::NotContains),
    ("BEGINS_WITH", ComparisonOperator::BeginsWith),
];
const SELECTS: &[(&str, Select)] = &[
    ("ALL_ATTRIBUTES", Select::AllAttributes),
    ("ALL_PROJECTED_ATTRIBUTES", Select::AllProjectedAttributes),
    ("SPECIFIC_ATTRIBUTES", Select::SpecificAttributes),
    ("COUNT", Select::Count),
];
const ACTIONS: &[(&str, AttributeAction)] = &[
    ("ADD", AttributeAction::Add),
    ("PUT", AttributeAction::Put),
    ("DELETE", AttributeAction::Delete),
];
const KEY_TYPES: &[(&str, KeyType)] = &[("HASH", KeyType::Hash), ("RANGE", KeyType::Range)];
const SCALARS: &[(&str, ValueType)] =
    &[("S", ValueType::S), ("N", ValueType::N), ("B", ValueType::B)];
const PROJECTIONS: &[(&str, ProjectionType)] = &[
    ("ALL", ProjectionType::All),
    ("KEYS_ONLY", ProjectionType::KeysOnly),
    ("INCLUDE", ProjectionType::Include),
];
const BILLING_MODES: &[(&str, BillingMode)] =
    &[("PROVISIONED", BillingMode::Provisioned), ("PAY_PER_REQUEST", BillingMode::PayPerRequest)];
const TABLE_CLASSES: &[(&str, TableClass)] = &[
    ("STANDARD", TableClass::Standard),
    ("STANDARD_INFREQUENT_ACCESS", TableClass::StandardInfrequentAccess),
];
const VIEW_TYPES: &[(&str, StreamViewType)] = &[
    ("NEW_IMAGE", StreamViewType::NewImage),
    ("OLD_IMAGE", StreamViewType::OldImage),
    ("NEW_AND_OLD_IMAGES", StreamViewType::NewAndOldImages),
    ("KEYS_ONLY", StreamViewType::KeysOnly),
];
const ITERATOR_TYPES: &[(&str, ShardIteratorType)] = &[
    ("TRIM_HORIZON", ShardIteratorType::TrimHorizon),
    ("LATEST", ShardIteratorType::Latest),
    ("AT_SEQUENCE_NUMBER", ShardIteratorType::AtSequenceNumber),
    ("AFTER_SEQUENCE_NUMBER", ShardIteratorType::AfterSequenceNumber),
    ("AT_TIMESTAMP", ShardIteratorType::AtTimestamp),
];
const SSE_TYPES: &[(&str, SseType)] = &[("AES256", SseType::Aes256), ("KMS", SseType::Kms)];

fn expression_names(members: &mut Members<'_>) -> Option<ExpressionAttributeNames> {
    let entry = |(key, node): (Cow<'_, str>, Node<'_>)| Some((key.into_owned(), into_text(node)?));
    Some(members.map("ExpressionAttributeNames")?.into_iter().filter_map(entry).collect())
}

/// The service's text for a `null` in place of an attribute value.
const NULL_VALUE: &str = "The supplied Item contains a null AttributeValue";

/// The shapes whose wrong expression values are named.
const NAMING_VALUES: [&str; 5] = ["ScanInput", "ConditionCheck", "Put", "Delete", "Update"];

fn expression_values(members: &mut Members<'_>) -> Option<ExpressionAttributeValues> {
    // The older of the service's two layers names the placeholder of a wrong value.
    let named = NAMING_VALUES.contains(&members.shape.name);
    let name = |text: &str, key: Cow<'_, str>| {
        let shown = echo::cut(&key);
        let message =
            format!("ExpressionAttributeValues contains invalid value: {text} for key {shown}");
        Some((key.into_owned(), Err(Box::new(ServiceError::validation(message)))))
    };
    let entry = |(key, node): (Cow<'_, str>, Node<'_>)| match node {
        Node::Null => name(NULL_VALUE, key),
        Node::Value(Err(error)) if named => name(&error.message, key),
        Node::Value(value) => Some((key.into_owned(), value)),
        _ => None,
    };
    Some(members.map("ExpressionAttributeValues")?.into_iter().filter_map(entry).collect())
}

fn conditions(members: &mut Members<'_>, name: &str) -> Option<BTreeMap<String, Condition>> {
    members.structure_map(name, |mut members| Condition {
        // The operator is required and one of the known ones.
        comparison_operator: members
            .choice("ComparisonOperator", COMPARISONS)
            .unwrap_or(ComparisonOperator::Eq),
        attribute_value_list: members.values("AttributeValueList"),
    })
}

fn expected(members: &mut Members<'_>) -> Option<BTreeMap<String, ExpectedAttribute>> {
    members.structure_map("Expected", |mut members| ExpectedAttribute {
        value: members.value("Value"),
        exists: members.boolean("Exists"),
        comparison_operator: members.choice("ComparisonOperator", COMPARISONS),
        attribute_value_list: members.values("AttributeValueList"),
    })
}

fn write_options(members: &mut Members<'_>) -> WriteOptions {
    WriteOptions {
        expected: expected(members),
        conditional_operator: members.choice("ConditionalOperator", CONDITIONAL_OPERATORS),
        condition_expression: members.text("ConditionExpression"),
        expression_attribute_names: expression_names(members),
        expression_attribute_values: expression_values(members),
        return_values: members.choice("ReturnValues", RETURN_VALUES).unwrap_or_default(),
        return_consumed_capacity: return_capacity(members),
        return_item_collection_metrics: return_metrics(members),
        return_values_on_condition_check_failure: members
            .choice("ReturnValuesOnConditionCheckFailure", RETURN_ON_FAILURE)
            .unwrap_or_default(),
    }
}

fn return_capacity(members: &mut Members<'_>) -> ReturnConsumedCapacity {
    members.choice("ReturnConsumedCapacity", RETURN_CAPACITY).unwrap_or_default()
}

fn return_metrics(members: &mut Members<'_>) -> ReturnItemCollectionMetrics {
    members.choice("ReturnItemCollectionMetrics", RETURN_METRICS).unwrap_or_default()
}

fn statement(members: &mut Members<'_>) -> Statement {
    let mut given = |name| {
        let known = members.shape.members.iter().any(|member| member.name == name);
        known.then(|| members.boolean(name)).flatten()
    };
    let consistent_read = given("ConsistentRead").unwrap_or_default();
    Statement {
        text: members.required_text("Statement"),
        parameters: members.values("Parameters").unwrap_or_default(),
        consistent_read,
        return_values_on_condition_check_failure: members
            .choice("ReturnValuesOnConditionCheckFailure", RETURN_ON_FAILURE)
            .unwrap_or_default(),
    }
}

fn execute_statement(mut members: Members<'_>) -> ExecuteStatementRequest {
    ExecuteStatementRequest {
        statement: statement(&mut members),
        next_token: members.text("NextToken"),
        limit: members.unsigned("Limit"),
        return_consumed_capacity: return_capacity(&mut members),
    }
}

fn execute_transaction(mut members: Members<'_>) -> ExecuteTransactionRequest {
    let statements = members.structures("TransactStatements").unwrap_or_default();
    ExecuteTransactionRequest {
        statements: statements.into_iter().map(|mut members| statement(&mut members)).collect(),
        client_request_token: members.text("ClientRequestToken"),
        return_consumed_capacity: return_capacity(&mut members),
    }
}

fn batch_execute_statement(mut members: Members<'_>) -> BatchExecuteStatementRequest {
    let statements = members.structures("Statements").unwrap_or_default();
    BatchExecuteStatementRequest {
        statements: statements.into_iter().map(|mut members| statement(&mut members)).collect(),
        return_consumed_capacity: return_capacity(&mut members),
    }
}

fn get_item(mut members: Members<'_>) -> GetItemRequest {
    GetItemRequest {
        table_name: members.required_text("TableName"),
        key: members.item("Key"),
        attributes_to_get: members.texts("AttributesToGet"),
        consistent_read: members.boolean("ConsistentRead").unwrap_or_default(),
        return_consumed_capacity: return_capacity(&mut members),
        projection_expression: members.text("ProjectionExpression"),
        expression_attribute_names: expression_names(&mut members),
    }
}

fn put_item(mut members: Members<'_>) -> PutItemRequest {
    PutItemRequest {
        table_name: members.required_text("TableName"),
        item: members.required_encoded_item("Item"),
        options: write_options(&mut members),
    }
}

fn delete_item(mut members: Members<'_>) -> DeleteItemRequest {
    DeleteItemRequest {
        table_name: members.required_text("TableName"),
        key: members.required_item("Key"),
        options: write_options(&mut members),
    }
}

fn update_item(mut members: Members<'_>) -> UpdateItemRequest {
    UpdateItemRequest {
        table_name: members.required_text("TableName"),
        key: members.required_item("Key"),
        attribute_updates: members.structure_map("AttributeUpdates", |mut members| {
            AttributeValueUpdate {
                value: members.value("Value"),
                action: members.choice("Action", ACTIONS),
            }
        }),
        update_expression: members.text("UpdateExpression"),
        options: write_options(&mut members),
    }
}

fn read_options(members: &mut Members<'_>, filter: &str) -> ReadOptions {
    ReadOptions {
        table_name: members.required_text("TableName"),
        index_name: members.text("IndexName"),
        select: members.choice("Select", SELECTS),
        attributes_to_get: members.texts("AttributesToGet"),
        limit: members.unsigned("Limit"),
        consistent_read: members.boolean("ConsistentRead").unwrap_or_default(),
        conditional_operator: members.choice("ConditionalOperator", CONDITIONAL_OPERATORS),
        filter: conditions(members, filter),
        exclusive_start_key: members.item("ExclusiveStartKey"),
        return_consumed_capacity: return_capacity(members),
        projection_expression: members.text("ProjectionExpression"),
        filter_expression: members.text("FilterExpression"),
        expression_attribute_names: expression_names(members),
        expression_attribute_values: expression_values(members),
    }
}

fn query(mut members: Members<'_>) -> QueryRequest {
    QueryRequest {
        options: read_options(&mut members, "QueryFilter"),
        key_conditions: conditions(&mut members, "KeyConditions"),
        key_condition_expression: members.text("KeyConditionExpression"),
        scan_index_forward: members.boolean("ScanIndexForward"),
    }
}

fn scan(mut members: Members<'_>) -> ScanRequest {
    ScanRequest {
        options: read_options(&mut members, "ScanFilter"),
        total_segments: members.unsigned("TotalSegments"),
        segment: members.unsigned("Segment"),
    }
}

fn batch_get_item(mut members: Members<'_>) -> BatchGetItemRequest {
    let item = |node| match node {
        Node::Item(item) => Some(item.map(|item| item.to_item())),
        _ => None,
    };
    let request_items = members.structure_map("RequestItems", |mut members| KeysAndAttributes {
        keys: members.list("Keys").unwrap_or_default().into_iter().filter_map(item).collect(),
        attributes_to_get: members.texts("AttributesToGet"),
        consistent_read: members.boolean("ConsistentRead"),
        projection_expression: members.text("ProjectionExpression"),
        expression_attribute_names: expression_names(&mut members),
    });
    BatchGetItemRequest {
        request_items: request_items.unwrap_or_default(),
        return_consumed_capacity: return_capacity(&mut members),
    }
}

/// The service's text for a write that is neither or both; it is the text of another error.
const ONE_WRITE: &str = "Supplied AttributeValue has more than one datatypes set, must contain \
                         exactly one of the supported datatypes";

fn write_request(mut members: Members<'_>) -> WriteRequest {
    let put = members.structure("PutRequest").map(|mut put| put.required_encoded_item("Item"));
    let delete = members.structure("DeleteRequest").map(|mut delete| delete.required_item("Key"));
    match (put, delete) {
        (Some(item), None) => WriteRequest::Put(item),
        (None, Some(key)) => WriteRequest::Delete(key),
        _ => WriteRequest::Malformed(Box::new(ServiceError::validation(ONE_WRITE))),
    }
}

fn batch_write_item<'a>(mut members: Members<'a>) -> BatchWriteItemRequest {
    let shape = members.inner_shape("RequestItems");
    let write = |node: Node<'a>| match (node, shape) {
        (Node::Structure(nodes), Some(shape)) => Some(write_request(Members { shape, nodes })),
        _ => None,
    };
    let entry = |(table, node): (Cow<'a, str>, Node<'a>)| match node {
        Node::List(nodes) => {
            Some((table.into_owned(), nodes.into_iter().filter_map(write).collect()))
        }
        _ => None,
    };
    let tables = members.map("RequestItems").unwrap_or_default();
    BatchWriteItemRequest {
        request_items: tables.into_iter().filter_map(entry).collect(),
        return_consumed_capacity: return_capacity(&mut members),
        return_item_collection_metrics: return_metrics(&mut members),
    }
}

/// The service's text for an action that is none of the four.
const NO_ACTION: &str =
    "Invalid Request: TransactWriteRequest should contain Delete or Put or Update request";
/// The service's text for an action that is several of the four.
const SEVERAL_ACTIONS: &str = "TransactItems can only contain one of Check, Put, Update or Delete";

fn transact_write_item(mut members: Members<'_>) -> Parsed<TransactWriteItem> {
    use TransactWriteKind::{ConditionCheck, Delete, Put, Update};
    let names =
        [("ConditionCheck", ConditionCheck), ("Put", Put), ("Delete", Delete), ("Update", Update)];
    let mut given = names
        .into_iter()
        .filter_map(|(name, kind)| Some((kind, members.structure(name)?)))
        .collect::<Vec<_>>()
        .into_iter();
    match (given.next(), given.next()) {
        (None, _) => Err(Box::new(ServiceError::validation(NO_ACTION))),
        (Some(_), Some(_)) => Err(Box::new(ServiceError::validation(SEVERAL_ACTIONS))),
        (Some((kind, mut members)), None) => Ok(TransactWriteItem {
            kind,
            table_name: members.required_text("TableName"),
            item: members.required_encoded_item(if kind == Put { "Item" } else { "Key" }),
            update_expression: (kind == Update).then(|| members.text("UpdateExpression")).flatten(),
            condition_expression: members.text("ConditionExpression"),
            expression_attribute_names: expression_names(&mut members),
            expression_attribute_values: expression_values(&mut members),
            return_values_on_condition_check_failure: members
                .choice("ReturnValuesOnConditionCheckFailure", RETURN_ON_FAILURE)
                .unwrap_or_default(),
        }),
    }
}

fn transact_write_items(mut members: Members<'_>) -> TransactWriteItemsRequest {
    let items = members.structures("TransactItems").unwrap_or_default();
    TransactWriteItemsRequest {
        transact_items: items.into_iter().map(transact_write_item).collect(),
        return_consumed_capacity: return_capacity(&mut members),
        return_item_collection_metrics: return_metrics(&mut members),
        client_request_token: members.text("ClientRequestToken"),
    }
}

fn transact_get_items(mut members: Members<'_>) -> TransactGetItemsRequest {
    let get = |mut members: Members<'_>| {
        let mut get = members.structure("Get")?;
        Some(TransactGetItem {
            table_name: get.required_text("TableName"),
            key: get.required_item("Key"),
            projection_expression: get.text("ProjectionExpression"),
            expression_attribute_names: expression_names(&mut get),
        })
    };
    let items = members.structures("TransactItems").unwrap_or_default();
    TransactGetItemsRequest {
        transact_items: items.into_iter().filter_map(get).collect(),
        return_consumed_capacity: return_capacity(&mut members),
    }
}

fn attribute_definitions(members: &mut Members<'_>) -> Option<Vec<AttributeDefinition>> {
    let definition = |mut members: Members<'_>| {
        Some(AttributeDefinition {
            attribute_name: members.text("AttributeName")?,
            attribute_type: members.choice("AttributeType", SCALARS)?,
        })
    };
    let definitions = members.structures("AttributeDefinitions")?;
    Some(definitions.into_iter().filter_map(definition).collect())
}

fn key_schema(members: &mut Members<'_>) -> Option<Vec<KeySchemaElement>> {
    let element = |mut members: Members<'_>| {
        Some(KeySchemaElement {
            attribute_name: members.text("AttributeName")?,
            key_type: members.choice("KeyType", KEY_TYPES)?,
        })
    };
    Some(members.structures("KeySchema")?.into_iter().filter_map(element).collect())
}

fn projection(members: &mut Members<'_>) -> Projection {
    let Some(mut members) = members.structure("Projection") else {
        return Projection::default();
    };
    Projection {
        projection_type: members.choice("ProjectionType", PROJECTIONS),
        non_key_attributes: members.texts("NonKeyAttributes"),
    }
}

fn provisioned(members: &mut Members<'_>) -> Option<ProvisionedThroughput> {
    let mut members = members.structure("ProvisionedThroughput")?;
    let mut units = |name| members.integer(name).and_then(|units| u64::try_from(units).ok());
    Some(ProvisionedThroughput {
        read_capacity_units: units("ReadCapacityUnits").unwrap_or_default(),
        write_capacity_units: units("WriteCapacityUnits").unwrap_or_default(),
    })
}

fn on_demand(members: &mut Members<'_>) -> Option<OnDemandThroughput> {
    let mut members = members.structure("OnDemandThroughput")?;
    Some(OnDemandThroughput {
        max_read_request_units: members.integer("MaxReadRequestUnits"),
        max_write_request_units: members.integer("MaxWriteRequestUnits"),
    })
}

fn warm(members: &mut Members<'_>) -> Option<WarmThroughput> {
    let mut members = members.structure("WarmThroughput")?;
    Some(WarmThroughput {
        read_units_per_second: members.integer("ReadUnitsPerSecond"),
        write_units_per_second: members.integer("WriteUnitsPerSecond"),
    })
}

fn stream(members: &mut Members<'_>) -> Option<StreamSpecification> {
    let mut members = members.structure("StreamSpecification")?;
    Some(StreamSpecification {
        stream_enabled: members.boolean("StreamEnabled").unwrap_or_default(),
        stream_view_type: members.choice("StreamViewType", VIEW_TYPES),
    })
}

fn encryption(members: &mut Members<'_>) -> Option<SseSpecification> {
    let mut members = members.structure("SSESpecification")?;
    Some(SseSpecification {
        enabled: members.boolean("Enabled"),
        sse_type: members.choice("SSEType", SSE_TYPES),
        kms_master_key_id: members.text("KMSMasterKeyId"),
    })
}

fn tags(members: &mut Members<'_>) -> Option<Vec<GivenTag>> {
    let tag = |mut members: Members<'_>| GivenTag {
        key: members.text("Key"),
        value: members.text("Value"),
    };
    Some(members.structures("Tags")?.into_iter().map(tag).collect())
}

fn global_index(mut members: Members<'_>) -> GlobalSecondaryIndex {
    GlobalSecondaryIndex {
        index_name: members.required_text("IndexName"),
        key_schema: key_schema(&mut members).unwrap_or_default(),
        projection: projection(&mut members),
        provisioned_throughput: provisioned(&mut members),
        on_demand_throughput: on_demand(&mut members),
        warm_throughput: warm(&mut members),
    }
}

fn local_index(mut members: Members<'_>) -> LocalSecondaryIndex {
    LocalSecondaryIndex {
        index_name: members.required_text("IndexName"),
        key_schema: key_schema(&mut members).unwrap_or_default(),
        projection: projection(&mut members),
    }
}

fn create_table(mut members: Members<'_>) -> CreateTableRequest {
    let members = &mut members;
    let local = members.structures("LocalSecondaryIndexes");
    let global = members.structures("GlobalSecondaryIndexes");
    CreateTableRequest {
        table_name: members.required_text("TableName"),
        attribute_definitions: attribute_definitions(members),
        key_schema: key_schema(members),
        local_secondary_indexes: local
            .map(|indexes| indexes.into_iter().map(local_index).collect()),
        global_secondary_indexes: global
            .map(|indexes| indexes.into_iter().map(global_index).collect()),
        billing_mode: members.choice("BillingMode", BILLING_MODES),
        provisioned_throughput: provisioned(members),
        stream_specification: stream(members),
        sse_specification: encryption(members),
        tags: tags(members),
        table_class: members.choice("TableClass", TABLE_CLASSES),
        deletion_protection_enabled: members.boolean("DeletionProtectionEnabled"),
        on_demand_throughput: on_demand(members),
        warm_throughput: warm(members),
        unsupported: members.first_given(&[
            "ResourcePolicy",
            "GlobalTableSourceArn",
            "GlobalTableSettingsReplicationMode",
            "VectorIndexes",
        ]),
    }
}

fn index_update(mut members: Members<'_>) -> GlobalSecondaryIndexUpdate {
    GlobalSecondaryIndexUpdate {
        create: members.structure("Create").map(global_index),
        update: members.structure("Update").map(|mut members| UpdateGlobalSecondaryIndex {
            index_name: members.required_text("IndexName"),
            provisioned_throughput: provisioned(&mut members),
            on_demand_throughput: on_demand(&mut members),
            warm_throughput: warm(&mut members),
        }),
        delete: members.structure("Delete").map(|mut members| members.required_text("IndexName")),
    }
}

fn update_table(mut members: Members<'_>) -> UpdateTableRequest {
    let members = &mut members;
    let updates = members.structures("GlobalSecondaryIndexUpdates");
    UpdateTableRequest {
        table_name: members.required_text("TableName"),
        attribute_definitions: attribute_definitions(members),
        billing_mode: members.choice("BillingMode", BILLING_MODES),
        provisioned_throughput: provisioned(members),
        global_secondary_index_updates: updates
            .map(|updates| updates.into_iter().map(index_update).collect()),
        stream_specification: stream(members),
        sse_specification: encryption(members),
        table_class: members.choice("TableClass", TABLE_CLASSES),
        deletion_protection_enabled: members.boolean("DeletionProtectionEnabled"),
        on_demand_throughput: on_demand(members),
        warm_throughput: warm(members),
        unsupported: members.first_given(&[
            "ReplicaUpdates",
            "MultiRegionConsistency",
            "GlobalTableWitnessUpdates",
            "GlobalTableSettingsReplicationMode",
            "DisassociationProtectionEnabled",
            "VectorIndexUpdates",
        ]),
    }
}

fn describe_table(mut members: Members<'_>) -> DescribeTableRequest {
    DescribeTableRequest { table_name: members.required_text("TableName") }
}

fn delete_table(mut members: Members<'_>) -> DeleteTableRequest {
    DeleteTableRequest { table_name: members.required_text("TableName") }
}

fn list_tables(mut members: Members<'_>) -> ListTablesRequest {
    ListTablesRequest {
        exclusive_start_table_name: members.text("ExclusiveStartTableName"),
        limit: members.unsigned("Limit"),
    }
}

fn describe_time_to_live(mut members: Members<'_>) -> DescribeTimeToLiveRequest {
    DescribeTimeToLiveRequest { table_name: members.required_text("TableName") }
}

fn update_time_to_live(mut members: Members<'_>) -> UpdateTimeToLiveRequest {
    UpdateTimeToLiveRequest {
        table_name: members.required_text("TableName"),
        specification: members
            .structure("TimeToLiveSpecification")
            .map(|mut members| TimeToLiveSpecification {
                enabled: members.boolean("Enabled").unwrap_or_default(),
                attribute_name: members.required_text("AttributeName"),
            })
            .unwrap_or_default(),
    }
}

fn tag_resource(mut members: Members<'_>) -> TagResourceRequest {
    TagResourceRequest {
        resource_arn: members.required_text("ResourceArn"),
        tags: tags(&mut members).unwrap_or_default(),
    }
}

fn untag_resource(mut members: Members<'_>) -> UntagResourceRequest {
    UntagResourceRequest {
        resource_arn: members.required_text("ResourceArn"),
        tag_keys: members.texts("TagKeys").unwrap_or_default(),
    }
}

fn list_tags_of_resource(mut members: Members<'_>) -> ListTagsOfResourceRequest {
    ListTagsOfResourceRequest {
        resource_arn: members.required_text("ResourceArn"),
        next_token: members.text("NextToken"),
    }
}

fn list_streams(mut members: Members<'_>) -> ListStreamsRequest {
    ListStreamsRequest {
        table_name: members.text("TableName"),
        limit: members.unsigned("Limit"),
        exclusive_start_stream_arn: members.text("ExclusiveStartStreamArn"),
    }
}

fn describe_stream(mut members: Members<'_>) -> DescribeStreamRequest {
    let filter = members.structure("ShardFilter");
    DescribeStreamRequest {
        stream_arn: members.required_text("StreamArn"),
        limit: members.unsigned("Limit"),
        exclusive_start_shard_id: members.text("ExclusiveStartShardId"),
        child_shards_of: filter
            .filter(|filter| !filter.nodes.iter().all(|node| matches!(node, Node::Null)))
            .map(|mut filter| ChildShards { shard_id: filter.text("ShardId") }),
    }
}

fn get_shard_iterator(mut members: Members<'_>) -> GetShardIteratorRequest {
    GetShardIteratorRequest {
        stream_arn: members.required_text("StreamArn"),
        shard_id: members.required_text("ShardId"),
        // The type is required and one of the known ones.
        shard_iterator_type: members
            .choice("ShardIteratorType", ITERATOR_TYPES)
            .unwrap_or(ShardIteratorType::TrimHorizon),
        sequence_number: members.text("SequenceNumber"),
        timestamp_ms: members.integer("Timestamp"),
    }
}

fn get_records(mut members: Members<'_>) -> GetRecordsRequest {
    GetRecordsRequest {
        shard_iterator: members.required_text("ShardIterator"),
        limit: members.unsigned("Limit"),
    }
}
