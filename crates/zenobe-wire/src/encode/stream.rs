//! Responses of DynamoDB Streams.
//!
//! The members of a record are those of the API's model (`userIdentity` with `PrincipalId` and
//! `Type`), which is what the SDKs read; events that Lambda hands on spell some of them differently.

use zenobe_model::operation::{
    GetRecordsResponse, GetShardIteratorResponse, ListStreamsResponse, ShardDescription,
    StreamDescription, StreamEvent, StreamRecord, StreamStatus,
};

use super::{key_schema, view_name};
use crate::write::{self, Object, array};

/// Of a time only the whole seconds are told.
const MS_PER_SECOND: u64 = 1000;

pub(super) fn list_streams(out: &mut Vec<u8>, response: &ListStreamsResponse) {
    let mut object = Object::open(out);
    if let Some(arn) = &response.last_evaluated_stream_arn {
        object.text("LastEvaluatedStreamArn", arn);
    }
    array(object.member("Streams"), &response.streams, |out, stream| {
        let mut object = Object::open(out);
        object.text("StreamArn", &stream.stream_arn);
        object.text("TableName", &stream.table_name);
        object.text("StreamLabel", &stream.stream_label);
        object.close();
    });
    object.close();
}

pub(super) fn describe_stream(out: &mut Vec<u8>, stream: &StreamDescription) {
    let mut outer = Object::open(out);
    let mut object = Object::open(outer.member("StreamDescription"));
    object.text("StreamArn", &stream.stream_arn);
    object.text("StreamLabel", &stream.stream_label);
    object.text("StreamStatus", status_name(stream.stream_status));
    object.text("StreamViewType", view_name(stream.stream_view_type));
    write::seconds(object.member("CreationRequestDateTime"), stream.creation_ms);
    object.text("TableName", &stream.table_name);
    key_schema(&mut object, &stream.key_schema);
    array(object.member("Shards"), &stream.shards, shard);
    if let Some(id) = &stream.last_evaluated_shard_id {
        object.text("LastEvaluatedShardId", id);
    }
    object.close();
    outer.close();
}

fn shard(out: &mut Vec<u8>, shard: &ShardDescription) {
    let mut object = Object::open(out);
    object.text("ShardId", &shard.shard_id);
    let mut range = Object::open(object.member("SequenceNumberRange"));
    range.text("StartingSequenceNumber", &shard.starting_sequence_number);
    if let Some(end) = &shard.ending_sequence_number {
        range.text("EndingSequenceNumber", end);
    }
    range.close();
    if let Some(parent) = &shard.parent_shard_id {
        object.text("ParentShardId", parent);
    }
    object.close();
}

pub(super) fn get_shard_iterator(out: &mut Vec<u8>, response: &GetShardIteratorResponse) {
    let mut object = Object::open(out);
    object.text("ShardIterator", &response.shard_iterator);
    object.close();
}

pub(super) fn get_records(out: &mut Vec<u8>, response: &GetRecordsResponse) {
    let mut object = Object::open(out);
    if let Some(iterator) = &response.next_shard_iterator {
        object.text("NextShardIterator", iterator);
    }
    array(object.member("Records"), &response.records, |out, one| record(out, response, one));
    object.close();
}

fn record(out: &mut Vec<u8>, response: &GetRecordsResponse, record: &StreamRecord) {
    let mut object = Object::open(out);
    object.text("awsRegion", &response.region);
    let mut inner = Object::open(object.member("dynamodb"));
    let seconds = record.creation_ms / MS_PER_SECOND * MS_PER_SECOND;
    write::seconds(inner.member("ApproximateCreationDateTime"), seconds);
    write::encoded_item(inner.member("Keys"), &record.keys);
    if let Some(image) = &record.new_image {
        write::encoded_item(inner.member("NewImage"), image);
    }
    if let Some(image) = &record.old_image {
        write::encoded_item(inner.member("OldImage"), image);
    }
    inner.text("SequenceNumber", &record.sequence_number);
    inner.integer("SizeBytes", record.size_bytes);
    inner.text("StreamViewType", view_name(response.view));
    inner.close();
    object.text("eventID", &format!("{:032x}", record.event_id));
    object.text("eventName", event_name(record.event));
    object.text("eventSource", "aws:dynamodb");
    object.text("eventVersion", "1.1");
    if record.by_time_to_live {
        let mut identity = Object::open(object.member("userIdentity"));
        identity.text("PrincipalId", "dynamodb.amazonaws.com");
        identity.text("Type", "Service");
        identity.close();
    }
    object.close();
}

const fn event_name(event: StreamEvent) -> &'static str {
    match event {
        StreamEvent::Insert => "INSERT",
        StreamEvent::Modify => "MODIFY",
        StreamEvent::Remove => "REMOVE",
    }
}

const fn status_name(status: StreamStatus) -> &'static str {
    match status {
        StreamStatus::Enabling => "ENABLING",
        StreamStatus::Enabled => "ENABLED",
        StreamStatus::Disabling => "DISABLING",
        StreamStatus::Disabled => "DISABLED",
    }
}
