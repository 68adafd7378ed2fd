//! On an engine that commits within a partition only, entries of global indexes and of the index by time are
//! relayed after the commit: late and in any order, they come to agree with the table.

use std::sync::Arc;

use proptest::prelude::*;
use zenobe_database::Database;
use zenobe_model::operation::*;
use zenobe_storage::Engine;
use zenobe_storage::memory::{MemoryEngine, MemoryOptions};

use crate::support::*;

fn lesser_engine() -> Arc<MemoryEngine> {
    Arc::new(MemoryEngine::new(MemoryOptions {
        global_commit: false,
        snapshot_read: false,
        native_log_order: false,
        late_derived: true,
        ..MemoryOptions::default()
    }))
}

fn orders() -> CreateTableRequest {
    let mut request = create("orders", "pk:S sk:S g:S", "H:pk R:sk");
    request.global_secondary_indexes = Some(vec![gsi("by-g", "H:g", "ALL")]);
    request
}

/// What the index should hold: the items that have its key.
async fn items_with_g(db: &Database) -> Vec<String> {
    let items = scan(db, "orders", None).await.unwrap();
    items.into_iter().filter(|item| item.contains("g=")).collect()
}

#[derive(Clone, Debug)]
enum Step {
    Put {
        pk: u8,
        sk: u8,
        g: Option<u8>,
        other: u8,
    },
    Delete {
        pk: u8,
        sk: u8,
    },
    /// Moves the entries of two items in one transaction.
    Transact {
        g: u8,
        other: u8,
    },
    Relay,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..2u8, 0..2u8, prop::option::of(0..3u8), 0..3u8)
            .prop_map(|(pk, sk, g, other)| Step::Put { pk, sk, g, other }),
        2 => (0..2u8, 0..2u8).prop_map(|(pk, sk)| Step::Delete { pk, sk }),
        1 => (0..3u8, 0..3u8).prop_map(|(g, other)| Step::Transact { g, other }),
        1 => Just(Step::Relay),
    ]
}

fn transact(g: u8, other: u8) -> Request {
    let put = |pk: u8| TransactWriteItem {
        kind: TransactWriteKind::Put,
        table_name: "orders".to_owned(),
        item: Ok(item(&format!("pk={pk} sk=0 g={g} other={other}")).into()),
        update_expression: None,
        condition_expression: None,
        expression_attribute_names: None,
        expression_attribute_values: None,
        return_values_on_condition_check_failure: ReturnValuesOnConditionCheckFailure::None,
    };
    Request::TransactWriteItems(Box::new(TransactWriteItemsRequest {
        transact_items: vec![Ok(put(0)), Ok(put(1))],
        return_consumed_capacity: ReturnConsumedCapacity::None,
        return_item_collection_metrics: ReturnItemCollectionMetrics::None,
        client_request_token: None,
    }))
}

async fn run(step: &Step, db: &Database, engine: &MemoryEngine) {
    match step {
        Step::Put { pk, sk, g, other } => {
            let g = g.map_or(String::new(), |g| format!("g={g}"));
            put(db, "orders", &format!("pk={pk} sk={sk} other={other} {g}")).await.unwrap();
        }
        Step::Delete { pk, sk } => {
            delete(db, "orders", &format!("pk={pk} sk={sk}")).await.unwrap();
        }
        Step::Transact { g, other } => {
            db.execute(transact(*g, *other)).await.unwrap();
        }
        Step::Relay => {
            engine.relay();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn entries_agree_with_items_once_they_are_relayed(
        before in prop::collection::vec(step(), 0..12),
        after in prop::collection::vec(step(), 0..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let engine = lesser_engine();
            let db = open(&(engine.clone() as Arc<dyn Engine>)).await;
            create_table(&db, orders()).await.unwrap();
            for step in &before {
                run(step, &db, &engine).await;
            }
            // An index that comes later, while entries of the other are on their way.
            let mut request = update("orders");
            request.attribute_definitions = Some(definitions("pk:S sk:S g:S other:S"));
            let second = gsi("second", "H:g R:other", "KEYS_ONLY");
            request.global_secondary_index_updates = Some(create_index(second));
            update_table(&db, request).await.unwrap();
            db.run_background_until_idle().await.unwrap();
            for step in &after {
                run(step, &db, &engine).await;
            }
            engine.relay();
            let expected = items_with_g(&db).await;
            let found = scan(&db, "orders", Some("by-g")).await.unwrap();
            assert_eq!(found, expected);
            let found = scan(&db, "orders", Some("second")).await.unwrap();
            assert_eq!(found, expected);
        });
    }
}

#[tokio::test]
async fn expired_items_are_found_and_go() {
    let engine = lesser_engine();
    let shared: Arc<dyn Engine> = engine.clone();
    let environment = TestEnvironment::new();
    let db = open_at(&shared, environment.clone()).await;
    expiring_table(&db, create("sessions", "pk:S", "H:pk")).await;
    let soon = START_MS / 1000 + 60;
    for pk in 0..30 {
        put_item(&db, "sessions", expiring(&format!("pk={pk}"), soon + pk % 2 * 3600))
            .await
            .unwrap();
    }
    environment.advance(120_000);
    assert_eq!(
        db.delete_expired().await.unwrap(),
        0,
        "nobody knows of them before they are relayed"
    );
    engine.relay();
    environment.advance(600_000);
    assert_eq!(db.delete_expired().await.unwrap(), 15);
    engine.relay();
    assert_eq!(scan(&db, "sessions", None).await.unwrap().len(), 15);
}
