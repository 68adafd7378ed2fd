//! Pages that are not answered in time are asked for again in smaller pieces, a few times.

#![allow(
    clippy::unwrap_used,
    reason = "test code, outside the functions that the lint knows as such"
)]

mod support;

use std::ops::Bound;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join;
use support::{Cluster, cluster_script, contact_points, figure, options};
use zenobe_storage::conformance::EngineFactory as _;
use zenobe_storage::{
    Commit, Direction, Engine, EngineError, EngineResult, HashInterval, Key, Lane, Mutation,
    Outcome, Page, PageLimit, RangeRead, Read, ScanRead, SpaceId,
};

const SPACE: SpaceId = SpaceId(3);
const LIMIT: PageLimit = PageLimit { rows: 100, bytes: 1 << 20 };
const PATIENCE: Duration = Duration::from_millis(400);
/// Longer than one page is waited for, and shorter than a node has to say that it lives.
const PAUSE: Duration = Duration::from_millis(600);

fn key(partition: u8) -> Key {
    let partition = Bytes::copy_from_slice(&[b'p', partition]);
    Key { space: SPACE, partition, lane: Lane::ITEM, sort: Bytes::from_static(b"s") }
}

async fn scan(engine: &dyn Engine, read: Read) -> EngineResult<Page> {
    let scan = ScanRead {
        space: SPACE,
        lane: Lane::ITEM,
        interval: HashInterval::ALL,
        after: None,
        limit: LIMIT,
    };
    engine.scan(scan, read).await
}

async fn range(engine: &dyn Engine, read: Read) -> EngineResult<Page> {
    let range = RangeRead {
        space: SPACE,
        partition: key(0).partition,
        lane: Lane::ITEM,
        from: Bound::Unbounded,
        to: Bound::Unbounded,
        direction: Direction::Forward,
        limit: LIMIT,
    };
    engine.range(range, read).await
}

/// What a read brings while the node stands still at first.
async fn held_up(read: impl Future<Output = EngineResult<Page>>) -> EngineResult<Page> {
    cluster_script("pause", 1);
    let resume = async {
        tokio::time::sleep(PAUSE).await;
        cluster_script("resume", 1);
    };
    join(read, resume).await.0
}

#[test]
fn a_page_that_is_late_is_read_in_smaller_pieces() {
    // With several nodes another one answers.
    let one_node = contact_points().is_some_and(|points| points.len() == 1);
    let cluster = Cluster::new();
    cluster.block_on(Box::pin(async {
        if !one_node {
            return;
        }
        let mut options = options(&cluster.keyspace("late"));
        options.page_patience = PATIENCE;
        let engine = cluster.open_with(options).await;
        let engine = engine.as_ref();
        engine.create_space(SPACE).await.unwrap();
        for partition in 0..10 {
            let put = Mutation { key: key(partition), value: Some(Bytes::from_static(b"x")) };
            let outcome = engine.commit(Commit { mutations: vec![put], ..Commit::default() }).await;
            assert!(matches!(outcome, Ok(Outcome::Committed { .. })));
        }
        for read in [Read::Strong, Read::Eventual] {
            let before = figure(engine, "cassandra_scan_statements_total");
            let page = held_up(scan(engine, read.clone())).await.unwrap();
            assert_eq!((page.rows.len(), page.end), (10, true));
            let statements = figure(engine, "cassandra_scan_statements_total") - before;
            assert!(statements > 2, "{statements}: in pieces");
            let page = held_up(range(engine, read)).await.unwrap();
            assert_eq!((page.rows.len(), page.end), (1, true));
        }
        // A node that does not answer at all is not asked for ever.
        cluster_script("pause", 1);
        let never = scan(engine, Read::Strong).await;
        cluster_script("resume", 1);
        assert!(matches!(never, Err(EngineError::Unavailable(_))), "{never:?}");
        engine.close().await.unwrap();
    }));
}
