//! The rows on disk: the `lsm-tree` crate, used for its tables and compaction only.
//!
//! Its memtables, its sequence numbers and its version history are not used. Its lock over the
//! version history is held while a new version is synced to disk; so readers never take it: they go
//! through a [`TreeView`], which holds one version with its files.
//!
//! Only the newest version of a row is ever flushed, and only when it is durable. A reader takes its
//! view before it takes the LSN it reads at, so nothing in the tables of a view is too new for it.
//! That is why compaction may drop every older version.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::Read as _;
use std::ops::Bound;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use bytes::{Buf as _, Bytes};
use lsm_tree::compaction::filter::{CompactionFilter, Context, Factory, ItemAccessor, Verdict};
use lsm_tree::compaction::{CompactionStrategy, Leveled};
use lsm_tree::config::{BlockSizePolicy, HashRatioPolicy, PinningPolicy, RestartIntervalPolicy};
use lsm_tree::{
    AbstractTree as _, AnyTree, Cache, Config, DescriptorTable, InternalValue, SeqNo, Slice, Tree,
    ValueType,
};
use parking_lot::{Mutex, RwLock};
use xxhash_rust::xxh3::xxh3_128;
use zenobe_storage::{EngineError, EngineResult, Row};

use crate::filter::KeyFilter;
use crate::layout::{self, Interval};
use crate::memtable::Memtable;
use crate::spaces::{Incarnation, Spaces};
use crate::view::{Entry, Found};

/// Above every LSN, below the numbers that the library keeps for itself.
const ANY_LSN: SeqNo = 0x7fff_ffff_ffff_ffff;
/// The library's name for the file that names the current version, and for the tables' directory.
pub(crate) const CURRENT: &str = "current";
pub(crate) const TABLES: &str = "tables";
/// Table files kept open: a quarter of what the process may open, within these bounds. Ten million rows of
/// 1 KB are some 350 tables; a read of one that is not open takes two more calls of the system.
const OPEN_TABLES_MIN: u64 = 64;
const OPEN_TABLES_MAX: u64 = 4096;
/// Four rows of 1 KB to a block: small enough for point reads.
const BLOCK_BYTES: u32 = 4 << 10;
/// The contents of a table are a few sections with a name each.
const CONTENTS_BYTES_MAX: u64 = 64 << 10;
/// About the length of a table, in bytes.
const TABLE_BYTES: u64 = 32 << 20;
/// So many flushed tables are compacted at once. The more, the less often is the level below written
/// again; the filters keep reads from looking into each.
const LEVEL_0_TABLES: u8 = 10;
/// Every so many keys of a block, one is written whole. A whole key is found by bisection and read
/// without a copy; of the others some twenty bytes are saved each.
const WHOLE_KEYS: u8 = 1;

/// What one sorted run of tables has in an interval, each key once, deletions included.
pub(crate) type Run = Box<dyn DoubleEndedIterator<Item = EngineResult<Entry>> + Send>;
type PointRead = dyn Fn(&[u8]) -> EngineResult<Option<InternalValue>> + Send + Sync;
type RangeReader = dyn Fn(&Interval) -> Vec<Run> + Send + Sync;

/// The tables at one time, with their files.
pub(crate) struct TreeView {
    point: Box<PointRead>,
    range: Box<RangeReader>,
    table_count: usize,
    waiting_runs: usize,
}

impl TreeView {
    /// Reads a row; may touch the disk.
    pub(crate) fn get(&self, key: &[u8]) -> EngineResult<Option<Row>> {
        let Some(found) = (self.point)(key)? else { return Ok(None) };
        layout::stored_row(Bytes::from(found.value)).map(Some)
    }

    /// The runs that may have rows in the interval, newest first: where several have a key, the first
    /// one's row counts.
    pub(crate) fn runs(&self, interval: &Interval) -> Vec<Run> {
        (self.range)(interval)
    }

    /// How many sorted runs wait on level 0: each is one more place where a row may be.
    pub(crate) fn waiting_runs(&self) -> usize {
        self.waiting_runs
    }

    /// Whether there is nothing on disk.
    pub(crate) fn is_empty(&self) -> bool {
        self.table_count == 0
    }
}

