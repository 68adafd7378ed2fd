//! What all calls of one engine share: the connections, the clock, the node number, the tables, the turns.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use quick_cache::sync::Cache;
use scylla::value::{CqlValue, Row as CqlRow};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use zenobe_storage::{EngineError, EngineResult, ShardId, SpaceId};

use crate::client::{Answer, Client, Failure};
use crate::clock::HybridClock;
use crate::datacenter::{check_existing, check_new, remember};
use crate::marks::Marks;
use crate::node::{Lease, any_instance};
use crate::options::CassandraOptions;
use crate::queue::Queues;
use crate::reserve::ShardQueues;
use crate::schema::{OWN_TABLES, OwnTables, Table, TableName, create_own_tables};

/// Of how many partitions the engine remembers that they have a header row.
const KNOWN_HEADERS_MAX: usize = 100_000;

/// In which units room for unfinished commits is given.
const ROOM_BYTES: u32 = 1024;

/// How much room so many bytes take.
pub(crate) fn room_of(bytes: u32) -> u32 {
    bytes.div_ceil(ROOM_BYTES).max(1)
}

/// Which header rows are known to exist. A hint: a wrong one costs a round trip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum HeaderOf {
    Partition(TableName, i64),
    Shard(ShardId),
}

pub(crate) struct Core {
    pub(crate) options: CassandraOptions,
    pub(crate) client: Client,
    pub(crate) own: OwnTables,
    pub(crate) anchors: Arc<Table>,
    pub(crate) clock: HybridClock,
    pub(crate) lease: Lease,
    pub(crate) tables: RwLock<HashMap<SpaceId, Arc<Table>>>,
    pub(crate) schema_turn: tokio::sync::Mutex<()>,
    pub(crate) queues: Queues,
    pub(crate) marks: Marks,
    /// Who this process is to others when it takes over from a dead one.
    pub(crate) taker: Bytes,
    /// Room for commits whose derived rows are not all written yet, in units of [`ROOM_BYTES`].
    pub(crate) room: Arc<Semaphore>,
    pub(crate) shard_queues: ShardQueues,
    pub(crate) known_headers: Cache<HeaderOf, ()>,
    /// When a reader of the log first met a commit under way.
    pub(crate) met_under_way: Mutex<HashMap<(ShardId, i64), Instant>>,
    closed: AtomicBool,
    stopped: AtomicBool,
}

/// Makes the keyspace and the engine's own tables where they are missing. Nothing is changed where nothing is:
/// a change of the schema waits for every node.
async fn make_keyspace(client: &Client, options: &CassandraOptions) -> EngineResult<()> {
    let keyspace = &options.keyspace;
    match client.strategy(keyspace) {
        Some(found) => {
            check_existing(keyspace, &found, &client.nodes(), client.datacenter.as_deref())?;
        }
        None => check_new(&options.replication, &client.nodes())?,
    }
    let known = client.table_names(keyspace).await?;
    if OWN_TABLES.iter().all(|(table, _)| known.contains(*table)) {
        return Ok(());
    }
    let create = format!(
        "CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {}",
        options.replication_cql()
    );
    Box::pin(client.change_schema(&create)).await?;
    for statement in create_own_tables(keyspace) {
        Box::pin(client.change_schema(&statement)).await?;
    }
    Ok(())
}

impl Core {
    /// Connects, makes the keyspace and the engine's own tables where they are missing, and takes a node
    /// number.
    pub(crate) async fn open(options: CassandraOptions) -> EngineResult<Self> {
        options.check()?;
        let client = Client::connect(&options).await?;
        make_keyspace(&client, &options).await?;
        let keyspace = &options.keyspace;
        let own = Box::pin(OwnTables::prepare(&client, keyspace)).await.map_err(Failure::error)?;
        let anchors = Box::pin(Table::prepare(&client, keyspace, TableName::ANCHORS))
            .await
            .map_err(Failure::error)?;
        remember(&client, &own).await?;
        let lease = Lease::claim(&client, &own, Arc::clone(&options.clock)).await?;
        let room = usize::try_from(room_of(options.unfinished_bytes_max)).unwrap_or(1);
        Ok(Self {
            clock: HybridClock::new(Arc::clone(&options.clock)),
            options,
            client,
            own,
            anchors: Arc::new(anchors),
            lease,
            tables: RwLock::default(),
            schema_turn: tokio::sync::Mutex::new(()),
            queues: Queues::default(),
            marks: Marks::new(),
            taker: any_instance(),
            room: Arc::new(Semaphore::new(room)),
            shard_queues: ShardQueues::default(),
            known_headers: Cache::new(KNOWN_HEADERS_MAX),
            met_under_way: Mutex::default(),
            closed: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
        })
    }

