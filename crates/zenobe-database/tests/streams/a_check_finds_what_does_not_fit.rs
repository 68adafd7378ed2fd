//! `check` finds records that cannot be read, that are not where they should be and that do not say what the items
//! are, and nothing where nothing is wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use tokio::task::JoinHandle;
use zenobe_database::Database;
use zenobe_database::check::StreamCheck;
use zenobe_model::operation::*;
use zenobe_storage::memory::{Call, FaultScript, MemoryEngine, MemoryOptions};
use zenobe_storage::{
    Commit, Engine, EngineError, HashInterval, Key, Lane, LogRecord, Mutation, Outcome, PageLimit,
    Read, ScanRead, ShardId, SpaceId,
};

use super::reading::*;
use super::support::*;

const VIEWS: [StreamViewType; 4] = [
    StreamViewType::KeysOnly,
    StreamViewType::NewImage,
    StreamViewType::OldImage,
    StreamViewType::NewAndOldImages,
];

async fn streams(db: &Database) -> Vec<StreamCheck> {
    db.check(|_, _| ()).await.unwrap().streams
}

/// The faults of the only stream.
async fn faults(db: &Database) -> Vec<String> {
    let [check] = &streams(db).await[..] else { panic!("not one stream") };
    assert_eq!(check.faults, check.named.len() as u64);
    assert_eq!(check.agrees(), check.faults == 0);
    check.named.clone()
}

/// Items that were put, replaced, deleted and put again, over a rollover of the shards.
async fn lived(engine: &Arc<dyn Engine>, view: StreamViewType) -> Database {
    let environment = TestEnvironment::new();
    let db = open_at(engine, environment.clone()).await;
    streamed(&db, "Music", view).await;
    for round in 0..2 {
        for sk in 0..10 {
            put(&db, "Music", &format!("pk={} sk={sk} x={round}", sk % 3)).await.unwrap();
        }
        for sk in 0..5 {
            delete(&db, "Music", &format!("pk={} sk={sk}", sk % 3)).await.unwrap();
        }
        put(&db, "Music", "pk=0 sk=0 x=again").await.unwrap();
        environment.advance(5 * HOUR_MS);
        db.maintain_streams().await.unwrap();
    }
    put(&db, "Music", "pk=0 sk=0 x=last").await.unwrap();
    db
}

async fn commit(engine: &Arc<dyn Engine>, commit: Commit) {
    let outcome = engine.commit(commit).await.unwrap();
    assert!(matches!(outcome, Outcome::Committed { .. }));
}

async fn append(engine: &Arc<dyn Engine>, shard: ShardId, payload: Bytes) {
    let records = vec![LogRecord { shard, payload }];
    commit(engine, Commit { records, ..Commit::default() }).await;
}

/// The items of the first table.
async fn items(engine: &Arc<dyn Engine>) -> Vec<(Key, Bytes)> {
    let space = SpaceId(16);
    let limit = PageLimit { rows: 100, bytes: 1 << 20 };
    let (lane, interval) = (Lane::ITEM, HashInterval::ALL);
    let scan = ScanRead { space, lane, interval, after: None, limit };
    let rows = engine.scan(scan, Read::Strong).await.unwrap().rows.into_iter();
    let key = |place: zenobe_storage::RowPlace| Key {
        space,
        partition: place.partition,
        lane,
        sort: place.sort,
    };
    rows.map(|(place, row)| (key(place), row.value)).collect()
}

/// The shards of the only stream that have records, in order.
async fn logs(engine: &Arc<dyn Engine>, db: &Database) -> Vec<ShardId> {
    let arn = describe(db, "Music").await.unwrap().latest_stream_arn.unwrap();
    let all = engine.log_shards().await.unwrap();
    let mut logs = Vec::new();
    for shard in shards(db, &arn).await {
        // A shard's name ends with half of its number.
        let is_it = |log: &&ShardId| shard.shard_id.ends_with(&format!("{:016x}", log.0)[8..]);
        logs.extend(all.iter().find(is_it).copied());
    }
    logs
}

#[tokio::test]
async fn nothing_where_nothing_is_wrong() {
    for view in VIEWS {
        let engine = engine().await;
        let db = lived(&engine, view).await;
        let checks = db.check(|_, _| ()).await.unwrap();
        let [check] = &checks.streams[..] else { panic!("{checks:?}") };
        assert!(checks.agree(), "{checks}");
        // Of the second round: what was the same makes no record.
        assert_eq!((check.records, check.items), (33, 10), "{checks}");
        // Disabled, changed without records, and a stream anew.
        update_table(&db, set_stream("Music", None)).await.unwrap();
        put(&db, "Music", "pk=0 sk=0 x=beside").await.unwrap();
        update_table(&db, set_stream("Music", Some(view))).await.unwrap();
        put(&db, "Music", "pk=1 sk=1 x=new").await.unwrap();
        let items: Vec<u64> = streams(&db).await.iter().map(|check| check.items).collect();
        assert_eq!(items, [0, 1]);
        delete_table(&db, "Music").await.unwrap();
        assert!(db.check(|_, _| ()).await.unwrap().agree());
    }
}

