//! Requests and responses of the operations on tables.

use crate::value::ValueType;

/// `KeyType` of the wire: `HASH` is the partition key, `RANGE` the sort key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the API")]
pub enum KeyType {
    Hash,
    Range,
}

/// `KeySchemaElement`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySchemaElement {
    /// `AttributeName`
    pub attribute_name: String,
    /// `KeyType`
    pub key_type: KeyType,
}

/// `AttributeDefinition`; the type is S, N or B.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeDefinition {
    /// `AttributeName`
    pub attribute_name: String,
    /// `AttributeType`
    pub attribute_type: ValueType,
}

/// `ProjectionType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the API")]
pub enum ProjectionType {
    All,
    KeysOnly,
    Include,
}

/// `Projection`, as given: what it must hold is checked by the operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Projection {
    /// `ProjectionType`
    pub projection_type: Option<ProjectionType>,
    /// `NonKeyAttributes`
    pub non_key_attributes: Option<Vec<String>>,
}

/// `ProvisionedThroughput`; both at least 1 when they come from a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProvisionedThroughput {
    /// `ReadCapacityUnits`
    pub read_capacity_units: u64,
    /// `WriteCapacityUnits`
    pub write_capacity_units: u64,
}

/// `OnDemandThroughput`; -1 lifts a maximum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OnDemandThroughput {
    /// `MaxReadRequestUnits`
    pub max_read_request_units: Option<i64>,
    /// `MaxWriteRequestUnits`
    pub max_write_request_units: Option<i64>,
}

/// `WarmThroughput`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WarmThroughput {
    /// `ReadUnitsPerSecond`
    pub read_units_per_second: Option<i64>,
    /// `WriteUnitsPerSecond`
    pub write_units_per_second: Option<i64>,
}

/// `BillingMode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the API")]
pub enum BillingMode {
    #[default]
    Provisioned,
    PayPerRequest,
}

/// `TableClass`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the API")]
pub enum TableClass {
    #[default]
    Standard,
    StandardInfrequentAccess,
}

/// `StreamViewType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the API")]
pub enum StreamViewType {
    NewImage,
    OldImage,
    NewAndOldImages,
    KeysOnly,
}

/// `StreamSpecification`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamSpecification {
    /// `StreamEnabled`
    pub stream_enabled: bool,
    /// `StreamViewType`
    pub stream_view_type: Option<StreamViewType>,
}

/// `SSEType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the API")]
pub enum SseType {
    Aes256,
    Kms,
}

/// `SSESpecification`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SseSpecification {
    /// `Enabled`
    pub enabled: Option<bool>,
    /// `SSEType`
    pub sse_type: Option<SseType>,
    /// `KMSMasterKeyId`
    pub kms_master_key_id: Option<String>,
}

/// `Tag`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// `Key`
    pub key: String,
    /// `Value`
    pub value: String,
}

/// `Tag` of a request. What is missing is told like what is malformed, beside the table's own rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GivenTag {
    /// `Key`
    pub key: Option<String>,
    /// `Value`
    pub value: Option<String>,
}

/// `LocalSecondaryIndex`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalSecondaryIndex {
    /// `IndexName`
    pub index_name: String,
    /// `KeySchema`
    pub key_schema: Vec<KeySchemaElement>,
    /// `Projection`
    pub projection: Projection,
}

/// `GlobalSecondaryIndex`, and `CreateGlobalSecondaryIndexAction`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlobalSecondaryIndex {
    /// `IndexName`
    pub index_name: String,
    /// `KeySchema`
    pub key_schema: Vec<KeySchemaElement>,
    /// `Projection`
    pub projection: Projection,
    /// `ProvisionedThroughput`
    pub provisioned_throughput: Option<ProvisionedThroughput>,
    /// `OnDemandThroughput`
    pub on_demand_throughput: Option<OnDemandThroughput>,
    /// `WarmThroughput`
    pub warm_throughput: Option<WarmThroughput>,
}

