//! Several engines on one keyspace, as several processes have it: clocks apart, the same space made at once,
//! commits that one left in the middle.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test code, outside the functions that the lint knows as such"
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use scylla::value::CqlValue;
use support::{Cluster, figure, now_ms, options, registered, space_table};
use zenobe_storage::conformance::EngineFactory as _;
use zenobe_storage::{
    Commit, Engine, Expect, Key, Lane, LogRecord, Mutation, Outcome, PageLimit, Precondition, Read,
    ShardId, SpaceId, Version,
};

const SPACE: SpaceId = SpaceId(3);
const SHARD: ShardId = ShardId(5);
const ALL: PageLimit = PageLimit { rows: 100_000, bytes: 1 << 30 };

fn key(partition: &'static str) -> Key {
    Key {
        space: SPACE,
        partition: Bytes::from_static(partition.as_bytes()),
        lane: Lane::ITEM,
        sort: Bytes::from_static(b"s"),
    }
}

fn put(key: &Key, value: Option<&'static [u8]>) -> Commit {
    let value = value.map(Bytes::from_static);
    let mutations = vec![Mutation { key: key.clone(), value }];
    Commit { mutations, ..Commit::default() }
}

fn with_record(commit: Commit, payload: &'static [u8]) -> Commit {
    let payload = Bytes::from_static(payload);
    Commit { records: vec![LogRecord { shard: SHARD, payload }], ..commit }
}

async fn committed(engine: &dyn Engine, commit: Commit) -> Version {
    match engine.commit(commit).await.unwrap() {
        Outcome::Committed { version, .. } => version,
        other => panic!("{other:?}"),
    }
}

async fn payloads(engine: &dyn Engine) -> Vec<Bytes> {
    let records = engine.log_read(SHARD, None, ALL).await.unwrap().records;
    assert!(records.is_sorted_by_key(|record| (record.position, record.ordinal)));
    records.into_iter().map(|record| record.payload).collect()
}

/// An engine whose clock is ahead of the time of day by this many minutes.
async fn with_clock(cluster: &Cluster, name: &str, minutes: i64) -> Arc<dyn Engine> {
    let mut options = options(&cluster.keyspace(name));
    options.clock = Arc::new(move || now_ms().saturating_add_signed(minutes * 60_000));
    cluster.open_with(options).await
}

#[test]
fn versions_grow_though_clocks_are_minutes_apart() {
    let cluster = Cluster::new();
    cluster.block_on(Box::pin(async {
        let name = "clocks";
        let engines = [
            with_clock(&cluster, name, 5).await,
            with_clock(&cluster, name, -5).await,
            with_clock(&cluster, name, 0).await,
        ];
        engines[0].create_space(SPACE).await.unwrap();
        // Each partition is met for the first time by a process whose clock is behind its own.
        for partition in ["p", "q", "r"] {
            let row = key(partition);
            let mut last = Version(0);
            for engine in &engines {
                for value in [Some(b"x" as &[u8]), None, Some(b"y")] {
                    let commit = with_record(put(&row, value), b"record");
                    let version = committed(engine.as_ref(), commit).await;
                    assert!(version > last, "{version:?} after {last:?}");
                    last = version;
                }
            }
        }
        assert_eq!(payloads(engines[1].as_ref()).await.len(), 27);
        for engine in engines {
            engine.close().await.unwrap();
        }
    }));
}

#[test]
fn processes_that_write_one_row_at_once_lose_nothing() {
    let cluster = Cluster::new();
    cluster.block_on(Box::pin(async {
        let name = "counter";
        let engines = [with_clock(&cluster, name, 1).await, with_clock(&cluster, name, -1).await];
        engines[0].create_space(SPACE).await.unwrap();
        const ROUNDS: u64 = 25;
        let row = key("p");
        let refused = AtomicU64::new(0);
        let work = engines.iter().map(async |engine| {
            for _ in 0..ROUNDS {
                loop {
                    let found = engine.get(row.clone(), Read::Strong).await.unwrap();
                    let count = found.as_ref().map_or(0, |row| row.value.len());
                    let expect = found.map_or(Expect::Absent, |row| Expect::At(row.version));
                    let value = Bytes::from(vec![1; count + 1]);
                    let commit = Commit {
                        preconditions: vec![Precondition { key: row.clone(), expect }],
                        mutations: vec![Mutation { key: row.clone(), value: Some(value) }],
                        records: vec![LogRecord {
                            shard: SHARD,
                            payload: Bytes::copy_from_slice(&(count as u64).to_be_bytes()),
                        }],
                        ..Commit::default()
                    };
                    match engine.commit(commit).await.unwrap() {
                        Outcome::Committed { .. } => break,
                        Outcome::Conflict { .. } => refused.fetch_add(1, Ordering::Relaxed),
                        outcome @ (Outcome::Closed { .. } | Outcome::Unknown) => {
                            panic!("{outcome:?}")
                        }
                    };
                }
            }
        });
        join_all(work).await;
        let found = engines[0].get(row, Read::Strong).await.unwrap().unwrap();
        assert_eq!(found.value.len() as u64, 2 * ROUNDS);
        // The log has each change once, in the order in which they happened.
        let expected: Vec<_> =
            (0..2 * ROUNDS).map(|count| Bytes::copy_from_slice(&count.to_be_bytes())).collect();
        assert_eq!(payloads(engines[1].as_ref()).await, expected);
    }));
}