/// What a table has in an interval.
fn entries(
    table: &lsm_tree::Table,
    bounds: (Bound<Slice>, Bound<Slice>),
) -> impl DoubleEndedIterator<Item = EngineResult<Entry>> + Send + use<> {
    let path = table.path.clone();
    table.range(bounds).map(move |found| entry(found.map_err(|e| table_error(&e, &path))?))
}

/// A row or a deletion as a table has it.
fn entry(found: InternalValue) -> EngineResult<Entry> {
    let key = Bytes::from(found.key.user_key);
    if found.key.value_type.is_tombstone() {
        return Ok((key, Found { lsn: found.key.seqno, value: None }));
    }
    let row = layout::stored_row(Bytes::from(found.value))?;
    Ok((key, Found { lsn: row.version.0, value: Some(row.value) }))
}

impl std::fmt::Debug for TreeView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TreeView").field("table_count", &self.table_count).finish_non_exhaustive()
    }
}

/// The tree.
pub(crate) struct DiskTree {
    tree: Tree,
    tables: PathBuf,
    /// Tables that were ever part of a view: somebody may still read them.
    known: Mutex<HashSet<u64>>,
    /// For tables that a flush of this process wrote, and that are no part of a larger one yet.
    filters: Mutex<HashMap<u64, Arc<KeyFilter>>>,
    /// Held shared while tables are written, so that their files are not taken for leftovers.
    writing: RwLock<()>,
    /// Whether a flush or a compaction failed, so that the list of tables on disk may be ahead of ours.
    doubtful: AtomicBool,
    strategy: Arc<dyn CompactionStrategy + Send + Sync>,
}

impl DiskTree {
    pub(crate) fn open(
        path: &Path,
        cache_bytes: u64,
        spaces: Arc<ArcSwap<Spaces>>,
    ) -> EngineResult<Self> {
        check_version(path)?;
        check_tables(path)?;
        let opened = Config::new(
            path,
            lsm_tree::SequenceNumberCounter::default(),
            lsm_tree::SequenceNumberCounter::default(),
        )
        .use_cache(Arc::new(Cache::with_capacity_bytes(cache_bytes)))
        .use_descriptor_table(Some(Arc::new(DescriptorTable::new(open_tables()))))
        .data_block_size_policy(BlockSizePolicy::all(BLOCK_BYTES))
        .data_block_restart_interval_policy(RestartIntervalPolicy::all(WHOLE_KEYS))
        .data_block_hash_ratio_policy(HashRatioPolicy::all(0.0))
        .index_block_pinning_policy(PinningPolicy::all(true))
        .filter_block_pinning_policy(PinningPolicy::all(true))
        .with_compaction_filter_factory(Some(Arc::new(DroppedSpaces(spaces))))
        .open()
        .map_err(|e| tree_error(&e))?;
        let AnyTree::Standard(tree) = opened else {
            return Err(EngineError::Corrupt("the tree is of an unknown type".into()));
        };
        Ok(Self {
            tree,
            tables: path.join(TABLES),
            known: Mutex::default(),
            filters: Mutex::default(),
            writing: RwLock::default(),
            doubtful: AtomicBool::new(false),
            strategy: Arc::new(
                Leveled::default()
                    .with_table_target_size(TABLE_BYTES)
                    .with_l0_threshold(LEVEL_0_TABLES),
            ),
        })
    }

    /// The newest LSN that was flushed, as far as the tables tell.
    pub(crate) fn flushed_lsn(&self) -> u64 {
        self.tree.get_highest_persisted_seqno().unwrap_or(0)
    }

