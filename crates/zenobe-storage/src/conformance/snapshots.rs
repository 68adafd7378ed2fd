//! Snapshots: a state that stays readable while writes go on.

use std::sync::Arc;

use super::EngineFactory;
use super::fixture::{
    Rows, Store, bytes, commit_of, delete, key, put, values, whole_range, whole_scan,
};
use crate::{Direction, EngineError, Lane, PageLimit, RangeRead, Read, ScanRead, Snapshot};

async fn refused(store: &Store) -> bool {
    if store.engine.capabilities().snapshot_read {
        return false;
    }
    assert!(matches!(store.engine.snapshot().await, Err(EngineError::Unsupported(_))));
    true
}

/// Everything that a snapshot shows of lane and partition `p`, by every kind of read.
async fn seen(store: &Store, snapshot: &Arc<dyn Snapshot>) -> Rows {
    let read = Read::Snapshot(Arc::clone(snapshot));
    let limit = PageLimit { rows: 3, bytes: 1 << 20 };
    let forward = RangeRead { limit, ..whole_range("p", Lane::ITEM) };
    let rows = store.range_by_pages(forward.clone(), &read).await;
    let mut backward =
        store.range_by_pages(RangeRead { direction: Direction::Backward, ..forward }, &read).await;
    backward.reverse();
    assert_eq!(rows, backward);
    assert_eq!(
        rows,
        store.scan_by_pages(ScanRead { limit, ..whole_scan(Lane::ITEM) }, &read).await
    );
    let keys = rows.iter().map(|(place, _)| key(&place.partition, &place.sort)).collect();
    let found = store.engine.multi_get(keys, read.clone()).await.unwrap();
    assert_eq!(found, rows.iter().map(|(_, row)| Some(row.clone())).collect::<Vec<_>>());
    for (place, row) in &rows {
        let found =
            store.engine.get(key(&place.partition, &place.sort), read.clone()).await.unwrap();
        assert_eq!(found.as_ref(), Some(row));
    }
    rows
}

/// A snapshot holds all that was committed and durable before it.
pub async fn a_snapshot_holds_what_was_durable(factory: &dyn EngineFactory) {
    let store = Store::new(factory, "a_snapshot_holds_what_was_durable").await;
    if refused(&store).await {
        return;
    }
    for round in 0..20_u8 {
        let (position, _) =
            store.commit(commit_of(Vec::new(), vec![put(key("p", [round]), [round])])).await;
        let snapshot = store.snapshot(position).await;
        assert_eq!(
            values(&seen(&store, &snapshot).await),
            (0..=round).map(|i| bytes([i])).collect::<Vec<_>>()
        );
    }
}

/// Rows overwritten, deleted and added afterwards, and a checkpoint, do not show through a snapshot.
pub async fn a_snapshot_stays_while_writes_go_on(factory: &dyn EngineFactory) {
    let store = Store::new(factory, "a_snapshot_stays_while_writes_go_on").await;
    if refused(&store).await {
        return;
    }
    let old = (0..30_u8).map(|index| put(key("p", [index * 2]), "old")).collect();
    let (position, version) = store.commit(commit_of(Vec::new(), old)).await;
    let snapshot = store.snapshot(position).await;
    let before = seen(&store, &snapshot).await;
    assert_eq!(before.len(), 30);
    for index in 0..60_u8 {
        if index % 3 == 0 {
            store.delete(key("p", [index])).await;
        } else {
            store.put(key("p", [index]), "new").await;
        }
        if index % 20 == 0 {
            store.engine.checkpoint().await.unwrap();
        }
    }
    assert_eq!(seen(&store, &snapshot).await, before);
    assert!(before.iter().all(|(_, row)| row.version == version && row.value == bytes("old")));
    let now = store.range(whole_range("p", Lane::ITEM)).await.rows;
    assert_eq!(now.len(), 40);
    assert!(now.iter().all(|(_, row)| row.value == bytes("new")));
    let gone = store.engine.get(key("p", [1]), Read::Snapshot(snapshot)).await.unwrap();
    assert_eq!(gone, None, "a row that is newer than the snapshot");
}

/// Snapshots taken at different times differ, whatever the order in which they are given up.
pub async fn many_snapshots_live_side_by_side(factory: &dyn EngineFactory) {
    let store = Store::new(factory, "many_snapshots_live_side_by_side").await;
    if refused(&store).await {
        return;
    }
    let mut snapshots = Vec::new();
    for round in 0..12_u8 {
        let mutations = vec![put(key("p", [round]), [round]), put(key("p", "same"), [round])];
        let mutations = match round.checked_sub(5) {
            Some(old) => [mutations, vec![delete(key("p", [old]))]].concat(),
            None => mutations,
        };
        let (position, _) = store.commit(commit_of(Vec::new(), mutations)).await;
        snapshots.push((round, store.snapshot(position).await));
    }
    while !snapshots.is_empty() {
        let at = snapshots.len() / 2;
        drop(snapshots.remove(at));
        store.put(key("p", "same"), "later").await;
        store.engine.checkpoint().await.unwrap();
        for (round, snapshot) in &snapshots {
            let first = round.saturating_sub(4);
            let mut expected: Vec<_> = (first..=*round).map(|i| bytes([i])).collect();
            expected.push(bytes([*round]));
            assert_eq!(values(&seen(&store, snapshot).await), expected, "at {round}");
        }
    }
}
