//! Statements on their way to the cluster: bound in number and time, counted, their failures sorted.
//!
//! The one question that matters of a failure is whether the statement may have happened. What is surely
//! refused is [`Failure::Refused`], [`Failure::Unavailable`] or [`Failure::Overloaded`]; everything else is
//! [`Failure::Unclear`], and it is for the caller to look. Conditional batches are never sent twice by the driver;
//! statements whose repetition changes nothing are sent to another node as well when the first does not answer
//! soon, and again when its connection breaks. What cannot be sent, for no node is connected, waits a little: a node
//! that stood still for a moment is connected again at once.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use scylla::client::execution_profile::{ExecutionProfile, ExecutionProfileHandle};
use scylla::client::session::{Session, TlsContext};
use scylla::client::session_builder::SessionBuilder;
use scylla::cluster::metadata::{ColumnType, Strategy};
use scylla::errors::{DbError, ExecutionError, PrepareError, RequestAttemptError};
use scylla::policies::load_balancing::DefaultPolicy;
use scylla::policies::retry::{DefaultRetryPolicy, FallthroughRetryPolicy};
use scylla::policies::speculative_execution::SimpleSpeculativeExecutionPolicy;
use scylla::response::query_result::QueryRowsResult;
use scylla::response::{PagingState, PagingStateResponse};
use scylla::serialize::SerializationError;
use scylla::serialize::value::SerializeValue;
use scylla::serialize::writers::{CellWriter, WrittenCellProof};
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;
use scylla::statement::{Consistency, SerialConsistency};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;
use zenobe_storage::{EngineError, EngineResult};

use crate::datacenter::{Nodes, chosen};
use crate::figures::{Counters, Kind};
use crate::options::CassandraOptions;
use crate::policy::FirstReplica;
use crate::tls;

/// How long the driver waits for one answer. What is not answered then is looked for, or asked again.
const ANSWER_MAX: Duration = Duration::from_secs(3);
/// How long a node that does not answer a statement whose repetition changes nothing has it alone.
const SECOND_NODE_AFTER: Duration = Duration::from_millis(400);
/// How often a connection is asked whether it lives, and how long it may take to say so: a node that stands still
/// or is cut off is given up after both. A full collection of a busy node takes more than a second.
const KEEPALIVE: Duration = Duration::from_millis(500);
const KEEPALIVE_ANSWER_MAX: Duration = Duration::from_secs(2);
/// How long making a connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// How long a statement waits for a connection when there is none, and how often it looks for one.
const RECONNECT_MAX: Duration = Duration::from_secs(3);
const RECONNECT_POLL: Duration = Duration::from_millis(50);
/// How often a statement whose repetition changes nothing is sent when the answer is unclear.
const RUN_ATTEMPTS: u32 = 2;
/// How long a change of the schema may take until every node knows it.
const SCHEMA_ANSWER_MAX: Duration = Duration::from_secs(30);
/// How often the nodes are asked whether they agree on the schema.
const SCHEMA_POLL: Duration = Duration::from_millis(25);
/// How often a change of the schema is tried again.
const SCHEMA_ATTEMPTS: u32 = 5;

/// A value bound to a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Bind {
    Blob(Bytes),
    Big(i64),
    Int(i32),
    Small(i16),
    Text(String),
    Flag(bool),
    Null,
    /// The statement does not touch the column: neither a value nor, as `Null` would be, a deletion.
    Unset,
}

impl Bind {
    fn byte_count(&self) -> usize {
        match self {
            Self::Blob(bytes) => bytes.len(),
            Self::Big(_) => 8,
            Self::Int(_) => 4,
            Self::Small(_) => 2,
            Self::Flag(_) => 1,
            Self::Text(text) => text.len(),
            Self::Null | Self::Unset => 0,
        }
    }
}

impl From<Option<i64>> for Bind {
    fn from(value: Option<i64>) -> Self {
        value.map_or(Self::Null, Self::Big)
    }
}

