//! `check` finds entries that are missing, that hold something else and that have no item; and rows of a table that
//! hold no item, or that of another key. Damage to one row does not keep the rest from being compared.

use std::sync::Arc;

use zenobe_database::check::IndexCheck;
use zenobe_storage::{
    Commit, Engine, HashInterval, Key, Lane, Mutation, Outcome, PageLimit, Read, ScanRead, SpaceId,
};

use super::support::*;

async fn entries(engine: &dyn Engine, space: SpaceId) -> Vec<(Key, bytes::Bytes)> {
    let scan = ScanRead {
        space,
        lane: Lane::ITEM,
        interval: HashInterval::ALL,
        after: None,
        limit: PageLimit { rows: 100, bytes: 1 << 20 },
    };
    let page = engine.scan(scan, Read::Strong).await.unwrap();
    let entry = |(place, row): (zenobe_storage::RowPlace, zenobe_storage::Row)| {
        let key = Key { space, partition: place.partition, lane: Lane::ITEM, sort: place.sort };
        (key, row.value)
    };
    page.rows.into_iter().map(entry).collect()
}

/// Writes an entry as the database does.
async fn set(engine: &Arc<dyn Engine>, key: &Key, value: Option<bytes::Bytes>) {
    let derived = vec![Mutation { key: key.clone(), value }];
    let outcome = engine.commit(Commit { derived, ..Commit::default() }).await.unwrap();
    assert!(matches!(outcome, Outcome::Committed { .. }));
    until_derived(engine).await;
}

#[tokio::test]
async fn missing_different_and_extra_entries() {
    let engine = engine().await;
    let db = open(&engine).await;
    let mut request = create("Music", "pk:S g:S", "H:pk");
    request.global_secondary_indexes = Some(vec![gsi("ByG", "H:g", "ALL")]);
    create_table(&db, request).await.unwrap();
    for pk in 0..10 {
        put(&db, "Music", &format!("pk={pk} g=x other={pk}")).await.unwrap();
    }
    put(&db, "Music", "pk=without").await.unwrap();
    let mut looked = 0;
    let found = db.check(|_, count| looked = looked.max(count)).await.unwrap().indexes;
    assert_eq!((found.len(), found[0].entries, found[0].agrees()), (1, 10, true), "{found:?}");
    assert_eq!(looked, 11);

    // The index's space comes after the table's.
    let space = SpaceId(17);
    let all = entries(engine.as_ref(), space).await;
    assert_eq!(all.len(), 10);
    // One is gone, one holds another's value, one is of an item that is not in the index.
    set(&engine, &all[0].0, None).await;
    set(&engine, &all[1].0, Some(all[2].1.clone())).await;
    let stray = Key { partition: bytes::Bytes::from_static(b"\x01stray\x00"), ..all[3].0.clone() };
    set(&engine, &stray, Some(all[3].1.clone())).await;
    let found = db.check(|_, _| ()).await.unwrap().indexes;
    let check = &found[0];
    assert_eq!((check.missing, check.extra), (2, 2), "{check:?}");
    assert!(!check.agrees() && check.named.len() == 4, "{check:?}");
}

#[tokio::test]
async fn rows_that_hold_no_item_or_another_s() {
    let engine = engine().await;
    let db = open(&engine).await;
    create_table(&db, create("Music", "pk:S", "H:pk")).await.unwrap();
    create_table(&db, create("Other", "pk:S", "H:pk")).await.unwrap();
    for pk in 0..10 {
        put(&db, "Music", &format!("pk={pk} other={pk}")).await.unwrap();
    }
    put(&db, "Other", "pk=1").await.unwrap();
    let found = db.check(|_, _| ()).await.unwrap();
    let counts = found.tables.iter().map(|table| (&*table.table, table.items, table.faults));
    assert_eq!(counts.collect::<Vec<_>>(), [("Music", 10, 0), ("Other", 1, 0)]);
    assert!(found.agree(), "{found}");

    let all = entries(engine.as_ref(), SpaceId(16)).await;
    set(&engine, &all[0].0, Some(bytes::Bytes::from_static(b"no item"))).await;
    set(&engine, &all[1].0, Some(all[2].1.clone())).await;
    let found = db.check(|_, _| ()).await.unwrap();
    assert!(!found.agree() && found.tables[1].is_sound(), "{found}");
    let check = &found.tables[0];
    assert_eq!((check.items, check.faults, check.named.len()), (9, 2, 2), "{check:?}");
}

#[tokio::test]
async fn damaged_rows_do_not_end_the_comparison_of_indexes() {
    let engine = engine().await;
    let db = open(&engine).await;
    let mut request = create("Music", "pk:S g:S h:S", "H:pk");
    request.global_secondary_indexes =
        Some(vec![gsi("ByG", "H:g", "ALL"), gsi("ByH", "H:h", "ALL")]);
    create_table(&db, request).await.unwrap();
    for pk in 0..10 {
        put(&db, "Music", &format!("pk={pk} g={pk} h={pk}")).await.unwrap();
    }
    let nonsense = || Some(bytes::Bytes::from_static(b"no item"));
    let (items, by_g, by_h) = (SpaceId(16), SpaceId(17), SpaceId(18));
    let all = entries(engine.as_ref(), items).await;
    set(&engine, &all[0].0, nonsense()).await;
    let found = db.check(|_, _| ()).await.unwrap();
    // The entries of the item that cannot be read may well be right.
    assert_eq!((found.tables[0].items, found.tables[0].faults), (9, 1), "{found}");
    assert!(found.indexes.iter().all(|check| check.agrees() && check.entries == 10), "{found}");

    // Of one index the entry of another item is damaged, of the other index one is gone. The attributes of an item
    // are all the same, and so are the partitions.
    let partition = &all[1].0.partition;
    for (space, value) in [(by_g, nonsense()), (by_h, None)] {
        let entries = entries(engine.as_ref(), space).await;
        let entry = entries.iter().find(|(key, _)| key.partition == *partition).unwrap();
        set(&engine, &entry.0, value).await;
    }
    let found = db.check(|_, _| ()).await.unwrap();
    assert_eq!(found.tables[0].faults, 1, "{found}");
    let counts = |check: &IndexCheck| (check.entries, check.missing, check.extra, check.faults);
    let counts: Vec<_> = found.indexes.iter().map(counts).collect();
    assert_eq!(counts, [(10, 1, 0, 1), (9, 1, 0, 0)], "{found}");
}
