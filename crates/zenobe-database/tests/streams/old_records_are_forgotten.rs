//! Retention: what is older than a day is forgotten, and readers are told.

use std::sync::Arc;

use zenobe_model::ErrorCode;
use zenobe_model::operation::ShardIteratorType::*;
use zenobe_model::operation::*;
use zenobe_storage::memory::MemoryEngine;
use zenobe_storage::{Engine, ShardId};

use super::reading::*;
use super::support::*;

#[tokio::test]
async fn records_and_shards_go_with_their_age() {
    let environment = TestEnvironment::new();
    let engine = engine().await;
    let db = open_at(&engine, environment.clone()).await;
    let arn = streamed(&db, "Music", StreamViewType::KeysOnly).await;
    let first = shards(&db, &arn).await;
    // One change each hour for three days, with upkeep every twenty minutes.
    let hours: u64 = times(72, 36);
    for hour in 0..hours {
        put(&db, "Music", &format!("pk=1 sk={hour}")).await.unwrap();
        for _ in 0..3 {
            environment.advance(HOUR_MS / 3);
            db.maintain_streams().await.unwrap();
        }
    }
    let records = read_all(&db, &arn).await;
    let now_ms = START_MS + hours * HOUR_MS;
    let oldest_ms = records[0].creation_ms;
    assert!(records.len() >= 24);
    assert!(now_ms - oldest_ms <= 25 * HOUR_MS, "kept for {} ms", now_ms - oldest_ms);
    // A generation of four every four hours; the newest was opened just now.
    let kept = shards(&db, &arn).await;
    assert!((28..=32).contains(&kept.len()), "{}", kept.len());
    assert!(kept.iter().all(|shard| shard.parent_shard_id.is_some()));
    assert_eq!(
        message(iterator(&db, start(&arn, &first[0].shard_id, TrimHorizon)).await),
        "Requested resource not found: Shard does not exist"
    );
    // The engine has forgotten what nobody can read any more.
    assert!(engine.log_shards().await.unwrap().len() <= kept.len());
}

#[tokio::test]
async fn a_reader_who_comes_too_late_is_told() {
    let environment = TestEnvironment::new();
    let engine = engine().await;
    let mut config = zenobe_database::DatabaseConfig::default();
    config.streams.retention_ms = 60_000;
    let db = begin(&engine, &environment, config).await.unwrap();
    let arn = streamed(&db, "Music", StreamViewType::KeysOnly).await;
    put(&db, "Music", "pk=1 sk=1").await.unwrap();
    let mut iterators = Vec::new();
    for shard in shards(&db, &arn).await {
        iterators.push(iterator(&db, start(&arn, &shard.shard_id, TrimHorizon)).await.unwrap());
    }
    let number = read_all(&db, &arn).await[0].sequence_number.clone();
    put(&db, "Music", "pk=1 sk=2").await.unwrap();
    db.maintain_streams().await.unwrap();
    environment.advance(61_000);
    db.maintain_streams().await.unwrap();
    assert_eq!(read_all(&db, &arn).await.len(), 0);
    for iterator in iterators {
        let error = records(&db, &iterator, None).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::TrimmedDataAccess);
    }
    for shard in shards(&db, &arn).await {
        let request = GetShardIteratorRequest {
            sequence_number: Some(number.clone()),
            ..start(&arn, &shard.shard_id, AfterSequenceNumber)
        };
        let error = iterator(&db, request).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::TrimmedDataAccess);
    }
    // A shard that is open has its first number as long as it lives.
    let mut firsts = Vec::new();
    for shard in shards(&db, &arn).await {
        let number = shard.starting_sequence_number.clone();
        for kind in [AtSequenceNumber, AfterSequenceNumber] {
            let request = GetShardIteratorRequest {
                sequence_number: Some(number.clone()),
                ..start(&arn, &shard.shard_id, kind)
            };
            firsts.push(iterator(&db, request).await.unwrap());
        }
    }
    for first in &firsts {
        assert_eq!(records(&db, first, None).await.unwrap().records.len(), 0);
    }
    // New records are read as ever, and one who waits for them is not too late.
    put(&db, "Music", "pk=1 sk=3").await.unwrap();
    assert_eq!(read_all(&db, &arn).await.len(), 1);
}

#[tokio::test]
async fn one_who_waits_for_records_is_never_too_late() {
    let environment = TestEnvironment::new();
    let db = open_at(&engine().await, environment.clone()).await;
    let arn = streamed(&db, "Music", StreamViewType::KeysOnly).await;
    create_table(&db, create("Other", "pk:S", "H:pk")).await.unwrap();
    let shard = shards(&db, &arn).await.remove(0).shard_id;
    let mut next = iterator(&db, start(&arn, &shard, TrimHorizon)).await.unwrap();
    // Until its shard is closed after four hours it hears of nothing, while others write.
    for round in 0..=16 {
        let page = records(&db, &next, None).await.unwrap();
        assert!(page.records.is_empty());
        let Some(iterator) = page.next_shard_iterator else {
            assert_eq!(round, 16);
            return;
        };
        next = iterator;
        put(&db, "Other", &format!("pk={round}")).await.unwrap();
        environment.advance(HOUR_MS / 4);
        db.maintain_streams().await.unwrap();
    }
    panic!("the shard was not closed");
}

#[tokio::test]
async fn what_a_crash_brought_back_is_forgotten_on_opening() {
    // An engine that does not lose what it was told names no shards.
    let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::default());
    let commit = zenobe_storage::Commit {
        records: vec![zenobe_storage::LogRecord { shard: ShardId(77), payload: "x".into() }],
        ..zenobe_storage::Commit::default()
    };
    engine.commit(commit).await.unwrap();
    assert_eq!(engine.log_shards().await.unwrap(), [ShardId(77)]);
    open(&engine).await;
    assert_eq!(engine.log_shards().await.unwrap(), []);
}
