//! Three nodes and three processes under faults: a node is killed and comes back, a node stands still for a while,
//! processes die in the middle of their work, and their clocks are two minutes apart. All the time writers count
//! up in a few rows; each change has a derived row and a record. In the end:
//!
//! - every acknowledged increment is there, none happened twice, and no read was older than what had been
//!   acknowledged before it began;
//! - the derived rows are those of the rows as they are, with their versions;
//! - the log has each change once, in order.
//!
//! And a partition half of whose rows are deleted while one of the replicas is away is read in small pages when only
//! that one and another are up.
//!
//! How long nobody was served after each fault is told, not asserted.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test code, outside the functions that the lint knows as such"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use scylla::statement::Consistency;
use scylla::statement::unprepared::Statement;
use support::{
    Cluster, Mortal, cluster_script, contact_points, figure, monotonic, now_ms, options, say,
};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use zenobe_storage::conformance::EngineFactory as _;
use zenobe_storage::{
    Commit, Direction, Engine, EngineError, Expect, HashInterval, Key, Lane, LogCursor, LogRecord,
    Mutation, Outcome, PageLimit, Position, Precondition, RangeRead, Read, Row, RowPlace, ScanRead,
    ShardId, SpaceId,
};

const ITEMS: SpaceId = SpaceId(3);
const ENTRIES: SpaceId = SpaceId(4);
/// Rows that are written, deleted and read at certain stages of the faults.
const STAGED: SpaceId = SpaceId(5);
const STAGED_ROWS: u64 = 40;
const STAGED_DELETED: u64 = 30;
/// The first ones all processes count up in, the others belong to one writer each.
const SHARED: u64 = 2;
const COUNTERS: u64 = SHARED + 3 * WRITERS;
const SHARDS: u64 = 4;
/// How many writers a process has.
const WRITERS: u64 = 3;
const PAGE: PageLimit = PageLimit { rows: 1000, bytes: 1 << 20 };
/// How long each stretch of the work is.
const CALM: Duration = Duration::from_secs(3);
const FAULT: Duration = Duration::from_secs(6);
/// How long a process may be without service before the test gives up.
const SERVED_MAX: Duration = Duration::from_secs(60);
/// How long it may take until everything that was left is finished: half a minute until a process counts as
/// dead, and then some hundred statements, of which a busy machine does a few in a second.
const FINISHED_MAX: Duration = Duration::from_secs(240);
/// From when on it is noted what is unfinished, and how often.
const NOTED_FROM: Duration = Duration::from_secs(210);
const NOTED_EVERY: Duration = Duration::from_secs(5);
/// How long a node may take to start, on a machine that has other things to do.
const NODES_UP_MAX: Duration = Duration::from_secs(240);

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn counter(index: u64) -> Key {
    let partition = bytes(&format!("c{index}"));
    Key { space: ITEMS, partition, lane: Lane::ITEM, sort: bytes("s") }
}

fn entry(index: u64, value: u64) -> Key {
    let partition = bytes(&format!("e{}", value % 5));
    let sort = bytes(&format!("c{index}/{value}"));
    Key { space: ENTRIES, partition, lane: Lane::ITEM, sort }
}

fn increment(index: u64, found: Option<&Row>, value: u64) -> Commit {
    let key = counter(index);
    let expect = found.map_or(Expect::Absent, |row| Expect::At(row.version));
    let shard = ShardId(index % SHARDS);
    let mut derived = vec![Mutation { key: entry(index, value), value: Some(bytes("x")) }];
    if value > 1 {
        derived.push(Mutation { key: entry(index, value - 1), value: None });
    }
    Commit {
        preconditions: vec![Precondition { key: key.clone(), expect }],
        mutations: vec![Mutation { key, value: Some(bytes(&value.to_string())) }],
        derived,
        records: vec![LogRecord { shard, payload: bytes(&format!("c{index} {value}")) }],
    }
}

/// What is known of one counter.
#[derive(Default)]
struct Known {
    acknowledged: BTreeSet<u64>,
    /// Sent, without an answer so far: how often each value.
    open: BTreeMap<u64, u64>,
}

