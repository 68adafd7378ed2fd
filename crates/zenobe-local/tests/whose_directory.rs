//! A directory that another holds, that a newer version wrote, or that is damaged is not opened.

mod support;

use support::{SPACE, commit_durably, key, open, open_with_space, put, small_options, value};
use xxhash_rust::xxh3::xxh3_64;
use zenobe_local::LocalEngine;
use zenobe_local::log::Segment;
use zenobe_storage::{Engine as _, EngineError};

#[tokio::test]
async fn a_directory_in_use_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open_with_space(directory.path()).await;
    let error = LocalEngine::open(small_options(directory.path())).unwrap_err();
    assert!(
        matches!(&error, EngineError::Unavailable(text) if text.contains("in use by another process")),
        "{error}"
    );
    engine.close().await.unwrap();
    let again = open(directory.path());
    assert_eq!(again.spaces().await.unwrap(), vec![SPACE]);
}

#[tokio::test]
async fn a_new_directory_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("data");
    drop(open_with_space(&directory).await);
    let mode = std::fs::metadata(&directory).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}");
}

#[tokio::test]
async fn a_newer_format_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(open_with_space(directory.path()).await);
    let path = directory.path().join("MANIFEST");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[8] = 2;
    let end = bytes.len() - 8;
    let hash = xxh3_64(&bytes[..end]);
    bytes[end..].copy_from_slice(&hash.to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
    let error = LocalEngine::open(small_options(directory.path())).unwrap_err();
    assert!(
        matches!(&error, EngineError::Unavailable(text) if text.contains("newer version")),
        "{error}"
    );
}

#[tokio::test]
async fn a_missing_tree_is_corruption() {
    let directory = tempfile::tempdir().unwrap();
    drop(open_with_space(directory.path()).await);
    std::fs::remove_dir_all(directory.path().join("tree")).unwrap();
    assert!(matches!(
        LocalEngine::open(small_options(directory.path())),
        Err(EngineError::Corrupt(_))
    ));
}

#[tokio::test]
async fn a_missing_manifest_is_corruption() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open_with_space(directory.path()).await;
    commit_durably(&engine, put(key("a"), "1")).await;
    assert!(value(&engine, key("a")).await.is_some());
    drop(engine);
    std::fs::remove_file(directory.path().join("MANIFEST")).unwrap();
    assert!(matches!(
        LocalEngine::open(small_options(directory.path())),
        Err(EngineError::Corrupt(_))
    ));
}

#[tokio::test]
async fn a_log_that_ends_before_what_the_tables_have_is_corruption() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open_with_space(directory.path()).await;
    commit_durably(&engine, put(key("a"), "1")).await;
    let segment = directory.path().join("log").join(Segment::name(1));
    let old = std::fs::read(&segment).unwrap();
    commit_durably(&engine, put(key("b"), "2")).await;
    engine.checkpoint().await.unwrap();
    engine.close().await.unwrap();
    let new = std::fs::read(&segment).unwrap();
    std::fs::write(&segment, old).unwrap();
    // What says how far the log was synced is as old.
    std::fs::remove_file(directory.path().join("log/SYNCED")).unwrap();
    let error = LocalEngine::open(small_options(directory.path())).unwrap_err();
    assert!(
        matches!(&error, EngineError::Corrupt(text) if text.contains("in the tree already")),
        "{error}"
    );
    std::fs::write(&segment, new).unwrap();
    let engine = open(directory.path());
    assert_eq!(value(&engine, key("b")).await.unwrap(), "2");
}

#[tokio::test]
async fn what_an_interrupted_first_start_leaves_is_no_obstacle() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    // The tree and the first segment's file are made while the manifest is written.
    std::fs::remove_file(directory.path().join("MANIFEST")).unwrap();
    let log = directory.path().join("log");
    std::fs::rename(log.join(Segment::name(1)), log.join("preparing.tmp")).unwrap();
    let engine = open(directory.path());
    assert_eq!(engine.spaces().await.unwrap(), vec![]);
    drop(engine);
    // With tables, or with a segment, something was there once.
    std::fs::remove_file(directory.path().join("MANIFEST")).unwrap();
    std::fs::remove_file(log.join(Segment::name(1))).unwrap();
    std::fs::write(directory.path().join("tree/tables/0"), b"a table").unwrap();
    let refused = LocalEngine::open(small_options(directory.path()));
    assert!(matches!(refused, Err(EngineError::Corrupt(_))), "{refused:?}");
}

#[tokio::test]
async fn without_a_manifest_tables_that_cannot_be_looked_for_are_not_taken_for_data() {
    let directory = tempfile::tempdir().unwrap();
    let tables = directory.path().join("tree/tables");
    std::fs::create_dir(directory.path().join("tree")).unwrap();
    // One that nobody can open.
    std::os::unix::fs::symlink(&tables, &tables).unwrap();
    let error = LocalEngine::open(small_options(directory.path())).unwrap_err();
    assert!(matches!(error, EngineError::Unavailable(_)), "{error}");
    std::fs::remove_file(&tables).unwrap();
    drop(open_with_space(directory.path()).await);
}
