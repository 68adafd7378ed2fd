//! Global secondary indexes that are created and deleted while the table is in use.

use super::support::*;
use zenobe_database::Database;
use zenobe_model::operation::*;
use zenobe_model::{AttributeValue, ErrorCode};

async fn table_with_items(db: &Database, items: u32) {
    create_table(db, create("Music", "pk:S", "H:pk")).await.unwrap();
    put_all(db, "Music", (0..items).map(|n| item(&format!("pk={n} g=group{}", n % 3)))).await;
}

fn add_index() -> UpdateTableRequest {
    UpdateTableRequest {
        attribute_definitions: Some(definitions("g:S")),
        global_secondary_index_updates: Some(create_index(gsi("ByG", "H:g", "ALL"))),
        ..update("Music")
    }
}

fn remove_index() -> UpdateTableRequest {
    UpdateTableRequest {
        global_secondary_index_updates: Some(delete_index("ByG")),
        ..update("Music")
    }
}

#[tokio::test]
async fn older_items_are_added_and_newer_ones_are_kept() {
    let db = open(&engine().await).await;
    let many = times(1000, 150);
    table_with_items(&db, many).await;
    // Not in the index: without the attribute, of another type, empty.
    put(&db, "Music", "pk=none other=x").await.unwrap();
    let mut number = item("pk=number");
    number.insert("g".to_owned(), AttributeValue::Bool(true));
    put_item(&db, "Music", number).await.unwrap();
    put(&db, "Music", "pk=empty g=").await.unwrap();

    let updated = update_table(&db, add_index()).await.unwrap();
    assert_eq!(updated.table_status, ResourceStatus::Updating);
    let index = &updated.global_secondary_indexes[0];
    assert_eq!((index.index_status, index.backfilling), (ResourceStatus::Creating, Some(false)));
    assert_eq!(updated.attribute_definitions, definitions("g:S pk:S"));
    assert_eq!(
        message(scan(&db, "Music", Some("ByG")).await),
        "Cannot read from backfilling global secondary index: ByG"
    );
    put(&db, "Music", "pk=5 g=moved").await.unwrap();
    put(&db, "Music", "pk=new g=group0").await.unwrap();
    delete(&db, "Music", "pk=6").await.unwrap();

    db.run_background_until_idle().await.unwrap();
    let table = describe(&db, "Music").await.unwrap();
    assert_eq!(table.table_status, ResourceStatus::Active);
    let index = &table.global_secondary_indexes[0];
    assert_eq!((index.index_status, index.backfilling), (ResourceStatus::Active, None));
    assert_eq!(index.item_count, u64::from(many));

    let in_index = scan(&db, "Music", Some("ByG")).await.unwrap();
    let expected: Vec<String> = scan(&db, "Music", None)
        .await
        .unwrap()
        .into_iter()
        .filter(|item| {
            !["none", "number", "empty"].iter().any(|pk| {
                item.ends_with(&format!("pk={pk}")) || item.contains(&format!("pk={pk} "))
            })
        })
        .filter(|item| !item.starts_with("other"))
        .collect();
    assert_eq!(in_index, expected);
    assert_eq!(in_index.len(), usize::try_from(many).unwrap());
    // What is not in the index does not leave it.
    for pk in ["none", "number", "empty"] {
        delete(&db, "Music", &format!("pk={pk}")).await.unwrap();
    }
    let table = describe(&db, "Music").await.unwrap();
    assert_eq!(table.global_secondary_indexes[0].item_count, u64::from(many));
}

#[tokio::test]
async fn one_at_a_time() {
    let db = open(&engine().await).await;
    table_with_items(&db, 10).await;
    update_table(&db, add_index()).await.unwrap();

    let mut second = add_index();
    second.global_secondary_index_updates = Some(create_index(gsi("Other", "H:g", "ALL")));
    let error = update_table(&db, second).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::LimitExceeded);
    assert_eq!(
        error.message,
        "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table"
    );
    let error = update_table(&db, remove_index()).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ResourceInUse);
    assert_eq!(
        error.message,
        "Attempt to change a resource which is still in use: Index creation is in resource allocation phase. Retry deletion during backfilling phase or when the index is active. Table: Music Index: ByG"
    );
    let error = delete_table(&db, "Music").await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ResourceInUse);
    assert_eq!(
        error.message,
        "Attempt to change a resource which is still in use: Cannot delete table while indexes are being created, updated, or deleted."
    );
    let error = update_table(&db, add_index()).await.unwrap_err();
    assert_eq!(error.message, "Attempting to create an index which already exists");
}

#[tokio::test]
async fn a_deleted_index_is_gone_with_its_attribute() {
    let engine = engine().await;
    let db = open(&engine).await;
    table_with_items(&db, 10).await;
    update_table(&db, add_index()).await.unwrap();
    db.run_background_until_idle().await.unwrap();
    assert_eq!(table_spaces(&engine).await, 2);

    let updated = update_table(&db, remove_index()).await.unwrap();
    assert_eq!(updated.table_status, ResourceStatus::Updating);
    assert_eq!(updated.global_secondary_indexes[0].index_status, ResourceStatus::Deleting);
    put(&db, "Music", "pk=5 g=moved").await.unwrap();
    db.run_background_until_idle().await.unwrap();
    let table = describe(&db, "Music").await.unwrap();
    assert_eq!(table.table_status, ResourceStatus::Active);
    assert!(table.global_secondary_indexes.is_empty());
    assert_eq!(table.attribute_definitions, definitions("pk:S"));
    assert_eq!(table_spaces(&engine).await, 1);
    let error = update_table(&db, remove_index()).await.unwrap_err();
    assert_eq!(error.message, "Requested resource not found: Index ByG for table Music");
}

#[tokio::test]
async fn a_restart_goes_on_with_what_was_begun() {
    let engine = engine().await;
    let db = open(&engine).await;
    let many = times(500, 150);
    table_with_items(&db, many).await;
    update_table(&db, add_index()).await.unwrap();
    end(db).await;

    let db = open(&engine).await;
    let index = describe(&db, "Music").await.unwrap().global_secondary_indexes.remove(0);
    assert_eq!(index.index_status, ResourceStatus::Creating);
    db.run_background_until_idle().await.unwrap();
    assert_eq!(
        scan(&db, "Music", Some("ByG")).await.unwrap().len(),
        usize::try_from(many).unwrap()
    );
    update_table(&db, remove_index()).await.unwrap();
    end(db).await;

    let db = open(&engine).await;
    db.run_background_until_idle().await.unwrap();
    assert!(describe(&db, "Music").await.unwrap().global_secondary_indexes.is_empty());
    assert_eq!(table_spaces(&engine).await, 1);
}

#[tokio::test]
async fn definitions_belong_to_the_new_index() {
    let db = open(&engine().await).await;
    table_with_items(&db, 1).await;
    let without = UpdateTableRequest { attribute_definitions: None, ..add_index() };
    assert_eq!(
        message(update_table(&db, without).await),
        "One or more parameter values were invalid: AttributeDefinitions is not specified for index: ByG"
    );
    let extra = UpdateTableRequest {
        attribute_definitions: Some(definitions("g:S unused:N")),
        ..add_index()
    };
    let updated = update_table(&db, extra).await.unwrap();
    assert_eq!(updated.attribute_definitions, definitions("g:S pk:S"));
}