/// Parameters that name features which Zenobe does not have: given or not. The operation refuses
/// them in clear words rather than accept and ignore them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnsupportedParameters {
    /// The first such parameter that was given, by its name in the API.
    pub first: Option<&'static str>,
}

/// `CreateTable`.
#[derive(Clone, Debug, Default)]
pub struct CreateTableRequest {
    /// `TableName`: a name or an ARN.
    pub table_name: String,
    /// `AttributeDefinitions`; empty when absent.
    pub attribute_definitions: Option<Vec<AttributeDefinition>>,
    /// `KeySchema`
    pub key_schema: Option<Vec<KeySchemaElement>>,
    /// `LocalSecondaryIndexes`
    pub local_secondary_indexes: Option<Vec<LocalSecondaryIndex>>,
    /// `GlobalSecondaryIndexes`
    pub global_secondary_indexes: Option<Vec<GlobalSecondaryIndex>>,
    /// `BillingMode`
    pub billing_mode: Option<BillingMode>,
    /// `ProvisionedThroughput`
    pub provisioned_throughput: Option<ProvisionedThroughput>,
    /// `StreamSpecification`
    pub stream_specification: Option<StreamSpecification>,
    /// `SSESpecification`
    pub sse_specification: Option<SseSpecification>,
    /// `Tags`
    pub tags: Option<Vec<GivenTag>>,
    /// `TableClass`
    pub table_class: Option<TableClass>,
    /// `DeletionProtectionEnabled`
    pub deletion_protection_enabled: Option<bool>,
    /// `OnDemandThroughput`
    pub on_demand_throughput: Option<OnDemandThroughput>,
    /// `WarmThroughput`
    pub warm_throughput: Option<WarmThroughput>,
    /// `ResourcePolicy`, `GlobalTableSourceArn`, `GlobalTableSettingsReplicationMode`, `VectorIndexes`
    pub unsupported: UnsupportedParameters,
}

/// One element of `GlobalSecondaryIndexUpdates`: exactly one of the three is given, which the
/// operation checks.
#[derive(Clone, Debug, Default)]
pub struct GlobalSecondaryIndexUpdate {
    /// `Create`
    pub create: Option<GlobalSecondaryIndex>,
    /// `Update`
    pub update: Option<UpdateGlobalSecondaryIndex>,
    /// `Delete`: the index name.
    pub delete: Option<String>,
}

/// `UpdateGlobalSecondaryIndexAction`.
#[derive(Clone, Debug, Default)]
pub struct UpdateGlobalSecondaryIndex {
    /// `IndexName`
    pub index_name: String,
    /// `ProvisionedThroughput`
    pub provisioned_throughput: Option<ProvisionedThroughput>,
    /// `OnDemandThroughput`
    pub on_demand_throughput: Option<OnDemandThroughput>,
    /// `WarmThroughput`
    pub warm_throughput: Option<WarmThroughput>,
}

/// `UpdateTable`.
#[derive(Clone, Debug, Default)]
pub struct UpdateTableRequest {
    /// `TableName`: a name or an ARN.
    pub table_name: String,
    /// `AttributeDefinitions`
    pub attribute_definitions: Option<Vec<AttributeDefinition>>,
    /// `BillingMode`
    pub billing_mode: Option<BillingMode>,
    /// `ProvisionedThroughput`
    pub provisioned_throughput: Option<ProvisionedThroughput>,
    /// `GlobalSecondaryIndexUpdates`
    pub global_secondary_index_updates: Option<Vec<GlobalSecondaryIndexUpdate>>,
    /// `StreamSpecification`
    pub stream_specification: Option<StreamSpecification>,
    /// `SSESpecification`
    pub sse_specification: Option<SseSpecification>,
    /// `TableClass`
    pub table_class: Option<TableClass>,
    /// `DeletionProtectionEnabled`
    pub deletion_protection_enabled: Option<bool>,
    /// `OnDemandThroughput`
    pub on_demand_throughput: Option<OnDemandThroughput>,
    /// `WarmThroughput`
    pub warm_throughput: Option<WarmThroughput>,
    /// `ReplicaUpdates`, `MultiRegionConsistency`, `GlobalTableWitnessUpdates`, `VectorIndexUpdates` …
    pub unsupported: UnsupportedParameters,
}

