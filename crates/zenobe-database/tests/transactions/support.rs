//! A bank: accounts in two tables, transfers between them.

use std::collections::BTreeMap;
use std::sync::Arc;

use zenobe_database::{Database, DatabaseConfig};
use zenobe_model::error::{CancellationReason, Detail};
use zenobe_model::operation::*;
use zenobe_model::value::ValueType;
use zenobe_model::{AttributeValue, EncodedItem, Item, Number, ServiceError};
use zenobe_storage::memory::{FaultScript, MemoryEngine, MemoryOptions};
use zenobe_storage::{Engine, HashInterval, Lane, PageLimit, Read, ScanRead, SpaceId};

pub(crate) use crate::store::*;

/// What every account begins with.
pub(crate) const BALANCE: i64 = 100;
/// The accounts: two in a table of their own, two in one partition of a table with a local index.
pub(crate) const ACCOUNTS: [&str; 4] = ["a", "b", "c", "d"];

/// The engine of a process over a new store; in memory with or without a global commit.
pub(crate) async fn engine(global: bool) -> Arc<dyn Engine> {
    Store::new(options(global)).await.engine().await
}

/// An engine in memory whose calls go wrong.
pub(crate) fn faulty_engine(global: bool, faults: Arc<FaultScript>) -> Arc<dyn Engine> {
    Arc::new(MemoryEngine::new(MemoryOptions { faults: Some(faults), ..options(global) }))
}

pub(crate) fn options(global: bool) -> MemoryOptions {
    MemoryOptions { global_commit: global, snapshot_read: global, ..MemoryOptions::default() }
}

/// The environment of a process: all have the same time, and random numbers of their own.
pub(crate) fn process(number: u64) -> Arc<TestEnvironment> {
    TestEnvironment::of_process(number, 0)
}

pub(crate) async fn open(engine: &Arc<dyn Engine>, environment: &Arc<TestEnvironment>) -> Database {
    begin(engine, environment, DatabaseConfig::default()).await.unwrap()
}

fn schema(keys: &[&str]) -> Vec<KeySchemaElement> {
    let kinds = [KeyType::Hash, KeyType::Range];
    let element = |(name, key_type): (&&str, KeyType)| KeySchemaElement {
        attribute_name: (*name).to_owned(),
        key_type,
    };
    keys.iter().zip(kinds).map(element).collect()
}

/// Makes the two tables: `Own` with the key `pk`, `Shared` with `pk` and `sk` and a local index by `l`.
pub(crate) async fn create_tables(db: &Database) {
    let definition = |name: &str| AttributeDefinition {
        attribute_name: name.to_owned(),
        attribute_type: ValueType::S,
    };
    let own = CreateTableRequest {
        table_name: "Own".to_owned(),
        attribute_definitions: Some(vec![definition("pk")]),
        key_schema: Some(schema(&["pk"])),
        billing_mode: Some(BillingMode::PayPerRequest),
        ..CreateTableRequest::default()
    };
    let shared = CreateTableRequest {
        table_name: "Shared".to_owned(),
        attribute_definitions: Some(vec![definition("pk"), definition("sk"), definition("l")]),
        key_schema: Some(schema(&["pk", "sk"])),
        local_secondary_indexes: Some(vec![LocalSecondaryIndex {
            index_name: "ByL".to_owned(),
            key_schema: schema(&["pk", "l"]),
            projection: Projection {
                projection_type: Some(ProjectionType::All),
                non_key_attributes: None,
            },
        }]),
        ..own.clone()
    };
    let shared = CreateTableRequest { table_name: "Shared".to_owned(), ..shared };
    for request in [own, shared] {
        db.execute(Request::CreateTable(Box::new(request))).await.unwrap();
    }
}

pub(crate) fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

pub(crate) fn n(number: i64) -> AttributeValue {
    AttributeValue::N(Number::parse(&number.to_string()).unwrap())
}

/// The table and the key of an account, or of anything else in `Own`.
pub(crate) fn place(name: &str) -> (&'static str, Item) {
    match name {
        "c" | "d" => {
            ("Shared", Item::from([("pk".to_owned(), s("branch")), ("sk".to_owned(), s(name))]))
        }
        name => ("Own", Item::from([("pk".to_owned(), s(name))])),
    }
}