    /// The tables as they are now.
    pub(crate) fn view(&self) -> TreeView {
        // The types behind these two have no public name; closures can hold them all the same.
        let version = self.tree.current_version();
        let table_count = version.table_count();
        let waiting_runs = version.l0().run_count();
        self.known.lock().extend(version.iter_tables().map(lsm_tree::Table::id));
        let point = move |key: &[u8]| {
            let hash = lsm_tree::table::filter::standard_bloom::Builder::get_hash(key);
            let runs = version.iter_levels().flat_map(|level| level.iter());
            for table in runs.filter_map(|run| run.get_for_key(key)) {
                let found = table.get(key, ANY_LSN, hash);
                if let Some(found) = found.map_err(|e| table_error(&e, &table.path))? {
                    return Ok(if found.is_tombstone() { None } else { Some(found) });
                }
            }
            Ok(None)
        };
        let version = self.tree.current_version();
        let filters = self.filters_of(version.iter_tables().map(lsm_tree::Table::id).collect());
        let range = move |interval: &Interval| -> Vec<Run> {
            let slices = |bound: &Bound<Bytes>| bound.clone().map(Slice::from);
            let bounds = (slices(&interval.0), slices(&interval.1));
            let mut runs: Vec<Run> = Vec::new();
            for run in version.iter_levels().flat_map(|level| level.iter()) {
                let Some((first, last)) = run.range_overlap_indexes(&bounds) else { continue };
                let all = run.get(first..=last).unwrap_or_default();
                let may_overlap = |table: &&lsm_tree::Table| {
                    filters.get(&table.id()).is_none_or(|filter| filter.may_overlap(interval))
                };
                match all {
                    [table] if !may_overlap(&table) => {}
                    [table] => runs.push(Box::new(entries(table, bounds.clone()))),
                    all => {
                        let tables: Vec<_> = all.iter().filter(may_overlap).cloned().collect();
                        let bounds = bounds.clone();
                        let rows = move |table: lsm_tree::Table| entries(&table, bounds.clone());
                        runs.push(Box::new(tables.into_iter().flat_map(rows)));
                    }
                }
            }
            runs
        };
        TreeView { point: Box::new(point), range: Box::new(range), table_count, waiting_runs }
    }

    /// Writes a memtable, whose commits must be durable, into new tables.
    pub(crate) fn flush(&self, memtable: &Memtable, spaces: &Spaces) -> EngineResult<()> {
        let live = |key: &[u8]| spaces.is_live(layout::space_of(key));
        let all = memtable.all();
        let mut rows = all.newest().filter(|row| live(row.key)).peekable();
        if rows.peek().is_none() {
            return Ok(());
        }
        let stream = rows.map(|row| {
            let (key, lsn) = (Slice::from(&row.key[..]), row.lsn);
            Ok(match row.value {
                Some(value) => InternalValue::from_components(
                    key,
                    Slice::from(layout::stored_value(lsn, value)),
                    lsn,
                    ValueType::Value,
                ),
                None => InternalValue::new_tombstone(key, lsn),
            })
        });
        self.check_list()?;
        let _writing = self.writing.read();
        let _serial = self.tree.get_flush_lock();
        let flushed = self.note_failure(self.tree.flush_to_tables(stream))?;
        let tables = flushed.map(|(tables, _)| tables).unwrap_or_default();
        // A compaction may have failed since. If it is being done again and names its list just now, so be it later.
        if self.doubtful.load(Ordering::Acquire) && !self.list_is_current()? {
            return Err(EngineError::Unavailable("the list of tables is changing".into()));
        }
        if !tables.is_empty() {
            self.note_failure(self.tree.register_tables(&tables, None, None, &[], ANY_LSN))?;
        }
        let filter = memtable.filter();
        self.filters.lock().extend(tables.iter().map(|table| (table.id(), filter.clone())));
        Ok(())
    }

    fn note_failure<T>(&self, result: lsm_tree::Result<T>) -> EngineResult<T> {
        result.map_err(|error| {
            self.doubtful.store(true, Ordering::Release);
            tree_error(&error)
        })
    }

    /// After a failure: that the list of tables on disk is the one in memory. The library may have named a new one
    /// there before it failed; it would then write over that list, and a crash meanwhile would leave none.
    fn check_list(&self) -> EngineResult<()> {
        if !self.doubtful.load(Ordering::Acquire) {
            return Ok(());
        }
        let _alone = self.writing.write();
        if !self.list_is_current()? {
            return Err(EngineError::WritesRefused(
                "after a failure the list of tables on disk is newer than the one in memory".into(),
            ));
        }
        self.doubtful.store(false, Ordering::Release);
        Ok(())
    }

