//! Places where more was deleted than Cassandra passes in one read (`tombstone_failure_threshold`): what lies
//! behind, before and between is read all the same, in pieces.
//!
//! The deletions are written beside the engine, as many as the cluster says are too many.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test code, outside the functions that the lint knows as such"
)]

mod support;

use std::ops::Bound;

use bytes::Bytes;
use futures_util::future::join_all;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;
use support::{Cluster, figure, say, space_table};
use zenobe_storage::conformance::EngineFactory as _;
use zenobe_storage::{
    Commit, Direction, Engine, HashInterval, Key, Lane, Mutation, Outcome, PageLimit, RangeRead,
    Read, RowPlace, ScanRead, SpaceId,
};

const SPACE: SpaceId = SpaceId(3);
const BATCH_ROWS: usize = 500;
const BATCHES_AT_ONCE: usize = 8;
const GIVEN_UP: &str = "cassandra_reads_given_up_total";

async fn put(engine: &dyn Engine, partition: &[u8], sort: &[u8]) {
    let bytes = Bytes::copy_from_slice;
    let key =
        Key { space: SPACE, partition: bytes(partition), lane: Lane::ITEM, sort: bytes(sort) };
    let mutations = vec![Mutation { key, value: Some(Bytes::from_static(b"x")) }];
    let outcome = engine.commit(Commit { mutations, ..Commit::default() }).await.unwrap();
    assert!(matches!(outcome, Outcome::Committed { .. }));
}

/// A store with one space, of which rows are deleted beside the engine.
struct Store<'a> {
    cluster: &'a Cluster,
    table: String,
    /// More than this many deletions are too many for one read.
    passed: u32,
}

impl<'a> Store<'a> {
    async fn new(cluster: &'a Cluster, name: &str, engine: &dyn Engine) -> Self {
        engine.create_space(SPACE).await.unwrap();
        let table = space_table(cluster, name, SPACE).await;
        let setting =
            "SELECT value FROM system_views.settings WHERE name = 'tombstone_failure_threshold'";
        let rows = cluster.session().query_unpaged(setting, ()).await.unwrap();
        let (passed,) = rows.into_rows_result().unwrap().single_row::<(String,)>().unwrap();
        Self { cluster, table, passed: passed.parse().unwrap() }
    }

    async fn delete(&self, rows: impl Iterator<Item = (Vec<u8>, Vec<u8>)>) {
        let text = format!("DELETE FROM {} WHERE part = ? AND lane = 0 AND sort = ?", self.table);
        let delete: PreparedStatement = self.cluster.session().prepare(text).await.unwrap();
        let rows: Vec<_> = rows.collect();
        for rows in rows.chunks(BATCH_ROWS * BATCHES_AT_ONCE) {
            let batches = rows.chunks(BATCH_ROWS).map(async |rows| {
                let mut batch = Batch::new(BatchType::Unlogged);
                rows.iter().for_each(|_| batch.append_statement(delete.clone()));
                self.cluster.session().batch(&batch, rows).await.unwrap();
            });
            join_all(batches.collect::<Vec<_>>()).await;
        }
    }
}

fn range(partition: &[u8], direction: Direction, rows: usize) -> RangeRead {
    RangeRead {
        space: SPACE,
        partition: Bytes::copy_from_slice(partition),
        lane: Lane::ITEM,
        from: Bound::Unbounded,
        to: Bound::Unbounded,
        direction,
        limit: PageLimit { rows, bytes: 1 << 20 },
    }
}

async fn sorts(engine: &dyn Engine, range: RangeRead, read: Read) -> Vec<Bytes> {
    let page = engine.range(range, read).await.unwrap();
    assert!(page.end);
    page.rows.into_iter().map(|(place, _)| place.sort).collect()
}

/// The rows of a partition, both ways, at once and one at a time.
async fn check_partition(engine: &dyn Engine, partition: &[u8], expected: &[Vec<u8>]) {
    for read in [Read::Strong, Read::Eventual] {
        let before = figure(engine, "cassandra_range_statements_total");
        let found = sorts(engine, range(partition, Direction::Forward, 100), read.clone()).await;
        assert_eq!(found, expected);
        let statements = figure(engine, "cassandra_range_statements_total") - before;
        say(&format!("three times as many deletions as are passed: {statements} statements\n"));
        assert!((2..500).contains(&statements), "{statements}");
        let mut backward =
            sorts(engine, range(partition, Direction::Backward, 100), read.clone()).await;
        backward.reverse();
        assert_eq!(backward, expected);
        let mut one = range(partition, Direction::Forward, 1);
        for (index, sort) in expected.iter().enumerate() {
            let page = engine.range(one.clone(), read.clone()).await.unwrap();
            assert_eq!(page.rows[0].0.sort, sort);
            assert_eq!(page.end, index + 1 == expected.len());
            one.from = Bound::Excluded(page.rows[0].0.sort.clone());
        }
    }
}

