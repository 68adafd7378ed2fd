//! What a crash leaves half done is not taken for something else, and does not stay.

#![allow(
    clippy::unwrap_used,
    reason = "test code, outside the functions that the lint knows as such"
)]

mod support;

use std::time::Duration;

use support::{SPACE, commit_durably, copy, figure, key, open, open_with_space, put, value};
use zenobe_storage::Engine as _;

#[tokio::test]
async fn a_segment_made_just_before_a_crash_does_not_cost_the_next_one() {
    let directory = tempfile::tempdir().unwrap();
    drop(open_with_space(directory.path()).await);
    for round in 0..3 {
        // What a crash leaves that comes between making a segment and writing its name down.
        let log = directory.path().join("log");
        let id = |name: &str| u64::from_str_radix(name.strip_suffix(".log")?, 16).ok();
        let newest = std::fs::read_dir(&log)
            .unwrap()
            .filter_map(|entry| id(&entry.unwrap().file_name().into_string().unwrap()))
            .max()
            .unwrap();
        std::fs::write(log.join(format!("{:016x}.log", newest + 1)), [0; 4096]).unwrap();
        let engine = open(directory.path());
        commit_durably(&engine, put(key(format!("{round}")), "kept")).await;
        for earlier in 0..=round {
            assert_eq!(value(&engine, key(format!("{earlier}"))).await.unwrap(), "kept");
        }
    }
}

#[tokio::test]
async fn the_tables_of_a_space_that_was_dropped_just_before_a_crash_do_not_stay() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open_with_space(directory.path()).await;
    for n in 0..100 {
        commit_durably(&engine, put(key(format!("{n}")), vec![b'x'; 3000])).await;
    }
    engine.checkpoint().await.unwrap();
    engine.close().await.unwrap();
    let crashed = tempfile::tempdir().unwrap();
    copy(directory.path(), crashed.path());
    let engine = open(directory.path());
    engine.drop_space(SPACE).await.unwrap();
    engine.close().await.unwrap();
    // The drop is written down, and its tables are still there.
    std::fs::copy(directory.path().join("MANIFEST"), crashed.path().join("MANIFEST")).unwrap();
    std::fs::remove_dir_all(crashed.path().join("log")).unwrap();
    copy(&directory.path().join("log"), &crashed.path().join("log"));
    let engine = open(crashed.path());
    let dropped = async {
        while figure(&engine, "tree_disk_bytes") > 0.5 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), dropped).await.unwrap();
}