/// `DescribeTable`.
#[derive(Clone, Debug, Default)]
pub struct DescribeTableRequest {
    /// `TableName`: a name or an ARN.
    pub table_name: String,
}

/// `DeleteTable`.
#[derive(Clone, Debug, Default)]
pub struct DeleteTableRequest {
    /// `TableName`: a name or an ARN.
    pub table_name: String,
}

/// `ListTables`.
#[derive(Clone, Debug, Default)]
pub struct ListTablesRequest {
    /// `ExclusiveStartTableName`
    pub exclusive_start_table_name: Option<String>,
    /// `Limit`, 1 to 100.
    pub limit: Option<u32>,
}

/// `TagResource`.
#[derive(Clone, Debug, Default)]
pub struct TagResourceRequest {
    /// `ResourceArn`
    pub resource_arn: String,
    /// `Tags`
    pub tags: Vec<GivenTag>,
}

/// `UntagResource`.
#[derive(Clone, Debug, Default)]
pub struct UntagResourceRequest {
    /// `ResourceArn`
    pub resource_arn: String,
    /// `TagKeys`
    pub tag_keys: Vec<String>,
}

/// `ListTagsOfResource`.
#[derive(Clone, Debug, Default)]
pub struct ListTagsOfResourceRequest {
    /// `ResourceArn`
    pub resource_arn: String,
    /// `NextToken`
    pub next_token: Option<String>,
}

/// `TableStatus` and `IndexStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the API")]
pub enum ResourceStatus {
    Creating,
    Updating,
    Deleting,
    Active,
}

/// `ProvisionedThroughputDescription`. Times are milliseconds since the epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProvisionedThroughputDescription {
    /// `LastIncreaseDateTime`
    pub last_increase_ms: Option<u64>,
    /// `LastDecreaseDateTime`
    pub last_decrease_ms: Option<u64>,
    /// `NumberOfDecreasesToday`
    pub number_of_decreases_today: u64,
    /// `ReadCapacityUnits`; 0 on demand.
    pub read_capacity_units: u64,
    /// `WriteCapacityUnits`; 0 on demand.
    pub write_capacity_units: u64,
}

/// `TableWarmThroughputDescription` and that of a global secondary index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WarmThroughputDescription {
    /// `ReadUnitsPerSecond`
    pub read_units_per_second: u64,
    /// `WriteUnitsPerSecond`
    pub write_units_per_second: u64,
    /// `Status`
    pub status: ResourceStatus,
}

/// `LocalSecondaryIndexDescription`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalSecondaryIndexDescription {
    /// `IndexName`
    pub index_name: String,
    /// `KeySchema`
    pub key_schema: Vec<KeySchemaElement>,
    /// `Projection`
    pub projection: Projection,
    /// `IndexSizeBytes`
    pub index_size_bytes: u64,
    /// `ItemCount`
    pub item_count: u64,
    /// `IndexArn`
    pub index_arn: String,
}

/// `GlobalSecondaryIndexDescription`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlobalSecondaryIndexDescription {
    /// `IndexName`
    pub index_name: String,
    /// `KeySchema`
    pub key_schema: Vec<KeySchemaElement>,
    /// `Projection`
    pub projection: Projection,
    /// `IndexStatus`
    pub index_status: ResourceStatus,
    /// `Backfilling`; absent unless being created.
    pub backfilling: Option<bool>,
    /// `ProvisionedThroughput`
    pub provisioned_throughput: ProvisionedThroughputDescription,
    /// `IndexSizeBytes`
    pub index_size_bytes: u64,
    /// `ItemCount`
    pub item_count: u64,
    /// `IndexArn`
    pub index_arn: String,
    /// `OnDemandThroughput`
    pub on_demand_throughput: Option<OnDemandThroughput>,
    /// `WarmThroughput`
    pub warm_throughput: Option<WarmThroughputDescription>,
}

