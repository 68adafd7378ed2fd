//! What each operation costs: statements, each one round trip, by kind. A change here is a change of the
//! engine's price and belongs into the documentation.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test code, outside the functions that the lint knows as such"
)]

mod support;

use std::collections::BTreeSet;
use std::ops::Bound;

use bytes::Bytes;
use support::{Cluster, grown};
use zenobe_storage::conformance::EngineFactory as _;
use zenobe_storage::{
    Commit, Direction, Engine, Expect, HashInterval, Key, Lane, LogRecord, Mutation, Outcome,
    PageLimit, Precondition, RangeRead, Read, RowPlace, ScanRead, ShardId, SpaceId, Version,
};

const SPACE: SpaceId = SpaceId(3);
const PAGE: PageLimit = PageLimit { rows: 10_000, bytes: 1 << 20 };

fn key(partition: &str, sort: &str) -> Key {
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    Key { space: SPACE, partition: bytes(partition), lane: Lane::ITEM, sort: bytes(sort) }
}

fn write(key: &Key, expect: Expect, value: Option<&'static [u8]>) -> Commit {
    Commit {
        preconditions: vec![Precondition { key: key.clone(), expect }],
        mutations: vec![Mutation { key: key.clone(), value: value.map(Bytes::from_static) }],
        ..Commit::default()
    }
}

fn with_record(commit: Commit) -> Commit {
    let payload = Bytes::from_static(b"record");
    Commit { records: vec![LogRecord { shard: ShardId(1), payload }], ..commit }
}

/// The statements that a piece of work sends, by kind, without the renewal of the node number, which comes
/// when it comes.
async fn cost(engine: &dyn Engine, work: impl Future) -> BTreeSet<(&'static str, u64)> {
    let before = engine.figures();
    work.await;
    let grown = grown(&before, &engine.figures());
    let counted = |name: &str| name.ends_with("_statements_total") && !name.contains("_registry_");
    grown.into_iter().filter(|(name, _)| counted(name)).collect()
}

