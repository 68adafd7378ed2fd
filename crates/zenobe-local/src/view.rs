//! Everything that can be read at one time: the memtables and the tree's tables.

use std::sync::Arc;

use bytes::Bytes;
use zenobe_storage::{EngineResult, Row, Version};

use crate::heads::Head;
use crate::layout::Interval;
use crate::memtable::Memtable;
use crate::tree::TreeView;

/// The memtables, newest first (the first is written to), and the tables.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) memtables: Vec<Arc<Memtable>>,
    pub(crate) tree: Arc<TreeView>,
}

/// A version of a row: the LSN that wrote it, and its value unless that deleted it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) lsn: u64,
    pub(crate) value: Option<Bytes>,
}

impl Found {
    pub(crate) fn head(&self) -> Head {
        Head::of(self.lsn, self.value.as_deref())
    }

    pub(crate) fn row(self) -> Option<Row> {
        let Self { lsn, value } = self;
        value.map(|value| Row { version: Version(lsn), value })
    }
}

pub(crate) type Entry = (Bytes, Found);
type Entries<'a> = Box<dyn Iterator<Item = EngineResult<Entry>> + 'a>;

impl View {
    /// The newest version at `lsn` that is in memory.
    pub(crate) fn in_memory(&self, key: &Bytes, lsn: u64) -> Option<Found> {
        let (lsn, value) = self.memtables.iter().find_map(|memtable| memtable.get(key, lsn))?;
        Some(Found { lsn, value })
    }

    /// The version on disk; asked when there is none in memory.
    pub(crate) fn on_disk(&self, key: &Bytes) -> EngineResult<Found> {
        Ok(match self.tree.get(key)? {
            Some(row) => Found { lsn: row.version.0, value: Some(row.value) },
            None => Found { lsn: 0, value: None },
        })
    }

    pub(crate) fn memtable_bytes(&self) -> u64 {
        self.memtables.iter().map(|memtable| memtable.bytes()).sum()
    }

    /// The rows of an interval at `lsn`, deletions included, in order or in reverse.
    pub(crate) fn range<'a>(&'a self, interval: &Interval, lsn: u64, backward: bool) -> Merge<'a> {
        let mut sources: Vec<Entries<'a>> = Vec::with_capacity(self.memtables.len() + 1);
        for memtable in self.memtables.iter().filter(|memtable| memtable.may_overlap(interval)) {
            let mut versions = memtable.range(interval, backward);
            sources.push(Box::new(std::iter::from_fn(move || {
                let (version, value) = versions.next_at(lsn)?;
                Some(Ok((version.key, Found { lsn: version.lsn.0, value })))
            })));
        }
        for run in self.tree.runs(interval) {
            sources.push(if backward { Box::new(run.rev()) } else { run });
        }
        let heads = match sources.len() {
            // Nothing to compare with.
            1 => Vec::new(),
            _ => sources.iter_mut().map(Iterator::next).collect(),
        };
        Merge { heads, sources, backward }
    }
}

/// Merges sorted sources; where they have the same key the first source wins.
pub(crate) struct Merge<'a> {
    /// The next entry of each source; nothing where there is only one.
    heads: Vec<Option<EngineResult<Entry>>>,
    sources: Vec<Entries<'a>>,
    backward: bool,
}

impl Iterator for Merge<'_> {
    type Item = EngineResult<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        if let [only] = self.sources.as_mut_slice() {
            return only.next();
        }
        let mut best: Option<(usize, &Bytes)> = None;
        for (index, head) in self.heads.iter().enumerate() {
            match head {
                None => {}
                Some(Err(error)) => return Some(Err(error.clone())),
                Some(Ok((key, _))) => {
                    let better =
                        best.is_none_or(
                            |(_, least)| if self.backward { key > least } else { key < least },
                        );
                    if better {
                        best = Some((index, key));
                    }
                }
            }
        }
        let index = best?.0;
        let taken = self.advance(index)?;
        let Ok((key, _)) = &taken else { return Some(taken) };
        for other in 0..self.heads.len() {
            while matches!(self.heads.get(other), Some(Some(Ok((head, _)))) if head == key) {
                self.advance(other);
            }
        }
        Some(taken)
    }
}

impl Merge<'_> {
    fn advance(&mut self, index: usize) -> Option<EngineResult<Entry>> {
        let next = self.sources.get_mut(index)?.next();
        std::mem::replace(self.heads.get_mut(index)?, next)
    }
}
