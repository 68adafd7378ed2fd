//! The background: flushing, compacting, preparing segments, releasing segments.
//!
//! None of it stops writers. What fails for lack of room is tried again and loses nothing: rows stay
//! in memory and in the log until they are in the tree.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;
use zenobe_storage::{EngineError, EngineResult};

use crate::core::Core;
use crate::layout;
use crate::log::Segment;
use crate::log::frame::{SEGMENT_HEADER_BYTES, encode_segment_header};
use crate::log::io::{LogDirectory, LogFile};
use crate::log::recovery;
use crate::log::summary::Summary;
use crate::memtable::Memtable;
use crate::sequencer::Full;
use crate::spaces::Incarnation;

/// How long to wait before trying again what failed.
const RETRY: Duration = Duration::from_millis(200);
/// How often a thread looks whether there is something to do without being told.
const LOOK: Duration = Duration::from_secs(60);
/// How often the flush looks whether the log has caught up with it.
const CATCH_UP: Duration = Duration::from_millis(2);
/// Released files that are kept for new segments.
const SPARES_MAX: usize = 2;
/// The name of a segment's file until it is whole.
pub(crate) const PREPARING: &str = "preparing.tmp";
/// Zeros are written this many bytes at a time.
const ZEROS_BYTES: usize = 1 << 20;

fn sleep(core: &Core, patience: Duration, is_due: impl Fn(&crate::core::Work) -> bool) -> bool {
    let deadline = (Instant::now() + patience).into_std();
    let mut work = core.background.lock();
    while !core.stopping.load(Ordering::Acquire) && !is_due(&work) {
        if core.wake.wait_until(&mut work, deadline).timed_out() {
            break;
        }
    }
    !core.stopping.load(Ordering::Acquire)
}

/// Flushes full memtables, and gives segments back, until the engine stops.
pub(crate) fn run_flushes(core: &Core) {
    let (mut flush_failed, mut release_failed) = (false, false);
    loop {
        let failed = flush_failed || release_failed;
        let patience = if failed { RETRY } else { LOOK };
        let is_due = |work: &crate::core::Work| {
            !failed && (work.release || core.view.load().memtables.len() > 1)
        };
        if !sleep(core, patience, is_due) {
            return;
        }
        while let Some(oldest) = sealed(core) {
            let result = flush(core, &oldest);
            flush_failed = result.is_err();
            if flush_failed {
                clear_up(core);
            }
            note_flush(core, result);
            if flush_failed || core.stopping.load(Ordering::Acquire) {
                break;
            }
            // There may always be one more.
            release_failed = !release_if_due(core, release_failed);
        }
        release_failed = !release_if_due(core, release_failed);
    }
}

/// Gives segments back if some may have become free. Whether nothing is left to be tried again.
fn release_if_due(core: &Core, has_failed: bool) -> bool {
    if !std::mem::take(&mut core.background.lock().release) {
        return true;
    }
    match release(core) {
        Ok(()) | Err(EngineError::Closed) => true,
        Err(error) => {
            core.background.lock().release = true;
            if !has_failed {
                tracing::warn!(%error, "segments of the log could not be released; this is tried again");
            }
            false
        }
    }
}

fn clear_up(core: &Core) {
    if let Err(error) = core.tree.remove_leftovers() {
        tracing::warn!(%error, "what a failed flush or compaction left could not be removed");
    }
}

/// What cannot be mended by trying again ends writing.
fn refuse_for_good(core: &Core, result: &EngineResult<()>) {
    if let Err(error @ EngineError::WritesRefused(_)) = result
        && core.durable.failure().is_none()
    {
        core.refuse(error);
    }
}

fn sealed(core: &Core) -> Option<Arc<Memtable>> {
    let view = core.view.load();
    if view.memtables.len() > 1 { view.memtables.last().cloned() } else { None }
}

fn note_flush(core: &Core, result: EngineResult<()>) {
    refuse_for_good(core, &result);
    let mut work = core.background.lock();
    match &result {
        Ok(()) => {
            if std::mem::take(&mut work.flush_failures) > 0 {
                tracing::info!("rows are flushed again");
            }
            work.compact = true;
            work.release = true;
        }
        Err(EngineError::Closed) => {}
        Err(error) => {
            work.flush_failures += 1;
            if work.flush_failures.is_power_of_two() {
                tracing::error!(%error, "rows could not be flushed; this is tried again");
            }
        }
    }
    work.flush_error = result.err();
    drop(work);
    core.wake.notify_all();
    core.room.notify_waiters();
}

