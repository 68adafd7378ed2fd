//! All processes use one data centre: another one than the cluster has, or than others used before, is refused.

#![allow(
    clippy::unwrap_used,
    reason = "test code, outside the functions that the lint knows as such"
)]

mod support;

use support::{Cluster, options};
use zenobe_cassandra::{CassandraEngine, CassandraOptions};
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
