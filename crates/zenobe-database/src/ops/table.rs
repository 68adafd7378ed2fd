//! CreateTable, DescribeTable, ListTables, UpdateTable and DeleteTable.
//!
//! The lifecycle is that of the service with the waiting left out: see [`crate::catalog`]. What is
//! checked without knowing the table comes first, then whether the table exists, then what depends
//! on it. Source: API Reference, the operations' pages.

mod description;
mod schema;
mod settings;
mod update;

use std::sync::Arc;

use zenobe_model::operation::{
    BillingMode, CreateTableRequest, DeleteTableRequest, DescribeTableRequest, ListTablesRequest,
    ListTablesResponse, ProvisionedThroughputDescription, ResourceStatus, TableDescription,
    UnsupportedParameters,
};
use zenobe_model::{ErrorCode, ServiceError};
use zenobe_storage::SpaceId;

pub(crate) use self::description::key_schema;
use self::schema::Schema;
use self::settings::Target;
pub(crate) use self::settings::{TABLE_CAPACITY_UNITS_MAX, stream_label};
pub(crate) use self::update::update_table;
use super::tags;
use crate::Inner;
use crate::catalog::{self, Catalog, Edit, IndexState, Table};
use crate::environment::uuid;
use crate::stream::{self, Writer};

/// How many names ListTables answers with unless told otherwise, and at most.
const LIST_LIMIT: usize = 100;

/// A `ValidationException` with this text.
fn validation(message: impl Into<String>) -> ServiceError {
    ServiceError::validation(message)
}

/// A `ValidationException` with the usual beginning.
fn invalid(what: impl std::fmt::Display) -> ServiceError {
    ServiceError::validation(format!("One or more parameter values were invalid: {what}"))
}

/// `LimitExceededException` with the usual beginning.
fn limit_exceeded(what: impl std::fmt::Display) -> ServiceError {
    ServiceError::new(ErrorCode::LimitExceeded, format!("Subscriber limit exceeded: {what}"))
}

/// A `ResourceInUseException` with the usual beginning.
fn in_use(what: impl std::fmt::Display) -> ServiceError {
    ServiceError::new(
        ErrorCode::ResourceInUse,
        format!("Attempt to change a resource which is still in use: {what}"),
    )
}

/// Refuses parameters of features that Zenobe does not have, rather than ignore them.
fn check_supported(unsupported: UnsupportedParameters) -> Result<(), ServiceError> {
    match unsupported.first {
        Some(parameter) => Err(invalid(format!("{parameter} is not supported by Zenobe yet"))),
        None => Ok(()),
    }
}

/// `CreateTable`.
pub(crate) async fn create_table(
    db: &Arc<Inner>,
    request: CreateTableRequest,
) -> Result<TableDescription, ServiceError> {
    check_supported(request.unsupported)?;
    let name = db.catalog.table_name(&request.table_name)?.to_owned();
    let mut table = new_table(db, name, &request)?;
    if db.catalog.find(&table.name).is_some() {
        return Err(catalog::table_exists(&table.name));
    }
    let changer = db.catalog.change(db).await;
    if db.catalog.find(&table.name).is_some() {
        return Err(catalog::table_exists(&table.name));
    }
    let mut spaces =
        changer.allocate(&table.name, 1 + table.global_indexes.len()).await?.into_iter();
    let mut space = || spaces.next().ok_or_else(ServiceError::internal);
    table.space = space()?;
    for index in &mut table.global_indexes {
        index.space = space()?;
    }
    let opened = stream::first(db, &table).await?;
    if let Some(opened) = &opened {
        table.writer = Writer::of(opened);
    }
    let rows = opened.iter().map(Catalog::stream_row).collect();
    let table = changer.create(table, rows).await?;
    if table.encryption.is_some() {
        settings::warn_of_encryption(&table.name);
    }
    if let Some(opened) = opened {
        db.catalog.streams.add(opened);
    }
    Ok(description::describe_created(&table, db.environment.now_ms()))
}

/// Checks a request and makes the table that it asks for; its spaces are still to be chosen.
fn new_table(
    db: &Inner,
    name: String,
    request: &CreateTableRequest,
) -> Result<Table, ServiceError> {
    let billing = request.billing_mode.unwrap_or_default();
    let region = db.catalog.region();
    let provisioned = new_throughput(request, billing, region)?;
    let Schema { key, definitions, local_indexes, global_indexes } =
        schema::check(request, billing, region)?;
    let stream = settings::new_stream(request.stream_specification)?;
    let encrypted =
        request.sse_specification.as_ref().map(settings::wants_encryption).transpose()?;
    let on_demand =
        settings::on_demand(request.on_demand_throughput, billing, Target::NewTable, region)?;
    let warm = settings::new_warm(
        request.warm_throughput,
        billing,
        provisioned,
        Target::NewTable,
        region,
    )?;
    let tags = tags::merged(&[], request.tags.as_deref().unwrap_or_default())?;

    let now_ms = db.environment.now_ms();
    let label = stream::fresh_label(db, &name, now_ms);
    let encryption = request.sse_specification.as_ref().filter(|_| encrypted == Some(true)).map(
        |specification| {
            let key_id = uuid(db.environment.random());
            settings::encryption(specification, region, db.catalog.account_id(), &key_id)
        },
    );
    Ok(Table {
        id: uuid(db.environment.random()),
        arn: db.catalog.arn(&name),
        name,
        space: SpaceId(u64::MAX),
        key,
        local_indexes,
        global_indexes,
        attribute_definitions: definitions,
        status: ResourceStatus::Active,
        billing_mode: billing,
        last_on_demand_ms: (billing == BillingMode::PayPerRequest).then_some(now_ms),
        provisioned_throughput: provisioned,
        on_demand_throughput: on_demand,
        warm_throughput: warm,
        table_class: request.table_class,
        table_class_changed_ms: None,
        stream,
        stream_label: stream.map(|_| label),
        encryption,
        deletion_protection: request.deletion_protection_enabled.unwrap_or(false),
        creation_ms: now_ms,
        tags,
        expiry_indexes: Vec::new(),
        row_version: None,
        created: None,
        epoch: 0,
        counters: Arc::default(),
        restored: Arc::default(),
        writer: Arc::default(),
    })
}

