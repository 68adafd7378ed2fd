//! Commits: preconditions and mutations that happen as a whole or not at all.

use super::EngineFactory;
use super::fixture::{SPACE, Store, absent, at, bytes, commit_of, delete, key, key_in, put};
use crate::{EngineError, Key, Lane, Outcome, SpaceId, Version};

/// An insert that expects no row fails when there is one, and works again after its deletion.
pub async fn absent_is_required_for_an_insert(factory: &dyn EngineFactory) {
    let store = Store::new(factory, "absent_is_required_for_an_insert").await;
    let insert =
        |value: &str| commit_of(vec![absent(key("p", "s"))], vec![put(key("p", "s"), value)]);
    store.commit(insert("one")).await;
    let (conflicting, _) = store.conflict(insert("two")).await;
    assert_eq!(conflicting, key("p", "s"));
    assert_eq!(store.value(key("p", "s")).await, Some(bytes("one")));
    store.delete(key("p", "s")).await;
    store.commit(insert("three")).await;
    assert_eq!(store.value(key("p", "s")).await, Some(bytes("three")));
}

/// A version that is not the current one any more is refused, and so is one of a row that is gone.
pub async fn the_version_must_be_the_current_one(factory: &dyn EngineFactory) {
    let store = Store::new(factory, "the_version_must_be_the_current_one").await;
    let row = key("p", "s");
    let write = |version, value: &str| {
        commit_of(vec![at(row.clone(), version)], vec![put(row.clone(), value)])
    };
    let first = store.put(row.clone(), "one").await;
    let (_, second) = store.commit(write(first, "two")).await;
    store.conflict(write(first, "three")).await;
    assert_eq!(store.value(row.clone()).await, Some(bytes("two")));
    store.commit(commit_of(vec![at(row.clone(), second)], vec![delete(row.clone())])).await;
    store.conflict(write(second, "four")).await;
    store.conflict(write(Version(0), "five")).await;
    store.conflict(write(Version(u64::MAX), "six")).await;
    assert_eq!(store.get(row).await, None);
}

/// A conflict names the key, and tells the row as it is now unless the engine cannot know it.
pub async fn a_conflict_tells_the_current_row(factory: &dyn EngineFactory) {
    let store = Store::new(factory, "a_conflict_tells_the_current_row").await;
    let row = key("p", "s");
    let check = async |expected: Option<&str>, stale: Version| {
        let commit = commit_of(vec![at(row.clone(), stale)], vec![put(row.clone(), "never")]);
        let (conflicting, current) = store.conflict(commit).await;
        assert_eq!(conflicting, row);
        if let Some(current) = current {
            assert_eq!(current, store.get(row.clone()).await);
            assert_eq!(current.map(|row| row.value), expected.map(bytes));
        }
    };
    let first = store.put(row.clone(), "one").await;
    store.put(row.clone(), "two").await;
    check(Some("two"), first).await;
    store.delete(row.clone()).await;
    check(None, first).await;
    store.put(row.clone(), "").await;
    check(Some(""), first).await;
}

/// One precondition of several that does not hold stops the whole commit, wherever it stands.
pub async fn a_commit_is_all_or_nothing(factory: &dyn EngineFactory) {
    let store = Store::new(factory, "a_commit_is_all_or_nothing").await;
    let keys: Vec<Key> = (0..4_u8).map(|index| key("p", [index])).collect();
    let mut versions = Vec::new();
    for key in &keys {
        versions.push(store.put(key.clone(), "old").await);
    }
    let fresh = key("p", "fresh");
    for stale in 0..keys.len() {
        let mut preconditions: Vec<_> =
            keys.iter().cloned().zip(&versions).map(|(key, v)| at(key, *v)).collect();
        preconditions[stale] = absent(keys[stale].clone());
        let mut mutations: Vec<_> = keys.iter().map(|key| put(key.clone(), "new")).collect();
        mutations[0] = delete(keys[0].clone());
        mutations.push(put(fresh.clone(), "new"));
        let (conflicting, _) = store.conflict(commit_of(preconditions, mutations)).await;
        assert_eq!(conflicting, keys[stale]);
        for (key, version) in keys.iter().zip(&versions) {
            let row = store.get(key.clone()).await.unwrap();
            assert_eq!((row.version, row.value), (*version, bytes("old")));
        }
        assert_eq!(store.get(fresh.clone()).await, None);
    }
    let preconditions: Vec<_> =
        keys.iter().cloned().zip(&versions).map(|(key, v)| at(key, *v)).collect();
    let mutations = keys.iter().map(|key| put(key.clone(), "new")).collect();
    store.commit(commit_of(preconditions, mutations)).await;
    for key in keys {
        assert_eq!(store.value(key).await, Some(bytes("new")));
    }
}

/// A commit may only check. It may also check a row other than those that it writes.
pub async fn a_commit_of_preconditions_only_is_checked(factory: &dyn EngineFactory) {
    let store = Store::new(factory, "a_commit_of_preconditions_only_is_checked").await;
    let version = store.put(key("p", "guard"), "guard").await;
    store
        .commit(commit_of(
            vec![at(key("p", "guard"), version), absent(key("p", "none"))],
            Vec::new(),
        ))
        .await;
    store.conflict(commit_of(vec![absent(key("p", "guard"))], Vec::new())).await;
    store
        .commit(commit_of(vec![at(key("p", "guard"), version)], vec![put(key("p", "s"), "one")]))
        .await;
    assert_eq!(
        store.get(key("p", "guard")).await.unwrap().version,
        version,
        "a check leaves the row alone"
    );
    store.put(key("p", "guard"), "changed").await;
    store
        .conflict(commit_of(vec![at(key("p", "guard"), version)], vec![put(key("p", "s"), "two")]))
        .await;
    assert_eq!(store.value(key("p", "s")).await, Some(bytes("one")));
}

