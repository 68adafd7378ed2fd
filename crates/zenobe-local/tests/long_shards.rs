//! Shards that are longer than what one look at the log covers.

#![allow(clippy::unwrap_used, reason = "a failing test panics")]

use zenobe_local::{LocalEngine, LocalOptions};
use zenobe_storage::{Commit, Engine as _, LogCursor, LogRecord, Outcome, PageLimit, ShardId};

const COMMITS: u32 = 6000;
const RECORD_BYTES: usize = 2000;

fn payload(n: u32) -> bytes::Bytes {
    let mut bytes = vec![0; RECORD_BYTES];
    bytes.iter_mut().zip(n.to_le_bytes()).for_each(|(to, from)| *to = from);
    bytes.into()
}

/// Shard 0 gets every record of the others too; shard 3 gets one in a thousand.
async fn fill(engine: &LocalEngine) {
    let mut last = None;
    for n in 0..COMMITS {
        let mut shards = vec![0, 1 + u64::from(n % 2)];
        if n % 1000 == 7 {
            shards.push(3);
        }
        let record = |shard| LogRecord { shard: ShardId(shard), payload: payload(n) };
        let records = shards.into_iter().map(record).collect();
        let outcome = engine.commit(Commit { records, ..Commit::default() }).await.unwrap();
        let Outcome::Committed { position, .. } = outcome else { panic!("{outcome:?}") };
        last = Some(position);
    }
    engine.durable(last.unwrap()).await.unwrap();
}

async fn check(engine: &LocalEngine, shard: u64, rows: usize, expected: &[u32]) {
    let limit = PageLimit { rows, bytes: 1 << 40 };
    let mut found = Vec::new();
    let mut after: Option<LogCursor> = None;
    loop {
        let page = engine.log_read(ShardId(shard), after, limit).await.unwrap().records;
        let Some(last) = page.last() else { break };
        assert!(page.len() <= rows);
        after = Some(LogCursor { position: last.position, ordinal: last.ordinal });
        for record in page {
            assert_eq!(record.payload.len(), RECORD_BYTES);
            found.push(u32::from_le_bytes(*record.payload.first_chunk().unwrap()));
        }
    }
    assert_eq!(found, expected, "shard {shard} in pages of {rows}");
}

#[tokio::test]
async fn every_record_is_read_once_in_whatever_pages() {
    let directory = tempfile::tempdir().unwrap();
    let mut engine = LocalEngine::open(LocalOptions::new(directory.path())).unwrap();
    fill(&engine).await;
    let all: Vec<u32> = (0..COMMITS).collect();
    let of = |wanted: &dyn Fn(u32) -> bool| -> Vec<u32> {
        all.iter().copied().filter(|n| wanted(*n)).collect()
    };
    for reopened in [false, true] {
        if reopened {
            drop(engine);
            engine = LocalEngine::open(LocalOptions::new(directory.path())).unwrap();
        }
        for rows in [100, 1000, 100_000] {
            check(&engine, 0, rows, &all).await;
            check(&engine, 1, rows, &of(&|n| n % 2 == 0)).await;
            check(&engine, 2, rows, &of(&|n| n % 2 == 1)).await;
            check(&engine, 3, rows, &of(&|n| n % 1000 == 7)).await;
        }
    }
}
