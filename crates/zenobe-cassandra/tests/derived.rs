//! Derived rows with several engines on one keyspace: what an engine that dies in the middle left, others write.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test code, outside the functions that the lint knows as such"
)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use scylla::client::session::Session;
use support::{Cluster, Mortal, figure, now_ms, options, registered, space_table, taken_over};
use zenobe_storage::conformance::EngineFactory as _;
use zenobe_storage::{
    Commit, Engine, HashInterval, Key, Lane, Mutation, Outcome, PageLimit, Read, Row, RowPlace,
    ScanRead, SpaceId,
};

const ITEMS: SpaceId = SpaceId(3);
const ENTRIES: SpaceId = SpaceId(4);
const ALL: PageLimit = PageLimit { rows: 100_000, bytes: 1 << 30 };

fn key(space: SpaceId, partition: &str, sort: &str) -> Key {
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    Key { space, partition: bytes(partition), lane: Lane::ITEM, sort: bytes(sort) }
}

fn put(key: Key, value: &str) -> Mutation {
    Mutation { key, value: Some(Bytes::copy_from_slice(value.as_bytes())) }
}

/// An item with an entry in a partition that its value names; the entries of earlier values are deleted.
fn write(item: &str, value: u64, earlier: impl Iterator<Item = u64>) -> Commit {
    let entry = |value: u64| key(ENTRIES, &format!("e{}", value % 7), &format!("{item}/{value}"));
    let mut derived = vec![put(entry(value), item)];
    derived.extend(earlier.map(|value| Mutation { key: entry(value), value: None }));
    let mutations = vec![put(key(ITEMS, item, "s"), &value.to_string())];
    Commit { mutations, derived, ..Commit::default() }
}

async fn rows(engine: &dyn Engine, space: SpaceId) -> Vec<(RowPlace, Row)> {
    let interval = HashInterval::ALL;
    let scan = ScanRead { space, lane: Lane::ITEM, interval, after: None, limit: ALL };
    let page = engine.scan(scan, Read::Strong).await.unwrap();
    assert!(page.end);
    page.rows
}

/// The entries that there are, and those that there should be by the items, as text with versions.
async fn compare(engine: &dyn Engine) -> (Vec<String>, Vec<String>) {
    let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    let entries = rows(engine, ENTRIES).await;
    let mut found: Vec<_> = entries
        .iter()
        .map(|(place, row)| format!("{} {:?}", text(&place.sort), row.version))
        .collect();
    let items = rows(engine, ITEMS).await;
    let mut expected: Vec<_> = items
        .iter()
        .map(|(place, row)| {
            format!("{}/{} {:?}", text(&place.partition), text(&row.value), row.version)
        })
        .collect();
    found.sort_unstable();
    expected.sort_unstable();
    (found, expected)
}

#[test]
fn what_a_dead_process_left_others_write() {
    let cluster = Cluster::new();
    cluster.block_on(Box::pin(async {
        let name = "dead";
        let engine = cluster.open(name).await;
        engine.create_space(ITEMS).await.unwrap();
        engine.create_space(ENTRIES).await.unwrap();
        const LIVES: u64 = 6;
        for life in 0..LIVES {
            let keyspace = cluster.keyspace(name);
            let mortal = tokio::task::spawn_blocking(move || Mortal::open(options(&keyspace)))
                .await
                .unwrap();
            for writer in 0..8_u64 {
                let engine = Arc::clone(&mortal.engine);
                mortal.runtime.spawn(async move {
                    let item = format!("item{writer}");
                    for round in 0.. {
                        // Each value has an entry of its own; those of this life and all before go.
                        let value = life * 1000 + round;
                        let lives = (0..=life).flat_map(|life| life * 1000..life * 1000 + 60);
                        let earlier = lives.filter(|earlier| *earlier < value);
                        engine.commit(write(&item, value, earlier)).await.unwrap();
                    }
                });
            }
            // At some moment in the middle of the work.
            let commits = 20 + life * 7;
            while figure(mortal.engine.as_ref(), "cassandra_commit_statements_total") < commits {
                tokio::task::yield_now().await;
            }
            mortal.die();
        }
        taken_over(engine.as_ref(), LIVES).await;
        let (found, expected) = compare(engine.as_ref()).await;
        assert_eq!(found, expected);
        assert_eq!(expected.len(), 8);
        for table in ["instances", "marks"] {
            let select = format!("SELECT * FROM {}.{table}", cluster.keyspace(name));
            let rows = cluster.session().query_unpaged(select, ()).await.unwrap();
            assert_eq!(rows.into_rows_result().unwrap().rows_num(), 0, "{table}");
        }
        engine.close().await.unwrap();
    }));
}

/// Leaves the row of a process that died, with its last version.
async fn dead_instance(session: &Session, keyspace: &str, id: &str, last: Option<i64>) {
    let last = last.map_or("null".to_owned(), |last| last.to_string());
    let insert = format!(
        "INSERT INTO {keyspace}.instances (registry, instance, fenced, last) \
         VALUES (0, {id}, false, {last}) IF NOT EXISTS"
    );
    session.query_unpaged(insert, ()).await.unwrap();
}

