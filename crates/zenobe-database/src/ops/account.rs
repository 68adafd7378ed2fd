//! DescribeLimits and DescribeEndpoints.

use zenobe_model::operation::{DescribeEndpointsResponse, DescribeLimitsResponse};

use super::table::TABLE_CAPACITY_UNITS_MAX;
use crate::Inner;

/// How long clients may keep an endpoint, as the service says.
const ENDPOINT_CACHE_MINUTES: u64 = 1440;

/// `DescribeLimits`: the service's initial quotas. Zenobe enforces those of a table, not those of the
/// account.
pub(crate) fn describe_limits() -> DescribeLimitsResponse {
    DescribeLimitsResponse {
        account_max_read_capacity_units: 80_000,
        account_max_write_capacity_units: 80_000,
        table_max_read_capacity_units: TABLE_CAPACITY_UNITS_MAX,
        table_max_write_capacity_units: TABLE_CAPACITY_UNITS_MAX,
    }
}

/// `DescribeEndpoints` where the request does not say what it reached.
pub(crate) fn describe_endpoints(db: &Inner) -> DescribeEndpointsResponse {
    let service = || format!("dynamodb.{}.amazonaws.com", db.config.region);
    endpoint(db.config.endpoint.clone().unwrap_or_else(service))
}

/// The one endpoint that there is.
pub(crate) const fn endpoint(address: String) -> DescribeEndpointsResponse {
    DescribeEndpointsResponse { address, cache_period_minutes: ENDPOINT_CACHE_MINUTES }
}
