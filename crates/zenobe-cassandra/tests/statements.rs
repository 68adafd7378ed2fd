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
use futures_util::future::join_all;
use support::{Cluster, Mortal, figure, grown, options, say, taken_over};
use zenobe_storage::conformance::EngineFactory as _;
use zenobe_storage::{
    Commit, Direction, Engine, Expect, HashInterval, Key, Lane, LogRecord, Mutation, Outcome,
    PageLimit, Precondition, RangeRead, Read, RowPlace, ScanRead, ShardId, SpaceId, Version,
};

const SPACE: SpaceId = SpaceId(3);
const DERIVED: SpaceId = SpaceId(4);
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
const RELAY: &str = "cassandra_relay_statements_total";
const MARK: &str = "cassandra_mark_statements_total";
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

/// A commit on a partition with a derived row in each of these.
fn deriving(partition: &str, derived: &[(&str, &str)]) -> Commit {
    let put = |key: Key| Mutation { key, value: Some(Bytes::from_static(b"x")) };
    let derived =
        derived.iter().map(|(partition, sort)| put(Key { space: DERIVED, ..key(partition, sort) }));
    let mutations = vec![put(key(partition, "s"))];
    Commit { mutations, derived: derived.collect(), ..Commit::default() }
}

#[test]
fn derived_rows_cost_one_statement_for_each_partition_and_two_more() {
    let cluster = Cluster::new();
    cluster.block_on(Box::pin(async {
        let engine = cluster.open("derived").await;
        let engine = engine.as_ref();
        for space in [SPACE, DERIVED] {
            engine.create_space(space).await.unwrap();
        }
        // The first commit of all says that the process is alive, and finds the tables.
        committed(engine, deriving("warm", &[("a", "1")])).await;
        let entries = [("a", "1"), ("b", "1"), ("b", "2"), ("c", "1")];
        let first = cost(engine, committed(engine, deriving("p", &entries))).await;
        let relayed = [(COMMIT, 1), (RELAY, 3), (FORGET, 1), (MARK, 1)];
        assert_eq!(first, expected(&relayed));
        // The partition is marked.
        let later = cost(engine, committed(engine, deriving("p", &entries))).await;
        assert_eq!(later, expected(&relayed[..3]));
        let both = with_record(deriving("p", &entries[..1]));
        let found = cost(engine, committed(engine, both)).await;
        let relayed = [(COMMIT, 1), (RELAY, 1), (FORGET, 1), (RESERVE, 1), (LOG_MARK, 1)];
        assert_eq!(found, expected(&relayed));
        // A mark serves many commits.
        let before = figure(engine, MARK);
        for _ in 0..100 {
            committed(engine, deriving("p", &entries[..1])).await;
        }
        assert!(figure(engine, MARK) - before <= 10, "a mark for every commit");
        engine.close().await.unwrap();
    }));
}

#[test]
fn a_cut_costs_three_statements_and_a_look_at_the_end_one() {
    let cluster = Cluster::new();
    cluster.block_on(Box::pin(async {
        let engine = cluster.open("cut").await;
        let engine = engine.as_ref();
        engine.create_space(SPACE).await.unwrap();
        committed(engine, with_record(write(&key("p", "s"), Expect::Absent, Some(b"x")))).await;
        let end = engine.log_end(ShardId(1));
        assert_eq!(cost(engine, end).await, expected(&[(LOG_READ, 1)]));
        let trimming = engine.log_trim(ShardId(1), zenobe_storage::Position(1));
        assert_eq!(cost(engine, trimming).await, expected(&[(LOG_READ, 1), (LOG_MARK, 1)]));
        let cut = engine.log_cut(vec![ShardId(1)], vec![ShardId(2)]);
        assert_eq!(cost(engine, cut).await, expected(&[(LOG_MARK, 2), (LOG_READ, 1)]));
        // One refused place, and no commit.
        let refused = with_record(write(&key("p", "t"), Expect::Absent, Some(b"x")));
        let refused = cost(engine, async {
            let outcome = engine.commit(refused).await.unwrap();
            assert!(matches!(outcome, Outcome::Closed { .. }));
        });
        assert_eq!(refused.await, expected(&[(RESERVE, 1)]));
        engine.close().await.unwrap();
    }));
}

