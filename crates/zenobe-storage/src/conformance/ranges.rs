//! Ranges: consecutive rows of one lane of one partition.

use std::ops::{Bound, RangeBounds as _};

use bytes::Bytes;

use super::EngineFactory;
use super::fixture::{Store, bytes, check_page, key, key_in, sorts, whole_range};
use crate::{Direction, Lane, PageLimit, RangeRead, Read};

/// Sort keys on which a comparison other than the bytewise one goes wrong, in their order.
const SORTS: [&[u8]; 16] = [
    b"",
    b"\0",
    b"\0\0",
    b"\0\x01",
    b"\0\xff",
    b"\x01",
    b"\x01\0",
    b"a",
    b"a\0",
    b"a\0\xff",
    b"ab",
    b"b",
    b"\x7f",
    b"\x80",
    b"\xff",
    b"\xff\xff",
];

async fn fill(store: &Store, partition: &str) {
    // A stride that is prime to the count visits every sort key, out of order.
    for index in 0..SORTS.len() {
        let sort = SORTS[index * 7 % SORTS.len()];
        store.put(key(partition, sort), sort).await;
    }
}

/// Rows come in the order of their sort bytes, or in exactly the opposite one.
pub async fn order_is_bytewise_both_ways(factory: &dyn EngineFactory) {
    let store = Store::new(factory, "order_is_bytewise_both_ways").await;
    fill(&store, "p").await;
    let page = store.range(whole_range("p", Lane::ITEM)).await;
    assert!(page.end);
    assert_eq!(sorts(&page.rows), SORTS.map(bytes));
    let page = store
        .range(RangeRead { direction: Direction::Backward, ..whole_range("p", Lane::ITEM) })
        .await;
    assert!(page.end);
    let mut expected = SORTS.map(bytes);
    expected.reverse();
    assert_eq!(sorts(&page.rows), expected);
    for (place, row) in page.rows {
        assert_eq!((place.partition, place.sort), (bytes("p"), row.value));
    }
}

/// Each end of the interval is open, includes its key or excludes it, whether or not a row has that key.
pub async fn bounds_are_inclusive_or_exclusive(factory: &dyn EngineFactory) {
    let store = Store::new(factory, "bounds_are_inclusive_or_exclusive").await;
    fill(&store, "p").await;
    let mut edges = vec![Bound::Unbounded];
    for sort in [b"" as &[u8], b"\0", b"\0\x02", b"a\0", b"aa", b"b", b"\xff\xff", b"\xff\xff\0"] {
        edges.push(Bound::Included(bytes(sort)));
        edges.push(Bound::Excluded(bytes(sort)));
    }
    for from in &edges {
        for to in &edges {
            let inside: Vec<Bytes> = SORTS
                .into_iter()
                .map(bytes)
                .filter(|sort| (from.clone(), to.clone()).contains(sort))
                .collect();
            for direction in [Direction::Forward, Direction::Backward] {
                let range = RangeRead {
                    from: from.clone(),
                    to: to.clone(),
                    direction,
                    ..whole_range("p", Lane::ITEM)
                };
                let page = store.range(range).await;
                let mut found = sorts(&page.rows);
                if direction == Direction::Backward {
                    found.reverse();
                }
                assert_eq!(found, inside, "{from:?} to {to:?} {direction:?}");
                assert!(page.end);
            }
        }
    }
}

/// An interval that holds no key is empty and at its end, even when its ends are the wrong way round.
pub async fn an_interval_without_keys_is_empty(factory: &dyn EngineFactory) {
    let store = Store::new(factory, "an_interval_without_keys_is_empty").await;
    fill(&store, "p").await;
    let cases = [
        ("q", Bound::Unbounded, Bound::Unbounded),
        ("p", Bound::Included(bytes("b")), Bound::Included(bytes("a"))),
        ("p", Bound::Excluded(bytes("a")), Bound::Excluded(bytes("a"))),
        ("p", Bound::Included(bytes("a")), Bound::Excluded(bytes("a"))),
        ("p", Bound::Excluded(bytes("a")), Bound::Included(bytes("a"))),
        ("p", Bound::Unbounded, Bound::Excluded(bytes(""))),
        ("p", Bound::Included(bytes("c")), Bound::Included(bytes("d"))),
    ];
    for (partition, from, to) in cases {
        for direction in [Direction::Forward, Direction::Backward] {
            let (from, to) = (from.clone(), to.clone());
            let page = store
                .range(RangeRead { from, to, direction, ..whole_range(partition, Lane::ITEM) })
                .await;
            assert!(page.rows.is_empty() && page.end, "{page:?}");
        }
    }
}

/// A range shows nothing of partitions and lanes beside its own, however alike their bytes are.
pub async fn partitions_and_lanes_are_separate(factory: &dyn EngineFactory) {
    let store = Store::new(factory, "partitions_and_lanes_are_separate").await;
    let partitions: [&[u8]; 6] = [b"p", b"p\0", b"p\0\0", b"pp", b"\0", b"\xff"];
    let lanes = [Lane::ITEM, Lane::local_index(0), Lane::local_index(63), Lane(255)];
    for partition in partitions {
        for lane in lanes {
            for sort in [b"" as &[u8], b"\0", b"p", b"\xff"] {
                let value = [partition, &[b'/', lane.0, b'/'], sort].concat();
                store.put(key_in(lane, partition, sort), value).await;
            }
        }
    }
    for partition in partitions {
        for lane in lanes {
            for direction in [Direction::Forward, Direction::Backward] {
                let page =
                    store.range(RangeRead { direction, ..whole_range(partition, lane) }).await;
                assert_eq!(page.rows.len(), 4, "{partition:?} {lane:?}");
                for (place, row) in page.rows {
                    assert_eq!(place.partition, partition);
                    assert_eq!(row.value, [partition, &[b'/', lane.0, b'/'], &place.sort].concat());
                }
            }
        }
    }
}

/// A page ends with the row that reaches a limit, holds one row at least, and tells truly whether more follow.
pub async fn range_pages_end_at_their_limits(factory: &dyn EngineFactory) {
    let store = Store::new(factory, "range_pages_end_at_their_limits").await;
    for index in 0..10_u8 {
        store.put(key("p", [index]), vec![index; 10]).await;
    }
    let limits = [
        (1, 1000),
        (3, 1000),
        (5, 1000),
        (9, 1000),
        (10, 1000),
        (11, 1000),
        (100, 0),
        (100, 1),
        (100, 10),
    ];
    let more =
        [(100, 11), (100, 30), (100, 31), (100, 99), (100, 100), (100, 101), (3, 20), (2, 30)];
    for (rows, bytes) in limits.into_iter().chain(more) {
        let limit = PageLimit { rows, bytes };
        let expected = rows.min(bytes.div_ceil(10).max(1)).min(10);
        for direction in [Direction::Forward, Direction::Backward] {
            let range = RangeRead { direction, limit, ..whole_range("p", Lane::ITEM) };
            let page = store.range(range.clone()).await;
            check_page(&page, limit);
            assert_eq!(page.rows.len(), expected, "{limit:?}");
            assert_eq!(page.end, expected == 10, "{limit:?}");
            let mut all = store.range_by_pages(range, &Read::Strong).await;
            if direction == Direction::Backward {
                all.reverse();
            }
            assert_eq!(
                sorts(&all),
                (0..10_u8).map(|index| self::bytes([index])).collect::<Vec<_>>()
            );
        }
    }
}
