//! Requests and answers about time to live.

/// `TimeToLiveSpecification`, in the request and in the answer of `UpdateTimeToLive`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimeToLiveSpecification {
    /// `Enabled`
    pub enabled: bool,
    /// `AttributeName`, 1 to 255 characters.
    pub attribute_name: String,
}

/// `UpdateTimeToLive`.
#[derive(Clone, Debug, Default)]
pub struct UpdateTimeToLiveRequest {
    /// `TableName`, a name or an ARN.
    pub table_name: String,
    /// `TimeToLiveSpecification`
    pub specification: TimeToLiveSpecification,
}

/// `DescribeTimeToLive`.
#[derive(Clone, Debug, Default)]
pub struct DescribeTimeToLiveRequest {
    /// `TableName`, a name or an ARN.
    pub table_name: String,
}

/// `TimeToLiveStatus`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the API")]
pub enum TimeToLiveStatus {
    Enabling,
    Disabling,
    Enabled,
    #[default]
    Disabled,
}

/// `TimeToLiveDescription`, the answer of `DescribeTimeToLive`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimeToLiveDescription {
    /// `TimeToLiveStatus`
    pub status: TimeToLiveStatus,
    /// `AttributeName`; absent while disabled.
    pub attribute_name: Option<String>,
}
