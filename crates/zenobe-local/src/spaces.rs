//! The spaces that exist, each with the number of its incarnation.
//!
//! Physical keys name the incarnation, which is never used again: a space that is dropped and made
//! again is empty at once, however many rows of its former life still lie in the tree or the log.

use std::collections::{BTreeMap, BTreeSet};

use zenobe_storage::{EngineError, EngineResult, SpaceId};

/// A life of a space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Incarnation(pub(crate) u64);

/// The spaces that exist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spaces {
    by_id: BTreeMap<SpaceId, Incarnation>,
    live: BTreeSet<Incarnation>,
    next: u64,
}

impl Spaces {
    /// Spaces as they were written down, with the number of the next incarnation.
    pub(crate) fn restore(pairs: impl IntoIterator<Item = (u64, u64)>, next: u64) -> Self {
        let by_id: BTreeMap<_, _> = pairs
            .into_iter()
            .map(|(space, incarnation)| (SpaceId(space), Incarnation(incarnation)))
            .collect();
        Self { live: by_id.values().copied().collect(), by_id, next }
    }

    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    pub(crate) fn create(&mut self, space: SpaceId) {
        if !self.by_id.contains_key(&space) {
            let incarnation = Incarnation(self.next);
            self.next += 1;
            self.by_id.insert(space, incarnation);
            self.live.insert(incarnation);
        }
    }

    pub(crate) fn remove(&mut self, space: SpaceId) -> Option<Incarnation> {
        let incarnation = self.by_id.remove(&space)?;
        self.live.remove(&incarnation);
        Some(incarnation)
    }

    /// The incarnation of a space that exists.
    pub(crate) fn get(&self, space: SpaceId) -> EngineResult<Incarnation> {
        self.by_id.get(&space).copied().ok_or(EngineError::NoSpace(space))
    }

    pub(crate) fn is_live(&self, incarnation: Option<Incarnation>) -> bool {
        incarnation.is_some_and(|incarnation| self.live.contains(&incarnation))
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (SpaceId, Incarnation)> + '_ {
        self.by_id.iter().map(|(&space, &incarnation)| (space, incarnation))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_of_an_incarnation_is_used_again() {
        let mut spaces = Spaces::default();
        let mut used = BTreeSet::new();
        for round in 0..20 {
            for space in [SpaceId(1), SpaceId(2)] {
                spaces.remove(space);
                spaces.create(space);
                assert!(used.insert(spaces.get(space).unwrap()), "round {round}");
            }
            // One that is there keeps its own.
            let before = spaces.get(SpaceId(1));
            spaces.create(SpaceId(1));
            assert_eq!(spaces.get(SpaceId(1)), before);
            let pairs: Vec<_> = spaces.iter().map(|(space, own)| (space.0, own.0)).collect();
            spaces = Spaces::restore(pairs, spaces.next());
        }
    }
}
