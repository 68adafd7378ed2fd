//! Removes the records of transactions whose time is over.

use zenobe_model::ServiceError;
use zenobe_storage::{
    Commit, HashInterval, Key, Lane, Mutation, PageLimit, Precondition, Read, Row, RowPlace,
    ScanRead,
};

use super::record::{self, Record};
use super::{SPACE, two_phase};
use crate::write::as_read;
use crate::{Inner, engine_failure};

/// How many records are looked at at once.
const PAGE: PageLimit = PageLimit { rows: 512, bytes: 1 << 20 };

/// Removes all records whose time is over, and ends the transactions among them that nobody else has
/// ended.
///
/// # Errors
/// Of the engine; the rest is removed by the next call.
pub(crate) async fn purge(db: &Inner) -> Result<(), ServiceError> {
    let now_ms = db.environment.now_ms();
    let mut after = None;
    loop {
        let scan = ScanRead {
            space: SPACE,
            lane: Lane::ITEM,
            interval: HashInterval::ALL,
            after,
            limit: PAGE,
        };
        let page = db.engine.scan(scan, Read::Eventual).await;
        let page = page.map_err(|error| engine_failure(&error))?;
        let Some((last, _)) = page.rows.last() else { return Ok(()) };
        after = Some(last.clone());
        remove_old(db, page.rows, now_ms).await?;
        if page.end {
            return Ok(());
        }
    }
}

async fn remove_old(
    db: &Inner,
    rows: Vec<(RowPlace, Row)>,
    now_ms: u64,
) -> Result<(), ServiceError> {
    let global = db.engine.capabilities().global_commit;
    let mut commit = Commit::default();
    for (place, row) in rows {
        if Record::decode(&row.value)?.deadline_ms > now_ms {
            continue;
        }
        let key: Key = record::key(place.partition);
        if global {
            let precondition: Precondition = as_read(key.clone(), Some(&row));
            commit.preconditions.push(precondition);
            commit.mutations.push(Mutation { key, value: None });
        } else if let Some(row) = two_phase::finish(db, &key, row).await? {
            two_phase::remove(db, &key, &row).await?;
        }
    }
    if !commit.mutations.is_empty() {
        // A conflict means that a token is used anew; the others are removed the next time.
        db.engine.commit(commit).await.map_err(|error| engine_failure(&error))?;
    }
    Ok(())
}
