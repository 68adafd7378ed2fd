//! `zenobe check` on the files of a server that has stopped: exit codes 0 and 5, and what it says.

#![allow(clippy::unwrap_used, reason = "a failing test panics")]

mod support;

use std::process::Output;

use support::{Builder, run};
use zenobe_local::{LocalEngine, LocalOptions};
use zenobe_storage::{
    Commit, Engine as _, HashInterval, Key, Lane, Mutation, PageLimit, Read, ScanRead, SpaceId,
};

const TABLE: &str = r#"{"TableName":"students","BillingMode":"PAY_PER_REQUEST",
    "AttributeDefinitions":[{"AttributeName":"Id","AttributeType":"N"}, {"AttributeName":"g","AttributeType":"S"}],
    "KeySchema":[{"AttributeName":"Id","KeyType":"HASH"}],
    "GlobalSecondaryIndexes":[{"IndexName":"by-g","KeySchema":[{"AttributeName":"g","KeyType":"HASH"}],
        "Projection":{"ProjectionType":"ALL"}}],
    "StreamSpecification":{"StreamEnabled":true,"StreamViewType":"NEW_IMAGE"}}"#;

/// Removes one item, and nothing that follows from it.
async fn remove_one(data_dir: &str) {
    let engine = LocalEngine::open(LocalOptions::new(data_dir)).unwrap();
    // The first that a table gets.
    let space = SpaceId(16);
    let (lane, interval) = (Lane::ITEM, HashInterval::ALL);
    let limit = PageLimit { rows: 1, bytes: 1 << 20 };
    let scan = ScanRead { space, lane, interval, after: None, limit };
    let (place, _) = engine.scan(scan, Read::Strong).await.unwrap().rows.remove(0);
    let key = Key { space, partition: place.partition, lane, sort: place.sort };
    let mutations = vec![Mutation { key, value: None }];
    engine.commit(Commit { mutations, ..Commit::default() }).await.unwrap();
    engine.close().await.unwrap();
}

#[track_caller]
fn said(output: &Output, code: i32) -> String {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}\n{errors}");
    text
}

#[tokio::test]
async fn of_indexes_and_streams() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data").display().to_string();
    let mut server = Builder::new(&["--data-dir", &data_dir]).start();
    assert_eq!(server.call("CreateTable", TABLE).status, 200);
    for id in 0..3 {
        let put =
            format!(r#"{{"TableName":"students","Item":{{"Id":{{"N":"{id}"}},"g":{{"S":"g"}}}}}}"#);
        support::eventually("a put", || server.call("PutItem", &put).status == 200);
    }
    assert!(server.stop().success(), "{}", server.log());
    let check = || run(&["check", "--data-dir", &data_dir], &[], dir.path());
    let text = said(&check(), 0);
    assert!(text.contains("students/by-g: 3 entries, 0 missing"), "{text}");
    assert!(text.contains("3 records, 3 items compared, 0 faults\n"), "{text}");
    assert!(text.ends_with("\n1 indexes and 1 streams checked\n"), "{text}");

    remove_one(&data_dir).await;
    let text = said(&check(), 5);
    assert!(text.contains(", 1 without an item\n  without an item: "), "{text}");
    assert!(text.contains(" 1 faults\n  the item is not what its newest record, 1"), "{text}");
}
