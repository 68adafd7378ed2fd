//! All nodes stand still for longer than a connection to them is kept, as in a collection of garbage on a busy
//! machine: calls take as long, and none fails.

#![allow(
    clippy::unwrap_used,
    reason = "test code, outside the functions that the lint knows as such"
)]

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{join, join_all};
use support::{Cluster, cluster_script, contact_points, figure};
use zenobe_storage::conformance::EngineFactory as _;
use zenobe_storage::{
    Commit, Engine, Expect, HashInterval, Key, Lane, Mutation, Outcome, PageLimit, Precondition,
    Read, ScanRead, SpaceId,
};

const SPACE: SpaceId = SpaceId(3);
/// The driver gives a connection up after two and a half seconds.
const PAUSE: Duration = Duration::from_millis(2700);
const WRITERS: u8 = 4;

fn key(partition: u8) -> Key {
    let partition = Bytes::copy_from_slice(&[b'p', partition]);
    Key { space: SPACE, partition, lane: Lane::ITEM, sort: Bytes::from_static(b"s") }
}

/// Adds one to a row's number until told to stop. Returns how often.
async fn count_up(engine: &dyn Engine, number: u8, stop: &AtomicBool) -> u64 {
    let mut count = 0_u64;
    let mut expect = Expect::Absent;
    while !stop.load(Ordering::Relaxed) {
        let value = Bytes::copy_from_slice(&(count + 1).to_be_bytes());
        let commit = Commit {
            preconditions: vec![Precondition { key: key(number), expect }],
            mutations: vec![Mutation { key: key(number), value: Some(value) }],
            ..Commit::default()
        };
        match engine.commit(commit).await.unwrap() {
            Outcome::Committed { version, .. } => expect = Expect::At(version),
            other => panic!("{other:?} after {count}"),
        }
        count += 1;
    }
    count
}

async fn read(engine: &dyn Engine, read: Read, stop: &AtomicBool) -> u64 {
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        let scan = ScanRead {
            space: SPACE,
            lane: Lane::ITEM,
            interval: HashInterval::ALL,
            after: None,
            limit: PageLimit { rows: 100, bytes: 1 << 20 },
        };
        engine.get(key(0), read.clone()).await.unwrap();
        engine.scan(scan, read.clone()).await.unwrap();
        count += 1;
    }
    count
}

#[test]
fn no_call_fails_when_the_nodes_stand_still() {
    let nodes = contact_points().map_or(0, |points| u8::try_from(points.len()).unwrap());
    let cluster = Cluster::new();
    cluster.block_on(Box::pin(async {
        if nodes == 0 {
            return;
        }
        let engine = cluster.open(&cluster.keyspace("standstill")).await;
        let engine = engine.as_ref();
        engine.create_space(SPACE).await.unwrap();
        let stop = AtomicBool::new(false);
        let writers = join_all((0..WRITERS).map(|number| count_up(engine, number, &stop)));
        let readers = join(read(engine, Read::Strong, &stop), read(engine, Read::Eventual, &stop));
        let standstill = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            (1..=nodes).for_each(|node| cluster_script("pause", node));
            tokio::time::sleep(PAUSE).await;
            (1..=nodes).for_each(|node| cluster_script("resume", node));
            tokio::time::sleep(Duration::from_secs(2)).await;
            stop.store(true, Ordering::Relaxed);
        };
        let (counts, (readers, ())) = join(writers, join(readers, standstill)).await;
        assert!(figure(engine, "cassandra_failures_total") > 0, "no connection broke");
        assert!(readers.0 > 0 && readers.1 > 0, "{readers:?}");
        for (number, count) in (0..WRITERS).zip(counts) {
            let row = engine.get(key(number), Read::Strong).await.unwrap().unwrap();
            assert_eq!(row.value, count.to_be_bytes().as_slice(), "{number}");
        }
        engine.close().await.unwrap();
    }));
}
