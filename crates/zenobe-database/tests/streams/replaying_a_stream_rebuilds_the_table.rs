//! Random writes, transactions among them, with rollovers in between: replaying the stream gives the table, and each record's
//! old image is what the replay has.

use std::collections::BTreeMap;

use proptest::prelude::*;
use zenobe_database::Database;
use zenobe_model::operation::*;
use zenobe_storage::memory::MemoryOptions;

use super::reading::*;
use super::support::*;

#[derive(Clone, Debug)]
enum Step {
    Put(u8, u8),
    Delete(u8),
    Batch(Vec<(u8, Option<u8>)>),
    /// The flag adds a check that fails.
    Transaction(Vec<(u8, Option<u8>)>, bool),
    RollOver,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = 0..12_u8;
    let writes = || prop::collection::btree_map(0..12_u8, prop::option::of(0..3_u8), 1..8);
    let step = prop_oneof![
        6 => (key.clone(), 0..3_u8).prop_map(|(key, value)| Step::Put(key, value)),
        3 => key.prop_map(Step::Delete),
        2 => writes().prop_map(|writes| Step::Batch(writes.into_iter().collect())),
        2 => (writes(), any::<bool>()).prop_map(|(writes, refused)| {
            Step::Transaction(writes.into_iter().collect(), refused)
        }),
        1 => Just(Step::RollOver),
    ];
    prop::collection::vec(step, 1..60)
}

fn key_text(key: u8) -> String {
    format!("pk={} sk={key}", key % 5)
}

fn item_text(key: u8, value: u8) -> String {
    format!("{} x={value}", key_text(key))
}

/// A Put or a Delete of a transaction.
fn action(key: u8, value: Option<u8>) -> TransactWriteItem {
    let (kind, text) = match value {
        Some(value) => (TransactWriteKind::Put, item_text(key, value)),
        None => (TransactWriteKind::Delete, key_text(key)),
    };
    TransactWriteItem {
        kind,
        table_name: "Music".to_owned(),
        item: Ok(item(&text).into()),
        update_expression: None,
        condition_expression: None,
        expression_attribute_names: None,
        expression_attribute_values: None,
        return_values_on_condition_check_failure: ReturnValuesOnConditionCheckFailure::None,
    }
}

async fn take(db: &Database, environment: &TestEnvironment, step: &Step) {
    match step {
        Step::Put(key, value) => put(db, "Music", &item_text(*key, *value)).await.unwrap(),
        Step::Delete(key) => delete(db, "Music", &key_text(*key)).await.unwrap(),
        Step::Batch(writes) => {
            let write = |(key, value): &(u8, Option<u8>)| match value {
                Some(value) => WriteRequest::Put(Ok(item(&item_text(*key, *value)).into())),
                None => WriteRequest::Delete(Ok(item(&key_text(*key)))),
            };
            let writes = writes.iter().map(write).collect();
            let request = BatchWriteItemRequest {
                request_items: [("Music".to_owned(), writes)].into(),
                ..BatchWriteItemRequest::default()
            };
            db.execute(Request::BatchWriteItem(Box::new(request))).await.unwrap();
        }
        Step::Transaction(writes, refused) => {
            let mut transact_items: Vec<_> =
                writes.iter().map(|(key, value)| Ok(action(*key, *value))).collect();
            if *refused {
                transact_items.push(Ok(TransactWriteItem {
                    kind: TransactWriteKind::ConditionCheck,
                    condition_expression: Some("attribute_exists(pk)".to_owned()),
                    ..action(99, None)
                }));
            }
            let request = TransactWriteItemsRequest {
                transact_items,
                ..TransactWriteItemsRequest::default()
            };
            let answer = db.execute(Request::TransactWriteItems(Box::new(request))).await;
            assert_eq!(answer.is_err(), *refused, "{answer:?}");
        }
        Step::RollOver => {
            environment.advance(4 * HOUR_MS);
            db.maintain_streams().await.unwrap();
        }
    }
}

/// Applies records to an empty table; each must fit what is there.
fn replay(records: &[StreamRecord]) -> Vec<String> {
    let mut table: BTreeMap<String, String> = BTreeMap::new();
    for record in records {
        let old = record.old_image.as_ref().map(words);
        let before = match &record.new_image {
            Some(new) => table.insert(words(&record.keys), words(new)),
            None => table.remove(&words(&record.keys)),
        };
        assert_eq!(before, old, "{}", text(record));
        let event = match (&old, &record.new_image) {
            (None, _) => StreamEvent::Insert,
            (Some(_), Some(_)) => StreamEvent::Modify,
            (Some(_), None) => StreamEvent::Remove,
        };
        assert_eq!(record.event, event);
    }
    let mut items: Vec<String> = table.into_values().collect();
    items.sort();
    items
}

fn check(global_commit: bool, steps: &[Step]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let environment = TestEnvironment::new();
        let options = MemoryOptions { global_commit, ..MemoryOptions::default() };
        let engine = Store::new(options).await.engine().await;
        let mut db = open_at(&engine, environment.clone()).await;
        let arn = streamed(&db, "Music", StreamViewType::NewAndOldImages).await;
        for (count, step) in steps.iter().enumerate() {
            if count == steps.len() / 2 {
                end(db).await;
                db = open_at(&engine, environment.clone()).await;
            }
            // No more than the retention of a day.
            let rolled = steps[..count].iter().filter(|step| matches!(step, Step::RollOver));
            if matches!(step, Step::RollOver) && rolled.count() >= 5 {
                continue;
            }
            take(&db, &environment, step).await;
        }
        let records = read_all(&db, &arn).await;
        assert_eq!(replay(&records), scan(&db, "Music", None).await.unwrap());
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(times(150, 3)))]

    #[test]
    fn whatever_is_written(steps in steps()) {
        check(true, &steps);
    }

    #[test]
    fn whatever_is_written_where_a_transaction_takes_two_phases(steps in steps()) {
        check(false, &steps);
    }
}