    fn list_is_current(&self) -> EngineResult<bool> {
        self.is_current().map_err(|e| EngineError::Unavailable(format!("{CURRENT}: {e}")))
    }

    /// Whether the list of tables on disk is the one in memory.
    fn is_current(&self) -> std::io::Result<bool> {
        let version = persisted_version(&self.tables.with_file_name(CURRENT))?;
        Ok(version.is_some_and(|(id, _)| id == self.tree.current_version().id()))
    }

    /// The filters of these tables; all others are forgotten.
    fn filters_of(&self, tables: HashSet<u64>) -> HashMap<u64, Arc<KeyFilter>> {
        let mut filters = self.filters.lock();
        filters.retain(|id, _| tables.contains(id));
        filters.clone()
    }

    /// Does one compaction if one is due, and says whether it did.
    pub(crate) fn compact(&self) -> EngineResult<bool> {
        self.check_list()?;
        let _writing = self.writing.read();
        let before = self.tree.current_version().id();
        self.note_failure(self.tree.compact(self.strategy.clone(), ANY_LSN))?;
        Ok(self.tree.current_version().id() != before)
    }

    /// Removes what a failed flush or compaction left behind. On a full disk that may be the room that
    /// the next attempt needs. Does nothing while tables are being written: the next failure calls again.
    pub(crate) fn remove_leftovers(&self) -> std::io::Result<()> {
        let Some(_alone) = self.writing.try_write() else { return Ok(()) };
        if !self.is_current()? {
            // The failure came after the new version was named: on disk it is the one that counts.
            return Ok(());
        }
        let current: HashSet<u64> =
            self.tree.current_version().iter_tables().map(lsm_tree::Table::id).collect();
        let known = self.known.lock();
        for entry in std::fs::read_dir(&self.tables)? {
            let entry = entry?;
            let id = entry.file_name().to_str().and_then(|name| name.parse::<u64>().ok());
            if id.is_some_and(|id| !known.contains(&id) && !current.contains(&id)) {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Drops the tables that hold nothing but rows of the interval.
    pub(crate) fn drop_interval(&self, interval: &Interval) -> EngineResult<()> {
        self.check_list()?;
        let _writing = self.writing.read();
        self.note_failure(self.tree.drop_range::<Bytes, _>(interval.clone()))
    }

    /// The spaces that tables begin or end with.
    pub(crate) fn spaces(&self) -> BTreeSet<Incarnation> {
        let version = self.tree.current_version();
        let ends = |table: &lsm_tree::Table| {
            let range = &table.metadata.key_range;
            [layout::space_of(range.min()), layout::space_of(range.max())]
        };
        version.iter_tables().flat_map(ends).flatten().collect()
    }

    /// How many sorted runs wait on level 0.
    pub(crate) fn waiting_runs(&self) -> usize {
        self.tree.l0_run_count()
    }

    pub(crate) fn table_count(&self) -> usize {
        self.tree.table_count()
    }

    pub(crate) fn disk_bytes(&self) -> u64 {
        self.tree.disk_space()
    }

    /// The bytes of tables whose keys overlap the interval, each in proportion as far as is known: a
    /// table that reaches beyond it counts by half.
    pub(crate) fn interval_bytes(&self, interval: &Interval) -> u64 {
        let version = self.tree.current_version();
        let above = |key: &[u8]| match &interval.0 {
            Bound::Included(low) => key >= low.as_ref(),
            Bound::Excluded(low) => key > low.as_ref(),
            Bound::Unbounded => true,
        };
        let below = |key: &[u8]| match &interval.1 {
            Bound::Included(high) => key <= high.as_ref(),
            Bound::Excluded(high) => key < high.as_ref(),
            Bound::Unbounded => true,
        };
        let bytes = |table: &lsm_tree::Table| {
            let range = &table.metadata.key_range;
            let (min, max) = (range.min().as_ref(), range.max().as_ref());
            match (above(min) && below(min), above(max) && below(max)) {
                (true, true) => table.metadata.file_size,
                (false, false) if !(below(min) && above(max)) => 0,
                _ => table.metadata.file_size / 2,
            }
        };
        version.iter_tables().map(bytes).sum()
    }
}

/// How many table files to keep open.
fn open_tables() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    usize::try_from(open_tables_max(limit)).unwrap_or(0)
}

/// How many table files an engine keeps open where the process may open so many files; `None` is without a limit.
#[must_use]
pub fn open_tables_max(limit: Option<u64>) -> u64 {
    let part = limit.map_or(OPEN_TABLES_MAX, |files| files / 4);
    part.clamp(OPEN_TABLES_MIN, OPEN_TABLES_MAX)
}

/// The id and hash of the version that the library opens; `None` when the file is too short.
fn persisted_version(current: &Path) -> std::io::Result<Option<(u64, u128)>> {
    let bytes = std::fs::read(current)?;
    let id = bytes.get(..8).and_then(|id| id.try_into().ok()).map(u64::from_le_bytes);
    let hash = bytes.get(8..24).and_then(|hash| hash.try_into().ok()).map(u128::from_le_bytes);
    Ok(id.zip(hash))
}

/// Checks the list of tables against its hash, which the library writes and does not read: a damaged
/// list would make it remove tables as leftovers.
fn check_version(path: &Path) -> EngineResult<()> {
    let current = path.join(CURRENT);
    let damaged = |what: &str| EngineError::Corrupt(format!("{}: {what}", current.display()));
    match persisted_version(&current) {
        Ok(Some((id, hash))) => {
            let list = path.join(format!("v{id}"));
            let list = std::fs::read(&list).map_err(|e| match e.kind() {
                std::io::ErrorKind::NotFound => damaged(&format!("version {id} is missing")),
                _ => EngineError::Unavailable(format!("{}: {e}", list.display())),
            })?;
            if xxh3_128(&list) == hash {
                Ok(())
            } else {
                Err(damaged("the list of tables is damaged"))
            }
        }
        Ok(None) => Err(damaged("too short")),
        // The library makes the directory of tables first: without one in it it was interrupted there.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let tables = path.join(TABLES);
            match std::fs::read_dir(&tables).map(|mut entries| entries.next().is_none()) {
                Ok(true) => Ok(()),
                Ok(false) => Err(damaged("missing beside tables")),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
                Err(e) => Err(EngineError::Unavailable(format!("{}: {e}", tables.display()))),
            }
        }
        Err(e) => Err(EngineError::Unavailable(format!("{}: {e}", current.display()))),
    }
}

/// Checks that the tables of the list are there, and the part of each whose lengths the library trusts before it
/// looks at their hash; and that there is nothing that it takes for tables and fails on.
fn check_tables(path: &Path) -> EngineResult<()> {
    let tables = path.join(TABLES);
    let unreadable = |e: std::io::Error| {
        EngineError::Unavailable(format!("the tables in {}: {e}", tables.display()))
    };
    if !path.join(CURRENT).try_exists().map_err(unreadable)? {
        return Ok(());
    }
    let mut missing = listed_tables(path)?;
    for entry in std::fs::read_dir(&tables).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == ".DS_Store" || name.starts_with("._") {
            continue;
        }
        let is_file = entry.file_type().map_err(unreadable)?.is_file();
        let Some(id) = name.parse().ok().filter(|_| is_file) else {
            return Err(EngineError::Unavailable(format!(
                "{} is no table: move it away",
                entry.path().display()
            )));
        };
        // What is not in the list was left by a crash; the library removes it.
        if missing.remove(&id) {
            check_contents(&entry.path())?;
        }
    }
    match missing.first() {
        None => Ok(()),
        Some(id) => Err(EngineError::Corrupt(format!(
            "table {} is missing",
            tables.join(id.to_string()).display()
        ))),
    }
}