/// What is known of all, and when what was acknowledged.
struct Oracle {
    counters: Vec<Mutex<Known>>,
    acknowledged: Mutex<Vec<(Instant, usize)>>,
    unavailable: AtomicU64,
    /// How long a writer waits between two increments.
    breath_ms: AtomicU64,
    ends: AtomicBool,
    panicked: AtomicBool,
}

/// Tells of a writer that panicked, which its runtime keeps for itself.
struct Witness(Arc<Oracle>);

impl Drop for Witness {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.panicked.store(true, Ordering::SeqCst);
        }
    }
}

impl Oracle {
    fn new() -> Self {
        Self {
            counters: (0..COUNTERS).map(|_| Mutex::default()).collect(),
            acknowledged: Mutex::default(),
            unavailable: AtomicU64::new(0),
            breath_ms: AtomicU64::new(5),
            ends: AtomicBool::new(false),
            panicked: AtomicBool::new(false),
        }
    }

    fn of(&self, index: u64) -> parking_lot::MutexGuard<'_, Known> {
        self.counters[usize::try_from(index).unwrap()].lock()
    }

    fn acknowledge(&self, index: u64, value: u64, engine: usize) {
        let mut known = self.of(index);
        assert!(known.acknowledged.insert(value), "c{index}: {value} was acknowledged twice");
        drop(known);
        self.acknowledged.lock().push((monotonic(), engine));
    }

    fn close(&self, index: u64, value: u64) {
        let mut known = self.of(index);
        let count = known.open.get_mut(&value).unwrap();
        *count -= 1;
        if *count == 0 {
            known.open.remove(&value);
        }
    }

    /// The longest time without an acknowledgement of each engine since `from`.
    fn pauses(&self, from: Instant) -> String {
        let acknowledged = self.acknowledged.lock();
        let mut said = String::new();
        for engine in 0..3 {
            let times = acknowledged.iter().filter(|(at, by)| *at >= from && *by == engine);
            let mut times: Vec<_> = times.map(|(at, _)| *at).collect();
            times.insert(0, from);
            let longest = times.windows(2).map(|pair| pair[1] - pair[0]).max();
            let (count, longest) = (times.len() - 1, longest.unwrap_or_default());
            write!(said, " {count} in all, {} ms at most without;", longest.as_millis()).unwrap();
        }
        said
    }

    fn count_since(&self, from: Instant, process: usize) -> usize {
        let acknowledged = self.acknowledged.lock();
        acknowledged.iter().filter(|(at, by)| *at >= from && *by == process).count()
    }
}

async fn read(engine: &dyn Engine, oracle: &Oracle, index: u64) -> Option<(Option<Row>, u64)> {
    let before = oracle.of(index).acknowledged.last().copied().unwrap_or(0);
    match engine.get(counter(index), Read::Strong).await {
        Ok(row) => {
            let value = row.as_ref().map_or(0, |row| text(&row.value).parse().unwrap());
            assert!(value >= before, "c{index}: read {value} after {before} was acknowledged");
            Some((row, value))
        }
        Err(EngineError::Unavailable(_) | EngineError::Overloaded(_)) => None,
        Err(error) => panic!("{error}"),
    }
}

