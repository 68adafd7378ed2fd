//! Spaces: made, listed, dropped.

use super::EngineFactory;
use super::fixture::{SPACE, Store, absent, bytes, commit_of, key, put, whole_range, whole_scan};
use crate::{Engine, EngineError, Key, Lane, Read, SpaceId};

async fn assert_gone(engine: &dyn Engine, space: SpaceId) {
    let row = Key { space, ..key("p", "s") };
    let gone = EngineError::NoSpace(space);
    for read in [Read::Eventual, Read::Latest, Read::Strong] {
        assert_eq!(engine.get(row.clone(), read.clone()).await, Err(gone.clone()));
        assert_eq!(engine.multi_get(vec![row.clone()], read.clone()).await, Err(gone.clone()));
        let range = crate::RangeRead { space, ..whole_range("p", Lane::ITEM) };
        assert_eq!(engine.range(range, read.clone()).await.err(), Some(gone.clone()));
        let scan = crate::ScanRead { space, ..whole_scan(Lane::ITEM) };
        assert_eq!(engine.scan(scan, read).await.err(), Some(gone.clone()));
    }
    let write = commit_of(Vec::new(), vec![put(row.clone(), "new")]);
    assert_eq!(engine.commit(write).await.err(), Some(gone.clone()));
    let check = commit_of(vec![absent(row)], Vec::new());
    assert_eq!(engine.commit(check).await.err(), Some(gone.clone()));
    assert_eq!(engine.space_stats(space).await.err(), Some(gone));
}

/// Reads and writes in a space that was never made say that it does not exist.
pub async fn a_space_that_does_not_exist_is_an_error(factory: &dyn EngineFactory) {
    let store = Store::new(factory, "a_space_that_does_not_exist_is_an_error").await;
    assert_gone(store.engine.as_ref(), SpaceId(8)).await;
    assert_eq!(store.engine.spaces().await.unwrap(), vec![SPACE], "nothing made it by the way");
}

/// After the drop the rows are gone and the space is unknown; its neighbours are as before.
pub async fn a_dropped_space_is_gone(factory: &dyn EngineFactory) {
    let store = Store::new(factory, "a_dropped_space_is_gone").await;
    let engine = store.engine.as_ref();
    for space in [SpaceId(SPACE.0 - 1), SpaceId(SPACE.0 + 1)] {
        engine.create_space(space).await.unwrap();
    }
    let spaces = engine.spaces().await.unwrap();
    for space in &spaces {
        for index in 0..20_u8 {
            store.put(Key { space: *space, ..key([index, 0], "s") }, "value").await;
        }
    }
    engine.space_stats(SPACE).await.unwrap();
    engine.drop_space(SPACE).await.unwrap();
    engine.drop_space(SPACE).await.unwrap();
    assert_gone(engine, SPACE).await;
    assert_eq!(engine.spaces().await.unwrap(), vec![spaces[0], spaces[2]]);
    for space in [spaces[0], spaces[2]] {
        let scan = crate::ScanRead { space, ..whole_scan(Lane::ITEM) };
        assert_eq!(store.scan(scan).await.rows.len(), 20);
    }
}

/// A number that is used again after a drop names an empty space, whose versions are later than the old ones.
pub async fn a_space_made_again_is_empty(factory: &dyn EngineFactory) {
    let store = Store::new(factory, "a_space_made_again_is_empty").await;
    let mut last = None;
    for _ in 0..3 {
        assert!(store.scan_all(Lane::ITEM).await.is_empty());
        assert_eq!(store.get(key("p", "s")).await, None);
        for sort in ["r", "s", "t"] {
            let version = store.put(key("p", sort), "value").await;
            assert!(last < Some(version));
            last = Some(version);
        }
        store.engine.drop_space(SPACE).await.unwrap();
        store.engine.create_space(SPACE).await.unwrap();
    }
}

/// Making a space that exists leaves it alone.
pub async fn making_a_space_twice_keeps_its_rows(factory: &dyn EngineFactory) {
    let store = Store::new(factory, "making_a_space_twice_keeps_its_rows").await;
    store.put(key("p", "s"), "value").await;
    store.engine.create_space(SPACE).await.unwrap();
    assert_eq!(store.value(key("p", "s")).await, Some(bytes("value")));
}

/// Spaces are listed in the order of their numbers, and hold different rows under the same key.
pub async fn spaces_are_listed_in_order(factory: &dyn EngineFactory) {
    let engine = factory.open("spaces_are_listed_in_order").await;
    assert_eq!(engine.spaces().await.unwrap(), Vec::new());
    let spaces = [0, 1, 255, 256, 65_536, 1 << 32, u64::MAX - 1].map(SpaceId);
    for index in [3, 0, 6, 1, 5, 2, 4] {
        engine.create_space(spaces[index]).await.unwrap();
    }
    let store = Store::with(engine).await;
    store.engine.drop_space(SPACE).await.unwrap();
    assert_eq!(store.engine.spaces().await.unwrap(), spaces);
    for space in spaces {
        store.put(Key { space, ..key("p", "s") }, space.0.to_be_bytes()).await;
    }
    for space in spaces {
        let row = store.value(Key { space, ..key("p", "s") }).await.unwrap();
        assert_eq!(row, bytes(space.0.to_be_bytes()));
        let scan = crate::ScanRead { space, ..whole_scan(Lane::ITEM) };
        assert_eq!(store.scan(scan).await.rows.len(), 1);
    }
}
