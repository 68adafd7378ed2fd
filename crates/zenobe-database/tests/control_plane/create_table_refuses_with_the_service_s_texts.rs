//! What CreateTable refuses, and how it says so.

use super::support::*;
use zenobe_database::Database;
use zenobe_model::ErrorCode;
use zenobe_model::operation::*;

const PREFIX: &str = "One or more parameter values were invalid: ";

async fn check(db: &Database, request: CreateTableRequest, expected: &str) {
    let found = message(create_table(db, request).await);
    let expected = expected.replace("…", PREFIX);
    assert_eq!(found, expected);
    assert!(list(db, None, None).await.table_names.is_empty());
}

#[tokio::test]
async fn keys_and_definitions() {
    let db = open(&engine().await).await;
    let cases = [
        ("pk:S", "H:pk R:pk", "Invalid KeySchema: Some index key attribute have no definition"),
        ("", "H:pk", "Invalid KeySchema: Some index key attribute have no definition"),
        (
            "pk:S sk:S",
            "H:pk R:pk",
            "Both the Hash Key and the Range Key element in the KeySchema have the same name",
        ),
        (
            "pk:S sk:S",
            "R:sk H:pk",
            "Invalid KeySchema: The first KeySchemaElement is not a HASH key type",
        ),
        (
            "pk:S sk:S",
            "H:pk H:sk",
            "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type",
        ),
        (
            "sk:S other:S",
            "H:pk R:sk",
            "…Some index key attributes are not defined in AttributeDefinitions. Keys: [sk, pk], AttributeDefinitions: [sk, other]",
        ),
        (
            "pk:S extra:S",
            "H:pk",
            "…Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions",
        ),
        ("pk:S pk:N", "H:pk", "Attribute Name is duplicated: pk"),
    ];
    for (defined, schema, expected) in cases {
        check(&db, create("Music", defined, schema), expected).await;
    }
}

/// As many as fit in a request: a check that takes quadratic time does not end while one waits.
#[tokio::test]
async fn many_definitions_and_indexes() {
    const MANY: usize = 200_000;
    let db = open(&engine().await).await;
    let define = |name: String| AttributeDefinition {
        attribute_name: name,
        attribute_type: zenobe_model::value::ValueType::S,
    };
    let attributes: Vec<_> = (0..MANY).map(|ordinal| define(format!("a{ordinal}"))).collect();
    let base = || CreateTableRequest {
        attribute_definitions: Some(attributes.clone()),
        ..create("Music", "", "H:a0")
    };
    let unused = "…Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions";
    check(&db, base(), unused).await;

    // Each is looked up, the last is unknown: all are printed.
    let index = |ordinal: usize| gsi("Idx", &format!("H:a{ordinal}"), "ALL");
    let with_indexes = |indexes: std::ops::RangeInclusive<usize>| CreateTableRequest {
        global_secondary_indexes: Some(indexes.map(index).collect()),
        ..base()
    };
    let error = message(create_table(&db, with_indexes(1..=MANY)).await);
    let begin = "…Some index key attributes are not defined in AttributeDefinitions. Keys: [a200000], AttributeDefinitions: [";
    let names = error.strip_prefix(&begin.replace('…', PREFIX)).unwrap();
    assert_eq!(names.split(", ").count(), MANY);

    // All but one are used.
    let error = message(create_table(&db, with_indexes(2..=MANY - 1)).await);
    let begin = "…Some AttributeDefinitions are not used. AttributeDefinitions: [";
    let names = error.strip_prefix(&begin.replace('…', PREFIX)).unwrap();
    assert_eq!(names.split(", ").count(), 2 * MANY - 1);

    // All are used, which leaves their number.
    let named = |ordinal: usize| gsi(&format!("Idx{ordinal}"), &format!("H:a{ordinal}"), "ALL");
    let request = CreateTableRequest {
        global_secondary_indexes: Some((0..MANY).map(named).collect()),
        ..base()
    };
    check(&db, request, "…GlobalSecondaryIndex count exceeds the per-table limit of 20").await;
}