fn action(name: &str, kind: TransactWriteKind) -> TransactWriteItem {
    let (table, key) = place(name);
    TransactWriteItem {
        kind,
        table_name: table.to_owned(),
        item: Ok(key.into()),
        update_expression: None,
        condition_expression: None,
        expression_attribute_names: None,
        expression_attribute_values: None,
        return_values_on_condition_check_failure: ReturnValuesOnConditionCheckFailure::None,
    }
}

fn values(number: i64) -> Option<ExpressionAttributeValues> {
    Some(ExpressionAttributeValues::from([(":n".to_owned(), Ok(n(number)))]))
}

pub(crate) fn add(name: &str, amount: i64) -> TransactWriteItem {
    TransactWriteItem {
        update_expression: Some("SET n = n + :n".to_owned()),
        expression_attribute_values: values(amount),
        ..action(name, TransactWriteKind::Update)
    }
}

/// Takes an amount, if there is enough.
pub(crate) fn take(name: &str, amount: i64) -> TransactWriteItem {
    TransactWriteItem {
        update_expression: Some("SET n = n - :n".to_owned()),
        condition_expression: Some("n >= :n".to_owned()),
        expression_attribute_values: values(amount),
        ..action(name, TransactWriteKind::Update)
    }
}

/// Sets the number of an item that has another one, or does not exist.
pub(crate) fn set(name: &str, number: i64) -> TransactWriteItem {
    TransactWriteItem {
        update_expression: Some("SET n = :n".to_owned()),
        expression_attribute_values: values(number),
        ..action(name, TransactWriteKind::Update)
    }
}

/// Checks that an account has this number.
pub(crate) fn check(name: &str, number: i64) -> TransactWriteItem {
    TransactWriteItem {
        condition_expression: Some("n = :n".to_owned()),
        expression_attribute_values: values(number),
        ..action(name, TransactWriteKind::ConditionCheck)
    }
}

/// Makes an item that must not exist.
pub(crate) fn make(name: &str) -> TransactWriteItem {
    TransactWriteItem {
        condition_expression: Some("attribute_not_exists(pk)".to_owned()),
        ..action(name, TransactWriteKind::Put)
    }
}

pub(crate) fn delete(name: &str) -> TransactWriteItem {
    action(name, TransactWriteKind::Delete)
}

/// Moves an amount, and leaves a note with the number of the transfer.
pub(crate) fn transfer(from: &str, to: &str, amount: i64, id: usize) -> Vec<TransactWriteItem> {
    vec![take(from, amount), add(to, amount), make(&format!("transfer {id}"))]
}

pub(crate) async fn transact(
    db: &Database,
    actions: Vec<TransactWriteItem>,
) -> Result<TransactWriteItemsResponse, ServiceError> {
    transact_with(db, actions, None).await
}

pub(crate) async fn transact_with(
    db: &Database,
    actions: Vec<TransactWriteItem>,
    token: Option<&str>,
) -> Result<TransactWriteItemsResponse, ServiceError> {
    let request = TransactWriteItemsRequest {
        transact_items: actions.into_iter().map(Ok).collect(),
        return_consumed_capacity: ReturnConsumedCapacity::Indexes,
        return_item_collection_metrics: ReturnItemCollectionMetrics::Size,
        client_request_token: token.map(str::to_owned),
    };
    match db.execute(Request::TransactWriteItems(Box::new(request))).await? {
        Response::TransactWriteItems(response) => Ok(response),
        other => panic!("{other:?}"),
    }
}

/// The codes of the reasons of a cancelled transaction.
pub(crate) fn codes(error: &ServiceError) -> Vec<&'static str> {
    let Detail::Reasons(reasons) = &error.detail else { panic!("{error}") };
    reasons.iter().map(CancellationReason::code).collect()
}

fn number_of(item: Option<&EncodedItem>) -> Option<i64> {
    match item?.to_item().get("n") {
        Some(AttributeValue::N(number)) => Some(number.to_string().parse().unwrap()),
        _ => None,
    }
}