fn flush(core: &Core, memtable: &Arc<Memtable>) -> EngineResult<()> {
    let last_lsn = memtable.last_lsn();
    // A snapshot is of what is durable, and what is synced is that a moment later.
    while core.synced.load(Ordering::Acquire).min(core.durable.lsn()) < last_lsn {
        if let Some(error) = core.durable.failure() {
            return Err(error.clone());
        }
        if core.stopping.load(Ordering::Acquire) {
            return Err(EngineError::Closed);
        }
        core.sync_wanted.store(true, Ordering::Release);
        core.work.notify_one();
        let mut work = core.background.lock();
        core.wake.wait_for(&mut work, CATCH_UP);
    }
    core.tree.flush(memtable, &core.spaces.load())?;
    core.change_view(|view| {
        view.tree = Arc::new(core.tree.view());
        view.memtables.retain(|other| !Arc::ptr_eq(other, memtable));
    });
    core.flushed_lsn.fetch_max(last_lsn, Ordering::AcqRel);
    core.figures.flushes.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

/// Gives segments back that neither the tree nor a reader of the change log needs, and sums up those
/// that are kept for such readers alone.
pub(crate) fn release(core: &Core) -> EngineResult<()> {
    // One at a time.
    let mut summed_up = core.summed_up.lock();
    give_back(core, &mut summed_up)?;
    sum_up(core, &mut summed_up);
    Ok(())
}

fn sum_up(core: &Core, summed_up: &mut BTreeMap<u64, bool>) {
    let current = core.sequencer.lock().segment.id;
    let flushed_lsn = core.flushed_lsn.load(Ordering::Acquire);
    // A later commit that is synced proves that the end of the segment is, too.
    let synced_lsn = core.synced.load(Ordering::Acquire);
    let is_due = |s: &&Arc<Segment>| {
        let (id, last_lsn) = (s.id, s.last_lsn());
        let settled = last_lsn > 0 && last_lsn <= flushed_lsn && last_lsn < synced_lsn;
        settled && id < current && !summed_up.contains_key(&id)
    };
    let due: Vec<_> = core.segments.lock().values().filter(is_due).cloned().collect();
    for segment in due {
        if core.stopping.load(Ordering::Acquire) {
            return;
        }
        let name = Segment::name(segment.id);
        let summary = match recovery::sum_up(&segment) {
            Ok(summary) => summary,
            Err(error @ EngineError::Corrupt(_)) => {
                tracing::error!(%error, name, "a kept segment of the log is damaged");
                None
            }
            Err(error) => {
                tracing::warn!(%error, name, "a kept segment of the log cannot be read");
                continue;
            }
        };
        let stored = summary.as_ref().map(|s| s.store(core.directory.as_ref(), segment.seed));
        if let Some(Err(error)) = stored {
            tracing::warn!(%error, name, "a segment could not be summed up; opening will read it");
        } else {
            summed_up.insert(segment.id, stored.is_some());
        }
    }
}

fn give_back(core: &Core, summed_up: &mut BTreeMap<u64, bool>) -> EngineResult<()> {
    let current = core.sequencer.lock().segment.id;
    let needed = core.needed_segment().unwrap_or(u64::MAX).min(current);
    let flushed_lsn = core.flushed_lsn.load(Ordering::Acquire);
    let released: Vec<Arc<Segment>> = {
        let segments = core.segments.lock();
        let is_done = |s: &&Arc<Segment>| s.id < needed && s.last_lsn() <= flushed_lsn;
        segments.values().take_while(is_done).cloned().collect()
    };
    let Some(last) = released.last() else { return Ok(()) };
    let (first_segment, lsn) =
        (last.id + 1, released.iter().map(|s| s.last_lsn()).max().unwrap_or(0));
    let trimmed = core.records.lock().trim_positions(lsn + 1);
    // Held until the files are put aside: after the engine is closed they are somebody else's.
    let mut manifest = core.manifest.lock();
    core.check_open()?;
    manifest.update(|manifest| {
        manifest.first_segment = first_segment;
        // An empty segment holds no LSN; then the log starts where it started.
        manifest.first_lsn = manifest.first_lsn.max(lsn + 1);
        manifest.flushed_lsn = flushed_lsn;
        manifest.trimmed = trimmed;
    })?;
    for segment in released {
        if summed_up.remove(&segment.id) == Some(true)
            && let Err(error) = core.directory.remove(&Summary::name(segment.id))
        {
            tracing::warn!(%error, segment = segment.id, "a summary could not be removed");
        }
        core.segments.lock().remove(&segment.id);
        put_aside(core, &segment);
    }
    Ok(())
}

fn put_aside(core: &Core, segment: &Segment) {
    let name = Segment::name(segment.id);
    let mut spares = core.spares.lock();
    let result = if segment.size_bytes == core.options.segment_bytes && spares.len() < SPARES_MAX {
        let spare = format!("{:016x}.spare", segment.id);
        core.directory.rename(&name, &spare).map(|()| spares.push(spare))
    } else {
        core.directory.remove(&name)
    };
    if let Err(error) = result {
        tracing::warn!(%error, name, "a log segment that is not needed any more could not be put aside");
    }
}

/// Compacts, and clears up after dropped spaces, until the engine stops.
pub(crate) fn run_compactions(core: &Core) {
    let mut patience = LOOK;
    while sleep(core, patience, |work| {
        (work.compact || !work.dropped.is_empty()) && patience == LOOK
    }) {
        let dropped = {
            let mut work = core.background.lock();
            work.compact = false;
            std::mem::take(&mut work.dropped)
        };
        let compacted = compact(core, &dropped);
        refuse_for_good(core, &compacted);
        match compacted {
            Ok(()) => patience = LOOK,
            Err(error) => {
                if patience == LOOK {
                    tracing::error!(%error, "a compaction failed; it is tried again");
                }
                core.background.lock().dropped.extend(dropped);
                clear_up(core);
                patience = RETRY;
            }
        }
    }
}

fn compact(core: &Core, dropped: &[Incarnation]) -> EngineResult<()> {
    for &space in dropped {
        core.tree.drop_interval(&layout::space_interval(space))?;
        refresh(core);
    }
    while !core.stopping.load(Ordering::Acquire) && core.tree.compact()? {
        core.figures.compactions.fetch_add(1, Ordering::Relaxed);
        refresh(core);
    }
    Ok(())
}

/// Lets readers see the tables as they are now.
pub(crate) fn refresh(core: &Core) {
    core.change_view(|view| view.tree = Arc::new(core.tree.view()));
}

/// Prepares segments when they are asked for, until the engine stops.
pub(crate) fn run_preparation(core: &Core) {
    let mut failed = false;
    loop {
        let patience = if failed { RETRY } else { LOOK };
        // The sequencer's lock comes before that of the background: it is not taken in there.
        if !sleep(core, patience, |work| !failed && work.prepare) {
            return;
        }
        if !failed && !std::mem::take(&mut core.background.lock().prepare) {
            continue;
        }
        let (size_bytes, usual_bytes) = {
            let sequencer = core.sequencer.lock();
            let wanted = sequencer.wanted_bytes;
            if sequencer.ready.iter().any(|segment| segment.size_bytes >= wanted) {
                failed = false;
                continue;
            }
            let usual =
                core.options.segment_bytes.min(sequencer.segment.size_bytes.saturating_mul(4));
            // Where there is no room for the usual length, there is none for a longer one.
            (if failed { usual } else { wanted.max(usual) }, usual)
        };
        let result = prepare(core, size_bytes);
        let mut sequencer = core.sequencer.lock();
        match result {
            Ok(segment) => {
                if std::mem::take(&mut failed) {
                    tracing::info!("the log can grow again");
                }
                sequencer.full.take_if(|full| size_bytes >= full.from_bytes);
                sequencer.wanted_bytes = 0;
                sequencer.ready.push_back(segment);
            }
            Err(error) => {
                // One large commit must not take the others' room: for them there may be a segment of the usual length.
                let is_unusual = size_bytes > usual_bytes;
                let from_bytes = if is_unusual { size_bytes } else { 0 };
                let why = format!("the log cannot grow: {error}");
                sequencer.full = Some(Full { from_bytes, why, since: Instant::now() });
                if is_unusual {
                    tracing::warn!(%error, bytes = size_bytes, "the log has no room for a large commit");
                    sequencer.wanted_bytes = 0;
                    core.background.lock().prepare = true;
                } else if !failed {
                    tracing::error!(%error, "the log cannot grow; this is tried again");
                }
                failed = !is_unusual;
            }
        }
        drop(sequencer);
        core.room.notify_waiters();
    }
}

/// Makes the next segment, from a spare file if there is one.
fn prepare(core: &Core, size_bytes: u64) -> std::io::Result<Arc<Segment>> {
    let id = core.manifest.lock().current().newest_segment + 1;
    let spare =
        if size_bytes == core.options.segment_bytes { core.spares.lock().pop() } else { None };
    let segment = make_segment(core.directory.as_ref(), core.salt, id, size_bytes, spare)?;
    core.manifest
        .lock()
        .update(|manifest| manifest.newest_segment = id)
        .map_err(std::io::Error::other)?;
    core.segments.lock().insert(id, segment.clone());
    Ok(segment)
}

/// Makes a segment that nothing was written to yet.
pub(crate) fn make_segment(
    directory: &dyn LogDirectory,
    salt: u64,
    id: u64,
    size_bytes: u64,
    spare: Option<String>,
) -> std::io::Result<Arc<Segment>> {
    write_segment(directory, id, size_bytes, spare)?.name(directory, salt)
}

/// A segment's file before it has its name.
pub(crate) struct Unnamed {
    name: String,
    file: Arc<dyn LogFile>,
    id: u64,
    size_bytes: u64,
}

impl Unnamed {
    /// Makes the file a segment.
    pub(crate) fn name(
        self,
        directory: &dyn LogDirectory,
        salt: u64,
    ) -> std::io::Result<Arc<Segment>> {
        directory.rename(&self.name, &Segment::name(self.id))?;
        directory.sync()?;
        Ok(Arc::new(Segment::new(self.id, self.file, self.size_bytes, salt)))
    }
}

/// Writes a segment's file through, so that later syncs have only data to write.
pub(crate) fn write_segment(
    directory: &dyn LogDirectory,
    id: u64,
    size_bytes: u64,
    spare: Option<String>,
) -> std::io::Result<Unnamed> {
    let (name, file) = match spare {
        Some(spare) => {
            let file = directory.open(&spare)?;
            (spare, file)
        }
        None => {
            let beside = PREPARING.to_owned();
            let file = directory.create(&beside)?;
            if let Err(error) = write_zeros(file.as_ref(), size_bytes) {
                // The room that it took may be what others need.
                let _ = directory.remove(&beside);
                return Err(error);
            }
            (beside, file)
        }
    };
    let mut header = encode_segment_header(id, size_bytes);
    header.resize(usize::try_from(SEGMENT_HEADER_BYTES).unwrap_or(64), 0);
    file.write_at(&header, 0)?;
    file.sync()?;
    Ok(Unnamed { name, file, id, size_bytes })
}

fn write_zeros(file: &dyn LogFile, size_bytes: u64) -> std::io::Result<()> {
    let zeros = vec![0; ZEROS_BYTES];
    let mut at = 0;
    while at < size_bytes {
        let length = usize::try_from(size_bytes - at).unwrap_or(ZEROS_BYTES).min(ZEROS_BYTES);
        file.write_at(zeros.get(..length).unwrap_or_default(), at)?;
        at += length as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use zenobe_storage::{
        Commit, Engine as _, Key, Lane, LogRecord, Mutation, Outcome, Position, ShardId, SpaceId,
    };

    use super::*;
    use crate::{LocalEngine, LocalOptions};

    const SPACE: SpaceId = SpaceId(1);
    const ROW_BYTES: usize = 30_000;

    /// An engine of which two rows fill a segment.
    async fn open(directory: &std::path::Path) -> LocalEngine {
        let mut options = LocalOptions::new(directory);
        options.segment_bytes = 64 << 10;
        let engine = LocalEngine::open(options).unwrap();
        engine.create_space(SPACE).await.unwrap();
        engine
    }

    async fn put(engine: &LocalEngine, partition: &'static str) {
        let partition = Bytes::from_static(partition.as_bytes());
        let key = Key { space: SPACE, partition, lane: Lane::ITEM, sort: Bytes::new() };
        let mutation = Mutation { key, value: Some(vec![b'v'; ROW_BYTES].into()) };
        let record = LogRecord { shard: ShardId(1), payload: Bytes::from_static(b"record") };
        let (mutations, records) = (vec![mutation], vec![record]);
        let commit = Commit { mutations, records, ..Commit::default() };
        let Outcome::Committed { position, .. } = engine.commit(commit).await.unwrap() else {
            panic!("nothing was expected")
        };
        engine.durable(position).await.unwrap();
    }

    #[tokio::test]
    async fn a_segment_is_kept_while_its_last_row_is_in_no_table() {
        let directory = tempfile::tempdir().unwrap();
        let engine = open(directory.path()).await;
        put(&engine, "in a table").await;
        engine.checkpoint().await.unwrap();
        put(&engine, "in no table").await;
        put(&engine, "in the next segment").await;
        engine.log_trim(ShardId(1), Position(3)).await.unwrap();
        let segments = || engine.core.segments.lock().keys().copied().collect::<Vec<_>>();
        let on_disk = || directory.path().join("log").join(Segment::name(1)).exists();
        release(&engine.core).unwrap();
        assert!(segments().contains(&1) && on_disk(), "{:?}", segments());
        engine.checkpoint().await.unwrap();
        assert!(!segments().contains(&1) && !on_disk(), "{:?}", segments());
    }

    #[tokio::test]
    async fn nothing_is_given_back_after_the_engine_was_closed() {
        let directory = tempfile::tempdir().unwrap();
        let engine = open(directory.path()).await;
        for partition in ["first", "second", "in the next segment"] {
            put(&engine, partition).await;
        }
        engine.log_trim(ShardId(1), Position(3)).await.unwrap();
        engine.close().await.unwrap();
        // By now the directory may be somebody else's.
        let manifest = || std::fs::read(directory.path().join("MANIFEST")).unwrap();
        let before = manifest();
        engine.core.flushed_lsn.store(3, Ordering::Release);
        assert_eq!(release(&engine.core), Err(EngineError::Closed));
        assert!(directory.path().join("log").join(Segment::name(1)).exists());
        assert_eq!(manifest(), before);
    }

    #[tokio::test]
    async fn a_segment_is_summed_up_only_when_its_end_is_synced() {
        let directory = tempfile::tempdir().unwrap();
        let engine = open(directory.path()).await;
        let core = &engine.core;
        put(&engine, "first").await;
        put(&engine, "second").await;
        // The segment is ended, and nobody is told to write that.
        while core.sequencer.lock().make_room(ROW_BYTES).is_err() {
            tokio::task::yield_now().await;
        }
        core.flushed_lsn.store(2, Ordering::Release);
        release(core).unwrap();
        assert_eq!(core.summed_up.lock().get(&1), None);
        put(&engine, "third").await;
        release(core).unwrap();
        assert_eq!(core.summed_up.lock().get(&1), Some(&true));
    }

    #[tokio::test]
    async fn nothing_is_flushed_that_is_not_synced_and_shown_to_be() {
        let key = Bytes::from_static(b"a physical key of more than nineteen bytes");
        let wait_until = |holds: &dyn Fn() -> bool| {
            while !holds() {
                std::thread::yield_now();
            }
        };
        for synced_first in [true, false] {
            let directory = tempfile::tempdir().unwrap();
            let engine = LocalEngine::open(LocalOptions::new(directory.path())).unwrap();
            let core = &engine.core;
            let sync = |lsn| core.synced.store(lsn, Ordering::Release);
            let (first, second): (&dyn Fn(u64), &dyn Fn(u64)) = if synced_first {
                (&sync, &|lsn| core.durable.advance(lsn))
            } else {
                (&|lsn| core.durable.advance(lsn), &sync)
            };
            // As if a commit were on its way to the disk.
            {
                let mut sequencer = core.sequencer.lock();
                sequencer.active.insert(&[(key.clone(), None)], 5);
                core.rotate(&mut sequencer);
            }
            let is_flushed = || core.view.load().memtables.len() == 1;
            // Who flushes asks for a sync each time that it may not go on. Twice: the first may be of before.
            let it_waits = || {
                for _ in 0..2 {
                    wait_until(&|| is_flushed() || core.sync_wanted.swap(false, Ordering::AcqRel));
                }
                !is_flushed()
            };
            for step in [first, second] {
                assert!(it_waits());
                step(4);
                assert!(it_waits());
                step(5);
            }
            wait_until(&is_flushed);
        }
    }
}
