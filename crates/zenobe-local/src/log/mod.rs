//! The commit log: segments of frames, their recovery, and the index of change-log records.
//!
//! What is written when is the committer's affair ([`crate::committer`]); this module knows the
//! bytes ([`frame`]), the files ([`io`]), what was synced ([`synced`]), how to read them after a crash
//! ([`recovery`]), where the records of a shard lie ([`records`]) and how that is kept beside a sealed
//! segment ([`summary`]).

pub mod frame;
pub mod io;
pub mod records;
pub mod recovery;
pub mod summary;
pub mod synced;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use io::LogFile;

/// A file of the log.
pub struct Segment {
    /// Its place in the log; ids have no gaps.
    pub id: u64,
    /// The file.
    pub file: Arc<dyn LogFile>,
    /// The prepared length.
    pub size_bytes: u64,
    /// What its frames' hashes are seeded with.
    pub seed: u64,
    /// The last LSN in it; 0 while it is empty.
    pub last_lsn: AtomicU64,
}

impl Segment {
    /// Wraps a file.
    #[must_use]
    pub fn new(id: u64, file: Arc<dyn LogFile>, size_bytes: u64, salt: u64) -> Self {
        Self { id, file, size_bytes, seed: frame::seed(salt, id), last_lsn: AtomicU64::new(0) }
    }

    /// The last LSN in it; 0 while it is empty.
    #[must_use]
    pub fn last_lsn(&self) -> u64 {
        self.last_lsn.load(Ordering::Acquire)
    }

    /// The name of a segment's file.
    #[must_use]
    pub fn name(id: u64) -> String {
        format!("{id:016x}.log")
    }

    /// The id in a segment file's name.
    #[must_use]
    pub fn id_of(name: &str) -> Option<u64> {
        let id = u64::from_str_radix(name.strip_suffix(".log")?, 16).ok()?;
        (Self::name(id) == name).then_some(id)
    }
}

impl std::fmt::Debug for Segment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Segment")
            .field("id", &self.id)
            .field("size_bytes", &self.size_bytes)
            .finish_non_exhaustive()
    }
}
