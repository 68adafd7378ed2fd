//! Figures are exact after a count that writers came into, wherever and whenever they did.

use std::collections::BTreeSet;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use zenobe_model::AttributeValue;
use zenobe_model::operation::*;
use zenobe_storage::memory::{MemoryEngine, MemoryOptions};
use zenobe_storage::*;

use super::*;
use crate::background::tests::{Still, definition, hash, one_step};
use crate::catalog::{Places, SizeChange};
use crate::{Database, DatabaseConfig};

/// So many that each count has several pages.
const ITEMS: u64 = 3_500;

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % below
    }
}

/// Where the calls of an engine wait.
struct Gate {
    is_closed: AtomicBool,
    pass: Semaphore,
}

impl Gate {
    const fn open() -> Self {
        Self { is_closed: AtomicBool::new(false), pass: Semaphore::const_new(0) }
    }

    fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
    }

    fn release(&self) {
        self.is_closed.store(false, Ordering::SeqCst);
        self.pass.add_permits(1);
    }

    async fn wait(&self) {
        if self.is_closed.load(Ordering::SeqCst) {
            self.pass.acquire().await.unwrap().forget();
        }
    }
}

/// An engine on which snapshots are as old as what was waited for to be durable, and on which one call
/// may be kept waiting when its work is done and its caller is not told yet.
struct Slow {
    engine: MemoryEngine,
    durable: Mutex<Option<Arc<dyn Snapshot>>>,
    after_commit: Gate,
    before_durable: Gate,
    after_scan: Gate,
    /// Whether the next scan fails.
    fails: AtomicBool,
}

impl Slow {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            engine: MemoryEngine::new(MemoryOptions::default()),
            durable: Mutex::default(),
            after_commit: Gate::open(),
            before_durable: Gate::open(),
            after_scan: Gate::open(),
            fails: AtomicBool::new(false),
        })
    }
}

macro_rules! passed_on {
    ($($name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        $(fn $name(&self, $($argument: $type),*) -> BoxFuture<'_, EngineResult<$result>> {
            self.engine.$name($($argument),*)
        })*
    };
}

impl Engine for Slow {
    fn capabilities(&self) -> Capabilities {
        self.engine.capabilities()
    }

    fn partition_hash(&self, partition: &[u8]) -> u64 {
        self.engine.partition_hash(partition)
    }

    fn health(&self) -> Health {
        self.engine.health()
    }

    fn figures(&self) -> Vec<Figure> {
        self.engine.figures()
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, EngineResult<Outcome>> {
        Box::pin(async move {
            let outcome = self.engine.commit(commit).await;
            self.after_commit.wait().await;
            outcome
        })
    }

    fn durable(&self, position: Position) -> BoxFuture<'_, EngineResult<()>> {
        Box::pin(async move {
            self.before_durable.wait().await;
            let now = self.engine.snapshot().await?;
            let mut durable = self.durable.lock();
            if durable.as_ref().is_none_or(|before| before.position() < position) {
                *durable = Some(now);
            }
            Ok(())
        })
    }

    fn snapshot(&self) -> BoxFuture<'_, EngineResult<Arc<dyn Snapshot>>> {
        let durable = self.durable.lock().clone();
        Box::pin(async move { Ok(durable.unwrap()) })
    }

    fn scan(&self, scan: ScanRead, read: Read) -> BoxFuture<'_, EngineResult<Page>> {
        Box::pin(async move {
            if self.fails.swap(false, Ordering::SeqCst) {
                return Err(EngineError::Unavailable("for this once".to_owned()));
            }
            let page = self.engine.scan(scan, read).await;
            self.after_scan.wait().await;
            page
        })
    }

    passed_on! {
        create_space(space: SpaceId) -> ();
        drop_space(space: SpaceId) -> ();
        spaces() -> Vec<SpaceId>;
        get(key: Key, read: Read) -> Option<Row>;
        multi_get(keys: Vec<Key>, read: Read) -> Vec<Option<Row>>;
        range(range: RangeRead, read: Read) -> Page;
        log_read(shard: ShardId, after: Option<LogCursor>, limit: PageLimit) -> LogPage;
        log_end(shard: ShardId) -> Position;
        log_cut(close: Vec<ShardId>, open: Vec<ShardId>) -> Position;
        log_trim(shard: ShardId, up_to: Position) -> ();
        checkpoint() -> ();
        space_stats(space: SpaceId) -> SpaceStats;
        close() -> ();
    }
}