#[tokio::test]
async fn local_indexes() {
    let db = open(&engine().await).await;
    let cases = [
        (
            "H:pk",
            vec![lsi("Idx", "H:pk R:sk", "ALL")],
            "…Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex",
        ),
        ("H:pk R:sk", vec![], "…List of LocalSecondaryIndexes is empty"),
        (
            "H:pk R:sk",
            vec![lsi("Idx", "H:pk", "ALL")],
            "…Index KeySchema does not have a range key for index: Idx",
        ),
        (
            "H:pk R:sk",
            vec![lsi("Idx", "H:sk R:pk", "ALL")],
            "…Index KeySchema does not have the same leading hash key as table KeySchema for index: Idx. index hash key: sk, table hash key: pk",
        ),
        ("H:pk R:sk", vec![lsi("Idx", "H:pk R:sk", "")], "…Unknown ProjectionType: null"),
        (
            "H:pk R:sk",
            vec![lsi("Idx", "H:pk R:sk", "ALL x")],
            "…ProjectionType is ALL, but NonKeyAttributes is specified",
        ),
        (
            "H:pk R:sk",
            vec![lsi("Idx", "H:pk R:sk", "ALL"), lsi("Idx", "H:pk R:sk", "ALL")],
            "…Duplicate index name: Idx",
        ),
        (
            "H:pk R:sk",
            (0..6).map(|n| lsi(&format!("Idx{n}"), "H:pk R:sk", "ALL")).collect(),
            "…Number of LocalSecondaryIndexes exceeds per-table limit of 5",
        ),
    ];
    for (schema, indexes, expected) in cases {
        let mut request = create("Music", "pk:S sk:S", schema);
        request.local_secondary_indexes = Some(indexes);
        check(&db, request, expected).await;
    }
}

#[tokio::test]
async fn global_indexes() {
    let db = open(&engine().await).await;
    let many: Vec<_> = (0..21).map(|n| gsi(&format!("Idx{n}"), "H:a", "ALL")).collect();
    let names: Vec<String> = (0..20).map(|n| format!("n{n}")).collect();
    let include = format!("INCLUDE {}", names.join(" "));
    let projected: Vec<_> = (0..6).map(|n| gsi(&format!("Idx{n}"), "H:a", &include)).collect();
    let cases = [
        ("pk:S a:S", vec![], "…List of GlobalSecondaryIndexes is empty"),
        (
            "pk:S sk:S",
            vec![gsi("Idx", "H:q", "ALL")],
            "…Some index key attributes are not defined in AttributeDefinitions. Keys: [q], AttributeDefinitions: [sk, pk]",
        ),
        (
            "pk:S sk:S a:S b:S c:S",
            vec![gsi("Idx", "H:a R:sk", "")],
            "…Some AttributeDefinitions are not used. AttributeDefinitions: [sk, a, b, pk, c], keys used: [a, sk, pk]",
        ),
        (
            "pk:S a:S",
            vec![gsi("Idx", "R:a H:pk", "ALL")],
            "Invalid KeySchema: The first KeySchemaElement is not a HASH key type",
        ),
        (
            "pk:S a:S b:S",
            vec![gsi("Idx", "H:a R:b H:pk", "ALL")],
            "…All HASH key attributes must precede RANGE key attributes in the KeySchema",
        ),
        (
            "pk:S a:S",
            vec![gsi("Idx", "H:a H:pk R:a", "ALL")],
            "The KeySchema contains multiple key attributes with the same name",
        ),
        (
            "pk:S a:S b:S c:S d:S",
            vec![gsi("Idx", "H:a H:b H:c H:d H:pk", "ALL")],
            "…The KeySchema exceeds the maximum allowed number of HASH key attributes",
        ),
        (
            "pk:S a:S",
            vec![gsi("Idx", "H:a", "INCLUDE")],
            "…ProjectionType is INCLUDE, but NonKeyAttributes is not specified",
        ),
        (
            "pk:S a:S",
            vec![gsi("Idx", "H:a", "INCLUDE x x")],
            "…Duplicate element in NonKeyAttributes: x",
        ),
        ("pk:S a:S", many, "…GlobalSecondaryIndex count exceeds the per-table limit of 20"),
        (
            "pk:S a:S",
            projected,
            "…Number of NonKeyAttributes across all secondary indexes exceeds per-table limit of 100",
        ),
    ];
    for (defined, indexes, expected) in cases {
        let schema =
            if defined.contains("sk") && !defined.contains('a') { "H:pk R:sk" } else { "H:pk" };
        let mut request = create("Music", defined, schema);
        request.global_secondary_indexes = Some(indexes);
        check(&db, request, expected).await;
    }
}