/// The tables in the list, whose hash was checked. Source: `version/recovery.rs` of the library.
fn listed_tables(path: &Path) -> EngineResult<BTreeSet<u64>> {
    let read = || -> Option<BTreeSet<u64>> {
        let (id, _) = persisted_version(&path.join(CURRENT)).ok()??;
        let list = path.join(format!("v{id}"));
        let archive = sfa::Reader::new(&list).ok()?;
        let section = archive.toc().section(b"tables")?;
        let mut bytes = Vec::new();
        section.buf_reader(&list).ok()?.read_to_end(&mut bytes).ok()?;
        let mut bytes = Bytes::from(bytes);
        let mut tables = BTreeSet::new();
        for _ in 0..bytes.try_get_u8().ok()? {
            for _ in 0..bytes.try_get_u8().ok()? {
                for _ in 0..bytes.try_get_u32_le().ok()? {
                    tables.insert(bytes.try_get_u64_le().ok()?);
                    // The kind and the value of a hash, and a sequence number.
                    bytes.try_get_u8().ok()?;
                    bytes.try_get_u128_le().ok()?;
                    bytes.try_get_u64_le().ok()?;
                }
            }
        }
        Some(tables)
    };
    read().ok_or_else(|| {
        EngineError::Corrupt(format!("{}: the list of tables is unreadable", path.display()))
    })
}

