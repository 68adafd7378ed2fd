//! A tree that cannot be written to holds rows back in memory, refuses writes in time, and goes on when it
//! can be written to again; nothing of the failed attempts stays.

#![allow(
    clippy::unwrap_used,
    reason = "test code, outside the functions that the lint knows as such"
)]

mod support;

use std::path::{Path, PathBuf};
use std::time::Duration;

use support::{commit, commit_durably, figure, key, open, open_with_space, put, value};
use zenobe_local::LocalEngine;
use zenobe_storage::{Engine as _, EngineError, Health};

const PATIENCE: Duration = Duration::from_secs(20);

/// An engine that has flushed a row and can make no table any more, where its tables belong, and where they are.
async fn without_tables(directory: &Path) -> (LocalEngine, PathBuf, PathBuf) {
    let engine = open_with_space(directory).await;
    commit_durably(&engine, put(key("first"), "1")).await;
    engine.checkpoint().await.unwrap();
    let (tables, aside) = (directory.join("tree/tables"), directory.join("tree/aside"));
    // Without its directory no table can be made, for root neither.
    std::fs::rename(&tables, &aside).unwrap();
    (engine, tables, aside)
}

#[tokio::test]
async fn flushing_resumes_when_the_tree_can_be_written_to() {
    let directory = tempfile::tempdir().unwrap();
    let (engine, tables, aside) = without_tables(directory.path()).await;
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

#[tokio::test]
async fn where_nothing_can_be_flushed_writers_do_not_wait_for_ever() {
    let directory = tempfile::tempdir().unwrap();
    let (engine, tables, aside) = without_tables(directory.path()).await;
    let filling = async {
        for n in 0.. {
            let row = put(key(format!("{n}")), vec![b'x'; 3000]);
            if let Err(error) = engine.commit(row).await {
                return (n, error);
            }
        }
        unreachable!("memory is limited")
    };
    let (written, error) = tokio::time::timeout(PATIENCE, filling).await.unwrap();
    assert!(matches!(&error, EngineError::Full(text) if text.contains("flushed")), "{error}");
    assert_eq!(engine.health(), Health::WritesRefused(error));
    std::fs::rename(&aside, &tables).unwrap();
    let flushing = async {
        while engine.health() != Health::Writable {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, flushing).await.unwrap();
    commit_durably(&engine, put(key("last"), "1")).await;
    for n in 0..written {
        assert!(value(&engine, key(format!("{n}"))).await.is_some());
    }
}

#[tokio::test]
async fn segments_that_cannot_be_given_back_are_given_back_later() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = support::small_options(directory.path());
    options.memtable_bytes = 64 << 20;
    let engine = LocalEngine::open(options).unwrap();
    engine.create_space(support::SPACE).await.unwrap();
    for n in 0..60 {
        commit_durably(&engine, put(key(format!("{n}")), vec![b'x'; 3000])).await;
    }
    let prepared = async {
        while figure(&engine, "log_segments") < 4.0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, prepared).await.unwrap();
    // The manifest's next state cannot be written.
    let beside = directory.path().join("MANIFEST.new");
    std::os::unix::fs::symlink("/dev/full", &beside).unwrap();
    assert!(matches!(engine.checkpoint().await, Err(EngineError::Full(_))));
    // The rows are in the tree all the same.
    assert!(figure(&engine, "memtable_bytes").abs() < 0.5);
    assert_eq!(engine.health(), Health::Writable);
    let segments = figure(&engine, "log_segments");
    std::fs::remove_file(&beside).unwrap();
    let releasing = async {
        while figure(&engine, "log_segments") >= segments {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, releasing).await.unwrap();
}
