//! The race that an online index must not lose: a write under the older snapshot of the table.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use zenobe_model::operation::*;
use zenobe_model::value::ValueType;
use zenobe_model::{AttributeValue, EncodedItem};
use zenobe_storage::memory::{MemoryEngine, MemoryOptions};
use zenobe_storage::{BoxFuture, RowPlace};

use super::*;
use crate::DatabaseConfig;
use crate::environment::Environment;
use crate::write::{Change, ItemWrite, Origin, write_all};

#[derive(Default)]
pub(super) struct Still(AtomicU64);

impl Environment for Still {
    fn now_ms(&self) -> u64 {
        1
    }

    fn elapsed_ms(&self) -> u64 {
        1
    }

    fn random(&self) -> u128 {
        u128::from(self.0.fetch_add(1, Ordering::Relaxed))
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::task::yield_now())
    }
}

pub(super) fn definition(name: &str) -> AttributeDefinition {
    AttributeDefinition { attribute_name: name.to_owned(), attribute_type: ValueType::S }
}

pub(super) fn hash(name: &str) -> Vec<KeySchemaElement> {
    vec![KeySchemaElement { attribute_name: name.to_owned(), key_type: KeyType::Hash }]
}

/// A database with the table `Music`, whose key is `pk`.
pub(crate) async fn database() -> Database {
    let engine = Arc::new(MemoryEngine::new(MemoryOptions::default()));
    let config = DatabaseConfig::default();
    let db = Database::open(engine, Arc::new(Still::default()), config).await.unwrap();
    let request = CreateTableRequest {
        table_name: "Music".to_owned(),
        attribute_definitions: Some(vec![definition("pk")]),
        key_schema: Some(hash("pk")),
        billing_mode: Some(BillingMode::PayPerRequest),
        ..CreateTableRequest::default()
    };
    db.execute(Request::CreateTable(Box::new(request))).await.unwrap();
    db
}

async fn update(db: &Database, update: GlobalSecondaryIndexUpdate) {
    let request = UpdateTableRequest {
        table_name: "Music".to_owned(),
        attribute_definitions: Some(vec![definition("g")]),
        global_secondary_index_updates: Some(vec![update]),
        ..UpdateTableRequest::default()
    };
    db.execute(Request::UpdateTable(Box::new(request))).await.unwrap();
}

async fn add_index(db: &Database) {
    add_index_of(db, ProjectionType::All).await;
}

async fn add_index_of(db: &Database, projected: ProjectionType) {
    let create = GlobalSecondaryIndex {
        index_name: "ByG".to_owned(),
        key_schema: hash("g"),
        projection: Projection { projection_type: Some(projected), non_key_attributes: None },
        provisioned_throughput: None,
        on_demand_throughput: None,
        warm_throughput: None,
    };
    update(db, GlobalSecondaryIndexUpdate { create: Some(create), ..Default::default() }).await;
}

/// A write that looked its table up already.
fn planned_write(table: Arc<Table>) -> ItemWrite {
    let attribute = |name: &str| (name.to_owned(), AttributeValue::S("x".to_owned()));
    let item: EncodedItem = [attribute("pk"), attribute("g")].into_iter().collect();
    let place: RowPlace =
        crate::key::place_of_item(&table, &item, crate::key::ItemKeyWords::Named).unwrap();
    ItemWrite {
        table,
        place,
        change: Change::Put(item.into()),
        condition: None,
        return_item_on_failure: false,
        origin: Origin::Request,
        answers_old: false,
    }
}

pub(super) async fn one_step(db: &Database) -> Step {
    let mut state = db.inner.background.state.lock().await;
    step(&db.inner, &mut state).await.unwrap()
}