fn new_throughput(
    request: &CreateTableRequest,
    billing: BillingMode,
    region: &str,
) -> Result<ProvisionedThroughputDescription, ServiceError> {
    match (billing, request.provisioned_throughput) {
        (BillingMode::PayPerRequest, Some(_)) => Err(invalid(
            "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST",
        )),
        (BillingMode::PayPerRequest, None) => Ok(ProvisionedThroughputDescription::default()),
        (BillingMode::Provisioned, None) => Err(invalid(
            "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED",
        )),
        (BillingMode::Provisioned, Some(throughput)) => {
            settings::check_bounds(throughput, Target::NewTable, region)?;
            Ok(settings::provisioned(throughput))
        }
    }
}

/// `DescribeTable`. A table whose last change not all processes follow yet is being created or updated still.
pub(crate) async fn describe_table(
    db: &Inner,
    request: &DescribeTableRequest,
) -> Result<TableDescription, ServiceError> {
    let table = db.catalog.describe(&request.table_name)?;
    let mut description = description::describe(&table, db.environment.now_ms());
    if description.table_status == ResourceStatus::Active
        && !db.catalog.is_followed(db, table.row_version).await?
    {
        let is_new = table.created.is_some() && table.created == table.row_version;
        description.table_status =
            if is_new { ResourceStatus::Creating } else { ResourceStatus::Updating };
    }
    Ok(description)
}

/// `ListTables`.
pub(crate) fn list_tables(db: &Inner, request: &ListTablesRequest) -> ListTablesResponse {
    let limit = request.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(LIST_LIMIT);
    let limit = limit.clamp(1, LIST_LIMIT);
    let names = db.catalog.names();
    let start = request
        .exclusive_start_table_name
        .as_ref()
        .map_or(0, |after| names.partition_point(|name| name.as_bytes() <= after.as_bytes()));
    let table_names: Vec<String> = names.iter().skip(start).take(limit).cloned().collect();
    let more = start + table_names.len() < names.len();
    let last_evaluated_table_name = table_names.last().filter(|_| more).cloned();
    ListTablesResponse { table_names, last_evaluated_table_name }
}

/// `DeleteTable`.
pub(crate) async fn delete_table(
    db: &Arc<Inner>,
    request: DeleteTableRequest,
) -> Result<TableDescription, ServiceError> {
    let name = db.catalog.table_name(&request.table_name)?;
    let changer = db.catalog.change(db).await;
    let now_ms = db.environment.now_ms();
    check_deletable(&*db.catalog.describe(name)?)?;
    // Before its shards are closed, so that no write waits for what this waits for. A copy: nobody is to
    // wait for who holds the snapshot.
    let table = Table::clone(&*changer.agreed(name).await?);
    check_deletable(&table)?;
    let stream = match table.stream {
        Some(_) => Some(stream::Change::disable(db, &table, now_ms).await?),
        None => None,
    };
    let changed = changer
        .update(name, |table| {
            check_deletable(table)?;
            let drop = table.spaces().collect();
            let rows = stream.as_ref().map(|stream| stream.mutations(table)).transpose()?;
            Ok(Edit { drop, rows: rows.unwrap_or_default(), ..Edit::default() })
        })
        .await?;
    if let Some(stream) = stream {
        stream.finish();
    }
    Ok(description::describe_deleted(&changed.before, now_ms))
}

fn check_deletable(table: &Table) -> Result<(), ServiceError> {
    match table.status {
        ResourceStatus::Creating => {
            return Err(in_use(format!("Table is being created: {}", table.name)));
        }
        ResourceStatus::Deleting => {
            return Err(in_use(format!("Table is being deleted: {}", table.name)));
        }
        ResourceStatus::Updating | ResourceStatus::Active => {}
    }
    if table.deletion_protection {
        return Err(validation(
            "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first.",
        ));
    }
    if table.global_indexes.iter().any(|index| !matches!(index.state, IndexState::Active)) {
        return Err(in_use(
            "Cannot delete table while indexes are being created, updated, or deleted.",
        ));
    }
    Ok(())
}
