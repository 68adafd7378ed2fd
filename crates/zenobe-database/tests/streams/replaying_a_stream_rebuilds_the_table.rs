//! Random writes with rollovers in between: replaying the stream gives the table, and each record's
//! old image is what the replay has.

use std::collections::BTreeMap;

use proptest::prelude::*;
use zenobe_database::Database;
use zenobe_model::operation::*;

use super::reading::*;
use super::support::*;

#[derive(Clone, Debug)]
enum Step {
    Put(u8, u8),
    Delete(u8),
    Batch(Vec<(u8, Option<u8>)>),
    RollOver,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = 0..12_u8;
    let step = prop_oneof![
        6 => (key.clone(), 0..3_u8).prop_map(|(key, value)| Step::Put(key, value)),
        3 => key.clone().prop_map(Step::Delete),
        2 => prop::collection::btree_map(key, prop::option::of(0..3_u8), 1..8)
            .prop_map(|writes| Step::Batch(writes.into_iter().collect())),
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

async fn take(db: &Database, environment: &TestEnvironment, step: &Step) {
    match step {
        Step::Put(key, value) => put(db, "Music", &item_text(*key, *value)).await.unwrap(),
        Step::Delete(key) => delete(db, "Music", &key_text(*key)).await.unwrap(),
        Step::Batch(writes) => {
            let write = |(key, value): &(u8, Option<u8>)| match value {
                Some(value) => WriteRequest::Put(Ok(item(&item_text(*key, *value)))),
                None => WriteRequest::Delete(Ok(item(&key_text(*key)))),
            };
            let writes = writes.iter().map(write).collect();
            let request = BatchWriteItemRequest {
                request_items: [("Music".to_owned(), writes)].into(),
                ..BatchWriteItemRequest::default()
            };
            db.execute(Request::BatchWriteItem(Box::new(request))).await.unwrap();
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

fn check(steps: &[Step]) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let environment = TestEnvironment::new();
        let engine = engine();
        let mut db = open_at(&engine, environment.clone()).await;
        let arn = streamed(&db, "Music", StreamViewType::NewAndOldImages).await;
        for (count, step) in steps.iter().enumerate() {
            if count == steps.len() / 2 {
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
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn whatever_is_written(steps in steps()) {
        check(&steps);
    }
}
