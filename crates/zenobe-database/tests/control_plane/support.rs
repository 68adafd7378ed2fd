//! What the tests of tables share: a database with a clock that the test moves, and short
//! ways to write requests.

use std::sync::Arc;

use zenobe_database::{Database, DatabaseConfig};
use zenobe_model::operation::*;
use zenobe_model::value::ValueType;
use zenobe_model::{AttributeValue, Item, Number, ServiceError};
use zenobe_storage::memory::MemoryOptions;
use zenobe_storage::{Engine, HashInterval, Lane, PageLimit, Read, ScanRead, SpaceId};

pub(crate) use crate::store::*;

/// The engine of a process over a new store.
pub(crate) async fn engine() -> Arc<dyn Engine> {
    Store::new(MemoryOptions::default()).await.engine().await
}

/// How many spaces of tables and indexes there are; those below 16 are the database's own.
pub(crate) async fn table_spaces(engine: &Arc<dyn Engine>) -> usize {
    let spaces = engine.spaces().await.unwrap();
    spaces.into_iter().filter(|space| space.0 >= 16).count()
}

pub(crate) async fn open(engine: &Arc<dyn Engine>) -> Database {
    open_at(engine, TestEnvironment::new()).await
}

pub(crate) async fn open_at(
    engine: &Arc<dyn Engine>,
    environment: Arc<TestEnvironment>,
) -> Database {
    begin(engine, &environment, DatabaseConfig::default()).await.unwrap()
}

/// Attribute definitions from `pk:S sk:N`.
pub(crate) fn definitions(text: &str) -> Vec<AttributeDefinition> {
    text.split_whitespace()
        .map(|part| {
            let (name, ty) = part.split_once(':').unwrap();
            AttributeDefinition {
                attribute_name: name.to_owned(),
                attribute_type: ValueType::from_name(ty).unwrap(),
            }
        })
        .collect()
}

/// A key schema from `H:pk R:sk`.
pub(crate) fn key(text: &str) -> Vec<KeySchemaElement> {
    text.split_whitespace()
        .map(|part| {
            let (kind, name) = part.split_once(':').unwrap();
            let key_type = if kind == "H" { KeyType::Hash } else { KeyType::Range };
            KeySchemaElement { attribute_name: name.to_owned(), key_type }
        })
        .collect()
}

/// A projection from `ALL`, `KEYS_ONLY`, `INCLUDE a b`, or nothing.
pub(crate) fn projection(text: &str) -> Projection {
    let mut words = text.split_whitespace();
    let projection_type = words.next().map(|word| match word {
        "ALL" => ProjectionType::All,
        "KEYS_ONLY" => ProjectionType::KeysOnly,
        _ => ProjectionType::Include,
    });
    let names: Vec<String> = words.map(str::to_owned).collect();
    Projection { projection_type, non_key_attributes: (!names.is_empty()).then_some(names) }
}

pub(crate) fn gsi(name: &str, schema: &str, projected: &str) -> GlobalSecondaryIndex {
    GlobalSecondaryIndex {
        index_name: name.to_owned(),
        key_schema: key(schema),
        projection: projection(projected),
        provisioned_throughput: None,
        on_demand_throughput: None,
        warm_throughput: None,
    }
}

pub(crate) fn lsi(name: &str, schema: &str, projected: &str) -> LocalSecondaryIndex {
    LocalSecondaryIndex {
        index_name: name.to_owned(),
        key_schema: key(schema),
        projection: projection(projected),
    }
}

pub(crate) fn units(read: u64, write: u64) -> ProvisionedThroughput {
    ProvisionedThroughput { read_capacity_units: read, write_capacity_units: write }
}

/// A CreateTable on demand.
pub(crate) fn create(name: &str, defined: &str, schema: &str) -> CreateTableRequest {
    CreateTableRequest {
        table_name: name.to_owned(),
        attribute_definitions: Some(definitions(defined)),
        key_schema: Some(key(schema)),
        billing_mode: Some(BillingMode::PayPerRequest),
        ..CreateTableRequest::default()
    }
}

pub(crate) fn update(name: &str) -> UpdateTableRequest {
    UpdateTableRequest { table_name: name.to_owned(), ..UpdateTableRequest::default() }
}

pub(crate) fn create_index(index: GlobalSecondaryIndex) -> Vec<GlobalSecondaryIndexUpdate> {
    vec![GlobalSecondaryIndexUpdate {
        create: Some(index),
        ..GlobalSecondaryIndexUpdate::default()
    }]
}

pub(crate) fn delete_index(name: &str) -> Vec<GlobalSecondaryIndexUpdate> {
    vec![GlobalSecondaryIndexUpdate {
        delete: Some(name.to_owned()),
        ..GlobalSecondaryIndexUpdate::default()
    }]
}

