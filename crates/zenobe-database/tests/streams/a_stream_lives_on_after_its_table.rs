//! Enabling, disabling, enabling again, deleting the table, restarts.

use std::sync::Arc;

use zenobe_model::operation::*;
use zenobe_storage::memory::{MemoryEngine, MemoryOptions};
use zenobe_storage::{Engine, Position};

use super::reading::*;
use super::support::*;

#[tokio::test]
async fn disabled_streams_stay_readable_and_new_ones_have_new_labels() {
    let environment = TestEnvironment::new();
    let engine = engine().await;
    let mut db = open_at(&engine, environment.clone()).await;
    create_table(&db, create("Music", "pk:S sk:S", "H:pk R:sk")).await.unwrap();
    put(&db, "Music", "pk=0 sk=0").await.unwrap();
    assert_eq!(list_streams(&db, None).await, Vec::<String>::new());
    let arn_of = async |db: &_| describe(db, "Music").await.unwrap().latest_stream_arn.unwrap();

    update_table(&db, set_stream("Music", Some(StreamViewType::KeysOnly))).await.unwrap();
    let first = arn_of(&db).await;
    put(&db, "Music", "pk=1 sk=1").await.unwrap();
    update_table(&db, set_stream("Music", None)).await.unwrap();
    assert!(describe(&db, "Music").await.unwrap().stream_specification.is_none());
    put(&db, "Music", "pk=2 sk=2").await.unwrap();
    // In the same millisecond: a label of its own all the same.
    update_table(&db, set_stream("Music", Some(StreamViewType::NewImage))).await.unwrap();
    let second = arn_of(&db).await;
    put(&db, "Music", "pk=3 sk=3").await.unwrap();

    assert_eq!(list_streams(&db, Some("Music")).await, [first.clone(), second.clone()]);
    let records = async |db: &_, arn: &str| -> Vec<String> {
        read_all(db, arn).await.iter().map(text).collect()
    };
    for restarted in [false, true] {
        if restarted {
            end(db).await;
            db = open_at(&engine, environment.clone()).await;
        }
        assert_eq!(records(&db, &first).await, ["INSERT pk=1 sk=1: - -> -"]);
        assert_eq!(records(&db, &second).await, ["INSERT pk=3 sk=3: - -> pk=3 sk=3"]);
        let status = async |arn| describe_stream(&db, arn).await.unwrap().stream_status;
        assert_eq!(status(&first).await, StreamStatus::Disabled);
        assert_eq!(status(&second).await, StreamStatus::Enabled);
    }

    // The last one to open writes on where the others stopped.
    end(db).await;
    let db = open_at(&engine, environment.clone()).await;
    put(&db, "Music", "pk=4 sk=4").await.unwrap();
    delete_table(&db, "Music").await.unwrap();
    environment.advance(1000);
    streamed(&db, "Music", StreamViewType::OldImage).await;
    put(&db, "Music", "pk=5 sk=5").await.unwrap();
    assert_eq!(list_streams(&db, Some("Music")).await.len(), 3);
    assert_eq!(records(&db, &second).await.len(), 2);
    assert_eq!(describe_stream(&db, &second).await.unwrap().stream_status, StreamStatus::Disabled);

    // A day later only the stream of the table that there is can be read.
    environment.advance(25 * HOUR_MS);
    db.maintain_streams().await.unwrap();
    assert_eq!(list_streams(&db, None).await, [arn_of(&db).await]);
    assert!(message(describe_stream(&db, &second).await).ends_with("not found"));
    end(db).await;
    let db = open_at(&engine, environment.clone()).await;
    assert_eq!(list_streams(&db, None).await, [arn_of(&db).await]);
}

#[tokio::test]
async fn a_stream_has_as_many_shards_as_the_table_has_partitions() {
    let db = open(&engine().await).await;
    for (read, write, expected) in [(1, 1, 1), (3000, 1, 2), (10, 1001, 2), (6000, 4000, 6)] {
        let name = format!("T{read}-{write}");
        let request = CreateTableRequest {
            billing_mode: Some(BillingMode::Provisioned),
            provisioned_throughput: Some(units(read, write)),
            ..with_stream(&name, StreamViewType::KeysOnly)
        };
        let arn = create_table(&db, request).await.unwrap().latest_stream_arn.unwrap();
        assert_eq!(shards(&db, &arn).await.len(), expected, "{read} {write}");
    }
    let arn = streamed(&db, "OnDemand", StreamViewType::KeysOnly).await;
    assert_eq!(shards(&db, &arn).await.len(), 4);
}

#[tokio::test]
async fn a_shard_is_not_at_its_end_while_something_in_it_is_unfinished() {
    let memory = Arc::new(MemoryEngine::new(MemoryOptions::default()));
    let engine: Arc<dyn Engine> = memory.clone();
    let db = open_at(&engine, TestEnvironment::new()).await;
    let arn = streamed(&db, "Music", StreamViewType::KeysOnly).await;
    let hold = async |unfinished: bool| {
        for shard in engine.log_shards().await.unwrap() {
            memory.hold_log(shard, unfinished.then_some(Position(1)));
        }
    };
    for number in 0..20 {
        put(&db, "Music", &format!("pk={number} sk=0")).await.unwrap();
    }
    update_table(&db, set_stream("Music", None)).await.unwrap();
    hold(true).await;
    let mut iterators = Vec::new();
    for shard in shards(&db, &arn).await {
        assert!(shard.ending_sequence_number.is_some());
        let from = start(&arn, &shard.shard_id, ShardIteratorType::TrimHorizon);
        let (found, next) = drain(&db, iterator(&db, from).await.unwrap(), None).await;
        assert!(found.is_empty());
        iterators.push(next.unwrap());
    }
    hold(false).await;
    let mut found = 0;
    for iterator in iterators {
        let (records, next) = drain(&db, iterator, None).await;
        found += records.len();
        assert_eq!(next, None);
    }
    assert_eq!(found, 20);
}
