//! Items whose time is over go away, with all that follows from them, and no others do.

use std::sync::Arc;

use zenobe_database::Database;
use zenobe_model::AttributeValue;
use zenobe_model::operation::*;
use zenobe_storage::memory::{Call, FaultScript, MemoryEngine, MemoryOptions};
use zenobe_storage::{
    Commit, Engine, HashInterval, Key, Lane, Mutation, PageLimit, Read, RowPlace, ScanRead, SpaceId,
};

use super::support::*;

const NOW_S: u64 = START_MS / 1000;
const FIVE_YEARS_S: u64 = 5 * 365 * 86_400;

async fn names(db: &Database) -> Vec<String> {
    let items = scan(db, "Music", None).await.unwrap();
    let name = |item: String| {
        let word = item.split(' ').find(|word| word.starts_with("pk=")).unwrap();
        word[3..].to_owned()
    };
    let mut names: Vec<String> = items.into_iter().map(name).collect();
    names.sort();
    names
}

async fn expiry_space(engine: &Arc<dyn Engine>) -> SpaceId {
    engine.spaces().await.unwrap().last().copied().unwrap()
}

/// A read of all items of a space.
fn everything(space: SpaceId) -> ScanRead {
    ScanRead {
        space,
        lane: Lane::ITEM,
        interval: HashInterval::ALL,
        after: None,
        limit: PageLimit { rows: usize::MAX, bytes: usize::MAX },
    }
}

#[tokio::test]
async fn those_whose_second_is_over() {
    let engine = engine().await;
    let environment = TestEnvironment::new();
    let db = open_at(&engine, Arc::clone(&environment)).await;
    expiring_table(&db, create("Music", "pk:S", "H:pk")).await;
    let put_at = async |name: &str, t: String| {
        put_item(&db, "Music", expiring(&format!("pk={name}"), t)).await.unwrap();
    };
    put_at("past", (NOW_S - 1).to_string()).await;
    put_at("fraction", format!("{}.9", NOW_S - 1)).await;
    put_at("present", NOW_S.to_string()).await;
    put_at("future", (NOW_S + 3600).to_string()).await;
    put_at("milliseconds", START_MS.to_string()).await;
    put_at("five-years", (NOW_S - FIVE_YEARS_S).to_string()).await;
    put_at("older", (NOW_S - FIVE_YEARS_S - 1).to_string()).await;
    put_at("zero", "0".to_owned()).await;
    put_at("negative", "-1".to_owned()).await;
    put(&db, "Music", &format!("pk=text t={}", NOW_S - 1)).await.unwrap();
    put(&db, "Music", "pk=without").await.unwrap();
    // Until they are deleted, expired items are there.
    assert_eq!(names(&db).await.len(), 11);

    assert_eq!(db.delete_expired().await.unwrap(), 3);
    let left =
        ["future", "milliseconds", "negative", "older", "present", "text", "without", "zero"];
    assert_eq!(names(&db).await, left);
    assert_eq!(describe(&db, "Music").await.unwrap().item_count, left.len() as u64);

    environment.advance(1000);
    assert_eq!(db.delete_expired().await.unwrap(), 1);
    assert!(!names(&db).await.contains(&"present".to_owned()));
    environment.advance(3600 * 1000);
    assert_eq!(db.delete_expired().await.unwrap(), 1);
    assert_eq!(names(&db).await.len(), 6);
    assert_eq!(db.delete_expired().await.unwrap(), 0);
    let counted = db.figures();
    let deleted = counted.iter().find(|figure| figure.name == "expired_items_deleted_total");
    assert!((deleted.unwrap().value - 5.0).abs() < f64::EPSILON);
}

