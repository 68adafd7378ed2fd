//! What responses and errors look like on the wire, to the byte.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::collections::BTreeMap;

use bytes::Bytes;
use zenobe_model::capacity::{CapacityDetail, ConsumedCapacity, HalfUnits};
use zenobe_model::codec::ItemHeader;
use zenobe_model::error::Detail;
use zenobe_model::operation::*;
use zenobe_model::value::{AttributeValue, Item, ValueType};
use zenobe_model::{EncodedItem, ErrorCode, Number, ServiceError};

fn number(digits: &str) -> Number {
    Number::parse(digits).unwrap()
}

fn item() -> Item {
    Item::from([
        ("b".to_owned(), AttributeValue::B(Bytes::from_static(&[0, 255, 16]))),
        ("bs".to_owned(), AttributeValue::Bs(vec![Bytes::from_static(b"hi")])),
        ("l".to_owned(), AttributeValue::L(vec![AttributeValue::Null, AttributeValue::L(vec![])])),
        (
            "m".to_owned(),
            AttributeValue::M(Item::from([("\"q\"\n".to_owned(), AttributeValue::Bool(true))])),
        ),
        ("n".to_owned(), AttributeValue::N(number("-0.50"))),
        ("ns".to_owned(), AttributeValue::Ns(vec![number("1"), number("1e20")])),
        ("s".to_owned(), AttributeValue::S("é\u{1}\\/\t".to_owned())),
        ("ss".to_owned(), AttributeValue::Ss(vec!["x".to_owned(), "y".to_owned()])),
    ])
}

const ITEM_JSON: &str = concat!(
    r#"{"b":{"B":"AP8Q"},"bs":{"BS":["aGk="]},"l":{"L":[{"NULL":true},{"L":[]}]},"#,
    r#""m":{"M":{"\"q\"\n":{"BOOL":true}}},"n":{"N":"-0.5"},"#,
    r#""ns":{"NS":["1","100000000000000000000"]},"s":{"S":"é\u0001\\/\t"},"ss":{"SS":["x","y"]}}"#,
);

fn encoded(item: &Item) -> EncodedItem {
    EncodedItem::encode(item, ItemHeader::default())
}

