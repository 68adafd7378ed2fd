//! Amazon Resource Names of tables.
//!
//! Source: Developer Guide, "Amazon Resource Names (ARNs)"; API Reference, `TableName`.

use zenobe_model::{ErrorCode, ServiceError};

/// The ARN of a table.
pub(super) fn table_arn(region: &str, account_id: &str, name: &str) -> String {
    format!("arn:aws:dynamodb:{region}:{account_id}:table/{name}")
}

/// The parts of a table's ARN.
pub(crate) struct TableArn<'a> {
    pub(crate) region: &'a str,
    pub(crate) account_id: &'a str,
    pub(crate) name: &'a str,
}

/// Takes the ARN of a table apart. Nothing may follow the name.
pub(crate) fn parse(arn: &str) -> Option<TableArn<'_>> {
    let mut parts = arn.splitn(6, ':');
    let mut part = || parts.next();
    let ("arn", partition, "dynamodb") = (part()?, part()?, part()?) else {
        return None;
    };
    let (region, account_id, resource) = (part()?, part()?, part()?);
    let name = resource.strip_prefix("table/")?;
    let known = partition.starts_with("aws") && !region.is_empty() && is_table_name(name);
    known.then_some(TableArn { region, account_id, name })
}

/// Whether these characters can name a table, whatever their number.
fn is_table_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    !name.is_empty() && name.bytes().all(allowed)
}

/// The table name that a `TableName` parameter means: a name, or the ARN of a table of this account
/// in this Region.
pub(super) fn table_name<'a>(
    name_or_arn: &'a str,
    region: &str,
    account_id: &str,
) -> Result<&'a str, ServiceError> {
    if !name_or_arn.starts_with("arn:") {
        return Ok(name_or_arn);
    }
    let arn = parse(name_or_arn).ok_or_else(|| ServiceError::validation("Invalid table ARN"))?;
    if arn.region != region || arn.account_id != account_id {
        return Err(ServiceError::new(ErrorCode::ResourceNotFound, "Requested resource not found"));
    }
    Ok(arn.name)
}
