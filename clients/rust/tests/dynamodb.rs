//! The AWS SDK for Rust: waiters, paginators, typed errors. `ZENOBE_ENDPOINT` names the server.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::client::Waiters;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, ConditionCheck, Get, KeySchemaElement,
    KeyType, ParameterizedStatement, PutRequest, ReturnValue, ReturnValuesOnConditionCheckFailure,
    ScalarAttributeType, TimeToLiveSpecification, TimeToLiveStatus, TransactGetItem,
    TransactWriteItem, Update, WriteRequest,
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
    a_transaction_says_why_it_is_cancelled(&client).await;
    a_token_works_once(&client).await;
    statements_are_executed(&client).await;
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
    assert_eq!(
        (attributes.len(), &attributes["score"], &attributes["state"]),
        (4, &n(3), &s("won"))
    );
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

/// Adds one to the score of each of these turns.
fn scores(turns: &[i32]) -> Vec<TransactWriteItem> {
    let action = |turn: &i32| {
        let update = Update::builder()
            .table_name(TABLE)
            .key("player", s("txn"))
            .key("turn", n(*turn))
            .update_expression("ADD score :one")
            .expression_attribute_values(":one", n(1));
        TransactWriteItem::builder().update(update.build().unwrap()).build()
    };
    turns.iter().map(action).collect()
}

async fn a_transaction_says_why_it_is_cancelled(client: &Client) {
    let all = (0..100).collect::<Vec<_>>();
    client.transact_write_items().set_transact_items(Some(scores(&all))).send().await.unwrap();
    let check = ConditionCheck::builder()
        .table_name(TABLE)
        .key("player", s("txn"))
        .key("turn", n(7))
        .condition_expression("score > :one")
        .expression_attribute_values(":one", n(1))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    let check = TransactWriteItem::builder().condition_check(check.build().unwrap()).build();
    let error = client
        .transact_write_items()
        .set_transact_items(Some(scores(&[1])))
        .transact_items(check)
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    let TransactWriteItemsError::TransactionCanceledException(cancelled) = error else {
        panic!("{error}")
    };
    assert_eq!(
        cancelled.message(),
        Some(
            "Transaction cancelled, please refer cancellation reasons for specific reasons [None, ConditionalCheckFailed]"
        )
    );
    let reasons = cancelled.cancellation_reasons();
    assert_eq!(reasons[0].code(), Some("None"));
    assert_eq!(reasons[1].code(), Some("ConditionalCheckFailed"));
    assert_eq!(reasons[1].item().unwrap()["score"], n(1));

    let error = client
        .transact_write_items()
        .set_transact_items(Some(scores(&(0..101).collect::<Vec<_>>())))
        .send()
        .await
        .unwrap_err();
    assert_eq!(error.into_service_error().code(), Some("ValidationException"));
}

async fn a_token_works_once(client: &Client) {
    for _ in 0..2 {
        client
            .transact_write_items()
            .set_transact_items(Some(scores(&[1, 2])))
            .client_request_token("rust-token")
            .send()
            .await
            .unwrap();
    }
    let get = |turn| {
        let get = Get::builder().table_name(TABLE).key("player", s("txn")).key("turn", n(turn));
        TransactGetItem::builder().get(get.build().unwrap()).build()
    };
    let answer = client
        .transact_get_items()
        .set_transact_items(Some(vec![get(1), get(2), get(500)]))
        .send()
        .await
        .unwrap();
    let scores: Vec<_> = answer
        .responses()
        .iter()
        .map(|response| response.item().map(|item| item["score"].clone()))
        .collect();
    assert_eq!(scores, [Some(n(2)), Some(n(2)), None]);
    let error = client
        .transact_write_items()
        .set_transact_items(Some(self::scores(&[1])))
        .client_request_token("rust-token")
        .send()
        .await
        .unwrap_err();
    assert!(error.into_service_error().is_idempotent_parameter_mismatch_exception());
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
        let put =
            client.put_item().table_name(TABLE).item("player", s("late")).item("turn", n(turn));
        put.item("until", AttributeValue::N(until.to_string())).send().await.unwrap();
    };
    let is_there = async |turn: i32| {
        let get = client.get_item().table_name(TABLE).key("player", s("late")).key("turn", n(turn));
        get.send().await.unwrap().item.is_some()
    };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    put(1, now - 5).await;
    put(2, now + 3600).await;
    let wanted =
        TimeToLiveSpecification::builder().enabled(true).attribute_name("until").build().unwrap();
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

async fn statements_are_executed(client: &Client) {
    let execute = |statement: &str| client.execute_statement().statement(statement.to_owned());
    let insert = format!("INSERT INTO \"{TABLE}\" VALUE {{'player': ?, 'turn': 1, 'points': 5}}");
    execute(&insert).parameters(s("carol")).send().await.unwrap();
    let error = execute(&insert).parameters(s("carol")).send().await.unwrap_err();
    assert!(error.into_service_error().is_duplicate_item_exception());
    let update = "SET points = points + 2 WHERE player = 'carol' AND turn = 1 RETURNING ALL NEW *";
    let answer = execute(&format!("UPDATE \"{TABLE}\" {update}")).send().await.unwrap();
    assert_eq!(answer.items()[0]["points"], n(7));
    let keys = "player IN ['bob', 'carol'] AND turn < 3";
    let select = format!("SELECT turn FROM \"{TABLE}\" WHERE {keys}");
    let mut page = execute(&select).limit(2).send().await.unwrap();
    let mut turns = Vec::new();
    loop {
        turns.extend(page.items().iter().map(|item| item["turn"].as_n().unwrap().clone()));
        let Some(token) = page.next_token else { break };
        page = execute(&select).next_token(token).send().await.unwrap();
    }
    assert_eq!(turns, ["0", "1", "2", "1"]);
    let statement = |text: &str| {
        let text = text.replace("TABLE", &format!("\"{TABLE}\""));
        ParameterizedStatement::builder().statement(text).build().unwrap()
    };
    let delete = "DELETE FROM TABLE WHERE player = 'carol' AND turn = 1 AND points = 7";
    let exists = "SELECT * FROM TABLE WHERE player = 'bob' AND turn = 0 AND points IS MISSING";
    client
        .execute_transaction()
        .transact_statements(statement(delete))
        .transact_statements(statement(&format!("EXISTS({exists})")))
        .send()
        .await
        .unwrap();
}
