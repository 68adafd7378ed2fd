//! Partitions that are read again are answered from memory, and never as they were before a write.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test code, outside the functions that the lint knows as such"
)]

mod support;

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use support::memory_log::MemoryDirectory;
use support::{SPACE, commit, commit_durably, small_options};
use zenobe_local::LocalEngine;
use zenobe_storage::{
    Commit, Direction, Engine as _, Key, Lane, Mutation, Outcome, Page, PageLimit, RangeRead, Read,
    SortBound,
};

const ROWS: u8 = 20;

fn key(sort: u8) -> Key {
    let (partition, sort) = (Bytes::from_static(b"cart"), Bytes::from(vec![sort]));
    Key { space: SPACE, partition, lane: Lane::ITEM, sort }
}

fn put(sort: u8, value: &str) -> Commit {
    let value = Some(Bytes::copy_from_slice(value.as_bytes()));
    Commit { mutations: vec![Mutation { key: key(sort), value }], ..Commit::default() }
}

fn whole() -> RangeRead {
    RangeRead {
        space: SPACE,
        partition: key(0).partition,
        lane: Lane::ITEM,
        from: Bound::Unbounded,
        to: Bound::Unbounded,
        direction: Direction::Forward,
        limit: PageLimit { rows: usize::MAX, bytes: usize::MAX },
    }
}

async fn engine(directory: &std::path::Path) -> LocalEngine {
    let mut options = small_options(directory);
    options.item_cache_bytes = 8 << 20;
    let engine = LocalEngine::open(options).unwrap();
    engine.create_space(SPACE).await.unwrap();
    engine
}

fn hits(engine: &LocalEngine) -> f64 {
    support::figure(engine, "partition_cache_hits_total")
}

fn sorts(page: &Page) -> Vec<u8> {
    page.rows.iter().map(|(place, _)| place.sort[0]).collect()
}

#[tokio::test]
async fn whatever_part_is_read_is_that_of_the_tables() {
    let directory = tempfile::tempdir().unwrap();
    let engine = engine(directory.path()).await;
    for sort in 0..ROWS {
        commit(&engine, put(sort * 2, &format!("value {sort}"))).await;
    }
    engine.checkpoint().await.unwrap();
    let bounds: Vec<SortBound> = [0, 1, 2, 17, 18, 38, 39]
        .into_iter()
        .map(|sort| Bytes::from(vec![sort]))
        .flat_map(|sort| [Bound::Included(sort.clone()), Bound::Excluded(sort)])
        .chain([Bound::Unbounded, Bound::Included(Bytes::new())])
        .collect();
    let limits = [1, 5, 20, 21].map(|rows| PageLimit { rows, bytes: usize::MAX });
    let limits = limits.into_iter().chain([PageLimit { rows: usize::MAX, bytes: 20 }]);
    let mut ranges = Vec::new();
    for limit in limits {
        for (from, to) in bounds.iter().flat_map(|from| bounds.iter().map(move |to| (from, to))) {
            for direction in [Direction::Forward, Direction::Backward] {
                let (from, to) = (from.clone(), to.clone());
                ranges.push(RangeRead { from, to, direction, limit, ..whole() });
            }
        }
    }
    let snapshot = engine.snapshot().await.unwrap();
    // Once it was asked for, twice it is kept.
    for from in [Bound::Unbounded, Bound::Included(Bytes::new())] {
        engine.range(RangeRead { from, ..whole() }, Read::Strong).await.unwrap();
    }
    let before = hits(&engine);
    for range in &ranges {
        let kept = engine.range(range.clone(), Read::Eventual).await.unwrap();
        let read = engine.range(range.clone(), Read::Snapshot(snapshot.clone())).await.unwrap();
        assert_eq!((kept.rows, kept.end), (read.rows, read.end), "{range:?}");
    }
    assert_eq!(hits(&engine) - before, ranges.len() as f64);
}

