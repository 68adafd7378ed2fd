//! Opening: lock, manifest, tree, log, threads.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::hash::{BuildHasher as _, Hasher as _};
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use zenobe_storage::{EngineError, EngineResult};

use crate::LocalOptions;
use crate::background::{PREPARING, Unnamed, make_segment, write_segment};
use crate::core::{Core, Parts};
use crate::layout;
use crate::log::Segment;
use crate::log::frame::{Payload, SEGMENT_HEADER_BYTES};
use crate::log::io::{DiskDirectory, LogDirectory};
use crate::log::records::{Point, RecordIndex};
use crate::log::recovery::{Extent, Found, Recovered, recover_unless_known};
use crate::log::summary::Summary;
use crate::manifest::{Manifest, ManifestFile};
use crate::memtable::Memtable;
use crate::sequencer::Sequencer;
use crate::spaces::Spaces;
use crate::tree::{self, DiskTree};
use crate::view::View;

/// The first segment of a new database is short, so that it starts at once. Each is four times as
/// long as the last one until the full length is reached.
const FIRST_SEGMENT_BYTES: u64 = 1 << 20;
const LOG: &str = "log";
const TREE: &str = "tree";

fn unavailable(what: &Path, error: &std::io::Error) -> EngineError {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            EngineError::Full(format!("{}: {error}", what.display()))
        }
        _ => EngineError::Unavailable(format!("{}: {error}", what.display())),
    }
}

