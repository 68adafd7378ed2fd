//! Backfilling an index that is being created: one page of the table at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use zenobe_model::EncodedItem;
use zenobe_storage::{
    Commit, EngineError, Expect, HashInterval, Key, Lane, Mutation, Outcome, PageLimit,
    Precondition, Read, RowPlace, ScanRead, SpaceId, Version,
};

use super::{BackgroundError, change_index, set_state};
use crate::Inner;
use crate::catalog::{
    Catalog, Edit, ExpiryIndex, Fence, GlobalIndex, IndexState, Places, SizeChange, Table,
};
use crate::{index, ttl};

/// How much of the table is read, and committed, at once. Small enough to be a polite neighbour.
const PAGE: PageLimit = PageLimit { rows: 200, bytes: 512 << 10 };

/// An index that is being filled.
#[derive(Clone, Copy)]
pub(super) enum Target<'a> {
    /// A global secondary index.
    Global(&'a GlobalIndex),
    /// The index of items by the time at which they expire.
    Expiry(&'a ExpiryIndex),
}

impl<'a> Target<'a> {
    fn find(table: &'a Table, space: SpaceId) -> Option<Self> {
        let global = table.global_indexes.iter().find(|index| index.space == space);
        let expiry = || table.expiry_indexes.iter().find(|index| index.space == space);
        global.map(Self::Global).or_else(|| expiry().map(Self::Expiry))
    }

    const fn space(self) -> SpaceId {
        match self {
            Self::Global(index) => index.space,
            Self::Expiry(index) => index.space,
        }
    }

    const fn state(self) -> IndexState {
        match self {
            Self::Global(index) => index.state,
            Self::Expiry(index) => index.state,
        }
    }

    /// The entry of an item; `None` when the item is not in the index.
    fn entry(self, table: &Table, place: &RowPlace, item: &EncodedItem) -> Option<Entry> {
        match self {
            Self::Global(index) => {
                let entry = index::global_entry(table, index, item)?;
                let bytes = Some(entry.value.size_bytes());
                Some(Entry { key: entry.key, value: entry.value.bytes().clone(), bytes })
            }
            Self::Expiry(index) => {
                let entry = ttl::Entry::of(index, place, item)?;
                Some(Entry { key: entry.key(index), value: entry.value(), bytes: None })
            }
        }
    }

    fn count(self, entry: &Entry) {
        if let Self::Global(index) = self {
            // Nobody counts the index before it is filled.
            let change = SizeChange { old_bytes: None, new_bytes: entry.bytes };
            index.counters.record(change, None, || Places { old: None, new: None });
        }
    }
}

/// An entry to be made.
struct Entry {
    key: Key,
    value: Bytes,
    /// Its size as it is counted in the index's figures, if the index has figures.
    bytes: Option<usize>,
}

/// An item that an entry is made for.
pub(super) struct Candidate {
    item_key: Key,
    item_version: Version,
    entry: Entry,
}

/// Adds the entries of one page of items; says whether it was the last.
pub(super) async fn page(
    db: &Arc<Inner>,
    table: &Arc<Table>,
    space: SpaceId,
    fence: &Fence,
) -> Result<bool, BackgroundError> {
    let Some(target) = Target::find(table, space) else {
        return Ok(false);
    };
    let (candidates, last, end) = read_page(db, table, target).await?;
    if let Some(last) = last {
        db.catalog.check_may_commit(db, std::iter::once(&**table))?;
        add(db, target, candidates).await?;
        stand_at(db, target, &last, fence).await?;
    }
    if end {
        change_index(db, &table.name, space, |table| {
            // A deletion that came in between stands.
            let state = Target::find(table, space).map(Target::state);
            if state == Some(IndexState::Creating { backfilling: true }) {
                set_state(table, space, IndexState::Active);
            }
            Edit { backfilled: vec![space], ..Edit::default() }
        })
        .await?;
    }
    Ok(end)
}

/// Reads the next page of items: those that belong into the index, the place of the last one that
/// was looked at, and whether it was the table's last page.
pub(super) async fn read_page(
    db: &Arc<Inner>,
    table: &Table,
    target: Target<'_>,
) -> Result<(Vec<Candidate>, Option<RowPlace>, bool), BackgroundError> {
    let scan = ScanRead {
        space: table.space,
        lane: Lane::ITEM,
        interval: HashInterval::ALL,
        after: db.catalog.backfill_place(db.engine.as_ref(), target.space()).await?,
        limit: PAGE,
    };
    let page = db.engine.scan(scan, Read::Latest).await?;
    let last = page.rows.last().map(|(place, _)| place.clone());
    let mut candidates = Vec::new();
    for (place, row) in page.rows {
        let item = EncodedItem::from_stored(row.value)
            .map_err(|error| EngineError::Corrupt(error.to_string()))?;
        if let Some(entry) = target.entry(table, &place, &item) {
            let RowPlace { partition, sort } = place;
            let item_key = Key { space: table.space, partition, lane: Lane::ITEM, sort };
            candidates.push(Candidate { item_key, item_version: row.version, entry });
        }
    }
    Ok((candidates, last, page.end))
}

/// Makes the entries of these items. An item that is no longer as it was read was written by somebody who
/// keeps the index, and is left out.
pub(super) async fn add(
    db: &Arc<Inner>,
    target: Target<'_>,
    mut candidates: Vec<Candidate>,
) -> Result<(), BackgroundError> {
    // Entries that are there already were written since, or by the page before a crash.
    let keys = candidates.iter().map(|candidate| candidate.entry.key.clone()).collect();
    let present = db.engine.multi_get(keys, Read::Latest).await?;
    let mut present = present.into_iter();
    candidates.retain(|_| matches!(present.next(), Some(None)));
    for group in groups(db, candidates) {
        add_group(db, target, group).await?;
    }
    Ok(())
}

/// Takes note of how far the backfill got, for whoever goes on with it.
async fn stand_at(
    db: &Inner,
    target: Target<'_>,
    last: &RowPlace,
    fence: &Fence,
) -> Result<(), BackgroundError> {
    let place = Catalog::set_backfill_place(target.space(), last);
    match db.engine.commit(fence.commit(vec![place])).await? {
        Outcome::Committed { .. } => Ok(()),
        Outcome::Conflict { .. } | Outcome::Closed { .. } | Outcome::Unknown => {
            let text = "another process goes on with the backfill, or nobody knows";
            Err(EngineError::Unavailable(text.to_owned()).into())
        }
    }
}

/// What one commit can reach.
fn groups(db: &Inner, candidates: Vec<Candidate>) -> Vec<Vec<Candidate>> {
    if db.engine.capabilities().global_commit {
        return vec![candidates];
    }
    let mut by_partition: BTreeMap<Bytes, Vec<Candidate>> = BTreeMap::new();
    for candidate in candidates {
        by_partition.entry(candidate.item_key.partition.clone()).or_default().push(candidate);
    }
    by_partition.into_values().collect()
}

async fn add_group(
    db: &Arc<Inner>,
    target: Target<'_>,
    mut candidates: Vec<Candidate>,
) -> Result<(), BackgroundError> {
    while !candidates.is_empty() {
        let preconditions = candidates.iter().map(|candidate| Precondition {
            key: candidate.item_key.clone(),
            expect: Expect::At(candidate.item_version),
        });
        let puts = candidates.iter().map(|candidate| Mutation {
            key: candidate.entry.key.clone(),
            value: Some(candidate.entry.value.clone()),
        });
        let commit = Commit {
            preconditions: preconditions.collect(),
            derived: puts.collect(),
            ..Commit::default()
        };
        match db.engine.commit(commit).await? {
            Outcome::Committed { .. } => {
                candidates.iter().for_each(|candidate| target.count(&candidate.entry));
                return Ok(());
            }
            Outcome::Conflict { key, .. } => leave_out_changed(db, &mut candidates, key).await?,
            // The page is read again; what was committed is found to be there.
            Outcome::Closed { .. } | Outcome::Unknown => {
                return Err(EngineError::Unavailable("the outcome is unknown".to_owned()).into());
            }
        }
    }
    Ok(())
}

/// Leaves out the item that a commit stumbled over, and the others that were written as well.
async fn leave_out_changed(
    db: &Arc<Inner>,
    candidates: &mut Vec<Candidate>,
    stumbled_over: Key,
) -> Result<(), EngineError> {
    let keys = candidates.iter().map(|candidate| candidate.item_key.clone()).collect();
    let rows = db.engine.multi_get(keys, Read::Latest).await?;
    let mut changed = BTreeSet::from([stumbled_over]);
    for (candidate, row) in candidates.iter().zip(rows) {
        if row.is_none_or(|row| row.version != candidate.item_version) {
            changed.insert(candidate.item_key.clone());
        }
    }
    candidates.retain(|candidate| !changed.contains(&candidate.item_key));
    Ok(())
}