async fn open(engine: &Arc<Slow>) -> Database {
    let engine = Arc::clone(engine);
    Database::open(engine, Arc::new(Still::default()), DatabaseConfig::default()).await.unwrap()
}

fn projection() -> Projection {
    Projection { projection_type: Some(ProjectionType::All), non_key_attributes: None }
}

fn by_g() -> GlobalSecondaryIndex {
    GlobalSecondaryIndex {
        index_name: "ByG".to_owned(),
        key_schema: hash("g"),
        projection: projection(),
        provisioned_throughput: None,
        on_demand_throughput: None,
        warm_throughput: None,
    }
}

/// Makes `Music` with a local index and perhaps a global one, and puts items into it.
async fn fill(db: &Database, global: bool) {
    let pair = |sort: &str| {
        let sort = KeySchemaElement { attribute_name: sort.to_owned(), key_type: KeyType::Range };
        [hash("pk"), vec![sort]].concat()
    };
    let attributes = if global { vec!["pk", "sk", "l", "g"] } else { vec!["pk", "sk", "l"] };
    let request = CreateTableRequest {
        table_name: "Music".to_owned(),
        attribute_definitions: Some(attributes.into_iter().map(definition).collect()),
        key_schema: Some(pair("sk")),
        local_secondary_indexes: Some(vec![LocalSecondaryIndex {
            index_name: "ByL".to_owned(),
            key_schema: pair("l"),
            projection: projection(),
        }]),
        global_secondary_indexes: global.then(|| vec![by_g()]),
        billing_mode: Some(BillingMode::PayPerRequest),
        ..CreateTableRequest::default()
    };
    db.execute(Request::CreateTable(Box::new(request))).await.unwrap();
    let mut numbers = Numbers(7);
    for number in 0..ITEMS {
        put(db, number, &mut numbers).await;
    }
    db.run_background_until_idle().await.unwrap();
}

/// The database after the one before was killed: all figures are to be counted again.
async fn restarted(engine: &Arc<Slow>) -> Database {
    let db = open(engine).await;
    assert!(db.inner.catalog.figures_lost);
    assert_eq!(one_step(&db).await, Step::Done);
    db
}

fn key(number: u64) -> Vec<(String, AttributeValue)> {
    let text = |name: &str, value: u64| (name.to_owned(), AttributeValue::S(value.to_string()));
    vec![text("pk", number / 4), text("sk", number % 4)]
}

/// Puts an item of any size into one index, both or none.
async fn put(db: &Database, number: u64, numbers: &mut Numbers) {
    let mut item = key(number);
    let mut text = |name: &str, value: String| {
        item.push((name.to_owned(), AttributeValue::S(value)));
    };
    let indexes = numbers.next(8);
    if indexes != 0 {
        text("g", numbers.next(1_000).to_string());
    }
    if indexes != 1 {
        text("l", numbers.next(1_000).to_string());
    }
    let length = numbers.next(60);
    text("filler", "x".repeat(usize::try_from(length).unwrap()));
    let request = PutItemRequest {
        table_name: "Music".to_owned(),
        item: Ok(item.into_iter().collect()),
        options: WriteOptions::default(),
    };
    db.execute(Request::PutItem(Box::new(request))).await.unwrap();
}

async fn delete(db: &Database, number: u64) {
    let request = DeleteItemRequest {
        table_name: "Music".to_owned(),
        key: Ok(key(number).into_iter().collect()),
        options: WriteOptions::default(),
    };
    db.execute(Request::DeleteItem(Box::new(request))).await.unwrap();
}

/// Puts new items, replaces others by smaller and larger ones, and deletes, all over the table.
async fn write(db: &Database, writes: u64, numbers: &mut Numbers) {
    for _ in 0..writes {
        let number = numbers.next(ITEMS + ITEMS / 4);
        match numbers.next(3) {
            0 => delete(db, number).await,
            _ => put(db, number, numbers).await,
        }
    }
}

