//! `GlobalSecondaryIndexUpdates` of UpdateTable.

use std::collections::BTreeSet;

use zenobe_model::operation::{
    BillingMode, GlobalSecondaryIndex, GlobalSecondaryIndexUpdate, ResourceStatus,
    TableDescription, UpdateGlobalSecondaryIndex, UpdateTableRequest, WarmThroughput,
};
use zenobe_model::{ErrorCode, ServiceError};

use super::super::settings::{self, Target};
use super::super::{limit_exceeded, schema};
use super::{Plan, check_changes, in_use, invalid, updates, validation};
use crate::catalog::{GlobalIndex, IndexState, KeyAttribute, Table};

/// Checks what can be checked without the table.
pub(super) fn check_updates(updates: &[GlobalSecondaryIndexUpdate]) -> Result<(), ServiceError> {
    let mut names = BTreeSet::new();
    for update in updates {
        let given = [
            update.update.as_ref().map(|update| &update.index_name),
            update.create.as_ref().map(|create| &create.index_name),
            update.delete.as_ref(),
        ];
        let mut given = given.into_iter().flatten();
        let Some(name) = given.next() else {
            return Err(invalid(
                "One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, GlobalSecondaryIndexUpdate.Delete must not be null",
            ));
        };
        if given.next().is_some() {
            return Err(invalid(
                "Only one global secondary index action is allowed per GlobalSecondaryIndexUpdate object",
            ));
        }
        if !names.insert(name) {
            return Err(invalid(format!(
                "Only one global secondary index update per index is allowed simultaneously. Index: {name}"
            )));
        }
        let empty = WarmThroughput::default();
        if update.update.as_ref().is_some_and(|update| update.warm_throughput == Some(empty)) {
            return Err(invalid(format!(
                "WarmThroughput must have at least one of ReadUnitsPerSecond or WriteUnitsPerSecond specified for index: {name}"
            )));
        }
    }
    Ok(())
}

/// Applies the updates to the table.
pub(super) fn apply(plan: &Plan<'_>, table: &mut Table) -> Result<(), ServiceError> {
    let updates = updates(plan.request);
    let rebuilds = updates.iter().filter(|update| update.update.is_none()).count();
    let in_flight =
        table.global_indexes.iter().any(|index| !matches!(index.state, IndexState::Active));
    for update in updates {
        if let Some(update) = &update.update {
            update_index(plan, table, update)?;
        }
        if let Some(name) = &update.delete {
            let deletes_the_one_in_flight = in_flight && check_delete(table, name)?;
            if rebuilds > 1 || (in_flight && !deletes_the_one_in_flight) {
                return Err(one_at_a_time());
            }
            check_delete(table, name)?;
            delete_index(table, name);
        }
        if let Some(create) = &update.create {
            check_create(table, create)?;
            if rebuilds > 1 || in_flight {
                return Err(one_at_a_time());
            }
            create_index(plan, table, create)?;
        }
    }
    if plan.request.billing_mode == Some(BillingMode::Provisioned) {
        let given = |index: &GlobalIndex| index.provisioned_throughput.read_capacity_units > 0;
        if let Some(index) = table.global_indexes.iter().find(|index| !given(index)) {
            return Err(invalid(format!(
                "ProvisionedThroughput must be specified for index: {}",
                index.name
            )));
        }
    }
    Ok(())
}

fn one_at_a_time() -> ServiceError {
    limit_exceeded("Only 1 online index can be created or deleted simultaneously per table")
}

/// Finds the index that an update or a deletion names.
fn find<'a>(
    table: &'a mut Table,
    name: &str,
    doing: &str,
) -> Result<&'a mut GlobalIndex, ServiceError> {
    if table.local_indexes.iter().any(|index| index.name == name) {
        return Err(validation(format!(
            "Cannot {doing} an index that is not a GlobalSecondaryIndex: {name}"
        )));
    }
    let table_name = table.name.clone();
    let index = table.global_indexes.iter_mut().find(|index| index.name == name);
    let index = index.ok_or_else(|| {
        ServiceError::new(
            ErrorCode::ResourceNotFound,
            format!("Requested resource not found: Index {name} for table {table_name}"),
        )
    })?;
    if matches!(index.state, IndexState::Deleting) {
        return Err(in_use(format!("Index is being deleted. Table: {table_name} Index: {name}")));
    }
    Ok(index)
}

fn update_index(
    plan: &Plan<'_>,
    table: &mut Table,
    update: &UpdateGlobalSecondaryIndex,
) -> Result<(), ServiceError> {
    let name = &update.index_name;
    let billing = table.billing_mode;
    let switches = plan.request.billing_mode == Some(BillingMode::Provisioned);
    let table_name = table.name.clone();
    let index = find(table, name, "update")?;
    if matches!(index.state, IndexState::Creating { .. }) {
        return Err(in_use(format!("Index is being created. Table: {table_name} Index: {name}")));
    }
    let nothing = update.on_demand_throughput.unwrap_or_default() == Default::default()
        && update.warm_throughput.is_none();
    if billing == BillingMode::PayPerRequest && (nothing || update.provisioned_throughput.is_some())
    {
        return Err(invalid(format!(
            "The only Updates for index: {name} when TableThroughputMode is PAY_PER_REQUEST can be to OnDemandThroughput, WarmThroughput"
        )));
    }
    if nothing && update.provisioned_throughput.is_none() {
        return Err(invalid(format!("ProvisionedThroughput must be specified for index: {name}")));
    }
    let target = Target::Index(name);
    if let Some(wanted) =
        settings::on_demand(update.on_demand_throughput, billing, target, plan.region)?
    {
        index.on_demand_throughput =
            settings::merged_on_demand(index.on_demand_throughput, wanted).1;
    }
    let warm =
        settings::effective_warm(index.warm_throughput, billing, index.provisioned_throughput);
    if let Some(wanted) = update.provisioned_throughput {
        settings::check_bounds(wanted, target, plan.region)?;
        if !switches {
            let whose = format!("the index {name}");
            let units = format!("index {name}");
            check_changes(index.provisioned_throughput, wanted, &whose, &units)?;
        }
        index.warm_throughput = Some(settings::warmed(warm));
        index.provisioned_throughput =
            settings::changed(index.provisioned_throughput, wanted, plan.now_ms);
    }
    if let Some(wanted) = update.warm_throughput {
        index.warm_throughput = Some(settings::raised_warm(warm, wanted, target, plan.region)?);
    }
    Ok(())
}