fn expected(kinds: &[(&'static str, u64)]) -> BTreeSet<(&'static str, u64)> {
    kinds.iter().copied().collect()
}

async fn committed(engine: &dyn Engine, commit: Commit) -> Version {
    match engine.commit(commit).await.unwrap() {
        Outcome::Committed { version, .. } => version,
        other => panic!("{other:?}"),
    }
}

const GET: &str = "cassandra_get_statements_total";
const COMMIT: &str = "cassandra_commit_statements_total";
const RANGE: &str = "cassandra_range_statements_total";
const SCAN: &str = "cassandra_scan_statements_total";
const RESERVE: &str = "cassandra_log_reserve_statements_total";
const LOG_MARK: &str = "cassandra_log_mark_statements_total";
const FORGET: &str = "cassandra_forget_statements_total";
const LOG_READ: &str = "cassandra_log_read_statements_total";

#[test]
fn a_write_is_one_statement_and_a_record_three_more() {
    let cluster = Cluster::new();
    cluster.block_on(Box::pin(async {
        let engine = cluster.open("writes").await;
        let engine = engine.as_ref();
        engine.create_space(SPACE).await.unwrap();
        committed(engine, write(&key("warm", "s"), Expect::Absent, Some(b"x"))).await;
        let row = key("p", "s");
        let insert = write(&row, Expect::Absent, Some(b"one"));
        assert_eq!(cost(engine, committed(engine, insert)).await, expected(&[(COMMIT, 1)]));
        let version = engine.get(row.clone(), Read::Strong).await.unwrap().unwrap().version;
        let update = write(&row, Expect::At(version), Some(b"two"));
        assert_eq!(cost(engine, committed(engine, update.clone())).await, expected(&[(COMMIT, 1)]));
        // A stale version is refused in one round trip.
        let refused = cost(engine, async {
            let outcome = engine.commit(update).await.unwrap();
            assert!(matches!(outcome, Outcome::Conflict { .. }));
        });
        assert_eq!(refused.await, expected(&[(COMMIT, 1)]));
        let version = engine.get(row.clone(), Read::Strong).await.unwrap().unwrap().version;
        let delete = write(&row, Expect::At(version), None);
        assert_eq!(cost(engine, committed(engine, delete)).await, expected(&[(COMMIT, 1)]));
        // The partition is known to this process, though its row is gone.
        let insert = write(&row, Expect::Absent, Some(b"three"));
        assert_eq!(cost(engine, committed(engine, insert)).await, expected(&[(COMMIT, 1)]));
        // The first record of a shard, and a later one: reserve, commit, mark, forget.
        for sort in ["r1", "r2"] {
            let commit = with_record(write(&key("p", sort), Expect::Absent, Some(b"x")));
            let found = cost(engine, committed(engine, commit)).await;
            assert_eq!(found, expected(&[(RESERVE, 1), (COMMIT, 1), (LOG_MARK, 1), (FORGET, 1)]));
        }
        let reading = engine.log_read(ShardId(1), None, PAGE);
        // The shard's clock, and the page.
        assert_eq!(cost(engine, reading).await, expected(&[(LOG_READ, 2)]));
        engine.close().await.unwrap();
    }));
}

#[test]
fn a_partition_that_another_process_made_costs_one_refusal() {
    let cluster = Cluster::new();
    cluster.block_on(Box::pin(async {
        let one = cluster.open("refusal").await;
        one.create_space(SPACE).await.unwrap();
        committed(one.as_ref(), write(&key("p", "s"), Expect::Absent, Some(b"x"))).await;
        let two = cluster.open("refusal").await;
        two.get(key("p", "s"), Read::Strong).await.unwrap();
        for (sort, statements) in [("t", 2), ("u", 1)] {
            let insert = write(&key("p", sort), Expect::Absent, Some(b"x"));
            let found = cost(two.as_ref(), committed(two.as_ref(), insert)).await;
            assert_eq!(found, expected(&[(COMMIT, statements)]));
        }
        one.close().await.unwrap();
        two.close().await.unwrap();
    }));
}

#[test]
fn reads_are_one_statement_a_page() {
    let cluster = Cluster::new();
    cluster.block_on(Box::pin(async {
        let engine = cluster.open("reads").await;
        let engine = engine.as_ref();
        engine.create_space(SPACE).await.unwrap();
        for index in 0..100 {
            let row = key("p", &format!("{index:03}"));
            committed(engine, write(&row, Expect::Absent, Some(&[7; 100]))).await;
        }
        for read in [Read::Strong, Read::Eventual] {
            let get = engine.get(key("p", "001"), read.clone());
            assert_eq!(cost(engine, get).await, expected(&[(GET, 1)]));
            let keys = (0..5).map(|index| key("p", &format!("{index:03}"))).collect();
            let gets = engine.multi_get(keys, read.clone());
            assert_eq!(cost(engine, gets).await, expected(&[(GET, 5)]));
            let range = |rows| RangeRead {
                space: SPACE,
                partition: key("p", "").partition,
                lane: Lane::ITEM,
                from: Bound::Unbounded,
                to: Bound::Unbounded,
                direction: Direction::Forward,
                limit: PageLimit { rows, ..PAGE },
            };
            let few = engine.range(range(10), read.clone());
            assert_eq!(cost(engine, few).await, expected(&[(RANGE, 1)]));
            // 32 rows to learn their size, the other 68 at once.
            let all = engine.range(range(10_000), read.clone());
            assert_eq!(cost(engine, all).await, expected(&[(RANGE, 2)]));
            let scan = ScanRead {
                space: SPACE,
                lane: Lane::ITEM,
                interval: HashInterval::ALL,
                after: None,
                limit: PageLimit { rows: 10, ..PAGE },
            };
            let first = engine.scan(scan.clone(), read.clone());
            assert_eq!(cost(engine, first).await, expected(&[(SCAN, 1)]));
            // The rest of the partition, its token, and what follows.
            let place = RowPlace { partition: key("p", "").partition, sort: key("p", "097").sort };
            let last = engine.scan(ScanRead { after: Some(place), ..scan }, read.clone());
            assert_eq!(cost(engine, last).await, expected(&[(SCAN, 3)]));
        }
        engine.close().await.unwrap();
    }));
}
