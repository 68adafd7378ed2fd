//! ExecuteTransaction: the same transactions as TransactWriteItems and TransactGetItems.
//!
//! What the service finds wrong, in its order: a parameter, a statement, a statement that a
//! transaction does not take (all refuse the request); tables that there are not and keys that do
//! not fit (they cancel it, with a reason for each statement); two statements for one item.

use std::collections::BTreeSet;
use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;
use zenobe_model::codec::ItemHeader;
use zenobe_model::error::{CancellationReason, Detail};
use zenobe_model::expression::Condition;
use zenobe_model::operation::{
    ExecuteTransactionRequest, ReturnItemCollectionMetrics, ReturnValuesOnConditionCheckFailure,
    Statement, TransactGetItemsResponse,
};
use zenobe_model::partiql::{self, Columns, CompiledStatement, Select};
use zenobe_model::{AttributeValue, EncodedItem, ErrorCode, Item, ServiceError};
use zenobe_storage::{Key, RowPlace};

use super::super::item::{check_condition_paths, check_update, place_of_new};
use super::super::transact::{ItemRead, WriteTransaction, read_transaction};
use super::{parameters, select, write};
use crate::catalog::Table;
use crate::fault::Fault;
use crate::key::ItemKeyWords;
use crate::read::Source;
use crate::transact::Token;
use crate::write::{Change, ItemWrite};
use crate::{Inner, key};

/// A statement with what its text came to.
struct Compiled {
    statement: CompiledStatement,
    return_item_on_failure: bool,
}

/// ExecuteTransaction.
///
/// # Errors
/// The service's errors.
pub(crate) async fn execute_transaction(
    db: &Inner,
    request: ExecuteTransactionRequest,
) -> Result<TransactGetItemsResponse, ServiceError> {
    let wanted = request.return_consumed_capacity;
    let (compiled, fingerprint) = compile(request.statements)?;
    let kinds: BTreeSet<bool> =
        compiled.iter().map(|one| matches!(one.statement, CompiledStatement::Select(_))).collect();
    if kinds.len() > 1 {
        return Err(ServiceError::validation(
            "ExecuteTransaction API does not support both read and write operations in the same request.",
        ));
    }
    if kinds.contains(&true) {
        let planned = plan(db, compiled, plan_read, |(read, _)| read.key())?;
        let (reads, columns): (Vec<ItemRead>, Vec<Option<Columns>>) = planned.into_iter().unzip();
        let mut response = read_transaction(db, &reads, wanted).await?;
        for (item, columns) in response.responses.iter_mut().zip(&columns) {
            if let (Some(item), Some(columns)) = (item, columns) {
                *item = columns.project(item);
            }
        }
        return Ok(response);
    }
    let names = compiled.iter().map(|one| one.statement.table().to_owned()).collect();
    let writes = plan(db, compiled, plan_write, ItemWrite::key)?;
    let inserts: Vec<bool> =
        writes.iter().map(|write| matches!(write.change, Change::Put(_))).collect();
    let transaction = WriteTransaction {
        table_names: names,
        writes,
        token: request.client_request_token.map(|name| Token { name, fingerprint }),
        return_consumed_capacity: wanted,
        return_item_collection_metrics: ReturnItemCollectionMetrics::None,
    };
    let response = transaction.run(db).await.map_err(|error| name_duplicates(error, &inserts))?;
    Ok(TransactGetItemsResponse {
        consumed_capacity: response.consumed_capacity,
        responses: Vec::new(),
    })
}

/// Compiles all statements. The fingerprint is of what must be the same when a token comes again; it
/// is stored, so it never changes.
fn compile(statements: Vec<Statement>) -> Result<(Vec<Compiled>, u128), ServiceError> {
    let mut hash = Xxh3::new();
    let mut given = Vec::with_capacity(statements.len());
    for statement in statements {
        let on_failure = statement.return_values_on_condition_check_failure;
        let parameters = parameters(statement.parameters)?;
        add_to_fingerprint(&mut hash, &statement.text, &parameters, on_failure);
        given.push((statement.text, parameters, on_failure));
    }
    for (text, ..) in &given {
        partiql::check_grammar(text)?;
    }
    let mut compiled = Vec::with_capacity(given.len());
    for (ordinal, (text, parameters, on_failure)) in given.into_iter().enumerate() {
        let statement =
            partiql::compile(&text, &parameters).map_err(|error| in_statement(ordinal, error))?;
        compiled.push(Compiled {
            statement,
            return_item_on_failure: on_failure == ReturnValuesOnConditionCheckFailure::AllOld,
        });
    }
    Ok((compiled, hash.digest128().max(1)))
}

