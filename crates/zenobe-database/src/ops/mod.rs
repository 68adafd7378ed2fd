//! One file per operation family.

use std::sync::Arc;

use zenobe_model::ServiceError;
use zenobe_model::operation::{Request, Response};

use crate::Inner;

/// Executes one request.
pub(crate) async fn execute(_db: &Arc<Inner>, request: Request) -> Result<Response, ServiceError> {
    match request {
        _ => Err(ServiceError::internal()),
    }
}