#[test]
fn several_processes_pay_no_more_than_one() {
    let cluster = Cluster::new();
    cluster.block_on(Box::pin(async {
        let engines = join_all((0..3).map(|_| cluster.open("three"))).await;
        for space in [SPACE, DERIVED] {
            engines[0].create_space(space).await.unwrap();
        }
        let row = key("p", "s");
        let mut version = committed(engines[0].as_ref(), deriving("p", &[("a", "1")])).await;
        for engine in &engines[1..] {
            committed(engine.as_ref(), deriving("warm", &[("a", "1")])).await;
        }
        for round in 0..3 {
            for (index, engine) in engines.iter().enumerate() {
                let engine = engine.as_ref();
                let get = engine.get(row.clone(), Read::Strong);
                assert_eq!(cost(engine, get).await, expected(&[(GET, 1)]));
                let mut commit = deriving("p", &[("a", "1")]);
                let expect = Expect::At(version);
                commit.preconditions = vec![Precondition { key: row.clone(), expect }];
                let mut relayed = vec![(COMMIT, 1), (RELAY, 1), (FORGET, 1)];
                if round == 0 && index > 0 {
                    relayed.push((MARK, 1));
                }
                let found = cost(engine, async { version = committed(engine, commit).await });
                assert_eq!(found.await, expected(&relayed));
            }
        }
        for engine in engines {
            engine.close().await.unwrap();
        }
    }));
}

#[test]
fn taking_over_costs_a_few_statements_for_each_marked_partition() {
    const PARTITIONS: u64 = 5;
    let cluster = Cluster::new();
    cluster.block_on(Box::pin(async {
        let engine = cluster.open("taken").await;
        for space in [SPACE, DERIVED] {
            engine.create_space(space).await.unwrap();
        }
        let options = options(&cluster.keyspace("taken"));
        let mortal = tokio::task::spawn_blocking(|| Mortal::open(options)).await.unwrap();
        for partition in 0..PARTITIONS {
            let commit = deriving(&partition.to_string(), &[("a", "1")]);
            committed(mortal.engine.as_ref(), commit).await;
        }
        mortal.die();
        let found = cost(engine.as_ref(), taken_over(engine.as_ref(), 1)).await;
        // The claim, eight buckets of marks, of each partition the traces, the buckets' removal, the instance's; in
        // each partition the clock is read and moved. A claim may be renewed.
        let count = |kind| found.iter().find(|(name, _)| *name == kind).map(|(_, count)| *count);
        let settle = "cassandra_settle_statements_total";
        assert_eq!(count(settle), Some(2 * PARTITIONS), "{found:?}");
        let taken = count("cassandra_take_over_statements_total").unwrap();
        assert!((18 + PARTITIONS..=19 + PARTITIONS).contains(&taken), "{found:?}");
        assert_eq!(found.len(), 2, "{found:?}");
        engine.close().await.unwrap();
    }));
}

/// Commits acknowledged per conditional batch when 32 writers work on one partition, each on an item of its own.
async fn commits_per_round(engine: &dyn Engine, name: &str, is_counter: bool) -> u64 {
    const WRITERS: u64 = 32;
    const ROUNDS: u64 = 15;
    committed(engine, write(&key(name, "warm"), Expect::Absent, Some(b"x"))).await;
    let before = figure(engine, COMMIT);
    let writing = (0..WRITERS).map(async |writer| {
        let row = key(name, &writer.to_string());
        for round in 0..ROUNDS {
            let mut commit = write(&row, Expect::Absent, Some(b"x"));
            if is_counter && round > 0 {
                let found = engine.get(row.clone(), Read::Strong).await.unwrap().unwrap();
                commit.preconditions[0].expect = Expect::At(found.version);
            } else if !is_counter {
                commit.preconditions.clear();
            }
            committed(engine, commit).await;
        }
    });
    join_all(writing).await;
    WRITERS * ROUNDS / (figure(engine, COMMIT) - before)
}

#[test]
fn commits_that_wait_for_one_partition_share_a_round() {
    let cluster = Cluster::new();
    cluster.block_on(Box::pin(async {
        let engine = cluster.open("groups").await;
        let engine = engine.as_ref();
        engine.create_space(SPACE).await.unwrap();
        let writes = commits_per_round(engine, "writes", false).await;
        let counters = commits_per_round(engine, "counters", true).await;
        say(&format!("per round: {writes} writes, {counters} increments\n"));
        assert!(writes >= 8, "{writes}");
        assert!(counters >= 4, "{counters}");
        engine.close().await.unwrap();
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