#[tokio::test]
async fn items_that_are_not_what_their_records_say() {
    for view in VIEWS {
        let engine = engine().await;
        let db = lived(&engine, view).await;
        let all = items(&engine).await;
        let set = async |at: usize, value: Option<Bytes>| {
            let mutations = vec![Mutation { key: all[at].0.clone(), value }];
            commit(&engine, Commit { mutations, ..Commit::default() }).await;
        };
        set(0, None).await;
        set(1, Some(all[2].1.clone())).await;
        let found = faults(&db).await;
        let has_new = matches!(view, StreamViewType::NewImage | StreamViewType::NewAndOldImages);
        assert_eq!(found.len(), if has_new { 2 } else { 1 }, "{view:?}: {found:?}");
        assert!(found.iter().all(|fault| fault.starts_with("the item is not")), "{found:?}");
    }
}

#[tokio::test]
async fn records_that_cannot_be_read_or_are_out_of_place() {
    let faults_of_calls = Arc::new(FaultScript::new());
    let memory = Arc::new(MemoryEngine::new(MemoryOptions {
        faults: Some(faults_of_calls.clone()),
        ..MemoryOptions::default()
    }));
    let engine: Arc<dyn Engine> = memory.clone();
    let db = lived(&engine, StreamViewType::KeysOnly).await;
    let logs = logs(&engine, &db).await;
    let (first, last) = (logs[0], logs[logs.len() - 1]);
    assert!(faults(&db).await.is_empty());

    // Until it goes on a reader does not reach the end; nothing is said of what may be behind.
    let end = engine.log_end(last).await.unwrap();
    memory.hold_log(last, Some(end));
    let found = faults(&db).await;
    assert!(found.len() == 1 && found[0].contains("has something unfinished"), "{found:?}");
    memory.hold_log(last, None);

    append(&engine, last, Bytes::from_static(b"no record")).await;
    append(&engine, last, Bytes::new()).await;
    let found = faults(&db).await;
    assert!(
        found.len() == 2 && found.iter().all(|fault| fault.ends_with("does not decode")),
        "{found:?}"
    );
    // Behind the end of a closed shard.
    append(&engine, first, Bytes::new()).await;
    let found = faults(&db).await;
    assert!(found.len() == 4 && found[0].ends_with("is outside of it"), "{found:?}");

    // The end of the first shard is looked up, then its first page is read.
    faults_of_calls.reset();
    faults_of_calls.at_call(Call::LogRead, 1, EngineError::Corrupt("a frame".to_owned()));
    let found = faults(&db).await;
    assert!(found[0].contains("cannot be read") && found[0].contains("a frame"), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_while_others_write() {
    let environment = TestEnvironment::new();
    let engine = engine().await;
    let db = open_at(&engine, environment.clone()).await;
    streamed(&db, "Music", StreamViewType::NewAndOldImages).await;
    let (stop, begun) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut writers = Vec::new();
    for writer in 0..3_u64 {
        let (db, stop, begun) = (db.clone(), stop.clone(), begun.clone());
        writers.push(tokio::spawn(async move {
            for number in 0_u64.. {
                let key = format!("pk={} sk={}", number % 3, number % 5);
                match number % 4 {
                    0 => delete(&db, "Music", &key).await.unwrap(),
                    _ => put(&db, "Music", &format!("{key} x={writer}-{number}")).await.unwrap(),
                }
                if number == 1 {
                    begun.fetch_add(1, Ordering::Relaxed);
                }
                if stop.load(Ordering::Relaxed) {
                    return number;
                }
                tokio::task::yield_now().await;
            }
            unreachable!()
        }));
    }
    let (mut compared, mut checked) = (0, 0);
    // On a busy machine so many checks may be over before all have written.
    while checked < times(30, 4)
        || (begun.load(Ordering::Relaxed) < 3 && !writers.iter().any(JoinHandle::is_finished))
    {
        checked += 1;
        let checks = db.check(|_, _| ()).await.unwrap();
        assert!(checks.agree(), "{checks}");
        compared += checks.streams[0].items;
        environment.advance(5 * HOUR_MS);
        db.maintain_streams().await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        assert!(writer.await.unwrap() > 0);
    }
    assert!(compared > 0);
    assert!(db.check(|_, _| ()).await.unwrap().agree());
}
