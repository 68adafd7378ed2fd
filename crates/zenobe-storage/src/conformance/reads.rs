//! Reads of single rows.

use super::EngineFactory;
use super::fixture::{Store, bytes, key, key_in, whole_range, whole_scan};
use crate::{Lane, Read};

/// What was committed is there for the next read, durable or not; a strong read finds it too.
pub async fn what_is_committed_is_read_at_once(factory: &dyn EngineFactory) {
    let store = Store::new(factory, "what_is_committed_is_read_at_once").await;
    let engine = &store.engine;
    for round in 0..20_u8 {
        let key = key("p", "s");
        if round % 5 == 4 {
            store.delete(key.clone()).await;
            assert_eq!(engine.get(key.clone(), Read::Latest).await.unwrap(), None);
            assert!(
                engine
                    .range(whole_range("p", Lane::ITEM), Read::Latest)
                    .await
                    .unwrap()
                    .rows
                    .is_empty()
            );
            assert_eq!(engine.get(key, Read::Strong).await.unwrap(), None);
            continue;
        }
        let version = store.put(key.clone(), [round]).await;
        for read in [Read::Latest, Read::Strong] {
            let row = engine.get(key.clone(), read.clone()).await.unwrap().unwrap();
            assert_eq!((row.version, row.value.as_ref()), (version, [round].as_ref()));
            let rows = engine.range(whole_range("p", Lane::ITEM), read.clone()).await.unwrap().rows;
            assert_eq!(rows, engine.scan(whole_scan(Lane::ITEM), read.clone()).await.unwrap().rows);
            assert_eq!(rows.len(), 1);
            assert_eq!(rows[0].1, row);
            assert_eq!(engine.multi_get(vec![key.clone()], read).await.unwrap(), vec![Some(row)]);
        }
    }
}

/// `multi_get` answers in the order in which it was asked, absent rows and repeated keys included.
pub async fn multi_get_answers_in_the_order_of_keys(factory: &dyn EngineFactory) {
    let store = Store::new(factory, "multi_get_answers_in_the_order_of_keys").await;
    for index in 0..50_u8 {
        store.put(key([index % 5, 1], [index]), [index]).await;
        store.put(key_in(Lane::local_index(2), [index % 5, 1], [index]), [index, index]).await;
    }
    let mut keys = Vec::new();
    let mut expected = Vec::new();
    for index in (0..60_u8).rev() {
        keys.push(key([index % 5, 1], [index]));
        expected.push((index < 50).then(|| bytes([index])));
        keys.push(key_in(Lane::local_index(2), [index % 5, 1], [index]));
        expected.push((index < 50).then(|| bytes([index, index])));
        keys.push(key([7, 1], [7]));
        expected.push(None);
        keys.push(key([2, 1], [2]));
        expected.push(Some(bytes([2])));
    }
    for read in [Read::Latest, Read::Strong] {
        let rows = store.engine.multi_get(keys.clone(), read).await.unwrap();
        let found: Vec<_> = rows.into_iter().map(|row| row.map(|row| row.value)).collect();
        assert_eq!(found, expected);
    }
    assert_eq!(store.engine.multi_get(Vec::new(), Read::Strong).await.unwrap(), Vec::new());
}

/// A row with an empty value is there.
pub async fn an_empty_value_is_not_an_absent_row(factory: &dyn EngineFactory) {
    let store = Store::new(factory, "an_empty_value_is_not_an_absent_row").await;
    store.put(key("p", ""), "").await;
    assert_eq!(store.value(key("p", "")).await, Some(bytes("")));
    assert_eq!(store.value(key("p", "\0")).await, None);
    assert_eq!(store.range(whole_range("p", Lane::ITEM)).await.rows.len(), 1);
    assert_eq!(store.scan_all(Lane::ITEM).await.len(), 1);
    store.delete(key("p", "")).await;
    assert_eq!(store.value(key("p", "")).await, None);
}