#[test]
fn processes_may_make_and_drop_the_same_space_at_once() {
    let cluster = Cluster::new();
    cluster.block_on(Box::pin(async {
        // The keyspace and the engine's own tables are made at once as well.
        let engines: Vec<_> = join_all((0..3).map(|_| cluster.open("schema"))).await;
        for round in 0..3 {
            let making = join_all(engines.iter().map(|engine| engine.create_space(SPACE))).await;
            assert!(making.iter().all(Result::is_ok), "{making:?}");
            for engine in &engines {
                assert_eq!(engine.spaces().await.unwrap(), [SPACE]);
            }
            // What one wrote all find: they made one table, not three.
            committed(engines[round % 3].as_ref(), put(&key("p"), Some(b"x"))).await;
            for engine in &engines {
                assert!(engine.get(key("p"), Read::Strong).await.unwrap().is_some());
            }
            let dropping = join_all(engines.iter().map(|engine| engine.drop_space(SPACE))).await;
            assert!(dropping.iter().all(Result::is_ok), "{dropping:?}");
            for engine in &engines {
                assert_eq!(engine.spaces().await.unwrap(), []);
                assert!(engine.get(key("p"), Read::Strong).await.is_err());
            }
        }
        let mixed = join_all(engines.iter().enumerate().map(async |(index, engine)| {
            for round in 0..3 {
                if (index + round) % 2 == 0 {
                    engine.create_space(SPACE).await.unwrap();
                } else {
                    engine.drop_space(SPACE).await.unwrap();
                }
            }
        }));
        mixed.await;
        for engine in &engines {
            engine.create_space(SPACE).await.unwrap();
            committed(engine.as_ref(), put(&key("p"), Some(b"x"))).await;
        }
    }));
}

/// What a process that dies leaves: a place in the log, with or without the commit.
async fn abandon(cluster: &Cluster, name: &str, position: i64, payload: &[u8]) {
    let keyspace = cluster.keyspace(name);
    let session = cluster.session();
    let ordered = |number: u64| (number ^ (1 << 63)).cast_signed();
    let (space, incarnation) = registered(cluster, name, SPACE).await;
    let length = u32::try_from(payload.len()).unwrap();
    let records = [&[1], &length.to_be_bytes() as &[u8], payload].concat();
    let reserve = format!(
        "BEGIN BATCH UPDATE {keyspace}.log SET clock = ? WHERE shard = ? AND position = 0 IF clock < ? \
         INSERT INTO {keyspace}.log (shard, position, space, incarnation, part, records) \
         VALUES (?, ?, ?, ?, ?, ?) APPLY BATCH"
    );
    let shard = ordered(SHARD.0);
    let values = [position, shard, position, shard, position, space, incarnation];
    let mut values: Vec<_> = values.into_iter().map(CqlValue::BigInt).collect();
    values.extend([CqlValue::Blob(b"p".to_vec()), CqlValue::Blob(records)]);
    let prepared = session.prepare(reserve).await.unwrap();
    session.execute_unpaged(&prepared, values).await.unwrap();
}

