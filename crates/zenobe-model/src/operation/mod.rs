//! Operation types: what the wire decodes and encodes, one request and one response per operation.
//!
//! A request here has passed the constraint checks of the service's model (types, lengths, ranges,
//! enumerations). Values that the service looks at later, in an order of its own, are [`Parsed`]:
//! they hold the error until the operation asks for the value.

mod data;
mod statement;
mod stream;
mod table;
mod time_to_live;
mod transact;

pub use data::*;
pub use statement::*;
pub use stream::*;
pub use table::*;
pub use time_to_live::*;
pub use transact::*;

use crate::error::ServiceError;

/// A part of a request that is well-formed JSON, but whose meaning may be an error. The operation
/// raises the error where DynamoDB's order of checks has it.
pub type Parsed<T> = Result<T, Box<ServiceError>>;

/// A request for any operation.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each variant is the operation of its name")]
pub enum Request {
    BatchExecuteStatement(Box<BatchExecuteStatementRequest>),
    BatchGetItem(Box<BatchGetItemRequest>),
    BatchWriteItem(Box<BatchWriteItemRequest>),
    CreateTable(Box<CreateTableRequest>),
    DeleteItem(Box<DeleteItemRequest>),
    DeleteTable(Box<DeleteTableRequest>),
    DescribeEndpoints,
    DescribeLimits,
    DescribeStream(Box<DescribeStreamRequest>),
    DescribeTable(Box<DescribeTableRequest>),
    DescribeTimeToLive(Box<DescribeTimeToLiveRequest>),
    ExecuteStatement(Box<ExecuteStatementRequest>),
    ExecuteTransaction(Box<ExecuteTransactionRequest>),
    GetItem(Box<GetItemRequest>),
    GetRecords(Box<GetRecordsRequest>),
    GetShardIterator(Box<GetShardIteratorRequest>),
    ListStreams(Box<ListStreamsRequest>),
    ListTables(Box<ListTablesRequest>),
    ListTagsOfResource(Box<ListTagsOfResourceRequest>),
    PutItem(Box<PutItemRequest>),
    Query(Box<QueryRequest>),
    Scan(Box<ScanRequest>),
    TagResource(Box<TagResourceRequest>),
    TransactGetItems(Box<TransactGetItemsRequest>),
    TransactWriteItems(Box<TransactWriteItemsRequest>),
    UntagResource(Box<UntagResourceRequest>),
    UpdateItem(Box<UpdateItemRequest>),
    UpdateTable(Box<UpdateTableRequest>),
    UpdateTimeToLive(Box<UpdateTimeToLiveRequest>),
}

/// A response of any operation.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each variant is the operation of its name")]
pub enum Response {
    BatchExecuteStatement(BatchExecuteStatementResponse),
    BatchGetItem(BatchGetItemResponse),
    BatchWriteItem(BatchWriteItemResponse),
    CreateTable(TableDescription),
    DeleteItem(WriteItemResponse),
    DeleteTable(TableDescription),
    DescribeEndpoints(DescribeEndpointsResponse),
    DescribeLimits(DescribeLimitsResponse),
    DescribeStream(StreamDescription),
    DescribeTable(TableDescription),
    DescribeTimeToLive(TimeToLiveDescription),
    ExecuteStatement(ExecuteStatementResponse),
    ExecuteTransaction(TransactGetItemsResponse),
    GetItem(GetItemResponse),
    GetRecords(GetRecordsResponse),
    GetShardIterator(GetShardIteratorResponse),
    ListStreams(ListStreamsResponse),
    ListTables(ListTablesResponse),
    ListTagsOfResource(ListTagsOfResourceResponse),
    PutItem(WriteItemResponse),
    Query(ReadItemsResponse),
    Scan(ReadItemsResponse),
    TagResource,
    TransactGetItems(TransactGetItemsResponse),
    TransactWriteItems(TransactWriteItemsResponse),
    UntagResource,
    UpdateItem(WriteItemResponse),
    UpdateTable(TableDescription),
    UpdateTimeToLive(TimeToLiveSpecification),
}

