//! BatchExecuteStatement: statements that name one item each, independent of each other.

use std::collections::BTreeSet;
use std::sync::Arc;

use zenobe_model::capacity::{CapacityDetail, ConsumedCapacity, HalfUnits};
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
use crate::write::Written;
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
    /// The table that it got as far as, and what it consumed of it.
    used: Option<(Arc<Table>, Used)>,
}

/// What a statement consumed.
enum Used {
    Read(HalfUnits),
    Written(Box<Written>),
    /// It was refused.
    InVain(HalfUnits),
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
    let runs = planned.into_iter().map(|planned| run(db, planned)).collect();
    let mut responses = Vec::new();
    let mut used = Vec::new();
    for outcome in join::all(runs).await {
        responses.push(outcome.response);
        used.extend(outcome.used);
    }
    let consumed = consumed(used, wanted);
    Ok(BatchExecuteStatementResponse {
        responses,
        consumed_capacity: (!consumed.is_empty()).then_some(consumed),
    })
}

/// What statements consumed of each table, in the order in which they name them first. Tables of which none
/// succeeded are left out.
fn consumed(
    used: Vec<(Arc<Table>, Used)>,
    wanted: ReturnConsumedCapacity,
) -> Vec<ConsumedCapacity> {
    let mut tables: Vec<(Arc<Table>, Option<CapacityDetail>, HalfUnits)> = Vec::new();
    for (table, used) in used {
        let place = tables.iter().position(|(known, ..)| known.id == table.id);
        let (_, detail, in_vain) = match place.and_then(|place| tables.get_mut(place)) {
            Some(known) => known,
            None => tables.push_mut((table, None, HalfUnits::default())),
        };
        match used {
            Used::Read(units) => detail.get_or_insert_default().table += units,
            Used::Written(written) => {
                capacity::add_writes(detail.get_or_insert_default(), std::iter::once(&*written));
            }
            Used::InVain(units) => *in_vain += units,
        }
    }
    let of_table = |(table, detail, in_vain): (Arc<Table>, Option<CapacityDetail>, HalfUnits)| {
        capacity::of_statements(&table, detail?, in_vain, wanted)
    };
    tables.into_iter().filter_map(of_table).collect()
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

async fn run(db: &Inner, planned: Result<Planned, ServiceError>) -> Outcome {
    let (table, result) = match planned {
        // It did not get as far as its table.
        Err(error) => {
            let response =
                BatchStatementResponse { error: Some(error), ..BatchStatementResponse::default() };
            return Outcome { response, used: None };
        }
        Ok(Planned::Read(read)) => {
            let result = read.run(db).await.map(|(item, units)| (item, Used::Read(units)));
            (read.table, result.map_err(|error| (error, HalfUnits::default())))
        }
        Ok(Planned::Write(write)) => {
            let table = Arc::clone(&write.write.table);
            let result = write.run_in_batch(db).await;
            (table, result.map(|(item, written)| (item, Used::Written(Box::new(written)))))
        }
    };
    let table_name = Some(table.name.clone());
    let (item, error, used) = match result {
        Ok((item, used)) => (item, None, used),
        Err((error, units)) => (None, Some(error), Used::InVain(units)),
    };
    let response = BatchStatementResponse { table_name, item, error };
    Outcome { response, used: Some((table, used)) }
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
