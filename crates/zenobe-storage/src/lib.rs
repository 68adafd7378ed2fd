//! The engine seam: versioned rows and an atomic compare-and-set.
//!
//! Everything that Zenobe stores goes through [`Engine`]. The crate knows bytes only: no DynamoDB, no
//! JSON, no items. It also owns the in-memory reference engine ([`memory`]) and the suite that every
//! engine must pass ([`conformance`]).
//!
//! # The model
//!
//! A *space* holds rows. A [`Key`] names a row: its partition bytes decide where the row lives (rows
//! of one partition commit together on every engine), its [`Lane`] separates kinds of rows within a
//! partition, and its sort bytes order the rows of a lane bytewise. Partitions are ordered by a hash
//! of their bytes that the engine chooses; within one hash by engine order.
//!
//! A [`Row`] carries a [`Version`] that is never used twice for its key. A [`Commit`] names the
//! versions it expects and the mutations it makes; it happens as a whole or not at all.
//!
//! What follows from a commit elsewhere, index entries above all, is among its *derived* rows
//! ([`Commit::derived`]): written with the commit where the engine can, relayed soon after it where a
//! commit reaches one partition only.

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod error;
#[cfg(feature = "conformance")]
pub mod history;
pub mod memory;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

pub use error::EngineError;

/// A future that an engine returns through the seam.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The result of an engine call.
pub type EngineResult<T> = Result<T, EngineError>;

/// Identifies a space. The caller chooses the number and never uses one again after dropping it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpaceId(pub u64);

/// Separates kinds of rows within a partition. Lanes of one partition commit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane(pub u8);

impl Lane {
    /// The rows themselves (items of a table, entries of a global secondary index).
    pub const ITEM: Self = Self(0);
    /// The lane of the local secondary index with this ordinal, 0 to 63.
    #[must_use]
    pub const fn local_index(ordinal: u8) -> Self {
        Self(1 + ordinal)
    }
}

/// The name of a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The space that the row lives in.
    pub space: SpaceId,
    /// The partition, 1 to [`PARTITION_BYTES_MAX`] bytes.
    pub partition: Bytes,
    /// The lane within the partition.
    pub lane: Lane,
    /// Orders the row within its lane, bytewise; 0 to [`SORT_BYTES_MAX`] bytes.
    pub sort: Bytes,
}

/// The longest partition, in bytes. Four key attributes of 2 KiB, escaped, fit.
///
/// A partition escaped once more, a sort key and an engine's prefix together stay below 64 KiB, which is
/// the longest key of many storage libraries.
pub const PARTITION_BYTES_MAX: usize = 20 << 10;
/// The longest sort key, in bytes. Index sort attributes and the table's own key, escaped, fit.
pub const SORT_BYTES_MAX: usize = 20 << 10;

/// A token that an engine never gives twice to rows of one key. Larger is later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

/// A place in the engine's order of commits. Larger is later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

/// What is stored under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The version that the commit which wrote this row was given.
    pub version: Version,
    /// The value, at most [`Capabilities::value_bytes_max`] bytes.
    pub value: Bytes,
}

/// How fresh a read must be.
#[derive(Clone, Debug)]
pub enum Read {
    /// Reads some durable state, perhaps not the last one. Never torn, never taken back by a crash.
    Eventual,
    /// Reads the last committed state, and returns only when what it read is durable.
    Strong,
    /// Reads the last committed state, durable or not (but see [`Capabilities::latest_is_durable`]). Only for a
    /// caller whose own later commit is waited for with [`Engine::durable`] before it tells anybody what it read.
    Latest,
    /// Reads the state at a snapshot. Needs [`Capabilities::snapshot_read`].
    Snapshot(Arc<dyn Snapshot>),
}

/// A point in time that stays readable until the last reference is dropped.
///
/// An engine gets its own type back by casting to [`Any`](std::any::Any).
pub trait Snapshot: std::any::Any + Send + Sync + std::fmt::Debug {
    /// The last position that the snapshot contains.
    fn position(&self) -> Position;
}

/// One end of an interval of sort keys.
pub type SortBound = std::ops::Bound<Bytes>;

/// The direction of a range read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Ascending sort bytes.
    Forward,
    /// Descending sort bytes.
    Backward,
}

/// Ends a page when either is reached. A page with rows to return holds at least one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLimit {
    /// The most rows to return; at least 1.
    pub rows: usize,
    /// Stops after the row that makes the sum of the values' lengths reach this many bytes.
    pub bytes: usize,
}

