//! What can be set on a table beside its keys: throughput, stream, encryption.
//!
//! Zenobe keeps and describes these settings as they were asked for. It does not throttle by
//! provisioned throughput or on-demand maxima, has no table classes, and does not encrypt by itself:
//! the directory that holds the data may be on an encrypted file system.

use zenobe_model::operation::{
    BillingMode, OnDemandThroughput, ProvisionedThroughput, ProvisionedThroughputDescription,
    SseSpecification, SseType, StreamSpecification, StreamViewType, WarmThroughput,
};
use zenobe_model::{ErrorCode, ServiceError};

use super::{invalid, limit_exceeded, validation};
use crate::catalog::{Encryption, GlobalIndex, Table};

/// The most capacity of each kind that a table may have, and each of its global indexes: the
/// service's initial quota, which DescribeLimits tells.
pub(crate) const TABLE_CAPACITY_UNITS_MAX: u64 = 40_000;
/// A capacity that is refused as absurd is above this.
const CAPACITY_UNITS_MAX: u64 = 1_000_000_000_000;
/// What a table or an index on demand can read per second without having been warmed.
const ON_DEMAND_READ_UNITS: i64 = 12_000;
/// What a table or an index on demand can write per second without having been warmed.
const ON_DEMAND_WRITE_UNITS: i64 = 4_000;
/// Where the initial throughput on demand is documented.
const INITIAL_THROUGHPUT: &str = "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode.html#on-demand-capacity-mode-initial";

