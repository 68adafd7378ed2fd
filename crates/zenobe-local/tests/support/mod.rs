//! What the tests of the embedded engine share: short ways to write and read rows.
#![allow(dead_code, reason = "every test file uses its part of this")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test code, outside the functions that the lint knows as such"
)]

pub(crate) mod memory_log;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use memory_log::MemoryDirectory;
use zenobe_local::{LocalEngine, LocalOptions};
use zenobe_storage::{
    Commit, Engine as _, Expect, Key, Lane, LogRecord, Mutation, Outcome, PageLimit, Position,
    Precondition, Read, Row, ShardId, SpaceId,
};

pub(crate) const SPACE: SpaceId = SpaceId(7);

/// Small limits, so that flushes, compactions and new segments happen in small tests.
pub(crate) fn small_options(directory: &Path) -> LocalOptions {
    let mut options = LocalOptions::new(directory);
    options.memtable_bytes = 256 << 10;
    options.segment_bytes = 64 << 10;
    options.item_cache_bytes = 64 << 10;
    options.block_cache_bytes = 256 << 10;
    options
}

/// The same, with the log in memory.
pub(crate) fn options_with_log(directory: &Path, log: &MemoryDirectory) -> LocalOptions {
    let mut options = small_options(directory);
    options.log_directory = Some(Arc::new(log.clone()));
    options
}

pub(crate) fn open(directory: &Path) -> LocalEngine {
    LocalEngine::open(small_options(directory)).unwrap()
}

pub(crate) async fn open_with_space(directory: &Path) -> LocalEngine {
    let engine = open(directory);
    engine.create_space(SPACE).await.unwrap();
    engine
}

pub(crate) fn key(name: impl AsRef<[u8]>) -> Key {
    Key {
        space: SPACE,
        partition: Bytes::copy_from_slice(name.as_ref()),
        lane: Lane::ITEM,
        sort: Bytes::new(),
    }
}

pub(crate) fn put(key: Key, value: impl Into<Bytes>) -> Commit {
    Commit { mutations: vec![Mutation { key, value: Some(value.into()) }], ..Commit::default() }
}

pub(crate) fn delete(key: Key) -> Commit {
    Commit { mutations: vec![Mutation { key, value: None }], ..Commit::default() }
}

pub(crate) fn expecting(mut commit: Commit, key: Key, expect: Expect) -> Commit {
    commit.preconditions.push(Precondition { key, expect });
    commit
}

pub(crate) fn recording(mut commit: Commit, shard: u64, payload: impl Into<Bytes>) -> Commit {
    commit.records.push(LogRecord { shard: ShardId(shard), payload: payload.into() });
    commit
}

/// Commits what must not conflict, without waiting for the disk.
pub(crate) async fn commit(engine: &LocalEngine, commit: Commit) -> Position {
    match engine.commit(commit).await.unwrap() {
        Outcome::Committed { position, .. } => position,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn commit_durably(engine: &LocalEngine, what: Commit) -> Position {
    let position = commit(engine, what).await;
    engine.durable(position).await.unwrap();
    position
}

pub(crate) async fn value(engine: &LocalEngine, key: Key) -> Option<Bytes> {
    engine.get(key, Read::Strong).await.unwrap().map(|row: Row| row.value)
}

pub(crate) async fn records(engine: &LocalEngine, shard: u64) -> Vec<Bytes> {
    let limit = PageLimit { rows: usize::MAX, bytes: usize::MAX };
    let records = engine.log_read(ShardId(shard), None, limit).await.unwrap().records;
    records.into_iter().map(|record| record.payload).collect()
}

pub(crate) fn figure(engine: &LocalEngine, name: &str) -> f64 {
    engine.figures().into_iter().find(|figure| figure.name == name).unwrap().value
}

/// Copies a directory and all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, beside) = entry.map(|e| (e.path(), to.join(e.file_name()))).unwrap();
        if path.is_dir() {
            copy(&path, &beside);
        } else {
            std::fs::copy(path, beside).unwrap();
        }
    }
}