/// `SSEDescription`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SseDescription {
    /// `Status`, such as `ENABLED`.
    pub status: &'static str,
    /// `SSEType`
    pub sse_type: SseType,
    /// `KMSMasterKeyArn`
    pub kms_master_key_arn: Option<String>,
}

/// `BillingModeSummary`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BillingModeSummary {
    /// `BillingMode`
    pub billing_mode: BillingMode,
    /// `LastUpdateToPayPerRequestDateTime`, milliseconds since the epoch.
    pub last_update_to_pay_per_request_ms: Option<u64>,
}

/// `TableDescription`. What is `None` or empty is absent on the wire, but for the lists of keys and
/// attributes of a table that exists.
#[derive(Clone, Debug)]
pub struct TableDescription {
    /// `AttributeDefinitions`
    pub attribute_definitions: Vec<AttributeDefinition>,
    /// `TableName`
    pub table_name: String,
    /// `KeySchema`
    pub key_schema: Vec<KeySchemaElement>,
    /// `TableStatus`
    pub table_status: ResourceStatus,
    /// `CreationDateTime`, milliseconds since the epoch.
    pub creation_ms: Option<u64>,
    /// `ProvisionedThroughput`
    pub provisioned_throughput: ProvisionedThroughputDescription,
    /// `TableSizeBytes`
    pub table_size_bytes: u64,
    /// `ItemCount`
    pub item_count: u64,
    /// `TableArn`
    pub table_arn: String,
    /// `TableId`: a UUID.
    pub table_id: String,
    /// `BillingModeSummary`
    pub billing_mode_summary: Option<BillingModeSummary>,
    /// `LocalSecondaryIndexes`
    pub local_secondary_indexes: Vec<LocalSecondaryIndexDescription>,
    /// `GlobalSecondaryIndexes`
    pub global_secondary_indexes: Vec<GlobalSecondaryIndexDescription>,
    /// `StreamSpecification`
    pub stream_specification: Option<StreamSpecification>,
    /// `LatestStreamLabel`
    pub latest_stream_label: Option<String>,
    /// `LatestStreamArn`
    pub latest_stream_arn: Option<String>,
    /// `SSEDescription`
    pub sse_description: Option<SseDescription>,
    /// `TableClassSummary`: the class and when it was last changed, milliseconds since the epoch.
    pub table_class_summary: Option<(TableClass, Option<u64>)>,
    /// `DeletionProtectionEnabled`
    pub deletion_protection_enabled: bool,
    /// `OnDemandThroughput`
    pub on_demand_throughput: Option<OnDemandThroughput>,
    /// `WarmThroughput`
    pub warm_throughput: Option<WarmThroughputDescription>,
}

/// Answer of `ListTables`.
#[derive(Clone, Debug, Default)]
pub struct ListTablesResponse {
    /// `TableNames`
    pub table_names: Vec<String>,
    /// `LastEvaluatedTableName`
    pub last_evaluated_table_name: Option<String>,
}

/// Answer of `ListTagsOfResource`.
#[derive(Clone, Debug, Default)]
pub struct ListTagsOfResourceResponse {
    /// `Tags`
    pub tags: Vec<Tag>,
    /// `NextToken`
    pub next_token: Option<String>,
}

/// Answer of `DescribeLimits`.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the names of the API")]
pub struct DescribeLimitsResponse {
    pub account_max_read_capacity_units: u64,
    pub account_max_write_capacity_units: u64,
    pub table_max_read_capacity_units: u64,
    pub table_max_write_capacity_units: u64,
}

/// Answer of `DescribeEndpoints`: one endpoint.
#[derive(Clone, Debug)]
pub struct DescribeEndpointsResponse {
    /// `Address`
    pub address: String,
    /// `CachePeriodInMinutes`
    pub cache_period_minutes: u64,
}
