//! ListStreams, DescribeStream, GetShardIterator and GetRecords.
//!
//! Streams are listed by table name and label, shards by their ids; KCL-like consumers rely on the
//! latter. Source: API Reference, Amazon DynamoDB Streams; Developer Guide, "Change data capture for
//! DynamoDB Streams".

use std::sync::Arc;

use zenobe_model::operation::{
    DescribeStreamRequest, GetRecordsRequest, GetRecordsResponse, GetShardIteratorRequest,
    GetShardIteratorResponse, ListStreamsRequest, ListStreamsResponse, ShardDescription,
    StreamDescription, StreamStatus, StreamSummary,
};
use zenobe_model::{ErrorCode, ServiceError};

use super::table::key_schema;
use crate::Inner;
use crate::catalog::{Shard, ShardEnd, ShardName, Stream, parse_arn};
use crate::stream::position::{self, Iterator};
use crate::stream::reading::{self, Start};

/// How many streams or shards an answer holds unless told otherwise, and at most.
const LIST_LIMIT: u32 = 100;
/// How many records an answer holds unless told otherwise, and at most.
const RECORDS_LIMIT: u32 = 1000;

fn invalid(what: &str) -> ServiceError {
    ServiceError::validation(format!("One or more parameter values were invalid: {what}"))
}

/// How many to answer with.
fn limit(given: Option<u32>, max: u32, too_many: &str) -> Result<usize, ServiceError> {
    let limit = given.unwrap_or(max);
    if limit > max {
        return Err(invalid(too_many));
    }
    Ok(usize::try_from(limit).unwrap_or(usize::MAX))
}

/// The table name and the label in the ARN of a stream.
fn parse_stream_arn(arn: &str) -> Result<(&str, &str), ServiceError> {
    let malformed = || ServiceError::validation("Invalid StreamArn");
    let parsed = parse_arn(arn).map_err(|_| malformed())?;
    let named = parsed.resource.strip_prefix("table/").and_then(|rest| rest.split_once("/stream/"));
    named.filter(|(table, label)| !table.is_empty() && !label.is_empty()).ok_or_else(malformed)
}

fn stream_arn(db: &Inner, stream: &Stream) -> String {
    format!("{}/stream/{}", db.catalog.arn(&stream.table_name), stream.label)
}

fn find(db: &Inner, arn: &str) -> Result<Arc<Stream>, ServiceError> {
    let (table_name, label) = parse_stream_arn(arn)?;
    db.catalog
        .streams
        .find(table_name, label)
        .filter(|stream| stream_arn(db, stream) == arn)
        .ok_or_else(|| {
            ServiceError::new(
                ErrorCode::ResourceNotFound,
                format!("Requested resource not found: Stream: {arn} not found"),
            )
        })
}

/// `ListStreams`.
pub(crate) fn list_streams(
    db: &Inner,
    request: &ListStreamsRequest,
) -> Result<ListStreamsResponse, ServiceError> {
    let limit = limit(
        request.limit,
        LIST_LIMIT,
        "Limit cannot be greater than the maximum allowed size: 100",
    )?;
    let after = request.exclusive_start_stream_arn.as_deref().map(parse_stream_arn).transpose()?;
    let wanted = |stream: &&Arc<Stream>| {
        request.table_name.as_ref().is_none_or(|name| *name == stream.table_name)
            && after.is_none_or(|after| (stream.table_name.as_str(), stream.label.as_str()) > after)
    };
    let all = db.catalog.streams.all();
    let mut left = all.iter().filter(wanted);
    let streams: Vec<StreamSummary> = left
        .by_ref()
        .take(limit)
        .map(|stream| StreamSummary {
            stream_arn: stream_arn(db, stream),
            table_name: stream.table_name.clone(),
            stream_label: stream.label.clone(),
        })
        .collect();
    let more = left.next().is_some();
    let last = streams.last().filter(|_| more).map(|stream| stream.stream_arn.clone());
    Ok(ListStreamsResponse { streams, last_evaluated_stream_arn: last })
}