/// Checks that an index may be deleted; says whether it is the one that is being created.
fn check_delete(table: &Table, name: &str) -> Result<bool, ServiceError> {
    let mut table = table.clone();
    let table_name = table.name.clone();
    match find(&mut table, name, "delete")?.state {
        IndexState::Creating { backfilling: false } => Err(in_use(format!(
            "Index creation is in resource allocation phase. Retry deletion during backfilling phase or when the index is active. Table: {table_name} Index: {name}"
        ))),
        IndexState::Creating { backfilling: true } => Ok(true),
        IndexState::Active | IndexState::Deleting => Ok(false),
    }
}

fn delete_index(table: &mut Table, name: &str) {
    for index in table.global_indexes.iter_mut().filter(|index| index.name == name) {
        index.state = IndexState::Deleting;
    }
}

fn check_create(table: &Table, create: &GlobalSecondaryIndex) -> Result<(), ServiceError> {
    let name = &create.index_name;
    if table.local_indexes.iter().any(|index| index.name == *name)
        || table.global_indexes.iter().any(|index| index.name == *name)
    {
        return Err(validation("Attempting to create an index which already exists"));
    }
    if table.global_indexes.len() >= schema::GLOBAL_INDEXES_MAX {
        return Err(limit_exceeded(format!(
            "Number of global secondary indexes exceeds per-table limit of {}",
            schema::GLOBAL_INDEXES_MAX
        )));
    }
    Ok(())
}

fn create_index(
    plan: &Plan<'_>,
    table: &mut Table,
    create: &GlobalSecondaryIndex,
) -> Result<(), ServiceError> {
    let name = &create.index_name;
    let Some(given) = plan.request.attribute_definitions.as_deref().filter(|d| !d.is_empty())
    else {
        return Err(invalid(format!("AttributeDefinitions is not specified for index: {name}")));
    };
    let definitions = schema::Definitions::new(given)?;
    schema::check_defined(&create.key_schema, &definitions)?;
    check_new_throughput(table.billing_mode, create)?;
    let mut index = schema::new_index(create, &definitions, table.billing_mode, plan.region)?;
    index.space = plan.space;
    index.state = IndexState::Creating { backfilling: false };
    for attribute in index.key_attributes() {
        define(table, attribute)?;
    }
    table.attribute_definitions.sort_by(|a, b| a.name.cmp(&b.name));
    table.global_indexes.push(index);
    let locals = table.local_indexes.iter().map(|index| &index.projection);
    let globals = table.global_indexes.iter().map(|index| &index.projection);
    schema::check_projected(locals.chain(globals))
}

fn check_new_throughput(
    billing: BillingMode,
    create: &GlobalSecondaryIndex,
) -> Result<(), ServiceError> {
    let name = &create.index_name;
    match (billing, create.provisioned_throughput) {
        (BillingMode::PayPerRequest, Some(_)) => Err(invalid(format!(
            "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified for index: {name} when BillingMode is PAY_PER_REQUEST"
        ))),
        (BillingMode::Provisioned, None) => Err(invalid(format!(
            "Both ReadCapacityUnits and WriteCapacityUnits must be specified for index: {name}"
        ))),
        _ => Ok(()),
    }
}

/// Adds a key attribute to the table's definitions. One that is defined keeps its type.
fn define(table: &mut Table, attribute: &KeyAttribute) -> Result<(), ServiceError> {
    let known = table.attribute_definitions.iter().find(|known| known.name == attribute.name);
    match known {
        None => table.attribute_definitions.push(attribute.clone()),
        Some(known) if known.ty == attribute.ty => {}
        Some(known) => {
            return Err(invalid(format!(
                "Attributes cannot be redefined. Please check that your attribute has the same type as previously defined. Existing schema: Schema:[SchemaElement: key{{{}:{}}}] New schema: Schema:[SchemaElement: key{{{}:{}}}]",
                known.name,
                known.ty.name(),
                attribute.name,
                attribute.ty.name()
            )));
        }
    }
    Ok(())
}

/// Shows the indexes that were updated as the service's answer does: still being updated, with the
/// old throughput.
pub(super) fn answer(
    request: &UpdateTableRequest,
    before: &TableDescription,
    answer: &mut TableDescription,
) {
    if request.billing_mode.is_some() {
        return;
    }
    for update in updates(request).iter().filter_map(|update| update.update.as_ref()) {
        let named = |name: &String| *name == update.index_name;
        let old = before.global_secondary_indexes.iter().find(|index| named(&index.index_name));
        let new = answer.global_secondary_indexes.iter_mut().find(|index| named(&index.index_name));
        let (Some(old), Some(new)) = (old, new) else { continue };
        if update.provisioned_throughput.is_some() || update.on_demand_throughput.is_some() {
            new.index_status = ResourceStatus::Updating;
        }
        new.provisioned_throughput = old.provisioned_throughput;
        if update.warm_throughput.is_some() {
            new.warm_throughput = old.warm_throughput.map(|mut warm| {
                warm.status = ResourceStatus::Updating;
                warm
            });
        }
    }
}
