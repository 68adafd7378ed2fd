//! What `Select` demands of the other parameters of `Query` and `Scan`.
//!
//! Source: API Reference, `Select` of Query and Scan.

use crate::error::ServiceError;
use crate::expression::Projection;
use crate::operation::{ReadOptions, Select};

/// The parameter that names the attributes to return, if there is one.
pub(super) const fn projecting(
    attributes: &Option<Projection>,
    expression: &Option<Projection>,
) -> Option<&'static str> {
    match (attributes, expression) {
        (_, Some(_)) => Some("ProjectionExpression"),
        (Some(_), None) => Some("AttributesToGet"),
        (None, None) => None,
    }
}

/// Checks `Select` of a query.
pub(super) fn check_query(
    options: &ReadOptions,
    projecting: Option<&'static str>,
) -> Result<(), ServiceError> {
    // A query counts this error like one in the service's model, a scan does not.
    check(options, projecting, "1 validation error detected: ")
}

/// Checks `Select` of a scan.
pub(super) fn check_scan(
    options: &ReadOptions,
    projecting: Option<&'static str>,
) -> Result<(), ServiceError> {
    check(options, projecting, "")
}

fn check(
    options: &ReadOptions,
    projecting: Option<&'static str>,
    prefix: &str,
) -> Result<(), ServiceError> {
    let Some(select) = options.select else { return Ok(()) };
    let choice = match select {
        Select::AllAttributes => "ALL_ATTRIBUTES",
        Select::AllProjectedAttributes => "ALL_PROJECTED_ATTRIBUTES",
        Select::Count => "only the Count",
        Select::SpecificAttributes => {
            return if projecting.is_some() {
                Ok(())
            } else {
                Err(ServiceError::validation(
                    "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES",
                ))
            };
        }
    };
    if let Some(parameter) = projecting {
        return Err(ServiceError::validation(format!(
            "{prefix}Cannot specify the {parameter} when choosing to get {choice}"
        )));
    }
    if select == Select::AllProjectedAttributes && options.index_name.is_none() {
        return Err(ServiceError::validation(
            "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName",
        ));
    }
    Ok(())
}