#[tokio::test]
async fn a_write_to_the_partition_is_seen_by_the_next_read() {
    let directory = tempfile::tempdir().unwrap();
    let engine = engine(directory.path()).await;
    let mut expected = Vec::new();
    for sort in 0..ROWS {
        commit_durably(&engine, put(sort, "value")).await;
        expected.push(sort);
        for _ in 0..3 {
            for read in [Read::Strong, Read::Latest, Read::Eventual] {
                assert_eq!(sorts(&engine.range(whole(), read).await.unwrap()), expected);
            }
        }
    }
    assert!(hits(&engine) > 0.0);
    for sort in 0..ROWS {
        let deletion = Mutation { key: key(sort), value: None };
        let deletion = Commit { mutations: vec![deletion], ..Commit::default() };
        commit_durably(&engine, deletion).await;
        expected.retain(|other| *other != sort);
        for read in [Read::Strong, Read::Strong, Read::Eventual] {
            assert_eq!(sorts(&engine.range(whole(), read).await.unwrap()), expected);
        }
    }
    engine.drop_space(SPACE).await.unwrap();
    engine.create_space(SPACE).await.unwrap();
    assert!(engine.range(whole(), Read::Strong).await.unwrap().rows.is_empty());
}

#[tokio::test]
async fn a_snapshot_is_not_answered_from_what_was_kept_after_it() {
    let directory = tempfile::tempdir().unwrap();
    let engine = engine(directory.path()).await;
    for sort in 0..ROWS {
        commit_durably(&engine, put(sort, "old")).await;
    }
    let snapshot = engine.snapshot().await.unwrap();
    let old = engine.range(whole(), Read::Snapshot(snapshot.clone())).await.unwrap();
    commit_durably(&engine, put(0, "new")).await;
    commit_durably(&engine, put(ROWS, "new")).await;
    let deletion = Mutation { key: key(1), value: None };
    commit_durably(&engine, Commit { mutations: vec![deletion], ..Commit::default() }).await;
    for flushed in [false, true] {
        if flushed {
            engine.checkpoint().await.unwrap();
        }
        let before = hits(&engine);
        let now = engine.range(whole(), Read::Strong).await.unwrap();
        for _ in 0..2 {
            let read = engine.range(whole(), Read::Snapshot(snapshot.clone())).await.unwrap();
            assert_eq!(read.rows, old.rows, "flushed: {flushed}");
            // Nor is what a snapshot reads kept for others.
            assert_eq!(engine.range(whole(), Read::Strong).await.unwrap().rows, now.rows);
        }
        assert!(hits(&engine) > before);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_has_written_never_reads_what_was_before() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Arc::new(engine(directory.path()).await);
    let writer = |sort: u8| {
        let engine = engine.clone();
        async move {
            for n in 0..300 {
                // Long, so that memtables are begun all the time.
                let outcome = engine.commit(put(sort, &format!("{n:8000}"))).await.unwrap();
                let Outcome::Committed { version, .. } = outcome else { panic!("{outcome:?}") };
                for _ in 0..3 {
                    let page = engine.range(whole(), Read::Strong).await.unwrap();
                    let (_, row) =
                        page.rows.iter().find(|(place, _)| place.sort[0] == sort).unwrap();
                    assert!(row.version >= version, "{:?} after {version:?}", row.version);
                }
            }
        }
    };
    let writers: Vec<_> = (0..3).map(|sort| tokio::spawn(writer(sort))).collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let snapshot = engine.snapshot().await.unwrap();
    let before = hits(&engine);
    let read = engine.range(whole(), Read::Snapshot(snapshot)).await.unwrap();
    for _ in 0..3 {
        assert_eq!(engine.range(whole(), Read::Strong).await.unwrap().rows, read.rows);
    }
    assert!(hits(&engine) > before);
}

#[tokio::test]
async fn what_is_not_durable_is_shown_to_nobody_who_must_not_see_it() {
    let directory = tempfile::tempdir().unwrap();
    let log = MemoryDirectory::default();
    let mut options = support::options_with_log(directory.path(), &log);
    options.item_cache_bytes = 8 << 20;
    let engine = LocalEngine::open(options).unwrap();
    engine.create_space(SPACE).await.unwrap();
    commit_durably(&engine, put(0, "old")).await;
    log.fail_syncs(true);
    let position = commit(&engine, put(0, "new")).await;
    assert!(engine.durable(position).await.is_err());
    for _ in 0..3 {
        let page = engine.range(whole(), Read::Latest).await.unwrap();
        assert_eq!(page.rows[0].1.value, "new");
    }
    assert!(hits(&engine) > 0.0);
    let page = engine.range(whole(), Read::Eventual).await.unwrap();
    assert_eq!(page.rows[0].1.value, "old");
    assert!(engine.range(whole(), Read::Strong).await.is_err());
}