/// A read of consecutive rows of one lane of one partition.
#[derive(Clone, Debug)]
pub struct RangeRead {
    /// The space to read.
    pub space: SpaceId,
    /// The partition to read.
    pub partition: Bytes,
    /// The lane to read.
    pub lane: Lane,
    /// The low end of the interval of sort bytes, whatever the direction.
    pub from: SortBound,
    /// The high end of the interval of sort bytes, whatever the direction.
    pub to: SortBound,
    /// Which end comes first.
    pub direction: Direction,
    /// When to end the page.
    pub limit: PageLimit,
}

/// An inclusive interval of partition hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashInterval {
    /// The first hash.
    pub first: u64,
    /// The last hash.
    pub last: u64,
}

impl HashInterval {
    /// All partitions.
    pub const ALL: Self = Self { first: 0, last: u64::MAX };
}

/// A read of consecutive rows of one lane over many partitions, in the engine's partition order.
#[derive(Clone, Debug)]
pub struct ScanRead {
    /// The space to read.
    pub space: SpaceId,
    /// The lane to read.
    pub lane: Lane,
    /// The partitions to read.
    pub interval: HashInterval,
    /// Starts after this row, which need not exist (any more).
    pub after: Option<RowPlace>,
    /// When to end the page.
    pub limit: PageLimit,
}

/// The place of a row within one lane of a space.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RowPlace {
    /// The partition.
    pub partition: Bytes,
    /// The sort bytes.
    pub sort: Bytes,
}

/// Rows of a range or a scan, in order.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The rows with their places.
    pub rows: Vec<(RowPlace, Row)>,
    /// Whether the interval is exhausted: no row follows the last one of `rows`.
    pub end: bool,
}

/// What a commit expects of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// No row has the key.
    Absent,
    /// The row has this version.
    At(Version),
}

/// A row that must be as expected, or nothing is committed.
#[derive(Clone, Debug)]
pub struct Precondition {
    /// The row's key.
    pub key: Key,
    /// What it must be.
    pub expect: Expect,
}

/// A change of one row. `None` deletes; deleting an absent row is no error.
#[derive(Clone, Debug)]
pub struct Mutation {
    /// The row's key. A commit names a key in one mutation at most.
    pub key: Key,
    /// The new value.
    pub value: Option<Bytes>,
}

/// Identifies a shard of the change log. The caller chooses the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u64);

/// A record that a commit appends to a shard of the change log.
#[derive(Clone, Debug)]
pub struct LogRecord {
    /// The shard to append to.
    pub shard: ShardId,
    /// The bytes of the record.
    pub payload: Bytes,
}

/// Preconditions and mutations that happen as a whole or not at all.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// What must hold.
    pub preconditions: Vec<Precondition>,
    /// What changes.
    pub mutations: Vec<Mutation>,
    /// Rows of other partitions and spaces that follow from the changes.
    ///
    /// With [`Capabilities::global_commit`] they are written in the commit, like its mutations. Without
    /// it they are written if and only if the commit happens, soon after it, by this process or, if it
    /// dies, by another one. Such a row has the version of its commit, and of several commits that
    /// derive the same key the one with the highest version stands, in whatever order they arrive; a
    /// deletion, too, stands against lower versions that come late. So:
    ///
    /// - a key is derived by the commits of one partition only, within which versions grow;
    /// - where there is no global commit nothing else writes or expects a key that is derived.
    ///
    /// Derived rows of a space that was dropped are forgotten.
    pub derived: Vec<Mutation>,
    /// What is appended to the change log.
    pub records: Vec<LogRecord>,
}

/// How a commit ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It happened, and later reads see it; [`Engine::durable`] says when it survives a crash.
    Committed {
        /// Its place in the order of commits.
        position: Position,
        /// The version of the rows that it wrote.
        version: Version,
    },
    /// A precondition did not hold; nothing happened.
    Conflict {
        /// The key of the precondition.
        key: Key,
        /// The row as it is now, where the engine knows it; `None` means: read it again.
        current: Option<Option<Row>>,
    },
    /// Nothing happened: the commit has a record for a shard that was closed by [`Engine::log_cut`]. Only
    /// where [`Capabilities::shared`].
    Closed {
        /// The shard.
        shard: ShardId,
    },
    /// Nobody knows (yet) whether it happened. The caller must look.
    Unknown,
}

/// A record read from the change log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedRecord {
    /// The commit that appended it.
    pub position: Position,
    /// Its ordinal among the records which that commit appended to this shard.
    pub ordinal: u32,
    /// Its bytes.
    pub payload: Bytes,
}

/// Records of a shard, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogPage {
    /// The records.
    pub records: Vec<LoggedRecord>,
    /// The reader has seen everything up to here: behind the records of this page none will ever be
    /// found at or before this position. Position 0 says nothing.
    pub reached: Position,
}

/// Where a reader of a shard stands: after the record with this position and ordinal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogCursor {
    /// The commit.
    pub position: Position,
    /// The ordinal within the commit.
    pub ordinal: u32,
}

