//! Scans: consecutive rows of one lane, over partitions in hash order.

use super::EngineFactory;
use super::fixture::{Rows, Store, bytes, check_page, commit_of, delete, key, key_in, whole_scan};
use crate::{HashInterval, Lane, PageLimit, Read, RowPlace, ScanRead};

const PARTITIONS: u8 = 40;
const ROWS: usize = PARTITIONS as usize * 3;

async fn filled(factory: &dyn EngineFactory, name: &str) -> Store {
    let store = Store::new(factory, name).await;
    for partition in 0..PARTITIONS {
        let partition = format!("p{partition}");
        for sort in [b"" as &[u8], b"\0", b"\xff"] {
            store.put(key(&partition, sort), "0123456789").await;
        }
    }
    store
}

fn places(rows: &Rows) -> Vec<RowPlace> {
    rows.iter().map(|(place, _)| place.clone()).collect()
}

/// Partitions come in the order of their hashes, each in one piece, and their rows in the order of sort bytes.
pub async fn order_is_that_of_hashes(factory: &dyn EngineFactory) {
    let store = filled(factory, "order_is_that_of_hashes").await;
    let rows = store.scan_all(Lane::ITEM).await;
    assert_eq!(rows.len(), ROWS);
    for pair in rows.windows(2) {
        let [(one, _), (two, _)] = pair else { panic!("windows of two") };
        if one.partition == two.partition {
            assert!(one.sort < two.sort, "{one:?} before {two:?}");
        } else {
            let hash = |place: &RowPlace| store.engine.partition_hash(&place.partition);
            assert!(hash(one) <= hash(two), "{one:?} before {two:?}");
        }
    }
    let mut partitions: Vec<_> = rows.iter().map(|(place, _)| place.partition.clone()).collect();
    partitions.dedup();
    assert_eq!(partitions.len(), usize::from(PARTITIONS), "a partition in two pieces");
}

/// A page ends with the row that reaches a limit, and tells truly whether more follow.
pub async fn scan_pages_end_at_their_limits(factory: &dyn EngineFactory) {
    let store = filled(factory, "scan_pages_end_at_their_limits").await;
    let all = places(&store.scan_all(Lane::ITEM).await);
    let limits =
        [(1, 1000), (2, 1000), (7, 1000), (1000, 0), (1000, 1), (1000, 25), (1000, 100), (4, 35)];
    let edges = [
        (ROWS - 1, 1 << 30),
        (ROWS, 1 << 30),
        (ROWS + 1, 1 << 30),
        (1000, ROWS * 10),
        (1000, ROWS * 10 - 10),
    ];
    for (rows, bytes) in limits.into_iter().chain(edges) {
        let scan = ScanRead { limit: PageLimit { rows, bytes }, ..whole_scan(Lane::ITEM) };
        let expected = rows.min(bytes.div_ceil(10).max(1)).min(ROWS);
        let page = store.scan(scan.clone()).await;
        check_page(&page, scan.limit);
        assert_eq!((page.rows.len(), page.end), (expected, expected == ROWS), "{:?}", scan.limit);
        assert_eq!(places(&store.scan_by_pages(scan, &Read::Strong).await), all);
    }
}

/// The intervals that an engine cuts hold every row once, in order, whatever their number.
pub async fn splits_cover_everything_once(factory: &dyn EngineFactory) {
    let store = filled(factory, "splits_cover_everything_once").await;
    let all = places(&store.scan_all(Lane::ITEM).await);
    for count in [1, 2, 3, 7, 16, 1000] {
        let splits = store.engine.splits(count);
        assert_eq!(splits.len(), usize::try_from(count).unwrap());
        assert_eq!((splits[0].first, splits[splits.len() - 1].last), (0, u64::MAX));
        let mut found = Vec::new();
        let mut next = Some(0);
        for interval in splits {
            assert_eq!(Some(interval.first), next, "a gap or an overlap");
            assert!(interval.first <= interval.last);
            next = interval.last.checked_add(1);
            let limit = PageLimit { rows: 5, bytes: 1 << 20 };
            let rows = store
                .scan_by_pages(
                    ScanRead { interval, limit, ..whole_scan(Lane::ITEM) },
                    &Read::Strong,
                )
                .await;
            found.extend(places(&rows));
        }
        assert_eq!(next, None);
        assert_eq!(found, all, "{count} splits");
    }
}

/// An interval of one hash holds the partition with that hash, and nothing else.
pub async fn an_interval_holds_exactly_its_partitions(factory: &dyn EngineFactory) {
    let store = filled(factory, "an_interval_holds_exactly_its_partitions").await;
    for partition in 0..PARTITIONS {
        let partition = bytes(format!("p{partition}"));
        let hash = store.engine.partition_hash(&partition);
        let interval = HashInterval { first: hash, last: hash };
        let page = store.scan(ScanRead { interval, ..whole_scan(Lane::ITEM) }).await;
        assert_eq!(page.rows.len(), 3);
        assert!(page.end && page.rows.iter().all(|(place, _)| place.partition == partition));
        if let Some(first) = hash.checked_add(1) {
            let after = Some(RowPlace { partition: partition.clone(), sort: bytes("") });
            let interval = HashInterval { first, last: u64::MAX };
            let rows =
                store.scan(ScanRead { interval, after, ..whole_scan(Lane::ITEM) }).await.rows;
            assert!(
                rows.iter().all(|(place, _)| place.partition != partition),
                "a cursor before the interval"
            );
        }
    }
}

/// A scan goes on after a row that was deleted since, and after one that never was.
pub async fn a_cursor_survives_the_deletion_of_its_row(factory: &dyn EngineFactory) {
    let store = filled(factory, "a_cursor_survives_the_deletion_of_its_row").await;
    let all = places(&store.scan_all(Lane::ITEM).await);
    for (index, place) in all.iter().enumerate() {
        let deleted = delete(key(&place.partition, &place.sort));
        store.commit(commit_of(Vec::new(), vec![deleted])).await;
        let after = Some(place.clone());
        let page = store.scan(ScanRead { after, ..whole_scan(Lane::ITEM) }).await;
        assert_eq!(places(&page.rows), all[index + 1..]);
        let mut sort = place.sort.to_vec();
        sort.push(0);
        let after =
            Some(RowPlace { partition: place.partition.clone(), sort: sort.clone().into() });
        let page = store.scan(ScanRead { after, ..whole_scan(Lane::ITEM) }).await;
        let skips_next = all
            .get(index + 1)
            .is_some_and(|next| next.partition == place.partition && next.sort == sort);
        assert_eq!(places(&page.rows), all[index + 1 + usize::from(skips_next)..]);
        assert!(page.end);
    }
}

/// A scan shows the rows of its lane only.
pub async fn scans_keep_to_their_lane(factory: &dyn EngineFactory) {
    let store = filled(factory, "scans_keep_to_their_lane").await;
    for lane in [Lane::local_index(0), Lane::local_index(1), Lane(255)] {
        for partition in 0..10 {
            store.put(key_in(lane, format!("p{partition}"), [lane.0]), [lane.0]).await;
        }
    }
    for lane in [Lane::local_index(0), Lane::local_index(1), Lane(255)] {
        let rows = store.scan_all(lane).await;
        assert_eq!(rows.len(), 10);
        assert!(rows.iter().all(|(place, row)| *row.value == [lane.0] && *place.sort == [lane.0]));
    }
    assert!(store.scan_all(Lane::local_index(63)).await.is_empty());
    assert_eq!(store.scan_all(Lane::ITEM).await.len(), ROWS);
}