fn check(response: Response, expected: &str) {
    let mut out = Vec::new();
    zenobe_wire::encode(&response, &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

fn key() -> Item {
    Item::from([("id".to_owned(), AttributeValue::S("x".to_owned()))])
}

#[test]
fn items_are_written_from_their_bytes() {
    let response = GetItemResponse { item: Some(encoded(&item())), consumed_capacity: None };
    check(Response::GetItem(response), &format!(r#"{{"Item":{ITEM_JSON}}}"#));
    check(Response::GetItem(GetItemResponse::default()), "{}");
}

#[test]
fn what_is_written_is_read_back() {
    let body = format!(r#"{{"TableName":"abc","Item":{ITEM_JSON}}}"#);
    let Ok(Request::PutItem(request)) = zenobe_wire::decode(Operation::PutItem, body.as_bytes())
    else {
        panic!()
    };
    assert_eq!(request.item, Ok(encoded(&item())));
}

#[test]
fn capacity_is_written_with_a_point() {
    let detail = CapacityDetail {
        table: HalfUnits(2),
        local_secondary_indexes: BTreeMap::new(),
        global_secondary_indexes: BTreeMap::from([("gsi".to_owned(), HalfUnits(1))]),
    };
    let consumed_capacity = Some(ConsumedCapacity {
        direction: None,
        table_name: "films".to_owned(),
        total: HalfUnits(3),
        detail: Some(detail),
    });
    let response = ReadItemsResponse {
        items: Some(vec![encoded(&key()), encoded(&key())]),
        count: 2,
        scanned_count: 5,
        last_evaluated_key: Some(key()),
        consumed_capacity,
    };
    let expected = concat!(
        r#"{"ConsumedCapacity":{"CapacityUnits":1.5,"GlobalSecondaryIndexes":{"gsi":"#,
        r#"{"CapacityUnits":0.5}},"Table":{"CapacityUnits":1.0},"TableName":"films"},"Count":2,"#,
        r#""Items":[{"id":{"S":"x"}},{"id":{"S":"x"}}],"LastEvaluatedKey":{"id":{"S":"x"}},"#,
        r#""ScannedCount":5}"#,
    );
    check(Response::Query(response.clone()), expected);
    check(Response::Scan(response), expected);
    let counted = ReadItemsResponse { count: 1, scanned_count: 1, ..Default::default() };
    check(Response::Scan(counted), r#"{"Count":1,"ScannedCount":1}"#);
}

#[test]
fn writes_answer_with_what_was_asked_for() {
    check(Response::PutItem(WriteItemResponse::default()), "{}");
    let response = WriteItemResponse {
        attributes: Some(encoded(&key())),
        consumed_capacity: None,
        item_collection_metrics: Some(ItemCollectionMetrics {
            item_collection_key: key(),
            size_estimate_range_gb: (0.0, 1.0),
        }),
    };
    check(
        Response::UpdateItem(response),
        concat!(
            r#"{"Attributes":{"id":{"S":"x"}},"ItemCollectionMetrics":{"ItemCollectionKey":"#,
            r#"{"id":{"S":"x"}},"SizeEstimateRangeGB":[0.0,1.0]}}"#,
        ),
    );
}

#[test]
fn batches_always_name_what_is_left() {
    check(
        Response::BatchGetItem(BatchGetItemResponse::default()),
        r#"{"Responses":{},"UnprocessedKeys":{}}"#,
    );
    check(
        Response::BatchWriteItem(BatchWriteItemResponse::default()),
        r#"{"UnprocessedItems":{}}"#,
    );
    let keys = KeysAndAttributes {
        keys: vec![Ok(key())],
        consistent_read: Some(true),
        projection_expression: Some("#a".to_owned()),
        expression_attribute_names: Some(BTreeMap::from([("#a".to_owned(), "a".to_owned())])),
        attributes_to_get: None,
    };
    check(
        Response::BatchGetItem(BatchGetItemResponse {
            responses: BTreeMap::from([("films".to_owned(), vec![encoded(&key())])]),
            unprocessed_keys: BTreeMap::from([("films".to_owned(), keys)]),
            consumed_capacity: Some(vec![ConsumedCapacity::default()]),
        }),
        concat!(
            r#"{"ConsumedCapacity":[{"CapacityUnits":0.0,"TableName":""}],"#,
            r#""Responses":{"films":[{"id":{"S":"x"}}]},"UnprocessedKeys":{"films":"#,
            r##"{"ConsistentRead":true,"ExpressionAttributeNames":{"#a":"a"},"##,
            r##""Keys":[{"id":{"S":"x"}}],"ProjectionExpression":"#a"}}}"##,
        ),
    );
    let requests = vec![WriteRequest::Put(Ok(encoded(&key()))), WriteRequest::Delete(Ok(key()))];
    check(
        Response::BatchWriteItem(BatchWriteItemResponse {
            unprocessed_items: BTreeMap::from([("films".to_owned(), requests)]),
            ..Default::default()
        }),
        concat!(
            r#"{"UnprocessedItems":{"films":[{"PutRequest":{"Item":{"id":{"S":"x"}}}},"#,
            r#"{"DeleteRequest":{"Key":{"id":{"S":"x"}}}}]}}"#,
        ),
    );
}

fn table() -> TableDescription {
    TableDescription {
        attribute_definitions: vec![AttributeDefinition {
            attribute_name: "id".to_owned(),
            attribute_type: ValueType::S,
        }],
        table_name: "films".to_owned(),
        key_schema: vec![KeySchemaElement {
            attribute_name: "id".to_owned(),
            key_type: KeyType::Hash,
        }],
        table_status: ResourceStatus::Active,
        creation_ms: Some(1_421_866_952_062),
        provisioned_throughput: ProvisionedThroughputDescription::default(),
        table_size_bytes: 0,
        item_count: 0,
        table_arn: "arn".to_owned(),
        table_id: "uuid".to_owned(),
        billing_mode_summary: Some(BillingModeSummary {
            billing_mode: BillingMode::PayPerRequest,
            last_update_to_pay_per_request_ms: Some(1_421_866_952_000),
        }),
        local_secondary_indexes: Vec::new(),
        global_secondary_indexes: Vec::new(),
        stream_specification: None,
        latest_stream_label: None,
        latest_stream_arn: None,
        sse_description: None,
        table_class_summary: None,
        deletion_protection_enabled: false,
        on_demand_throughput: None,
        warm_throughput: Some(WarmThroughputDescription {
            read_units_per_second: 12000,
            write_units_per_second: 4000,
            status: ResourceStatus::Active,
        }),
    }
}

const TABLE_JSON: &str = concat!(
    r#"{"AttributeDefinitions":[{"AttributeName":"id","AttributeType":"S"}],"TableName":"films","#,
    r#""KeySchema":[{"AttributeName":"id","KeyType":"HASH"}],"TableStatus":"ACTIVE","#,
    r#""CreationDateTime":1.421866952062E9,"ProvisionedThroughput":{"NumberOfDecreasesToday":0,"#,
    r#""ReadCapacityUnits":0,"WriteCapacityUnits":0},"TableSizeBytes":0,"ItemCount":0,"#,
    r#""TableArn":"arn","TableId":"uuid","BillingModeSummary":{"BillingMode":"PAY_PER_REQUEST","#,
    r#""LastUpdateToPayPerRequestDateTime":1.421866952E9},"DeletionProtectionEnabled":false,"#,
    r#""WarmThroughput":{"ReadUnitsPerSecond":12000,"WriteUnitsPerSecond":4000,"#,
    r#""Status":"ACTIVE"}}"#,
);

#[test]
fn tables_are_described_without_what_they_lack() {
    check(Response::DescribeTable(table()), &format!(r#"{{"Table":{TABLE_JSON}}}"#));
    let wrapped = format!(r#"{{"TableDescription":{TABLE_JSON}}}"#);
    check(Response::CreateTable(table()), &wrapped);
    check(Response::UpdateTable(table()), &wrapped);
    check(Response::DeleteTable(table()), &wrapped);
}

#[test]
fn indexes_are_described() {
    let throughput = ProvisionedThroughputDescription {
        last_increase_ms: Some(5_000),
        read_capacity_units: 3,
        write_capacity_units: 4,
        ..Default::default()
    };
    let index = GlobalSecondaryIndexDescription {
        index_name: "gsi".to_owned(),
        key_schema: table().key_schema,
        projection: Projection {
            projection_type: Some(ProjectionType::Include),
            non_key_attributes: Some(vec!["x".to_owned()]),
        },
        index_status: ResourceStatus::Creating,
        backfilling: Some(true),
        provisioned_throughput: throughput,
        index_size_bytes: 1,
        item_count: 2,
        index_arn: "a".to_owned(),
        on_demand_throughput: None,
        warm_throughput: None,
    };
    let mut out = Vec::new();
    let table = TableDescription { global_secondary_indexes: vec![index], ..table() };
    zenobe_wire::encode(&Response::DescribeTable(table), &mut out);
    let text = String::from_utf8(out).unwrap();
    let expected = concat!(
        r#""GlobalSecondaryIndexes":[{"IndexName":"gsi","KeySchema":[{"AttributeName":"id","#,
        r#""KeyType":"HASH"}],"Projection":{"ProjectionType":"INCLUDE","NonKeyAttributes":["x"]},"#,
        r#""IndexStatus":"CREATING","Backfilling":true,"ProvisionedThroughput":"#,
        r#"{"LastIncreaseDateTime":5.0,"NumberOfDecreasesToday":0,"ReadCapacityUnits":3,"#,
        r#""WriteCapacityUnits":4},"IndexSizeBytes":1,"ItemCount":2,"IndexArn":"a"}]"#,
    );
    assert!(text.contains(expected), "{text}");
}

#[test]
fn the_small_answers_are_whole() {
    check(Response::ListTables(ListTablesResponse::default()), r#"{"TableNames":[]}"#);
    check(
        Response::ListTables(ListTablesResponse {
            table_names: vec!["a".to_owned()],
            last_evaluated_table_name: Some("a".to_owned()),
        }),
        r#"{"LastEvaluatedTableName":"a","TableNames":["a"]}"#,
    );
    check(
        Response::ListTagsOfResource(ListTagsOfResourceResponse {
            tags: vec![Tag { key: "k".to_owned(), value: "v".to_owned() }],
            next_token: None,
        }),
        r#"{"Tags":[{"Key":"k","Value":"v"}]}"#,
    );
    check(Response::TagResource, "");
    check(
        Response::DescribeTimeToLive(TimeToLiveDescription::default()),
        r#"{"TimeToLiveDescription":{"TimeToLiveStatus":"DISABLED"}}"#,
    );
    check(
        Response::DescribeTimeToLive(TimeToLiveDescription {
            status: TimeToLiveStatus::Enabled,
            attribute_name: Some("ttl".to_owned()),
        }),
        r#"{"TimeToLiveDescription":{"TimeToLiveStatus":"ENABLED","AttributeName":"ttl"}}"#,
    );
    check(
        Response::UpdateTimeToLive(TimeToLiveSpecification {
            enabled: true,
            attribute_name: "ttl".to_owned(),
        }),
        r#"{"TimeToLiveSpecification":{"Enabled":true,"AttributeName":"ttl"}}"#,
    );
    check(
        Response::DescribeEndpoints(DescribeEndpointsResponse {
            address: "host".to_owned(),
            cache_period_minutes: 1440,
        }),
        r#"{"Endpoints":[{"Address":"host","CachePeriodInMinutes":1440}]}"#,
    );
}

fn check_error(error: &ServiceError, expected: &str) {
    let mut out = Vec::new();
    zenobe_wire::encode_error(error, &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn errors_carry_type_text_and_item() {
    check_error(
        &ServiceError::validation("a \"b\""),
        r#"{"__type":"com.amazon.coral.validate#ValidationException","message":"a \"b\""}"#,
    );
    check_error(
        &ServiceError::new(ErrorCode::Serialization, "x"),
        r#"{"__type":"com.amazon.coral.service#SerializationException","Message":"x"}"#,
    );
    check_error(
        &ServiceError {
            code: ErrorCode::ConditionalCheckFailed,
            message: "The conditional request failed".to_owned(),
            detail: Detail::Item(encoded(&key())),
        },
        concat!(
            r#"{"__type":"com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException","#,
            r#""Item":{"id":{"S":"x"}},"message":"The conditional request failed"}"#,
        ),
    );
}

/// The checksums are those that the service is known to send with these bodies.
#[test]
fn errors_without_a_text_have_the_known_checksums() {
    for (error, checksum) in [
        (zenobe_wire::decode(Operation::GetItem, b"hi").unwrap_err(), 3_948_637_019),
        (zenobe_wire::parse_target("DynamoDB_20120810.ListTable").unwrap_err(), 1_368_724_161),
        (zenobe_wire::parse_target("whatever").unwrap_err(), 1_368_724_161),
    ] {
        let mut out = Vec::new();
        zenobe_wire::encode_error(&error, &mut out);
        assert_eq!(zenobe_wire::crc32(&out), checksum);
    }
}

#[test]
fn a_cancelled_transaction_lists_a_reason_for_each_action() {
    let mut failed = ServiceError::new(ErrorCode::ConditionalCheckFailed, "no");
    failed.detail = Detail::Item(encoded(&key()));
    let conflict = ServiceError::new(ErrorCode::TransactionConflict, "busy");
    let error = ServiceError::cancelled(vec![None, Some(failed), Some(conflict)]);
    let mut out = Vec::new();
    zenobe_wire::encode_error(&error, &mut out);
    let expected = concat!(
        r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","#,
        r#""CancellationReasons":[{"Code":"None"},{"Code":"ConditionalCheckFailed","#,
        r#""Item":{"id":{"S":"x"}},"Message":"no"},{"Code":"TransactionConflict","Message":"busy"}],"#,
        r#""Message":"Transaction cancelled, please refer cancellation reasons for specific reasons "#,
        r#"[None, ConditionalCheckFailed, TransactionConflict]"}"#,
    );
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}
