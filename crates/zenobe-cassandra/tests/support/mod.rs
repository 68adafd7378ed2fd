//! The cluster that tests run on: given by `ZENOBE_CASSANDRA` (contact points, with commas between them), or
//! none, and then the tests say so and do nothing. `cluster/cluster run 1 cargo test …` starts one.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "each test file uses a part; a test fails by panicking and may look at the clock"
)]

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Once};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use tokio::runtime::Runtime;
use zenobe_cassandra::{CassandraEngine, CassandraOptions, Replication};
use zenobe_storage::conformance::EngineFactory;
use zenobe_storage::{BoxFuture, Engine, Figure, SpaceId};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
});
/// How long another process may take to find out that one is dead, and to do its work.
const TAKEN_OVER_MAX: Duration = Duration::from_secs(60);
/// One test at a time: a small cluster suffers from many keyspaces at once.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Where the cluster is.
pub(crate) fn contact_points() -> Option<Vec<String>> {
    static SAID: Once = Once::new();
    let given = std::env::var("ZENOBE_CASSANDRA").ok().filter(|given| !given.is_empty());
    if given.is_none() {
        let text = "SKIPPED: tests on Cassandra need a cluster; see crates/zenobe-cassandra/cluster/cluster\n";
        // Not captured by the test harness: a skipped test must be seen.
        SAID.call_once(|| std::io::stderr().write_all(text.as_bytes()).unwrap());
    }
    given.map(|given| given.split(',').map(str::to_owned).collect())
}

pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

/// The name of a keyspace that no other test has, now or in an earlier run.
fn any_keyspace() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("zt_{}_{}_{count}", now_ms(), std::process::id())
}

pub(crate) fn options(keyspace: &str) -> CassandraOptions {
    let points = contact_points().unwrap();
    let mut options = CassandraOptions::new(points.clone(), keyspace.to_owned(), Arc::new(now_ms));
    let replicas = u32::try_from(points.len()).unwrap().min(3);
    options.replication = Replication::EachDatacenter(replicas);
    options
}

/// A cluster for one test; its keyspaces are dropped at the end.
pub(crate) struct Cluster {
    session: Option<Session>,
    /// All stores of this process use one keyspace, which is emptied for each: making one takes seconds.
    shared: bool,
    keyspaces: Mutex<Vec<(String, String)>>,
    _turn: tokio::sync::MutexGuard<'static, ()>,
}

/// The shared keyspace, made when it is first needed. It stays; `cluster run` removes its nodes anyway.
static SHARED: LazyLock<String> = LazyLock::new(any_keyspace);

impl Cluster {
    /// A keyspace of its own for each store.
    pub(crate) fn new() -> Self {
        Self::connect(false)
    }

    /// One keyspace for all stores, one after the other.
    pub(crate) fn shared() -> Self {
        Self::connect(true)
    }

    fn connect(shared: bool) -> Self {
        let turn = TURN.blocking_lock();
        let session = contact_points().map(|points| {
            let connecting = async { SessionBuilder::new().known_nodes(points).build().await };
            RUNTIME.block_on(connecting).unwrap()
        });
        Self { session, shared, keyspaces: Mutex::default(), _turn: turn }
    }

    /// A connection beside the engine's.
    pub(crate) fn session(&self) -> &Session {
        self.session.as_ref().unwrap()
    }

    /// The keyspace of the store with this name.
    pub(crate) fn keyspace(&self, name: &str) -> String {
        let mut keyspaces = self.keyspaces.lock();
        if let Some((_, keyspace)) = keyspaces.iter().find(|(known, _)| known == name) {
            return keyspace.clone();
        }
        let keyspace = if self.shared { SHARED.clone() } else { any_keyspace() };
        keyspaces.push((name.to_owned(), keyspace.clone()));
        keyspace
    }

    /// Drops the keyspaces of other stores: the suite does not come back to them.
    async fn drop_others(&self, name: Option<&str>) {
        let others: Vec<_> = {
            let mut keyspaces = self.keyspaces.lock();
            let (kept, others) =
                keyspaces.drain(..).partition(|(known, _)| Some(known.as_str()) == name);
            *keyspaces = kept;
            others
        };
        for (_, keyspace) in others.into_iter().filter(|_| !self.shared) {
            let drop = format!("DROP KEYSPACE IF EXISTS {keyspace}");
            let dropped = self.session().query_unpaged(drop, ()).await;
            assert!(dropped.is_ok() || std::thread::panicking(), "{dropped:?}");
        }
    }

