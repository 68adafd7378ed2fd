//! Concurrent commits share syncs; reads and an idle engine make none.

#![allow(
    clippy::unwrap_used,
    reason = "test code, outside the functions that the lint knows as such"
)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use support::{SPACE, commit, figure, key, open_with_space, put, small_options, value};
use zenobe_local::{Durability, LocalEngine};
use zenobe_storage::Engine as _;

#[tokio::test]
async fn commits_that_wait_together_share_a_sync() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = small_options(directory.path());
    options.segment_bytes = 1 << 20;
    let engine = Arc::new(LocalEngine::open(options).unwrap());
    engine.create_space(SPACE).await.unwrap();
    let before = figure(&engine, "log_fsyncs_total");
    // All are queued before anyone waits, so at most one group can be under way already.
    let mut last = None;
    for n in 0..200 {
        last = Some(commit(&engine, put(key(format!("{n}")), vec![b'v'; 100])).await);
    }
    engine.durable(last.unwrap()).await.unwrap();
    let syncs = figure(&engine, "log_fsyncs_total") - before;
    assert!((1.0..100.0).contains(&syncs), "{syncs} syncs for 200 commits");
    let before = figure(&engine, "log_fsyncs_total");
    for n in 0..200 {
        assert!(value(&engine, key(format!("{n}"))).await.is_some());
    }
    assert!((figure(&engine, "log_fsyncs_total") - before).abs() < 0.5);
}

#[tokio::test]
async fn by_interval_a_commit_does_not_wait_for_a_sync() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = small_options(directory.path());
    options.segment_bytes = 1 << 20;
    options.durability = Durability::Interval(Duration::from_secs(3600));
    let engine = LocalEngine::open(options.clone()).unwrap();
    engine.create_space(SPACE).await.unwrap();
    for n in 0..50 {
        let position = commit(&engine, put(key(format!("{n}")), "v")).await;
        engine.durable(position).await.unwrap();
    }
    assert!(figure(&engine, "log_fsyncs_total") < 0.5);
    // A flush needs the log on disk before the rows: it asks for a sync of its own.
    engine.checkpoint().await.unwrap();
    assert!(figure(&engine, "log_fsyncs_total") > 0.5);
    engine.close().await.unwrap();
    let engine = LocalEngine::open(options).unwrap();
    assert!(value(&engine, key("49")).await.is_some());
}

#[tokio::test]
async fn the_log_is_given_back_when_nobody_needs_it() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open_with_space(directory.path()).await;
    for n in 0..400 {
        let what =
            support::recording(put(key(format!("{n}")), vec![b'v'; 1000]), 3, vec![b'r'; 10]);
        support::commit_durably(&engine, what).await;
    }
    engine.checkpoint().await.unwrap();
    let kept = figure(&engine, "log_segments");
    assert!(kept > 5.0, "{kept} segments: the records of shard 3 are still needed");
    assert_eq!(support::records(&engine, 3).await.len(), 400);
    let last = support::commit_durably(&engine, put(key("last"), "v")).await;
    engine.log_trim(zenobe_storage::ShardId(3), last).await.unwrap();
    engine.checkpoint().await.unwrap();
    let kept = figure(&engine, "log_segments");
    assert!(kept < 4.0, "{kept} segments for nobody");
    assert!(support::records(&engine, 3).await.is_empty());
    engine.close().await.unwrap();
    let engine = support::open(directory.path());
    assert!(value(&engine, key("399")).await.is_some());
    assert!(support::records(&engine, 3).await.is_empty());
}
