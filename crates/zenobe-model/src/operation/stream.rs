//! Requests and responses of DynamoDB Streams.

use std::sync::Arc;

use super::{KeySchemaElement, StreamViewType};
use crate::codec::EncodedItem;

/// ListStreams.
#[derive(Clone, Debug, Default)]
pub struct ListStreamsRequest {
    /// `TableName`
    pub table_name: Option<String>,
    /// `Limit`, at least 1.
    pub limit: Option<u32>,
    /// `ExclusiveStartStreamArn`
    pub exclusive_start_stream_arn: Option<String>,
}

/// What ListStreams answers.
#[derive(Clone, Debug, Default)]
pub struct ListStreamsResponse {
    /// `Streams`
    pub streams: Vec<StreamSummary>,
    /// `LastEvaluatedStreamArn`
    pub last_evaluated_stream_arn: Option<String>,
}

/// A stream in the answer of ListStreams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSummary {
    /// `StreamArn`
    pub stream_arn: String,
    /// `TableName`
    pub table_name: String,
    /// `StreamLabel`
    pub stream_label: String,
}

/// DescribeStream.
#[derive(Clone, Debug, Default)]
pub struct DescribeStreamRequest {
    /// `StreamArn`
    pub stream_arn: String,
    /// `Limit`, at least 1.
    pub limit: Option<u32>,
    /// `ExclusiveStartShardId`
    pub exclusive_start_shard_id: Option<String>,
    /// `ShardFilter` of the type `CHILD_SHARDS`.
    pub child_shards_of: Option<ChildShards>,
}

/// `ShardFilter` of the type `CHILD_SHARDS`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChildShards {
    /// `ShardId` of the parent.
    pub shard_id: Option<String>,
}

/// What DescribeStream answers.
#[derive(Clone, Debug)]
pub struct StreamDescription {
    /// `StreamArn`
    pub stream_arn: String,
    /// `StreamLabel`
    pub stream_label: String,
    /// `StreamStatus`
    pub stream_status: StreamStatus,
    /// `StreamViewType`
    pub stream_view_type: StreamViewType,
    /// `CreationRequestDateTime`, milliseconds since the epoch.
    pub creation_ms: u64,
    /// `TableName`
    pub table_name: String,
    /// `KeySchema`
    pub key_schema: Vec<KeySchemaElement>,
    /// `Shards`
    pub shards: Vec<ShardDescription>,
    /// `LastEvaluatedShardId`
    pub last_evaluated_shard_id: Option<String>,
}

/// `StreamStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the API")]
pub enum StreamStatus {
    Enabling,
    Enabled,
    Disabling,
    Disabled,
}

/// `Shard`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardDescription {
    /// `ShardId`
    pub shard_id: String,
    /// `StartingSequenceNumber`
    pub starting_sequence_number: String,
    /// `EndingSequenceNumber`; absent while the shard is open.
    pub ending_sequence_number: Option<String>,
    /// `ParentShardId`
    pub parent_shard_id: Option<String>,
}

/// GetShardIterator.
#[derive(Clone, Debug)]
pub struct GetShardIteratorRequest {
    /// `StreamArn`
    pub stream_arn: String,
    /// `ShardId`
    pub shard_id: String,
    /// `ShardIteratorType`
    pub shard_iterator_type: ShardIteratorType,
    /// `SequenceNumber`
    pub sequence_number: Option<String>,
    /// `Timestamp`, milliseconds since the epoch.
    pub timestamp_ms: Option<i64>,
}

/// `ShardIteratorType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the API")]
pub enum ShardIteratorType {
    TrimHorizon,
    Latest,
    AtSequenceNumber,
    AfterSequenceNumber,
    AtTimestamp,
}

/// What GetShardIterator answers.
#[derive(Clone, Debug)]
pub struct GetShardIteratorResponse {
    /// `ShardIterator`
    pub shard_iterator: String,
}

/// GetRecords.
#[derive(Clone, Debug, Default)]
pub struct GetRecordsRequest {
    /// `ShardIterator`
    pub shard_iterator: String,
    /// `Limit`, at least 1.
    pub limit: Option<u32>,
}

/// What GetRecords answers.
#[derive(Clone, Debug)]
pub struct GetRecordsResponse {
    /// `Records`
    pub records: Vec<StreamRecord>,
    /// `NextShardIterator`; absent at the end of a closed shard.
    pub next_shard_iterator: Option<String>,
    /// `awsRegion` of each record.
    pub region: Arc<str>,
    /// `StreamViewType` of each record.
    pub view: StreamViewType,
}

/// `eventName`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the API")]
pub enum StreamEvent {
    Insert,
    Modify,
    Remove,
}

/// `Record`: a change of an item.
#[derive(Clone, Debug)]
pub struct StreamRecord {
    /// `eventID`
    pub event_id: u128,
    /// `eventName`
    pub event: StreamEvent,
    /// Whether the time to live of the item ended it: `userIdentity`.
    pub by_time_to_live: bool,
    /// `ApproximateCreationDateTime`, milliseconds since the epoch.
    pub creation_ms: u64,
    /// `Keys`
    pub keys: EncodedItem,
    /// `NewImage`
    pub new_image: Option<EncodedItem>,
    /// `OldImage`
    pub old_image: Option<EncodedItem>,
    /// `SequenceNumber`
    pub sequence_number: String,
    /// `SizeBytes`
    pub size_bytes: usize,
}
