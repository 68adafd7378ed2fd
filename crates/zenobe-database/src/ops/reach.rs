//! What the engine in use cannot carry, refused when it is asked for and not when items are written.
//!
//! An engine without [`Capabilities::global_commit`](zenobe_storage::Capabilities::global_commit) commits
//! within a partition: an item's entries in global secondary indexes and in the index by time live in others.
//! Streams rest on one order of the change log and on snapshots.

use zenobe_model::ServiceError;

use crate::Inner;

fn refuse(what: &str) -> Result<(), ServiceError> {
    Err(ServiceError::validation(format!(
        "One or more parameter values were invalid: {what} not supported by the storage engine in use"
    )))
}

/// Refuses global secondary indexes where they cannot be kept.
pub(crate) fn check_global_indexes(db: &Inner, wanted: bool) -> Result<(), ServiceError> {
    if !wanted || db.engine.capabilities().global_commit {
        return Ok(());
    }
    refuse("Global secondary indexes are")
}

/// Refuses time to live where it cannot be kept.
pub(crate) fn check_time_to_live(db: &Inner, wanted: bool) -> Result<(), ServiceError> {
    if !wanted || db.engine.capabilities().global_commit {
        return Ok(());
    }
    refuse("Time to live is")
}

/// Refuses streams where they cannot be kept.
pub(crate) fn check_stream(db: &Inner, wanted: bool) -> Result<(), ServiceError> {
    let capabilities = db.engine.capabilities();
    if !wanted || (capabilities.snapshot_read && capabilities.native_log_order) {
        return Ok(());
    }
    refuse("Streams are")
}