/// What an engine can do beyond the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// A commit may span partitions and spaces. Without it, all keys of a commit share one partition.
    pub global_commit: bool,
    /// [`Engine::snapshot`] works.
    pub snapshot_read: bool,
    /// The change log has one order over all shards, that of positions.
    pub native_log_order: bool,
    /// Other processes may use the same store at the same time, through engines of their own.
    pub shared: bool,
    /// What [`Read::Latest`] returns is as durable as what [`Read::Strong`] returns: who has read a row need not
    /// read it again before telling anybody. So it is where a commit is decided by what is durable.
    pub latest_is_durable: bool,
    /// The longest value, in bytes.
    pub value_bytes_max: usize,
    /// The largest commit: the sum of its keys, values and records, in bytes.
    pub commit_bytes_max: usize,
}

/// Figures about a space. Estimates: an engine may count late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpaceStats {
    /// Bytes on disk.
    pub disk_bytes: u64,
}

/// One figure of the engine for the metrics page.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// The metric's name without prefix, in snake case with its unit last, such as `log_fsyncs_total`.
    pub name: &'static str,
    /// What it is, one sentence.
    pub help: &'static str,
    /// The value. Names that end in `_total` only grow.
    pub value: f64,
}

/// Whether an engine takes writes, as far as it knows without trying.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Writable,
    /// It does not, or is about to run out of room for them; with what commits are answered then.
    WritesRefused(EngineError),
}

/// The seam. Implementations are linearizable per key for [`Read::Strong`] and [`Engine::commit`].
pub trait Engine: Send + Sync + 'static {
    /// What this engine can do.
    fn capabilities(&self) -> Capabilities;

    /// Makes an empty space. Making one that exists does nothing.
    fn create_space(&self, space: SpaceId) -> BoxFuture<'_, EngineResult<()>>;

    /// Drops a space with all of its rows; its room is given back in the background. Dropping one
    /// that does not exist does nothing.
    fn drop_space(&self, space: SpaceId) -> BoxFuture<'_, EngineResult<()>>;

    /// The spaces that exist, in ascending order.
    fn spaces(&self) -> BoxFuture<'_, EngineResult<Vec<SpaceId>>>;

    /// Reads a row.
    ///
    /// # Errors
    /// [`EngineError::NoSpace`] when the space does not exist, [`EngineError::Corrupt`] when stored
    /// bytes do not decode, and what any call may return.
    fn get(&self, key: Key, read: Read) -> BoxFuture<'_, EngineResult<Option<Row>>>;

    /// Reads rows, in the order of `keys`. One point in time for all only with [`Read::Snapshot`].
    fn multi_get(
        &self,
        keys: Vec<Key>,
        read: Read,
    ) -> BoxFuture<'_, EngineResult<Vec<Option<Row>>>>;

    /// Reads of each row its version and how its value begins, as [`Read::Latest`] would: the value is
    /// cut off after `bytes` bytes. For who replaces rows whatever they hold. An engine may answer from
    /// what it keeps of rows without their values.
    fn heads(&self, keys: Vec<Key>, bytes: usize) -> BoxFuture<'_, EngineResult<Vec<Option<Row>>>> {
        Box::pin(async move {
            let mut rows = self.multi_get(keys, Read::Latest).await?;
            rows.iter_mut().flatten().for_each(|row| row.value.truncate(bytes));
            Ok(rows)
        })
    }

    /// Reads consecutive rows of one lane of one partition.
    fn range(&self, range: RangeRead, read: Read) -> BoxFuture<'_, EngineResult<Page>>;

    /// Reads consecutive rows of one lane over partitions in hash order.
    fn scan(&self, scan: ScanRead, read: Read) -> BoxFuture<'_, EngineResult<Page>>;

    /// Cuts all partitions into `count` intervals of about the same size, in order, without a gap.
    fn splits(&self, count: u32) -> Vec<HashInterval> {
        even_splits(count)
    }

    /// The interval with this ordinal (from 0) of those that [`Self::splits`] cuts.
    fn split(&self, count: u32, ordinal: u32) -> HashInterval {
        even_split(count, ordinal)
    }

    /// The place of a partition in the order of scans.
    fn partition_hash(&self, partition: &[u8]) -> u64;

    /// Commits. Returns once the commit is ordered and visible to [`Read::Latest`]; it survives a
    /// crash only when [`Engine::durable`] has returned for its position.
    fn commit(&self, commit: Commit) -> BoxFuture<'_, EngineResult<Outcome>>;

    /// Waits until everything up to `position` survives a crash, as the chosen durability means it.
    fn durable(&self, position: Position) -> BoxFuture<'_, EngineResult<()>>;

    /// A snapshot of the last committed and durable state.
    ///
    /// # Errors
    /// [`EngineError::Unsupported`] without [`Capabilities::snapshot_read`].
    fn snapshot(&self) -> BoxFuture<'_, EngineResult<Arc<dyn Snapshot>>>;

    /// Reads durable records of a shard after `after` (from the oldest kept one if `None`), in order.
    fn log_read(
        &self,
        shard: ShardId,
        after: Option<LogCursor>,
        limit: PageLimit,
    ) -> BoxFuture<'_, EngineResult<LogPage>>;

    /// A position that no record of the shard is behind which was durable when the call began, and that
    /// every record is behind whose commit begins after it returns.
    fn log_end(&self, shard: ShardId) -> BoxFuture<'_, EngineResult<Position>>;

    /// Closes shards and opens others, which have no records yet. Every record of the closed ones is
    /// at or before the position that is returned; every record of the opened ones will be behind it, and so
    /// will every later commit with a record for these on a partition which a record of the closed ones
    /// came from. From then on a commit with a record for a closed shard ends as [`Outcome::Closed`].
    ///
    /// May be repeated, also by another process, with other shards to open. A closed shard stays closed.
    ///
    /// # Errors
    /// [`EngineError::Unsupported`] without [`Capabilities::shared`]: a process that has the store to itself
    /// sees to its commits and makes one of its own as the cut.
    fn log_cut(
        &self,
        close: Vec<ShardId>,
        open: Vec<ShardId>,
    ) -> BoxFuture<'_, EngineResult<Position>>;

    /// Forgets the records of a shard up to and with `up_to`: later reads do not return them, and their
    /// room is given back in the background. Until this is called the records of a shard are kept. A
    /// crash may bring forgotten records back.
    fn log_trim(&self, shard: ShardId, up_to: Position) -> BoxFuture<'_, EngineResult<()>>;

    /// The shards of which records are kept, in no order: so that those are found which nobody knows
    /// of any more. An engine on which trimming survives crashes need not name any.
    fn log_shards(&self) -> BoxFuture<'_, EngineResult<Vec<ShardId>>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    /// Writes what is held in memory to its place and releases log that nobody needs.
    fn checkpoint(&self) -> BoxFuture<'_, EngineResult<()>>;

    /// Figures about one space.
    fn space_stats(&self, space: SpaceId) -> BoxFuture<'_, EngineResult<SpaceStats>>;

    /// Figures about the engine for the metrics page.
    fn figures(&self) -> Vec<Figure>;

    /// Whether the engine takes writes now. Never waits.
    fn health(&self) -> Health;

    /// Stops background work, makes everything durable and closes. Later calls return
    /// [`EngineError::Closed`].
    fn close(&self) -> BoxFuture<'_, EngineResult<()>>;
}