/// Makes the directory, for its owner alone, unless it exists. Then it survives a power loss.
fn make_directory(directory: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let directory = std::path::absolute(directory)?;
    if directory.is_file() {
        return Err(std::io::ErrorKind::NotADirectory.into());
    }
    let made: Vec<_> = directory.ancestors().take_while(|ancestor| !ancestor.exists()).collect();
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
    for parent in made.into_iter().filter_map(Path::parent) {
        match File::open(parent) {
            Ok(parent) => parent.sync_all()?,
            // One may make a directory where one may not look.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn lock(directory: &Path) -> EngineResult<File> {
    let path = directory.join("LOCK");
    let file = File::options()
        .create(true)
        .write(true)
        .truncate(false)
        .open(&path)
        .map_err(|e| unavailable(&path, &e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(EngineError::Unavailable(format!(
            "the data directory {} is in use by another process",
            directory.display()
        ))),
        Err(TryLockError::Error(e)) => Err(unavailable(&path, &e)),
    }
}

/// What opening starts from.
struct Files {
    manifest: ManifestFile,
    spaces: Arc<ArcSwap<Spaces>>,
    tree: DiskTree,
    /// The file of the first segment of a new database.
    first: Option<Unnamed>,
}

fn open_files(
    options: &LocalOptions,
    directory: &Path,
    log: &dyn LogDirectory,
) -> EngineResult<Files> {
    let Some(manifest) = Manifest::load(directory)? else {
        expect_nothing(directory, log)?;
        return make_files(options, directory, log);
    };
    // The tree is made before the first segment.
    let current = directory.join(TREE).join(tree::CURRENT);
    let has_tree = current.try_exists().map_err(|e| unavailable(&current, &e))?;
    if manifest.newest_segment > 0 && !has_tree {
        return Err(EngineError::Corrupt(format!("{} has a log and no tree", directory.display())));
    }
    let spaces = Arc::new(ArcSwap::from_pointee(manifest.spaces.clone()));
    let tree = open_tree(options, directory, spaces.clone())?;
    let manifest = ManifestFile::new(directory.to_owned(), manifest);
    Ok(Files { manifest, spaces, tree, first: None })
}

/// Opens the tree. If it is new, its name survives a power loss before the manifest names the first segment: a log
/// without a tree is damage.
fn open_tree(
    options: &LocalOptions,
    directory: &Path,
    spaces: Arc<ArcSwap<Spaces>>,
) -> EngineResult<DiskTree> {
    let tree = directory.join(TREE);
    make_directory(&tree).map_err(|e| unavailable(&tree, &e))?;
    DiskTree::open(&tree, options.block_cache_bytes, spaces)
}

/// A database without a manifest is new, or was interrupted while it was made: then its tree is empty and
/// no segment has its name.
fn expect_nothing(directory: &Path, log: &dyn LogDirectory) -> EngineResult<()> {
    let names = log.list().map_err(|e| unavailable(directory, &e))?;
    let tables = directory.join(TREE).join(tree::TABLES);
    let has_tables = match std::fs::read_dir(&tables) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => return Err(unavailable(&tables, &error)),
    };
    if has_tables || names.iter().any(|name| Segment::id_of(name).is_some()) {
        return Err(EngineError::Corrupt(format!(
            "{} has data and no manifest",
            directory.display()
        )));
    }
    Ok(())
}

/// Makes what a new database needs, all at once: each of it waits for the disk several times.
fn make_files(
    options: &LocalOptions,
    directory: &Path,
    log: &dyn LogDirectory,
) -> EngineResult<Files> {
    // Any number will do that clients cannot know; it is written down, so nothing is lost to replay.
    let salt = std::hash::RandomState::new().build_hasher().finish();
    let manifest = Manifest { salt, first_segment: 1, first_lsn: 1, ..Manifest::default() };
    let spaces = Arc::new(ArcSwap::from_pointee(manifest.spaces.clone()));
    let mut manifest = ManifestFile::new(directory.to_owned(), manifest);
    let defect = |_| EngineError::Unavailable("a thread that opens the data panicked".into());
    std::thread::scope(|scope| {
        let tree = scope.spawn(|| open_tree(options, directory, spaces.clone()));
        let first = scope
            .spawn(|| write_segment(log, 1, options.segment_bytes.min(FIRST_SEGMENT_BYTES), None));
        let written = manifest.update(|_| {});
        let tree = tree.join().map_err(defect)??;
        let first = first.join().map_err(defect)?;
        let first = first.map_err(|e| unavailable(&directory.join(LOG), &e))?;
        written?;
        Ok(Files { manifest, spaces: spaces.clone(), tree, first: Some(first) })
    })
}

struct Replayed {
    memtables: Vec<Arc<Memtable>>,
    records: RecordIndex,
    log: Recovered,
    /// The segments that are summed up in a file beside them.
    summed_up: BTreeMap<u64, bool>,
}

fn replay(
    options: &LocalOptions,
    log: &dyn LogDirectory,
    manifest: &Manifest,
    flushed_lsn: u64,
) -> EngineResult<Replayed> {
    let records = RefCell::new(RecordIndex::with_trimmed(manifest.trimmed.iter().copied()));
    let mut summed_up = BTreeMap::new();
    let mut memtables = vec![Arc::new(Memtable::default())];
    let extent = Extent {
        salt: manifest.salt,
        first_segment: manifest.first_segment,
        first_lsn: manifest.first_lsn,
        newest_segment: manifest.newest_segment,
    };
    let mut known = |segment: &Segment, next_lsn: u64| {
        let summary = Summary::load(log, segment)?;
        let holds = summary.first_lsn == next_lsn && summary.last_lsn >= next_lsn;
        // What is not in the tree yet must be read.
        if !holds || summary.last_lsn > flushed_lsn {
            return None;
        }
        summary.shards.iter().for_each(|shard| records.borrow_mut().restore(shard));
        summed_up.insert(segment.id, true);
        Some(summary.last_lsn)
    };
    let recovered = recover_unless_known(log, extent, &mut known, &mut |found: Found<'_>| {
        let damaged = || {
            let name = Segment::name(found.segment);
            EngineError::Corrupt(format!(
                "log segment {name} at offset {}: malformed commit",
                found.offset
            ))
        };
        // A copy, or a single row would keep the whole segment in memory.
        let bytes = Bytes::copy_from_slice(found.payload);
        let payload = Payload::decode(&bytes).ok_or_else(damaged)?;
        for shard in payload.shards() {
            records
                .borrow_mut()
                .add(shard, Point { lsn: found.lsn, segment: found.segment, offset: found.offset });
        }
        if found.lsn <= flushed_lsn {
            return Ok(());
        }
        let live = |key: &[u8]| manifest.spaces.is_live(layout::space_of(key));
        if let Some(active) = memtables.first() {
            let mut rows = payload.rows;
            rows.retain(|(key, _)| live(key));
            active.insert(&rows, found.lsn);
            if active.bytes() >= options.memtable_bytes / 8 * 3 {
                memtables.insert(0, Arc::new(Memtable::default()));
            }
        }
        Ok(())
    })?;
    Ok(Replayed { memtables, records: records.into_inner(), log: recovered, summed_up })
}

/// Takes or makes the segment that is written to first.
fn first_segment(
    options: &LocalOptions,
    log: &dyn LogDirectory,
    manifest: &mut ManifestFile,
    ready: &mut std::collections::VecDeque<Arc<Segment>>,
    written: Option<Unnamed>,
) -> EngineResult<Arc<Segment>> {
    if let Some(segment) = ready.pop_front() {
        return Ok(segment);
    }
    let (id, salt) = (manifest.current().newest_segment + 1, manifest.current().salt);
    let size_bytes = options.segment_bytes.min(FIRST_SEGMENT_BYTES);
    let segment = match written {
        Some(written) => written.name(log, salt),
        None => make_segment(log, salt, id, size_bytes, None),
    };
    let segment = segment.map_err(|e| unavailable(&options.data_dir.join(LOG), &e))?;
    manifest.update(|manifest| manifest.newest_segment = id)?;
    Ok(segment)
}

/// Files of released segments; all others that are no part of the log are removed.
fn collect_spares(
    options: &LocalOptions,
    log: &dyn LogDirectory,
    leftovers: Vec<String>,
) -> Vec<String> {
    let mut spares = Vec::new();
    for name in leftovers {
        let length = log.open(&name).and_then(|file| file.len()).unwrap_or(0);
        if name.ends_with(".spare") && length == options.segment_bytes && spares.is_empty() {
            spares.push(name);
        } else if let Err(error) = log.remove(&name) {
            tracing::warn!(%error, name, "a leftover of the log could not be removed");
        }
    }
    spares
}

/// Opens the engine's state; the threads are the caller's affair.
pub(crate) fn open(options: LocalOptions) -> EngineResult<Core> {
    let directory = options.data_dir.clone();
    make_directory(&directory).map_err(|e| unavailable(&directory, &e))?;
    let lock = lock(&directory)?;
    let log: Arc<dyn LogDirectory> = match &options.log_directory {
        Some(log) => log.clone(),
        None => {
            let path = directory.join(LOG);
            Arc::new(DiskDirectory::open(path.clone()).map_err(|e| unavailable(&path, &e))?)
        }
    };
    let Files { mut manifest, spaces, tree, first } =
        open_files(&options, &directory, log.as_ref())?;
    let flushed_lsn = tree.flushed_lsn().max(manifest.current().flushed_lsn);
    let Replayed { memtables, records, log: recovered, summed_up } =
        replay(&options, log.as_ref(), manifest.current(), flushed_lsn)?;
    let leftovers = recovered.leftovers.into_iter();
    let leftovers = leftovers.filter(|name| first.is_none() || name != PREPARING).collect();
    if recovered.next_lsn <= flushed_lsn {
        return Err(EngineError::Corrupt(format!(
            "the log ends before LSN {flushed_lsn}, which is in the tree already"
        )));
    }
    // Before a segment is made: what was made for its place just before a crash is a leftover by now.
    let spares = collect_spares(&options, log.as_ref(), leftovers);
    let mut ready: std::collections::VecDeque<_> = recovered.ready.into_iter().collect();
    let segment = first_segment(&options, log.as_ref(), &mut manifest, &mut ready, first)?;
    let all = recovered.used.iter().chain(&ready).chain([&segment]);
    let segments: BTreeMap<u64, Arc<Segment>> =
        all.map(|segment| (segment.id, segment.clone())).collect();
    let sequencer = Sequencer {
        next_lsn: recovered.next_lsn,
        active: memtables.first().cloned().unwrap_or_default(),
        segment,
        offset: SEGMENT_HEADER_BYTES,
        ready,
        pending: Vec::new(),
        pending_bytes: 0,
        asked: false,
        wanted_bytes: 0,
        full: None,
        refused: None,
    };
    let view = View { memtables, tree: Arc::new(tree.view()) };
    let salt = manifest.current().salt;
    // A crash may have come between the drop of a space and that of its tables.
    let dropped = tree.spaces().into_iter().filter(|space| !spaces.load().is_live(Some(*space)));
    let dropped = dropped.collect();
    let parts = Parts {
        options,
        salt,
        spaces,
        view,
        sequencer,
        segments,
        records,
        manifest,
        flushed_lsn,
        tree,
        directory: log,
        spares,
        summed_up,
        dropped,
        lock,
    };
    Ok(Core::new(parts))
}
