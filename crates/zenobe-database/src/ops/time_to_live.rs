//! UpdateTimeToLive and DescribeTimeToLive.
//!
//! Enabling makes the table's expiry index and disabling deletes it, both in the background, like a
//! global secondary index: meanwhile the status is ENABLING or DISABLING. The service lets time to
//! live be changed about once in an hour; here it may be changed at any time.
//! Source: API Reference, UpdateTimeToLive and DescribeTimeToLive.

use std::sync::Arc;

use zenobe_model::ServiceError;
use zenobe_model::operation::{
    DescribeTimeToLiveRequest, TimeToLiveDescription, TimeToLiveSpecification, TimeToLiveStatus,
    UpdateTimeToLiveRequest,
};
use zenobe_storage::SpaceId;

use crate::Inner;
use crate::catalog::{self, Edit, ExpiryIndex, IndexState, Table};

/// How many expiry indexes a table has at most, those that are being deleted included. Only a client
/// that switches time to live on and off without a pause gets there.
const EXPIRY_INDEXES_MAX: usize = 8;

/// `UpdateTimeToLive`.
pub(crate) async fn update(
    db: &Arc<Inner>,
    request: UpdateTimeToLiveRequest,
) -> Result<TimeToLiveSpecification, ServiceError> {
    let specification = request.specification;
    let name = db.catalog.table_name(&request.table_name)?;
    let changer = db.catalog.change(db).await;
    let mut keep = Vec::new();
    if specification.enabled {
        // Nothing is allocated for a request that is refused.
        let table = db.catalog.find(name).ok_or_else(|| catalog::table_not_found(name))?;
        check(&table, &specification)?;
        drop(table);
        keep = changer.allocate(name, 1).await?;
    }
    changer
        .update(name, |table| {
            check(table, &specification)?;
            let mut table = table.clone();
            change(&mut table, &specification, keep.first().copied());
            Ok(Edit { keep: keep.clone(), ..Edit::from(table) })
        })
        .await?;
    Ok(specification)
}

/// `DescribeTimeToLive`.
pub(crate) fn describe(
    db: &Inner,
    request: &DescribeTimeToLiveRequest,
) -> Result<TimeToLiveDescription, ServiceError> {
    Ok(description(&*db.catalog.describe(&request.table_name)?))
}

/// Checks that a table's time to live can be changed like this.
fn check(table: &Table, wanted: &TimeToLiveSpecification) -> Result<(), ServiceError> {
    let refuse = |text: String| Err(ServiceError::validation(text));
    match table.expiry_index() {
        None if !wanted.enabled => refuse("TimeToLive is already disabled".to_owned()),
        Some(index) if index.attribute != wanted.attribute_name => refuse(format!(
            "TimeToLive is active on a different AttributeName: current AttributeName is {}",
            index.attribute
        )),
        Some(_) if wanted.enabled => refuse("TimeToLive is already enabled".to_owned()),
        None if table.expiry_indexes.len() >= EXPIRY_INDEXES_MAX => refuse(
            "Time to live has been modified multiple times within a fixed interval".to_owned(),
        ),
        None | Some(_) => Ok(()),
    }
}

fn change(table: &mut Table, wanted: &TimeToLiveSpecification, space: Option<SpaceId>) {
    if let Some(space) = space {
        table.expiry_indexes.push(ExpiryIndex::new(wanted.attribute_name.clone(), space));
        return;
    }
    for index in &mut table.expiry_indexes {
        index.state = IndexState::Deleting;
    }
}

fn description(table: &Table) -> TimeToLiveDescription {
    let index = table.expiry_index().or(table.expiry_indexes.last());
    index.map_or_else(TimeToLiveDescription::default, |index| TimeToLiveDescription {
        status: match index.state {
            IndexState::Creating { .. } => TimeToLiveStatus::Enabling,
            IndexState::Active => TimeToLiveStatus::Enabled,
            IndexState::Deleting => TimeToLiveStatus::Disabling,
        },
        attribute_name: Some(index.attribute.clone()),
    })
}