/// Cuts the whole range of hashes into `count` (at least 1) intervals.
#[must_use]
pub fn even_splits(count: u32) -> Vec<HashInterval> {
    (0..count.max(1)).map(|ordinal| even_split(count, ordinal)).collect()
}

/// The interval with this ordinal (from 0) of those that [`even_splits`] cuts.
#[must_use]
pub fn even_split(count: u32, ordinal: u32) -> HashInterval {
    let edge = |ordinal: u128| (ordinal << 64) / u128::from(count.max(1));
    let ordinal = u128::from(ordinal);
    HashInterval {
        first: u64::try_from(edge(ordinal)).unwrap_or(u64::MAX),
        last: u64::try_from(edge(ordinal + 1) - 1).unwrap_or(u64::MAX),
    }
}

/// The place of a partition in hash order, for engines that choose it themselves.
///
/// It decides where rows are stored and what a pagination token means, so it never changes.
#[must_use]
pub fn hash_partition(partition: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(partition)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_a_partition_stays_what_it_is() {
        let cases: [(&[u8], u64); 4] = [
            (b"", 0x2d06_8005_38d3_94c2),
            (b"a", 0xe6c6_32b6_1e96_4e1f),
            (b"customer-4711", 0xffb3_35d2_3681_05b4),
            (&[0xff; 300], 0xa6eb_8a92_d637_e066),
        ];
        for (partition, hash) in cases {
            assert_eq!(hash_partition(partition), hash, "{partition:?}");
        }
    }

    #[test]
    fn splits_have_about_the_same_size_and_no_gaps() {
        for count in [0, 1, 2, 3, 10, 999_999] {
            let splits = even_splits(count);
            assert_eq!(splits.len(), usize::try_from(count.max(1)).unwrap());
            assert_eq!((splits[0].first, splits[splits.len() - 1].last), (0, u64::MAX));
            let sizes: Vec<_> = splits.iter().map(|split| split.last - split.first).collect();
            assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);
            assert!(
                splits.windows(2).all(|pair| pair[0].last.checked_add(1) == Some(pair[1].first))
            );
        }
    }
}