#[tokio::test]
async fn multi_attribute_keys_of_four_and_four_are_accepted() {
    let db = open(&engine().await).await;
    let mut request = create("Music", "pk:S a:S b:N c:B d:S e:S f:N g:B h:S", "H:pk");
    let schema = "H:a H:b H:c H:d R:e R:f R:g R:h";
    request.global_secondary_indexes = Some(vec![gsi("Idx", schema, "ALL")]);
    create_table(&db, request).await.unwrap();
    let table = describe(&db, "Music").await.unwrap();
    assert_eq!(table.global_secondary_indexes[0].key_schema, key(schema));
}

#[tokio::test]
async fn throughput_beyond_the_limits_of_a_table() {
    let db = open(&engine().await).await;
    for (beyond, member) in
        [(units(40_001, 1), "ReadCapacityUnits"), (units(1, 40_001), "WriteCapacityUnits")]
    {
        let text = |whose, what| {
            format!(
                "The requested {member}{whose}, 40001, is above the per {what} maximum for the account in us-east-1. Per {what} maximum: 40000. Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits."
            )
        };
        let provisioned = |throughput| CreateTableRequest {
            billing_mode: None,
            provisioned_throughput: Some(throughput),
            ..create("Music", "pk:S sk:S", "H:pk")
        };
        let index = GlobalSecondaryIndex {
            provisioned_throughput: Some(beyond),
            ..gsi("Idx", "H:sk", "ALL")
        };
        let with_index = CreateTableRequest {
            global_secondary_indexes: Some(vec![index]),
            ..provisioned(units(1, 1))
        };
        check(&db, with_index, &text(" for index Idx", "index")).await;
        let table = CreateTableRequest {
            attribute_definitions: Some(definitions("pk:S")),
            ..provisioned(beyond)
        };
        let error = create_table(&db, table.clone()).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::LimitExceeded);
        check(&db, table, &text("", "table")).await;
    }
    let maxima = OnDemandThroughput {
        max_read_request_units: Some(40_000),
        max_write_request_units: Some(40_001),
    };
    let warm = WarmThroughput {
        read_units_per_second: Some(40_001),
        write_units_per_second: Some(40_001),
    };
    let base = || create("Music", "pk:S sk:S", "H:pk");
    let table = CreateTableRequest {
        on_demand_throughput: Some(maxima),
        ..create("Music", "pk:S", "H:pk")
    };
    let text = "Subscriber limit exceeded: Requested MaxWriteRequestUnits for OnDemandThroughput for table exceeds TableMaxWriteCapacityUnits of the account in region us-east-1";
    check(&db, table, text).await;
    let index =
        GlobalSecondaryIndex { on_demand_throughput: Some(maxima), ..gsi("Idx", "H:sk", "ALL") };
    let with_index = CreateTableRequest { global_secondary_indexes: Some(vec![index]), ..base() };
    check(&db, with_index, &text.replace("for table", "for index : Idx")).await;
    let index = GlobalSecondaryIndex { warm_throughput: Some(warm), ..gsi("Idx", "H:sk", "ALL") };
    let with_index = CreateTableRequest { global_secondary_indexes: Some(vec![index]), ..base() };
    let text = "Subscriber limit exceeded: Requested ReadUnitsPerSecond for WarmThroughput for index Idx exceeds TableMaxReadCapacityUnits of the account in region us-east-1";
    check(&db, with_index, text).await;
}

