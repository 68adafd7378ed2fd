//! Making good what a commit that came too late did not know.
//!
//! A process that is stopped in the middle of a commit may commit what it planned with a table that others have
//! changed twice since, as they took it for dead. Such a commit may lack entries of an index that was made
//! meanwhile. Whoever made it finds out how late it is, looks at the table as it is now, and gives each item
//! the entries that it should have, before the client is answered.

use zenobe_model::{EncodedItem, ServiceError};
use zenobe_storage::{Commit, Key, Outcome, Read, RowPlace};

use crate::catalog::{IndexState, Table};
use crate::write::{self, CONFLICT_RETRIES_MAX, ItemWrite, Written};
use crate::{Inner, engine_failure, index, ttl};

/// Gives the items of these writes the index entries that they should have as their tables are now.
///
/// # Errors
/// What the engine answered, or that somebody else writes the items all the time.
pub(crate) async fn make_good(
    db: &Inner,
    writes: &[ItemWrite],
    written: &[Written],
) -> Result<(), ServiceError> {
    look_again(db).await?;
    for (write, written) in writes.iter().zip(written).filter(|(write, _)| !write.is_check()) {
        renew(db, &write.table, write.key(), written.old.as_ref()).await?;
    }
    Ok(())
}

/// The same for one item, which was `old` before the commit that came late.
///
/// # Errors
/// As [`make_good`].
pub(crate) async fn make_item_good(
    db: &Inner,
    table: &Table,
    item: Key,
    old: Option<&EncodedItem>,
) -> Result<(), ServiceError> {
    look_again(db).await?;
    renew(db, table, item, old).await
}

/// Finds out how the tables are now.
async fn look_again(db: &Inner) -> Result<(), ServiceError> {
    tracing::warn!("a commit took so long that its table may have changed meanwhile");
    db.catalog.beat(db).await?;
    db.catalog.reload(db).await
}

/// Replaces the entries that followed from `old` by those that follow from the item as it is, if its table is still
/// there.
async fn renew(
    db: &Inner,
    table: &Table,
    item: Key,
    old: Option<&EncodedItem>,
) -> Result<(), ServiceError> {
    let Some(now) = db.catalog.find(&table.name).filter(|now| now.id == table.id) else {
        return Ok(());
    };
    let always = with_all_entries(&now);
    for _ in 0..CONFLICT_RETRIES_MAX {
        let row = db.engine.get(item.clone(), Read::Latest).await;
        let row = row.map_err(|error| engine_failure(&error))?;
        let new = row.as_ref().map(|row| write::decode(row.value.clone())).transpose()?;
        let mut commit = Commit {
            preconditions: vec![write::as_read(item.clone(), row.as_ref())],
            ..Commit::default()
        };
        index::mutations(&always, old, new.as_ref(), &mut commit);
        let place = RowPlace { partition: item.partition.clone(), sort: item.sort.clone() };
        ttl::mutations(&always, &place, old, new.as_ref(), &mut commit);
        // Those of local indexes were committed with the item.
        commit.mutations.clear();
        match db.engine.commit(commit).await.map_err(|error| engine_failure(&error))? {
            Outcome::Committed { .. } => return Ok(()),
            Outcome::Conflict { .. } | Outcome::Closed { .. } | Outcome::Unknown => {}
        }
    }
    Err(ServiceError::internal())
}

/// The table as if each index were being filled: so that every entry is written, changed or not.
fn with_all_entries(table: &Table) -> Table {
    let mut table = table.clone();
    let filling = IndexState::Creating { backfilling: true };
    let global = table.global_indexes.iter_mut().map(|index| &mut index.state);
    let expiry = table.expiry_indexes.iter_mut().map(|index| &mut index.state);
    for state in global.chain(expiry).filter(|state| **state == IndexState::Active) {
        *state = filling;
    }
    table
}
