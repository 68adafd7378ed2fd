//! Three processes that write to one shard of the change log, or to one partition, at the same time: nothing is lost,
//! and what the cluster is asked for an acknowledged commit stays within bounds. How long each process waited
//! at most is told, not asserted.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test code, outside the functions that the lint knows as such"
)]

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use parking_lot::Mutex;
use support::{Cluster, figure, monotonic, say};
use tokio::sync::Barrier;
use zenobe_storage::conformance::EngineFactory as _;
use zenobe_storage::{
    Commit, Engine, Expect, Key, Lane, LogRecord, Mutation, Outcome, PageLimit, Precondition, Read,
    ShardId, SpaceId,
};

const SPACE: SpaceId = SpaceId(3);
const SHARD: ShardId = ShardId(5);
const PROCESSES: usize = 3;
const WRITERS: usize = 8;
const ROUNDS: usize = 30;
const ALL: PageLimit = PageLimit { rows: 100_000, bytes: 1 << 30 };
const RESERVE: &str = "cassandra_log_reserve_statements_total";
const COMMIT: &str = "cassandra_commit_statements_total";

/// What one process met.
#[derive(Default)]
struct Met {
    last: Option<Instant>,
    longest: Duration,
}

impl Met {
    fn acknowledged(&mut self) {
        let now = monotonic();
        if let Some(last) = self.last.replace(now) {
            self.longest = self.longest.max(now - last);
        }
    }
}

fn key(partition: &str, writer: usize) -> Key {
    Key {
        space: SPACE,
        partition: Bytes::copy_from_slice(partition.as_bytes()),
        lane: Lane::ITEM,
        sort: writer.to_string().into(),
    }
}

/// A writer's change of its row.
fn commit(
    partition: &str,
    writer: usize,
    round: usize,
    expect: Expect,
    has_record: bool,
) -> Commit {
    let text = format!("{partition} {writer} {round}");
    let key = key(partition, writer);
    let record = LogRecord { shard: SHARD, payload: text.clone().into() };
    Commit {
        preconditions: vec![Precondition { key: key.clone(), expect }],
        mutations: vec![Mutation { key, value: Some(text.into()) }],
        records: has_record.then_some(record).into_iter().collect(),
        ..Commit::default()
    }
}

/// All writers of all processes at once; partitions by process and writer. Returns the statements of these kinds, for
/// each hundred acknowledged commits. `in_step`, nobody begins a commit before all have ended theirs: who waits with whom
/// depends on how long what they wait for takes, and on a busy cluster writers on partitions of their own come one by one.
async fn contend(
    engines: &[Arc<dyn Engine>],
    name: &str,
    partition: impl Fn(usize, usize) -> String + Copy,
    has_record: bool,
    in_step: bool,
) -> [u64; 2] {
    let step = &Barrier::new(if in_step { engines.len() * WRITERS } else { 1 });
    let count = |kind| engines.iter().map(|engine| figure(engine.as_ref(), kind)).sum::<u64>();
    let before = [RESERVE, COMMIT].map(count);
    let begun = monotonic();
    let work = engines.iter().enumerate().map(async |(process, engine)| {
        let met = Mutex::new(Met { last: Some(begun), ..Met::default() });
        let writing = (0..WRITERS).map(async |writer| {
            let partition = partition(process, writer);
            let mut expect = Expect::Absent;
            for round in 0..ROUNDS {
                step.wait().await;
                let row = process * WRITERS + writer;
                let commit = commit(&partition, row, round, expect, has_record);
                match engine.commit(commit).await.unwrap() {
                    Outcome::Committed { version, .. } => expect = Expect::At(version),
                    other => panic!("{other:?}"),
                }
                met.lock().acknowledged();
            }
        });
        join_all(writing).await;
        met.into_inner().longest
    });
    let longest = join_all(work).await;
    let acknowledged = (engines.len() * WRITERS * ROUNDS) as u64;
    let rate = u128::from(acknowledged) * 1000 / begun.elapsed().as_millis();
    let after = [RESERVE, COMMIT].map(count);
    let cost = [0, 1].map(|kind| (after[kind] - before[kind]) * 100 / acknowledged);
    say(&format!(
        "{name}: {rate}/s, for 100 commits {} reservations and {} batches, longest waits {longest:?}\n",
        cost[0], cost[1]
    ));
    cost
}

/// One writer of each process counts up in the same row. Returns the batches for each hundred increments.
async fn count_up(engines: &[Arc<dyn Engine>], name: &str, has_record: bool) -> u64 {
    let batches = || engines.iter().map(|engine| figure(engine.as_ref(), COMMIT)).sum::<u64>();
    let before = batches();
    let begun = monotonic();
    let work = engines.iter().enumerate().map(async |(process, engine)| {
        let mut met = Met { last: Some(begun), ..Met::default() };
        for round in 0..ROUNDS {
            loop {
                let found = engine.get(key(name, 0), Read::Latest).await.unwrap();
                let expect = found.map_or(Expect::Absent, |row| Expect::At(row.version));
                let commit = commit(name, 0, round, expect, has_record);
                match engine.commit(commit).await.unwrap() {
                    Outcome::Committed { .. } => break,
                    Outcome::Conflict { .. } => {}
                    other => panic!("{other:?} of process {process}"),
                }
            }
            met.acknowledged();
        }
        met.longest
    });
    let longest = join_all(work).await;
    let counted = (engines.len() * ROUNDS) as u64;
    let rate = u128::from(counted) * 1000 / begun.elapsed().as_millis();
    let cost = (batches() - before) * 100 / counted;
    say(&format!(
        "{name}: {rate}/s, for 100 increments {cost} batches, longest waits {longest:?}\n"
    ));
    cost
}

#[test]
fn processes_contend_for_a_shard_and_for_a_partition() {
    let cluster = Cluster::new();
    cluster.block_on(Box::pin(async {
        let engines = join_all((0..PROCESSES).map(|_| cluster.open("contention"))).await;
        engines[0].create_space(SPACE).await.unwrap();
        let alone = |_, writer| format!("alone-{writer}");
        let own = |process, writer| format!("own-{process}-{writer}");
        let shared = |_, _| "p".to_owned();
        let [alone, _] = contend(&engines[..1], "one process, one shard", alone, true, true).await;
        let [reservations, commits] = contend(&engines, "one shard", own, true, true).await;
        // Of eight writers that come to a shard together one goes at once, and seven share the round after it, also where
        // three processes refuse each other.
        assert!(alone <= 50 && reservations <= 50, "{alone} {reservations}");
        assert!(commits <= 110, "{commits}");
        let [_, commits] = contend(&engines, "one partition", shared, false, false).await;
        assert!(commits <= 50, "{commits}");
        let [reservations, commits] =
            contend(&engines, "one partition and shard", |_, _| "q".to_owned(), true, false).await;
        assert!(reservations <= 60 && commits <= 60, "{reservations} {commits}");
        let records = engines[0].log_read(SHARD, None, ALL).await.unwrap().records;
        assert_eq!(records.len(), (1 + 2 * PROCESSES) * WRITERS * ROUNDS);
        // Each success refuses what the two others had sent meanwhile.
        for (name, has_record) in [("one row", false), ("one row and shard", true)] {
            let commits = count_up(&engines, name, has_record).await;
            assert!(commits <= 400, "{commits}");
        }
        for engine in engines {
            engine.close().await.unwrap();
        }
    }));
}
