//! A snapshot shows what was durable when it was taken: that, and nothing else.

#![allow(
    clippy::unwrap_used,
    reason = "test code, outside the functions that the lint knows as such"
)]

mod support;

use std::future::Future;
use std::task::{Context, Waker};

use support::memory_log::MemoryDirectory;
use support::{SPACE, commit, commit_durably, delete, key, open_with_space, options_with_log, put};
use zenobe_local::LocalEngine;
use zenobe_storage::{Commit, Engine as _, Expect, Outcome, Read};

async fn open_on(log: &MemoryDirectory, directory: &std::path::Path) -> LocalEngine {
    let engine = LocalEngine::open(options_with_log(directory, log)).unwrap();
    engine.create_space(SPACE).await.unwrap();
    engine
}

/// Whether something cannot go on for now.
fn waits<T>(call: &mut (impl Future<Output = T> + Unpin)) -> bool {
    std::pin::Pin::new(call).poll(&mut Context::from_waker(Waker::noop())).is_pending()
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

#[tokio::test]
async fn nobody_is_shown_what_is_not_durable() {
    let directory = tempfile::tempdir().unwrap();
    let log = MemoryDirectory::default();
    let engine = open_on(&log, directory.path()).await;
    let _opened = log.opened_at_the_end();
    commit_durably(&engine, put(key("a"), "old")).await;
    log.let_syncs_through(Some(0));
    commit(&engine, put(key("a"), "new")).await;
    let seen = |row: Option<zenobe_storage::Row>| row.unwrap().value;
    assert_eq!(seen(engine.get(key("a"), Read::Latest).await.unwrap()), "new");
    assert_eq!(seen(engine.get(key("a"), Read::Eventual).await.unwrap()), "old");
    let snapshot = engine.snapshot().await.unwrap();
    assert_eq!(seen(engine.get(key("a"), Read::Snapshot(snapshot)).await.unwrap()), "old");
    let create = support::expecting(Commit::default(), key("a"), Expect::Absent);
    let mut strong = engine.get(key("a"), Read::Strong);
    let mut refused = engine.commit(create);
    // Everything else is in memory: only the disk can be what they wait for.
    assert!(waits(&mut strong) && waits(&mut refused));
    log.let_syncs_through(None);
    let (strong, refused) = tokio::join!(strong, refused);
    assert_eq!(seen(strong.unwrap()), "new");
    let Outcome::Conflict { current: Some(row), .. } = refused.unwrap() else {
        panic!("no conflict")
    };
    assert_eq!(seen(row), "new");
}