/// `DescribeStream`.
pub(crate) async fn describe_stream(
    db: &Inner,
    request: &DescribeStreamRequest,
) -> Result<StreamDescription, ServiceError> {
    let limit = limit(request.limit, LIST_LIMIT, "Limit cannot be greater than the maximum: 100")?;
    if request.child_shards_of.is_some() && request.exclusive_start_shard_id.is_some() {
        return Err(ServiceError::validation(
            "ShardFilter and ExclusiveStartShardId both should not be specified in the request.",
        ));
    }
    let stream = find(db, &request.stream_arn)?;
    let stream_status = status(db, &stream).await?;
    let wanted = |(shard, id): &(&Shard, String)| {
        let after = request.exclusive_start_shard_id.as_ref();
        let is_child = request.child_shards_of.as_ref().is_none_or(|filter| {
            let parent = shard.parent.map(ShardName::text);
            filter.shard_id.is_some() && parent == filter.shard_id
        });
        after.is_none_or(|after| id > after) && is_child
    };
    let mut left =
        stream.shards.iter().map(|shard| (shard, shard.name.text())).filter(wanted).peekable();
    let shards: Vec<ShardDescription> =
        left.by_ref().take(limit).map(|(shard, id)| describe_shard(shard, id)).collect();
    let more = left.peek().is_some();
    Ok(StreamDescription {
        stream_arn: request.stream_arn.clone(),
        stream_label: stream.label.clone(),
        stream_status,
        stream_view_type: stream.view,
        creation_ms: stream.creation_ms,
        table_name: stream.table_name.clone(),
        key_schema: key_schema(&stream.key),
        last_evaluated_shard_id: shards.last().filter(|_| more).map(|shard| shard.shard_id.clone()),
        shards,
    })
}

/// Whether a stream takes records: all of them only once all processes know of it.
async fn status(db: &Inner, stream: &Stream) -> Result<StreamStatus, ServiceError> {
    if !stream.is_enabled() {
        return Ok(StreamStatus::Disabled);
    }
    let table = db.catalog.find(&stream.table_name).filter(|table| table.id == stream.table_id);
    let change = table.and_then(|table| table.row_version);
    let known = db.catalog.is_followed(db, change).await?;
    Ok(if known { StreamStatus::Enabled } else { StreamStatus::Enabling })
}

fn describe_shard(shard: &Shard, shard_id: String) -> ShardDescription {
    let starting_sequence_number = position::after(shard.start);
    // Where a cut is no commit of its own, shards without a record end where they start.
    let ending = |end: ShardEnd| position::last(end.position).max(starting_sequence_number.clone());
    ShardDescription {
        shard_id,
        ending_sequence_number: shard.end.map(ending),
        starting_sequence_number,
        parent_shard_id: shard.parent.map(ShardName::text),
    }
}

/// `GetShardIterator`.
pub(crate) async fn get_shard_iterator(
    db: &Inner,
    request: &GetShardIteratorRequest,
) -> Result<GetShardIteratorResponse, ServiceError> {
    let stream = find(db, &request.stream_arn)?;
    let shard = stream.shard(&request.shard_id).ok_or_else(reading::no_shard)?;
    let start = Start {
        kind: request.shard_iterator_type,
        sequence_number: request.sequence_number.as_deref(),
        timestamp_ms: request.timestamp_ms,
    };
    let shard_iterator = reading::iterator(db, &request.stream_arn, shard, start).await?;
    Ok(GetShardIteratorResponse { shard_iterator })
}

/// `GetRecords`.
pub(crate) async fn get_records(
    db: &Inner,
    request: &GetRecordsRequest,
) -> Result<GetRecordsResponse, ServiceError> {
    let limit = limit(request.limit, RECORDS_LIMIT, "Limit should be less than or equal to 1000")?;
    let iterator = Iterator::parse(&request.shard_iterator)
        .ok_or_else(|| ServiceError::validation("Invalid ShardIterator"))?;
    let stream = find(db, iterator.arn)?;
    reading::page(db, &stream, &iterator, limit).await
}