impl SerializeValue for Bind {
    fn serialize<'b>(
        &self,
        typ: &ColumnType<'_>,
        writer: CellWriter<'b>,
    ) -> Result<WrittenCellProof<'b>, SerializationError> {
        match self {
            Self::Blob(bytes) => bytes.serialize(typ, writer),
            Self::Big(number) => number.serialize(typ, writer),
            Self::Int(number) => number.serialize(typ, writer),
            Self::Small(number) => number.serialize(typ, writer),
            Self::Text(text) => text.serialize(typ, writer),
            Self::Flag(flag) => flag.serialize(typ, writer),
            Self::Null => Ok(writer.set_null()),
            Self::Unset => Ok(writer.set_unset()),
        }
    }
}

/// How fresh a read must be, in Cassandra's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// Some replica's state.
    One,
    /// Everything acknowledged.
    Quorum,
    /// Everything decided: takes part in the rounds of conditional batches. One partition only, and no pages: where
    /// a limit cuts off what one replica knows, and others know that it is deleted, Cassandra asks that one for more,
    /// and in a serial read gives the question no time. The read fails until the replicas are repaired.
    Serial,
}

impl Freshness {
    const fn consistency(self) -> Consistency {
        match self {
            Self::One => Consistency::LocalOne,
            Self::Quorum => Consistency::LocalQuorum,
            Self::Serial => Consistency::LocalSerial,
        }
    }
}

/// Why a statement was not answered as asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The server says that the statement cannot be: its table may have been dropped. Nothing happened.
    Refused(String),
    /// Nothing happened; trying again may work.
    Unavailable(String),
    /// Nothing happened, because there is too much to do; trying again soon works.
    Overloaded(String),
    /// It may have happened.
    Unclear(String),
    /// There was no answer in time. It may have happened; of a read, a smaller one may do.
    TimedOut(String),
    /// A node gave up a read, mostly since it would have had to pass too many deletions. A smaller one may do.
    GivenUp(String),
}

impl Failure {
    /// For a statement of which it does not matter whether it happened.
    pub(crate) fn error(self) -> EngineError {
        match self {
            Self::Overloaded(text) => EngineError::Overloaded(text),
            Self::Refused(text)
            | Self::Unavailable(text)
            | Self::Unclear(text)
            | Self::TimedOut(text)
            | Self::GivenUp(text) => EngineError::Unavailable(text),
        }
    }
}

fn sort_attempt(error: &RequestAttemptError, text: String) -> Failure {
    match error {
        RequestAttemptError::SerializationError(_)
        | RequestAttemptError::CqlRequestSerialization(_)
        | RequestAttemptError::UnableToAllocStreamId => Failure::Unavailable(text),
        RequestAttemptError::DbError(error, _) => match error {
            DbError::SyntaxError
            | DbError::Invalid
            | DbError::Unauthorized
            | DbError::ConfigError
            | DbError::Unprepared { .. } => Failure::Refused(text),
            DbError::Unavailable { .. } | DbError::IsBootstrapping => Failure::Unavailable(text),
            DbError::Overloaded => Failure::Overloaded(text),
            DbError::ReadFailure { .. } => Failure::GivenUp(text),
            DbError::ReadTimeout { .. } => Failure::TimedOut(text),
            _ => Failure::Unclear(text),
        },
        RequestAttemptError::RepreparedIdChanged { .. }
        | RequestAttemptError::RepreparedIdMissingInBatch => Failure::Refused(text),
        _ => Failure::Unclear(text),
    }
}

fn sort(error: &ExecutionError) -> Failure {
    let text = error.to_string();
    match error {
        ExecutionError::BadQuery(_) | ExecutionError::PrepareError(_) => Failure::Refused(text),
        ExecutionError::EmptyPlan | ExecutionError::ConnectionPoolError(_) => {
            Failure::Unavailable(text)
        }
        ExecutionError::LastAttemptError(attempt) => sort_attempt(attempt, text),
        ExecutionError::RequestTimeout(_) => Failure::TimedOut(text),
        _ => Failure::Unclear(text),
    }
}

