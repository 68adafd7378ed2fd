//! Processes that write to one table while its stream's shards roll over: each item's changes are in the stream
//! exactly once and in order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use zenobe_model::operation::*;

use super::processes::*;
use super::reading::*;
use super::support::*;

const WRITES: u64 = 150;
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn exactly_once_and_in_order() {
    let store = shared_store().await;
    let mut processes = Vec::new();
    for number in 0..3 {
        processes.push(Process::start_ahead(&store, number * 20_000).await);
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
            // On Cassandra, where nothing of that is as fast, only the clocks go on.
            for _ in 0..times(20_000, 80) {
                for clock in &clocks {
                    if on_cassandra() {
                        clock.advance(HOUR_MS / 4);
                        clock.beat().await;
                    } else {
                        clock.pass(4_000);
                    }
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
    let writes = times(WRITES, 60);
    let mut writers = Vec::new();
    for (number, process) in (0..).zip(&processes) {
        for writer in 0..2 {
            writers.push(tokio::spawn(count_up(process.db.clone(), number * 2 + writer, writes)));
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
    assert_eq!(counters.values().sum::<u64>(), 6 * writes);
}
