//! Limits: what just fits, and what does not.

use bytes::Bytes;

use super::EngineFactory;
use super::fixture::{Store, bytes, commit_of, key, key_in, put, whole_range};
use crate::{
    Commit, EngineError, Lane, LogRecord, Mutation, PARTITION_BYTES_MAX, SORT_BYTES_MAX, ShardId,
};

/// Bytes without a pattern that compression or a fixed fill would hide.
fn noise(length: usize) -> Bytes {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut noise = Vec::with_capacity(length + 8);
    while noise.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        noise.extend_from_slice(&state.to_le_bytes());
    }
    noise.truncate(length);
    noise.into()
}

/// A value of the longest length is stored intact; a byte more is refused and nothing happens.
pub async fn a_value_may_be_as_long_as_the_engine_says(factory: &dyn EngineFactory) {
    let store = Store::new(factory, "a_value_may_be_as_long_as_the_engine_says").await;
    let longest = store.engine.capabilities().value_bytes_max;
    assert!(longest >= 1 << 20, "an item of 400 KB and its overhead must fit");
    let value = noise(longest);
    store.put(key("p", "s"), &value).await;
    assert!(store.value(key("p", "s")).await == Some(value), "the longest value changed");
    let mutations = vec![put(key("p", "r"), "other"), put(key("p", "s"), noise(longest + 1))];
    let outcome = store.try_commit(commit_of(Vec::new(), mutations)).await;
    assert!(matches!(outcome, Err(EngineError::TooLarge(_))), "{outcome:?}");
    assert_eq!(store.get(key("p", "r")).await, None);
    assert_eq!(store.value(key("p", "s")).await.map(|value| value.len()), Some(longest));
    for length in [4_000, 65_535, 65_536, 400 << 10] {
        store.put(key("p", "s"), noise(length)).await;
        assert!(store.value(key("p", "s")).await == Some(noise(length)), "{length} bytes changed");
    }
}

/// A commit over the largest size is refused, whether values or records make it so.
pub async fn too_large_a_commit_is_refused(factory: &dyn EngineFactory) {
    let store = Store::new(factory, "too_large_a_commit_is_refused").await;
    let limits = store.engine.capabilities();
    let value = noise(limits.value_bytes_max.min(limits.commit_bytes_max));
    let count = limits.commit_bytes_max / value.len() + 1;
    let mutations = (0..count)
        .map(|index| Mutation { key: key("p", index.to_be_bytes()), value: Some(value.clone()) })
        .collect();
    let outcome = store.try_commit(commit_of(Vec::new(), mutations)).await;
    assert!(matches!(outcome, Err(EngineError::TooLarge(_))), "{outcome:?}");
    let records =
        (0..count).map(|_| LogRecord { shard: ShardId(1), payload: value.clone() }).collect();
    let outcome = store
        .try_commit(Commit { records, ..commit_of(Vec::new(), vec![put(key("p", "s"), "")]) })
        .await;
    assert!(matches!(outcome, Err(EngineError::TooLarge(_))), "{outcome:?}");
    assert!(store.scan_all(Lane::ITEM).await.is_empty());
    // A hundred items and their index entries, the largest that DynamoDB has, must fit.
    let large = noise(400 << 10);
    let mutations = (0..20_u8).map(|index| put(key("p", [index]), &large)).collect();
    store.commit(commit_of(Vec::new(), mutations)).await;
    let page = store.range(whole_range("p", Lane::ITEM)).await;
    assert_eq!(page.rows.len(), 20);
    assert!(page.rows.iter().all(|(_, row)| row.value == large));
}

/// Keys of the longest length keep their order and their separateness; longer ones are refused.
pub async fn keys_may_be_as_long_as_the_seam_says(factory: &dyn EngineFactory) {
    let store = Store::new(factory, "keys_may_be_as_long_as_the_seam_says").await;
    // Bytes that escapes double.
    for fill in [0_u8, 0xff] {
        let partition = vec![fill; PARTITION_BYTES_MAX];
        let longest = vec![fill; SORT_BYTES_MAX];
        let shorter = vec![fill; SORT_BYTES_MAX - 1];
        for lane in [Lane::ITEM, Lane(255)] {
            store.put(key_in(lane, &partition, &longest), "longest").await;
            store.put(key_in(lane, &partition, &shorter), "shorter").await;
            store.put(key_in(lane, &partition[1..], &longest), "neighbour").await;
            assert_eq!(
                store.value(key_in(lane, &partition, &longest)).await,
                Some(bytes("longest"))
            );
            let rows = store.range(whole_range(&partition, lane)).await.rows;
            let values: Vec<_> = rows.into_iter().map(|(_, row)| row.value).collect();
            assert_eq!(values, [bytes("shorter"), bytes("longest")]);
        }
        let rows = store.scan_all(Lane::ITEM).await;
        assert_eq!(rows.iter().filter(|(place, _)| place.partition == partition).count(), 2);
        let long_partition = key([partition.as_slice(), b"x"].concat(), "s");
        let long_sort = key("p", [longest.as_slice(), b"x"].concat());
        for long in [long_partition, long_sort] {
            let outcome = store.try_commit(commit_of(Vec::new(), vec![put(long, "never")])).await;
            assert!(matches!(outcome, Err(EngineError::TooLarge(_))), "{outcome:?}");
        }
    }
}