    pub(crate) fn check_open(&self) -> EngineResult<()> {
        if self.closed.load(Ordering::SeqCst) { Err(EngineError::Closed) } else { Ok(()) }
    }

    /// Refuses later calls. Returns whether this call was the first to do so.
    pub(crate) fn refuse_calls(&self) -> bool {
        !self.closed.swap(true, Ordering::SeqCst)
    }

    /// Ends background work that would otherwise be tried until it succeeds.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// Waits until what follows from all commits is done. Returns whether it is.
    pub(crate) async fn drain(&self) -> bool {
        let all = room_of(self.options.unfinished_bytes_max);
        let draining = tokio::time::timeout_at(self.deadline(), self.room.acquire_many(all));
        matches!(draining.await, Ok(Ok(_)))
    }

    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.options.call_budget
    }

    pub(crate) fn next_version(&self) -> EngineResult<i64> {
        Ok(self.clock.next(self.lease.node()?))
    }

    pub(crate) fn header_is_known(&self, header: &HeaderOf) -> bool {
        self.known_headers.get(header).is_some()
    }

    /// Remembers what a refused batch told about a header, and goes past its clock.
    pub(crate) fn learn_header(&self, header: HeaderOf, clock: Option<i64>) {
        match clock {
            Some(clock) => {
                self.clock.meet(clock);
                self.known_headers.insert(header, ());
            }
            None => {
                self.known_headers.remove(&header);
            }
        }
    }

    /// A write timestamp later than that of every write made so far, whatever the clocks: only for deleting
    /// what is never written again.
    pub(crate) fn timestamp_after_all(&self) -> i64 {
        const DAY: Duration = Duration::from_secs(86_400);
        let day_us = i64::try_from(DAY.as_micros()).unwrap_or(i64::MAX);
        self.clock.wall_us().saturating_add(day_us)
    }
}

/// The answer to a conditional batch.
#[derive(Debug)]
pub(crate) enum Verdict {
    Applied,
    /// The conditioned rows that exist.
    Refused(Vec<Conditioned>),
}

/// A row as a refused batch tells it: the columns by their names.
#[derive(Debug)]
pub(crate) struct Conditioned(Vec<(String, Option<CqlValue>)>);

impl Conditioned {
    fn column(&self, name: &str) -> Option<&CqlValue> {
        self.0.iter().find(|(column, _)| column == name).and_then(|(_, value)| value.as_ref())
    }

    pub(crate) fn big(&self, name: &str) -> Option<i64> {
        match self.column(name) {
            Some(CqlValue::BigInt(number)) => Some(*number),
            _ => None,
        }
    }

    pub(crate) fn small(&self, name: &str) -> Option<i16> {
        match self.column(name) {
            Some(CqlValue::SmallInt(number)) => Some(*number),
            _ => None,
        }
    }

    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        match self.column(name) {
            Some(CqlValue::Boolean(flag)) => Some(*flag),
            _ => None,
        }
    }

    pub(crate) fn blob(&self, name: &str) -> Option<&[u8]> {
        match self.column(name) {
            Some(CqlValue::Blob(bytes)) => Some(bytes),
            _ => None,
        }
    }
}

/// Reads the answer to a conditional batch. One that does not decode says nothing about what happened.
pub(crate) fn verdict(answer: Answer) -> Result<Verdict, Failure> {
    let strange = |what: &str| Failure::Unclear(format!("the answer to a condition {what}"));
    let rows = answer.ok_or_else(|| strange("has no rows"))?;
    let names: Vec<String> =
        rows.column_specs().iter().map(|column| column.name().to_owned()).collect();
    let mut refused = Vec::new();
    let mut applied = None;
    for row in rows.rows::<CqlRow>().map_err(|_| strange("has strange columns"))? {
        let row = row.map_err(|_| strange("does not decode"))?;
        let row = Conditioned(names.iter().cloned().zip(row.columns).collect());
        match row.column("[applied]") {
            Some(CqlValue::Boolean(flag)) => applied = Some(*flag),
            _ => return Err(strange("does not say whether it was applied")),
        }
        refused.push(row);
    }
    match applied {
        Some(true) => Ok(Verdict::Applied),
        Some(false) => Ok(Verdict::Refused(refused)),
        None => Err(strange("is empty")),
    }
}

/// A number of the seam in a signed column, in the same order.
pub(crate) const fn ordered(number: u64) -> i64 {
    (number ^ (1 << 63)).cast_signed()
}

/// The number of the seam behind [`ordered`].
pub(crate) const fn number(ordered: i64) -> u64 {
    ordered.cast_unsigned() ^ (1 << 63)
}

/// The bytes after all bytes that are at most `bytes`.
pub(crate) fn successor(bytes: &[u8]) -> Bytes {
    let mut next = Vec::with_capacity(bytes.len() + 1);
    next.extend_from_slice(bytes);
    next.push(0);
    next.into()
}
