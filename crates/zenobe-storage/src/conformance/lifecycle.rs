//! Checkpoints, closing and opening again.

use super::EngineFactory;
use super::fixture::{
    ALL_ROWS, SPACE, Store, absent, at, bytes, commit_of, delete, key, key_in, put,
};
use super::fixture::{whole_range, whole_scan};
use crate::{Commit, EngineError, Health, Key, Lane, LogRecord, Position, Read, ShardId, SpaceId};

/// Every call to a closed engine says that it is closed.
pub async fn a_closed_engine_answers_closed(factory: &dyn EngineFactory) {
    let store = Store::new(factory, "a_closed_engine_answers_closed").await;
    store.put(key("p", "s"), "value").await;
    let engine = &store.engine;
    assert_eq!(engine.health(), Health::Writable);
    engine.close().await.unwrap();
    let closed = Some(EngineError::Closed);
    for read in [Read::Eventual, Read::Latest, Read::Strong] {
        assert_eq!(engine.get(key("p", "s"), read.clone()).await.err(), closed);
        assert_eq!(engine.multi_get(vec![key("p", "s")], read.clone()).await.err(), closed);
        assert_eq!(engine.range(whole_range("p", Lane::ITEM), read.clone()).await.err(), closed);
        assert_eq!(engine.scan(whole_scan(Lane::ITEM), read).await.err(), closed);
    }
    assert_eq!(
        engine.commit(commit_of(Vec::new(), vec![put(key("p", "s"), "new")])).await.err(),
        closed
    );
    assert_eq!(engine.create_space(SpaceId(1)).await.err(), closed);
    assert_eq!(engine.drop_space(SPACE).await.err(), closed);
    assert_eq!(engine.spaces().await.err(), closed);
    if engine.capabilities().snapshot_read {
        assert_eq!(engine.snapshot().await.err(), closed);
    }
    assert_eq!(engine.log_read(ShardId(1), None, ALL_ROWS).await.err(), closed);
    assert_eq!(engine.log_trim(ShardId(1), Position(1)).await.err(), closed);
    assert_eq!(engine.checkpoint().await.err(), closed);
    assert_eq!(engine.space_stats(SPACE).await.err(), closed);
    assert_eq!(engine.health(), Health::WritesRefused(EngineError::Closed));
    // These cannot fail; they must not panic either.
    let _ =
        (engine.figures(), engine.capabilities(), engine.splits(3), engine.partition_hash(b"p"));
}

/// Checkpoints may come at any time and change nothing that a reader sees.
pub async fn a_checkpoint_changes_nothing(factory: &dyn EngineFactory) {
    let store = Store::new(factory, "a_checkpoint_changes_nothing").await;
    store.engine.checkpoint().await.unwrap();
    let mut version = None;
    for round in 0..10_u8 {
        let check =
            version.map_or_else(|| absent(key("p", "s")), |version| at(key("p", "s"), version));
        let mutations = vec![
            put(key("p", "s"), [round]),
            put(key("p", [round]), [round]),
            delete(key("p", [round - round % 2])),
        ];
        let mutations = if round % 2 == 0 { mutations[..2].to_vec() } else { mutations };
        version = Some(store.commit(commit_of(vec![check], mutations)).await.1);
        let before = store.scan_all(Lane::ITEM).await;
        store.engine.checkpoint().await.unwrap();
        assert_eq!(store.scan_all(Lane::ITEM).await, before);
        assert_eq!(store.value(key("p", "s")).await, Some(bytes([round])));
    }
    assert!(store.engine.space_stats(SPACE).await.is_ok());
    assert!(
        store
            .engine
            .figures()
            .iter()
            .all(|figure| figure.value.is_finite() && !figure.help.is_empty())
    );
}

/// Where [`Read::Latest`] promises it, what it returned of rows and their absence stays, though nobody waited for
/// their commits and the process ended without a word.
pub async fn what_durable_reads_told_outlives_the_process(factory: &dyn EngineFactory) {
    let name = "what_durable_reads_told_outlives_the_process";
    let mut store = Store::new(factory, name).await;
    let promised = store.engine.capabilities().latest_is_durable;
    for round in 0..3_u8 {
        let keys = [key("p", "s"), key("q", [round]), key("q", [round.wrapping_sub(1)])];
        store.put(keys[0].clone(), [round]).await;
        store.put(keys[1].clone(), "x").await;
        store.delete(keys[2].clone()).await;
        let read = store.engine.multi_get(keys.to_vec(), Read::Latest).await.unwrap();
        assert_eq!(read.iter().map(Option::is_some).collect::<Vec<_>>(), [true, true, false]);
        if !promised || !factory.keeps_data() {
            continue;
        }
        drop(store);
        store = Store::with(factory.open(name).await).await;
        assert_eq!(store.engine.multi_get(keys.to_vec(), Read::Strong).await.unwrap(), read);
    }
}

