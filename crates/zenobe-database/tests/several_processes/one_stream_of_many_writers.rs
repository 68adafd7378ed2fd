//! Processes that write to one table while its stream's shards roll over: each item's changes are in the stream
//! exactly once and in order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use zenobe_database::Database;
use zenobe_model::ErrorCode;
use zenobe_model::operation::*;

use super::processes::*;
use super::reading::*;
use super::support::*;

const WRITES: u64 = 150;
const ITEMS: u64 = 5;

async fn count_up(db: Database, seed: u64) {
    let one = zenobe_model::AttributeValue::N(zenobe_model::Number::from(1_i64));
    for n in 0..WRITES {
        let key = (seed * 7 + n) % ITEMS;
        let request = UpdateItemRequest {
            table_name: "Music".to_owned(),
            key: Ok(item(&format!("pk={key} sk=1"))),
            attribute_updates: None,
            update_expression: Some("ADD n :one".to_owned()),
            options: WriteOptions {
                expression_attribute_values: Some([(":one".to_owned(), Ok(one.clone()))].into()),
                ..WriteOptions::default()
            },
        };
        let request = Request::UpdateItem(Box::new(request));
        while let Err(error) = db.execute(request.clone()).await {
            // The clocks here run so fast that a process may be late with its row.
            assert_eq!(error.code, ErrorCode::ServiceUnavailable);
            tokio::task::yield_now().await;
        }
    }
}

fn counter(record: &StreamRecord) -> u64 {
    let item = record.new_image.as_ref().unwrap().to_item();
    match &item["n"] {
        zenobe_model::AttributeValue::N(number) => number.to_string().parse().unwrap(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn exactly_once_and_in_order() {
    let engine = shared_engine(false);
    let mut processes = Vec::new();
    for number in 0..3 {
        processes.push(Process::start_ahead(&engine, number * 20_000).await);
    }
    create_table(&processes[0].db, create("Music", "pk:S sk:S", "H:pk R:sk")).await.unwrap();
    let request = set_stream("Music", Some(StreamViewType::NewImage));
    let arn = update_table(&processes[1].db, request).await.unwrap().latest_stream_arn.unwrap();
    while describe_stream(&processes[2].db, &arn).await.unwrap().stream_status
        != StreamStatus::Enabled
    {
        tokio::task::yield_now().await;
    }
    let over = Arc::new(AtomicBool::new(false));
    let clocks: Vec<_> = processes.iter().map(|process| process.environment.clone()).collect();
    let roller = tokio::spawn({
        let over = Arc::clone(&over);
        async move {
            // Shorter steps than a lease, until a shard is old; no more than fit into the retention.
            for _ in 0..20_000 {
                for clock in &clocks {
                    clock.advance(4_000);
                }
                for _ in 0..20 {
                    tokio::task::yield_now().await;
                }
                if over.load(Ordering::Relaxed) {
                    return;
                }
            }
        }
    });
    let mut writers = Vec::new();
    for (number, process) in (0..).zip(&processes) {
        for writer in 0..2 {
            writers.push(tokio::spawn(count_up(process.db.clone(), number * 2 + writer)));
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
    over.store(true, Ordering::Relaxed);
    roller.await.unwrap();

    let mut counters: BTreeMap<String, u64> = BTreeMap::new();
    for record in read_all(&processes[0].db, &arn).await {
        let last = counters.entry(words(&record.keys)).or_default();
        assert_eq!(counter(&record), *last + 1, "{}", text(&record));
        *last += 1;
    }
    assert_eq!(counters.values().sum::<u64>(), 6 * WRITES);
}
