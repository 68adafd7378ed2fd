//! How a table is described.
//!
//! `ItemCount` and the sizes are those of [`crate::catalog::Counters`]: about right, and right at
//! once in a process that was not killed. Source: API Reference, `TableDescription`.

use zenobe_model::operation::{
    AttributeDefinition, BillingMode, BillingModeSummary, GlobalSecondaryIndexDescription,
    KeySchemaElement, KeyType, LocalSecondaryIndexDescription, Projection, ProjectionType,
    ProvisionedThroughputDescription, ResourceStatus, SseDescription, SseType, StreamSpecification,
    TableDescription, WarmThroughputDescription,
};

use super::settings;
use crate::catalog::{
    GlobalIndex, IndexProjection, IndexState, KeyAttribute, KeySchema, LocalIndex, Table,
};

/// Describes a table as it is.
pub(super) fn describe(table: &Table, now_ms: u64) -> TableDescription {
    let stream_arn = |label: &String| format!("{}/stream/{label}", table.arn);
    TableDescription {
        attribute_definitions: table.attribute_definitions.iter().map(definition).collect(),
        table_name: table.name.clone(),
        key_schema: key_schema(&table.key),
        table_status: table.described_status(),
        creation_ms: Some(table.creation_ms),
        provisioned_throughput: throughput(table.provisioned_throughput, now_ms),
        table_size_bytes: table.counters.bytes(),
        item_count: table.counters.items(),
        table_arn: table.arn.clone(),
        table_id: table.id.clone(),
        billing_mode_summary: billing_mode_summary(table),
        local_secondary_indexes: table
            .local_indexes
            .iter()
            .map(|index| local_index(table, index))
            .collect(),
        global_secondary_indexes: table
            .global_indexes
            .iter()
            .map(|index| global_index(table, index, now_ms))
            .collect(),
        stream_specification: table
            .stream
            .map(|view| StreamSpecification { stream_enabled: true, stream_view_type: Some(view) }),
        latest_stream_label: table.stream_label.clone(),
        latest_stream_arn: table.stream_label.as_ref().map(stream_arn),
        sse_description: table.encryption.as_ref().map(|encryption| SseDescription {
            status: "ENABLED",
            sse_type: SseType::Kms,
            kms_master_key_arn: encryption.kms_key_arn.clone(),
        }),
        table_class_summary: table.table_class.map(|class| (class, table.table_class_changed_ms)),
        deletion_protection_enabled: table.deletion_protection,
        on_demand_throughput: table.on_demand_throughput,
        warm_throughput: Some(warm(settings::table_warm(table))),
    }
}

/// Describes a table as CreateTable answers.
pub(super) fn describe_created(table: &Table, now_ms: u64) -> TableDescription {
    let mut description = describe(table, now_ms);
    description.table_status = ResourceStatus::Creating;
    if table.warm_throughput.is_none() {
        description.warm_throughput = None;
    }
    if let Some(summary) = &mut description.billing_mode_summary {
        summary.last_update_to_pay_per_request_ms = None;
    }
    for index in &mut description.global_secondary_indexes {
        index.index_status = ResourceStatus::Creating;
        index.warm_throughput = None;
    }
    description
}

/// Describes a table as DeleteTable answers: without its keys, its indexes and the time when it was created.
pub(super) fn describe_deleted(table: &Table, now_ms: u64) -> TableDescription {
    TableDescription {
        table_status: ResourceStatus::Deleting,
        attribute_definitions: Vec::new(),
        key_schema: Vec::new(),
        creation_ms: None,
        local_secondary_indexes: Vec::new(),
        global_secondary_indexes: Vec::new(),
        warm_throughput: None,
        ..describe(table, now_ms)
    }
}

fn definition(attribute: &KeyAttribute) -> AttributeDefinition {
    AttributeDefinition { attribute_name: attribute.name.clone(), attribute_type: attribute.ty }
}

fn element(attribute: &KeyAttribute, key_type: KeyType) -> KeySchemaElement {
    KeySchemaElement { attribute_name: attribute.name.clone(), key_type }
}

pub(crate) fn key_schema(key: &KeySchema) -> Vec<KeySchemaElement> {
    let sort = key.sort.iter().map(|sort| element(sort, KeyType::Range));
    std::iter::once(element(&key.partition, KeyType::Hash)).chain(sort).collect()
}

fn projection(projection: &IndexProjection) -> Projection {
    let (projection_type, non_key_attributes) = match projection {
        IndexProjection::All => (ProjectionType::All, None),
        IndexProjection::KeysOnly => (ProjectionType::KeysOnly, None),
        IndexProjection::Include(names) => (ProjectionType::Include, Some(names.clone())),
    };
    Projection { projection_type: Some(projection_type), non_key_attributes }
}

fn throughput(
    throughput: ProvisionedThroughputDescription,
    now_ms: u64,
) -> ProvisionedThroughputDescription {
    ProvisionedThroughputDescription {
        number_of_decreases_today: settings::decreases_today(throughput, now_ms),
        ..throughput
    }
}

fn warm((read, write): (i64, i64)) -> WarmThroughputDescription {
    WarmThroughputDescription {
        read_units_per_second: u64::try_from(read).unwrap_or(0),
        write_units_per_second: u64::try_from(write).unwrap_or(0),
        status: ResourceStatus::Active,
    }
}

/// Absent for a table that was always provisioned.
fn billing_mode_summary(table: &Table) -> Option<BillingModeSummary> {
    let last = table.last_on_demand_ms;
    (table.billing_mode == BillingMode::PayPerRequest || last.is_some()).then_some(
        BillingModeSummary {
            billing_mode: table.billing_mode,
            last_update_to_pay_per_request_ms: last,
        },
    )
}

fn local_index(table: &Table, index: &LocalIndex) -> LocalSecondaryIndexDescription {
    LocalSecondaryIndexDescription {
        index_name: index.name.clone(),
        key_schema: key_schema(&index.key),
        projection: projection(&index.projection),
        index_size_bytes: index.counters.bytes(),
        item_count: index.counters.items(),
        index_arn: format!("{}/index/{}", table.arn, index.name),
    }
}

fn global_index(
    table: &Table,
    index: &GlobalIndex,
    now_ms: u64,
) -> GlobalSecondaryIndexDescription {
    let partition = index.partition.iter().map(|attribute| element(attribute, KeyType::Hash));
    let sort = index.sort.iter().map(|attribute| element(attribute, KeyType::Range));
    let (index_status, backfilling) = match index.state {
        IndexState::Creating { backfilling } => (ResourceStatus::Creating, Some(backfilling)),
        IndexState::Active => (ResourceStatus::Active, None),
        IndexState::Deleting => (ResourceStatus::Deleting, None),
    };
    GlobalSecondaryIndexDescription {
        index_name: index.name.clone(),
        key_schema: partition.chain(sort).collect(),
        projection: projection(&index.projection),
        index_status,
        backfilling,
        provisioned_throughput: throughput(index.provisioned_throughput, now_ms),
        index_size_bytes: index.counters.bytes(),
        item_count: index.counters.items(),
        index_arn: format!("{}/index/{}", table.arn, index.name),
        on_demand_throughput: index.on_demand_throughput,
        warm_throughput: Some(warm(settings::index_warm(table, index))),
    }
}
