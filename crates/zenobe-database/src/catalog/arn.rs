//! Amazon Resource Names of tables.
//!
//! Source: Developer Guide, "Amazon Resource Names (ARNs)"; API Reference, `TableName`.

use zenobe_model::{ErrorCode, ServiceError};

/// The ARN of a table.
pub(crate) fn table_arn(region: &str, account_id: &str, name: &str) -> String {
    format!("arn:aws:dynamodb:{region}:{account_id}:table/{name}")
}

/// The parts of a DynamoDB ARN.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arn<'a> {
    pub(crate) partition: &'a str,
    pub(crate) region: &'a str,
    pub(crate) account_id: &'a str,
    /// Such as `table/Music` or `table/Music/index/ByYear`.
    pub(crate) resource: &'a str,
}

/// Why a text is not the ARN of a DynamoDB resource.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ArnProblem {
    /// It does not begin as an ARN does.
    NoArn,
    /// It names no resource of DynamoDB.
    NotDynamoDb,
}

/// Takes an ARN apart.
pub(crate) fn parse(arn: &str) -> Result<Arn<'_>, ArnProblem> {
    let rest = arn.strip_prefix("arn:").ok_or(ArnProblem::NoArn)?;
    let mut parts = rest.splitn(5, ':');
    let mut part = || parts.next().ok_or(ArnProblem::NotDynamoDb);
    let (partition, service, region) = (part()?, part()?, part()?);
    let (account_id, resource) = (part()?, part()?);
    if service != "dynamodb" || resource.is_empty() {
        return Err(ArnProblem::NotDynamoDb);
    }
    Ok(Arn { partition, region, account_id, resource })
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
    let invalid = |what: &str| {
        ServiceError::validation(format!("1 validation error detected: {what} '{name_or_arn}'"))
    };
    let arn = parse(name_or_arn).map_err(|_| malformed())?;
    if arn.partition != "aws" {
        return Err(invalid("Invalid AWS partition in"));
    }
    if arn.region != region {
        return Err(invalid("Invalid AWS region in"));
    }
    let name = arn
        .resource
        .strip_prefix("table/")
        .filter(|name| !name.contains('/'))
        .ok_or_else(|| invalid("Invalid resource type in"))?;
    if !is_table_name(name) || !(3..=255).contains(&name.len()) {
        return Err(malformed());
    }
    if arn.account_id != account_id {
        return Err(ServiceError::new(ErrorCode::AccessDenied, "Access is denied"));
    }
    Ok(name)
}

fn malformed() -> ServiceError {
    ServiceError::validation(
        "1 validation error detected: Valid ARN format is 'arn:<awsPartition>:<vendor>:<region>:<subscriber>:resourceType/resourceName', where Resource name must have length less than or equal to 255, Resource name must have length greater than or equal to 3, Resource name must satisfyregular expression pattern: [a-zA-Z0-9_.-]+",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(given: &str, expected: Result<&str, &str>) {
        let found = table_name(given, "us-east-1", "000000000000");
        assert_eq!(found.as_ref().map_err(|error| error.message.as_str()).copied(), expected);
    }

    #[test]
    fn a_table_is_named_by_name_or_by_arn() {
        check("Music", Ok("Music"));
        check("arn:aws:dynamodb:us-east-1:000000000000:table/Music", Ok("Music"));
        check(
            "arn:aws:dynamodb:eu-west-1:000000000000:table/Music",
            Err(
                "1 validation error detected: Invalid AWS region in 'arn:aws:dynamodb:eu-west-1:000000000000:table/Music'",
            ),
        );
        check("arn:aws:dynamodb:us-east-1:111111111111:table/Music", Err("Access is denied"));
        check(
            "arn:aws:dynamodb:us-east-1:000000000000:table/Music/index/I",
            Err(
                "1 validation error detected: Invalid resource type in 'arn:aws:dynamodb:us-east-1:000000000000:table/Music/index/I'",
            ),
        );
    }
}