async fn in_index(db: &Database) -> u32 {
    let options = ReadOptions {
        table_name: "Music".to_owned(),
        index_name: Some("ByG".to_owned()),
        ..ReadOptions::default()
    };
    let request = ScanRequest { options, ..ScanRequest::default() };
    match db.execute(Request::Scan(Box::new(request))).await.unwrap() {
        Response::Scan(response) => response.count,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_write_under_the_older_snapshot_is_waited_for_and_backfilled() {
    let db = database().await;
    // Older snapshots pile up: the write holds the one from before two changes.
    let write = planned_write(db.inner.catalog.table("Music").unwrap());
    let tags = TagResourceRequest {
        resource_arn: db.inner.catalog.arn("Music"),
        tags: vec![GivenTag { key: Some("k".to_owned()), value: Some(String::new()) }],
    };
    db.execute(Request::TagResource(Box::new(tags))).await.unwrap();
    add_index(&db).await;
    while one_step(&db).await == Step::Done {}
    assert_eq!(one_step(&db).await, Step::Waiting);
    assert_eq!(one_step(&db).await, Step::Waiting);

    write_all(&db.inner, std::slice::from_ref(&write)).await.unwrap();
    assert_eq!(one_step(&db).await, Step::Waiting);
    drop(write);
    db.run_background_until_idle().await.unwrap();
    assert_eq!(in_index(&db).await, 1);
}

#[tokio::test]
async fn an_index_is_dropped_only_after_writes_that_keep_it() {
    let db = database().await;
    add_index(&db).await;
    db.run_background_until_idle().await.unwrap();
    let write = planned_write(db.inner.catalog.table("Music").unwrap());
    update(
        &db,
        GlobalSecondaryIndexUpdate { delete: Some("ByG".to_owned()), ..Default::default() },
    )
    .await;
    assert_eq!(one_step(&db).await, Step::Waiting);
    write_all(&db.inner, std::slice::from_ref(&write)).await.unwrap();
    drop(write);
    db.run_background_until_idle().await.unwrap();
    assert!(db.inner.catalog.table("Music").unwrap().global_indexes.is_empty());
}

async fn put(db: &Database, pk: u32, g: &str) {
    let text = |name: &str, value: String| (name.to_owned(), AttributeValue::S(value));
    let item = [text("pk", pk.to_string()), text("g", g.to_owned())].into_iter().collect();
    let request = PutItemRequest {
        table_name: "Music".to_owned(),
        item: Ok(item),
        options: WriteOptions::default(),
    };
    db.execute(Request::PutItem(Box::new(request))).await.unwrap();
}

#[tokio::test]
async fn an_item_that_changes_under_the_backfill_is_left_to_its_writer() {
    let db = database().await;
    for pk in 0..50 {
        put(&db, pk, "old").await;
    }
    add_index(&db).await;
    until_backfilling(&db).await;
    let table = db.inner.catalog.table("Music").unwrap();
    let index = backfill::Target::Global(&table.global_indexes[0]);
    let (candidates, _, end) = backfill::read_page(&db.inner, &table, index).await.unwrap();
    assert_eq!((candidates.len(), end), (50, true));
    // Between the page and its commit others write, and one deletes.
    for pk in [3, 7, 49] {
        put(&db, pk, "new").await;
    }
    let key = [("pk".to_owned(), AttributeValue::S("8".to_owned()))].into_iter().collect();
    let request = DeleteItemRequest {
        table_name: "Music".to_owned(),
        key: Ok(key),
        options: WriteOptions::default(),
    };
    db.execute(Request::DeleteItem(Box::new(request))).await.unwrap();
    backfill::add(&db.inner, index, candidates).await.unwrap();
    drop(table);

    db.run_background_until_idle().await.unwrap();
    assert_eq!(in_index(&db).await, 49);
    let table = db.inner.catalog.table("Music").unwrap();
    assert_eq!(table.global_indexes[0].counters.items(), 49);
}

async fn until_backfilling(db: &Database) {
    while db.inner.catalog.table("Music").unwrap().global_indexes[0].state
        != (IndexState::Creating { backfilling: true })
    {
        assert_eq!(one_step(db).await, Step::Done);
    }
}

/// Neither the first nor the second write may leave an entry behind that the other does not know of.
#[tokio::test]
async fn writes_that_know_the_index_and_writes_that_do_not_alternate() {
    let db = database().await;
    let unaware = planned_write(db.inner.catalog.table("Music").unwrap());
    add_index(&db).await;
    // The planned write is about this item, too.
    let aware = |g: &str| {
        let text = |name: &str, value: &str| (name.to_owned(), AttributeValue::S(value.to_owned()));
        let request = PutItemRequest {
            table_name: "Music".to_owned(),
            item: Ok([text("pk", "x"), text("g", g)].into_iter().collect()),
            options: WriteOptions::default(),
        };
        Request::PutItem(Box::new(request))
    };
    db.execute(aware("1")).await.unwrap();
    write_all(&db.inner, std::slice::from_ref(&unaware)).await.unwrap();
    drop(unaware);

    // The same one state later.
    let removes_only = planned_write(db.inner.catalog.table("Music").unwrap());
    until_backfilling(&db).await;
    db.execute(aware("2")).await.unwrap();
    write_all(&db.inner, std::slice::from_ref(&removes_only)).await.unwrap();
    assert_eq!(one_step(&db).await, Step::Waiting);
    drop(removes_only);
    db.run_background_until_idle().await.unwrap();
    assert_eq!(in_index(&db).await, 1);
}

#[tokio::test]
async fn an_item_whose_entry_does_not_change_under_the_backfill_is_not_lost() {
    let db = database().await;
    for pk in 0..3 {
        put(&db, pk, "g").await;
    }
    add_index_of(&db, ProjectionType::KeysOnly).await;
    until_backfilling(&db).await;
    let table = db.inner.catalog.table("Music").unwrap();
    let index = backfill::Target::Global(&table.global_indexes[0]);
    let (candidates, _, _) = backfill::read_page(&db.inner, &table, index).await.unwrap();
    // Nothing that the index projects.
    put(&db, 1, "g").await;
    backfill::add(&db.inner, index, candidates).await.unwrap();
    drop(table);
    db.run_background_until_idle().await.unwrap();
    assert_eq!(in_index(&db).await, 3);
}