/// The numbers of items at one point in time.
pub(crate) async fn read_together(
    db: &Database,
    names: &[&str],
) -> Result<Vec<Option<i64>>, ServiceError> {
    let get = |name: &&str| {
        let (table, key) = place(name);
        TransactGetItem {
            table_name: table.to_owned(),
            key: Ok(key),
            projection_expression: None,
            expression_attribute_names: None,
        }
    };
    let request = TransactGetItemsRequest {
        transact_items: names.iter().map(get).collect(),
        ..TransactGetItemsRequest::default()
    };
    match db.execute(Request::TransactGetItems(Box::new(request))).await? {
        Response::TransactGetItems(response) => {
            Ok(response.responses.iter().map(|item| number_of(item.as_ref())).collect())
        }
        other => panic!("{other:?}"),
    }
}

/// A strong read of one item: `None` without the item, its number otherwise, 0 without one.
pub(crate) async fn read(db: &Database, name: &str) -> Result<Option<i64>, ServiceError> {
    let (table, key) = place(name);
    let request = GetItemRequest {
        table_name: table.to_owned(),
        key: Some(Ok(key)),
        consistent_read: true,
        ..GetItemRequest::default()
    };
    match db.execute(Request::GetItem(Box::new(request))).await? {
        Response::GetItem(response) => {
            let item = response.item.as_ref();
            Ok(item.map(|item| number_of(Some(item)).unwrap_or_default()))
        }
        other => panic!("{other:?}"),
    }
}

/// An UpdateItem that adds to an account.
pub(crate) async fn add_alone(db: &Database, name: &str, amount: i64) -> Result<i64, ServiceError> {
    let (table, key) = place(name);
    let request = UpdateItemRequest {
        table_name: table.to_owned(),
        key: Ok(key),
        attribute_updates: None,
        update_expression: Some("SET n = n + :n".to_owned()),
        options: WriteOptions {
            expression_attribute_values: values(amount),
            return_values: ReturnValues::AllNew,
            ..WriteOptions::default()
        },
    };
    match db.execute(Request::UpdateItem(Box::new(request))).await? {
        Response::UpdateItem(response) => Ok(number_of(response.attributes.as_ref()).unwrap()),
        other => panic!("{other:?}"),
    }
}

/// A process over a new store, with the tables.
pub(crate) async fn founder(global: bool) -> (Arc<dyn Engine>, Arc<TestEnvironment>, Database) {
    let engine = engine(global).await;
    let environment = process(1);
    let db = open(&engine, &environment).await;
    create_tables(&db).await;
    (engine, environment, db)
}

/// Makes the tables, and gives every account its balance.
pub(crate) async fn found(db: &Database) {
    create_tables(db).await;
    endow(db).await;
}

/// Gives every account its balance, and forgets the first transfer.
pub(crate) async fn endow(db: &Database) {
    transact(db, vec![delete("transfer 0")]).await.unwrap();
    for name in ACCOUNTS {
        let (table, mut item) = place(name);
        item.insert("n".to_owned(), n(BALANCE));
        if table == "Shared" {
            item.insert("l".to_owned(), s(&format!("l{name}")));
        }
        let request = PutItemRequest {
            table_name: table.to_owned(),
            item: Ok(item.into()),
            options: WriteOptions::default(),
        };
        db.execute(Request::PutItem(Box::new(request))).await.unwrap();
    }
}

/// The accounts in the shared table as a strong Query of the table, or of its index, finds them.
async fn query(db: &Database, index: Option<&str>) -> BTreeMap<String, i64> {
    let value = ExpressionAttributeValues::from([(":p".to_owned(), Ok(s("branch")))]);
    let request = QueryRequest {
        options: ReadOptions {
            table_name: "Shared".to_owned(),
            index_name: index.map(str::to_owned),
            consistent_read: true,
            expression_attribute_values: Some(value),
            ..ReadOptions::default()
        },
        key_condition_expression: Some("pk = :p".to_owned()),
        ..QueryRequest::default()
    };
    let response = match db.execute(Request::Query(Box::new(request))).await.unwrap() {
        Response::Query(response) => response,
        other => panic!("{other:?}"),
    };
    let items = response.items.unwrap_or_default();
    items.iter().map(|item| (text_of(item, "sk"), number_of(Some(item)).unwrap())).collect()
}

