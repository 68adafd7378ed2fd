//! More to do than the engine takes at once is refused, and nothing of it happens; what is taken is done.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test code, outside the functions that the lint knows as such"
)]

mod support;

use bytes::Bytes;
use futures_util::future::join_all;
use support::{Cluster, figure, options};
use zenobe_storage::conformance::EngineFactory as _;
use zenobe_storage::{
    Commit, Engine, EngineError, Health, Key, Lane, Mutation, Outcome, Read, SpaceId,
};

const SPACE: SpaceId = SpaceId(3);
const DERIVED: SpaceId = SpaceId(4);
const AT_ONCE: usize = 40;

fn key(space: SpaceId, index: usize) -> Key {
    let bytes = Bytes::from(format!("{index:02}").into_bytes());
    Key { space, partition: bytes.clone(), lane: Lane::ITEM, sort: bytes }
}

fn put(space: SpaceId, index: usize) -> Mutation {
    Mutation { key: key(space, index), value: Some(Bytes::from_static(b"x")) }
}

/// Runs commits at once, and checks that those and only those that were acknowledged are there. Returns how many.
async fn commit_at_once(engine: &dyn Engine, derives: bool) -> usize {
    let committing = (0..AT_ONCE).map(async |index| {
        let derived = if derives { vec![put(DERIVED, index)] } else { Vec::new() };
        let mutations = vec![put(SPACE, index)];
        engine.commit(Commit { mutations, derived, ..Commit::default() }).await
    });
    let mut done = 0;
    for (index, outcome) in join_all(committing).await.into_iter().enumerate() {
        let happened = match outcome {
            Ok(Outcome::Committed { .. }) => true,
            Err(EngineError::Overloaded(_)) => false,
            other => panic!("{other:?}"),
        };
        done += usize::from(happened);
        let spaces: &[SpaceId] = if derives { &[SPACE, DERIVED] } else { &[SPACE] };
        for space in spaces {
            let found = engine.get(key(*space, index), Read::Strong).await.unwrap();
            assert_eq!(found.is_some(), happened, "{index}");
        }
    }
    done
}

#[test]
fn too_many_commits_are_refused() {
    let cluster = Cluster::new();
    cluster.block_on(Box::pin(async {
        let mut options = options(&cluster.keyspace("commits"));
        options.commits_waiting_max = 5;
        let engine = cluster.open_with(options).await;
        engine.create_space(SPACE).await.unwrap();
        let done = commit_at_once(engine.as_ref(), false).await;
        assert!((5..AT_ONCE).contains(&done), "{done}");
        assert!(figure(engine.as_ref(), "cassandra_overloaded_total") > 0);
        // There is room again at once.
        assert_eq!(engine.health(), Health::Writable);
        let commit = Commit { mutations: vec![put(SPACE, AT_ONCE)], ..Commit::default() };
        assert!(matches!(engine.commit(commit).await, Ok(Outcome::Committed { .. })));
        engine.close().await.unwrap();
    }));
}

#[test]
fn too_many_statements_are_refused() {
    let cluster = Cluster::new();
    cluster.block_on(Box::pin(async {
        let mut options = options(&cluster.keyspace("statements"));
        (options.statements_in_flight_max, options.statements_waiting_max) = (1, 5);
        let engine = cluster.open_with(options).await;
        engine.create_space(SPACE).await.unwrap();
        let getting = (0..AT_ONCE).map(|index| engine.get(key(SPACE, index), Read::Strong));
        let answers = join_all(getting).await;
        let done = answers.iter().filter(|answer| **answer == Ok(None)).count();
        let refused = |answer: &&Result<_, _>| matches!(answer, Err(EngineError::Overloaded(_)));
        assert_eq!(done + answers.iter().filter(refused).count(), AT_ONCE);
        assert!((6..AT_ONCE).contains(&done), "{done}");
        engine.close().await.unwrap();
    }));
}

#[test]
fn commits_with_derived_rows_wait_for_room() {
    let cluster = Cluster::new();
    cluster.block_on(Box::pin(async {
        let mut options = options(&cluster.keyspace("room"));
        options.unfinished_bytes_max = 1;
        let engine = cluster.open_with(options).await;
        for space in [SPACE, DERIVED] {
            engine.create_space(space).await.unwrap();
        }
        // One after the other, as each is finished.
        assert_eq!(commit_at_once(engine.as_ref(), true).await, AT_ONCE);
        engine.close().await.unwrap();
    }));
}