/// The operations that Zenobe answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each variant is the operation of its name")]
pub enum Operation {
    BatchExecuteStatement,
    BatchGetItem,
    BatchWriteItem,
    CreateTable,
    DeleteItem,
    DeleteTable,
    DescribeEndpoints,
    DescribeLimits,
    DescribeStream,
    DescribeTable,
    DescribeTimeToLive,
    ExecuteStatement,
    ExecuteTransaction,
    GetItem,
    GetRecords,
    GetShardIterator,
    ListStreams,
    ListTables,
    ListTagsOfResource,
    PutItem,
    Query,
    Scan,
    TagResource,
    TransactGetItems,
    TransactWriteItems,
    UntagResource,
    UpdateItem,
    UpdateTable,
    UpdateTimeToLive,
}

impl Operation {
    /// All operations, in the order of their names.
    pub const ALL: [Self; 29] = [
        Self::BatchExecuteStatement,
        Self::BatchGetItem,
        Self::BatchWriteItem,
        Self::CreateTable,
        Self::DeleteItem,
        Self::DeleteTable,
        Self::DescribeEndpoints,
        Self::DescribeLimits,
        Self::DescribeStream,
        Self::DescribeTable,
        Self::DescribeTimeToLive,
        Self::ExecuteStatement,
        Self::ExecuteTransaction,
        Self::GetItem,
        Self::GetRecords,
        Self::GetShardIterator,
        Self::ListStreams,
        Self::ListTables,
        Self::ListTagsOfResource,
        Self::PutItem,
        Self::Query,
        Self::Scan,
        Self::TagResource,
        Self::TransactGetItems,
        Self::TransactWriteItems,
        Self::UntagResource,
        Self::UpdateItem,
        Self::UpdateTable,
        Self::UpdateTimeToLive,
    ];

    /// The name as in `X-Amz-Target`, without the service's prefix.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BatchExecuteStatement => "BatchExecuteStatement",
            Self::BatchGetItem => "BatchGetItem",
            Self::BatchWriteItem => "BatchWriteItem",
            Self::CreateTable => "CreateTable",
            Self::DeleteItem => "DeleteItem",
            Self::DeleteTable => "DeleteTable",
            Self::DescribeEndpoints => "DescribeEndpoints",
            Self::DescribeLimits => "DescribeLimits",
            Self::DescribeStream => "DescribeStream",
            Self::DescribeTable => "DescribeTable",
            Self::DescribeTimeToLive => "DescribeTimeToLive",
            Self::ExecuteStatement => "ExecuteStatement",
            Self::ExecuteTransaction => "ExecuteTransaction",
            Self::GetItem => "GetItem",
            Self::GetRecords => "GetRecords",
            Self::GetShardIterator => "GetShardIterator",
            Self::ListStreams => "ListStreams",
            Self::ListTables => "ListTables",
            Self::ListTagsOfResource => "ListTagsOfResource",
            Self::PutItem => "PutItem",
            Self::Query => "Query",
            Self::Scan => "Scan",
            Self::TagResource => "TagResource",
            Self::TransactGetItems => "TransactGetItems",
            Self::TransactWriteItems => "TransactWriteItems",
            Self::UntagResource => "UntagResource",
            Self::UpdateItem => "UpdateItem",
            Self::UpdateTable => "UpdateTable",
            Self::UpdateTimeToLive => "UpdateTimeToLive",
        }
    }

    /// Whether it belongs to DynamoDB Streams, which has an API of its own.
    #[must_use]
    pub const fn is_of_streams(self) -> bool {
        matches!(
            self,
            Self::DescribeStream | Self::GetRecords | Self::GetShardIterator | Self::ListStreams
        )
    }

    /// The operation with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.name() == name)
    }
}
