//! Comparing an index with its table.
//!
//! Every item is looked at, and every entry of the index: is each entry there that should be, with what it should
//! hold, and no other? Others may write meanwhile, and where entries are relayed they come a moment later: so
//! whatever does not fit is looked at again, and counts only if it still does not fit after [`LOOKS_MAX`] looks
//! at an item that did not change. Items that cannot be read are passed over, with their entries: they are faults of
//! the table.

use std::fmt;

use zenobe_model::{EncodedItem, ServiceError};
use zenobe_storage::{Key, Lane, Read, Row, RowPlace};

use super::{LOOK_AGAIN, LOOKS_MAX, Progress, each_row, is_damage};
use crate::catalog::{GlobalIndex, IndexState, LocalIndex, Table};
use crate::index::{self, IndexEntry};
use crate::{Inner, engine_failure, key, write};

/// What was found of an index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexCheck {
    /// `TableName`
    pub table: String,
    /// `IndexName`
    pub index: String,
    /// Entries that were looked at.
    pub entries: u64,
    /// Entries that should be there and are not, or hold something else.
    pub missing: u64,
    /// Entries that should not be there.
    pub extra: u64,
    /// What cannot be read, or keeps the rest from being compared.
    pub faults: u64,
    /// The first of all these, for a person.
    pub named: Vec<String>,
}

impl IndexCheck {
    /// Whether the index agrees with its table.
    #[must_use]
    pub const fn agrees(&self) -> bool {
        self.missing == 0 && self.extra == 0 && self.faults == 0
    }

    fn name(&mut self, what: &str, key: &Key) {
        super::name(&mut self.named, || {
            format!("{what}: {} {}", key.partition.escape_ascii(), key.sort.escape_ascii())
        });
    }

    /// Notes that stored bytes are damaged, if that is why something was not compared to its end.
    fn damage(&mut self, compared: Result<(), ServiceError>) -> Result<(), ServiceError> {
        match compared {
            Err(error) if is_damage(&error) => {
                self.faults += 1;
                super::name(&mut self.named, || {
                    format!("cannot be compared further: {}", error.message)
                });
                Ok(())
            }
            compared => compared,
        }
    }
}

impl fmt::Display for IndexCheck {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, index, entries, missing, extra, faults, named } = self;
        writeln!(
            out,
            "{table}/{index}: {entries} entries, {missing} missing or different, {extra} without an item, \
             {faults} faults"
        )?;
        named.iter().try_for_each(|fault| writeln!(out, "  {fault}"))
    }
}

/// An index that is checked.
#[derive(Clone, Copy)]
enum Checked<'a> {
    Local(&'a LocalIndex),
    Global(&'a GlobalIndex),
}

impl Checked<'_> {
    fn name(self) -> String {
        match self {
            Self::Local(index) => index.name.clone(),
            Self::Global(index) => index.name.clone(),
        }
    }

    fn entry(self, table: &Table, item: &EncodedItem) -> Option<IndexEntry> {
        match self {
            Self::Local(index) => index::local_entry(table, index, item),
            Self::Global(index) => index::global_entry(table, index, item),
        }
    }

    const fn lane(self) -> Lane {
        match self {
            Self::Local(index) => index.lane(),
            Self::Global(_) => Lane::ITEM,
        }
    }
}

/// Compares every index of a table that can be read with it.
///
/// # Errors
/// What the engine answered, unless that is that stored bytes are damaged.
pub(super) async fn check(
    db: &Inner,
    table: &Table,
    progress: &mut Progress<'_>,
) -> Result<Vec<IndexCheck>, ServiceError> {
    let is_active = |index: &&GlobalIndex| index.state == IndexState::Active;
    let local = table.local_indexes.iter().map(Checked::Local);
    let global = table.global_indexes.iter().filter(is_active).map(Checked::Global);
    let mut found = Vec::new();
    for checked in local.chain(global) {
        let index = checked.name();
        let what = format!("{}/{index}", table.name);
        let mut check = IndexCheck { table: table.name.clone(), index, ..IndexCheck::default() };
        let mut progress = |count| progress(&what, count);
        // Where not all items can be read, the entries may be, and tell more.
        let compared = check_items(db, table, checked, &mut check, &mut progress).await;
        check.damage(compared)?;
        let compared = check_entries(db, table, checked, &mut check, &mut progress).await;
        check.damage(compared)?;
        found.push(check);
    }
    Ok(found)
}

