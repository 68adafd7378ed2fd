//! DynamoDB's semantics over the engine seam.
//!
//! # What happens to a request
//!
//! [`Database::execute`] takes a typed [`Request`] and answers a typed [`Response`] or the
//! [`ServiceError`] that the client sees. What can be checked without knowing the table is checked
//! by `zenobe_model::compile`; then names are resolved against the [`catalog`], keys are encoded
//! ([`key`]), and the operation reads ([`read`]) or writes ([`write`]) through the engine.
//!
//! # Invariants
//!
//! - No concrete engine is named here, and no protocol: bytes of JSON stay in `zenobe-wire`.
//! - [`write`] is the only code that changes items; [`index`] alone says which index entries follow.
//! - Which shard of a stream a write's record goes to is not the table's snapshot's to say: see
//!   [`stream`].
//! - A write holds its `Arc<Table>` from the moment it looked the table up until its commit is
//!   ordered. So once a table's descriptor was replaced and the last reference to the old one is
//!   gone, every later commit follows the new one: an index backfill waits for exactly that.
//! - Time, randomness and sleeping come through [`Environment`].

pub mod background;
pub mod catalog;
pub mod check;
pub mod environment;
mod fault;
pub mod index;
mod join;
pub mod key;
mod latch;
mod ops;
pub mod read;
pub mod stream;
mod transact;
mod ttl;
pub mod write;

use std::sync::Arc;
use std::time::Duration;

use zenobe_model::ServiceError;
use zenobe_model::operation::{Request, Response};
use zenobe_storage::{Engine, EngineError, Figure};

use crate::background::Background;
use crate::catalog::Catalog;
use crate::environment::{Environment, HybridClock};
use crate::latch::Latches;
use crate::stream::StreamConfig;
use crate::transact::Tokens;

/// What the database is told about the place where it runs.
#[derive(Clone, Debug)]
pub struct DatabaseConfig {
    /// The AWS Region that ARNs name, such as `us-east-1`.
    pub region: String,
    /// The AWS account that ARNs name: twelve digits.
    pub account_id: String,
    /// What DescribeEndpoints answers where a request does not say it, host with port; `None`: the service's own form.
    pub endpoint: Option<String>,
    /// How streams are kept.
    pub streams: StreamConfig,
    /// How long the work that deletes expired items rests before it looks again.
    pub ttl_interval: Duration,
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self {
            region: "us-east-1".to_owned(),
            account_id: "000000000000".to_owned(),
            endpoint: None,
            streams: StreamConfig::default(),
            ttl_interval: Duration::from_secs(5),
        }
    }
}

/// A database over one engine. Cheap to clone; all clones are the same database.
#[derive(Clone)]
pub struct Database {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) catalog: Catalog,
    pub(crate) environment: Arc<dyn Environment>,
    pub(crate) config: DatabaseConfig,
    pub(crate) clock: HybridClock,
    pub(crate) latches: Latches,
    pub(crate) background: Background,
    pub(crate) tokens: Tokens,
}

/// Why a database did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A stored table descriptor does not decode.
    #[error("the catalogue is corrupt: {0}")]
    CorruptCatalog(String),
    /// A table's stream could not be opened.
    #[error("a stream could not be opened: {0}")]
    Streams(String),
}

impl Database {
    /// Opens the database that `engine` holds; an empty engine is an empty database.
    ///
    /// # Errors
    /// [`OpenError`] when the engine fails or the catalogue cannot be read.
    pub async fn open(
        engine: Arc<dyn Engine>,
        environment: Arc<dyn Environment>,
        config: DatabaseConfig,
    ) -> Result<Self, OpenError> {
        let catalog = Catalog::open(engine.as_ref(), environment.as_ref(), &config).await?;
        engine.create_space(transact::SPACE).await?;
        let clock = HybridClock::new(environment.random());
        let inner = Arc::new(Inner {
            engine,
            catalog,
            environment,
            config,
            clock,
            latches: Latches::default(),
            background: Background::default(),
            tokens: Tokens::default(),
        });
        stream::upkeep::forget_again(&inner).await?;
        stream::adopt(&inner).await.map_err(|error| OpenError::Streams(error.message))?;
        Ok(Self { inner })
    }

    /// Figures for the metrics page: the engine's and the database's own.
    #[must_use]
    pub fn figures(&self) -> Vec<Figure> {
        let mut figures = self.inner.engine.figures();
        figures.extend(self.inner.catalog.streams.figures());
        figures.extend(self.inner.background.figures());
        figures.push(Figure {
            name: "processes",
            help: "Processes that share the store, this one included.",
            value: self.inner.catalog.member_count() as f64,
        });
        figures
    }

    /// The engine beneath.
    #[must_use]
    pub fn engine(&self) -> &Arc<dyn Engine> {
        &self.inner.engine
    }

    /// Executes one request.
    ///
    /// # Errors
    /// The error that the client sees.
    pub async fn execute(&self, request: Request) -> Result<Response, ServiceError> {
        ops::execute(&self.inner, request).await
    }

    /// Executes one request that came in under a host, with port: that is what DescribeEndpoints answers, because the
    /// client has just reached it. No address of this process says what leads to it from there.
    ///
    /// # Errors
    /// The error that the client sees.
    pub async fn execute_at(
        &self,
        request: Request,
        host: Option<&str>,
    ) -> Result<Response, ServiceError> {
        match (&request, host) {
            (Request::DescribeEndpoints, Some(host)) => {
                Ok(Response::DescribeEndpoints(ops::endpoint(host.to_owned())))
            }
            _ => self.execute(request).await,
        }
    }
}

/// What the client sees when the engine fails. The cause is logged here, once, unless it lasts: then
/// the engine has said so when it began, and requests do not say it again.
pub(crate) fn engine_failure(error: &EngineError) -> ServiceError {
    use zenobe_model::ErrorCode;
    match error {
        EngineError::NoSpace(_)
        | EngineError::Full(_)
        | EngineError::WritesRefused(_)
        | EngineError::Overloaded(_)
        | EngineError::Closed => tracing::debug!(%error, "the engine refused"),
        EngineError::Corrupt(_)
        | EngineError::Unavailable(_)
        | EngineError::TooLarge(_)
        | EngineError::Unsupported(_) => tracing::error!(%error, "the engine failed"),
    }
    match error {
        // A table that is dropped while a request runs on it is gone for that request, too.
        EngineError::NoSpace(_) => {
            ServiceError::new(ErrorCode::ResourceNotFound, "Requested resource not found")
        }
        EngineError::Unavailable(_) | EngineError::Closed => ServiceError::new(
            ErrorCode::ServiceUnavailable,
            "The service is currently unavailable or busy.",
        ),
        EngineError::Overloaded(_) => ServiceError::new(
            ErrorCode::RequestLimitExceeded,
            "Throughput exceeds the current throughput limit for your account. Please contact AWS Support at https://aws.amazon.com/support request a limit increase",
        ),
        EngineError::Full(_) => ServiceError::new(
            ErrorCode::InternalServer,
            "Internal server error: no room for more writes",
        ),
        EngineError::WritesRefused(_) => ServiceError::new(
            ErrorCode::InternalServer,
            "Internal server error: a write to disk failed; writes are refused until the server restarts",
        ),
        EngineError::Corrupt(_) => {
            ServiceError::new(ErrorCode::InternalServer, "Internal server error: corrupt data")
        }
        EngineError::TooLarge(_) | EngineError::Unsupported(_) => ServiceError::internal(),
    }
}
