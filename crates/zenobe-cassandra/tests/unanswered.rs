//! Commits whose answers do not come, because the only node stands still: what became of them is found by
//! looking, nothing acknowledged is lost, and nothing happens twice.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test code, outside the functions that the lint knows as such"
)]

mod support;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use support::{Cluster, cluster_script, contact_points};
use zenobe_storage::conformance::EngineFactory as _;
use zenobe_storage::{
    Commit, Engine, EngineError, Expect, Health, Key, Lane, LogRecord, Mutation, Outcome,
    PageLimit, Precondition, Read, ShardId, SpaceId,
};

const SPACE: SpaceId = SpaceId(3);
const SHARD: ShardId = ShardId(5);
const ALL: PageLimit = PageLimit { rows: 100_000, bytes: 1 << 30 };
/// Longer than the driver waits for an answer.
const PAUSE: Duration = Duration::from_secs(7);

#[derive(Default)]
struct Tally {
    acknowledged: AtomicU64,
    unknown: AtomicU64,
}

fn increment(row: &Key, expect: Expect, count: usize, name: &[u8]) -> Commit {
    Commit {
        preconditions: vec![Precondition { key: row.clone(), expect }],
        mutations: vec![Mutation { key: row.clone(), value: Some(vec![1; count + 1].into()) }],
        records: match name {
            b"late" => Vec::new(),
            name => vec![LogRecord { shard: SHARD, payload: Bytes::copy_from_slice(name) }],
        },
        ..Commit::default()
    }
}

/// Adds one to a counter until it was acknowledged or its outcome stays unknown.
async fn add_one(engine: &dyn Engine, row: &Key, name: &[u8], tally: &Tally) {
    loop {
        let found = match engine.get(row.clone(), Read::Strong).await {
            Ok(found) => found,
            Err(EngineError::Unavailable(_)) => {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        let count = found.as_ref().map_or(0, |row| row.value.len());
        let expect = found.map_or(Expect::Absent, |row| Expect::At(row.version));
        match engine.commit(increment(row, expect, count, name)).await {
            Ok(Outcome::Committed { .. }) => {
                tally.acknowledged.fetch_add(1, Ordering::SeqCst);
                return;
            }
            Ok(Outcome::Unknown) => {
                tally.unknown.fetch_add(1, Ordering::SeqCst);
                return;
            }
            // An error means that nothing happened.
            Ok(Outcome::Conflict { .. }) | Err(EngineError::Unavailable(_)) => {}
            Ok(Outcome::Closed { .. }) => panic!("no shard was closed"),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Lets the node stand still in the middle of the work, and sends one commit meanwhile. Says whether that
/// happened, where the engine says it.
async fn stand_still(engine: &dyn Engine, late: &Key, tally: &Tally) -> Option<bool> {
    while tally.acknowledged.load(Ordering::SeqCst) < 40 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    cluster_script("pause", 1);
    // One at least is sent while nobody answers.
    let resume = async {
        tokio::time::sleep(PAUSE).await;
        assert!(matches!(engine.health(), Health::WritesRefused(EngineError::Unavailable(_))));
        cluster_script("resume", 1);
    };
    let commit = engine.commit(increment(late, Expect::Absent, 0, b"late"));
    let commit = async {
        match commit.await {
            Ok(Outcome::Committed { .. }) => Some(true),
            Ok(Outcome::Unknown) => None,
            Err(EngineError::Unavailable(_)) => Some(false),
            other => panic!("{other:?}"),
        }
    };
    futures_util::future::join(resume, commit).await.1
}

async fn check_log(engine: &dyn Engine, sum: u64) {
    // The log holds each change that happened, once. What is under way for a reader at first is settled
    // when it lasts.
    let mut records = Vec::new();
    for _ in 0..100 {
        records = engine.log_read(SHARD, None, ALL).await.unwrap().records;
        if records.len() as u64 == sum {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(records.len() as u64, sum);
    let mut names: Vec<_> = records.into_iter().map(|record| record.payload).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len() as u64, sum, "a change twice");
}

#[test]
fn commits_without_an_answer_are_settled_by_looking() {
    // With several nodes one that stands still is not missed for long.
    let one_node = contact_points().is_some_and(|points| points.len() == 1);
    let cluster = Cluster::new();
    cluster.block_on(Box::pin(async {
        if !one_node {
            return;
        }
        let engine = cluster.open("unanswered").await;
        let engine = engine.as_ref();
        engine.create_space(SPACE).await.unwrap();
        const WRITERS: usize = 6;
        const ROUNDS: usize = 60;
        let tally = Tally::default();
        let rows: Vec<Key> = (0..3)
            .map(|index: u8| Key {
                space: SPACE,
                partition: Bytes::copy_from_slice(&[b'p', index]),
                lane: Lane::ITEM,
                sort: Bytes::from_static(b"s"),
            })
            .collect();
        let late = Key { partition: Bytes::from_static(b"late"), ..rows[0].clone() };
        let (tally, rows) = (&tally, &rows);
        let pause = stand_still(engine, &late, tally);
        let writers = (0..WRITERS).map(async |writer| {
            for round in 0..ROUNDS {
                let name = format!("{writer}-{round}");
                add_one(engine, &rows[(writer + round) % 3], name.as_bytes(), tally).await;
            }
        });
        let (happened, _) = futures_util::future::join(pause, join_all(writers)).await;
        let found = engine.get(late.clone(), Read::Strong).await.unwrap().is_some();
        assert!(happened.is_none_or(|happened| happened == found), "{happened:?}, {found}");
        let (acknowledged, unknown) =
            (tally.acknowledged.load(Ordering::SeqCst), tally.unknown.load(Ordering::SeqCst));
        assert_eq!(acknowledged + unknown, (WRITERS * ROUNDS) as u64);
        let settled = |name| {
            engine.figures().iter().find(|figure| figure.name == name).map(|figure| figure.value)
        };
        assert!(settled("cassandra_commits_settled_total") > Some(0.0), "nothing went unanswered");
        assert_eq!(engine.health(), Health::Writable);
        let mut sum = 0;
        for row in rows {
            let found = engine.get(row.clone(), Read::Strong).await.unwrap().unwrap();
            sum += found.value.len() as u64;
        }
        assert!((acknowledged..=acknowledged + unknown).contains(&sum), "{acknowledged} {sum}");
        check_log(engine, sum).await;
    }));
}
