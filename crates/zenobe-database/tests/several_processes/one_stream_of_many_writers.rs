//! Processes that write to one table while its stream's shards roll over: each item's changes are in the stream
//! exactly once and in order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use zenobe_database::Database;
use zenobe_model::operation::*;

use super::processes::*;
use super::reading::*;
use super::support::*;

/// Rollovers that the writers are to see.
const ROLLOVERS: usize = 2;
/// How many open shards the stream has.
const OPEN: usize = 4;
/// How many writes a writer makes before it looks whether that is all.
const WRITES: u64 = 20;

/// Writes until it is over. Returns how often.
async fn write(db: Database, seed: u64, over: Arc<AtomicBool>) -> u64 {
    let mut writes = 0;
    while !over.load(Ordering::Relaxed) {
        count_up(db.clone(), seed, WRITES).await;
        writes += WRITES;
    }
    writes
}

/// Lets time go on until shards were closed and opened often enough: in steps shorter than a lease, and not for as
/// long as records are kept. On Cassandra, where nothing of that is as fast, only the clocks go on.
async fn roll_over(processes: &[Process], arn: &str) {
    for step in 0..times(10_000, 20) {
        for Process { environment, .. } in processes {
            if on_cassandra() { environment.advance(HOUR_MS) } else { environment.pass(8_000) }
        }
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        if step % times(100, 1) == 0 {
            let closed = shards(&processes[0].db, arn).await.len() - OPEN;
            if closed >= ROLLOVERS * OPEN {
                return;
            }
            processes[0].environment.beat().await;
        }
    }
    panic!("the shards are not closed");
}

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
    let mut writers = Vec::new();
    for (number, process) in (0..).zip(&processes) {
        for writer in 0..2 {
            let seed = number * 2 + writer;
            writers.push(tokio::spawn(write(process.db.clone(), seed, Arc::clone(&over))));
        }
    }
    roll_over(&processes, &arn).await;
    over.store(true, Ordering::Relaxed);
    let mut writes = 0;
    for writer in writers {
        writes += writer.await.unwrap();
    }

    let mut counters: BTreeMap<String, u64> = BTreeMap::new();
    for record in read_all(&processes[0].db, &arn).await {
        let last = counters.entry(words(&record.keys)).or_default();
        assert_eq!(counter(&record), *last + 1, "{}", text(&record));
        *last += 1;
    }
    assert_eq!(counters.values().sum::<u64>(), writes);
}
