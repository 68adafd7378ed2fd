//! Which index entries follow from an item: the only place that knows.
//!
//! Entries are derived, never read to be changed: [`mutations`] takes the item before and after and
//! names the entries to put and to delete. Those of local indexes are rows of the item's partition; those of
//! global ones are derived rows of the item's commit. So an index never disagrees with its table, or, where
//! commits stay within a partition, not for long. What they cost is counted here as well.
//! Source: Developer Guide, "Using Global Secondary Indexes", "Write operations and throughput".

use std::sync::Arc;

use zenobe_model::capacity::HalfUnits;
use zenobe_model::limits::{PARTITION_KEY_BYTES_MAX, SORT_KEY_BYTES_MAX};
use zenobe_model::{EncodedItem, ValueRef};
use zenobe_storage::{Commit, Key, Mutation, RowPlace};

use crate::catalog::{Counters, GlobalIndex, Index, IndexProjection, LocalIndex, Table, Upkeep};
use crate::key;

/// An entry of a secondary index: where it lives and what it holds.
#[derive(Clone, Debug)]
pub struct IndexEntry {
    /// The engine key.
    pub key: Key,
    /// The projected item: the index key, the table key and what the projection names.
    pub value: EncodedItem,
}

/// What a write did to one index.
#[derive(Clone, Debug)]
pub struct IndexChange {
    /// The index's name.
    pub name: String,
    /// Whether the index is a local one.
    pub local: bool,
    /// What the change consumes.
    pub units: HalfUnits,
    /// The size of the entry before, in bytes.
    pub old_bytes: Option<usize>,
    /// The size of the entry after, in bytes.
    pub new_bytes: Option<usize>,
    /// The figures of the index.
    pub counters: Arc<Counters>,
}

/// Adds to a commit what the change of an item from `old` to `new` means for all indexes, and says
/// what it does to each. Indexes that are not touched are absent.
pub(crate) fn mutations(
    table: &Table,
    old: Option<&EncodedItem>,
    new: Option<&EncodedItem>,
    commit: &mut Commit,
) -> Vec<IndexChange> {
    let mut changes = Vec::new();
    let mut change = |name: &String, upkeep, local, counters: &Arc<Counters>, old, new| {
        let out = if local { &mut commit.mutations } else { &mut commit.derived };
        let bytes = |entry: &Option<IndexEntry>| entry.as_ref().map(|e| e.value.size_bytes());
        let (old_bytes, new_bytes) = (bytes(&old), bytes(&new));
        let units = replace(old, new, upkeep, out);
        if units > HalfUnits(0) {
            let (name, counters) = (name.clone(), Arc::clone(counters));
            changes.push(IndexChange { name, local, units, old_bytes, new_bytes, counters });
        }
    };
    for index in &table.local_indexes {
        let entry = |item| local_entry(table, index, item);
        let (old, new) = (old.and_then(entry), new.and_then(entry));
        change(&index.name, Upkeep::Changes, true, &index.counters, old, new);
    }
    for index in &table.global_indexes {
        let Some(upkeep) = index.state.upkeep() else { continue };
        let entry = |item| global_entry(table, index, item);
        let (old, new) = (old.and_then(entry), new.and_then(entry));
        change(&index.name, upkeep, false, &index.counters, old, new);
    }
    changes
}

/// The entry of an item in a local secondary index; `None` when the item is not in it.
pub(crate) fn local_entry(
    table: &Table,
    index: &LocalIndex,
    item: &EncodedItem,
) -> Option<IndexEntry> {
    let key = key::local_entry_key(table, index, item)?;
    let keys = table.key.attributes().chain(index.key.sort.iter());
    let value = project(item, &index.projection, keys.map(|attribute| attribute.name.as_str()));
    Some(IndexEntry { key, value })
}

/// The entry of an item in a global secondary index; `None` when the item is not in it. An item that is older than the
/// index may have attributes that cannot be its key.
pub(crate) fn global_entry(
    table: &Table,
    index: &GlobalIndex,
    item: &EncodedItem,
) -> Option<IndexEntry> {
    let key = key::global_entry_key(table, index, item).filter(|_| can_be_in(index, item))?;
    let keys = table.key.attributes().chain(&index.partition).chain(&index.sort);
    let value = project(item, &index.projection, keys.map(|attribute| attribute.name.as_str()));
    Some(IndexEntry { key, value })
}

/// Whether the key attributes of an item that has them can be a key: neither empty nor too long.
fn can_be_in(index: &GlobalIndex, item: &EncodedItem) -> bool {
    let fits = |name: &str, longest: usize| {
        let Some(raw) = item.get(name) else { return true };
        match raw.value() {
            ValueRef::S(text) => !text.is_empty() && text.len() <= longest,
            ValueRef::B(bytes) => !bytes.is_empty() && bytes.len() <= longest,
            _ => true,
        }
    };
    index.partition.iter().all(|attribute| fits(&attribute.name, PARTITION_KEY_BYTES_MAX))
        && index.sort.iter().all(|attribute| fits(&attribute.name, SORT_KEY_BYTES_MAX))
}

/// The place of an item's entry in the index that a write changed.
pub(crate) fn entry_place(
    table: &Table,
    change: &IndexChange,
    item: &EncodedItem,
) -> Option<RowPlace> {
    let key = match table.index(&change.name)? {
        Index::Local(index) => key::local_entry_key(table, index, item)?,
        Index::Global(index) => key::global_entry_key(table, index, item)?,
    };
    Some(RowPlace { partition: key.partition, sort: key.sort })
}

fn project<'a>(
    item: &EncodedItem,
    projection: &'a IndexProjection,
    keys: impl Iterator<Item = &'a str>,
) -> EncodedItem {
    let mut names: Vec<&str> = match projection {
        IndexProjection::All => return item.clone(),
        IndexProjection::KeysOnly => Vec::new(),
        IndexProjection::Include(names) => names.iter().map(String::as_str).collect(),
    };
    names.extend(keys);
    names.sort_unstable();
    names.dedup();
    item.project_top_level(&names)
}

/// Replaces one entry by another. Moving an entry is two writes; an entry whose projected view does
/// not change is none.
fn replace(
    old: Option<IndexEntry>,
    new: Option<IndexEntry>,
    upkeep: Upkeep,
    out: &mut Vec<Mutation>,
) -> HalfUnits {
    let mut units = HalfUnits(0);
    if let (Some(old), Some(new)) = (&old, &new)
        && old.key == new.key
    {
        let changes = old.value.as_map() != new.value.as_map();
        if changes {
            units += HalfUnits::write(old.value.size_bytes().max(new.value.size_bytes()));
        }
        if changes || upkeep == Upkeep::Always {
            out.push(put(new, upkeep));
        }
        return units;
    }
    if let Some(old) = old {
        units += HalfUnits::write(old.value.size_bytes());
        out.push(Mutation { key: old.key, value: None });
    }
    if let Some(new) = new {
        units += HalfUnits::write(new.value.size_bytes());
        if upkeep != Upkeep::RemoveOnly {
            out.push(put(&new, upkeep));
        }
    }
    units
}

/// Puts an entry, or sees to it that there is none where none may be added.
fn put(entry: &IndexEntry, upkeep: Upkeep) -> Mutation {
    let value = (upkeep != Upkeep::RemoveOnly).then(|| entry.value.bytes().clone());
    Mutation { key: entry.key.clone(), value }
}
