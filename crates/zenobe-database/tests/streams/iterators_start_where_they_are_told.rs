//! Where each kind of iterator starts, how long it lives, and what is wrong with others.

use zenobe_database::Database;
use zenobe_model::ErrorCode;
use zenobe_model::operation::ShardIteratorType::*;
use zenobe_model::operation::*;

use super::reading::*;
use super::support::*;

/// A table of one shard with five records, a second apart.
async fn five(db: &Database, environment: &TestEnvironment) -> (String, String, Vec<StreamRecord>) {
    let request = CreateTableRequest {
        billing_mode: Some(BillingMode::Provisioned),
        provisioned_throughput: Some(units(5, 5)),
        ..with_stream("Music", StreamViewType::KeysOnly)
    };
    let arn = create_table(db, request).await.unwrap().latest_stream_arn.unwrap();
    for n in 0..5 {
        put(db, "Music", &format!("pk={n} sk=1")).await.unwrap();
        environment.advance(1000);
    }
    let shard = shards(db, &arn).await.remove(0).shard_id;
    let records = read_all(db, &arn).await;
    assert_eq!(records.len(), 5);
    (arn, shard, records)
}

#[tokio::test]
async fn each_kind() {
    let environment = TestEnvironment::new();
    let db = open_at(&engine().await, environment.clone()).await;
    let (arn, shard, all) = five(&db, &environment).await;
    let count = async |kind, sequence_number: Option<String>, timestamp_ms| {
        let request =
            GetShardIteratorRequest { sequence_number, timestamp_ms, ..start(&arn, &shard, kind) };
        drain(&db, iterator(&db, request).await.unwrap(), None).await.0.len()
    };
    let number = |n: usize| Some(all[n].sequence_number.clone());
    assert_eq!(count(TrimHorizon, None, None).await, 5);
    assert_eq!(count(Latest, None, None).await, 0);
    for (n, record) in all.iter().enumerate() {
        assert_eq!(count(AtSequenceNumber, number(n), None).await, 5 - n);
        assert_eq!(count(AfterSequenceNumber, number(n), None).await, 4 - n);
        let made_ms = i64::try_from(record.creation_ms).unwrap();
        assert_eq!(count(AtTimestamp, None, Some(made_ms)).await, 5 - n);
        assert_eq!(count(AtTimestamp, None, Some(made_ms + 1)).await, 4 - n);
    }
    let first = shards(&db, &arn).await[0].starting_sequence_number.clone();
    assert_eq!(count(AtSequenceNumber, Some(first.clone()), None).await, 5);
    assert_eq!(count(AfterSequenceNumber, Some(first), None).await, 5);
    assert_eq!(count(AtTimestamp, None, Some(0)).await, 5);

    let latest = iterator(&db, start(&arn, &shard, Latest)).await.unwrap();
    put(&db, "Music", "pk=9 sk=9").await.unwrap();
    let (later, next) = drain(&db, latest, None).await;
    assert_eq!(text(&later[0]), "INSERT pk=9 sk=9: - -> -");
    // The reader that waits is not told anything twice.
    assert_eq!(drain(&db, next.unwrap(), None).await.0.len(), 0);
}

#[tokio::test]
async fn what_is_wrong_is_said() {
    let environment = TestEnvironment::new();
    let db = open_at(&engine().await, environment.clone()).await;
    let (arn, shard, all) = five(&db, &environment).await;
    let number = Some(all[0].sequence_number.clone());
    let invalid = |what| format!("One or more parameter values were invalid: {what}");
    let base = |kind| start(&arn, &shard, kind);
    let with = |request: GetShardIteratorRequest, sequence_number, timestamp_ms| {
        GetShardIteratorRequest { sequence_number, timestamp_ms, ..request }
    };
    let early = Some("100000000000000000000000000".to_owned());
    let future = i64::try_from(START_MS).unwrap() + 3_600_000;
    let not_passed = "SequenceNumber should not be passed for this iterator type";
    for (request, expected) in [
        (with(base(TrimHorizon), number.clone(), None), invalid(not_passed)),
        (with(base(Latest), number, None), invalid(not_passed)),
        (with(base(AtSequenceNumber), None, None), invalid("Invalid SequenceNumber")),
        (with(base(AfterSequenceNumber), None, None), invalid("Invalid SequenceNumber")),
        (
            with(base(AtSequenceNumber), early, None),
            "Invalid SequenceNumber for the shard".to_owned(),
        ),
        (with(base(AtTimestamp), None, None), invalid("Invalid Timestamp")),
        (with(base(AtTimestamp), None, Some(future)), invalid("Timestamp cannot be in the future")),
        (
            start(&arn, "shardId-00000001541626099285-f35f62ef", Latest),
            "Requested resource not found: Shard does not exist".to_owned(),
        ),
        (start(&"x".repeat(40), &shard, Latest), "Invalid StreamArn".to_owned()),
        (
            start(&arn.replace("Music", "Films"), &shard, Latest),
            format!(
                "Requested resource not found: Stream: {} not found",
                arn.replace("Music", "Films")
            ),
        ),
    ] {
        assert_eq!(message(iterator(&db, request).await), expected);
    }
    assert_eq!(message(records(&db, "garbage", None).await), "Invalid ShardIterator");
}

#[tokio::test]
async fn an_iterator_lives_for_fifteen_minutes() {
    let environment = TestEnvironment::new();
    let db = open_at(&engine().await, environment.clone()).await;
    let (arn, shard, _) = five(&db, &environment).await;
    let issued = iterator(&db, start(&arn, &shard, TrimHorizon)).await.unwrap();
    environment.advance(15 * 60_000);
    assert_eq!(records(&db, &issued, None).await.unwrap().records.len(), 5);
    environment.advance(1);
    let error = records(&db, &issued, None).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ExpiredIterator);
}