/// What a setting is for; the texts differ.
#[derive(Clone, Copy)]
pub(super) enum Target<'a> {
    NewTable,
    NewIndex(&'a str),
    Table,
    Index(&'a str),
}

/// Checks that capacities are neither absurd nor beyond what DescribeLimits says that one table may
/// have; the index has the same limit.
pub(super) fn check_bounds(
    throughput: ProvisionedThroughput,
    target: Target<'_>,
    region: &str,
) -> Result<(), ServiceError> {
    let members = [
        ("ReadCapacityUnits", throughput.read_capacity_units),
        ("WriteCapacityUnits", throughput.write_capacity_units),
    ];
    if let Some((member, units)) =
        members.into_iter().find(|(_, units)| *units > CAPACITY_UNITS_MAX)
    {
        return Err(validation(format!("Given value {units} for {member} is out of bounds")));
    }
    let Some((member, units)) =
        members.into_iter().find(|(_, units)| *units > TABLE_CAPACITY_UNITS_MAX)
    else {
        return Ok(());
    };
    let (whose, what) = match target {
        Target::NewTable | Target::Table => (String::new(), "table"),
        Target::NewIndex(index) | Target::Index(index) => (format!(" for index {index}"), "index"),
    };
    Err(ServiceError::new(
        ErrorCode::LimitExceeded,
        format!(
            "The requested {member}{whose}, {units}, is above the per {what} maximum for the account in {region}. Per {what} maximum: {TABLE_CAPACITY_UNITS_MAX}. Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits."
        ),
    ))
}

/// Checks that none of these members is beyond what DescribeLimits says that one table may have.
fn check_quota(
    [read, write]: [(&str, Option<i64>); 2],
    parameter_and_target: impl std::fmt::Display,
    region: &str,
) -> Result<(), ServiceError> {
    let is_above = |units: Option<i64>| {
        units
            .and_then(|units| u64::try_from(units).ok())
            .is_some_and(|units| units > TABLE_CAPACITY_UNITS_MAX)
    };
    let quotas = [(read, "TableMaxReadCapacityUnits"), (write, "TableMaxWriteCapacityUnits")];
    match quotas.into_iter().find(|((_, units), _)| is_above(*units)) {
        Some(((member, _), quota)) => Err(limit_exceeded(format!(
            "Requested {member} for {parameter_and_target} exceeds {quota} of the account in region {region}"
        ))),
        None => Ok(()),
    }
}

/// A throughput that was never changed.
pub(super) fn provisioned(throughput: ProvisionedThroughput) -> ProvisionedThroughputDescription {
    ProvisionedThroughputDescription {
        read_capacity_units: throughput.read_capacity_units,
        write_capacity_units: throughput.write_capacity_units,
        ..ProvisionedThroughputDescription::default()
    }
}

/// A throughput after a change.
pub(super) fn changed(
    before: ProvisionedThroughputDescription,
    wanted: ProvisionedThroughput,
    now_ms: u64,
) -> ProvisionedThroughputDescription {
    let (read, write) = (wanted.read_capacity_units, wanted.write_capacity_units);
    let mut after = ProvisionedThroughputDescription {
        read_capacity_units: read,
        write_capacity_units: write,
        number_of_decreases_today: decreases_today(before, now_ms),
        ..before
    };
    if read > before.read_capacity_units || write > before.write_capacity_units {
        after.last_increase_ms = Some(now_ms);
    }
    if read < before.read_capacity_units || write < before.write_capacity_units {
        after.last_decrease_ms = Some(now_ms);
        after.number_of_decreases_today += 1;
    }
    after
}

/// How often a throughput was decreased on the present day, UTC.
pub(super) fn decreases_today(throughput: ProvisionedThroughputDescription, now_ms: u64) -> u64 {
    const DAY_MS: u64 = 86_400_000;
    match throughput.last_decrease_ms {
        Some(last) if last / DAY_MS == now_ms / DAY_MS => throughput.number_of_decreases_today,
        _ => 0,
    }
}

/// Checks on-demand maxima. An object without members is as good as none.
pub(super) fn on_demand(
    given: Option<OnDemandThroughput>,
    billing: BillingMode,
    target: Target<'_>,
    region: &str,
) -> Result<Option<OnDemandThroughput>, ServiceError> {
    let Some(given) = given else { return Ok(None) };
    let members = [
        ("MaxReadRequestUnits", given.max_read_request_units),
        ("MaxWriteRequestUnits", given.max_write_request_units),
    ];
    let mut present = members.iter().filter_map(|(name, units)| units.map(|units| (name, units)));
    let Some((first, _)) = present.clone().next() else { return Ok(None) };
    if billing == BillingMode::Provisioned {
        return Err(invalid(match target {
            Target::NewTable => format!(
                "{first} for OnDemandThroughput cannot be specified when table BillingMode is PROVISIONED."
            ),
            Target::NewIndex(index) => format!(
                "{first} for OnDemandThroughput for index: {index} cannot be specified when table BillingMode is PROVISIONED."
            ),
            Target::Table => format!(
                "{first} for OnDemandThroughput cannot be specified when the table BillingMode is PROVISIONED"
            ),
            Target::Index(index) => format!(
                "{first} for OnDemandThroughput for index : {index} cannot be specified when the table BillingMode is PROVISIONED"
            ),
        }));
    }
    let lifts = matches!(target, Target::Table | Target::Index(_));
    let outside = |units: i64| units < 1 && !(lifts && units == -1);
    let what = match target {
        Target::NewTable | Target::Table => "table".to_owned(),
        Target::NewIndex(index) | Target::Index(index) => format!("index : {index}"),
    };
    if let Some((member, _)) = present.find(|(_, units)| outside(*units)) {
        return Err(invalid(format!(
            "Requested {member} for OnDemandThroughput for {what} is outside of valid range"
        )));
    }
    check_quota(members, format_args!("OnDemandThroughput for {what}"), region)?;
    Ok(Some(given))
}

/// On-demand maxima after a change: first as the response echoes them, then as they are kept.
pub(super) fn merged_on_demand(
    before: Option<OnDemandThroughput>,
    wanted: OnDemandThroughput,
) -> (OnDemandThroughput, Option<OnDemandThroughput>) {
    let before = before.unwrap_or_default();
    let echo = OnDemandThroughput {
        max_read_request_units: wanted.max_read_request_units.or(before.max_read_request_units),
        max_write_request_units: wanted.max_write_request_units.or(before.max_write_request_units),
    };
    let kept = OnDemandThroughput {
        max_read_request_units: echo.max_read_request_units.filter(|units| *units != -1),
        max_write_request_units: echo.max_write_request_units.filter(|units| *units != -1),
    };
    (echo, Some(kept).filter(|kept| *kept != OnDemandThroughput::default()))
}

/// Checks the warm throughput of something new. An object without members is as good as none.
pub(super) fn new_warm(
    given: Option<WarmThroughput>,
    billing: BillingMode,
    provisioned: ProvisionedThroughputDescription,
    target: Target<'_>,
    region: &str,
) -> Result<Option<WarmThroughput>, ServiceError> {
    let Some(given) = given.filter(|given| *given != WarmThroughput::default()) else {
        return Ok(None);
    };
    let (read, write) = least_warm(billing, provisioned);
    let members = [
        ("ReadUnitsPerSecond", given.read_units_per_second, read, "ReadCapacityUnits"),
        ("WriteUnitsPerSecond", given.write_units_per_second, write, "WriteCapacityUnits"),
    ];
    for (member, units, least, capacity) in members {
        if units.is_some_and(|units| units < least) {
            let floor = match billing {
                BillingMode::PayPerRequest => {
                    format!("initial throughput for OnDemand. See: {INITIAL_THROUGHPUT}")
                }
                BillingMode::Provisioned => format!("{capacity} of ProvisionedThroughput"),
            };
            return Err(invalid(format!(
                "Requested {member} for WarmThroughput for {} is lower than {floor}",
                warm_target(target)
            )));
        }
    }
    check_warm_quota(given, target, region)?;
    Ok(Some(given))
}

fn check_warm_quota(
    given: WarmThroughput,
    target: Target<'_>,
    region: &str,
) -> Result<(), ServiceError> {
    let members = [
        ("ReadUnitsPerSecond", given.read_units_per_second),
        ("WriteUnitsPerSecond", given.write_units_per_second),
    ];
    check_quota(members, format_args!("WarmThroughput for {}", warm_target(target)), region)
}

fn warm_target(target: Target<'_>) -> String {
    match target {
        Target::NewTable | Target::Table => "table".to_owned(),
        Target::NewIndex(index) | Target::Index(index) => format!("index {index}"),
    }
}

/// What something can take without having been warmed: reads and writes per second.
fn least_warm(billing: BillingMode, provisioned: ProvisionedThroughputDescription) -> (i64, i64) {
    let units = |units: u64| i64::try_from(units).unwrap_or(i64::MAX);
    match billing {
        BillingMode::PayPerRequest => (ON_DEMAND_READ_UNITS, ON_DEMAND_WRITE_UNITS),
        BillingMode::Provisioned => {
            (units(provisioned.read_capacity_units), units(provisioned.write_capacity_units))
        }
    }
}

/// The warm throughput that something has: what it was warmed to, but no less than it can take
/// anyway. Never goes down.
pub(super) fn effective_warm(
    kept: Option<WarmThroughput>,
    billing: BillingMode,
    provisioned: ProvisionedThroughputDescription,
) -> (i64, i64) {
    let (read, write) = least_warm(billing, provisioned);
    let kept = kept.unwrap_or_default();
    (
        read.max(kept.read_units_per_second.unwrap_or(0)),
        write.max(kept.write_units_per_second.unwrap_or(0)),
    )
}

/// The warm throughput of a table.
pub(super) fn table_warm(table: &Table) -> (i64, i64) {
    effective_warm(table.warm_throughput, table.billing_mode, table.provisioned_throughput)
}

/// The warm throughput of an index.
pub(super) fn index_warm(table: &Table, index: &GlobalIndex) -> (i64, i64) {
    effective_warm(index.warm_throughput, table.billing_mode, index.provisioned_throughput)
}

/// A warm throughput to keep.
pub(super) fn warmed((read, write): (i64, i64)) -> WarmThroughput {
    WarmThroughput { read_units_per_second: Some(read), write_units_per_second: Some(write) }
}

/// Checks a change of a warm throughput: it can only go up.
pub(super) fn raised_warm(
    current: (i64, i64),
    wanted: WarmThroughput,
    target: Target<'_>,
    region: &str,
) -> Result<WarmThroughput, ServiceError> {
    let members = [
        ("ReadUnitsPerSecond", wanted.read_units_per_second, current.0),
        ("WriteUnitsPerSecond", wanted.write_units_per_second, current.1),
    ];
    for (member, units, current) in members {
        if units.is_some_and(|units| units < current) {
            return Err(invalid(format!(
                "Requested {member} for WarmThroughput for {} is lower than current WarmThroughput, decreasing WarmThroughput is not supported",
                warm_target(target)
            )));
        }
    }
    check_warm_quota(wanted, target, region)?;
    Ok(warmed((
        wanted.read_units_per_second.unwrap_or(current.0),
        wanted.write_units_per_second.unwrap_or(current.1),
    )))
}

/// Checks the stream of a new table: its view type if it is enabled.
pub(super) fn new_stream(
    given: Option<StreamSpecification>,
) -> Result<Option<StreamViewType>, ServiceError> {
    match given {
        None => Ok(None),
        Some(StreamSpecification { stream_enabled: true, stream_view_type: None }) => {
            Err(invalid("Table is being created with a stream enabled, UpdateViewType is required"))
        }
        Some(StreamSpecification { stream_enabled: false, stream_view_type: Some(_) }) => {
            Err(invalid(
                "Table is being created with a stream disabled, UpdateViewType should not be specified",
            ))
        }
        Some(StreamSpecification { stream_view_type, .. }) => Ok(stream_view_type),
    }
}

/// Checks `SSESpecification`: whether encryption with a key of its own is wanted.
pub(super) fn wants_encryption(given: &SseSpecification) -> Result<bool, ServiceError> {
    if given.enabled == Some(false) {
        if given.sse_type.is_some() {
            return Err(invalid("SSEType can not be specified if Enabled is false"));
        }
        if given.kms_master_key_id.is_some() {
            return Err(invalid("KMSMasterKeyId can not be specified if Enabled is false"));
        }
        return Ok(false);
    }
    if given.sse_type == Some(SseType::Aes256) {
        return Err(invalid("SSEType AES256 is not supported"));
    }
    if given.kms_master_key_id.is_some() && given.sse_type.is_none() {
        return Err(invalid("SSEType KMS is required if KMSMasterKeyId is specified"));
    }
    Ok(given.enabled == Some(true) || given.sse_type.is_some())
}

/// The encryption that a specification asks for, with the ARN of its key. `key_id` names the key
/// when the request does not.
pub(super) fn encryption(
    given: &SseSpecification,
    region: &str,
    account_id: &str,
    key_id: &str,
) -> Encryption {
    let arn = |id: &str| format!("arn:aws:kms:{region}:{account_id}:key/{id}");
    let kms_key_arn = match given.kms_master_key_id.as_deref() {
        Some(named) if named.starts_with("arn:") => named.to_owned(),
        Some(named) if !named.starts_with("alias/") => arn(named),
        _ => arn(key_id),
    };
    Encryption { kms_key_arn: Some(kms_key_arn) }
}

/// Says in the log that the encryption that a table was given is only described.
pub(super) fn warn_of_encryption(table: &str) {
    tracing::warn!(
        table,
        "SSESpecification is kept and described, but Zenobe does not encrypt: the data is as safe as the disk"
    );
}

/// `LatestStreamLabel` of a stream that is enabled at this time: ISO 8601 with milliseconds, UTC.
pub(crate) fn stream_label(now_ms: u64) -> String {
    let (days, of_day) = (now_ms / 86_400_000, now_ms % 86_400_000);
    let (year, month, day) = civil(days);
    let (hour, minute) = (of_day / 3_600_000, of_day / 60_000 % 60);
    let (second, millis) = (of_day / 1000 % 60, of_day % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}")
}

/// The date that is this many days after 1970-01-01.
fn civil(days: u64) -> (u64, u64, u64) {
    // Counts from 0000-03-01, so that the leap day is the last of its year; eras have 400 years.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_labelled_with_its_time() {
        assert_eq!(stream_label(0), "1970-01-01T00:00:00.000");
        assert_eq!(stream_label(951_782_400_000 + 3_723_004), "2000-02-29T01:02:03.004");
        assert_eq!(stream_label(1_791_500_851_275), "2026-10-08T23:07:31.275");
    }

    #[test]
    fn decreases_are_counted_by_the_day() {
        let units = |read, write| ProvisionedThroughput {
            read_capacity_units: read,
            write_capacity_units: write,
        };
        let first = changed(provisioned(units(5, 5)), units(4, 6), 1000);
        assert_eq!((first.last_increase_ms, first.last_decrease_ms), (Some(1000), Some(1000)));
        let second = changed(first, units(3, 6), 2000);
        assert_eq!(second.number_of_decreases_today, 2);
        assert_eq!(decreases_today(second, 86_400_000), 0);
    }
}
