//! The database as the front door's service: decode, execute, encode. And how it is opened.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};
use tokio::task::JoinHandle;
use zenobe_cassandra::{CassandraEngine, CassandraOptions, Replication};
use zenobe_database::check::Checks;
use zenobe_database::environment::Environment;
use zenobe_database::{Database, DatabaseConfig};
use zenobe_local::{LocalEngine, LocalOptions};
use zenobe_model::{ErrorCode, ServiceError};
use zenobe_storage::memory::{MemoryEngine, MemoryOptions};
use zenobe_storage::{BoxFuture, Engine, EngineError, Figure, Health};

use crate::answers::{self, AnswerBudget, Room};
use crate::clock;
use crate::config::{CassandraConfig, Config, DataConfig, Durability, Storage};
use crate::logging;
use crate::metrics::Metrics;
use crate::service::{ApiRequest, ApiResponse, Service};

/// Most answers are shorter than this, in bytes; longer ones make the buffer grow.
const ANSWER_BYTES: usize = 256;
/// How often long work says how far it is.
const PROGRESS_INTERVAL_MS: u64 = 1000;
/// How long background work rests after a defect.
const BACKGROUND_RESTART_DELAY: Duration = Duration::from_secs(1);

/// The database behind the front door.
pub(crate) struct DatabaseService {
    database: Database,
    answers: AnswerBudget,
}

impl DatabaseService {
    /// Opens the data that the settings name. An error is said for the person who starts the server.
    pub(crate) async fn open(
        config: &Config,
        bound: &[SocketAddr],
        answers: AnswerBudget,
    ) -> Result<Self, String> {
        let engine = open_engine(config).await?;
        let database_config = DatabaseConfig {
            region: config.region.clone(),
            account_id: config.account_id.clone(),
            endpoint: bound.first().map(ToString::to_string),
            streams: config.streams,
            ttl_interval: config.ttl_interval,
        };
        let database = Database::open(engine, Arc::new(Host), database_config)
            .await
            .map_err(|error| format!("cannot open the database: {error}"))?;
        Ok(Self { database, answers })
    }

    /// Reads all data, compares indexes and streams with their tables; says on standard error what is being looked at.
    pub(crate) async fn check(&self) -> Result<Checks, String> {
        let mut said_ms = 0;
        let looking = |what: &str, count: u64| {
            let now_ms = clock::uptime_ms();
            if now_ms >= said_ms + PROGRESS_INTERVAL_MS {
                said_ms = now_ms;
                logging::say(format_args!("{what}: {count} looked at"));
            }
        };
        tokio::select! {
            checks = self.database.check(looking) => {
                checks.map_err(|error| format!("cannot check the data: {error}"))
            }
            () = self.database.keep_in_touch() => Ok(Checks::default()),
        }
    }

    /// Closes the data.
    pub(crate) async fn close(self) -> Result<(), String> {
        let closed = close(&self.database).await;
        closed.map_err(|error| format!("cannot close the data: {error}"))
    }

    /// The database behind this service.
    pub(crate) fn database(&self) -> Database {
        self.database.clone()
    }

    async fn execute(&self, request: &ApiRequest) -> Result<ApiResponse, ServiceError> {
        let decoded = zenobe_wire::decode(request.operation, &request.body)?;
        let room = self.answers.make_room(answers::need(&decoded)).await.ok_or_else(busy)?;
        let response = self.database.execute_at(decoded, request.host.as_deref()).await?;
        let mut body = Vec::with_capacity(ANSWER_BYTES);
        zenobe_wire::encode(&response, &mut body);
        // Stored texts were not looked at one by one on their way here.
        if std::str::from_utf8(&body).is_err() {
            tracing::error!("stored bytes are corrupt: a text is not UTF-8");
            return Err(ServiceError::internal());
        }
        let body = self.answers.hold(room, body).ok_or_else(busy)?;
        Ok(ApiResponse { status: 200, body, error: None })
    }

    fn refuse(&self, error: &ServiceError) -> ApiResponse {
        let mut body = Vec::with_capacity(ANSWER_BYTES);
        zenobe_wire::encode_error(error, &mut body);
        let (status, error) = (error.code.status(), Some(error.code.type_name()));
        match self.answers.hold(Room::default(), body) {
            Some(body) => ApiResponse { status, body, error },
            // Which is short, so there is room for it.
            None => self.refuse(&busy()),
        }
    }
}

/// The error where others keep the room for the answer.
fn busy() -> ServiceError {
    let text = "The service is currently unavailable or busy.";
    ServiceError::new(ErrorCode::ServiceUnavailable, text)
}

/// Work that no request waits for, running until it is stopped.
pub(crate) struct Background {
    database: Database,
    task: JoinHandle<()>,
}

