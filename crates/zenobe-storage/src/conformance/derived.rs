//! Derived rows: what follows from a commit in other partitions and spaces.

use super::EngineFactory;
use super::fixture::{SPACE, Store, absent, at, bytes, commit_of, delete, key, on_threads, put};
use crate::{Commit, EngineError, Key, Mutation, SpaceId, Version};

const OTHER: SpaceId = SpaceId(SPACE.0 + 1);

fn there(partition: &str, sort: &str) -> Key {
    Key { space: OTHER, ..key(partition, sort) }
}

async fn store(factory: &dyn EngineFactory, name: &str) -> Store {
    let store = Store::new(factory, name).await;
    store.engine.create_space(OTHER).await.unwrap();
    store
}

fn deriving(mutations: Vec<Mutation>, derived: Vec<Mutation>) -> Commit {
    Commit { derived, ..commit_of(Vec::new(), mutations) }
}

/// Derived rows come with their commit, in other partitions and spaces, and have its version.
pub async fn derived_rows_follow_their_commit(factory: &dyn EngineFactory) {
    let store = store(factory, "derived_rows_follow_their_commit").await;
    let derived = vec![put(there("a", "1"), "x"), put(there("b", "2"), "y")];
    let (_, version) = store.commit(deriving(vec![put(key("p", "s"), "item")], derived)).await;
    store.becomes(there("a", "1"), Some("x")).await;
    store.becomes(there("b", "2"), Some("y")).await;
    assert_eq!(store.get(there("a", "1")).await.map(|row| row.version), Some(version));
    let moved = vec![delete(there("a", "1")), put(there("c", "1"), "x")];
    store.commit(deriving(vec![put(key("p", "s"), "moved")], moved)).await;
    store.becomes(there("a", "1"), None).await;
    store.becomes(there("c", "1"), Some("x")).await;
    assert_eq!(store.value(there("b", "2")).await, Some(bytes("y")));
}

/// A commit that is refused derives nothing; one of preconditions only may derive.
pub async fn a_refused_commit_derives_nothing(factory: &dyn EngineFactory) {
    let store = store(factory, "a_refused_commit_derives_nothing").await;
    let version = store.put(key("p", "s"), "item").await;
    let refused = commit_of(vec![absent(key("p", "s"))], Vec::new());
    store.conflict(Commit { derived: vec![put(there("a", "1"), "no")], ..refused }).await;
    let checked = commit_of(vec![at(key("p", "s"), version)], Vec::new());
    store.commit(Commit { derived: vec![put(there("a", "2"), "yes")], ..checked }).await;
    store.becomes(there("a", "2"), Some("yes")).await;
    assert_eq!(store.get(there("a", "1")).await, None);
}

/// Of commits that derive the same row, the last one stands, however many threads relay them.
pub async fn the_last_derivation_stands(factory: &dyn EngineFactory) {
    const ROUNDS: u64 = 12;
    let store = store(factory, "the_last_derivation_stands").await;
    on_threads(4, |thread| {
        factory.block_on(Box::pin(async {
            let item = key("p", "s");
            for round in 0..ROUNDS {
                let value = format!("{thread}/{round}");
                let derived = match round % 3 {
                    2 => delete(there("a", "1")),
                    _ => put(there("a", "1"), &value),
                };
                store.commit(deriving(vec![put(item.clone(), &value)], vec![derived])).await;
            }
        }));
    });
    // The row follows from the last commit of all, whose value the item has.
    let last = store.get(key("p", "s")).await.unwrap();
    let text = String::from_utf8_lossy(&last.value).into_owned();
    let is_deletion = text.ends_with(&format!("/{}", ROUNDS - 1));
    store.becomes(there("a", "1"), (!is_deletion).then_some(&text)).await;
    let found = store.get(there("a", "1")).await.map(|row| row.version);
    let expected: Option<Version> = (!is_deletion).then_some(last.version);
    assert_eq!(found, expected);
}

/// A space that derived rows go to may be dropped. With `global_commit` such a commit is refused.
pub async fn derived_rows_of_a_dropped_space_are_forgotten(factory: &dyn EngineFactory) {
    let store = store(factory, "derived_rows_of_a_dropped_space_are_forgotten").await;
    store.engine.drop_space(OTHER).await.unwrap();
    let commit = deriving(vec![put(key("p", "s"), "item")], vec![put(there("a", "1"), "x")]);
    if store.global_commit() {
        assert_eq!(store.try_commit(commit).await.err(), Some(EngineError::NoSpace(OTHER)));
        return;
    }
    store.commit(commit).await;
    assert_eq!(store.value(key("p", "s")).await, Some(bytes("item")));
    store.put(key("p", "s"), "again").await;
}