    /// Empties a keyspace that an earlier store used.
    async fn empty(&self, keyspace: &str) {
        let engine = self.open_with(options(keyspace)).await;
        for space in engine.spaces().await.unwrap() {
            engine.drop_space(space).await.unwrap();
        }
        engine.close().await.unwrap();
        let session = self.session();
        let shards = format!("SELECT DISTINCT shard FROM {keyspace}.log");
        let shards = session.query_unpaged(shards, ()).await.unwrap().into_rows_result().unwrap();
        for shard in shards.rows::<(i64,)>().unwrap() {
            let (shard,) = shard.unwrap();
            let delete = format!("DELETE FROM {keyspace}.log WHERE shard = {shard}");
            session.query_unpaged(delete, ()).await.unwrap();
        }
    }

    pub(crate) async fn open_with(&self, options: CassandraOptions) -> Arc<dyn Engine> {
        Arc::new(CassandraEngine::open(options).await.unwrap())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.session.is_some() {
            RUNTIME.block_on(self.drop_others(None));
        }
    }
}

impl EngineFactory for Cluster {
    fn open<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Arc<dyn Engine>> {
        Box::pin(async move {
            self.drop_others(Some(name)).await;
            let new = self.keyspaces.lock().is_empty();
            let keyspace = self.keyspace(name);
            if new && self.shared {
                self.empty(&keyspace).await;
            }
            self.open_with(options(&keyspace)).await
        })
    }

    fn keeps_data(&self) -> bool {
        true
    }

    fn block_on(&self, future: BoxFuture<'_, ()>) {
        if self.session.is_some() {
            RUNTIME.block_on(future);
        }
    }
}

/// The figures that grew between two readings, without those that did not.
pub(crate) fn grown(before: &[Figure], after: &[Figure]) -> BTreeSet<(&'static str, u64)> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small whole numbers"
    )]
    let difference =
        |(before, after): (&Figure, &Figure)| (after.name, (after.value - before.value) as u64);
    before.iter().zip(after).map(difference).filter(|(_, count)| *count > 0).collect()
}

/// One figure of an engine, a whole number.
pub(crate) fn figure(engine: &dyn Engine, name: &str) -> u64 {
    let figure = engine.figures().into_iter().find(|figure| figure.name == name);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small whole numbers"
    )]
    let value = figure.unwrap().value as u64;
    value
}

/// The clock by which a test gives up.
pub(crate) fn monotonic() -> Instant {
    Instant::now()
}

/// Waits until an engine has taken over from so many processes that died.
pub(crate) async fn taken_over(engine: &dyn Engine, count: u64) {
    let until = monotonic() + TAKEN_OVER_MAX;
    while figure(engine, "cassandra_taken_over_total") < count {
        assert!(monotonic() < until, "nobody took over");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The columns `space` and `incarnation` of a space of a store.
pub(crate) async fn registered(cluster: &Cluster, name: &str, space: SpaceId) -> (i64, i64) {
    let keyspace = cluster.keyspace(name);
    let ordered = (space.0 ^ (1 << 63)).cast_signed();
    let select = format!(
        "SELECT incarnation FROM {keyspace}.spaces WHERE registry = 0 AND space = {ordered}"
    );
    let rows = cluster.session().query_unpaged(select, ()).await.unwrap();
    let (incarnation,) = rows.into_rows_result().unwrap().single_row::<(i64,)>().unwrap();
    (ordered, incarnation)
}

/// The table of a space of a store.
pub(crate) async fn space_table(cluster: &Cluster, name: &str, space: SpaceId) -> String {
    let (keyspace, (_, incarnation)) =
        (cluster.keyspace(name), registered(cluster, name, space).await);
    format!("{keyspace}.s{:016x}_{incarnation:016x}", space.0)
}

/// Tells a figure, past the test harness, which shows nothing of tests that pass.
pub(crate) fn say(text: &str) {
    std::io::stderr().write_all(text.as_bytes()).unwrap();
}

/// Tells the script that started the cluster to do something to one of its nodes.
pub(crate) fn cluster_script(command: &str, node: u8) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/cluster/cluster");
    let status = Command::new(script).args([command, &node.to_string()]).status().unwrap();
    assert!(status.success(), "{command} {node}");
}

/// An engine on a runtime of its own, which can end at any moment.
pub(crate) struct Mortal {
    pub(crate) runtime: Runtime,
    pub(crate) engine: Arc<dyn Engine>,
}

impl Mortal {
    /// Opens it. Not within another runtime.
    pub(crate) fn open(options: CassandraOptions) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let opening = CassandraEngine::open(options);
        let engine: Arc<dyn Engine> = Arc::new(runtime.block_on(opening).unwrap());
        Self { runtime, engine }
    }

    /// Nothing of it goes on; what is on its way to the cluster arrives.
    pub(crate) fn die(self) {
        self.runtime.shutdown_background();
    }
}
