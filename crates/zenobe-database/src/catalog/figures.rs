//! Item counts and sizes as the catalogue keeps them.

use std::collections::BTreeSet;

use minicbor::{Decode, Encode};

use super::{GlobalIndex, LocalIndex, Table};

/// The figures of a table and its indexes, as saved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Figures {
    /// Items and bytes of the table.
    #[n(0)]
    table: (i64, i64),
    /// Items and bytes of each local secondary index, by ordinal.
    #[n(1)]
    local: Vec<(u8, i64, i64)>,
    /// Items and bytes of each global secondary index, by space.
    #[n(2)]
    global: Vec<(u64, i64, i64)>,
}

impl Figures {
    /// The figures as they are now.
    pub(crate) fn of(table: &Table) -> Self {
        let local = |index: &LocalIndex| {
            let (items, bytes) = index.counters.signed();
            (index.ordinal, items, bytes)
        };
        let global = |index: &GlobalIndex| {
            let (items, bytes) = index.counters.signed();
            (index.space.0, items, bytes)
        };
        Self {
            table: table.counters.signed(),
            local: table.local_indexes.iter().map(local).collect(),
            global: table.global_indexes.iter().map(global).collect(),
        }
    }

    /// Adds these figures to what the table counts.
    pub(crate) fn restore(&self, table: &Table) {
        table.counters.add(self.table.0, self.table.1);
        for index in &table.local_indexes {
            let saved = self.local.iter().find(|(ordinal, ..)| *ordinal == index.ordinal);
            if let Some((_, items, bytes)) = saved {
                index.counters.add(*items, *bytes);
            }
        }
        for index in &table.global_indexes {
            let saved = self.global.iter().find(|(space, ..)| *space == index.space.0);
            if let Some((_, items, bytes)) = saved {
                index.counters.add(*items, *bytes);
            }
        }
    }

    /// These figures and others.
    pub(super) fn plus(&self, other: &Self) -> Self {
        self.combined(other, i64::saturating_add)
    }

    /// These figures without others.
    pub(crate) fn minus(&self, other: &Self) -> Self {
        self.combined(other, i64::saturating_sub)
    }

    fn combined(&self, other: &Self, combine: impl Fn(i64, i64) -> i64 + Copy) -> Self {
        Self {
            table: (combine(self.table.0, other.table.0), combine(self.table.1, other.table.1)),
            local: combined(&self.local, &other.local, combine),
            global: combined(&self.global, &other.global, combine),
        }
    }
}

/// The figures of indexes, combined by what names them.
fn combined<N: Copy + Ord>(
    some: &[(N, i64, i64)],
    others: &[(N, i64, i64)],
    combine: impl Fn(i64, i64) -> i64,
) -> Vec<(N, i64, i64)> {
    let names: BTreeSet<N> = some.iter().chain(others).map(|(name, ..)| *name).collect();
    let of = |list: &[(N, i64, i64)], name: N| {
        let found = list.iter().find(|(known, ..)| *known == name);
        found.map_or((0, 0), |(_, items, bytes)| (*items, *bytes))
    };
    let combined = |name: N| {
        let ((items, bytes), (other_items, other_bytes)) = (of(some, name), of(others, name));
        (name, combine(items, other_items), combine(bytes, other_bytes))
    };
    names.into_iter().map(combined).collect()
}
