//! ExecuteStatement, BatchExecuteStatement and ExecuteTransaction: PartiQL over the same reads and writes as the other
//! operations.
//!
//! `zenobe_model::partiql` compiles statements to conditions, paths and updates; here they meet the
//! key schema. A SELECT becomes pages of the pager ([`select`]), any other statement one
//! [`ItemWrite`] ([`write`]).
//!
//! Source: API Reference and Developer Guide, "PartiQL for DynamoDB", and the service's texts.

mod batch;
mod select;
mod token;
mod transaction;
mod write;

use zenobe_model::operation::{ExecuteStatementRequest, ExecuteStatementResponse, Parsed};
use zenobe_model::partiql::{self, CompiledStatement};
use zenobe_model::{AttributeValue, ServiceError};

pub(crate) use self::batch::batch_execute_statement;
pub(crate) use self::transaction::execute_transaction;
use super::capacity;
use crate::Inner;

/// ExecuteStatement.
///
/// # Errors
/// The service's errors.
pub(crate) async fn execute_statement(
    db: &Inner,
    request: ExecuteStatementRequest,
) -> Result<ExecuteStatementResponse, ServiceError> {
    let statement = request.statement;
    let parameters = parameters(statement.parameters)?;
    let compiled = partiql::compile(&statement.text, &parameters)?;
    let CompiledStatement::Select(select) = compiled else {
        let write = write::plan(db, compiled, statement.return_values_on_condition_check_failure)?;
        let (item, written) = write.run(db).await?;
        return Ok(ExecuteStatementResponse {
            items: item.into_iter().collect(),
            consumed_capacity: capacity::of_writes(
                &write.write.table,
                std::iter::once(&written),
                request.return_consumed_capacity,
            ),
            ..ExecuteStatementResponse::default()
        });
    };
    let page = select::PageRequest {
        text: &statement.text,
        parameters: &parameters,
        consistent: statement.consistent_read,
        limit: request.limit,
        next_token: request.next_token.as_deref(),
        wanted: request.return_consumed_capacity,
    };
    select::select(db, select, page).await
}

/// The parameters of a statement: the service looks at them before it reads the statement.
fn parameters(parsed: Vec<Parsed<AttributeValue>>) -> Result<Vec<AttributeValue>, ServiceError> {
    parsed.into_iter().map(|value| value.map_err(|error| *error)).collect()
}

/// A value of another type than the key attribute that it is for.
fn key_type_mismatch(name: &str) -> ServiceError {
    ServiceError::validation(format!(
        "Key attribute's data type should match its data type in table's schema: Key {name}"
    ))
}
