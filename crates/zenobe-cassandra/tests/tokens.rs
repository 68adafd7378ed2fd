//! The hash of a partition is the token that the server gives it, in the same order.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test code, outside the functions that the lint knows as such"
)]

mod support;

use scylla::value::CqlValue;
use support::Cluster;
use zenobe_storage::conformance::EngineFactory as _;

#[test]
fn tokens_are_those_of_the_server() {
    let cluster = Cluster::new();
    cluster.block_on(Box::pin(async {
        let engine = cluster.open("tokens").await;
        let keyspace = cluster.keyspace("tokens");
        let session = cluster.session();
        let insert = format!("INSERT INTO {keyspace}.anchors (part, lane, sort) VALUES (?, 0, ?)");
        let insert = session.prepare(insert).await.unwrap();
        // Every length around the hash's blocks of 16 bytes, with bytes that a sign would spoil.
        for length in 1..70_u8 {
            for fill in [0_u8, 0x7f, 0x80, 0xff, length] {
                let part: Vec<u8> =
                    (0..length).map(|index| fill ^ index.wrapping_mul(37)).collect();
                session.execute_unpaged(&insert, (part, vec![0_u8])).await.unwrap();
            }
        }
        let select = format!("SELECT part, token(part) FROM {keyspace}.anchors");
        let rows = session.query_unpaged(select, ()).await.unwrap().into_rows_result().unwrap();
        let mut last = 0;
        let mut count = 0;
        for row in rows.rows::<(CqlValue, i64)>().unwrap() {
            let (CqlValue::Blob(part), token) = row.unwrap() else { panic!("a blob") };
            let hash = engine.partition_hash(&part);
            assert_eq!(hash, token.cast_unsigned() ^ (1 << 63), "{part:?}");
            assert!(hash >= last, "the server's order");
            last = hash;
            count += 1;
        }
        assert!(count > 300);
        engine.close().await.unwrap();
    }));
}
