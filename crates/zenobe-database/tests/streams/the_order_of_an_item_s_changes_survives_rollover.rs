//! Writers on many threads while shards are closed and opened under them: each item's changes are in
//! the stream exactly once and in order, over the lineage of shards.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use zenobe_model::operation::*;

use super::reading::*;
use super::support::*;

const WRITERS: u64 = 8;
const WRITES: u64 = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn exactly_once_and_in_order() {
    let environment = TestEnvironment::new();
    let db = open_at(&engine().await, environment.clone()).await;
    let arn = streamed(&db, "Music", StreamViewType::NewImage).await;
    let over = Arc::new(AtomicBool::new(false));
    let roller = tokio::spawn({
        let (db, over) = (db.clone(), Arc::clone(&over));
        async move {
            let mut rollovers = 0;
            // No more than fit into the retention.
            while !over.load(Ordering::Relaxed) && rollovers < 20 {
                // What a clock would do, faster.
                environment.advance(HOUR_MS * 4 / times(16, 4));
                db.maintain_streams().await.unwrap();
                rollovers += 1;
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
            }
        }
    });
    let writes = times(WRITES, 60);
    let writers: Vec<_> =
        (0..WRITERS).map(|n| tokio::spawn(count_up(db.clone(), n, writes))).collect();
    for writer in writers {
        writer.await.unwrap();
    }
    over.store(true, Ordering::Relaxed);
    roller.await.unwrap();

    let mut counters: BTreeMap<String, u64> = BTreeMap::new();
    for record in read_all(&db, &arn).await {
        let last = counters.entry(words(&record.keys)).or_default();
        assert_eq!(counter(&record), *last + 1, "{}", text(&record));
        *last += 1;
    }
    assert_eq!(counters.values().sum::<u64>(), WRITERS * writes);
    assert!(shards(&db, &arn).await.len() >= 8, "no shard was closed meanwhile");
}