#[test]
fn what_cannot_be_taken_over_keeps_nothing_else_waiting() {
    let cluster = Cluster::new();
    cluster.block_on(Box::pin(async {
        let name = "damaged";
        let keyspace = cluster.keyspace(name);
        let engine = cluster.open(name).await;
        engine.create_space(ITEMS).await.unwrap();
        let table = space_table(&cluster, name, ITEMS).await;
        let session = cluster.session();
        let (space, incarnation) = registered(&cluster, name, ITEMS).await;
        // One without its last version, one with a trace that does not decode, and one that left nothing; they are
        // looked at in this order.
        for statement in [
            format!("UPDATE {table} SET version = 5 WHERE part = 0x70 AND lane = 256 AND sort = 0x0000000000000005"),
            format!(
                "INSERT INTO {keyspace}.marks (instance, bucket, space, incarnation, part, since) \
                 VALUES (0x01, 0, {space}, {incarnation}, 0x70, 0)"
            ),
        ] {
            session.query_unpaged(statement, ()).await.unwrap();
        }
        for (id, last) in [("0x00", None), ("0x01", Some(10)), ("0x02", Some(10))] {
            dead_instance(session, &keyspace, id, last).await;
        }
        taken_over(engine.as_ref(), 1).await;
        // The claim on the second was given back before the third was begun; the next look is two seconds away.
        let select = format!("SELECT instance, taker FROM {keyspace}.instances");
        let rows = session.query_unpaged(select, ()).await.unwrap().into_rows_result().unwrap();
        let rows: Vec<_> = rows.rows::<(Bytes, Option<Bytes>)>().unwrap().flatten().collect();
        let bytes = |id: u8| Bytes::copy_from_slice(&[id]);
        assert_eq!(rows, [(bytes(0), None), (bytes(1), None)]);
        engine.close().await.unwrap();
    }));
}

#[test]
fn a_process_that_others_took_for_dead_goes_on_anew() {
    let cluster = Cluster::new();
    cluster.block_on(Box::pin(async {
        let name = "fenced";
        let engine = cluster.open(name).await;
        engine.create_space(ITEMS).await.unwrap();
        engine.create_space(ENTRIES).await.unwrap();
        let commit = |value: u64| write("item", value, 0..value);
        assert!(matches!(engine.commit(commit(1)).await, Ok(Outcome::Committed { .. })));
        let keyspace = cluster.keyspace(name);
        let instance = format!("SELECT instance FROM {keyspace}.instances");
        let rows = cluster.session().query_unpaged(instance, ()).await.unwrap();
        let (id,) = rows.into_rows_result().unwrap().single_row::<(Vec<u8>,)>().unwrap();
        let fence = format!(
            "UPDATE {keyspace}.instances SET fenced = true, alive = null \
             WHERE registry = 0 AND instance = ? IF EXISTS"
        );
        let fence = cluster.session().prepare(fence).await.unwrap();
        cluster.session().execute_unpaged(&fence, (id,)).await.unwrap();
        // The other one removes what the first one was; the first one finds out and takes a new name.
        let other = cluster.open(name).await;
        taken_over(other.as_ref(), 1).await;
        for value in 2..40 {
            let outcome = engine.commit(commit(value)).await;
            assert!(matches!(outcome, Ok(Outcome::Committed { .. })), "{outcome:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let (found, expected) = compare(engine.as_ref()).await;
        assert_eq!(found, expected);
        other.close().await.unwrap();
        engine.close().await.unwrap();
        let rows = format!("SELECT * FROM {keyspace}.instances");
        let rows = cluster.session().query_unpaged(rows, ()).await.unwrap();
        assert_eq!(rows.into_rows_result().unwrap().rows_num(), 0);
    }));
}

#[test]
fn a_mark_is_as_young_as_the_first_commit_of_its_process() {
    let cluster = Cluster::new();
    cluster.block_on(Box::pin(async {
        let name = "young";
        let earlier = cluster.open(name).await;
        earlier.create_space(ITEMS).await.unwrap();
        earlier.create_space(ENTRIES).await.unwrap();
        // One that has given no version yet.
        let engine = cluster.open(name).await;
        let before_ms = now_ms();
        let outcome = engine.commit(write("item", 1, 0..0)).await.unwrap();
        let Outcome::Committed { version, .. } = outcome else { panic!("{outcome:?}") };
        let select = format!("SELECT since FROM {}.marks", cluster.keyspace(name));
        let rows = cluster.session().query_unpaged(select, ()).await.unwrap();
        let (since,) = rows.into_rows_result().unwrap().single_row::<(i64,)>().unwrap();
        let since = since.cast_unsigned();
        assert!(since >> 21 >= before_ms && since < version.0, "{since} {version:?}");
        earlier.close().await.unwrap();
        engine.close().await.unwrap();
    }));
}

#[test]
fn a_closed_engine_leaves_nothing_to_others() {
    let cluster = Cluster::new();
    cluster.block_on(Box::pin(async {
        let name = "closed";
        let engine = cluster.open(name).await;
        engine.create_space(ITEMS).await.unwrap();
        engine.create_space(ENTRIES).await.unwrap();
        let writing = (0..20).map(async |item| {
            for value in 0..3 {
                let commit = write(&format!("item{item}"), value, 0..value);
                assert!(matches!(engine.commit(commit).await, Ok(Outcome::Committed { .. })));
            }
        });
        join_all(writing).await;
        engine.close().await.unwrap();
        let keyspace = cluster.keyspace(name);
        for table in ["instances", "marks"] {
            let select = format!("SELECT * FROM {keyspace}.{table}");
            let rows = cluster.session().query_unpaged(select, ()).await.unwrap();
            assert_eq!(rows.into_rows_result().unwrap().rows_num(), 0, "{table}");
        }
    }));
}
