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
    /// `CancellationReasons` of TransactionCanceledException: one per action, in their order.
    Reasons(Vec<CancellationReason>),
}

/// Why a transaction was cancelled, as far as one of its actions is concerned.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CancellationReason {
    /// The error of the action; `None` where the action was not the cause (code `None` on the wire).
    pub error: Option<(ErrorCode, String)>,
    /// `Item`, when the action asked for it and its condition did not hold.
    pub item: Option<EncodedItem>,
}

impl CancellationReason {
    /// `Code`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.error.as_ref().map_or("None", |(code, _)| code.reason_name())
    }
}

impl From<Option<ServiceError>> for CancellationReason {
    fn from(error: Option<ServiceError>) -> Self {
        let Some(error) = error else { return Self::default() };
        let item = match error.detail {
            Detail::Item(item) => Some(item),
            Detail::None | Detail::Reasons(_) => None,
        };
        Self { error: Some((error.code, error.message)), item }
    }
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
    /// An item to insert exists already.
    DuplicateItem,
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
    /// A transaction was cancelled as a whole.
    TransactionCanceled,
    /// A transaction with the same token is under way.
    TransactionInProgress,
    /// A transaction's token was used with other parameters before.
    IdempotentParameterMismatch,
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
            Self::DuplicateItem => "com.amazonaws.dynamodb.v20120810#DuplicateItemException",
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
            Self::TransactionCanceled => {
                "com.amazonaws.dynamodb.v20120810#TransactionCanceledException"
            }
            Self::TransactionInProgress => {
                "com.amazonaws.dynamodb.v20120810#TransactionInProgressException"
            }
            Self::IdempotentParameterMismatch => {
                "com.amazonaws.dynamodb.v20120810#IdempotentParameterMismatchException"
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

    /// The code of a reason why a transaction was cancelled, which is not that of the exception.
    /// Source: API Reference, TransactWriteItems, "Cancellation reason codes".
    #[must_use]
    pub const fn reason_name(self) -> &'static str {
        match self {
            Self::Validation => "ValidationError",
            Self::ConditionalCheckFailed => "ConditionalCheckFailed",
            Self::ItemCollectionSizeLimitExceeded => "ItemCollectionSizeLimitExceeded",
            Self::TransactionConflict => "TransactionConflict",
            Self::ProvisionedThroughputExceeded => "ProvisionedThroughputExceeded",
            Self::RequestLimitExceeded => "ThrottlingError",
            Self::AccessDenied | Self::TagAccessDenied => "AccessDenied",
            Self::ResourceNotFound => "ResourceNotFound",
            Self::DuplicateItem => "DuplicateItem",
            Self::ResourceInUse
            | Self::LimitExceeded
            | Self::TransactionCanceled
            | Self::TransactionInProgress
            | Self::IdempotentParameterMismatch
            | Self::Serialization
            | Self::UnknownOperation
            | Self::ExpiredIterator
            | Self::TrimmedDataAccess
            | Self::InternalServer
            | Self::ServiceUnavailable => "InternalServerError",
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

    /// A `TransactionCanceledException` that says what became of each action: its error, or `None`
    /// where it was not the cause.
    #[must_use]
    pub fn cancelled(actions: Vec<Option<Self>>) -> Self {
        let reasons: Vec<CancellationReason> =
            actions.into_iter().map(CancellationReason::from).collect();
        let codes: Vec<&str> = reasons.iter().map(CancellationReason::code).collect();
        Self {
            code: ErrorCode::TransactionCanceled,
            message: format!(
                "Transaction cancelled, please refer cancellation reasons for specific reasons [{}]",
                codes.join(", ")
            ),
            detail: Detail::Reasons(reasons),
        }
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