fn add_to_fingerprint(
    hash: &mut Xxh3,
    text: &str,
    parameters: &[AttributeValue],
    on_failure: ReturnValuesOnConditionCheckFailure,
) {
    hash.update(b"PartiQL");
    hash.update(&[on_failure as u8]);
    hash.update(&(text.len() as u64).to_be_bytes());
    hash.update(text.as_bytes());
    let values: Item = parameters
        .iter()
        .enumerate()
        .map(|(ordinal, value)| (format!("{ordinal:05}"), value.clone()))
        .collect();
    let encoded = EncodedItem::encode(&values, ItemHeader::default());
    hash.update(&(encoded.bytes().len() as u64).to_be_bytes());
    hash.update(encoded.bytes());
}

/// An error of a statement that refuses the whole request.
fn in_statement(ordinal: usize, error: ServiceError) -> ServiceError {
    let message = format!("Validation failed in TransactStatements[{ordinal}]: {}", error.message);
    ServiceError { message, ..error }
}

/// What planning one statement came to.
enum Misfit {
    /// The statement is none that a transaction takes.
    Refused(ServiceError),
    /// It does not fit its table.
    Fault(Fault),
}

impl From<Fault> for Misfit {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<ServiceError> for Misfit {
    fn from(error: ServiceError) -> Self {
        Self::Fault(Fault::Action(error))
    }
}

fn refused(message: &str) -> Misfit {
    Misfit::Refused(ServiceError::validation(message))
}

/// Plans all statements against their tables.
fn plan<T>(
    db: &Inner,
    statements: Vec<Compiled>,
    plan_one: impl Fn(Arc<Table>, Compiled) -> Result<T, Misfit>,
    key_of: impl Fn(&T) -> Key,
) -> Result<Vec<T>, ServiceError> {
    let mut planned = Vec::with_capacity(statements.len());
    let mut reasons: Vec<Option<ServiceError>> = Vec::with_capacity(statements.len());
    for (ordinal, statement) in statements.into_iter().enumerate() {
        let result = match db.catalog.table(statement.statement.table()) {
            Ok(table) => plan_one(table, statement),
            Err(error) => Err(Misfit::from(error)),
        };
        match result {
            Ok(one) => {
                planned.push(one);
                reasons.push(None);
            }
            Err(Misfit::Refused(error)) => return Err(in_statement(ordinal, error)),
            Err(Misfit::Fault(Fault::Request(error))) => return Err(error),
            Err(Misfit::Fault(Fault::Action(error))) => reasons.push(Some(error)),
        }
    }
    if reasons.iter().any(Option::is_some) {
        return Err(ServiceError::cancelled(reasons));
    }
    let keys: BTreeSet<Key> = planned.iter().map(key_of).collect();
    if keys.len() < planned.len() {
        return Err(ServiceError::validation(
            "Transaction request cannot include multiple operations on one item",
        ));
    }
    Ok(planned)
}

fn plan_read(table: Arc<Table>, compiled: Compiled) -> Result<(ItemRead, Option<Columns>), Misfit> {
    let CompiledStatement::Select(Select { index, columns, condition, .. }) = compiled.statement
    else {
        return Err(Misfit::from(ServiceError::internal()));
    };
    if index.is_some() {
        return Err(refused("Reads on indices are not supported within transactions."));
    }
    let columns = columns.map_err(|error| Misfit::Refused(*error))?;
    let unspecified = || {
        refused(
            "Select statements within ExecuteTransaction must specify the primary key in the where clause.",
        )
    };
    let Some(condition) = condition else { return Err(unspecified()) };
    key::check_paths(&table, columns.iter().flat_map(Columns::paths).chain(condition.paths()))?;
    let mut named = write::key_names(&table).item(Some(&condition), true);
    let rest = std::mem::take(&mut named.rest);
    let key = write::whole_key(&table, &mut named).filter(|_| rest.is_empty());
    let Some(key) = key else {
        // Why it could not be read at all comes first.
        select::check_reads(&table, Source::Table, &condition).map_err(Misfit::Refused)?;
        return Err(unspecified());
    };
    let place = key::place_of_key(&table, &key)?;
    Ok((ItemRead { table, place, projection: None }, columns))
}

fn plan_write(table: Arc<Table>, compiled: Compiled) -> Result<ItemWrite, Misfit> {
    let return_item_on_failure = compiled.return_item_on_failure;
    let write = match compiled.statement {
        CompiledStatement::Insert(insert) => {
            let item = EncodedItem::from(insert.item);
            let place = place_of_new(&table, &item, ItemKeyWords::Named)?;
            return Ok(write::insert_write(table, place, item));
        }
        CompiledStatement::Update(update) => {
            check_returning(update.returning.is_some())?;
            let Named { place, key, rest } = named(&table, update.condition.as_ref())?;
            check_update(&table, Some(&update.update))?;
            let change = Change::Update { key, update: Some(update.update) };
            write::update_write(table, place, change, rest)
        }
        CompiledStatement::Delete(delete) => {
            check_returning(delete.returning.is_some())?;
            let Named { place, key, rest } = named(&table, delete.condition.as_ref())?;
            write::delete_write(table, place, key, rest)
        }
        CompiledStatement::Exists(select) => plan_check(table, select)?,
        CompiledStatement::Select(_) => return Err(Misfit::from(ServiceError::internal())),
    };
    Ok(ItemWrite { return_item_on_failure, ..write })
}

fn check_returning(returning: bool) -> Result<(), Misfit> {
    if returning {
        return Err(refused("RETURNING clause is not supported in ExecuteTransaction."));
    }
    Ok(())
}

/// The item that the condition of a write names.
struct Named {
    place: RowPlace,
    key: Item,
    rest: Vec<Condition>,
}

fn named(table: &Arc<Table>, condition: Option<&Condition>) -> Result<Named, Misfit> {
    check_condition_paths(table, condition)?;
    let mut named = write::key_names(table).item(condition, false);
    let rest = std::mem::take(&mut named.rest);
    let conflict = named.conflict.is_some();
    let key = write::whole_key(table, &mut named).filter(|_| !conflict).ok_or_else(|| {
        ServiceError::validation("The provided key element does not match the schema")
    })?;
    let place = key::place_of_key(table, &key)?;
    Ok(Named { place, key, rest })
}

/// `EXISTS(SELECT …)`: the item must be there and satisfy what is said beside its key.
fn plan_check(table: Arc<Table>, select: Select) -> Result<ItemWrite, Misfit> {
    if select.index.is_some() {
        return Err(refused("Operations on indices are not supported in transactions"));
    }
    check_condition_paths(&table, select.condition.as_ref())?;
    let mut named = write::key_names(&table).item(select.condition.as_ref(), false);
    let rest = std::mem::take(&mut named.rest);
    let key = write::whole_key(&table, &mut named).filter(|_| !rest.is_empty());
    let Some(key) = key else {
        return Err(refused("EXISTS() must contain a single item read with additional condition"));
    };
    let place = key::place_of_key(&table, &key)?;
    Ok(write::update_write(table, place, Change::Check { key }, rest))
}

/// An INSERT whose item exists has a reason of its own.
fn name_duplicates(mut error: ServiceError, inserts: &[bool]) -> ServiceError {
    let Detail::Reasons(reasons) = &mut error.detail else { return error };
    for (reason, insert) in reasons.iter_mut().zip(inserts) {
        if let (true, Some((code @ ErrorCode::ConditionalCheckFailed, message))) =
            (*insert, &mut reason.error)
        {
            *code = ErrorCode::DuplicateItem;
            write::DUPLICATE_ITEM.clone_into(message);
        }
    }
    let actions: Vec<Option<ServiceError>> = reasons.drain(..).map(action_error).collect();
    ServiceError::cancelled(actions)
}

fn action_error(reason: CancellationReason) -> Option<ServiceError> {
    let (code, message) = reason.error?;
    let detail = reason.item.map_or(Detail::None, Detail::Item);
    Some(ServiceError { code, message, detail })
}
