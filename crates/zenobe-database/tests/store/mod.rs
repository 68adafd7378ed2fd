//! What the databases of the tests stand on: the in-memory engine, or, where `ZENOBE_CASSANDRA` names a cluster,
//! engines on that (`crates/zenobe-cassandra/cluster/cluster` starts one). A test asks [`Store`] for its engine and
//! runs on both. These are always on the in-memory engine, for they are about what only that does:
//!
//! - calls of the engine that go wrong: each `every_fault_is_survived`, histories `while_commits_go_wrong`,
//!   `it_survives_restarts_and_goes_with_its_table`, `a_commit_that_comes_too_late_is_made_good`;
//! - calls of the engine that are counted: `a_table_with_nothing_due_is_not_looked_at`, `one_read_and_one_commit`;
//! - what the test itself relays, holds back or limits: `derived_entries_follow_their_items`,
//!   `records_that_cannot_be_read_or_are_out_of_place`, `what_is_too_large_for_one_commit_is_made_all_the_same`,
//!   `a_shard_is_not_at_its_end_while_something_in_it_is_unfinished`;
//! - shards that a crash brought back: `what_a_crash_brought_back_is_forgotten_on_opening`.
//!
//! On Cassandra all tests of a binary share one keyspace, one after the other: it is emptied for each store, because
//! making one takes seconds. Rounds and items are fewer there ([`times`]).

#![allow(
    dead_code,
    clippy::disallowed_methods,
    reason = "each binary uses a part; the clock of an engine on a real cluster is the real one"
)]

mod environment;

use std::cell::RefCell;
use std::future::pending;
use std::sync::{Arc, LazyLock, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{Mutex, MutexGuard};
use zenobe_cassandra::{CassandraEngine, CassandraOptions, Replication};
use zenobe_database::{Database, DatabaseConfig, OpenError};
use zenobe_storage::memory::{MemoryEngine, MemoryOptions};
use zenobe_storage::{
    Commit, Engine, HashInterval, Key, Lane, Mutation, Outcome, PageLimit, Read, RowPlace,
    ScanRead, SpaceId,
};

#[allow(unused_imports, reason = "each binary uses a part")]
pub(crate) use self::environment::{START_MS, TestEnvironment};

/// Where the cluster is, if the tests are to run on one.
static CONTACT_POINTS: LazyLock<Option<Vec<String>>> = LazyLock::new(|| {
    let given = std::env::var("ZENOBE_CASSANDRA").ok().filter(|given| !given.is_empty())?;
    Some(given.split(',').map(str::to_owned).collect())
});

/// The keyspace of this binary. It stays; `cluster run` removes its nodes anyway.
static KEYSPACE: LazyLock<String> =
    LazyLock::new(|| format!("zd_{}_{}", real_ms(), std::process::id()));

/// What a call may take, and how often a process tries to begin: a machine that does other things, too, may keep a
/// cluster from answering for seconds.
const CALL_BUDGET: Duration = Duration::from_secs(60);
const OPEN_TRIES: usize = 5;

/// The first space of a table; those before it are the database's own, and it has items in them only.
pub(crate) const FIRST_OF_TABLES: SpaceId = SpaceId(16);

/// Whether the tests run on Cassandra.
pub(crate) fn on_cassandra() -> bool {
    CONTACT_POINTS.is_some()
}

/// How many rounds, items and the like a test makes: a call takes a hundred times as long on Cassandra.
pub(crate) fn times<T>(in_memory: T, cassandra: T) -> T {
    if on_cassandra() { cassandra } else { in_memory }
}

/// Whether commits may span partitions: both, where the engine leaves the choice.
pub(crate) fn reaches() -> &'static [bool] {
    if on_cassandra() { &[false] } else { &[true, false] }
}

/// An empty store, for any number of processes.
pub(crate) enum Store {
    Memory(Arc<MemoryEngine>),
    Cassandra,
}

impl Store {
    /// A store in memory with these options, or on Cassandra. The one before is no more.
    pub(crate) async fn new(options: MemoryOptions) -> Self {
        if !on_cassandra() {
            return Self::Memory(Arc::new(MemoryEngine::new(options)));
        }
        take_turn().await;
        let engine = cassandra_engine(0).await;
        for space in engine.spaces().await.unwrap() {
            // Dropping is slow, and the database makes its own spaces again at once.
            if space < FIRST_OF_TABLES {
                empty(engine.as_ref(), space).await;
            } else {
                engine.drop_space(space).await.unwrap();
            }
        }
        engine.close().await.unwrap();
        Self::Cassandra
    }

