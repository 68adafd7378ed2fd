//! A segment that a crash left nameless in the manifest is not taken for the one made in its place.

#![allow(
    clippy::unwrap_used,
    reason = "test code, outside the functions that the lint knows as such"
)]

mod support;

use support::{commit_durably, key, open, open_with_space, put, value};

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
