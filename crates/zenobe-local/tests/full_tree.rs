//! A tree that cannot be written to holds rows back in memory, refuses writes in time, and goes on when it
//! can be written to again; nothing of the failed attempts stays.

#![allow(
    clippy::unwrap_used,
    reason = "test code, outside the functions that the lint knows as such"
)]

mod support;

use std::time::Duration;

use support::{commit, commit_durably, figure, key, open, open_with_space, put, value};
use zenobe_storage::Engine as _;

#[tokio::test]
async fn flushing_resumes_when_the_tree_can_be_written_to() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open_with_space(directory.path()).await;
    commit_durably(&engine, put(key("first"), "1")).await;
    engine.checkpoint().await.unwrap();
    let tables = directory.path().join("tree/tables");
    let aside = directory.path().join("tree/aside");
    // Without its directory no table can be made, for root neither.
    std::fs::rename(&tables, &aside).unwrap();
    commit_durably(&engine, put(key("second"), "2")).await;
    assert!(engine.checkpoint().await.is_err());
    assert_eq!(value(&engine, key("second")).await.unwrap(), "2");
    commit(&engine, put(key("third"), "3")).await;
    std::fs::rename(&aside, &tables).unwrap();
    std::fs::write(tables.join("999"), "half a table").unwrap();
    let flushing = async { while engine.checkpoint().await.is_err() {} };
    tokio::time::timeout(Duration::from_secs(20), flushing).await.unwrap();
    assert!((figure(&engine, "memtable_bytes")).abs() < 0.5);
    for (name, expected) in [("first", "1"), ("second", "2"), ("third", "3")] {
        assert_eq!(value(&engine, key(name)).await.unwrap(), expected);
    }
    drop(engine);
    let engine = open(directory.path());
    for (name, expected) in [("first", "1"), ("second", "2"), ("third", "3")] {
        assert_eq!(value(&engine, key(name)).await.unwrap(), expected);
    }
    assert!(!tables.join("999").exists());
}
