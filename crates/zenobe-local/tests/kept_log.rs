//! Log that is kept for its records is not read again at every start, and damage to it is not silent.

#![allow(
    clippy::unwrap_used,
    reason = "test code, outside the functions that the lint knows as such"
)]

mod support;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use support::{
    SPACE, commit_durably, copy, key, open, open_with_space, put, recording, records, value,
};
use zenobe_local::LocalEngine;
use zenobe_local::log::Segment;
use zenobe_local::log::io::{DiskDirectory, LogDirectory as _};
use zenobe_local::log::summary::Summary;
use zenobe_storage::{Engine as _, EngineError, PageLimit, Position, ShardId};

const COMMITS: u32 = 400;

/// The files of the log whose names stand for an id, in order.
fn files(directory: &Path, id_of: impl Fn(&str) -> Option<u64>) -> Vec<(u64, PathBuf)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory.join("log")).unwrap() {
        let entry = entry.unwrap();
        if let Some(id) = entry.file_name().to_str().and_then(&id_of) {
            files.push((id, entry.path()));
        }
    }
    files.sort();
    files
}

/// Several segments with records of two shards, all rows flushed; the directory is closed again.
async fn kept_log() -> (tempfile::TempDir, Vec<Bytes>) {
    let directory = tempfile::tempdir().unwrap();
    let engine = open_with_space(directory.path()).await;
    let mut expected = Vec::new();
    for n in 0..COMMITS {
        let put = put(key(format!("key {n}")), vec![b'v'; 900]);
        let shard = if n % 5 == 0 { 2 } else { 1 };
        let record = format!("record {n}");
        if shard == 1 {
            expected.push(Bytes::from(record.clone()));
        }
        commit_durably(&engine, recording(put, shard, record)).await;
    }
    engine.checkpoint().await.unwrap();
    engine.close().await.unwrap();
    (directory, expected)
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    *bytes.get_mut(at).unwrap() ^= 4;
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn sealed_segments_are_not_read_and_their_records_are_there() {
    let (directory, expected) = kept_log().await;
    let summaries = files(directory.path(), Summary::id_of);
    assert!(summaries.len() >= 3, "{summaries:?}");
    for round in 0..3 {
        let engine = open(directory.path());
        assert_eq!(records(&engine, 1).await, expected, "round {round}");
        assert_eq!(records(&engine, 2).await.len(), COMMITS as usize / 5);
        assert_eq!(value(&engine, key("key 7")).await, Some(vec![b'v'; 900].into()));
    }
    assert_eq!(files(directory.path(), Summary::id_of), summaries);
}

#[tokio::test]
async fn a_damaged_segment_is_reported_when_its_records_are_read() {
    let (directory, _) = kept_log().await;
    let (id, summary) = files(directory.path(), Summary::id_of).swap_remove(1);
    let segments = files(directory.path(), Segment::id_of);
    let (_, segment) = segments.into_iter().find(|(other, _)| *other == id).unwrap();
    for at in [5000, 20_000, 20_004, 41_500] {
        flip(&segment, at);
        let engine = open(directory.path());
        let limit = PageLimit { rows: usize::MAX, bytes: usize::MAX };
        let read = engine.log_read(ShardId(1), None, limit).await;
        assert!(matches!(read, Err(EngineError::Corrupt(_))), "a bit of byte {at}: {read:?}");
        drop(engine);
        flip(&segment, at);
    }
    // Without the summary the segment is read, so opening itself is refused.
    flip(&segment, 5000);
    std::fs::remove_file(summary).unwrap();
    let refused = LocalEngine::open(support::small_options(directory.path()));
    assert!(matches!(refused, Err(EngineError::Corrupt(_))), "{refused:?}");
}

#[tokio::test]
async fn a_segment_that_was_damaged_before_it_was_summed_up_is_given_back_like_others() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = support::small_options(directory.path());
    // Nothing is flushed and summed up too early.
    options.memtable_bytes = 64 << 20;
    let engine = LocalEngine::open(options).unwrap();
    engine.create_space(SPACE).await.unwrap();
    let mut positions = Vec::new();
    for n in 0..400 {
        let put = put(key(format!("key {n}")), vec![b'v'; 900]);
        positions.push(commit_durably(&engine, recording(put, 1, format!("record {n}"))).await);
    }
    let (id, segment) = files(directory.path(), Segment::id_of).into_iter().nth_back(3).unwrap();
    flip(&segment, 30_000);
    engine.checkpoint().await.unwrap();
    assert!(files(directory.path(), Summary::id_of).iter().all(|(other, _)| *other != id));
    // Until it is the last that is given back.
    for position in positions {
        if !segment.exists() {
            break;
        }
        engine.log_trim(ShardId(1), position).await.unwrap();
        engine.checkpoint().await.unwrap();
    }
    assert!(!segment.exists());
    engine.close().await.unwrap();
    let engine = open(directory.path());
    assert_eq!(value(&engine, key("key 7")).await, Some(vec![b'v'; 900].into()));
}

