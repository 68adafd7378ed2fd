//! Reads of several items at one point in time.

use zenobe_model::{ErrorCode, ServiceError};
use zenobe_storage::{Key, Read, Row};

use super::{conflict, two_phase};
use crate::{Inner, engine_failure, key, read};

/// How often items that change while they are read are read again.
const READS_MAX: usize = 16;

/// Reads items as they were at one point in time during the call, that of its begin or a later one.
///
/// One item is read strongly, several from a snapshot. Without snapshots they are read until two reads in
/// a row agree: versions are never used twice, so between the two all items were as read. Where
/// transactions leave intents, an intent counts as a change.
///
/// # Errors
/// `TransactionCanceledException` when the items change all the time, or the engine's error.
pub(crate) async fn read(db: &Inner, items: &[Key]) -> Result<Vec<Option<Row>>, ServiceError> {
    if let [item] = items {
        return read::row(db, item.clone(), true).await.map(|row| vec![row]);
    }
    let capabilities = db.engine.capabilities();
    if capabilities.snapshot_read && capabilities.global_commit {
        let snapshot = db.engine.snapshot().await.map_err(|error| engine_failure(&error))?;
        let rows = db.engine.multi_get(items.to_vec(), Read::Snapshot(snapshot)).await;
        return rows.map_err(|error| engine_failure(&error));
    }
    let mut keys = items.to_vec();
    if !capabilities.global_commit {
        keys.extend(items.iter().cloned().map(key::intent_key));
    }
    let mut before: Option<Vec<Option<Row>>> = None;
    let mut changed = 0;
    for _ in 0..READS_MAX {
        let mut rows = strong(db, &keys).await?;
        let intent = rows.iter().enumerate().skip(items.len()).find(|(_, row)| row.is_some());
        if let Some((place, Some(row))) = intent {
            changed = place - items.len();
            if let Some(key) = keys.get(place)
                && let Err(error) = two_phase::meet(db, (key, row)).await
                && error.code != ErrorCode::TransactionConflict
            {
                return Err(error);
            }
            before = None;
            continue;
        }
        if let Some(before) = &before {
            let version = |row: &Option<Row>| row.as_ref().map(|row| row.version);
            let mut pairs = before.iter().zip(&rows);
            match pairs.position(|(before, now)| version(before) != version(now)) {
                Some(place) => changed = place,
                None => {
                    rows.truncate(items.len());
                    return Ok(rows);
                }
            }
        }
        before = Some(rows);
    }
    let reasons = (0..items.len()).map(|place| (place == changed).then(conflict));
    Err(ServiceError::cancelled(reasons.collect()))
}

async fn strong(db: &Inner, keys: &[Key]) -> Result<Vec<Option<Row>>, ServiceError> {
    let rows = db.engine.multi_get(keys.to_vec(), Read::Strong).await;
    rows.map_err(|error| engine_failure(&error))
}
