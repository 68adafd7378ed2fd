//! Rows that a commit only looks at, or would delete and finds missing, leave nothing behind for later reads to pass.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test code, outside the functions that the lint knows as such"
)]

mod support;

use bytes::Bytes;
use scylla::statement::unprepared::Statement;
use support::{Cluster, space_table};
use zenobe_storage::conformance::EngineFactory as _;
use zenobe_storage::{
    Commit, Engine, Expect, Key, Lane, Mutation, Outcome, Precondition, Read, SpaceId, Version,
};

const SPACE: SpaceId = SpaceId(3);
/// Of rows that are expected beside others, as the database expects that no transaction holds an item.
const BESIDE: Lane = Lane(253);
const ROWS: u64 = 20;

fn key(lane: Lane, index: u64) -> Key {
    let sort = Bytes::copy_from_slice(&index.to_be_bytes());
    Key { space: SPACE, partition: Bytes::from_static(b"p"), lane, sort }
}

/// A write of an item under the condition that a row beside it is as expected.
fn write(index: u64, beside: Expect) -> Commit {
    let put = Mutation { key: key(Lane::ITEM, index), value: Some(Bytes::from_static(b"x")) };
    let precondition = Precondition { key: key(BESIDE, index), expect: beside };
    Commit { preconditions: vec![precondition], mutations: vec![put], ..Commit::default() }
}

async fn committed(engine: &dyn Engine, commit: Commit) -> Version {
    match engine.commit(commit).await.unwrap() {
        Outcome::Committed { version, .. } => version,
        other => panic!("{other:?}"),
    }
}

/// What the node says it passed in a lane: rows that are there, and what was deleted.
async fn passed(cluster: &Cluster, table: &str, lane: Lane) -> (u64, u64) {
    let lane = lane.0;
    let text = format!("SELECT sort FROM {table} WHERE part = 0x70 AND lane = {lane}");
    let mut select = Statement::new(text);
    select.set_tracing(true);
    let answer = cluster.session().query_unpaged(select, ()).await.unwrap();
    let trace = cluster.session().get_tracing_info(&answer.tracing_id().unwrap()).await.unwrap();
    let told = trace.events.iter().filter_map(|event| event.activity.as_deref());
    let mut read = told.filter_map(|text| {
        let (rows, deleted) = text.strip_prefix("Read ")?.split_once(" live rows and ")?;
        let deleted = deleted.strip_suffix(" tombstone cells")?;
        Some((rows.parse().unwrap(), deleted.parse().unwrap()))
    });
    read.next_back().unwrap()
}

#[test]
fn a_condition_leaves_nothing_where_it_looked() {
    let cluster = Cluster::new();
    cluster.block_on(Box::pin(async {
        let name = "conditions";
        let engine = cluster.open(name).await;
        let engine = engine.as_ref();
        engine.create_space(SPACE).await.unwrap();
        let table = space_table(&cluster, name, SPACE).await;
        for index in 0..ROWS {
            committed(engine, write(index, Expect::Absent)).await;
        }
        assert_eq!(passed(&cluster, &table, Lane::ITEM).await, (ROWS, 0));
        assert_eq!(passed(&cluster, &table, BESIDE).await, (0, 0));
        // A deletion of what is not there, if it is not there.
        let missing = key(BESIDE, 0);
        let gone = Commit {
            preconditions: vec![Precondition { key: missing.clone(), expect: Expect::Absent }],
            mutations: vec![Mutation { key: missing, value: None }],
            ..Commit::default()
        };
        committed(engine, gone.clone()).await;
        assert_eq!(passed(&cluster, &table, BESIDE).await, (0, 0));
        // The conditions are conditions all the same, and the row that is looked at stays as it is.
        let beside = key(BESIDE, 0);
        let put = Mutation { key: beside.clone(), value: Some(Bytes::from_static(b"beside")) };
        let version = committed(engine, Commit { mutations: vec![put], ..Commit::default() }).await;
        committed(engine, write(0, Expect::At(version))).await;
        for refused in [write(0, Expect::Absent), write(0, Expect::At(Version(1))), gone] {
            let outcome = engine.commit(refused).await.unwrap();
            assert!(matches!(outcome, Outcome::Conflict { key, .. } if key == beside));
        }
        let found = engine.get(beside, Read::Strong).await.unwrap().unwrap();
        assert_eq!((found.version, &found.value[..]), (version, &b"beside"[..]));
        assert_eq!(passed(&cluster, &table, BESIDE).await, (1, 0));
        engine.close().await.unwrap();
    }));
}
