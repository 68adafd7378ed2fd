//! One file per operation family: from a typed request to a typed response.

mod account;
mod batch;
mod capacity;
mod item;
mod partiql;
mod query;
mod stream;
mod table;
mod tags;
mod time_to_live;
pub(crate) mod transact;

use std::sync::Arc;

use zenobe_model::operation::{Request, Response};
use zenobe_model::{ErrorCode, ServiceError};

pub(crate) use self::account::endpoint;
pub(crate) use self::table::stream_label;
use zenobe_storage::BoxFuture;

use crate::Inner;

/// Executes one request.
pub(crate) async fn execute(db: &Arc<Inner>, request: Request) -> Result<Response, ServiceError> {
    if db.catalog.is_shared() { execute_shared(db, request).await } else { run(db, request).await }
}

/// Executes one request where other processes may have changed the catalogue: what is about tables looks at
/// it first, and what does not find something looks again.
fn execute_shared(
    db: &Arc<Inner>,
    request: Request,
) -> BoxFuture<'_, Result<Response, ServiceError>> {
    Box::pin(async move {
        if is_about_tables(&request) {
            db.catalog.refresh(db).await?;
            return run(db, request).await;
        }
        let before = db.catalog.known();
        let result = run(db, request.clone()).await;
        let is_missing = matches!(&result, Err(error) if error.code == ErrorCode::ResourceNotFound);
        if is_missing {
            db.catalog.refresh(db).await?;
            // Perhaps somebody else has looked meanwhile.
            if db.catalog.known() != before {
                return run(db, request).await;
            }
        }
        result
    })
}

/// Whether a request is about what the catalogue holds rather than about items and records.
const fn is_about_tables(request: &Request) -> bool {
    match request {
        Request::CreateTable(_)
        | Request::DeleteTable(_)
        | Request::DescribeStream(_)
        | Request::DescribeTable(_)
        | Request::DescribeTimeToLive(_)
        | Request::ListStreams(_)
        | Request::ListTables(_)
        | Request::ListTagsOfResource(_)
        | Request::TagResource(_)
        | Request::UntagResource(_)
        | Request::UpdateTable(_)
        | Request::UpdateTimeToLive(_) => true,
        Request::BatchExecuteStatement(_)
        | Request::BatchGetItem(_)
        | Request::BatchWriteItem(_)
        | Request::DeleteItem(_)
        | Request::DescribeEndpoints
        | Request::DescribeLimits
        | Request::ExecuteStatement(_)
        | Request::ExecuteTransaction(_)
        | Request::GetItem(_)
        | Request::GetRecords(_)
        | Request::GetShardIterator(_)
        | Request::PutItem(_)
        | Request::Query(_)
        | Request::Scan(_)
        | Request::TransactGetItems(_)
        | Request::TransactWriteItems(_)
        | Request::UpdateItem(_) => false,
    }
}

#[expect(clippy::too_many_lines, reason = "one arm for each operation")]
async fn run(db: &Arc<Inner>, request: Request) -> Result<Response, ServiceError> {
    Ok(match request {
        Request::BatchExecuteStatement(request) => {
            Response::BatchExecuteStatement(partiql::batch_execute_statement(db, *request).await?)
        }
        Request::BatchGetItem(request) => {
            Response::BatchGetItem(batch::batch_get_item(db, *request).await?)
        }
        Request::BatchWriteItem(request) => {
            Response::BatchWriteItem(batch::batch_write_item(db, *request).await?)
        }
        Request::CreateTable(request) => {
            Response::CreateTable(table::create_table(db, *request).await?)
        }
        Request::DeleteItem(request) => {
            Response::DeleteItem(item::delete_item(db, *request).await?)
        }
        Request::DeleteTable(request) => {
            Response::DeleteTable(table::delete_table(db, *request).await?)
        }
        Request::DescribeEndpoints => Response::DescribeEndpoints(account::describe_endpoints(db)),
        Request::DescribeLimits => Response::DescribeLimits(account::describe_limits()),
        Request::DescribeStream(request) => {
            Response::DescribeStream(stream::describe_stream(db, &request).await?)
        }
        Request::DescribeTable(request) => {
            Response::DescribeTable(table::describe_table(db, &request).await?)
        }
        Request::DescribeTimeToLive(request) => {
            Response::DescribeTimeToLive(time_to_live::describe(db, &request)?)
        }
        Request::ExecuteStatement(request) => {
            Response::ExecuteStatement(partiql::execute_statement(db, *request).await?)
        }
        Request::ExecuteTransaction(request) => {
            Response::ExecuteTransaction(partiql::execute_transaction(db, *request).await?)
        }
        Request::GetItem(request) => Response::GetItem(item::get_item(db, *request).await?),
        Request::GetRecords(request) => {
            Response::GetRecords(stream::get_records(db, &request).await?)
        }
        Request::GetShardIterator(request) => {
            Response::GetShardIterator(stream::get_shard_iterator(db, &request).await?)
        }
        Request::ListStreams(request) => Response::ListStreams(stream::list_streams(db, &request)?),
        Request::ListTables(request) => Response::ListTables(table::list_tables(db, &request)),
        Request::ListTagsOfResource(request) => {
            Response::ListTagsOfResource(tags::list_tags_of_resource(db, &request)?)
        }
        Request::PutItem(request) => Response::PutItem(item::put_item(db, *request).await?),
        Request::Query(request) => Response::Query(query::query(db, *request).await?),
        Request::Scan(request) => Response::Scan(query::scan(db, *request).await?),
        Request::TagResource(request) => {
            tags::tag_resource(db, *request).await?;
            Response::TagResource
        }
        Request::TransactGetItems(request) => {
            Response::TransactGetItems(transact::transact_get_items(db, *request).await?)
        }
        Request::TransactWriteItems(request) => {
            Response::TransactWriteItems(transact::transact_write_items(db, *request).await?)
        }
        Request::UntagResource(request) => {
            tags::untag_resource(db, *request).await?;
            Response::UntagResource
        }
        Request::UpdateItem(request) => {
            Response::UpdateItem(item::update_item(db, *request).await?)
        }
        Request::UpdateTable(request) => {
            Response::UpdateTable(table::update_table(db, *request).await?)
        }
        Request::UpdateTimeToLive(request) => {
            Response::UpdateTimeToLive(time_to_live::update(db, *request).await?)
        }
    })
}
