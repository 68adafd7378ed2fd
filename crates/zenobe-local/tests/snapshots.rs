//! A snapshot shows what was durable when it was taken: that, and nothing else.

#![allow(
    clippy::unwrap_used,
    reason = "test code, outside the functions that the lint knows as such"
)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use support::memory_log::MemoryDirectory;
use support::{
    SPACE, commit, commit_durably, delete, figure, key, open_with_space, options_with_log, put,
};
use zenobe_local::LocalEngine;
use zenobe_storage::{Commit, Engine as _, Expect, Outcome, Read};

async fn open_on(log: &MemoryDirectory, directory: &std::path::Path) -> LocalEngine {
    let engine = LocalEngine::open(options_with_log(directory, log)).unwrap();
    engine.create_space(SPACE).await.unwrap();
    engine
}

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_flushed_is_durable() {
    let directory = tempfile::tempdir().unwrap();
    let log = MemoryDirectory::default();
    let engine = Arc::new(open_on(&log, directory.path()).await);
    let _opened = log.opened_at_the_end();
    // More than half of a segment, so that the next one is there.
    for n in 0..15 {
        commit_durably(&engine, put(key(format!("{n}")), vec![b'x'; 3000])).await;
    }
    while figure(&engine, "log_segments") < 2.0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    log.let_syncs_through(Some(0));
    // A group whose sync is held; then one that goes over the end of the segment, which takes three syncs.
    commit(&engine, put(key("first"), "held")).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    commit(&engine, put(key("row"), "new")).await;
    let flushing = tokio::spawn({
        let engine = engine.clone();
        async move { engine.checkpoint().await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    for n in 0..9 {
        commit(&engine, put(key(format!("{n}")), vec![b'y'; 3000])).await;
    }
    // The first group, and of the second what lies before the segment's end.
    log.let_syncs_through(Some(2));
    for _ in 0..50 {
        let snapshot = engine.snapshot().await.unwrap();
        for n in ["row".to_owned(), "3".to_owned()] {
            let row = engine.get(key(n), Read::Snapshot(snapshot.clone())).await.unwrap();
            assert!(row.is_none_or(|row| row.version.0 <= snapshot.position().0));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    log.let_syncs_through(None);
    flushing.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_shown_what_is_not_durable() {
    let directory = tempfile::tempdir().unwrap();
    let log = MemoryDirectory::default();
    let engine = Arc::new(open_on(&log, directory.path()).await);
    let _opened = log.opened_at_the_end();
    commit_durably(&engine, put(key("a"), "old")).await;
    log.let_syncs_through(Some(0));
    commit(&engine, put(key("a"), "new")).await;
    let seen = |row: Option<zenobe_storage::Row>| row.unwrap().value;
    assert_eq!(seen(engine.get(key("a"), Read::Latest).await.unwrap()), "new");
    assert_eq!(seen(engine.get(key("a"), Read::Eventual).await.unwrap()), "old");
    let snapshot = engine.snapshot().await.unwrap();
    assert_eq!(seen(engine.get(key("a"), Read::Snapshot(snapshot)).await.unwrap()), "old");
    let strong = tokio::spawn({
        let engine = engine.clone();
        async move { engine.get(key("a"), Read::Strong).await }
    });
    let refused = tokio::spawn({
        let engine = engine.clone();
        let create = support::expecting(Commit::default(), key("a"), Expect::Absent);
        async move { engine.commit(create).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!strong.is_finished() && !refused.is_finished());
    log.let_syncs_through(None);
    assert_eq!(seen(strong.await.unwrap().unwrap()), "new");
    let Outcome::Conflict { current: Some(row), .. } = refused.await.unwrap().unwrap() else {
        panic!("no conflict")
    };
    assert_eq!(seen(row), "new");
}
