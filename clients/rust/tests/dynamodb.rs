//! The AWS SDK for Rust: waiters, paginators, typed errors. `ZENOBE_ENDPOINT` names the server.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::client::Waiters;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, PutRequest,
    ReturnValue, ReturnValuesOnConditionCheckFailure, ScalarAttributeType, TimeToLiveSpecification,
    TimeToLiveStatus, WriteRequest,
};
use aws_smithy_http_client::{Builder, tls};

const TABLE: &str = "rust-states";

fn client() -> Client {
    let endpoint = std::env::var("ZENOBE_ENDPOINT").expect("ZENOBE_ENDPOINT names the server");
    let http = Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .build_https();
    Client::from_conf(
        aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(endpoint)
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .http_client(http)
            .build(),
    )
}

fn s(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn n(value: i32) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

async fn make_table(client: &Client) {
    let attribute = |name: &str, kind| {
        AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build().unwrap()
    };
    let key = |name: &str, kind| {
        KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap()
    };
    client
        .create_table()
        .table_name(TABLE)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute("player", ScalarAttributeType::S))
        .attribute_definitions(attribute("turn", ScalarAttributeType::N))
        .key_schema(key("player", KeyType::Hash))
        .key_schema(key("turn", KeyType::Range))
        .send()
        .await
        .unwrap();
    let exists = client.wait_until_table_exists().table_name(TABLE);
    exists.wait(Duration::from_secs(30)).await.unwrap();
}

#[tokio::test]
async fn the_life_of_a_table() {
    let client = client();
    make_table(&client).await;
    an_update_answers_the_new_item(&client).await;
    a_failed_condition_is_typed(&client).await;
    a_paginator_sees_every_item_once(&client).await;
    expired_items_go(&client).await;
    client.delete_table().table_name(TABLE).send().await.unwrap();
    let gone = client.wait_until_table_not_exists().table_name(TABLE);
    gone.wait(Duration::from_secs(30)).await.unwrap();
    let error = client.describe_table().table_name(TABLE).send().await.unwrap_err();
    assert!(error.into_service_error().is_resource_not_found_exception());
}

async fn an_update_answers_the_new_item(client: &Client) {
    let answer = client
        .update_item()
        .table_name(TABLE)
        .key("player", s("ann"))
        .key("turn", n(1))
        .update_expression("SET #state = :s ADD score :n")
        .expression_attribute_names("#state", "state")
        .expression_attribute_values(":s", s("won"))
        .expression_attribute_values(":n", n(3))
        .return_values(ReturnValue::AllNew)
        .send()
        .await
        .unwrap();
    let attributes = answer.attributes.unwrap();
    assert_eq!((attributes.len(), &attributes["score"], &attributes["state"]), (4, &n(3), &s("won")));
}

async fn a_failed_condition_is_typed(client: &Client) {
    let error = client
        .put_item()
        .table_name(TABLE)
        .item("player", s("ann"))
        .item("turn", n(1))
        .condition_expression("attribute_not_exists(player)")
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    assert!(error.is_conditional_check_failed_exception(), "{error}");
}

async fn a_paginator_sees_every_item_once(client: &Client) {
    for start in [0, 25] {
        let writes = (start..start + 25).map(|turn| {
            let put = PutRequest::builder().item("player", s("bob")).item("turn", n(turn)).build();
            WriteRequest::builder().put_request(put.unwrap()).build()
        });
        let answer = client.batch_write_item().request_items(TABLE, writes.collect()).send().await;
        assert!(answer.unwrap().unprocessed_items.unwrap_or_default().is_empty());
    }
    let mut pages = client
        .query()
        .table_name(TABLE)
        .key_condition_expression("player = :p")
        .expression_attribute_values(":p", s("bob"))
        .limit(7)
        .into_paginator()
        .items()
        .send();
    let mut turns = Vec::new();
    while let Some(item) = pages.next().await {
        turns.push(item.unwrap()["turn"].as_n().unwrap().parse::<i32>().unwrap());
    }
    assert_eq!(turns, (0..50).collect::<Vec<_>>());
}

async fn expired_items_go(client: &Client) {
    let put = async |turn: i32, until: u64| {
        let put = client.put_item().table_name(TABLE).item("player", s("late")).item("turn", n(turn));
        put.item("until", AttributeValue::N(until.to_string())).send().await.unwrap();
    };
    let is_there = async |turn: i32| {
        let get = client.get_item().table_name(TABLE).key("player", s("late")).key("turn", n(turn));
        get.send().await.unwrap().item.is_some()
    };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    put(1, now - 5).await;
    put(2, now + 3600).await;
    let wanted = TimeToLiveSpecification::builder().enabled(true).attribute_name("until").build().unwrap();
    let answer = client.update_time_to_live().table_name(TABLE);
    let answer = answer.time_to_live_specification(wanted.clone()).send().await.unwrap();
    assert_eq!(answer.time_to_live_specification, Some(wanted));
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while is_there(1).await {
        assert!(std::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(is_there(2).await);
    let answer = client.describe_time_to_live().table_name(TABLE).send().await.unwrap();
    let described = answer.time_to_live_description.unwrap();
    assert_eq!(described.time_to_live_status, Some(TimeToLiveStatus::Enabled));
    assert_eq!(described.attribute_name.as_deref(), Some("until"));
}
