//! A page with a filter is not read in one go: a filter may have thousands of conditions.

use std::future::poll_fn;
use std::pin::pin;

use zenobe_database::Database;
use zenobe_model::operation::*;

use super::support::*;

/// How many turns a scan of 100 items with this filter takes.
async fn turns(db: &Database, filter: &str) -> usize {
    let request = ScanRequest {
        options: ReadOptions {
            table_name: "T".to_owned(),
            filter_expression: Some(filter.to_owned()),
            ..ReadOptions::default()
        },
        ..ScanRequest::default()
    };
    let mut scan = pin!(db.execute(Request::Scan(Box::new(request))));
    let mut turns = 0;
    let response = poll_fn(|context| {
        turns += 1;
        scan.as_mut().poll(context)
    });
    let Response::Scan(response) = response.await.unwrap() else { panic!("not a scan's answer") };
    assert_eq!(response.scanned_count, 100);
    turns
}

#[tokio::test]
async fn a_filter_gives_others_a_turn() {
    let engine = engine().await;
    let db = open(&engine).await;
    create_table(&db, create("T", "pk:S", "H:pk")).await.unwrap();
    put_all(&db, "T", (0..100).map(|number| item(&format!("pk={number}")))).await;
    let turns = turns(&db, "attribute_exists(pk)").await;
    assert!(turns >= 7, "{turns}");
}
