//! Reading every item of a table: the engine looks at its checksums, and each row must hold an item of the table
//! under the item's own key.

use std::fmt;

use zenobe_model::{EncodedItem, ServiceError};
use zenobe_storage::{Lane, Row, RowPlace};

use super::{Progress, each_row, is_damage};
use crate::catalog::Table;
use crate::key::ItemKeyWords;
use crate::{Inner, key, write};

/// What was found of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableCheck {
    /// `TableName`
    pub table: String,
    /// Items that were read.
    pub items: u64,
    /// What cannot be read, or is not where it belongs.
    pub faults: u64,
    /// The first faults, for a person.
    pub named: Vec<String>,
}

impl TableCheck {
    /// Whether every item can be read.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.faults == 0
    }

    fn fault(&mut self, what: impl FnOnce() -> String) {
        self.faults += 1;
        super::name(&mut self.named, what);
    }
}

impl fmt::Display for TableCheck {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, items, faults, named } = self;
        writeln!(out, "{table}: {items} items, {faults} faults")?;
        named.iter().try_for_each(|fault| writeln!(out, "  {fault}"))
    }
}

/// Reads every item of a table.
///
/// # Errors
/// What the engine answered, unless that is that stored bytes are damaged.
pub(super) async fn check(
    db: &Inner,
    table: &Table,
    progress: &mut Progress<'_>,
) -> Result<TableCheck, ServiceError> {
    let mut check = TableCheck { table: table.name.clone(), ..TableCheck::default() };
    let look = async |place: RowPlace, row: Row| {
        match write::decode(row.value) {
            Err(_) => check.fault(|| format!("not an item: {}", shown(&place))),
            Ok(item) if !lies_at(table, &item, &place) => {
                check.items += 1;
                check.fault(|| format!("an item under another's key: {}", shown(&place)));
            }
            Ok(_) => check.items += 1,
        }
        Ok(())
    };
    let mut progress = |count| progress(&table.name, count);
    let read = each_row(db, (table.space, Lane::ITEM), &mut progress, look).await;
    match read {
        Ok(_) => Ok(check),
        // The engine cannot pass over what it cannot read.
        Err(error) if is_damage(&error) => {
            let items = check.items;
            let message = error.message;
            check.fault(|| format!("cannot be read further than {items} items: {message}"));
            Ok(check)
        }
        Err(error) => Err(error),
    }
}

fn shown(place: &RowPlace) -> String {
    format!("{} {}", place.partition.escape_ascii(), place.sort.escape_ascii())
}

/// Whether an item has the key of its place.
fn lies_at(table: &Table, item: &EncodedItem, place: &RowPlace) -> bool {
    let own = key::place_of_item(table, item, ItemKeyWords::Named);
    own.is_ok_and(|own| own == *place)
}
