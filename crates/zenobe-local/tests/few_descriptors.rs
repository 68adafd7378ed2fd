//! Without descriptors to open files with, calls fail, and nothing is lost. Alone in its process, which they are
//! counted for.

#![allow(
    clippy::unwrap_used,
    reason = "test code, outside the functions that the lint knows as such"
)]

mod support;

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use support::{SPACE, commit_durably, key, put, small_options, value};
use zenobe_local::LocalEngine;
use zenobe_storage::{Engine as _, EngineError, Health};

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

async fn a_flush_with(free: usize) -> bool {
    let directory = tempfile::tempdir().unwrap();
    let mut options = small_options(directory.path());
    options.memtable_bytes = 64 << 20;
    let engine = LocalEngine::open(options.clone()).unwrap();
    engine.create_space(SPACE).await.unwrap();
    commit_durably(&engine, put(key("first"), "1")).await;
    engine.checkpoint().await.unwrap();
    let before = current(directory.path());
    commit_durably(&engine, put(key("second"), "2")).await;
    let taken = leave(free);
    let failed = engine.checkpoint().await.is_err();
    drop(taken);
    let (named, hash) = current(directory.path());
    // Either it goes on, or, if the next list is on disk already, nothing is flushed over that one.
    let settled = async {
        loop {
            match engine.health() {
                Health::Writable if engine.checkpoint().await.is_ok() => return true,
                Health::WritesRefused(EngineError::WritesRefused(_)) => return false,
                _ => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
    };
    let goes_on = tokio::time::timeout(Duration::from_secs(20), settled).await.unwrap();
    assert!(goes_on || (failed && named > before.0), "{free} free");
    if current(directory.path()).0 == named {
        assert_eq!(current(directory.path()).1, hash, "{free} free: the list was written over");
    }
    let _ = engine.close().await;
    let engine = LocalEngine::open(options).unwrap();
    assert_eq!(value(&engine, key("first")).await.unwrap(), "1");
    assert_eq!(value(&engine, key("second")).await.unwrap(), "2");
    goes_on
}

#[tokio::test]
async fn nothing_is_lost() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let few = rustix::process::Rlimit { current: Some(256), ..limit };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, few).unwrap();
    // Which call is refused depends on what the other threads have open just then.
    let (mut refused, mut rounds) = (0, 0);
    while refused == 0 {
        for free in 0..8 {
            refused += u32::from(!a_flush_with(free).await);
        }
        rounds += 1;
        assert!(rounds < 30, "no flush failed after it had named its list");
    }
    for free in 0..4 {
        let directory = tempfile::tempdir().unwrap();
        let engine = support::open_with_space(directory.path()).await;
        commit_durably(&engine, put(key("a"), "1")).await;
        let taken = leave(free);
        let dropped = engine.drop_space(SPACE).await;
        drop(taken);
        let _ = engine.close().await;
        let engine = support::open(directory.path());
        let spaces = engine.spaces().await.unwrap();
        assert_eq!(spaces.is_empty(), dropped.is_ok(), "{free} free: {dropped:?}");
    }
}
