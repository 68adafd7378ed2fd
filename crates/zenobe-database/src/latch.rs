//! Latches: writers of one key queue here, so that a hot key costs no retries.
//!
//! A latch is held from reading an item until the commit of its change is ordered and counted in the table's
//! figures. Keys share a
//! fixed number of stripes; several are taken in ascending order, so that nobody waits in a circle.
//! The compare-and-set of the engine remains what correctness rests on: other processes take no
//! latch of ours.

use std::hash::{BuildHasher, RandomState};

use tokio::sync::{Mutex, MutexGuard};
use zenobe_storage::Key;

/// How many stripes there are. More than any sensible number of requests in flight.
const STRIPES: usize = 4096;

pub(crate) struct Latches {
    stripes: Box<[Mutex<()>]>,
    hasher: RandomState,
}

impl Default for Latches {
    fn default() -> Self {
        Self { stripes: (0..STRIPES).map(|_| Mutex::new(())).collect(), hasher: RandomState::new() }
    }
}

/// Holds the latches of some keys until dropped.
#[expect(dead_code, reason = "held for its drop")]
pub(crate) enum LatchGuard<'a> {
    One(MutexGuard<'a, ()>),
    Many(Vec<MutexGuard<'a, ()>>),
}

impl Latches {
    /// Waits for the latches of all `keys`.
    pub(crate) async fn lock(&self, keys: &[Key]) -> LatchGuard<'_> {
        if let [key] = keys
            && let Some(stripe) = self.stripes.get(self.stripe(key))
        {
            return LatchGuard::One(stripe.lock().await);
        }
        let mut wanted: Vec<usize> = keys.iter().map(|key| self.stripe(key)).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let mut guards = Vec::with_capacity(wanted.len());
        for stripe in wanted.into_iter().filter_map(|ordinal| self.stripes.get(ordinal)) {
            guards.push(stripe.lock().await);
        }
        LatchGuard::Many(guards)
    }

    /// Takes each latch once and drops it, one after the other: whoever held one when this began has dropped it
    /// when it ends.
    pub(crate) async fn pass(&self) {
        for stripe in &self.stripes {
            drop(stripe.lock().await);
        }
    }

    fn stripe(&self, key: &Key) -> usize {
        usize::try_from(self.hasher.hash_one(key) % STRIPES as u64).unwrap_or(0)
    }
}
