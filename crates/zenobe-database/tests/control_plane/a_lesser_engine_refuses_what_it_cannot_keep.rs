//! On an engine that commits within a partition only: what reaches further is refused when it is asked for.

use std::sync::Arc;

use zenobe_model::ErrorCode;
use zenobe_model::operation::*;
use zenobe_storage::Engine;
use zenobe_storage::memory::{MemoryEngine, MemoryOptions};

use crate::support::*;

fn lesser_engine() -> Arc<dyn Engine> {
    Arc::new(MemoryEngine::new(MemoryOptions {
        global_commit: false,
        snapshot_read: false,
        native_log_order: false,
        ..MemoryOptions::default()
    }))
}

fn refused<T>(result: Result<T, zenobe_model::ServiceError>, what: &str) {
    let Err(error) = result else { panic!("{what} were accepted") };
    assert_eq!(error.code, ErrorCode::Validation);
    let expected = format!(
        "One or more parameter values were invalid: {what} not supported by the storage engine in use"
    );
    assert_eq!(error.message, expected);
}

fn streaming(enabled: bool) -> Option<StreamSpecification> {
    let view = enabled.then_some(StreamViewType::NewImage);
    Some(StreamSpecification { stream_enabled: enabled, stream_view_type: view })
}

#[tokio::test]
async fn a_table_with_more_than_a_partition_can_keep_is_not_made() {
    let engine = lesser_engine();
    let db = open(&engine).await;
    let mut request = create("orders", "pk:S g:S", "H:pk");
    request.global_secondary_indexes = Some(vec![gsi("by-g", "H:g", "ALL")]);
    refused(create_table(&db, request).await, "Global secondary indexes are");
    let mut request = create("orders", "pk:S", "H:pk");
    request.stream_specification = streaming(true);
    refused(create_table(&db, request).await, "Streams are");
    assert_eq!(table_spaces(&engine).await, 0);
}

#[tokio::test]
async fn a_table_does_not_get_it_later_and_takes_items_meanwhile() {
    let engine = lesser_engine();
    let db = open(&engine).await;
    let mut request = create("orders", "pk:S sk:S l:S", "H:pk R:sk");
    request.local_secondary_indexes = Some(vec![lsi("by-l", "H:pk R:l", "ALL")]);
    request.stream_specification = streaming(false);
    create_table(&db, request).await.unwrap();
    let mut request = update("orders");
    request.attribute_definitions = Some(definitions("pk:S sk:S g:S"));
    request.global_secondary_index_updates = Some(create_index(gsi("by-g", "H:g", "ALL")));
    refused(update_table(&db, request).await, "Global secondary indexes are");
    let mut request = update("orders");
    request.stream_specification = streaming(true);
    refused(update_table(&db, request).await, "Streams are");
    refused(update_ttl(&db, "orders", true, "expires").await, "Time to live is");
    put(&db, "orders", "pk=1 sk=1 l=x g=y").await.unwrap();
}