fn sort_prepare(error: &PrepareError) -> Failure {
    match error {
        PrepareError::AllAttemptsFailed {
            first_attempt:
                RequestAttemptError::DbError(
                    DbError::Invalid | DbError::SyntaxError | DbError::ConfigError,
                    _,
                ),
        } => Failure::Refused(error.to_string()),
        _ => Failure::Unavailable(error.to_string()),
    }
}

/// Rows of an answer.
pub(crate) type Answer = Option<QueryRowsResult>;

fn batch_of(statements: Vec<(&PreparedStatement, Vec<Bind>)>) -> (Batch, Vec<Vec<Bind>>, usize) {
    let mut batch = Batch::new(BatchType::Unlogged);
    batch.set_consistency(Consistency::LocalQuorum);
    let mut bytes = 0;
    let mut values = Vec::with_capacity(statements.len());
    for (statement, bound) in statements {
        batch.append_statement(statement.clone());
        bytes += bound.iter().map(Bind::byte_count).sum::<usize>();
        values.push(bound);
    }
    (batch, values, bytes)
}

/// What a request brings. One that surely was not sent, for no node is connected, is made again for a while.
async fn when_connected<T, E, S: Future<Output = Result<T, E>>>(
    is_unsent: impl Fn(&E) -> bool,
    request: impl Fn() -> S,
) -> Result<T, E> {
    let deadline = Instant::now() + RECONNECT_MAX;
    loop {
        match Box::pin(request()).await {
            Err(error) if is_unsent(&error) && Instant::now() < deadline => {
                tokio::time::sleep(RECONNECT_POLL).await;
            }
            answer => return answer,
        }
    }
}