#[tokio::test]
async fn together_with_their_index_entries() {
    let engine = engine().await;
    let db = open(&engine).await;
    let mut request = create("Music", "pk:S sk:S a:S g:S", "H:pk R:sk");
    request.local_secondary_indexes = Some(vec![lsi("ByA", "H:pk R:a", "ALL")]);
    request.global_secondary_indexes = Some(vec![gsi("ByG", "H:g", "KEYS_ONLY")]);
    expiring_table(&db, request).await;
    // More than one batch, and several items in one collection.
    let item = |n: u64| expiring(&format!("pk={} sk={n} a=x g=y", n % 3), NOW_S - 1 - n);
    put_all(&db, "Music", (0..250).map(item)).await;
    put_item(&db, "Music", expiring("pk=0 sk=kept a=x g=y", NOW_S)).await.unwrap();
    assert_eq!(db.delete_expired().await.unwrap(), 250);
    for index in [None, Some("ByA"), Some("ByG")] {
        assert_eq!(scan(&db, "Music", index).await.unwrap().len(), 1, "{index:?}");
    }
    let table = describe(&db, "Music").await.unwrap();
    assert_eq!(table.item_count, 1);
    assert_eq!(table.global_secondary_indexes[0].item_count, 1);
    assert_eq!(table.local_secondary_indexes[0].item_count, 1);
    // Of the rows that count item collections that of the item which is left is left.
    let table_space = SpaceId(16);
    let collections = ScanRead { lane: Lane(254), ..everything(table_space) };
    assert_eq!(engine.scan(collections, Read::Strong).await.unwrap().rows.len(), 1);
}

#[tokio::test]
async fn an_update_that_moves_the_time_moves_the_entry() {
    let engine = engine().await;
    let environment = TestEnvironment::new();
    let db = open_at(&engine, Arc::clone(&environment)).await;
    expiring_table(&db, create("Music", "pk:S", "H:pk")).await;
    let space = expiry_space(&engine).await;
    let entries = async || expiry_entries(&engine, space).await;
    let entry = |second: u64| vec![(second, "1".to_owned())];

    put_item(&db, "Music", expiring("pk=1", NOW_S + 5)).await.unwrap();
    assert_eq!(entries().await, entry(NOW_S + 5));
    put_item(&db, "Music", expiring("pk=1 a=x", NOW_S + 5)).await.unwrap();
    assert_eq!(entries().await, entry(NOW_S + 5));
    put_item(&db, "Music", expiring("pk=1", NOW_S + 9)).await.unwrap();
    assert_eq!(entries().await, entry(NOW_S + 9));
    environment.advance(7000);
    assert_eq!(db.delete_expired().await.unwrap(), 0);
    put(&db, "Music", "pk=1 t=text").await.unwrap();
    assert_eq!(entries().await, []);
    put_item(&db, "Music", expiring("pk=1", NOW_S + 9)).await.unwrap();
    delete(&db, "Music", "pk=1").await.unwrap();
    assert_eq!(entries().await, []);
    // Earlier than what was looked through already.
    put_item(&db, "Music", expiring("pk=1", NOW_S - 100)).await.unwrap();
    assert_eq!(db.delete_expired().await.unwrap(), 1);
    assert_eq!(entries().await, []);
}

#[tokio::test]
async fn a_table_with_nothing_due_is_not_looked_at() {
    let faults = Arc::new(FaultScript::new());
    let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::new(MemoryOptions {
        faults: Some(faults.clone()),
        ..MemoryOptions::default()
    }));
    let environment = TestEnvironment::new();
    let db = open_at(&engine, Arc::clone(&environment)).await;
    expiring_table(&db, create("Music", "pk:S", "H:pk")).await;
    for pk in 0..1000 {
        let item = expiring(&format!("pk={pk}"), NOW_S + 100 + pk);
        put_item(&db, "Music", item).await.unwrap();
    }
    assert_eq!(db.delete_expired().await.unwrap(), 0);
    let reads = || {
        let calls = [Call::Get, Call::MultiGet, Call::Range, Call::Scan];
        calls.map(|call| faults.call_count(call))
    };
    let before = reads();
    for _ in 0..50 {
        environment.advance(1000);
        assert_eq!(db.delete_expired().await.unwrap(), 0);
    }
    assert_eq!(reads(), before);

    // Ten items are due: a page of each shard is read, and these items.
    environment.advance(60_000);
    assert_eq!(db.delete_expired().await.unwrap(), 10);
    let after = reads();
    assert_eq!(after[3], before[3], "the table was scanned");
    assert!(after[2] - before[2] <= 16, "{before:?} {after:?}");
}