#[test]
fn a_partition_whose_clock_has_ended_is_written_as_before() {
    let cluster = Cluster::new();
    cluster.block_on(Box::pin(async {
        let name = "ended";
        let engine = cluster.open(name).await;
        engine.create_space(SPACE).await.unwrap();
        let row = key("p");
        let mut last = committed(engine.as_ref(), put(&row, Some(b"1"))).await;
        let table = space_table(&cluster, name, SPACE).await;
        let end =
            format!("DELETE FROM {table} WHERE part = 0x70 AND lane = -1 AND sort = 0x IF EXISTS");
        for expects in [true, false, true] {
            cluster.session().query_unpaged(end.clone(), ()).await.unwrap();
            let mut commit = put(&row, Some(b"2"));
            if expects {
                let expect = Expect::At(last);
                commit.preconditions.push(Precondition { key: row.clone(), expect });
            }
            let version = committed(engine.as_ref(), commit).await;
            assert!(version > last);
            last = version;
        }
        // Only a deletion leaves a clock that ends by itself.
        let ttl = format!("SELECT ttl(version) FROM {table} WHERE part = 0x70 AND lane = -1");
        for (value, ends) in [(None, true), (Some(b"3" as &[u8]), false)] {
            committed(engine.as_ref(), put(&row, value)).await;
            let rows = cluster.session().query_unpaged(ttl.clone(), ()).await.unwrap();
            let (found,) = rows.into_rows_result().unwrap().single_row::<(Option<i32>,)>().unwrap();
            assert_eq!(found.is_some(), ends);
        }
    }));
}

#[test]
fn readers_of_the_log_finish_what_a_dead_process_left() {
    let cluster = Cluster::new();
    cluster.block_on(Box::pin(async {
        let name = "abandoned";
        let mut impatient = options(&cluster.keyspace(name));
        impatient.log_patience = Duration::ZERO;
        let engine = cluster.open_with(impatient).await;
        let patient = cluster.open(name).await;
        engine.create_space(SPACE).await.unwrap();
        committed(engine.as_ref(), with_record(put(&key("p"), Some(b"1")), b"first")).await;
        // Died before its commit.
        let position = i64::try_from(now_ms() + 1000).unwrap() << 21;
        abandon(&cluster, name, position, b"never").await;
        // Died after its commit, before it said so in the log.
        let after = position + (1 << 21);
        abandon(&cluster, name, after, b"left").await;
        let table = space_table(&cluster, name, SPACE).await;
        let text = format!("UPDATE {table} SET version = ?, value = ? WHERE part = 0x70 AND lane = 256 AND sort = ?");
        // Format 2, one shard, no derived rows.
        let shards =
            [&[2], &1_u32.to_be_bytes() as &[u8], &SHARD.0.to_be_bytes(), &[0; 4]].concat();
        let trace = cluster.session().prepare(text).await.unwrap();
        let values = (after, shards, after.to_be_bytes().to_vec());
        cluster.session().execute_unpaged(&trace, values).await.unwrap();
        committed(patient.as_ref(), with_record(put(&key("q"), Some(b"2")), b"second")).await;
        // A reader that waits for commits under way stops before the first of them.
        assert_eq!(payloads(patient.as_ref()).await, [&b"first"[..]]);
        let expected = [&b"first"[..], b"left", b"second"];
        assert_eq!(payloads(engine.as_ref()).await, expected);
        assert_eq!(payloads(patient.as_ref()).await, expected);
        // The clock of the partition is past both: neither can happen any more.
        let version = committed(engine.as_ref(), put(&key("p"), Some(b"3"))).await;
        assert!(version.0 > after.cast_unsigned());
    }));
}

#[test]
fn a_reader_waits_once_for_all_that_a_dead_process_left() {
    const LEFT: i64 = 20;
    const PATIENCE: Duration = Duration::from_millis(500);
    let cluster = Cluster::new();
    cluster.block_on(Box::pin(async {
        let name = "crowd";
        let mut options = options(&cluster.keyspace(name));
        options.log_patience = PATIENCE;
        let engine = cluster.open_with(options).await;
        let engine = engine.as_ref();
        engine.create_space(SPACE).await.unwrap();
        committed(engine, with_record(put(&key("p"), Some(b"1")), b"first")).await;
        let position = i64::try_from(now_ms() + 1000).unwrap() << 21;
        for step in 0..LEFT {
            abandon(&cluster, name, position + (step << 21), b"never").await;
        }
        committed(engine, with_record(put(&key("q"), Some(b"2")), b"second")).await;
        assert_eq!(payloads(engine).await, [&b"first"[..]]);
        tokio::time::sleep(PATIENCE).await;
        let looked_up = figure(engine, "cassandra_registry_statements_total");
        assert_eq!(payloads(engine).await, [&b"first"[..], b"second"]);
        // The table is known; the node number may be renewed meanwhile.
        let looked_up = figure(engine, "cassandra_registry_statements_total") - looked_up;
        assert!(looked_up <= 1, "{looked_up}");
        engine.close().await.unwrap();
    }));
}