#[test]
fn rows_among_too_many_deletions_are_read() {
    let cluster = Cluster::new();
    cluster.block_on(Box::pin(async {
        let name = "ranges";
        let engine = cluster.open(name).await;
        let engine = engine.as_ref();
        let store = Store::new(&cluster, name, engine).await;
        let count = 3 * store.passed;
        // Expired items, a few each second; a queue whose keys are a text with a time.
        let second = |index: u32| [1_800_000_000 + u64::from(index) / 5, index.into()];
        let expired = |index| second(index).map(u64::to_be_bytes).concat();
        let queued = |index: u32| format!("tenant#2026-11-27T10:{index:08}").into_bytes();
        type KeyOf<'a> = &'a (dyn Fn(u32) -> Vec<u8> + Sync);
        let key_of: [(&[u8], KeyOf<'_>); 2] = [(b"e", &expired), (b"q", &queued)];
        for (partition, key) in key_of {
            store.delete((0..count).map(|index| (partition.to_vec(), key(index)))).await;
            let nothing = sorts(engine, range(partition, Direction::Forward, 100), Read::Strong);
            assert_eq!(nothing.await, [] as [Bytes; 0]);
            let alive = [b"!".to_vec(), key(count / 2), key(count), b"~".to_vec()];
            let mut alive = alive.to_vec();
            alive.sort();
            for sort in &alive {
                put(engine, partition, sort).await;
            }
            check_partition(engine, partition, &alive).await;
        }
        assert!(figure(engine, GIVEN_UP) > 0);
        assert_eq!(figure(engine, "cassandra_failures_total"), 0);
        engine.close().await.unwrap();
    }));
}

/// All partitions and sort bytes of a scan, by pages.
async fn scanned(engine: &dyn Engine, rows: usize, read: &Read) -> Vec<(Vec<u8>, Vec<u8>)> {
    let limit = PageLimit { rows, bytes: 1 << 20 };
    let mut scan = ScanRead {
        space: SPACE,
        lane: Lane::ITEM,
        interval: HashInterval::ALL,
        after: None,
        limit,
    };
    let mut found = Vec::new();
    loop {
        let page = engine.scan(scan.clone(), read.clone()).await.unwrap();
        found.extend(page.rows.into_iter().map(|(place, _)| place));
        scan.after = found.last().cloned();
        if page.end {
            let bytes = |place: RowPlace| (place.partition.to_vec(), place.sort.to_vec());
            return found.into_iter().map(bytes).collect();
        }
        assert!(scan.after.is_some());
    }
}

#[test]
fn partitions_among_too_many_deletions_are_scanned() {
    let cluster = Cluster::new();
    cluster.block_on(Box::pin(async {
        let name = "scans";
        let engine = cluster.open(name).await;
        let engine = engine.as_ref();
        let store = Store::new(&cluster, name, engine).await;
        let count = 3 * store.passed;
        // Partitions of which nothing is left, and one that has had too many rows by itself, without a clock.
        let partition = |index: u32| format!("p{index}").into_bytes();
        store.delete((0..count).map(|index| (partition(index), b"s".to_vec()))).await;
        let row = |index: u32| (b"hot".to_vec(), format!("row{index:08}").into_bytes());
        store.delete((0..count).map(row)).await;
        for read in [Read::Strong, Read::Eventual] {
            assert_eq!(scanned(engine, 100, &read).await, []);
        }
        let mut expected = Vec::new();
        for index in 0..7 {
            put(engine, &partition(index), b"t").await;
            expected.push((partition(index), b"t".to_vec()));
        }
        // Beside the engine, so that the partition's first row is behind all deletions but those before it.
        let text = "SET version = 1, value = 0x78 WHERE part = 0x686f74 AND lane = 0 AND sort = "
            .to_owned();
        for sort in [row(count / 2).1, row(count).1] {
            let hex: String = sort.iter().map(|byte| format!("{byte:02x}")).collect();
            let update = format!("UPDATE {} {text} 0x{hex}", store.table);
            cluster.session().query_unpaged(update, ()).await.unwrap();
            expected.push((b"hot".to_vec(), sort));
        }
        expected.sort_by_key(|(partition, sort)| (engine.partition_hash(partition), sort.clone()));
        for (read, rows) in [(Read::Strong, 2), (Read::Strong, 100), (Read::Eventual, 100)] {
            assert_eq!(scanned(engine, rows, &read).await, expected, "{rows} {read:?}");
        }
        assert!(figure(engine, GIVEN_UP) > 0);
        assert_eq!(figure(engine, "cassandra_failures_total"), 0);
        engine.close().await.unwrap();
    }));
}