#[tokio::test]
async fn one_item_in_the_way_does_not_hold_up_the_others() {
    let engine = engine().await;
    let db = open(&engine).await;
    expiring_table(&db, create("Music", "pk:S", "H:pk")).await;
    put_all(&db, "Music", (0..40).map(|pk| expiring(&format!("pk={pk}"), NOW_S - 1))).await;
    // Entries whose items are gone, as if somebody had been quicker.
    let space = expiry_space(&engine).await;
    let entries = expiry_entries(&engine, space).await;
    assert_eq!(entries.len(), 40);
    let table_space = SpaceId(16);
    let first =
        ScanRead { limit: PageLimit { rows: 3, bytes: usize::MAX }, ..everything(table_space) };
    let page = engine.scan(first, Read::Strong).await.unwrap();
    for (place, _) in page.rows {
        let RowPlace { partition, sort, .. } = place;
        let key = Key { space: table_space, partition, lane: Lane::ITEM, sort };
        let mutations = vec![Mutation { key, value: None }];
        engine.commit(Commit { mutations, ..Default::default() }).await.unwrap();
    }
    assert_eq!(db.delete_expired().await.unwrap(), 37);
    assert_eq!(names(&db).await, [""; 0]);
}

#[tokio::test]
async fn a_backlog_in_one_table_does_not_hold_up_another() {
    let db = open(&engine().await).await;
    let many = times(5000, 500);
    for (table, items) in [("A-large-one", many), ("Small", 1)] {
        expiring_table(&db, create(table, "pk:S", "H:pk")).await;
        let item = |pk| expiring(&format!("pk={pk}"), NOW_S - 1);
        put_all(&db, table, (0..items).map(item)).await;
    }
    let worker = tokio::spawn({
        let db = db.clone();
        async move { db.run_background().await }
    });
    while describe(&db, "Small").await.unwrap().item_count > 0 {
        tokio::task::yield_now().await;
    }
    assert!(describe(&db, "A-large-one").await.unwrap().item_count > many * 2 / 5);
    while describe(&db, "A-large-one").await.unwrap().item_count > 0 {
        tokio::task::yield_now().await;
    }
    worker.abort();
}

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % below
    }
}

async fn write(db: Database, seed: u64) {
    let mut numbers = Numbers(seed);
    for _ in 0..times(200, 50) {
        let pk = numbers.next(40);
        match numbers.next(5) {
            0 => delete(&db, "Music", &format!("pk={pk}")).await.unwrap(),
            1 => put(&db, "Music", &format!("pk={pk} other=x")).await.unwrap(),
            _ => {
                let item = expiring(&format!("pk={pk}"), NOW_S - 10 + numbers.next(20));
                put_item(&db, "Music", item).await.unwrap();
            }
        }
        tokio::task::yield_now().await;
    }
}

/// The index holds exactly what follows from the table, whenever writers and sweeps rest.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_the_threads_do() {
    let engine = engine().await;
    let db = open(&engine).await;
    create_table(&db, create("Music", "pk:S", "H:pk")).await.unwrap();
    for round in 0..times(6, 2) {
        let writers: Vec<_> =
            (0..4).map(|writer| tokio::spawn(write(db.clone(), round * 4 + writer))).collect();
        update_ttl(&db, "Music", true, "t").await.unwrap();
        db.run_background_until_idle().await.unwrap();
        while !writers.iter().all(tokio::task::JoinHandle::is_finished) {
            db.delete_expired().await.unwrap();
        }
        for writer in writers {
            writer.await.unwrap();
        }
        db.delete_expired().await.unwrap();
        until_derived(&engine).await;
        let space = expiry_space(&engine).await;
        assert_eq!(expiry_entries(&engine, space).await, expected_entries(&db).await);
        update_ttl(&db, "Music", false, "t").await.unwrap();
        db.run_background_until_idle().await.unwrap();
        assert_eq!(table_spaces(&engine).await, 1);
    }
}

/// What follows from the table; nothing in it has expired.
async fn expected_entries(db: &Database) -> Vec<(u64, String)> {
    let request = ScanRequest {
        options: ReadOptions { table_name: "Music".to_owned(), ..ReadOptions::default() },
        ..ScanRequest::default()
    };
    let items = match db.execute(Request::Scan(Box::new(request))).await.unwrap() {
        Response::Scan(response) => response.items.unwrap(),
        other => panic!("{other:?}"),
    };
    assert_eq!(describe(db, "Music").await.unwrap().item_count, items.len() as u64);
    let entry = |item: &zenobe_model::EncodedItem| {
        let item = item.to_item();
        let AttributeValue::S(pk) = &item["pk"] else { panic!("{item:?}") };
        let AttributeValue::N(t) = item.get("t")? else { return None };
        Some((t.to_u64().unwrap(), pk.clone()))
    };
    let mut entries: Vec<_> = items.iter().filter_map(entry).collect();
    assert!(entries.iter().all(|(second, _)| *second >= NOW_S));
    entries.sort();
    entries
}
