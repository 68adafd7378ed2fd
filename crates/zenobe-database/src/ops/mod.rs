//! One file per operation family: from a typed request to a typed response.

mod batch;
mod capacity;
mod item;
mod query;

use std::sync::Arc;

use zenobe_model::ServiceError;
use zenobe_model::operation::{Request, Response};

use crate::Inner;

/// Executes one request.
pub(crate) async fn execute(db: &Arc<Inner>, request: Request) -> Result<Response, ServiceError> {
    Ok(match request {
        Request::BatchGetItem(request) => {
            Response::BatchGetItem(batch::batch_get_item(db, *request).await?)
        }
        Request::BatchWriteItem(request) => {
            Response::BatchWriteItem(batch::batch_write_item(db, *request).await?)
        }
        Request::DeleteItem(request) => {
            Response::DeleteItem(item::delete_item(db, *request).await?)
        }
        Request::GetItem(request) => Response::GetItem(item::get_item(db, *request).await?),
        Request::PutItem(request) => Response::PutItem(item::put_item(db, *request).await?),
        Request::Query(request) => Response::Query(query::query(db, *request).await?),
        Request::Scan(request) => Response::Scan(query::scan(db, *request).await?),
        Request::UpdateItem(request) => {
            Response::UpdateItem(item::update_item(db, *request).await?)
        }
        _ => return Err(ServiceError::internal()),
    })
}
