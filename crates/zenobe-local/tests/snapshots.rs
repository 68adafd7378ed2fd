//! A snapshot goes on showing what was deleted after it.

#![allow(
    clippy::unwrap_used,
    reason = "test code, outside the functions that the lint knows as such"
)]

mod support;

use support::{commit_durably, delete, key, open_with_space, put};
use zenobe_storage::{Engine as _, Read};

#[tokio::test]
async fn a_row_deleted_since_is_still_seen_when_its_absence_is_cached() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open_with_space(directory.path()).await;
    commit_durably(&engine, put(key("a"), "old")).await;
    let snapshot = engine.snapshot().await.unwrap();
    commit_durably(&engine, delete(key("a"))).await;
    // In the tree the deletion leaves nothing; a fresh read caches that there is no row.
    engine.checkpoint().await.unwrap();
    assert_eq!(engine.get(key("a"), Read::Strong).await.unwrap(), None);
    for _ in 0..2 {
        let row = engine.get(key("a"), Read::Snapshot(snapshot.clone())).await.unwrap();
        assert_eq!(row.unwrap().value, "old");
    }
}