    /// The engine of a process: in memory all have the same one.
    pub(crate) async fn engine(&self) -> Arc<dyn Engine> {
        self.engine_ahead(0).await
    }

    /// The engine of a process whose clock is ahead.
    pub(crate) async fn engine_ahead(&self, ahead_ms: u64) -> Arc<dyn Engine> {
        match self {
            Self::Memory(engine) => Arc::clone(engine) as _,
            Self::Cassandra => cassandra_engine(ahead_ms).await,
        }
    }
}

/// Deletes the items of a space.
async fn empty(engine: &dyn Engine, space: SpaceId) {
    loop {
        let limit = PageLimit { rows: 1_000, bytes: 1 << 20 };
        let (lane, interval) = (Lane::ITEM, HashInterval::ALL);
        let scan = ScanRead { space, lane, interval, after: None, limit };
        let page = engine.scan(scan, Read::Strong).await.unwrap();
        let places = page.rows.into_iter().map(|(place, _)| place).collect::<Vec<_>>();
        for partition in places.chunk_by(|one, other| one.partition == other.partition) {
            let deletion = |place: &RowPlace| {
                let (partition, sort) = (place.partition.clone(), place.sort.clone());
                Mutation { key: Key { space, partition, lane, sort }, value: None }
            };
            let mutations = partition.iter().map(deletion).collect();
            let outcome = engine.commit(Commit { mutations, ..Commit::default() }).await.unwrap();
            assert!(matches!(outcome, Outcome::Committed { .. }), "{outcome:?}");
        }
        if page.end {
            return;
        }
    }
}

async fn cassandra_engine(ahead_ms: u64) -> Arc<dyn Engine> {
    let points = CONTACT_POINTS.clone().unwrap();
    // Cassandra compares what the engine writes with its own time: not the time of the test.
    let clock = Arc::new(move || real_ms() + ahead_ms);
    let mut options = CassandraOptions::new(points, KEYSPACE.clone(), clock);
    options.replication = Replication::EachDatacenter(1);
    options.call_budget = CALL_BUDGET;
    let mut opened = CassandraEngine::open(options.clone()).await;
    for _ in 1..OPEN_TRIES {
        if opened.is_err() {
            opened = CassandraEngine::open(options.clone()).await;
        }
    }
    Arc::new(opened.unwrap())
}

fn real_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

/// Waits until no other test uses the keyspace. It is this test's until its runtime ends, and with that all of its
/// tasks.
async fn take_turn() {
    static TURN: Mutex<()> = Mutex::const_new(());
    thread_local! {
        static MINE: RefCell<Weak<MutexGuard<'static, ()>>> = const { RefCell::new(Weak::new()) };
    }
    if MINE.with_borrow(Weak::strong_count) > 0 {
        return;
    }
    let turn = Arc::new(TURN.lock().await);
    MINE.set(Arc::downgrade(&turn));
    tokio::spawn(async move {
        let _turn = turn;
        pending::<()>().await;
    });
}

/// Opens a database: a process begins.
pub(crate) async fn begin(
    engine: &Arc<dyn Engine>,
    environment: &Arc<TestEnvironment>,
    config: DatabaseConfig,
) -> Result<Database, OpenError> {
    if is_cassandra(engine) {
        environment.set_on_cassandra();
    }
    Database::open(Arc::clone(engine), Arc::clone(environment) as _, config).await
}

/// Ends a process, without saving its figures. It takes leave of others that the store may have: by their watches,
/// which stand still, it would never be dead.
pub(crate) async fn end(db: Database) {
    db.leave().await.unwrap();
}

fn is_cassandra(engine: &Arc<dyn Engine>) -> bool {
    engine.figures().iter().any(|figure| figure.name.starts_with("cassandra_"))
}

/// Waits until the rows that follow from commits are all there: they are when a write is answered, unless that
/// took long.
pub(crate) async fn until_derived(engine: &Arc<dyn Engine>) {
    let unfinished = || {
        let figures = engine.figures();
        figures
            .iter()
            .any(|figure| figure.name == "cassandra_commits_unfinished" && figure.value > 0.0)
    };
    while unfinished() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