#[tokio::test]
async fn throughput_follows_the_billing_mode() {
    let db = open(&engine().await).await;
    let base = || create("Music", "pk:S a:S", "H:pk");
    let with_index = |change: fn(&mut GlobalSecondaryIndex)| {
        let mut index = gsi("Idx", "H:a", "ALL");
        change(&mut index);
        CreateTableRequest { global_secondary_indexes: Some(vec![index]), ..base() }
    };
    check(
        &db, CreateTableRequest { provisioned_throughput: Some(units(1, 1)), ..base() },
        "…Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST",
    )
    .await;
    check(
        &db, CreateTableRequest { billing_mode: None, ..base() },
        "…ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED",
    )
    .await;
    check(
        &db,
        CreateTableRequest {
            billing_mode: None,
            provisioned_throughput: Some(units(1, 1_000_000_000_001)),
            ..base()
        },
        "Given value 1000000000001 for WriteCapacityUnits is out of bounds",
    )
    .await;
    check(
        &db, with_index(|index| index.provisioned_throughput = Some(units(1, 1))),
        "…ProvisionedThroughput should not be specified for index: Idx when BillingMode is PAY_PER_REQUEST",
    )
    .await;
    check(
        &db,
        CreateTableRequest {
            billing_mode: None,
            provisioned_throughput: Some(units(1, 1)),
            ..with_index(|_| ())
        },
        "…ProvisionedThroughput is not specified for index: Idx",
    )
    .await;
    let maxima = |read, write| OnDemandThroughput {
        max_read_request_units: read,
        max_write_request_units: write,
    };
    check(
        &db, CreateTableRequest {
            on_demand_throughput: Some(maxima(None, Some(0))),
            ..with_index(|_| ())
        },
        "…Requested MaxWriteRequestUnits for OnDemandThroughput for table is outside of valid range",
    )
    .await;
    check(
        &db, CreateTableRequest {
            billing_mode: None,
            provisioned_throughput: Some(units(1, 1)),
            on_demand_throughput: Some(maxima(Some(1), None)),
            ..create("Music", "pk:S", "H:pk")
        },
        "…MaxReadRequestUnits for OnDemandThroughput cannot be specified when table BillingMode is PROVISIONED.",
    )
    .await;
}

#[tokio::test]
async fn other_settings() {
    let db = open(&engine().await).await;
    let base = || create("Music", "pk:S", "H:pk");
    let stream = |enabled, view| {
        Some(StreamSpecification { stream_enabled: enabled, stream_view_type: view })
    };
    check(
        &db,
        CreateTableRequest { stream_specification: stream(true, None), ..base() },
        "…Table is being created with a stream enabled, UpdateViewType is required",
    )
    .await;
    check(
        &db,
        CreateTableRequest {
            stream_specification: stream(false, Some(StreamViewType::NewImage)),
            ..base()
        },
        "…Table is being created with a stream disabled, UpdateViewType should not be specified",
    )
    .await;
    check(
        &db,
        CreateTableRequest {
            unsupported: UnsupportedParameters { first: Some("VectorIndexes") },
            ..base()
        },
        "…VectorIndexes is not supported by Zenobe yet",
    )
    .await;
    check(
        &db,
        CreateTableRequest {
            tags: Some(vec![GivenTag { key: Some("a,b".to_owned()), value: Some(String::new()) }]),
            ..base()
        },
        "The Tag Key provided is invalid, Key: a,b",
    )
    .await;
}
