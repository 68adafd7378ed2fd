//! All processes use one data centre: another one than the cluster has, or than others used before, is refused. So is
//! replication that it has not the nodes for.

#![allow(
    clippy::unwrap_used,
    reason = "test code, outside the functions that the lint knows as such"
)]

mod support;

use support::{Cluster, contact_points, options};
use zenobe_cassandra::{CassandraEngine, CassandraOptions, Replication};
use zenobe_storage::conformance::EngineFactory as _;
use zenobe_storage::{Engine as _, EngineError};

/// What is told when the store is not opened.
async fn refused(options: CassandraOptions) -> String {
    match CassandraEngine::open(options).await {
        Err(EngineError::Unavailable(text)) => text,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("opened"),
    }
}

#[test]
fn a_data_centre_that_the_cluster_does_not_have_is_refused() {
    let cluster = Cluster::new();
    cluster.block_on(Box::pin(async {
        let mut options = options(&cluster.keyspace("nowhere"));
        options.local_datacenter = Some("nowhere".to_owned());
        let told = refused(options).await;
        assert!(told.contains("no data centre \"nowhere\""), "{told}");
        assert!(told.contains("--cassandra-datacenter"), "{told}");
    }));
}

#[test]
fn a_keyspace_stays_in_the_data_centre_where_it_was_used_first() {
    let cluster = Cluster::new();
    cluster.block_on(Box::pin(async {
        let keyspace = cluster.keyspace("first");
        for _ in 0..2 {
            let engine = CassandraEngine::open(options(&keyspace)).await.unwrap();
            engine.close().await.unwrap();
        }
        // As if the first process had used another one.
        let elsewhere = format!(
            "UPDATE {keyspace}.nodes SET instance = textAsBlob('elsewhere') WHERE id = 0 IF EXISTS"
        );
        cluster.session().query_unpaged(elsewhere, ()).await.unwrap();
        let told = refused(options(&keyspace)).await;
        assert!(told.contains("\"elsewhere\""), "{told}");
        assert!(told.contains("--cassandra-datacenter"), "{told}");
    }));
}

#[test]
fn a_keyspace_with_more_replicas_than_nodes_is_not_made() {
    let cluster = Cluster::new();
    cluster.block_on(Box::pin(async {
        let keyspace = cluster.keyspace("many");
        let nodes = u32::try_from(contact_points().unwrap().len()).unwrap();
        let mut many = options(&keyspace);
        many.replication = Replication::EachDatacenter(nodes + 1);
        let told = refused(many.clone()).await;
        assert!(told.contains("--cassandra-replication"), "{told}");
        // Asked for as many as there are, it is made: nothing was left behind.
        let engine = CassandraEngine::open(options(&keyspace)).await.unwrap();
        engine.close().await.unwrap();
        // One that is there keeps its own.
        let engine = CassandraEngine::open(many).await.unwrap();
        engine.close().await.unwrap();
    }));
}

#[test]
fn a_keyspace_without_nodes_for_most_of_its_replicas_is_not_used() {
    let cluster = Cluster::new();
    cluster.block_on(Box::pin(async {
        let keyspace = cluster.keyspace("made");
        let replicas = 2 * contact_points().unwrap().len();
        let create = format!(
            "CREATE KEYSPACE {keyspace} WITH replication = \
             {{'class': 'NetworkTopologyStrategy', 'replication_factor': {replicas}}}"
        );
        cluster.session().query_unpaged(create, ()).await.unwrap();
        let told = refused(options(&keyspace)).await;
        assert!(told.contains(&format!("{keyspace} is there with {replicas} replicas")), "{told}");
        assert!(told.contains("--cassandra-replication"), "{told}");
    }));
}
