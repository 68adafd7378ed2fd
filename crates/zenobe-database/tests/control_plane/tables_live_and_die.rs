//! The life of tables: created, described, listed, deleted, created again.

use super::support::*;
use zenobe_model::ErrorCode;
use zenobe_model::operation::*;

#[tokio::test]
async fn a_table_can_be_used_at_once_and_is_described_in_full() {
    let db = open(&engine().await).await;
    let mut request = create("Music", "z:S pk:S sk:N g:B", "H:pk R:sk");
    request.local_secondary_indexes = Some(vec![lsi("ByZ", "H:pk R:z", "KEYS_ONLY")]);
    request.global_secondary_indexes = Some(vec![gsi("ByG", "H:g R:sk", "INCLUDE zz aa")]);
    request.stream_specification = Some(StreamSpecification {
        stream_enabled: true,
        stream_view_type: Some(StreamViewType::NewImage),
    });
    let created = create_table(&db, request).await.unwrap();
    assert_eq!(created.table_status, ResourceStatus::Creating);
    assert_eq!(created.global_secondary_indexes[0].index_status, ResourceStatus::Creating);
    assert_eq!(created.warm_throughput, None);
    assert_eq!(created.billing_mode_summary.unwrap().last_update_to_pay_per_request_ms, None);

    let table = describe(&db, "Music").await.unwrap();
    let arn = "arn:aws:dynamodb:us-east-1:000000000000:table/Music";
    assert_eq!(table.table_status, ResourceStatus::Active);
    assert_eq!(table.table_arn, arn);
    assert_eq!(table.table_id, created.table_id);
    assert_eq!(table.creation_ms, Some(START_MS));
    assert_eq!(table.attribute_definitions, definitions("g:B pk:S sk:N z:S"));
    assert_eq!(table.key_schema, key("H:pk R:sk"));
    assert_eq!(table.local_secondary_indexes[0].index_arn, format!("{arn}/index/ByZ"));
    let global = &table.global_secondary_indexes[0];
    assert_eq!(global.key_schema, key("H:g R:sk"));
    assert_eq!(global.projection, projection("INCLUDE aa zz"));
    assert_eq!((global.index_status, global.backfilling), (ResourceStatus::Active, None));
    assert_eq!(table.latest_stream_label.as_deref(), Some("2026-10-08T23:07:31.275"));
    assert_eq!(table.latest_stream_arn.unwrap(), format!("{arn}/stream/2026-10-08T23:07:31.275"));
    let summary = table.billing_mode_summary.unwrap();
    assert_eq!(summary.last_update_to_pay_per_request_ms, Some(START_MS));
    let warm = table.warm_throughput.unwrap();
    assert_eq!((warm.read_units_per_second, warm.write_units_per_second), (12_000, 4_000));

    assert_eq!(describe(&db, arn).await.unwrap().table_name, "Music");
}

#[tokio::test]
async fn a_deleted_name_can_be_used_again_at_once() {
    let engine = engine().await;
    let db = open(&engine).await;
    create_table(&db, create("Music", "pk:S", "H:pk")).await.unwrap();
    let again = create_table(&db, create("Music", "pk:S", "H:pk")).await.unwrap_err();
    assert_eq!(again.code, ErrorCode::ResourceInUse);
    assert_eq!(again.message, "Table already exists: Music");

    put(&db, "Music", "pk=1").await.unwrap();
    let deleted = delete_table(&db, "Music").await.unwrap();
    assert_eq!(deleted.table_status, ResourceStatus::Deleting);
    assert_eq!(deleted.creation_ms, None);
    let missing = describe(&db, "Music").await.unwrap_err();
    assert_eq!(missing.code, ErrorCode::ResourceNotFound);
    assert_eq!(missing.message, "Requested resource not found: Table: Music not found");
    assert_eq!(message(put(&db, "Music", "pk=1").await), "Requested resource not found");

    create_table(&db, create("Music", "pk:S", "H:pk")).await.unwrap();
    assert_eq!(scan(&db, "Music", None).await.unwrap(), Vec::<String>::new());
    assert_eq!(table_spaces(&engine).await, 2);
    db.run_background_until_idle().await.unwrap();
    // The catalogue's and the new table's.
    assert_eq!(table_spaces(&engine).await, 1);
}

#[tokio::test]
async fn a_protected_table_is_not_deleted() {
    let db = open(&engine().await).await;
    let mut request = create("Music", "pk:S", "H:pk");
    request.deletion_protection_enabled = Some(true);
    create_table(&db, request).await.unwrap();
    assert_eq!(
        message(delete_table(&db, "Music").await),
        "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first."
    );
    let mut unprotect = update("Music");
    unprotect.deletion_protection_enabled = Some(false);
    update_table(&db, unprotect).await.unwrap();
    delete_table(&db, "Music").await.unwrap();
}

#[tokio::test]
async fn tables_are_listed_by_name_page_by_page() {
    let db = open(&engine().await).await;
    for name in ["b.1", "a-2", "Z_3", "a-1"] {
        create_table(&db, create(name, "pk:S", "H:pk")).await.unwrap();
    }
    let page = list(&db, None, Some(2)).await;
    assert_eq!(page.table_names, ["Z_3", "a-1"]);
    assert_eq!(page.last_evaluated_table_name.as_deref(), Some("a-1"));
    let page = list(&db, Some("a-1"), Some(2)).await;
    assert_eq!(page.table_names, ["a-2", "b.1"]);
    assert_eq!(page.last_evaluated_table_name, None);
    assert_eq!(list(&db, Some("a-15"), None).await.table_names, ["a-2", "b.1"]);
}

#[tokio::test]
async fn figures_follow_writes_at_once() {
    let db = open(&engine().await).await;
    let mut request = create("Music", "pk:S g:S", "H:pk");
    request.global_secondary_indexes = Some(vec![gsi("ByG", "H:g", "KEYS_ONLY")]);
    create_table(&db, request).await.unwrap();
    put(&db, "Music", "pk=1 g=a").await.unwrap();
    put(&db, "Music", "pk=2 other=abc").await.unwrap();
    let table = describe(&db, "Music").await.unwrap();
    assert_eq!((table.item_count, table.table_size_bytes), (2, 5 + 11));
    let index = &table.global_secondary_indexes[0];
    assert_eq!((index.item_count, index.index_size_bytes), (1, 5));
    delete(&db, "Music", "pk=1").await.unwrap();
    let table = describe(&db, "Music").await.unwrap();
    assert_eq!((table.item_count, table.table_size_bytes), (1, 11));
    assert_eq!(table.global_secondary_indexes[0].item_count, 0);
}
