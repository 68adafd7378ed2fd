//! Encrypted connections to the nodes: their certificates are checked, and shown one of this process's own.
//!
//! `cluster/cluster` makes the certificates, if `openssl` is there.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test code, outside the functions that the lint knows as such"
)]

mod support;

use std::path::PathBuf;

use support::{Cluster, options, say};
use zenobe_cassandra::{CassandraEngine, ClientCertificate, Tls};
use zenobe_storage::conformance::EngineFactory as _;
use zenobe_storage::{Engine as _, EngineError, SpaceId};

const SPACE: SpaceId = SpaceId(3);

#[test]
fn connections_are_encrypted_and_certificates_checked() {
    let cluster = Cluster::new();
    cluster.block_on(Box::pin(async {
        let nodes = std::env::var("ZENOBE_CASSANDRA_NODES").unwrap_or_default();
        let file = |name: &str| PathBuf::from(&nodes).join("tls").join(name);
        if !file("ca.pem").exists() {
            say("SKIPPED: the cluster has no certificates\n");
            return;
        }
        let client =
            ClientCertificate { certificates: file("client.crt"), key: file("client.key") };
        let mut options = options(&cluster.keyspace("tls"));
        options.tls = Some(Tls { authorities: file("ca.pem"), client: Some(client.clone()) });
        let engine = CassandraEngine::open(options.clone()).await.unwrap();
        engine.create_space(SPACE).await.unwrap();
        assert_eq!(engine.spaces().await.unwrap(), [SPACE]);
        engine.close().await.unwrap();
        // No certificate of its own, an authority that did not sign the nodes' certificates, and files that hold
        // nothing of the kind.
        let wrong = [
            ("ca.pem", None, ""),
            ("client.crt", Some(client.clone()), "certificate"),
            ("ca.key", Some(client.clone()), "no certificate"),
            ("none", Some(client), "none"),
        ];
        for (authorities, client, said) in wrong {
            options.tls = Some(Tls { authorities: file(authorities), client });
            match CassandraEngine::open(options.clone()).await {
                Err(EngineError::Unavailable(text)) => assert!(text.contains(said), "{text}"),
                Err(error) => panic!("{error}"),
                Ok(_) => panic!("{authorities} was accepted"),
            }
        }
    }));
}