impl Background {
    /// Starts the work.
    pub(crate) fn start(database: Database, metrics: Arc<Metrics>) -> Self {
        let worker = database.clone();
        let task = tokio::spawn(async move {
            loop {
                // In a task of its own, so that a defect ends that and not this.
                let worker = worker.clone();
                let work = AbortOnDrop(tokio::spawn(async move { worker.run_background().await }));
                work.ended().await;
                metrics.count_panic();
                tracing::error!("a defect: background work panicked; it starts again");
                tokio::time::sleep(BACKGROUND_RESTART_DELAY).await;
            }
        });
        Self { database, task }
    }

    /// Stops the work and closes the data: to be called when no more requests come.
    pub(crate) async fn stop(self) -> Result<(), EngineError> {
        self.task.abort();
        let _ = self.task.await;
        if let Err(error) = self.database.close_figures().await {
            tracing::warn!(%error, "item counts were not saved and will be counted again");
        }
        close(&self.database).await
    }
}

async fn close(database: &Database) -> Result<(), EngineError> {
    if let Err(error) = database.leave().await {
        tracing::warn!(%error, "the other processes find out in time that this one has stopped");
    }
    database.engine().close().await
}

/// A task that ends when its owner does.
struct AbortOnDrop(JoinHandle<()>);

impl AbortOnDrop {
    async fn ended(mut self) {
        let _ = (&mut self.0).await;
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Opens the engine. What the log holds is read first, which may take a moment.
async fn open_engine(config: &Config) -> Result<Arc<dyn Engine>, String> {
    match &config.storage {
        Storage::Memory => Ok(Arc::new(MemoryEngine::new(MemoryOptions::default()))),
        Storage::Files(data) => open_files(data).await,
        Storage::Cassandra(cluster) => open_cassandra(cluster).await,
    }
}

async fn open_cassandra(cluster: &CassandraConfig) -> Result<Arc<dyn Engine>, String> {
    let now_ms = || u64::try_from(clock::since_epoch().as_millis()).unwrap_or(u64::MAX);
    let points = cluster.contact_points.clone();
    let mut options = CassandraOptions::new(points, cluster.keyspace.clone(), Arc::new(now_ms));
    options.replication = Replication::EachDatacenter(cluster.replication);
    options.local_datacenter.clone_from(&cluster.datacenter);
    options.credentials.clone_from(&cluster.credentials);
    options.tls.clone_from(&cluster.tls);
    match CassandraEngine::open(options).await {
        Ok(engine) => Ok(Arc::new(engine)),
        Err(error) => {
            let (points, keyspace) = (cluster.contact_points.join(","), &cluster.keyspace);
            Err(format!("cannot open keyspace {keyspace} on the cluster at {points}: {error}"))
        }
    }
}

/// Whether a directory holds a database of the embedded engine, or what is left of one. Opening would make a
/// new one.
///
/// # Errors
/// Of the system, where one may not look.
pub(crate) fn is_in(dir: &Path) -> std::io::Result<bool> {
    for name in ["MANIFEST", "log", "tree"] {
        if dir.join(name).try_exists()? {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn open_files(data: &DataConfig) -> Result<Arc<dyn Engine>, String> {
    let mut options = LocalOptions::new(&data.dir);
    options.durability = match data.durability {
        Durability::Fsync => zenobe_local::Durability::Fsync,
        Durability::Interval => zenobe_local::Durability::Interval(data.durability_interval),
    };
    options.item_cache_bytes = data.item_cache_bytes;
    options.block_cache_bytes = data.block_cache_bytes;
    options.memtable_bytes = data.memtable_bytes;
    let opened = tokio::task::spawn_blocking(move || LocalEngine::open(options)).await;
    match opened {
        Ok(Ok(engine)) => Ok(Arc::new(engine)),
        Ok(Err(error)) => Err(format!("cannot open the data in {}: {error}", data.dir.display())),
        Err(defect) => Err(format!("cannot open the data in {}: {defect}", data.dir.display())),
    }
}

impl Service for DatabaseService {
    async fn call(&self, request: ApiRequest) -> ApiResponse {
        let executed = self.execute(&request).await;
        executed.unwrap_or_else(|error| self.refuse(&error))
    }

    fn is_json(&self, body: &[u8]) -> bool {
        serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok()
    }

    fn figures(&self) -> Vec<Figure> {
        self.database.figures()
    }

    fn health(&self) -> Health {
        self.database.engine().health()
    }
}

/// Time, randomness and sleep as the host has them.
struct Host;

impl Environment for Host {
    fn now_ms(&self) -> u64 {
        u64::try_from(clock::since_epoch().as_millis()).unwrap_or(u64::MAX)
    }

    fn elapsed_ms(&self) -> u64 {
        clock::elapsed_ms()
    }

    fn random(&self) -> u128 {
        let mut bytes = [0; 16];
        // The system's generator does not fail once it has been seeded; should it, the hashing keys
        // of the standard library are random, too.
        if SystemRandom::new().fill(&mut bytes).is_err() {
            use std::hash::{BuildHasher, RandomState};
            let half = |salt: u8| u128::from(RandomState::new().hash_one(salt));
            return half(0) << 64 | half(1);
        }
        u128::from_le_bytes(bytes)
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}