/// Looks for the entry of each item.
async fn check_items(
    db: &Inner,
    table: &Table,
    checked: Checked<'_>,
    check: &mut IndexCheck,
    progress: &mut (impl FnMut(u64) + Send),
) -> Result<(), ServiceError> {
    let look = async |place: RowPlace, row: Row| {
        if let Held::Row(item) = Held::of(row)
            && let Some(entry) = checked.entry(table, &item)
            && !fits(db, table, checked, &place, entry).await?
        {
            check.missing += 1;
            check.name("missing or different for the item", &key::item_key(table, place));
        }
        Ok(())
    };
    each_row(db, (table.space, Lane::ITEM), progress, look).await.map(drop)
}

/// Whether an item's entry is there, as soon as the item rests.
async fn fits(
    db: &Inner,
    table: &Table,
    checked: Checked<'_>,
    place: &RowPlace,
    entry: IndexEntry,
) -> Result<bool, ServiceError> {
    let mut expected = Some(entry);
    for look in 0..LOOKS_MAX {
        let Some(entry) = &expected else { return Ok(true) };
        let held = held_at(db, entry.key.clone()).await?;
        if matches!(held, Held::Row(held) if held.as_map() == entry.value.as_map()) {
            return Ok(true);
        }
        if look + 1 < LOOKS_MAX {
            db.environment.sleep(LOOK_AGAIN).await;
        }
        expected = match held_at(db, key::item_key(table, place.clone())).await? {
            Held::Row(item) => checked.entry(table, &item),
            Held::Nothing | Held::Damaged => None,
        };
    }
    Ok(false)
}

/// What is under a key.
enum Held {
    Nothing,
    /// Bytes that are no item.
    Damaged,
    /// An item or entry.
    Row(EncodedItem),
}

impl Held {
    fn of(row: Row) -> Self {
        write::decode(row.value).map_or(Self::Damaged, Self::Row)
    }
}

/// What is under a key as it is.
async fn held_at(db: &Inner, key: Key) -> Result<Held, ServiceError> {
    let row = db.engine.get(key, Read::Strong).await.map_err(|error| engine_failure(&error))?;
    Ok(row.map_or(Held::Nothing, Held::of))
}

/// Looks for the item of each entry.
async fn check_entries(
    db: &Inner,
    table: &Table,
    checked: Checked<'_>,
    check: &mut IndexCheck,
    progress: &mut (impl FnMut(u64) + Send),
) -> Result<(), ServiceError> {
    let space = match checked {
        Checked::Local(_) => table.space,
        Checked::Global(index) => index.space,
    };
    let lane = checked.lane();
    let look = async |RowPlace { partition, sort }: RowPlace, row: Row| {
        check.entries += 1;
        let entry = Key { space, partition, lane, sort };
        let Held::Row(held) = Held::of(row) else {
            check.faults += 1;
            check.name("not an entry", &entry);
            return Ok(());
        };
        if !has_item(db, table, checked, &entry, held).await? {
            check.extra += 1;
            check.name("without an item", &entry);
        }
        Ok(())
    };
    each_row(db, (space, lane), progress, look).await.map(drop)
}

/// Whether an entry follows from an item, or is gone as soon as it rests. Nobody can say of an item that cannot be read
/// that the entry does not follow from it.
async fn has_item(
    db: &Inner,
    table: &Table,
    checked: Checked<'_>,
    entry: &Key,
    held: EncodedItem,
) -> Result<bool, ServiceError> {
    // An entry holds the key of its item.
    let Some(place) = key::place_of_item(table, &held, key::ItemKeyWords::Named).ok() else {
        return Ok(false);
    };
    for look in 0..LOOKS_MAX {
        let expected = match held_at(db, key::item_key(table, place.clone())).await? {
            Held::Row(item) => checked.entry(table, &item),
            Held::Nothing => None,
            Held::Damaged => return Ok(true),
        };
        if expected.is_some_and(|expected| expected.key == *entry) {
            return Ok(true);
        }
        if look + 1 < LOOKS_MAX {
            db.environment.sleep(LOOK_AGAIN).await;
        }
        let row = db.engine.get(entry.clone(), Read::Strong).await;
        if row.map_err(|error| engine_failure(&error))?.is_none() {
            return Ok(true);
        }
    }
    Ok(false)
}
