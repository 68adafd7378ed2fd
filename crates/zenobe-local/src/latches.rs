//! Who may write a key now: latches striped over the keys, held while a commit is checked and
//! ordered, never across an await. Each remembers the last LSN that wrote to a key of its stripe.

use parking_lot::{Mutex, MutexGuard};

use crate::digest::Digest;

const STRIPES: usize = 4096;

/// The latches.
pub(crate) struct Latches {
    stripes: Box<[Mutex<u64>]>,
}

impl Latches {
    pub(crate) fn new() -> Self {
        Self { stripes: (0..STRIPES).map(|_| Mutex::new(0)).collect() }
    }

    /// The stripe of a key.
    pub(crate) fn stripe(digest: Digest) -> usize {
        digest.low() % STRIPES
    }

    /// Locks stripes, which must be sorted and each named once: all callers take them in one order.
    pub(crate) fn lock(&self, sorted: &[usize]) -> Vec<MutexGuard<'_, u64>> {
        sorted.iter().filter_map(|&stripe| self.stripes.get(stripe)).map(Mutex::lock).collect()
    }

    /// Locks the stripe of a key if nobody has it and nothing wrote to it after `lsn`.
    pub(crate) fn try_lock_unwritten(
        &self,
        digest: Digest,
        lsn: u64,
    ) -> Option<MutexGuard<'_, u64>> {
        self.stripes.get(Self::stripe(digest))?.try_lock().filter(|last| **last <= lsn)
    }
}
