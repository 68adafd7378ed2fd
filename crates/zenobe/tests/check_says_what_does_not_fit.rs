//! `zenobe check` on the files of a server that has stopped: exit codes, and what it says.

#![allow(clippy::unwrap_used, reason = "a failing test panics")]

mod support;

use std::process::Output;

use support::{Builder, run, write_file};
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
    assert!(text.starts_with("students: 3 items, 0 faults\n"), "{text}");
    assert!(text.contains("students/by-g: 3 entries, 0 missing"), "{text}");
    assert!(text.contains("3 records, 3 items compared, 0 faults\n"), "{text}");
    assert!(
        text.ends_with("\n1 tables, 3 items read, 1 indexes and 1 streams checked\n"),
        "{text}"
    );

    remove_one(&data_dir).await;
    let text = said(&check(), 5);
    assert!(text.contains(", 1 without an item, 0 faults\n  without an item: "), "{text}");
    assert!(text.contains(" 1 faults\n  the item is not what its newest record, 1"), "{text}");
}

const PLAIN_TABLE: &str = r#"{"TableName":"plain","BillingMode":"PAY_PER_REQUEST",
    "AttributeDefinitions":[{"AttributeName":"Id","AttributeType":"N"}],
    "KeySchema":[{"AttributeName":"Id","KeyType":"HASH"}]}"#;

#[test]
fn of_a_table_without_an_index_whose_file_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data").display().to_string();
    let mut server = Builder::new(&["--data-dir", &data_dir, "--memtable-mb", "16"]).start();
    assert_eq!(server.call("CreateTable", PLAIN_TABLE).status, 200);
    let value = "v".repeat(350_000);
    for id in 0..80 {
        let put = format!(
            r#"{{"TableName":"plain","Item":{{"Id":{{"N":"{id}"}},"v":{{"S":"{value}"}}}}}}"#
        );
        support::eventually("a put", || server.call("PutItem", &put).status == 200);
    }
    let tables = dir.path().join("data/tree/tables");
    let found = || std::fs::read_dir(&tables).unwrap().map(|file| file.unwrap().path());
    support::eventually("a flush", || found().next().is_some());
    assert!(server.stop().success(), "{}", server.log());
    let check = || run(&["check", "--data-dir", &data_dir], &[], dir.path());
    let text = said(&check(), 0);
    assert!(text.contains("plain: 80 items, 0 faults\n1 tables, 80 items read"), "{text}");

    let largest = found().max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let mut bytes = std::fs::read(&largest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&largest, bytes).unwrap();
    let output = check();
    let text = said(&output, 5);
    assert!(text.contains(" 1 faults\n  cannot be read further than "), "{text}");
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("zenobe: error: the data is damaged"), "{errors}");
}

#[test]
fn a_database_that_is_not_there_is_not_made() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("empty")).unwrap();
    write_file(dir.path(), "file", "");
    let nothing = "there is no database in ";
    let cases =
        [("missing", nothing), ("empty", nothing), ("file", "cannot look for a database in ")];
    for (data_dir, problem) in cases {
        let output = run(&["check", "--data-dir", data_dir], &[], dir.path());
        said(&output, 4);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(errors.contains(problem) && errors.contains(data_dir), "{errors}");
    }
    assert!(!dir.path().join("missing").exists());
    assert_eq!(std::fs::read_dir(dir.path().join("empty")).unwrap().count(), 0);
    said(&run(&["check", "--in-memory"], &[], dir.path()), 2);
}

#[test]
fn the_rules_of_listening_are_not_its_own() {
    let mut server = Builder::new(&["--data-dir", "data"]).start();
    assert!(server.stop().success());
    let dir = server.dir.path();
    write_file(dir, "zenobe.toml", "listen = '0.0.0.0:8000'\ndata-dir = 'data'");
    said(&run(&["check", "--config", "zenobe.toml"], &[], dir), 0);
}
