//! The database on a Cassandra cluster: what the preview does, and what it refuses.
//!
//! Needs a cluster in `ZENOBE_CASSANDRA`; see crates/zenobe-cassandra/cluster/cluster.

mod support;

use std::io::Write as _;

use support::{Builder, Server};

const TABLE: &str = r#"{"TableName":"students","BillingMode":"PAY_PER_REQUEST",
    "AttributeDefinitions":[{"AttributeName":"Id","AttributeType":"N"},
        {"AttributeName":"Year","AttributeType":"N"},{"AttributeName":"Name","AttributeType":"S"}],
    "KeySchema":[{"AttributeName":"Id","KeyType":"HASH"},{"AttributeName":"Year","KeyType":"RANGE"}],
    "LocalSecondaryIndexes":[{"IndexName":"by-name","Projection":{"ProjectionType":"ALL"},
        "KeySchema":[{"AttributeName":"Id","KeyType":"HASH"},{"AttributeName":"Name","KeyType":"RANGE"}]}]}"#;
const GLOBAL: &str = r#"{"TableName":"pupils","BillingMode":"PAY_PER_REQUEST",
    "AttributeDefinitions":[{"AttributeName":"Id","AttributeType":"N"},
        {"AttributeName":"Name","AttributeType":"S"}],
    "KeySchema":[{"AttributeName":"Id","KeyType":"HASH"}],
    "GlobalSecondaryIndexes":[{"IndexName":"by-name","Projection":{"ProjectionType":"ALL"},
        "KeySchema":[{"AttributeName":"Name","KeyType":"HASH"}]}]}"#;

#[track_caller]
fn call(server: &Server, operation: &str, body: &str) -> String {
    let answer = server.call(operation, body);
    assert_eq!(answer.status, 200, "{operation}: {} {}", answer.text(), server.log());
    answer.text().to_owned()
}

fn put(id: u32, year: u32, name: &str) -> String {
    format!(
        r#"{{"TableName":"students","Item":{{"Id":{{"N":"{id}"}},"Year":{{"N":"{year}"}},"Name":{{"S":"{name}"}}}}}}"#
    )
}

#[test]
fn tables_without_global_indexes_work_on_a_cluster() {
    let Ok(points) = std::env::var("ZENOBE_CASSANDRA") else {
        // Not captured by the test harness: a skipped test must be seen.
        let text = b"SKIPPED: the test of the server on Cassandra needs a cluster\n";
        std::io::stderr().write_all(text).unwrap();
        return;
    };
    let keyspace = format!("zenobe_server_{}", std::process::id());
    let start = || {
        let args = ["--engine", "cassandra", "--cassandra-contact-points", &points];
        let more = ["--cassandra-keyspace", &keyspace, "--cassandra-replication", "1"];
        Builder::new(&[args, more].concat()).start()
    };
    let mut server = start();
    call(&server, "CreateTable", TABLE);
    for (id, year, name) in [(1, 1, "Ada"), (1, 2, "Grace"), (2, 1, "Mary")] {
        call(&server, "PutItem", &put(id, year, name));
    }
    // Two partitions at once.
    let transaction = format!(
        r#"{{"TransactItems":[{{"Put":{}}},{{"Put":{}}}]}}"#,
        put(3, 1, "Joan"),
        put(4, 1, "Jean")
    );
    call(&server, "TransactWriteItems", &transaction);
    let refused = server.call("CreateTable", GLOBAL);
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert!(refused.text().contains("not supported by the storage engine in use"));
    assert!(server.stop().success(), "{}", server.log());

    server = start();
    let by_name = r#"{"TableName":"students","IndexName":"by-name","ConsistentRead":true,
        "KeyConditionExpression":"Id = :id","ExpressionAttributeValues":{":id":{"N":"1"}},
        "ScanIndexForward":false}"#;
    let found = call(&server, "Query", by_name);
    let (grace, ada) = (found.find("Grace").unwrap(), found.find("Ada").unwrap());
    assert!(grace < ada && found.contains(r#""Count":2"#), "{found}");
    let scan = call(&server, "Scan", r#"{"TableName":"students","ConsistentRead":true}"#);
    assert!(scan.contains(r#""Count":5"#), "{scan}");
    call(&server, "DeleteTable", r#"{"TableName":"students"}"#);
    assert_eq!(call(&server, "ListTables", "{}"), r#"{"TableNames":[]}"#);
    assert!(server.stop().success(), "{}", server.log());
}