/// Rows, deletions, spaces and the log are after reopening what they were before, with their versions.
pub async fn everything_is_there_after_reopening(factory: &dyn EngineFactory) {
    if !factory.keeps_data() {
        return;
    }
    let name = "everything_is_there_after_reopening";
    let mut store = Store::new(factory, name).await;
    let (dropped, other) = (SpaceId(20), SpaceId(21));
    store.engine.create_space(dropped).await.unwrap();
    store.engine.create_space(other).await.unwrap();
    store.put(Key { space: dropped, ..key("p", "s") }, "dropped").await;
    store.engine.drop_space(dropped).await.unwrap();
    let shard = ShardId(5);
    let mut trimmed = None;
    for round in 0..4_u8 {
        for index in 0..50_u8 {
            let mut mutations = vec![put(key([index % 7, 1], [index]), [round, index])];
            mutations.push(put(key_in(Lane(255), [index % 7, 1], [index]), [index]));
            if index % 5 == round {
                mutations[0] = delete(key([index % 7, 1], [index]));
            }
            let records = vec![LogRecord { shard, payload: bytes([round, index]) }];
            let (position, _) =
                store.commit(Commit { records, ..commit_of(Vec::new(), mutations) }).await;
            if (round, index) == (1, 20) {
                store.engine.durable(position).await.unwrap();
                store.engine.log_trim(shard, position).await.unwrap();
                trimmed = Some(position);
            }
        }
        if round == 2 {
            store.engine.checkpoint().await.unwrap();
        }
        store.put(Key { space: other, ..key("p", [round]) }, [round; 1000]).await;
        let rows = (store.scan_all(Lane::ITEM).await, store.scan_all(Lane(255)).await);
        let other_rows =
            store.scan(crate::ScanRead { space: other, ..whole_scan(Lane::ITEM) }).await.rows;
        let records = store.engine.log_read(shard, None, ALL_ROWS).await.unwrap().records;
        store.engine.close().await.unwrap();
        drop(store);
        store = Store::with(factory.open(name).await).await;
        assert_eq!((store.scan_all(Lane::ITEM).await, store.scan_all(Lane(255)).await), rows);
        let found =
            store.scan(crate::ScanRead { space: other, ..whole_scan(Lane::ITEM) }).await.rows;
        assert_eq!(found, other_rows);
        let found = store.engine.log_read(shard, None, ALL_ROWS).await.unwrap().records;
        let kept = |record: &crate::LoggedRecord| {
            trimmed.is_none_or(|position| record.position > position)
        };
        let kept: Vec<_> = records.into_iter().filter(kept).collect();
        assert_eq!(found.into_iter().filter(|r| kept.contains(r)).collect::<Vec<_>>(), kept);
        assert_eq!(store.engine.spaces().await.unwrap(), vec![SPACE, other]);
    }
}

/// Versions and positions go on after reopening where they were, for rows that are gone as well.
pub async fn versions_grow_across_reopening(factory: &dyn EngineFactory) {
    if !factory.keeps_data() {
        return;
    }
    let name = "versions_grow_across_reopening";
    let mut last = None;
    for round in 0..6_u8 {
        let store = Store::new(factory, name).await;
        let (position, version) =
            store.commit(commit_of(Vec::new(), vec![put(key("p", "s"), [round])])).await;
        assert!(last < Some((position, version)), "{position:?} {version:?} after {last:?}");
        if let Some((_, stale)) = last {
            store.conflict(commit_of(vec![at(key("p", "s"), stale)], Vec::new())).await;
        }
        let (position, deleting) =
            store.commit(commit_of(Vec::new(), vec![delete(key("p", "s"))])).await;
        last = Some((position, version.max(deleting)));
        if round % 2 == 0 {
            store.engine.checkpoint().await.unwrap();
        }
        store.engine.close().await.unwrap();
    }
}