/// A place among those that wait; given back when dropped.
pub(crate) struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    /// A place, if there is one.
    pub(crate) fn enter(count: &Arc<AtomicUsize>, max: usize) -> Option<Self> {
        let place = Self(Arc::clone(count));
        (count.fetch_add(1, Ordering::SeqCst) < max).then_some(place)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The connections to a cluster.
pub(crate) struct Client {
    session: Session,
    /// Where consensus is, if the nodes say in which data centre they are.
    pub(crate) datacenter: Option<String>,
    /// Of statements that no second node is asked when the first takes long.
    one_node: ExecutionProfileHandle,
    /// Of conditional batches.
    first_replica: ExecutionProfileHandle,
    in_flight: Semaphore,
    waiting: Arc<AtomicUsize>,
    waiting_max: usize,
    wait_max: Duration,
    page_patience: Duration,
    /// Whether the last statement that ended was answered.
    answering: AtomicBool,
    pub(crate) counters: Counters,
}

/// How many nodes each data centre has, of the nodes that the driver found.
fn nodes(session: &Session) -> Nodes {
    let mut nodes = Nodes::new();
    for node in session.get_cluster_state().get_nodes_info() {
        if let Some(datacenter) = &node.datacenter {
            *nodes.entry(datacenter.clone()).or_default() += 1;
        }
    }
    nodes
}

impl Client {
    /// Connects to the first contact point that answers; the driver finds the others.
    pub(crate) async fn connect(options: &CassandraOptions) -> EngineResult<Self> {
        let profile = ExecutionProfile::builder()
            .request_timeout(Some(ANSWER_MAX))
            .consistency(Consistency::LocalQuorum)
            .serial_consistency(Some(SerialConsistency::LocalSerial))
            .retry_policy(Arc::new(DefaultRetryPolicy::new()))
            .speculative_execution_policy(Some(Arc::new(SimpleSpeculativeExecutionPolicy {
                max_retry_count: 1,
                retry_interval: SECOND_NODE_AFTER,
            })))
            .build();
        let one_node = profile.to_builder().speculative_execution_policy(None).build();
        let first_replica = one_node
            .to_builder()
            .retry_policy(Arc::new(FallthroughRetryPolicy::new()))
            .load_balancing_policy(Arc::new(FirstReplica {
                other: DefaultPolicy::builder().build(),
            }))
            .build();
        let mut builder = SessionBuilder::new()
            .known_nodes(&options.contact_points)
            .default_execution_profile_handle(profile.into_handle())
            .keepalive_interval(KEEPALIVE)
            .keepalive_timeout(KEEPALIVE_ANSWER_MAX)
            .connection_timeout(CONNECT_MAX)
            .keyspaces_to_fetch([options.keyspace.clone()])
            .schema_agreement_interval(SCHEMA_POLL)
            .schema_agreement_timeout(SCHEMA_ANSWER_MAX);
        if let Some(datacenter) = &options.local_datacenter {
            builder = builder.prefer_datacenter(datacenter.clone());
        }
        if let Some(credentials) = &options.credentials {
            builder = builder.user(&credentials.user, &credentials.password);
        }
        if let Some(files) = &options.tls {
            builder = builder.tls_context(Some(TlsContext::Rustls023(tls::config(files)?)));
        }
        let connecting = Box::pin(tokio::time::timeout(options.call_budget, builder.build()));
        let session = match connecting.await {
            Ok(Ok(session)) => session,
            Ok(Err(error)) => return Err(EngineError::Unavailable(error.to_string())),
            Err(_) => return Err(EngineError::Unavailable("no contact point answers".to_owned())),
        };
        let datacenter = chosen(&nodes(&session), options.local_datacenter.as_deref())?;
        Ok(Self {
            session,
            datacenter,
            one_node: one_node.into_handle(),
            first_replica: first_replica.into_handle(),
            in_flight: Semaphore::new(options.statements_in_flight_max.max(1)),
            waiting: Arc::default(),
            waiting_max: options.statements_waiting_max,
            wait_max: options.call_budget,
            page_patience: options.page_patience,
            answering: AtomicBool::new(true),
            counters: Counters::default(),
        })
    }

    /// How many nodes each data centre has.
    pub(crate) fn nodes(&self) -> Nodes {
        nodes(&self.session)
    }

    /// The replication of the keyspace, if the driver found it.
    pub(crate) fn strategy(&self, keyspace: &str) -> Option<Strategy> {
        let state = self.session.get_cluster_state();
        state.get_keyspace(keyspace).map(|found| found.strategy.clone())
    }

    /// How many nodes the cluster has.
    pub(crate) fn node_count(&self) -> u64 {
        self.session.get_cluster_state().get_nodes_info().len() as u64
    }

    /// Whether the cluster answered the last statement that ended.
    pub(crate) fn is_answering(&self) -> bool {
        self.answering.load(Ordering::Relaxed)
    }

    /// Waits until one more statement may be under way. Only so many wait, and only so long.
    async fn turn(&self) -> Result<SemaphorePermit<'_>, Failure> {
        if let Ok(permit) = self.in_flight.try_acquire() {
            return Ok(permit);
        }
        let overloaded = || {
            self.counters.overloaded.fetch_add(1, Ordering::Relaxed);
            Failure::Overloaded("too many statements wait for the cluster".to_owned())
        };
        let _waiting = Waiting::enter(&self.waiting, self.waiting_max).ok_or_else(overloaded)?;
        match tokio::time::timeout(self.wait_max, self.in_flight.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(overloaded()),
        }
    }

    /// Sends a statement, when a node is connected.
    async fn send<T, S: Future<Output = Result<T, ExecutionError>>>(
        &self,
        kind: Kind,
        bytes: usize,
        statement: impl Fn() -> S,
    ) -> Result<T, Failure> {
        let _turn = self.turn().await?;
        self.counters.sent(kind, bytes);
        let is_unsent =
            |error: &ExecutionError| matches!(error, ExecutionError::ConnectionPoolError(_));
        let answer = when_connected(is_unsent, statement).await.map_err(|error| sort(&error));
        if let Err(failure) = &answer {
            let given_up = matches!(failure, Failure::GivenUp(_));
            let Counters { failures, given_up: reads, .. } = &self.counters;
            let counter = if given_up { reads } else { failures };
            counter.fetch_add(1, Ordering::Relaxed);
        }
        let answered = matches!(answer, Ok(_) | Err(Failure::Refused(_) | Failure::GivenUp(_)));
        self.answering.store(answered, Ordering::Relaxed);
        answer
    }

    /// Sends a statement whose repetition changes nothing, and once more if its connection broke or, of one that
    /// `may_be_late`, if it was not answered in time.
    async fn send_surely<T, S: Future<Output = Result<T, ExecutionError>>>(
        &self,
        kind: Kind,
        bytes: usize,
        may_be_late: bool,
        statement: impl Fn() -> S,
    ) -> Result<T, Failure> {
        let mut attempt = 1;
        loop {
            let answer = self.send(kind, bytes, &statement).await;
            match &answer {
                _ if attempt == RUN_ATTEMPTS => return answer,
                // The driver takes a moment to see that all connections to the node are broken.
                Err(Failure::Unclear(_)) => tokio::time::sleep(RECONNECT_POLL).await,
                Err(Failure::TimedOut(_)) if may_be_late => {}
                _ => return answer,
            }
            attempt += 1;
        }
    }

    fn receive(&self, kind: Kind, result: scylla::response::query_result::QueryResult) -> Answer {
        let rows = result.into_rows_result().ok()?;
        self.counters.received(kind, rows.rows_bytes_size());
        Some(rows)
    }

    /// Prepares a statement. The driver asks all nodes and by itself waits for the last of them.
    pub(crate) async fn prepare(&self, text: String) -> Result<PreparedStatement, Failure> {
        let is_unsent =
            |error: &PrepareError| matches!(error, PrepareError::ConnectionPoolError(_));
        let preparing = when_connected(is_unsent, || self.session.prepare(text.as_str()));
        match tokio::time::timeout(ANSWER_MAX, preparing).await {
            Ok(prepared) => prepared.map_err(|error| sort_prepare(&error)),
            Err(_) => Err(Failure::Unavailable("a statement was not prepared in time".to_owned())),
        }
    }

    /// Prepares a statement on one partition. Its key is bound, or the driver would not know the partition's replicas
    /// and ask any node.
    pub(crate) async fn prepare_keyed(&self, text: String) -> Result<PreparedStatement, Failure> {
        let prepared = self.prepare(text).await?;
        debug_assert!(prepared.is_token_aware(), "no key is bound: {}", prepared.get_statement());
        Ok(prepared)
    }

    /// Runs a statement whose repetition changes nothing, and returns all of its rows.
    pub(crate) async fn run(
        &self,
        kind: Kind,
        statement: &PreparedStatement,
        freshness: Freshness,
        values: Vec<Bind>,
    ) -> Result<Answer, Failure> {
        let mut statement = statement.clone();
        statement.set_consistency(freshness.consistency());
        statement.set_is_idempotent(true);
        let bytes = values.iter().map(Bind::byte_count).sum();
        // A serial read may lose against the commits of other processes.
        let executing = || self.session.execute_unpaged(&statement, &values);
        let result = self.send_surely(kind, bytes, true, executing).await?;
        Ok(self.receive(kind, result))
    }

    /// Runs a read, not a serial one, and returns at most `rows` of its rows, and where to go on. Time spent before the
    /// statement is sent does not count as the page's.
    pub(crate) async fn page(
        &self,
        kind: Kind,
        read: &BoundRead<'_>,
        rows: i32,
        state: PagingState,
    ) -> Result<(QueryRowsResult, PagingStateResponse), Failure> {
        debug_assert_ne!(read.freshness, Freshness::Serial, "a serial read has no pages");
        let mut statement = read.statement.clone();
        statement.set_consistency(read.freshness.consistency());
        statement.set_is_idempotent(true);
        statement.set_page_size(rows.max(1));
        statement.set_request_timeout(Some(self.page_patience));
        if read.may_be_given_up {
            statement.set_execution_profile_handle(Some(self.one_node.clone()));
        }
        let bytes = read.values.iter().map(Bind::byte_count).sum();
        let executing =
            || self.session.execute_single_page(&statement, &read.values, state.clone());
        let (result, next) = self.send_surely(kind, bytes, false, executing).await?;
        let rows = self.receive(kind, result);
        Ok((rows.ok_or_else(|| Failure::Unavailable("an answer without rows".to_owned()))?, next))
    }

    /// Runs a conditional batch on one partition. The answer's first column says whether it was applied.
    pub(crate) async fn conditional(
        &self,
        kind: Kind,
        statements: Vec<(&PreparedStatement, Vec<Bind>)>,
    ) -> Result<Answer, Failure> {
        let (mut batch, values, bytes) = batch_of(statements);
        batch.set_serial_consistency(Some(SerialConsistency::LocalSerial));
        batch.set_is_idempotent(false);
        batch.set_execution_profile_handle(Some(self.first_replica.clone()));
        match self.send(kind, bytes, || self.session.batch(&batch, &values)).await {
            Ok(result) => Ok(self.receive(kind, result)),
            // The node may have noticed in the middle.
            Err(Failure::Overloaded(text) | Failure::GivenUp(text) | Failure::TimedOut(text)) => {
                Err(Failure::Unclear(text))
            }
            Err(failure) => Err(failure),
        }
    }

    /// Writes to one partition what may be written any number of times.
    pub(crate) async fn write(
        &self,
        kind: Kind,
        mut statements: Vec<(&PreparedStatement, Vec<Bind>)>,
    ) -> Result<(), Failure> {
        if statements.len() == 1
            && let Some((statement, values)) = statements.pop()
        {
            return self.run(kind, statement, Freshness::Quorum, values).await.map(|_| ());
        }
        let (mut batch, values, bytes) = batch_of(statements);
        batch.set_is_idempotent(true);
        let sending = || self.session.batch(&batch, &values);
        self.send_surely(kind, bytes, true, sending).await.map(|_| ())
    }

    /// The tables of a keyspace, as the node asked knows them.
    pub(crate) async fn table_names(&self, keyspace: &str) -> EngineResult<HashSet<String>> {
        let text = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?";
        let select = self.prepare(text.to_owned()).await.map_err(Failure::error)?;
        let values = vec![Bind::Text(keyspace.to_owned())];
        let answer = self.run(Kind::Registry, &select, Freshness::One, values).await;
        let Some(rows) = answer.map_err(Failure::error)? else { return Ok(HashSet::new()) };
        let corrupt = |text: String| EngineError::Corrupt(format!("the schema: {text}"));
        let rows = rows.rows::<(String,)>().map_err(|error| corrupt(error.to_string()))?;
        let names = rows.map(|row| row.map(|(name,)| name));
        names.collect::<Result<_, _>>().map_err(|error| corrupt(error.to_string()))
    }

    /// Changes the schema and waits until all nodes that are up agree on it. The statement must be one whose
    /// repetition changes nothing.
    pub(crate) async fn change_schema(&self, text: &str) -> EngineResult<()> {
        let mut attempt = 0;
        loop {
            let mut statement = scylla::statement::unprepared::Statement::new(text);
            statement.set_request_timeout(Some(SCHEMA_ANSWER_MAX));
            statement.set_is_idempotent(true);
            let sending = || self.session.query_unpaged(statement.clone(), ());
            match self.send(Kind::Schema, text.len(), sending).await {
                Ok(_) => return Ok(()),
                Err(failure) if attempt + 1 >= SCHEMA_ATTEMPTS => {
                    return Err(failure.error());
                }
                Err(failure) => {
                    tracing::warn!(?failure, "a change of the schema is tried again");
                    tokio::time::sleep(Duration::from_millis(100 << attempt)).await;
                    attempt += 1;
                }
            }
        }
    }
}

/// A read with its values.
pub(crate) struct BoundRead<'a> {
    pub(crate) statement: &'a PreparedStatement,
    pub(crate) freshness: Freshness,
    /// Whether a node may give it up, so that a second one is not worth waiting for.
    pub(crate) may_be_given_up: bool,
    pub(crate) values: Vec<Bind>,
}
