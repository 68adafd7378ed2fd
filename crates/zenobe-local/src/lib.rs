//! The embedded engine: one commit log, one tree.
//!
//! [`LocalEngine`] implements [`zenobe_storage::Engine`] on a directory. A commit is checked under
//! striped key latches, gets the next LSN in one short critical section (the sequencer), goes into
//! the log's buffer and a memtable there, and is visible. One thread writes and syncs the log, a group
//! of commits at a time. Full memtables are flushed into an LSM tree in the background, and log that
//! neither the tree nor a reader of the change log needs is recycled.
//!
//! | module | owns |
//! |---|---|
//! | [`log`] | the log's bytes, files, recovery, and where change-log records lie |
//! | `layout` | physical keys and stored values |
//! | `sequencer`, `committer`, `durability` | the order of commits, the group commit, who waits for it |
//! | `memtable`, `tree`, `view`, `filter` | rows in memory, rows on disk, both at one time, what is in neither |
//! | `cache`, `partitions`, `heads` | hot rows; whole partitions that are asked for again; how many more rows begin |
//! | `latches`, `digest` | who may write a key now; what finds keys there and in the caches |
//! | `spaces`, `manifest` | the spaces that exist; what survives beside log and tree |
//! | `background` | flush, compaction, preparing and releasing of segments |
//!
//! Absent here: DynamoDB, JSON, and any fsync that a reader waits for under a lock.

mod background;
mod cache;
mod commit;
mod committer;
mod core;
mod digest;
mod durability;
mod engine;
mod filter;
mod heads;
mod latches;
mod layout;
pub mod log;
mod manifest;
mod memtable;
mod open;
mod partitions;
mod prefetch;
mod read;
mod sequencer;
mod spaces;
mod tree;
mod view;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use engine::LocalEngine;
pub use tree::open_tables_max;

/// What "durable" means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Synced to disk: survives a power loss.
    Fsync,
    /// Handed to the operating system: survives a crash of the process. Synced at least this often.
    Interval(Duration),
}

/// How to open a [`LocalEngine`].
#[derive(Clone)]
pub struct LocalOptions {
    /// The directory, made when it does not exist.
    pub data_dir: PathBuf,
    /// What "durable" means.
    pub durability: Durability,
    /// Room for hot rows, in bytes.
    pub item_cache_bytes: u64,
    /// Room for blocks of the tree, in bytes.
    pub block_cache_bytes: u64,
    /// Rows in memory that are not in the tree yet, in bytes. Writers are slowed down from three
    /// quarters of it on, and wait at one and a half times.
    pub memtable_bytes: u64,
    /// The length of a log segment, in bytes.
    pub segment_bytes: u64,
    /// The files of the log; `None` is the directory `log` in `data_dir`. For tests that make the
    /// disk fail.
    pub log_directory: Option<Arc<dyn log::io::LogDirectory>>,
}

impl LocalOptions {
    /// The default room for hot rows and partitions: some 90,000 rows of 1 KB.
    pub const ITEM_CACHE_BYTES: u64 = 112 << 20;
    /// The default room for blocks of the tree.
    pub const BLOCK_CACHE_BYTES: u64 = 16 << 20;
    /// The default of rows in memory that are not in the tree yet.
    pub const MEMTABLE_BYTES: u64 = 48 << 20;

    /// The defaults, with fsync.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            durability: Durability::Fsync,
            item_cache_bytes: Self::ITEM_CACHE_BYTES,
            block_cache_bytes: Self::BLOCK_CACHE_BYTES,
            memtable_bytes: Self::MEMTABLE_BYTES,
            segment_bytes: 32 << 20,
            log_directory: None,
        }
    }
}

impl std::fmt::Debug for LocalOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalOptions")
            .field("data_dir", &self.data_dir)
            .field("durability", &self.durability)
            .finish_non_exhaustive()
    }
}