/// Counts up until the end.
async fn work(engine: Arc<dyn Engine>, number: usize, oracle: Arc<Oracle>, writer: u64) {
    let _witness = Witness(Arc::clone(&oracle));
    let own = SHARED + u64::try_from(number).unwrap() * WRITERS + writer;
    for round in 0_u64.. {
        if oracle.ends.load(Ordering::SeqCst) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(oracle.breath_ms.load(Ordering::SeqCst))).await;
        let index = if round % 5 == 0 { round / 5 % SHARED } else { own };
        let Some((row, value)) = read(engine.as_ref(), &oracle, index).await else {
            oracle.unavailable.fetch_add(1, Ordering::SeqCst);
            continue;
        };
        let value = value + 1;
        *oracle.of(index).open.entry(value).or_default() += 1;
        match engine.commit(increment(index, row.as_ref(), value)).await {
            Ok(Outcome::Committed { .. }) => {
                oracle.acknowledge(index, value, number);
                oracle.close(index, value);
            }
            Ok(Outcome::Conflict { .. }) => oracle.close(index, value),
            Ok(Outcome::Unknown) => {}
            Ok(Outcome::Closed { .. }) => panic!("no shard was closed"),
            Err(EngineError::Unavailable(_) | EngineError::Overloaded(_)) => {
                oracle.unavailable.fetch_add(1, Ordering::SeqCst);
                oracle.close(index, value);
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Starts a process: an engine on a runtime of its own, with its writers.
fn start(keyspace: &str, number: usize, oracle: &Arc<Oracle>) -> Mortal {
    let mut options = options(keyspace);
    let minutes = [1, -1, 0][number];
    options.clock = Arc::new(move || now_ms().saturating_add_signed(minutes * 60_000));
    let process = Mortal::open(options);
    for writer in 0..WRITERS {
        let (engine, oracle) = (Arc::clone(&process.engine), Arc::clone(oracle));
        process.runtime.spawn(work(engine, number, oracle, writer));
    }
    process
}

/// Ends a process in the middle of whatever it does, and starts another one in its place.
fn replace(processes: &mut [Mortal], number: usize, keyspace: &str, oracle: &Arc<Oracle>) {
    let new = start(keyspace, number, oracle);
    std::mem::replace(&mut processes[number], new).die();
}

/// Waits until all nodes know of each other that they are up: the next fault is to be the only one.
async fn all_up(cluster: &Cluster, keyspace: &str) {
    let mut select = Statement::new(format!("SELECT * FROM {keyspace}.nodes WHERE id = 1"));
    select.set_consistency(Consistency::All);
    let until = monotonic() + NODES_UP_MAX;
    let mut in_a_row = 0;
    // The nodes take turns in answering.
    while in_a_row < 12 {
        match cluster.session().query_unpaged(select.clone(), ()).await {
            Ok(_) => in_a_row += 1,
            Err(error) => {
                assert!(monotonic() < until, "the nodes are not up: {error}");
                in_a_row = 0;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

fn staged(index: u64) -> Key {
    let sort = bytes(&format!("{index:03}"));
    Key { space: STAGED, partition: bytes("staged"), lane: Lane::ITEM, sort }
}

/// Commits until it is certain that the rows are there, or are not.
async fn stage_rows(engine: &dyn Engine, rows: std::ops::Range<u64>, value: Option<&str>) {
    let mutation = |index| Mutation { key: staged(index), value: value.map(bytes) };
    let commit = Commit { mutations: rows.map(mutation).collect(), ..Commit::default() };
    let until = monotonic() + SERVED_MAX;
    loop {
        match engine.commit(commit.clone()).await {
            Ok(Outcome::Committed { .. }) => return,
            other => assert!(monotonic() < until, "the rows are not staged: {other:?}"),
        }
    }
}

/// Compares the staged rows, read a few at a time, with those that should be left.
async fn check_staged(engine: &dyn Engine) {
    let limit = PageLimit { rows: 4, bytes: 1 << 20 };
    let mut from = Bound::Unbounded;
    let mut found = Vec::new();
    let until = monotonic() + SERVED_MAX;
    loop {
        let range = RangeRead {
            space: STAGED,
            partition: bytes("staged"),
            lane: Lane::ITEM,
            from: from.clone(),
            to: Bound::Unbounded,
            direction: Direction::Forward,
            limit,
        };
        match engine.range(range, Read::Strong).await {
            Ok(page) => {
                found.extend(page.rows.iter().map(|(place, _)| text(&place.sort)));
                match page.rows.last() {
                    Some((place, _)) if !page.end => from = Bound::Excluded(place.sort.clone()),
                    _ => break,
                }
            }
            Err(error) => assert!(monotonic() < until, "the rows are not read: {error}"),
        }
    }
    let expected = (STAGED_DELETED..STAGED_ROWS).map(|index| text(&staged(index).sort));
    assert_eq!(found, expected.collect::<Vec<_>>());
}

/// The faults, one after the other.
fn faults(cluster: &Cluster, keyspace: &str, processes: &mut [Mortal], oracle: &Arc<Oracle>) {
    let start_node = |node| {
        cluster_script("node", node);
        cluster.block_on(Box::pin(all_up(cluster, keyspace)));
    };
    let stage = |processes: &[Mortal], rows, value| {
        cluster.block_on(Box::pin(stage_rows(processes[1].engine.as_ref(), rows, value)));
    };
    stage(processes, 0..STAGED_ROWS, Some("x"));
    stretch("no fault", CALM, oracle);
    cluster_script("kill", 3);
    stretch("node 3 killed", FAULT, oracle);
    // A replica that was away hears of the last commit with the next round, not of those before.
    for index in 0..STAGED_DELETED {
        stage(processes, index..index + 1, None);
    }
    replace(processes, 0, keyspace, oracle);
    // A node starts slowly while others have all the processor.
    oracle.breath_ms.store(200, Ordering::SeqCst);
    start_node(3);
    oracle.breath_ms.store(5, Ordering::SeqCst);
    stretch("node 3 back", CALM, oracle);
    cluster_script("pause", 2);
    stretch("node 2 stands still", FAULT, oracle);
    replace(processes, 1, keyspace, oracle);
    cluster_script("resume", 2);
    cluster.block_on(Box::pin(all_up(cluster, keyspace)));
    stretch("node 2 goes on", CALM, oracle);
    cluster_script("kill", 1);
    cluster.block_on(Box::pin(check_staged(processes[1].engine.as_ref())));
    stretch("node 1 killed", FAULT, oracle);
    replace(processes, 2, keyspace, oracle);
    stretch("process 3 replaced", CALM, oracle);
}

/// Lets the work go on for a time, and for as long as it takes until every process has done some of it.
fn stretch(what: &str, time: Duration, oracle: &Oracle) {
    let from = monotonic();
    let every = || (0..3).all(|process| oracle.count_since(from, process) > 0);
    while from.elapsed() < time || !every() {
        assert!(from.elapsed() < SERVED_MAX, "{what}: nobody is served");
        std::thread::sleep(Duration::from_millis(100));
    }
    say(&format!("{what}: acknowledged by process{}\n", oracle.pauses(from)));
}

async fn log_of(engine: &dyn Engine, shard: ShardId) -> Vec<String> {
    let end = engine.log_end(shard).await.unwrap();
    let until = monotonic() + FINISHED_MAX;
    let mut after = LogCursor { position: Position(0), ordinal: 0 };
    let mut records = Vec::new();
    // What is under way for a reader at first is settled when it lasts.
    while after.position < end {
        assert!(monotonic() < until, "the log was not read to its end");
        let page = engine.log_read(shard, Some(after), PAGE).await.unwrap();
        if let Some(last) = page.records.last() {
            after = LogCursor { position: last.position, ordinal: last.ordinal };
        } else if page.reached > after.position {
            after = LogCursor { position: page.reached, ordinal: u32::MAX };
        } else {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        records.extend(page.records.iter().map(|record| text(&record.payload)));
    }
    records
}

async fn scan(engine: &dyn Engine, space: SpaceId) -> Vec<(RowPlace, Row)> {
    let mut scan =
        ScanRead { space, lane: Lane::ITEM, interval: HashInterval::ALL, after: None, limit: PAGE };
    let mut rows = Vec::new();
    loop {
        let page = engine.scan(scan.clone(), Read::Strong).await.unwrap();
        rows.extend(page.rows);
        if page.end {
            return rows;
        }
        scan.after = rows.last().map(|(place, _)| place.clone());
    }
}

async fn check(engine: &dyn Engine, oracle: &Oracle) {
    let mut expected_entries = BTreeSet::new();
    let mut expected_log: BTreeMap<String, u64> = BTreeMap::new();
    for index in 0..COUNTERS {
        let row = engine.get(counter(index), Read::Strong).await.unwrap().unwrap();
        let value: u64 = text(&row.value).parse().unwrap();
        let known = oracle.of(index);
        assert!(known.acknowledged.last() <= Some(&value), "c{index}: increments are lost");
        for each in 1..=value {
            let explained = known.acknowledged.contains(&each) || known.open.contains_key(&each);
            assert!(explained, "c{index}: nobody made the increment to {each}");
        }
        expected_entries.insert((format!("c{index}/{value}"), row.version));
        expected_log.insert(format!("c{index}"), value);
    }
    let entries = scan(engine, ENTRIES).await;
    let entries: BTreeSet<_> =
        entries.iter().map(|(place, row)| (text(&place.sort), row.version)).collect();
    assert_eq!(entries, expected_entries);
    let mut logged: BTreeMap<String, u64> = BTreeMap::new();
    for shard in 0..SHARDS {
        for record in log_of(engine, ShardId(shard)).await {
            let (name, value) = record.split_once(' ').unwrap();
            let count = logged.entry(name.to_owned()).or_default();
            *count += 1;
            assert_eq!(value, count.to_string(), "{name}: each change once, in order");
        }
    }
    assert_eq!(logged, expected_log);
}

/// An instance as stored, for who reads of a failure: instance, fenced, alive, last, taker.
type Stored = (Bytes, Option<bool>, Option<bool>, Option<i64>, Option<Bytes>);

async fn instances(cluster: &Cluster, keyspace: &str) -> Result<Vec<Stored>, String> {
    let columns = "instance, fenced, alive, last, taker";
    let select = format!("SELECT {columns} FROM {keyspace}.instances");
    let answer = cluster.session().query_unpaged(select, ()).await;
    let rows = answer.map_err(|error| error.to_string())?.into_rows_result().unwrap();
    Ok(rows.rows().unwrap().map(Result::unwrap).collect())
}

/// Waits until what dead processes left is finished, and says what the living ones counted.
async fn settle_down(cluster: &Cluster, keyspace: &str, engines: &[Arc<dyn Engine>]) {
    let begun = monotonic();
    // A claim comes and goes: one look would not tell.
    let (mut notes, mut noted) = (Vec::new(), NOTED_FROM);
    loop {
        let instances = instances(cluster, keyspace).await;
        let unfinished: u64 = engines
            .iter()
            .map(|engine| figure(engine.as_ref(), "cassandra_commits_unfinished"))
            .sum();
        let waited = monotonic() - begun;
        if instances.as_ref().is_ok_and(|all| all.len() <= engines.len()) && unfinished == 0 {
            say(&format!("what was left was finished after {} s\n", waited.as_secs()));
            return;
        }
        if waited >= noted {
            notes.push((waited, unfinished, instances));
            noted += NOTED_EVERY;
        }
        assert!(waited < FINISHED_MAX, "not finished (commits, instances): {notes:#?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[test]
fn nothing_is_lost_though_nodes_and_processes_die() {
    let cluster = Cluster::new();
    if contact_points().is_none_or(|points| points.len() < 3) {
        say("SKIPPED: tests of faults need three nodes: cluster/cluster run 3 cargo test …\n");
        return;
    }
    // What the processes complain of, and what they take over, tells why, should they not get through.
    tracing_subscriber::registry()
        .with(tracing_subscriber::fmt::layer().with_writer(std::io::stderr))
        .with(
            Targets::new()
                .with_default(tracing::Level::WARN)
                .with_target("zenobe_cassandra", tracing::Level::INFO),
        )
        .init();
    let name = "faults";
    let keyspace = cluster.keyspace(name);
    cluster.block_on(Box::pin(async {
        let engine = cluster.open(name).await;
        engine.create_space(ITEMS).await.unwrap();
        engine.create_space(ENTRIES).await.unwrap();
        engine.create_space(STAGED).await.unwrap();
        engine.close().await.unwrap();
    }));
    let oracle = Arc::new(Oracle::new());
    let mut processes: Vec<_> = (0..3).map(|number| start(&keyspace, number, &oracle)).collect();
    faults(&cluster, &keyspace, &mut processes, &oracle);
    oracle.ends.store(true, Ordering::SeqCst);
    assert!(!oracle.panicked.load(Ordering::SeqCst), "a writer found something wrong");
    let engines: Vec<_> = processes.iter().map(|process| Arc::clone(&process.engine)).collect();
    cluster.block_on(Box::pin(async {
        settle_down(&cluster, &keyspace, &engines).await;
        check(engines[0].as_ref(), &oracle).await;
        let sum = |name| engines.iter().map(|engine| figure(engine.as_ref(), name)).sum::<u64>();
        say(&format!(
            "{} increments, {} calls refused, {} commits settled, {} unknown, {} taken over\n",
            oracle.acknowledged.lock().len(),
            oracle.unavailable.load(Ordering::SeqCst),
            sum("cassandra_commits_settled_total"),
            sum("cassandra_commits_unknown_total"),
            sum("cassandra_taken_over_total"),
        ));
    }));
    for Mortal { runtime, engine } in processes {
        runtime.block_on(engine.close()).unwrap();
        drop(engine);
        runtime.shutdown_background();
    }
}