/// The figures that a space really has.
async fn real(db: &Database, space: SpaceId, lane: Lane) -> (i64, i64) {
    let limit = PageLimit { rows: usize::MAX, bytes: usize::MAX };
    let scan = ScanRead { space, lane, interval: HashInterval::ALL, after: None, limit };
    let page = db.inner.engine.scan(scan, Read::Latest).await.unwrap();
    let size = |row: Row| EncodedItem::from_stored(row.value).unwrap().size_bytes();
    let sizes: Vec<usize> = page.rows.into_iter().map(|(_, row)| size(row)).collect();
    (i64::try_from(sizes.len()).unwrap(), i64::try_from(sizes.iter().sum::<usize>()).unwrap())
}

async fn assert_exact(db: &Database) {
    let table = db.inner.catalog.table("Music").unwrap();
    assert_eq!(table.counters.signed(), real(db, table.space, Lane::ITEM).await, "table");
    for index in &table.local_indexes {
        assert_eq!(index.counters.signed(), real(db, table.space, index.lane()).await, "ByL");
    }
    for index in &table.global_indexes {
        assert_eq!(index.counters.signed(), real(db, index.space, Lane::ITEM).await, "ByG");
    }
}

#[tokio::test]
async fn writers_write_on_both_sides_of_a_count() {
    let engine = Slow::new();
    fill(&open(&engine).await, true).await;
    let db = restarted(&engine).await;
    let (mut numbers, mut steps) = (Numbers(1), 0);
    write(&db, 200, &mut numbers).await;
    while one_step(&db).await == Step::Done {
        write(&db, 200, &mut numbers).await;
        steps += 1;
    }
    assert!(steps >= 9, "{steps} steps");
    assert_exact(&db).await;
    write(&db, 200, &mut numbers).await;
    assert_exact(&db).await;
}

#[tokio::test]
async fn writers_write_while_an_index_is_made_and_counted() {
    let engine = Slow::new();
    let db = open(&engine).await;
    fill(&db, false).await;
    let create = GlobalSecondaryIndexUpdate { create: Some(by_g()), ..Default::default() };
    let request = UpdateTableRequest {
        table_name: "Music".to_owned(),
        attribute_definitions: Some(vec![definition("g")]),
        global_secondary_index_updates: Some(vec![create]),
        ..UpdateTableRequest::default()
    };
    db.execute(Request::UpdateTable(Box::new(request))).await.unwrap();
    let mut numbers = Numbers(2);
    while one_step(&db).await == Step::Done {
        write(&db, 100, &mut numbers).await;
    }
    assert_exact(&db).await;
}

/// Polls until nothing more happens by itself.
async fn settle() {
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
}

/// The numbers of items in the order in which they are counted.
async fn in_order(db: &Database) -> Vec<u64> {
    let table = db.inner.catalog.table("Music").unwrap();
    let place = |number: u64| {
        let item: EncodedItem = key(number).into_iter().collect();
        let words = crate::key::ItemKeyWords::Named;
        let place = crate::key::place_of_item(&table, &item, words).unwrap();
        (ScanPlace::new(db.inner.engine.as_ref(), place), number)
    };
    let ordered: BTreeSet<_> = (0..ITEMS).map(place).collect();
    ordered.into_iter().map(|(_, number)| number).collect()
}

/// The page holds what its writer has not noted down.
#[tokio::test]
async fn a_page_that_sees_a_commit_waits_for_its_writer() {
    let engine = Slow::new();
    fill(&open(&engine).await, true).await;
    let db = restarted(&engine).await;
    let order = in_order(&db).await;
    // The first does not know of the count when it commits, the others do.
    for number in [order[100], order[1_100], order[2_100]] {
        engine.after_commit.close();
        let mut writer = pin!(delete(&db, number));
        assert!(as_far_as_it_goes(writer.as_mut()).await.is_none());
        engine.durable(Position(u64::MAX)).await.unwrap();
        let mut step = pin!(one_step(&db));
        assert!(as_far_as_it_goes(step.as_mut()).await.is_none());
        engine.after_commit.release();
        writer.await;
        assert_eq!(step.await, Step::Done);
    }
    db.run_background_until_idle().await.unwrap();
    assert_exact(&db).await;
}

