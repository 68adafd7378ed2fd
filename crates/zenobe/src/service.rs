//! What the front door needs from the database behind it.
//!
//! The front door knows HTTP and signatures; the service knows operations. Between them go an
//! operation with its body, and a status with a body.

use std::future::Future;

use bytes::Bytes;
use zenobe_auth::Principal;
use zenobe_model::operation::Operation;
use zenobe_storage::{Figure, Health};

/// A request that was let in.
#[derive(Debug)]
pub(crate) struct ApiRequest {
    /// What to do.
    pub(crate) operation: Operation,
    /// The host that the request names, with port, where the operation is about that.
    pub(crate) host: Option<String>,
    /// The body, decompressed, not empty.
    pub(crate) body: Bytes,
    /// Who asks.
    #[expect(dead_code, reason = "authorisation by principal comes with policies")]
    pub(crate) principal: Principal,
}

/// The answer.
#[derive(Debug)]
pub(crate) struct ApiResponse {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The body.
    pub(crate) body: Bytes,
    /// The error's `__type`, for the metrics; `None` for success.
    pub(crate) error: Option<&'static str>,
}

/// The database, as the front door sees it.
pub(crate) trait Service: Send + Sync + 'static {
    /// Executes an operation. Dropping the future may leave the operation done or not done.
    fn call(&self, request: ApiRequest) -> impl Future<Output = ApiResponse> + Send;

    /// Whether a body is well-formed JSON. Asked only about requests that are refused, because
    /// DynamoDB looks at the body's form before it looks at the signature.
    fn is_json(&self, body: &[u8]) -> bool;

    /// Figures for the metrics page.
    fn figures(&self) -> Vec<Figure>;

    /// Whether writes are taken, for the health check.
    fn health(&self) -> Health;
}
