//! The errors that a client sees: code, message and what some of them carry beside it.

use crate::codec::EncodedItem;

/// A failure in DynamoDB's own words. Built where the rule is checked.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceError {
    /// The error code.
    pub code: ErrorCode,
    /// The exact text.
    pub message: String,
    /// What the error carries beside its text.
    pub detail: Detail,
}

/// What an error carries beside code and text.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Detail {
    /// Nothing.
    #[default]
    None,
    /// `Item` of ConditionalCheckFailedException, when the request asked for it.
    Item(EncodedItem),
}

/// The error codes of the API, with the HTTP status and the namespace that each is sent with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The request breaks a rule.
    Validation,
    /// A condition did not hold.
    ConditionalCheckFailed,
    /// The table or index does not exist, or not in a usable state.
    ResourceNotFound,
    /// The resource exists already or is being changed.
    ResourceInUse,
    /// Too many control plane operations at once, or too many tables.
    LimitExceeded,
    /// An item collection of a table with local secondary indexes exceeds 10 GB.
    ItemCollectionSizeLimitExceeded,
    /// More throughput was asked for than is provisioned.
    ProvisionedThroughputExceeded,
    /// More throughput was asked for than the account may use.
    RequestLimitExceeded,
    /// The item takes part in a transaction in flight.
    TransactionConflict,
    /// The caller may not do this.
    AccessDenied,
    /// The body is not JSON of the operation's shape.
    Serialization,
    /// No such operation.
    UnknownOperation,
    /// Tagging a resource that cannot be found by its ARN, or by somebody else.
    TagAccessDenied,
    /// A shard iterator was given out too long ago.
    ExpiredIterator,
    /// The records that were asked for are not kept any more.
    TrimmedDataAccess,
    /// Something failed inside.
    InternalServer,
    /// The service cannot answer now.
    ServiceUnavailable,
}

impl ErrorCode {
    /// The `__type` of the error body, namespace included.
    #[must_use]
    pub const fn type_name(self) -> &'static str {
        match self {
            Self::Validation => "com.amazon.coral.validate#ValidationException",
            Self::ConditionalCheckFailed => {
                "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException"
            }
            Self::ResourceNotFound => "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException",
            Self::ResourceInUse => "com.amazonaws.dynamodb.v20120810#ResourceInUseException",
            Self::LimitExceeded => "com.amazonaws.dynamodb.v20120810#LimitExceededException",
            Self::ItemCollectionSizeLimitExceeded => {
                "com.amazonaws.dynamodb.v20120810#ItemCollectionSizeLimitExceededException"
            }
            Self::ProvisionedThroughputExceeded => {
                "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"
            }
            Self::RequestLimitExceeded => "com.amazonaws.dynamodb.v20120810#RequestLimitExceeded",
            Self::TransactionConflict => {
                "com.amazonaws.dynamodb.v20120810#TransactionConflictException"
            }
            Self::AccessDenied | Self::TagAccessDenied => {
                "com.amazon.coral.service#AccessDeniedException"
            }
            Self::Serialization => "com.amazon.coral.service#SerializationException",
            Self::UnknownOperation => "com.amazon.coral.service#UnknownOperationException",
            Self::ExpiredIterator => "com.amazonaws.dynamodb.v20120810#ExpiredIteratorException",
            Self::TrimmedDataAccess => {
                "com.amazonaws.dynamodb.v20120810#TrimmedDataAccessException"
            }
            Self::InternalServer => "com.amazonaws.dynamodb.v20120810#InternalServerError",
            Self::ServiceUnavailable => "com.amazon.coral.service#ServiceUnavailableException",
        }
    }

    /// The HTTP status that the error is sent with.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::InternalServer => 500,
            Self::ServiceUnavailable => 503,
            _ => 400,
        }
    }
}

impl ServiceError {
    /// An error that carries nothing beside its text.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), detail: Detail::None }
    }

    /// A `ValidationException`.
    #[must_use]
    pub fn validation(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Validation, message)
    }

    /// An `InternalServerError`. The cause belongs in the log, not in the text.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(ErrorCode::InternalServer, "Internal server error")
    }
}

impl std::fmt::Display for ServiceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code.type_name(), self.message)
    }
}

impl std::error::Error for ServiceError {}
