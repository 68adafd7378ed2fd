//! BatchExecuteStatement: statements that name one item each, independent of each other.

use std::collections::BTreeSet;
use std::sync::Arc;

use zenobe_model::capacity::{ConsumedCapacity, HalfUnits};
use zenobe_model::operation::{
    BatchExecuteStatementRequest, BatchExecuteStatementResponse, BatchStatementResponse,
    ReturnConsumedCapacity, Statement,
};
use zenobe_model::partiql::{self, Columns, CompiledStatement, Select};
use zenobe_model::{EncodedItem, ServiceError};
use zenobe_storage::RowPlace;

use super::super::capacity;
use super::write::PlannedWrite;
use super::{parameters, select, write};
use crate::catalog::Table;
use crate::read::{self, Source};
use crate::{Inner, join, key};

/// A statement of a batch, ready to run.
enum Planned {
    Read(ItemRead),
    Write(Box<PlannedWrite>),
}

/// A read of one item.
struct ItemRead {
    table: Arc<Table>,
    place: RowPlace,
    columns: Option<Columns>,
    consistent: bool,
}

/// What a statement of a batch came to.
struct Outcome {
    response: BatchStatementResponse,
    capacity: Option<ConsumedCapacity>,
}

/// BatchExecuteStatement.
///
/// # Errors
/// The service's errors that concern the batch; those of a statement are part of the answer.
pub(crate) async fn batch_execute_statement(
    db: &Inner,
    request: BatchExecuteStatementRequest,
) -> Result<BatchExecuteStatementResponse, ServiceError> {
    let kinds: BTreeSet<bool> =
        request.statements.iter().filter_map(|one| partiql::reads(&one.text)).collect();
    if kinds.len() > 1 {
        return Err(ServiceError::validation(
            "Read and write requests together in the same batch is not supported.",
        ));
    }
    let planned: Vec<Result<Planned, ServiceError>> =
        request.statements.into_iter().map(|statement| plan(db, statement)).collect();
    check_distinct(&planned)?;
    let wanted = request.return_consumed_capacity;
    let runs = planned.into_iter().map(|planned| run(db, planned, wanted)).collect();
    let mut responses = Vec::new();
    let mut consumed = Vec::new();
    for outcome in join::all(runs).await {
        responses.push(outcome.response);
        consumed.extend(outcome.capacity);
    }
    Ok(BatchExecuteStatementResponse {
        responses,
        consumed_capacity: (wanted != ReturnConsumedCapacity::None).then_some(consumed),
    })
}

fn plan(db: &Inner, statement: Statement) -> Result<Planned, ServiceError> {
    let parameters = parameters(statement.parameters)?;
    match partiql::compile(&statement.text, &parameters)? {
        CompiledStatement::Select(select) => {
            plan_read(db, select, statement.consistent_read).map(Planned::Read)
        }
        other => {
            let write = write::plan(db, other, statement.return_values_on_condition_check_failure)?;
            Ok(Planned::Write(Box::new(write)))
        }
    }
}

fn plan_read(db: &Inner, select: Select, consistent: bool) -> Result<ItemRead, ServiceError> {
    let table = db.catalog.table(&select.table)?;
    let source = select::source_of(&table, select.index.as_deref(), false)?;
    let columns = select.columns.map_err(|error| *error)?;
    let unspecified = || {
        ServiceError::validation(
            "Select statements within BatchExecuteStatement must specify the primary key in the where clause.",
        )
    };
    let Some(condition) = select.condition.filter(|_| matches!(source, Source::Table)) else {
        return Err(unspecified());
    };
    key::check_paths(&table, columns.iter().flat_map(Columns::paths).chain(condition.paths()))?;
    select::check_reads(&table, source, &condition)?;
    let mut named = write::key_names(&table).item(Some(&condition), true);
    if !named.rest.is_empty() || !select.order_by.is_empty() {
        return Err(unspecified());
    }
    let key = write::whole_key(&table, &mut named).ok_or_else(unspecified)?;
    write::check_key_types(&table, &key)?;
    let place = key::place_of_key(&table, &key)?;
    Ok(ItemRead { table, place, columns, consistent })
}

/// No two statements are about the same item.
fn check_distinct(planned: &[Result<Planned, ServiceError>]) -> Result<(), ServiceError> {
    let mut seen = BTreeSet::new();
    for planned in planned.iter().flatten() {
        let (table, place) = match planned {
            Planned::Read(read) => (&read.table, &read.place),
            Planned::Write(write) => (&write.write.table, &write.write.place),
        };
        if !seen.insert((&table.id, &place.partition, &place.sort)) {
            return Err(ServiceError::validation("Provided list of item keys contains duplicates"));
        }
    }
    Ok(())
}

async fn run(
    db: &Inner,
    planned: Result<Planned, ServiceError>,
    wanted: ReturnConsumedCapacity,
) -> Outcome {
    let planned = match planned {
        Ok(planned) => planned,
        // It did not get as far as its table.
        Err(error) => {
            let response =
                BatchStatementResponse { error: Some(error), ..BatchStatementResponse::default() };
            return Outcome { response, capacity: None };
        }
    };
    let (table, result) = match &planned {
        Planned::Read(read) => {
            let result = read.run(db).await.map(|(item, units)| {
                let none = HalfUnits(0);
                (item, capacity::of_read(&read.table, Source::Table, units, none, wanted))
            });
            (&read.table, result)
        }
        Planned::Write(write) => {
            let table = &write.write.table;
            let result = write.run(db).await.map(|(item, written)| {
                (item, capacity::of_writes(table, std::iter::once(&written), wanted))
            });
            (table, result)
        }
    };
    let table_name = Some(table.name.clone());
    match result {
        Ok((item, capacity)) => {
            Outcome { response: BatchStatementResponse { table_name, item, error: None }, capacity }
        }
        Err(error) => Outcome {
            response: BatchStatementResponse { table_name, item: None, error: Some(error) },
            capacity: None,
        },
    }
}

impl ItemRead {
    /// The item, if there is one, and what reading it consumes.
    ///
    /// # Errors
    /// Of the engine.
    async fn run(&self, db: &Inner) -> Result<(Option<EncodedItem>, HalfUnits), ServiceError> {
        let key = key::item_key(&self.table, self.place.clone());
        let row = read::row(db, key, self.consistent).await?;
        let item = row.map(|row| crate::write::decode(row.value)).transpose()?;
        let units =
            HalfUnits::read(item.as_ref().map_or(0, EncodedItem::size_bytes), self.consistent);
        let item = match (&self.columns, item) {
            (Some(columns), Some(item)) => Some(columns.project(&item)),
            (_, item) => item,
        };
        Ok((item, units))
    }
}
