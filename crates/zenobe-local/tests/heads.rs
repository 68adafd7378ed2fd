//! Heads are those of the rows, and take no reads of the tree once they are known.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test code, outside the functions that the lint knows as such"
)]

mod support;

use support::{commit, commit_durably, delete, key, open_with_space, put};
use zenobe_local::LocalEngine;
use zenobe_storage::{Engine as _, Expect, Key, Outcome, Read, Row};

fn tree_reads(engine: &LocalEngine) -> f64 {
    engine.figures().into_iter().find(|figure| figure.name == "tree_reads_total").unwrap().value
}

/// The rows as a full read has them, their values cut off.
async fn cut_off(engine: &LocalEngine, keys: &[Key], bytes: usize) -> Vec<Option<Row>> {
    let mut rows = engine.multi_get(keys.to_vec(), Read::Latest).await.unwrap();
    rows.iter_mut().flatten().for_each(|row| row.value.truncate(bytes));
    rows
}

#[tokio::test]
async fn a_head_is_read_from_the_tree_once_and_kept_when_its_row_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let keys: Vec<Key> = (0..50).map(|n| key(format!("{n}"))).collect();
    let engine = open_with_space(directory.path()).await;
    for key in &keys {
        commit_durably(&engine, put(key.clone(), "a value of more than fifteen bytes")).await;
    }
    engine.checkpoint().await.unwrap();
    engine.close().await.unwrap();
    drop(engine);
    // Room for all: in a small table, a head may take the place of another.
    let mut options = support::small_options(directory.path());
    options.item_cache_bytes = 4 << 20;
    let engine = LocalEngine::open(options).unwrap();
    let first = engine.heads(keys.clone(), 15).await.unwrap();
    assert_eq!(tree_reads(&engine), 50.0);
    assert!(first.iter().all(|row| row.as_ref().is_some_and(|row| row.value == "a value of more")));
    for (key, row) in keys.iter().zip(&first) {
        let expect = Expect::At(row.as_ref().unwrap().version);
        let rewrite = support::expecting(put(key.clone(), "short"), key.clone(), expect);
        commit(&engine, rewrite).await;
    }
    let second = engine.heads(keys, 15).await.unwrap();
    assert!(second.iter().all(|row| row.as_ref().is_some_and(|row| row.value == "short")));
    assert_eq!(tree_reads(&engine), 50.0, "neither the commits nor the heads read the tree again");
}

#[tokio::test]
async fn heads_are_those_of_the_rows_whatever_was_written_flushed_and_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open_with_space(directory.path()).await;
    let keys: Vec<Key> = (0..3000).map(|n| key(format!("{n}"))).collect();
    let mut random = 1_usize;
    for round in 0..4000 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040);
        let key = keys[(random >> 33) % keys.len()].clone();
        match random >> 60 {
            0..=3 => commit(&engine, delete(key)).await,
            length => commit(&engine, put(key, vec![b'v'; length * 3])).await,
        };
        if round % 500 == 499 {
            for bytes in [0, 4, 15, 16, 1000] {
                let expected = cut_off(&engine, &keys, bytes).await;
                assert_eq!(engine.heads(keys.clone(), bytes).await.unwrap(), expected);
            }
            engine.checkpoint().await.unwrap();
        }
    }
}

#[tokio::test]
async fn who_expects_what_a_head_says_is_refused_once_it_has_changed() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open_with_space(directory.path()).await;
    commit_durably(&engine, put(key("a"), "old")).await;
    let head = engine.heads(vec![key("a")], 15).await.unwrap().remove(0).unwrap();
    commit_durably(&engine, put(key("a"), "new")).await;
    let late = support::expecting(put(key("a"), "late"), key("a"), Expect::At(head.version));
    let Outcome::Conflict { current: Some(Some(row)), .. } = engine.commit(late).await.unwrap()
    else {
        panic!("the row has changed")
    };
    assert_eq!(row.value, "new");
}