/// Checks the table of contents at the end of a table against its hash.
fn check_contents(table: &Path) -> EngineResult<()> {
    /// Version 1, and the kind of hash.
    const MAGIC: &[u8] = b"SFA!\x01\x00";
    /// After that the hash; place and length of the contents.
    const TRAILER_BYTES: usize = 6 + 16 + 8 + 8;
    let read = || -> std::io::Result<bool> {
        let file = File::open(table)?;
        let end = file.metadata()?.len().checked_sub(TRAILER_BYTES as u64);
        let Some(end) = end else { return Ok(false) };
        let mut trailer = [0; TRAILER_BYTES];
        file.read_exact_at(&mut trailer, end)?;
        let Some(mut words) = trailer.strip_prefix(MAGIC) else { return Ok(false) };
        let (hash, at) = (words.get_u128_le(), words.get_u64_le());
        let length = end.checked_sub(at).filter(|length| *length <= CONTENTS_BYTES_MAX);
        let Some(length) = length.and_then(|length| usize::try_from(length).ok()) else {
            return Ok(false);
        };
        let mut contents = vec![0; length];
        file.read_exact_at(&mut contents, at)?;
        Ok(xxh3_128(&contents) == hash)
    };
    let what = || format!("table {}", table.display());
    match read() {
        Ok(true) => Ok(()),
        Ok(false) => Err(EngineError::Corrupt(format!("{}: its contents are damaged", what()))),
        Err(e) => Err(EngineError::Unavailable(format!("{}: {e}", what()))),
    }
}

/// Drops the rows of spaces that are no more. Incarnations are never used again, so nothing older that
/// comes to light below is ever seen.
struct DroppedSpaces(Arc<ArcSwap<Spaces>>);

impl std::panic::RefUnwindSafe for DroppedSpaces {}

impl Factory for DroppedSpaces {
    fn name(&self) -> &str {
        "dropped spaces"
    }

    fn make_filter(&self, _: &Context) -> Box<dyn CompactionFilter> {
        Box::new(LiveSpaces(self.0.load_full()))
    }
}

struct LiveSpaces(Arc<Spaces>);

impl CompactionFilter for LiveSpaces {
    fn filter_item(&mut self, item: ItemAccessor<'_>, _: &Context) -> lsm_tree::Result<Verdict> {
        let live = self.0.is_live(layout::space_of(item.key()));
        Ok(if live { Verdict::Keep } else { Verdict::Destroy })
    }
}

/// What the caller must do about an error of the library.
fn tree_error(error: &lsm_tree::Error) -> EngineError {
    described(error, "tree")
}

/// The same about an error in one table.
fn table_error(error: &lsm_tree::Error, path: &Path) -> EngineError {
    described(error, &format!("table {}", path.display()))
}

fn described(error: &lsm_tree::Error, what: &str) -> EngineError {
    use std::io::ErrorKind;
    match error {
        lsm_tree::Error::Io(e) => match e.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => EngineError::Full(e.to_string()),
            // A damaged offset makes the system refuse the read as impossible.
            ErrorKind::UnexpectedEof
            | ErrorKind::NotFound
            | ErrorKind::InvalidData
            | ErrorKind::InvalidInput => EngineError::Corrupt(format!("{what}: {e}")),
            _ => EngineError::Unavailable(format!("{what}: {e}")),
        },
        other => EngineError::Corrupt(format!("{what}: {other}")),
    }
}