/// The outcome's version is the one under which every row of the commit is read back.
pub async fn the_version_of_a_commit_is_that_of_its_rows(factory: &dyn EngineFactory) {
    let store = Store::new(factory, "the_version_of_a_commit_is_that_of_its_rows").await;
    let mutations = (0..5_u8).map(|index| put(key("p", [index]), [index])).collect();
    let (_, version) = store.commit(commit_of(Vec::new(), mutations)).await;
    for index in 0..5_u8 {
        assert_eq!(store.get(key("p", [index])).await.unwrap().version, version);
    }
}

/// No version of a key comes twice, though the row was deleted and made again; a later one is larger.
pub async fn versions_are_never_used_again(factory: &dyn EngineFactory) {
    let store = Store::new(factory, "versions_are_never_used_again").await;
    let row = key("p", "s");
    let mut last = None;
    for round in 0..60 {
        let version = store.put(row.clone(), "same").await;
        assert!(last < Some(version), "{version:?} after {last:?}");
        if let Some(last) = last {
            store
                .conflict(commit_of(vec![at(row.clone(), last)], vec![put(row.clone(), "lost")]))
                .await;
        }
        last = Some(version);
        if round % 3 != 0 {
            store.delete(row.clone()).await;
        }
    }
}

/// Later commits have larger positions.
pub async fn positions_grow(factory: &dyn EngineFactory) {
    let store = Store::new(factory, "positions_grow").await;
    let mut last = None;
    for index in 0..50_u8 {
        let (position, _) =
            store.commit(commit_of(Vec::new(), vec![put(key([index % 7, 1], "s"), [index])])).await;
        assert!(last < Some(position), "{position:?} after {last:?}");
        store.engine.durable(position).await.unwrap();
        last = Some(position);
    }
}

/// Deleting what is not there changes nothing.
pub async fn deleting_an_absent_row_is_no_error(factory: &dyn EngineFactory) {
    let store = Store::new(factory, "deleting_an_absent_row_is_no_error").await;
    store.delete(key("p", "s")).await;
    store.commit(commit_of(vec![absent(key("p", "s"))], vec![delete(key("p", "s"))])).await;
    assert_eq!(store.get(key("p", "s")).await, None);
    assert!(store.scan_all(Lane::ITEM).await.is_empty());
}

/// All lanes of a partition commit together, on every engine.
pub async fn lanes_of_a_partition_commit_together(factory: &dyn EngineFactory) {
    let store = Store::new(factory, "lanes_of_a_partition_commit_together").await;
    let rows = [
        key("p", "s"),
        key_in(Lane::local_index(0), "p", "index"),
        key_in(Lane(255), "p", "relay"),
    ];
    let preconditions = rows.iter().cloned().map(absent).collect();
    let mutations = rows.iter().cloned().map(|key| put(key, "new")).collect();
    store.commit(commit_of(preconditions, mutations)).await;
    for row in &rows {
        assert_eq!(store.value(row.clone()).await, Some(bytes("new")));
    }
    let mutations = rows.iter().cloned().map(delete).collect();
    store.conflict(commit_of(vec![absent(rows[2].clone())], mutations)).await;
    for row in rows {
        assert_eq!(store.value(row).await, Some(bytes("new")));
    }
}

/// With `global_commit` a commit spans partitions and spaces; without it, it is refused and does nothing.
pub async fn a_commit_spans_partitions_and_spaces_or_is_refused(factory: &dyn EngineFactory) {
    let store = Store::new(factory, "a_commit_spans_partitions_and_spaces_or_is_refused").await;
    let other = SpaceId(SPACE.0 + 1);
    store.engine.create_space(other).await.unwrap();
    let here = key("p", "s");
    for there in [key("q", "s"), Key { space: other, ..here.clone() }] {
        let both = |value: &str| vec![put(here.clone(), value), put(there.clone(), value)];
        let commit = commit_of(vec![absent(there.clone())], both("one"));
        if !store.global_commit() {
            assert!(matches!(store.try_commit(commit).await, Err(EngineError::Unsupported(_))));
            let commit = commit_of(vec![absent(there.clone())], vec![put(here.clone(), "one")]);
            assert!(matches!(store.try_commit(commit).await, Err(EngineError::Unsupported(_))));
            assert_eq!((store.get(here.clone()).await, store.get(there).await), (None, None));
            continue;
        }
        store.commit(commit).await;
        assert_eq!(store.value(here.clone()).await, Some(bytes("one")));
        assert_eq!(store.value(there.clone()).await, Some(bytes("one")));
        store.conflict(commit_of(vec![absent(there.clone())], both("two"))).await;
        assert_eq!(store.value(here.clone()).await, Some(bytes("one")));
        let unknown = Key { space: SpaceId(999), ..here.clone() };
        let commit = commit_of(Vec::new(), vec![put(here.clone(), "three"), put(unknown, "three")]);
        match store.try_commit(commit).await {
            Err(EngineError::NoSpace(space)) => assert_eq!(space, SpaceId(999)),
            outcome => panic!("a commit into a space that does not exist: {outcome:?}"),
        }
        assert_eq!(store.value(here.clone()).await, Some(bytes("one")));
        let outcome = store
            .try_commit(commit_of(Vec::new(), vec![delete(here.clone()), delete(there)]))
            .await;
        assert!(matches!(outcome, Ok(Outcome::Committed { .. })));
    }
}
