//! Requests and responses of the operations on PartiQL statements.

use super::{Parsed, ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure};
use crate::capacity::ConsumedCapacity;
use crate::codec::EncodedItem;
use crate::error::ServiceError;
use crate::value::{AttributeValue, Item};

/// A statement with its parameters: also one of a batch or a transaction.
#[derive(Clone, Debug, Default)]
pub struct Statement {
    /// `Statement`
    pub text: String,
    /// `Parameters`, each with its own error.
    pub parameters: Vec<Parsed<AttributeValue>>,
    /// `ConsistentRead`; transactions do not have it.
    pub consistent_read: bool,
    /// `ReturnValuesOnConditionCheckFailure`
    pub return_values_on_condition_check_failure: ReturnValuesOnConditionCheckFailure,
}

/// `ExecuteStatement`.
#[derive(Clone, Debug, Default)]
pub struct ExecuteStatementRequest {
    /// The statement.
    pub statement: Statement,
    /// `NextToken`
    pub next_token: Option<String>,
    /// `Limit`, at least 1.
    pub limit: Option<u32>,
    /// `ReturnConsumedCapacity`
    pub return_consumed_capacity: ReturnConsumedCapacity,
}

/// `BatchExecuteStatement`.
#[derive(Clone, Debug, Default)]
pub struct BatchExecuteStatementRequest {
    /// `Statements`, 1 to 25.
    pub statements: Vec<Statement>,
    /// `ReturnConsumedCapacity`
    pub return_consumed_capacity: ReturnConsumedCapacity,
}

/// `ExecuteTransaction`.
#[derive(Clone, Debug, Default)]
pub struct ExecuteTransactionRequest {
    /// `TransactStatements`, 1 to 100.
    pub statements: Vec<Statement>,
    /// `ClientRequestToken`
    pub client_request_token: Option<String>,
    /// `ReturnConsumedCapacity`
    pub return_consumed_capacity: ReturnConsumedCapacity,
}

/// Answer of `ExecuteStatement`.
#[derive(Clone, Debug, Default)]
pub struct ExecuteStatementResponse {
    /// `Items`
    pub items: Vec<EncodedItem>,
    /// `NextToken`
    pub next_token: Option<String>,
    /// `LastEvaluatedKey`
    pub last_evaluated_key: Option<Item>,
    /// `ConsumedCapacity`
    pub consumed_capacity: Option<ConsumedCapacity>,
}

/// What one statement of a batch answers.
#[derive(Clone, Debug, Default)]
pub struct BatchStatementResponse {
    /// `TableName`; absent when the statement was refused before it ran.
    pub table_name: Option<String>,
    /// `Item`
    pub item: Option<EncodedItem>,
    /// `Error`
    pub error: Option<ServiceError>,
}

/// Answer of `BatchExecuteStatement`.
#[derive(Clone, Debug, Default)]
pub struct BatchExecuteStatementResponse {
    /// `Responses`, in the order of the statements.
    pub responses: Vec<BatchStatementResponse>,
    /// `ConsumedCapacity`: of each statement that ran, in their order.
    pub consumed_capacity: Option<Vec<ConsumedCapacity>>,
}