/// The writer has noted down what no snapshot holds yet.
#[tokio::test]
async fn a_page_waits_until_what_was_noted_down_is_durable() {
    let engine = Slow::new();
    fill(&open(&engine).await, true).await;
    let db = restarted(&engine).await;
    let order = in_order(&db).await;
    assert_eq!(one_step(&db).await, Step::Done);
    engine.before_durable.close();
    let mut writer = pin!(delete(&db, order[1_500]));
    assert!(as_far_as_it_goes(writer.as_mut()).await.is_none());
    let mut step = pin!(one_step(&db));
    assert!(as_far_as_it_goes(step.as_mut()).await.is_none());
    engine.before_durable.release();
    engine.before_durable.release();
    writer.await;
    assert_eq!(step.await, Step::Done);
    db.run_background_until_idle().await.unwrap();
    assert_exact(&db).await;
}

/// What is written between the snapshot of a page and its end is behind it, within it or ahead of it.
#[tokio::test]
async fn writers_write_while_a_page_is_read() {
    let engine = Slow::new();
    fill(&open(&engine).await, true).await;
    let db = restarted(&engine).await;
    let mut numbers = Numbers(3);
    loop {
        engine.after_scan.close();
        let mut step = pin!(one_step(&db));
        if as_far_as_it_goes(step.as_mut()).await == Some(Step::Idle) {
            break;
        }
        write(&db, 200, &mut numbers).await;
        engine.after_scan.release();
        assert_eq!(step.await, Step::Done);
    }
    engine.after_scan.release();
    assert_exact(&db).await;
}

#[tokio::test]
async fn a_page_that_could_not_be_read_is_read_again() {
    let engine = Slow::new();
    fill(&open(&engine).await, true).await;
    let db = restarted(&engine).await;
    let mut numbers = Numbers(4);
    for _ in 0..3 {
        assert_eq!(one_step(&db).await, Step::Done);
        engine.fails.store(true, Ordering::SeqCst);
        db.run_background_until_idle().await.unwrap_err();
        write(&db, 200, &mut numbers).await;
    }
    db.run_background_until_idle().await.unwrap();
    assert_exact(&db).await;
}

/// Polls a future until it ends or nothing happens any more.
async fn as_far_as_it_goes<T>(future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    tokio::select! {
        biased;
        done = future => Some(done),
        () = settle() => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_on_other_threads() {
    let engine = Slow::new();
    fill(&open(&engine).await, true).await;
    for round in 0..3 {
        let db = restarted(&engine).await;
        let writers = (0..4).map(|writer| {
            let (db, mut numbers) = (db.clone(), Numbers(100 * round + writer));
            tokio::spawn(async move { write(&db, 1_000, &mut numbers).await })
        });
        let writers: Vec<_> = writers.collect();
        db.run_background_until_idle().await.unwrap();
        for writer in writers {
            writer.await.unwrap();
        }
        assert_exact(&db).await;
    }
}

/// Too many changes for the list of a page: the page is read again.
#[test]
fn a_page_that_too_much_is_written_meanwhile_is_not_counted() {
    let counters = Counters::default();
    counters.begin_count();
    let engine = MemoryEngine::new(MemoryOptions::default());
    let put = |position: u64| {
        let change = SizeChange { old_bytes: None, new_bytes: Some(10) };
        let place = RowPlace {
            partition: Bytes::copy_from_slice(&position.to_be_bytes()),
            sort: Bytes::new(),
        };
        let new = Some(ScanPlace::new(&engine, place));
        counters.record(change, Some(Position(position)), || Places { old: None, new });
    };
    let end = |read_at| {
        let page = CountedPage { read_at: Position(read_at), rows: Sum::default(), last: None };
        counters.end_page(page)
    };
    assert_eq!(counters.begin_page(), Position(0));
    for position in 1..=100_000 {
        put(position);
    }
    assert!(!end(0));
    assert_eq!(counters.begin_page(), Position(100_000));
    put(100_001);
    put(100_002);
    assert_eq!(counters.items(), 100_002);
    // The second of the two came after the snapshot; the rest is not in the page, so it is gone.
    assert!(end(100_001));
    assert_eq!(counters.signed(), (1, 10));
}