pub(crate) async fn create_table(
    db: &Database,
    request: CreateTableRequest,
) -> Result<TableDescription, ServiceError> {
    match db.execute(Request::CreateTable(Box::new(request))).await? {
        Response::CreateTable(description) => Ok(description),
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn update_table(
    db: &Database,
    request: UpdateTableRequest,
) -> Result<TableDescription, ServiceError> {
    match db.execute(Request::UpdateTable(Box::new(request))).await? {
        Response::UpdateTable(description) => Ok(description),
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn describe(db: &Database, name: &str) -> Result<TableDescription, ServiceError> {
    let request = DescribeTableRequest { table_name: name.to_owned() };
    match db.execute(Request::DescribeTable(Box::new(request))).await? {
        Response::DescribeTable(description) => Ok(description),
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn delete_table(
    db: &Database,
    name: &str,
) -> Result<TableDescription, ServiceError> {
    let request = DeleteTableRequest { table_name: name.to_owned() };
    match db.execute(Request::DeleteTable(Box::new(request))).await? {
        Response::DeleteTable(description) => Ok(description),
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn list(
    db: &Database,
    after: Option<&str>,
    limit: Option<u32>,
) -> ListTablesResponse {
    let request = ListTablesRequest { exclusive_start_table_name: after.map(str::to_owned), limit };
    match db.execute(Request::ListTables(Box::new(request))).await.unwrap() {
        Response::ListTables(response) => response,
        other => panic!("{other:?}"),
    }
}

/// An item of strings from `pk=1 g=x`.
pub(crate) fn item(text: &str) -> Item {
    text.split_whitespace()
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap();
            (name.to_owned(), AttributeValue::S(value.to_owned()))
        })
        .collect()
}

pub(crate) async fn put(db: &Database, table: &str, text: &str) -> Result<(), ServiceError> {
    put_item(db, table, item(text)).await
}

pub(crate) async fn put_item(db: &Database, table: &str, item: Item) -> Result<(), ServiceError> {
    let request = PutItemRequest {
        table_name: table.to_owned(),
        item: Ok(item.into()),
        options: WriteOptions::default(),
    };
    db.execute(Request::PutItem(Box::new(request))).await.map(drop)
}

pub(crate) async fn delete(db: &Database, table: &str, text: &str) -> Result<(), ServiceError> {
    let request = DeleteItemRequest {
        table_name: table.to_owned(),
        key: Ok(item(text)),
        options: WriteOptions::default(),
    };
    db.execute(Request::DeleteItem(Box::new(request))).await.map(drop)
}

/// Puts items at the same time.
pub(crate) async fn put_all(db: &Database, table: &str, items: impl IntoIterator<Item = Item>) {
    let puts = items.into_iter().map(|item| {
        let (db, table) = (db.clone(), table.to_owned());
        tokio::spawn(async move { put_item(&db, &table, item).await })
    });
    for put in puts.collect::<Vec<_>>() {
        put.await.unwrap().unwrap();
    }
}

/// The items of a table or index in no order, each as text.
pub(crate) async fn scan(
    db: &Database,
    table: &str,
    index: Option<&str>,
) -> Result<Vec<String>, ServiceError> {
    let mut found = Vec::new();
    let mut start = None;
    loop {
        let request = ScanRequest {
            options: ReadOptions {
                table_name: table.to_owned(),
                index_name: index.map(str::to_owned),
                exclusive_start_key: start,
                ..ReadOptions::default()
            },
            ..ScanRequest::default()
        };
        let response = match db.execute(Request::Scan(Box::new(request))).await? {
            Response::Scan(response) => response,
            other => panic!("{other:?}"),
        };
        for item in response.items.unwrap_or_default() {
            let words: Vec<String> = item
                .to_item()
                .into_iter()
                .map(|(name, value)| match value {
                    AttributeValue::S(text) => format!("{name}={text}"),
                    other => format!("{name}={other:?}"),
                })
                .collect();
            found.push(words.join(" "));
        }
        match response.last_evaluated_key {
            Some(key) => start = Some(Ok(key)),
            None => break,
        }
    }
    found.sort();
    Ok(found)
}

pub(crate) fn message<T: std::fmt::Debug>(result: Result<T, ServiceError>) -> String {
    result.unwrap_err().message
}

pub(crate) async fn update_ttl(
    db: &Database,
    table: &str,
    enabled: bool,
    attribute: &str,
) -> Result<TimeToLiveSpecification, ServiceError> {
    let specification = TimeToLiveSpecification { enabled, attribute_name: attribute.to_owned() };
    let request = UpdateTimeToLiveRequest { table_name: table.to_owned(), specification };
    match db.execute(Request::UpdateTimeToLive(Box::new(request))).await? {
        Response::UpdateTimeToLive(specification) => Ok(specification),
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn describe_ttl(
    db: &Database,
    table: &str,
) -> Result<TimeToLiveDescription, ServiceError> {
    let request = DescribeTimeToLiveRequest { table_name: table.to_owned() };
    match db.execute(Request::DescribeTimeToLive(Box::new(request))).await? {
        Response::DescribeTimeToLive(description) => Ok(description),
        other => panic!("{other:?}"),
    }
}

/// A table with time to live on the attribute `t`, ready to delete.
pub(crate) async fn expiring_table(db: &Database, request: CreateTableRequest) {
    let name = request.table_name.clone();
    create_table(db, request).await.unwrap();
    update_ttl(db, &name, true, "t").await.unwrap();
    db.run_background_until_idle().await.unwrap();
}

/// An item of strings with a number `t`.
pub(crate) fn expiring(text: &str, t: impl std::fmt::Display) -> Item {
    let mut item = item(text);
    item.insert("t".to_owned(), AttributeValue::N(Number::parse(&t.to_string()).unwrap()));
    item
}

/// What expiry indexes hold: `pk` values with their seconds, in no order.
pub(crate) async fn expiry_entries(engine: &Arc<dyn Engine>, space: SpaceId) -> Vec<(u64, String)> {
    let scan = ScanRead {
        space,
        lane: Lane::ITEM,
        interval: HashInterval::ALL,
        after: None,
        limit: PageLimit { rows: usize::MAX, bytes: usize::MAX },
    };
    let page = engine.scan(scan, Read::Strong).await.unwrap();
    let entry = |sort: &[u8]| {
        let (second, key) = sort.split_first_chunk::<8>().unwrap();
        let key = zenobe_model::key::decode_composite(key).unwrap();
        let AttributeValue::S(pk) = &key[0] else { panic!("{key:?}") };
        (u64::from_be_bytes(*second), pk.clone())
    };
    let mut found: Vec<_> = page.rows.iter().map(|(place, _)| entry(&place.sort)).collect();
    found.sort();
    found
}