#[tokio::test]
async fn a_damaged_summary_is_not_relied_on() {
    let (directory, expected) = kept_log().await;
    for (_, summary) in files(directory.path(), Summary::id_of) {
        flip(&summary, 30);
    }
    let engine = open(directory.path());
    assert_eq!(records(&engine, 1).await, expected);
    // They are made again when the next rows are flushed.
    commit_durably(&engine, put(key("one more"), "row")).await;
    engine.checkpoint().await.unwrap();
    drop(engine);
    let engine = open(directory.path());
    assert_eq!(records(&engine, 1).await, expected);
}

#[tokio::test]
async fn a_summary_that_does_not_fit_the_log_is_not_relied_on() {
    let (directory, expected) = kept_log().await;
    let log = DiskDirectory::open(directory.path().join("log")).unwrap();
    let manifest = std::fs::read(directory.path().join("MANIFEST")).unwrap();
    let salt = u64::from_le_bytes(manifest.get(16..24).unwrap().try_into().unwrap());
    let segments = files(directory.path(), Segment::id_of);
    let (id, path) = segments.get(1).unwrap();
    let size_bytes = std::fs::metadata(path).unwrap().len();
    let segment = Segment::new(*id, log.open(&Segment::name(*id)).unwrap(), size_bytes, salt);
    let right = Summary::load(&log, &segment).unwrap();
    let (first_lsn, last_lsn) = (right.first_lsn, right.last_lsn);
    let wrong = [
        Summary { first_lsn: first_lsn - 1, ..right.clone() },
        Summary { first_lsn: first_lsn + 1, ..right.clone() },
        Summary { last_lsn: first_lsn - 1, ..right.clone() },
        Summary { size_bytes: size_bytes + 1, last_lsn: last_lsn - 1, ..right.clone() },
    ];
    for wrong in wrong {
        wrong.store(&log, segment.seed).unwrap();
        assert_eq!(records(&open(directory.path()), 1).await, expected, "{wrong:?}");
        // For it is the segment that is read.
        flip(path, 5000);
        let refused = LocalEngine::open(support::small_options(directory.path()));
        assert!(matches!(refused, Err(EngineError::Corrupt(_))), "{wrong:?}: {refused:?}");
        flip(path, 5000);
    }
}

#[tokio::test]
async fn a_segment_is_read_though_it_is_summed_up_while_its_rows_are_in_no_table() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = support::small_options(directory.path());
    // Nothing is flushed before the tables are put aside.
    options.memtable_bytes = 64 << 20;
    let engine = LocalEngine::open(options.clone()).unwrap();
    engine.create_space(SPACE).await.unwrap();
    let mut expected = Vec::new();
    for n in 0..COMMITS {
        let put = put(key(format!("key {n}")), vec![b'v'; 900]);
        commit_durably(&engine, recording(put, 1, format!("record {n}"))).await;
        expected.push(Bytes::from(format!("record {n}")));
    }
    let (tree, aside) = (directory.path().join("tree"), directory.path().join("aside"));
    copy(&tree, &aside);
    engine.checkpoint().await.unwrap();
    engine.close().await.unwrap();
    assert!(files(directory.path(), Summary::id_of).len() >= 3);
    std::fs::remove_dir_all(&tree).unwrap();
    std::fs::rename(&aside, &tree).unwrap();
    let engine = LocalEngine::open(options).unwrap();
    for n in 0..COMMITS {
        assert!(value(&engine, key(format!("key {n}"))).await.is_some(), "row {n}");
    }
    assert_eq!(records(&engine, 1).await, expected);
}

#[tokio::test]
async fn trimmed_records_stay_trimmed_and_free_the_log() {
    let (directory, expected) = kept_log().await;
    let engine = open(directory.path());
    let limit = PageLimit { rows: usize::MAX, bytes: usize::MAX };
    let all = engine.log_read(ShardId(1), None, limit).await.unwrap().records;
    let (kept, half) = (all.len() / 2, all.get(all.len() / 2 - 1).unwrap().position);
    engine.log_trim(ShardId(1), half).await.unwrap();
    engine.log_trim(ShardId(2), half).await.unwrap();
    commit_durably(&engine, put(key("one more"), "row")).await;
    engine.checkpoint().await.unwrap();
    drop(engine);
    let engine = open(directory.path());
    assert_eq!(records(&engine, 1).await, expected.split_at(kept).1);
    for shard in [1, 2] {
        engine.log_trim(ShardId(shard), Position(u64::from(COMMITS))).await.unwrap();
    }
    commit_durably(&engine, put(key("another"), "row")).await;
    engine.checkpoint().await.unwrap();
    assert!(records(&engine, 1).await.is_empty());
    assert_eq!(files(directory.path(), Summary::id_of), vec![]);
    assert_eq!(files(directory.path(), Segment::id_of).first().map(|(id, _)| *id > 3), Some(true));
}
