//! Short ways to read streams, and to write to tables that have one.

use std::collections::BTreeSet;

use zenobe_database::Database;
use zenobe_model::operation::*;
use zenobe_model::{EncodedItem, ErrorCode, ServiceError};

use super::support::*;

pub(crate) const HOUR_MS: u64 = 3_600_000;

pub(crate) fn with_stream(name: &str, view: StreamViewType) -> CreateTableRequest {
    CreateTableRequest {
        stream_specification: Some(StreamSpecification {
            stream_enabled: true,
            stream_view_type: Some(view),
        }),
        ..create(name, "pk:S sk:S", "H:pk R:sk")
    }
}

pub(crate) fn set_stream(name: &str, view: Option<StreamViewType>) -> UpdateTableRequest {
    UpdateTableRequest {
        stream_specification: Some(StreamSpecification {
            stream_enabled: view.is_some(),
            stream_view_type: view,
        }),
        ..update(name)
    }
}

/// Creates a table with a stream; returns the stream's ARN.
pub(crate) async fn streamed(db: &Database, name: &str, view: StreamViewType) -> String {
    create_table(db, with_stream(name, view)).await.unwrap().latest_stream_arn.unwrap()
}

pub(crate) async fn list_streams(db: &Database, table: Option<&str>) -> Vec<String> {
    let request = ListStreamsRequest { table_name: table.map(str::to_owned), ..Default::default() };
    match db.execute(Request::ListStreams(Box::new(request))).await.unwrap() {
        Response::ListStreams(response) => {
            response.streams.into_iter().map(|stream| stream.stream_arn).collect()
        }
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn describe_stream(
    db: &Database,
    arn: &str,
) -> Result<StreamDescription, ServiceError> {
    let request = DescribeStreamRequest { stream_arn: arn.to_owned(), ..Default::default() };
    match db.execute(Request::DescribeStream(Box::new(request))).await? {
        Response::DescribeStream(description) => Ok(description),
        other => panic!("{other:?}"),
    }
}

/// All shards, page by page.
pub(crate) async fn shards(db: &Database, arn: &str) -> Vec<ShardDescription> {
    let mut all: Vec<ShardDescription> = Vec::new();
    loop {
        let request = DescribeStreamRequest {
            stream_arn: arn.to_owned(),
            limit: Some(3),
            exclusive_start_shard_id: all.last().map(|shard| shard.shard_id.clone()),
            child_shards_of: None,
        };
        match db.execute(Request::DescribeStream(Box::new(request))).await.unwrap() {
            Response::DescribeStream(page) => {
                assert!(page.shards.len() <= 3);
                all.extend(page.shards);
                if page.last_evaluated_shard_id.is_none() {
                    return all;
                }
                assert_eq!(page.last_evaluated_shard_id, all.last().map(|s| s.shard_id.clone()));
            }
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn start(arn: &str, shard_id: &str, kind: ShardIteratorType) -> GetShardIteratorRequest {
    GetShardIteratorRequest {
        stream_arn: arn.to_owned(),
        shard_id: shard_id.to_owned(),
        shard_iterator_type: kind,
        sequence_number: None,
        timestamp_ms: None,
    }
}

pub(crate) async fn iterator(
    db: &Database,
    request: GetShardIteratorRequest,
) -> Result<String, ServiceError> {
    match db.execute(Request::GetShardIterator(Box::new(request))).await? {
        Response::GetShardIterator(response) => Ok(response.shard_iterator),
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn records(
    db: &Database,
    iterator: &str,
    limit: Option<u32>,
) -> Result<GetRecordsResponse, ServiceError> {
    let request = GetRecordsRequest { shard_iterator: iterator.to_owned(), limit };
    match db.execute(Request::GetRecords(Box::new(request))).await? {
        Response::GetRecords(response) => Ok(response),
        other => panic!("{other:?}"),
    }
}

/// The records of a shard from an iterator on, and the iterator behind them.
pub(crate) async fn drain(
    db: &Database,
    iterator: String,
    limit: Option<u32>,
) -> (Vec<StreamRecord>, Option<String>) {
    let (mut all, mut next) = (Vec::new(), iterator);
    loop {
        let page = records(db, &next, limit).await.unwrap();
        let empty = page.records.is_empty();
        all.extend(page.records);
        match page.next_shard_iterator {
            Some(_) if empty => return (all, page.next_shard_iterator),
            Some(iterator) => next = iterator,
            None => return (all, None),
        }
    }
}

/// All records of a stream as a consumer reads them that knows of lineages: a shard is read to its
/// end before its children.
pub(crate) async fn read_all(db: &Database, arn: &str) -> Vec<StreamRecord> {
    let mut all = Vec::new();
    let mut done: BTreeSet<String> = BTreeSet::new();
    let shards = shards(db, arn).await;
    let known: BTreeSet<&String> = shards.iter().map(|shard| &shard.shard_id).collect();
    assert_eq!(known.len(), shards.len());
    for shard in &shards {
        // The order of the names is one in which parents come first.
        let parent = shard.parent_shard_id.as_ref().filter(|parent| known.contains(parent));
        assert!(parent.is_none_or(|parent| done.contains(parent)));
        let from = start(arn, &shard.shard_id, ShardIteratorType::TrimHorizon);
        let (records, next) = drain(db, iterator(db, from).await.unwrap(), Some(7)).await;
        assert_eq!(next.is_none(), shard.ending_sequence_number.is_some());
        let end = shard.ending_sequence_number.as_ref();
        assert!(end.is_none_or(|end| *end >= shard.starting_sequence_number));
        for record in &records {
            assert!(record.sequence_number >= shard.starting_sequence_number);
            assert!(end.is_none_or(|end| record.sequence_number <= *end));
        }
        assert!(records.is_sorted_by(|a, b| a.sequence_number < b.sequence_number));
        all.extend(records);
        done.insert(shard.shard_id.clone());
    }
    all
}

/// A record as text: `INSERT pk=1 sk=2: - -> pk=1 sk=2 x=3`.
pub(crate) fn text(record: &StreamRecord) -> String {
    let event = match record.event {
        StreamEvent::Insert => "INSERT",
        StreamEvent::Modify => "MODIFY",
        StreamEvent::Remove => "REMOVE",
    };
    let image = |item: &Option<EncodedItem>| item.as_ref().map_or("-".to_owned(), words);
    let (old, new) = (image(&record.old_image), image(&record.new_image));
    format!("{event} {}: {old} -> {new}", words(&record.keys))
}

pub(crate) fn words(item: &EncodedItem) -> String {
    let words: Vec<String> = item
        .to_item()
        .into_iter()
        .map(|(name, value)| match value {
            zenobe_model::AttributeValue::S(text) => format!("{name}={text}"),
            other => format!("{name}={other:?}"),
        })
        .collect();
    words.join(" ")
}

/// How many counters [`count_up`] knows.
const COUNTERS: u64 = 5;

/// Adds 1 to one counter after the other in the table `Music`.
pub(crate) async fn count_up(db: Database, seed: u64, writes: u64) {
    let one = zenobe_model::AttributeValue::N(zenobe_model::Number::from(1_i64));
    for n in 0..writes {
        let key = (seed * 7 + n) % COUNTERS;
        let request = UpdateItemRequest {
            table_name: "Music".to_owned(),
            key: Ok(item(&format!("pk={key} sk=1"))),
            attribute_updates: None,
            update_expression: Some("ADD n :one".to_owned()),
            options: WriteOptions {
                expression_attribute_values: Some([(":one".to_owned(), Ok(one.clone()))].into()),
                ..WriteOptions::default()
            },
        };
        let request = Request::UpdateItem(Box::new(request));
        while let Err(error) = db.execute(request.clone()).await {
            // Where several processes are tested, clocks run so fast that one may be late with its row.
            assert_eq!(error.code, ErrorCode::ServiceUnavailable);
            tokio::task::yield_now().await;
        }
    }
}

/// What the counter in an image says.
pub(crate) fn counter(record: &StreamRecord) -> u64 {
    let item = record.new_image.as_ref().unwrap().to_item();
    match &item["n"] {
        zenobe_model::AttributeValue::N(number) => number.to_string().parse().unwrap(),
        other => panic!("{other:?}"),
    }
}
