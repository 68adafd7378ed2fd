//! DynamoDB Streams with the AWS SDK for Rust. `ZENOBE_ENDPOINT` names the server.

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType,
    ScalarAttributeType, StreamSpecification, StreamViewType,
};
use aws_sdk_dynamodbstreams::types::{OperationType, ShardIteratorType};
use aws_smithy_http_client::{Builder, tls};

const TABLE: &str = "rust-streamed";

fn endpoint() -> String {
    std::env::var("ZENOBE_ENDPOINT").expect("ZENOBE_ENDPOINT names the server")
}

fn credentials() -> Credentials {
    Credentials::new("test", "test", None, None, "test")
}

fn http() -> aws_sdk_dynamodb::config::SharedHttpClient {
    Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .build_https()
}

fn client() -> aws_sdk_dynamodb::Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint())
        .region(Region::new("us-east-1"))
        .credentials_provider(credentials())
        .http_client(http());
    aws_sdk_dynamodb::Client::from_conf(config.build())
}

fn streams() -> aws_sdk_dynamodbstreams::Client {
    let config = aws_sdk_dynamodbstreams::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint())
        .region(Region::new("us-east-1"))
        .credentials_provider(credentials())
        .http_client(http());
    aws_sdk_dynamodbstreams::Client::from_conf(config.build())
}

async fn make_table(client: &aws_sdk_dynamodb::Client) -> String {
    let id = AttributeDefinition::builder()
        .attribute_name("id")
        .attribute_type(ScalarAttributeType::N)
        .build();
    let key = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash).build();
    let stream = StreamSpecification::builder()
        .stream_enabled(true)
        .stream_view_type(StreamViewType::NewImage)
        .build();
    let created = client
        .create_table()
        .table_name(TABLE)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(id.unwrap())
        .key_schema(key.unwrap())
        .stream_specification(stream.unwrap())
        .send()
        .await
        .unwrap();
    created.table_description.unwrap().latest_stream_arn.unwrap()
}

/// The ids in the records of a shard.
async fn read(streams: &aws_sdk_dynamodbstreams::Client, arn: &str, shard: &str) -> Vec<u32> {
    let started = streams
        .get_shard_iterator()
        .stream_arn(arn)
        .shard_id(shard)
        .shard_iterator_type(ShardIteratorType::TrimHorizon)
        .send()
        .await
        .unwrap();
    let (mut found, mut iterator) = (Vec::new(), started.shard_iterator.unwrap());
    loop {
        let page = streams.get_records().shard_iterator(&iterator).limit(4).send().await.unwrap();
        if page.records().is_empty() {
            return found;
        }
        for record in page.records() {
            assert_eq!(record.event_name(), Some(&OperationType::Insert));
            let change = record.dynamodb().unwrap();
            assert!(change.size_bytes().unwrap() > 0);
            let id = change.new_image().unwrap()["id"].as_n().unwrap();
            found.push(id.parse().unwrap());
        }
        iterator = page.next_shard_iterator.unwrap();
    }
}

#[tokio::test]
async fn a_stream_is_read_shard_by_shard() {
    let (client, streams) = (client(), streams());
    let arn = make_table(&client).await;
    for id in 0..20 {
        let id = AttributeValue::N(id.to_string());
        client.put_item().table_name(TABLE).item("id", id).send().await.unwrap();
    }
    let listed = streams.list_streams().table_name(TABLE).send().await.unwrap();
    assert_eq!(listed.streams()[0].stream_arn(), Some(arn.as_str()));
    let described = streams.describe_stream().stream_arn(&arn).send().await.unwrap();
    let mut found = Vec::new();
    for shard in described.stream_description().unwrap().shards() {
        found.extend(read(&streams, &arn, shard.shard_id().unwrap()).await);
    }
    found.sort_unstable();
    assert_eq!(found, (0..20).collect::<Vec<u32>>());
    let error = streams.get_records().shard_iterator("garbage").send().await.unwrap_err();
    assert_eq!(error.into_service_error().meta().code(), Some("ValidationException"));
    client.delete_table().table_name(TABLE).send().await.unwrap();
}
