//! A failed sync ends writing until the engine is reopened; a full disk only until there is room.

#![allow(
    clippy::unwrap_used,
    reason = "test code, outside the functions that the lint knows as such"
)]

mod support;

use std::time::Duration;

use support::memory_log::MemoryDirectory;
use support::{SPACE, commit, commit_durably, key, options_with_log, put, recording, value};
use zenobe_local::log::Segment;
use zenobe_local::{Durability, LocalEngine};
use zenobe_storage::{Commit, Engine as _, EngineError, Health, Read};

fn open(disk: &std::path::Path, log: &MemoryDirectory) -> LocalEngine {
    LocalEngine::open(options_with_log(disk, log)).unwrap()
}

#[tokio::test]
async fn after_a_failed_sync_writes_are_refused_and_reads_go_on() {
    let disk = tempfile::tempdir().unwrap();
    let log = MemoryDirectory::default();
    let engine = open(disk.path(), &log);
    engine.create_space(SPACE).await.unwrap();
    commit_durably(&engine, put(key("a"), "old")).await;
    log.fail_syncs(true);
    let position = commit(&engine, put(key("a"), "new")).await;
    assert!(matches!(engine.durable(position).await, Err(EngineError::WritesRefused(_))));
    assert!(matches!(engine.commit(put(key("b"), "b")).await, Err(EngineError::WritesRefused(_))));
    assert!(matches!(engine.health(), Health::WritesRefused(EngineError::WritesRefused(_))));
    // The disk may hold it or not: nobody may be told that it does, and nobody is.
    let eventual = engine.get(key("a"), Read::Eventual).await.unwrap();
    assert_eq!(eventual.unwrap().value, "old");
    assert!(matches!(engine.get(key("a"), Read::Strong).await, Err(EngineError::WritesRefused(_))));
    assert_eq!(engine.get(key("b"), Read::Strong).await, Ok(None));
    assert!(matches!(engine.close().await, Err(EngineError::WritesRefused(_))));
    log.fail_syncs(false);
    let engine = open(disk.path(), &log);
    commit_durably(&engine, put(key("b"), "b")).await;
    assert_eq!(value(&engine, key("b")).await.unwrap(), "b");
}

#[tokio::test]
async fn what_a_failed_sync_left_unwritten_is_written_by_recovery() {
    // Without an end frame, and with one.
    for rows in [1, 10] {
        let disk = tempfile::tempdir().unwrap();
        let log = MemoryDirectory::default();
        let engine = open(disk.path(), &log);
        engine.create_space(SPACE).await.unwrap();
        commit_durably(&engine, put(key("before"), "1")).await;
        log.fail_syncs(true);
        for n in 0..rows {
            let position = commit(&engine, put(key(format!("{n}")), vec![b'x'; 9000])).await;
            if engine.durable(position).await.is_err() {
                break;
            }
        }
        let _ = engine.close().await;
        // Recovery itself may fail so, and more than once.
        for _ in 0..2 {
            let error = LocalEngine::open(options_with_log(disk.path(), &log)).unwrap_err();
            assert!(matches!(&error, EngineError::Unavailable(text) if text.contains("broken")));
        }
        log.fail_syncs(false);
        let engine = open(disk.path(), &log);
        let shown = value(&engine, key("0")).await;
        commit_durably(&engine, put(key("after"), "2")).await;
        drop(engine);
        let engine = open(disk.path(), &log.after_power_loss());
        assert_eq!(value(&engine, key("0")).await, shown);
        assert_eq!(value(&engine, key("before")).await.unwrap(), "1");
        assert_eq!(value(&engine, key("after")).await.unwrap(), "2");
    }
}

#[tokio::test]
async fn what_is_not_synced_does_not_count_as_flushed() {
    let disk = tempfile::tempdir().unwrap();
    let log = MemoryDirectory::default();
    let mut options = options_with_log(disk.path(), &log);
    options.durability = Durability::Interval(Duration::from_secs(3600));
    let engine = LocalEngine::open(options).unwrap();
    engine.create_space(SPACE).await.unwrap();
    commit_durably(&engine, put(key("a"), vec![b'x'; 34_000])).await;
    engine.checkpoint().await.unwrap();
    // Only a record, so nothing is to be flushed; in the next segment, so the first one is given back. It takes less
    // than half of that, or one more would be made meanwhile.
    let record = recording(Commit::default(), 1, vec![b'r'; 32_000]);
    commit_durably(&engine, record).await;
    engine.checkpoint().await.unwrap();
    assert!(!log.image().contains_key(&Segment::name(1)));
    let log = log.after_power_loss();
    drop(engine);
    let engine = open(disk.path(), &log);
    assert!(value(&engine, key("a")).await.is_some());
}

#[tokio::test]
async fn a_commit_that_does_not_fit_leaves_the_disk_to_others() {
    let disk = tempfile::tempdir().unwrap();
    let log = MemoryDirectory::default();
    let mut options = options_with_log(disk.path(), &log);
    options.memtable_bytes = 64 << 20;
    let engine = LocalEngine::open(options).unwrap();
    engine.create_space(SPACE).await.unwrap();
    log.longest_file(1 << 20);
    let error = engine.commit(put(key("large"), vec![b'x'; 2 << 20])).await.unwrap_err();
    assert!(matches!(error, EngineError::Full(_)), "{error}");
    for n in 0..100 {
        let small = async {
            while engine.commit(put(key(format!("{n}")), vec![b'x'; 3000])).await.is_err() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), small).await.unwrap();
    }
    assert_eq!(engine.health(), Health::Writable);
}

#[tokio::test]
async fn closing_says_that_the_last_sync_failed() {
    for durability in [Durability::Interval(Duration::from_secs(3600)), Durability::Fsync] {
        let disk = tempfile::tempdir().unwrap();
        let log = MemoryDirectory::default();
        let mut options = options_with_log(disk.path(), &log);
        options.durability = durability;
        let engine = LocalEngine::open(options).unwrap();
        engine.create_space(SPACE).await.unwrap();
        log.fail_syncs(true);
        commit(&engine, put(key("a"), "1")).await;
        assert!(matches!(engine.close().await, Err(EngineError::WritesRefused(_))));
    }
}

#[tokio::test]
async fn a_full_disk_refuses_writes_until_there_is_room() {
    let disk = tempfile::tempdir().unwrap();
    let log = MemoryDirectory::default();
    let engine = open(disk.path(), &log);
    engine.create_space(SPACE).await.unwrap();
    log.set_full(true);
    let mut written = 0;
    let error = loop {
        match engine.commit(put(key(format!("{written}")), vec![b'x'; 4000])).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 100, "the first segment is not that long");
    };
    assert!(matches!(&error, EngineError::Full(text) if text.contains("no space left")), "{error}");
    assert!(written > 0);
    assert_eq!(engine.health(), Health::WritesRefused(error));
    for n in 0..written {
        assert!(value(&engine, key(format!("{n}"))).await.is_some());
    }
    log.set_full(false);
    let retrying = async {
        while engine.commit(put(key("after"), "room")).await.is_err() {
            tokio::task::yield_now().await;
        }
        // What is small fits into the last segment; the next one is made a moment later.
        while engine.health() != Health::Writable {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), retrying).await.unwrap();
    assert_eq!(value(&engine, key("after")).await.unwrap(), "room");
    drop(engine);
    let engine = open(disk.path(), &log);
    for n in 0..written {
        assert!(value(&engine, key(format!("{n}"))).await.is_some());
    }
    assert_eq!(value(&engine, key("after")).await.unwrap(), "room");
}
