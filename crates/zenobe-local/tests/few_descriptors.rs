//! Without descriptors to open files with, calls fail, and nothing is lost. Alone in its process, which they are
//! counted for.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    reason = "test code, outside the functions that the lint knows as such"
)]

mod support;
#[path = "support/syncs.rs"]
mod syncs;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::{
    SPACE, commit_durably, figure, key, open, put, recording, records, small_options, value,
};
use zenobe_local::LocalEngine;
use zenobe_storage::{Engine as _, EngineError, Health, SpaceId};

/// Descriptors that the process may have, where nothing is said.
const FEW: u64 = 256;
const PATIENCE: Duration = Duration::from_secs(20);

fn allow(descriptors: u64) {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(descriptors), ..limit }).unwrap();
}

/// Takes all descriptors but so many.
fn leave(free: usize) -> Vec<File> {
    let mut taken: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    taken.truncate(taken.len() - free);
    taken
}

/// Which list of tables is the current one, and its hash.
fn current(directory: &Path) -> (u64, Vec<u8>) {
    let mut bytes = std::fs::read(directory.join("tree/current")).unwrap();
    let hash = bytes.split_off(8);
    (u64::from_le_bytes(bytes.try_into().unwrap()), hash)
}

/// What became of a flush.
#[derive(Debug, PartialEq, Eq)]
enum Flushed {
    AtOnce,
    Later,
    /// Writes are refused.
    Never,
}

/// Flushes while no file can be opened any more from so many syncs of the tree on.
async fn a_flush_without_files_after(syncs: usize) -> Flushed {
    let directory = tempfile::tempdir().unwrap();
    let mut options = small_options(directory.path());
    options.memtable_bytes = 64 << 20;
    let engine = LocalEngine::open(options.clone()).unwrap();
    engine.create_space(SPACE).await.unwrap();
    commit_durably(&engine, put(key("first"), "1")).await;
    engine.checkpoint().await.unwrap();
    let compacting = async {
        while figure(&engine, "compactions_total") < 1.0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, compacting).await.unwrap();
    let before = current(directory.path());
    commit_durably(&engine, put(key("second"), "2")).await;
    let tree = directory.path().canonicalize().unwrap().join("tree");
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    syncs::watch(Some(Box::new(move |path| {
        let is_of_flush = std::thread::current().name() == Some("zenobe-flush");
        if is_of_flush
            && path.starts_with(&tree)
            && counted.fetch_add(1, Ordering::SeqCst) + 1 == syncs
        {
            allow(0);
        }
    })));
    let flushed = engine.checkpoint().await;
    allow(FEW);
    syncs::watch(None);
    let (named, hash) = current(directory.path());
    // Either it goes on, or, if the next list is on disk already, nothing is flushed over that one.
    let settled = async {
        loop {
            match engine.health() {
                Health::Writable if engine.checkpoint().await.is_ok() => return true,
                Health::WritesRefused(EngineError::WritesRefused(_)) => return false,
                _ => tokio::task::yield_now().await,
            }
        }
    };
    let goes_on = tokio::time::timeout(PATIENCE, settled).await.unwrap();
    assert!(goes_on || (flushed.is_err() && named > before.0), "after {syncs} syncs");
    if current(directory.path()).0 == named {
        let again = current(directory.path()).1;
        assert_eq!(again, hash, "after {syncs} syncs: the list was written over");
    }
    let _ = engine.close().await;
    let engine = LocalEngine::open(options).unwrap();
    assert_eq!(value(&engine, key("first")).await.unwrap(), "1");
    assert_eq!(value(&engine, key("second")).await.unwrap(), "2");
    match flushed {
        Ok(()) => Flushed::AtOnce,
        Err(_) if goes_on => Flushed::Later,
        Err(_) => Flushed::Never,
    }
}

async fn flushes() {
    let mut outcomes = Vec::new();
    while outcomes.last() != Some(&Flushed::AtOnce) {
        outcomes.push(a_flush_without_files_after(outcomes.len() + 1).await);
        assert!(outcomes.len() < 30, "a flush that syncs for ever: {outcomes:?}");
    }
    // Before the next list is named, and after.
    assert!(outcomes.contains(&Flushed::Later), "{outcomes:?}");
    assert!(outcomes.contains(&Flushed::Never), "{outcomes:?}");
}

async fn changes_of_spaces() {
    for free in 0..4 {
        let directory = tempfile::tempdir().unwrap();
        let engine = support::open_with_space(directory.path()).await;
        commit_durably(&engine, put(key("a"), "1")).await;
        let taken = leave(free);
        let created = engine.create_space(SpaceId(8)).await;
        let dropped = engine.drop_space(SPACE).await;
        drop(taken);
        let mut expected = Vec::new();
        expected.extend(dropped.is_err().then_some(SPACE));
        expected.extend(created.is_ok().then_some(SpaceId(8)));
        assert_eq!(engine.spaces().await.unwrap(), expected, "{free} free");
        let _ = engine.close().await;
        let spaces = open(directory.path()).spaces().await.unwrap();
        assert_eq!(spaces, expected, "{free} free: {created:?}, {dropped:?}");
    }
}

/// Opens with more and more descriptors until it can be.
fn open_with_ever_more(directory: &Path) -> LocalEngine {
    for free in 0.. {
        let taken = leave(free);
        let opened = LocalEngine::open(small_options(directory));
        drop(taken);
        match opened {
            Ok(engine) => return engine,
            Err(EngineError::Unavailable(_)) => {}
            Err(other) => panic!("{free} free: {other}"),
        }
    }
    unreachable!()
}

async fn opening() {
    let directory = tempfile::tempdir().unwrap();
    // A new one, and one with tables, segments and summaries.
    let engine = open_with_ever_more(&directory.path().join("data"));
    engine.create_space(SPACE).await.unwrap();
    for n in 0..100 {
        let row = put(key(format!("{n}")), vec![b'x'; 2000]);
        commit_durably(&engine, recording(row, 1, format!("{n}"))).await;
    }
    engine.checkpoint().await.unwrap();
    commit_durably(&engine, put(key("last"), "1")).await;
    engine.close().await.unwrap();
    let engine = open_with_ever_more(&directory.path().join("data"));
    for n in 0..100 {
        assert!(value(&engine, key(format!("{n}"))).await.is_some());
    }
    assert_eq!(value(&engine, key("last")).await.unwrap(), "1");
    assert_eq!(records(&engine, 1).await.len(), 100);
}

// One test, for descriptors are those of the process.
#[tokio::test]
async fn nothing_is_lost() {
    allow(FEW);
    flushes().await;
    changes_of_spaces().await;
    opening().await;
}
