//! Cuts of the change log while several engines write: every change is in the log once, and read shard after
//! shard, the records of a partition come in the order of its changes.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test code, outside the functions that the lint knows as such"
)]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{join, join_all};
use scylla::value::{CqlValue, Row as CqlRow};
use support::{Cluster, now_ms, options, space_table};
use zenobe_storage::conformance::EngineFactory as _;
use zenobe_storage::{
    Commit, Engine, Expect, Key, Lane, LogCursor, LogRecord, Mutation, Outcome, PageLimit,
    Precondition, Read, ShardId, SpaceId,
};

const SPACE: SpaceId = SpaceId(3);
const ALL: PageLimit = PageLimit { rows: 100_000, bytes: 1 << 30 };

fn key(partition: &str) -> Key {
    Key {
        space: SPACE,
        partition: Bytes::copy_from_slice(partition.as_bytes()),
        lane: Lane::ITEM,
        sort: Bytes::from_static(b"s"),
    }
}

fn put(row: &Key, expect: Expect, value: &str, shard: ShardId) -> Commit {
    let bytes = |text: String| Bytes::from(text.into_bytes());
    let partition = String::from_utf8_lossy(&row.partition);
    let payload = bytes(format!("{partition} {value}"));
    Commit {
        preconditions: vec![Precondition { key: row.clone(), expect }],
        mutations: vec![Mutation { key: row.clone(), value: Some(bytes(value.to_owned())) }],
        records: vec![LogRecord { shard, payload }],
        ..Commit::default()
    }
}

/// Counts up in a partition, with a record in the shard that is open.
async fn count(engine: &dyn Engine, row: &Key, open: &AtomicU64, rounds: u64) {
    let mut counted = 0;
    while counted < rounds {
        let found = engine.get(row.clone(), Read::Strong).await.unwrap();
        let value = found
            .as_ref()
            .map_or(0, |row| String::from_utf8_lossy(&row.value).parse::<u64>().unwrap());
        let expect = found.map_or(Expect::Absent, |row| Expect::At(row.version));
        let shard = ShardId(open.load(Ordering::SeqCst));
        match engine.commit(put(row, expect, &(value + 1).to_string(), shard)).await.unwrap() {
            Outcome::Committed { .. } => counted += 1,
            Outcome::Conflict { .. } => {}
            // The next shard is open before it is named.
            Outcome::Closed { shard: closed } => assert_eq!(closed, shard),
            Outcome::Unknown => panic!("a commit of which nobody knows"),
        }
    }
}

#[test]
fn shards_are_cut_while_engines_write() {
    let cluster = Cluster::new();
    cluster.block_on(Box::pin(async {
        const CUTS: u64 = 8;
        const ROUNDS: u64 = 15;
        let mut engines = Vec::new();
        for minutes in [1, -1, 0] {
            let mut options = options(&cluster.keyspace("cuts"));
            options.clock = Arc::new(move || now_ms().saturating_add_signed(minutes * 60_000));
            options.log_patience = Duration::ZERO;
            engines.push(cluster.open_with(options).await);
        }
        engines[0].create_space(SPACE).await.unwrap();
        let rows: Vec<_> = ["p", "q", "r"].map(key).into();
        let open = AtomicU64::new(0);
        let writing = engines
            .iter()
            .flat_map(|engine| rows.iter().map(|row| count(engine.as_ref(), row, &open, ROUNDS)));
        let cutting = async {
            let mut last = None;
            for shard in 0..CUTS {
                tokio::time::sleep(Duration::from_millis(100)).await;
                // Two processes cut at once, as it may come.
                let cut = |index: usize| {
                    engines[index].log_cut(vec![ShardId(shard)], vec![ShardId(shard + 1)])
                };
                let (one, two) = join(cut(0), cut(1)).await;
                assert_eq!(one, two);
                assert!(last <= Some(one.clone().unwrap()));
                last = Some(one.unwrap());
                open.store(shard + 1, Ordering::SeqCst);
            }
        };
        join(join_all(writing), cutting).await;
        let mut records = Vec::new();
        let mut last = LogCursor { position: zenobe_storage::Position(0), ordinal: 0 };
        for shard in 0..=CUTS {
            for record in engines[2].log_read(ShardId(shard), None, ALL).await.unwrap().records {
                let place = LogCursor { position: record.position, ordinal: record.ordinal };
                assert!(place > last, "{place:?} of shard {shard} after {last:?}");
                last = place;
                records.push(String::from_utf8(record.payload.to_vec()).unwrap());
            }
        }
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for record in &records {
            let (partition, value) = record.split_once(' ').unwrap();
            let count = counts.entry(partition.to_owned()).or_default();
            *count += 1;
            assert_eq!(value, count.to_string(), "the changes of {partition} in their order");
        }
        assert_eq!(counts.into_values().collect::<Vec<_>>(), [3 * ROUNDS; 3]);
    }));
}

#[test]
fn a_place_taken_before_a_cut_is_lost_once_the_partition_went_on() {
    let cluster = Cluster::new();
    cluster.block_on(Box::pin(async {
        let name = "lost";
        let engine = cluster.open(name).await;
        engine.create_space(SPACE).await.unwrap();
        let (parent, child) = (ShardId(1), ShardId(2));
        let insert = put(&key("p"), Expect::Absent, "1", parent);
        let Ok(Outcome::Committed { version, .. }) = engine.commit(insert).await else {
            panic!("not committed")
        };
        // Another process takes a place in the parent for a commit on the same partition, and is slow.
        let late = version.0.cast_signed() + (1 << 10);
        let keyspace = cluster.keyspace(name);
        let clock = format!(
            "UPDATE {keyspace}.log SET clock = ? WHERE shard = ? AND position = 0 IF clock < ?"
        );
        let clock = cluster.session().prepare(clock).await.unwrap();
        let shard = (parent.0 ^ (1 << 63)).cast_signed();
        let values = [late, shard, late].map(CqlValue::BigInt).to_vec();
        cluster.session().execute_unpaged(&clock, values).await.unwrap();
        let cut = engine.log_cut(vec![parent], vec![child]).await.unwrap();
        assert!(cut.0 >= late.cast_unsigned());
        let update = put(&key("p"), Expect::At(version), "2", child);
        assert!(matches!(engine.commit(update).await, Ok(Outcome::Committed { .. })));
        // Now its commit comes; the clock of the partition refuses it.
        let table = space_table(&cluster, name, SPACE).await;
        let batch = format!(
            "UPDATE {table} SET version = ? WHERE part = 0x70 AND lane = -1 AND sort = 0x IF version < ?"
        );
        let batch = cluster.session().prepare(batch).await.unwrap();
        let answer = cluster.session().execute_unpaged(&batch, (late, late)).await.unwrap();
        let row = answer.into_rows_result().unwrap().single_row::<CqlRow>().unwrap();
        assert_eq!(row.columns[0], Some(CqlValue::Boolean(false)));
        engine.close().await.unwrap();
    }));
}
