//! A change makes one record, what changes nothing makes none; the view decides what is in it.

use zenobe_model::operation::*;
use zenobe_storage::memory::MemoryOptions;

use super::reading::*;
use super::support::*;

async fn texts(view: StreamViewType) -> Vec<String> {
    let db = open(&engine().await).await;
    let arn = streamed(&db, "Music", view).await;
    put(&db, "Music", "pk=1 sk=1 x=1").await.unwrap();
    put(&db, "Music", "pk=1 sk=1 x=1").await.unwrap();
    put(&db, "Music", "pk=1 sk=1 x=2").await.unwrap();
    delete(&db, "Music", "pk=1 sk=1").await.unwrap();
    delete(&db, "Music", "pk=1 sk=1").await.unwrap();
    read_all(&db, &arn).await.iter().map(text).collect()
}

#[tokio::test]
async fn each_view_has_its_images() {
    let key = "pk=1 sk=1";
    let (one, two) = ("pk=1 sk=1 x=1", "pk=1 sk=1 x=2");
    let cases = [
        (StreamViewType::KeysOnly, ["- -> -", "- -> -", "- -> -"].map(str::to_owned)),
        (
            StreamViewType::NewImage,
            [format!("- -> {one}"), format!("- -> {two}"), "- -> -".to_owned()],
        ),
        (
            StreamViewType::OldImage,
            ["- -> -".to_owned(), format!("{one} -> -"), format!("{two} -> -")],
        ),
        (
            StreamViewType::NewAndOldImages,
            [format!("- -> {one}"), format!("{one} -> {two}"), format!("{two} -> -")],
        ),
    ];
    for (view, images) in cases {
        let events = ["INSERT", "MODIFY", "REMOVE"].into_iter().zip(images);
        let expected: Vec<String> =
            events.map(|(event, images)| format!("{event} {key}: {images}")).collect();
        assert_eq!(texts(view).await, expected, "{view:?}");
    }
}

#[tokio::test]
async fn a_record_says_what_when_and_how_large() {
    let db = open(&engine().await).await;
    let arn = streamed(&db, "Music", StreamViewType::NewAndOldImages).await;
    put(&db, "Music", "pk=1 sk=2 x=345").await.unwrap();
    put(&db, "Music", "pk=1 sk=2 x=3456").await.unwrap();
    let records = read_all(&db, &arn).await;
    // Keys: 2 × 3 bytes. Images: those and x with 3 and 4 bytes.
    assert_eq!(records[0].size_bytes, 6 + 10);
    assert_eq!(records[1].size_bytes, 6 + 10 + 11);
    assert_eq!(records[0].creation_ms, START_MS);
    assert_ne!(records[0].event_id, records[1].event_id);
    let again = read_all(&db, &arn).await;
    assert_eq!(again[0].event_id, records[0].event_id);
    assert!(!records[0].by_time_to_live);
}

#[tokio::test]
async fn a_batch_is_recorded_item_by_item_and_a_refused_write_not_at_all() {
    let db = open(&engine().await).await;
    let arn = streamed(&db, "Music", StreamViewType::KeysOnly).await;
    create_table(&db, create("Plain", "pk:S", "H:pk")).await.unwrap();
    put(&db, "Music", "pk=7 sk=1").await.unwrap();
    let puts = (0..6).map(|n| WriteRequest::Put(Ok(item(&format!("pk={} sk={n}", n % 3)).into())));
    let request = BatchWriteItemRequest {
        request_items: [
            ("Music".to_owned(), {
                let mut writes: Vec<WriteRequest> = puts.collect();
                writes.push(WriteRequest::Delete(Ok(item("pk=7 sk=1"))));
                writes.push(WriteRequest::Delete(Ok(item("pk=8 sk=1"))));
                writes
            }),
            ("Plain".to_owned(), vec![WriteRequest::Put(Ok(item("pk=1").into()))]),
        ]
        .into(),
        ..BatchWriteItemRequest::default()
    };
    db.execute(Request::BatchWriteItem(Box::new(request))).await.unwrap();
    let condition = PutItemRequest {
        table_name: "Music".to_owned(),
        item: Ok(item("pk=0 sk=0 x=1").into()),
        options: WriteOptions {
            condition_expression: Some("attribute_not_exists(pk)".to_owned()),
            ..WriteOptions::default()
        },
    };
    db.execute(Request::PutItem(Box::new(condition))).await.unwrap_err();
    let mut texts: Vec<String> = read_all(&db, &arn).await.iter().map(text).collect();
    texts.sort();
    let mut expected: Vec<String> =
        (0..6).map(|n| format!("INSERT pk={} sk={n}: - -> -", n % 3)).collect();
    expected.push("INSERT pk=7 sk=1: - -> -".to_owned());
    expected.push("REMOVE pk=7 sk=1: - -> -".to_owned());
    expected.sort();
    assert_eq!(texts, expected);
}

#[tokio::test]
async fn a_page_has_at_most_a_megabyte_and_as_many_records_as_were_asked_for() {
    let db = open(&engine().await).await;
    let arn = streamed(&db, "Music", StreamViewType::NewImage).await;
    let filling = "x".repeat(300_000);
    for n in 0..8 {
        put(&db, "Music", &format!("pk=1 sk={n} x={filling}")).await.unwrap();
    }
    let mut sizes = Vec::new();
    for shard in shards(&db, &arn).await {
        let from = start(&arn, &shard.shard_id, ShardIteratorType::TrimHorizon);
        let mut next = iterator(&db, from).await.unwrap();
        loop {
            let page = records(&db, &next, None).await.unwrap();
            if page.records.is_empty() {
                break;
            }
            sizes.push(page.records.len());
            next = page.next_shard_iterator.unwrap();
        }
    }
    assert_eq!(sizes, [3, 3, 2]);
    let message = message(records(&db, "x", Some(1001)).await);
    assert_eq!(
        message,
        "One or more parameter values were invalid: Limit should be less than or equal to 1000"
    );
}

/// Where processes share the store, a commit of several records may be the last before shards are closed.
#[tokio::test]
async fn a_closed_shard_ends_after_its_last_record() {
    let options = MemoryOptions {
        global_commit: false,
        snapshot_read: false,
        shared: true,
        ..MemoryOptions::default()
    };
    let environment = TestEnvironment::new();
    let engine = Store::new(options).await.engine().await;
    let db = open_at(&engine, environment.clone()).await;
    let arn = streamed(&db, "Music", StreamViewType::KeysOnly).await;
    let put = |sk: u8| TransactWriteItem {
        kind: TransactWriteKind::Put,
        table_name: "Music".to_owned(),
        item: Ok(item(&format!("pk=1 sk={sk}")).into()),
        update_expression: None,
        condition_expression: None,
        expression_attribute_names: None,
        expression_attribute_values: None,
        return_values_on_condition_check_failure: ReturnValuesOnConditionCheckFailure::None,
    };
    let request = TransactWriteItemsRequest {
        transact_items: (0..5).map(|sk| Ok(put(sk))).collect(),
        ..TransactWriteItemsRequest::default()
    };
    db.execute(Request::TransactWriteItems(Box::new(request))).await.unwrap();
    environment.advance(4 * HOUR_MS);
    db.maintain_streams().await.unwrap();
    assert_eq!(shards(&db, &arn).await.len(), 8);
    assert_eq!(read_all(&db, &arn).await.len(), 5);
}