/// What a strong Scan of `Own`, in pages of this many items, finds: the items without a number as 0.
pub(crate) async fn scan(db: &Database, limit: u32) -> BTreeMap<String, i64> {
    let mut found = BTreeMap::new();
    let mut start = None;
    loop {
        let request = ScanRequest {
            options: ReadOptions {
                table_name: "Own".to_owned(),
                consistent_read: true,
                limit: Some(limit),
                exclusive_start_key: start.map(Ok),
                ..ReadOptions::default()
            },
            ..ScanRequest::default()
        };
        let response = match db.execute(Request::Scan(Box::new(request))).await.unwrap() {
            Response::Scan(response) => response,
            other => panic!("{other:?}"),
        };
        for item in response.items.unwrap_or_default() {
            let number = number_of(Some(&item)).unwrap_or_default();
            assert_eq!(found.insert(text_of(&item, "pk"), number), None, "found twice");
        }
        start = response.last_evaluated_key;
        if start.is_none() {
            return found;
        }
    }
}

fn text_of(item: &EncodedItem, name: &str) -> String {
    match item.to_item().remove(name) {
        Some(AttributeValue::S(text)) => text,
        other => panic!("{other:?}"),
    }
}

/// Checks that nothing is half done: nobody's money is lost or made, the indexes agree, and each of
/// `transfers` (from, to, amount) happened exactly if its note is there. Says which did.
pub(crate) async fn audit(
    db: &Database,
    transfers: &[(&str, &str, i64)],
    extra: impl Fn(&str) -> i64,
) -> Vec<bool> {
    let balances = read_together(db, &ACCOUNTS).await.unwrap();
    let balances: BTreeMap<&str, i64> =
        ACCOUNTS.into_iter().zip(balances.into_iter().map(Option::unwrap)).collect();
    let mut expected: BTreeMap<&str, i64> =
        ACCOUNTS.iter().map(|name| (*name, BALANCE + extra(name))).collect();
    let mut happened = Vec::new();
    for (id, (from, to, amount)) in transfers.iter().enumerate() {
        let noted = read(db, &format!("transfer {id}")).await.unwrap().is_some();
        if noted {
            *expected.get_mut(from).unwrap() -= amount;
            *expected.get_mut(to).unwrap() += amount;
        }
        happened.push(noted);
    }
    assert_eq!(balances, expected, "{happened:?}");
    for name in ACCOUNTS {
        assert_eq!(read(db, name).await.unwrap(), Some(balances[name]));
    }
    let shared = query(db, None).await;
    assert_eq!(shared, query(db, Some("ByL")).await);
    for (name, balance) in shared {
        assert_eq!(balances[name.as_str()], balance);
    }
    happened
}

async fn rows(engine: &Arc<dyn Engine>, space: SpaceId, lane: u8) -> usize {
    let limit = PageLimit { rows: 1_000, bytes: 1 << 20 };
    let interval = HashInterval::ALL;
    let scan = ScanRead { space, lane: Lane(lane), interval, after: None, limit };
    engine.scan(scan, Read::Strong).await.unwrap().rows.len()
}

/// Checks that nothing is left of transactions when all of their time is over, and that item
/// collections were counted right: an empty one leaves no row.
pub(crate) async fn clear(db: &Database, engine: &Arc<dyn Engine>, environment: &TestEnvironment) {
    environment.advance(11 * 60 * 1000);
    db.purge_transactions(true).await.unwrap();
    assert_eq!(rows(engine, SpaceId(1), 0).await, 0, "records are left over");
    for name in ["c", "d"] {
        transact(db, vec![delete(name)]).await.unwrap();
    }
    environment.advance(11 * 60 * 1000);
    db.purge_transactions(true).await.unwrap();
    for space in engine.spaces().await.unwrap().into_iter().filter(|space| space.0 >= 16) {
        assert_eq!(rows(engine, space, 253).await, 0, "intents are left over");
        assert_eq!(rows(engine, space, 254).await, 0, "a collection was counted wrong");
    }
}
