//! What is known about a table's time to live: the index of its items by the second they expire at.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use minicbor::{Decode, Encode};
use zenobe_storage::SpaceId;

use super::stored;
use super::table::IndexState;

/// How often an index is looked through from its beginning, whatever is remembered about it: so that
/// what another process wrote, or a write whose client went away, is found after all.
const FULL_LOOK_INTERVAL_MS: u64 = 10 * 60 * 1000;

/// How late an entry of another process may come, in seconds, and still be found before the next full look:
/// so old may the expiry of an item be when it is written.
const LATE_ENTRIES_S: u64 = 3600;

/// The index of a table's items by the time at which they expire ([`crate::ttl`]).
///
/// A table has one that is not being deleted at most: its time to live is enabled then.
#[derive(Clone, Debug, Encode, Decode)]
pub struct ExpiryIndex {
    /// `AttributeName`: the attribute that says when an item expires, seconds since the epoch.
    #[n(0)]
    pub attribute: String,
    /// Where its entries live.
    #[cbor(n(1), with = "stored::space_id")]
    pub space: SpaceId,
    /// Where it is in its life.
    #[n(2)]
    pub state: IndexState,
    /// When there is something to do.
    #[cbor(skip)]
    pub(crate) due: Arc<Due>,
}

impl ExpiryIndex {
    /// A new index, which is still to be filled.
    pub(crate) fn new(attribute: String, space: SpaceId) -> Self {
        let state = IndexState::Creating { backfilling: false };
        Self { attribute, space, state, due: Arc::default() }
    }

    /// Whether a write of an item must keep this index.
    #[must_use]
    pub const fn is_written(&self) -> bool {
        !matches!(self.state, IndexState::Deleting)
    }
}

/// The earliest second that an index may have an entry at, as far as this process knows.
///
/// A writer lowers it *after* its commit. Who looks takes it, which leaves "never" behind, *before*
/// reading the index, and lowers it to what the index still has. So an entry is either read or has
/// lowered what is remembered for the next time; a table with nothing due costs one load.
#[derive(Debug, Default)]
pub(crate) struct Due {
    earliest_s: AtomicU64,
    looked_ms: AtomicU64,
    /// The present of the last look that was finished.
    finished_s: AtomicU64,
}

impl Due {
    /// Takes note of an entry at this second.
    pub(crate) fn lower(&self, second: u64) {
        self.earliest_s.fetch_min(second, Ordering::SeqCst);
    }

    /// Begins to look through the index, if anything in it may be due: always where other processes
    /// write entries, too, from a while before the present of the last look.
    pub(crate) fn look(self: &Arc<Self>, now_ms: u64, shared: bool) -> Option<Look> {
        if shared {
            let known_s = self.finished_s.load(Ordering::SeqCst).saturating_sub(LATE_ENTRIES_S);
            self.lower(known_s);
        }
        let is_full =
            now_ms.saturating_sub(self.looked_ms.load(Ordering::Relaxed)) >= FULL_LOOK_INTERVAL_MS;
        if !is_full && self.earliest_s.load(Ordering::SeqCst) >= now_ms / 1000 {
            return None;
        }
        let earliest = self.earliest_s.swap(u64::MAX, Ordering::SeqCst);
        let from_s = if is_full { 0 } else { earliest };
        Some(Look {
            due: Arc::clone(self),
            from_s,
            full_at_ms: is_full.then_some(now_ms),
            present_s: now_ms / 1000,
            finished: false,
        })
    }
}

/// A look through an index. Unless it is finished, the next one begins where this one did.
#[derive(Debug)]
pub(crate) struct Look {
    due: Arc<Due>,
    /// There is nothing before this second.
    pub(crate) from_s: u64,
    full_at_ms: Option<u64>,
    present_s: u64,
    finished: bool,
}

impl Look {
    /// Takes note of what is left: an entry at this second.
    pub(crate) fn leave(&self, second: u64) {
        self.due.lower(second);
    }

    /// Ends the look: everything that was due is gone.
    pub(crate) fn finish(mut self) {
        self.finished = true;
        self.due.finished_s.fetch_max(self.present_s, Ordering::SeqCst);
        if let Some(now_ms) = self.full_at_ms {
            self.due.looked_ms.store(now_ms, Ordering::Relaxed);
        }
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        if !self.finished {
            self.due.lower(self.from_s);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_during_a_look_is_remembered() {
        let due = Arc::new(Due::default());
        let look = due.look(5_000_000, false).unwrap();
        assert_eq!(look.from_s, 0);
        due.lower(7);
        due.lower(9);
        look.finish();
        let look = due.look(8_000, false).unwrap();
        assert_eq!(look.from_s, 7);
        look.finish();
        assert!(due.look(8_000, false).is_none());
    }

    #[test]
    fn a_look_that_is_not_finished_is_owed() {
        let due = Arc::new(Due::default());
        due.look(5_000_000, false).unwrap().finish();
        due.lower(3);
        drop(due.look(5_000_000, false).unwrap());
        assert_eq!(due.look(5_000_000, false).unwrap().from_s, 3);
    }

    #[test]
    fn now_and_then_a_look_begins_at_the_beginning() {
        let due = Arc::new(Due::default());
        due.look(FULL_LOOK_INTERVAL_MS, false).unwrap().finish();
        assert!(due.look(2 * FULL_LOOK_INTERVAL_MS - 1, false).is_none());
        assert_eq!(due.look(2 * FULL_LOOK_INTERVAL_MS, false).unwrap().from_s, 0);
    }
}
