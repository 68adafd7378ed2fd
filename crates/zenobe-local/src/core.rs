//! What the engine's calls and its threads share.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;
use tokio::time::Instant;
use zenobe_storage::{EngineError, EngineResult, Figure, Health, SpaceId};

use crate::LocalOptions;
use crate::cache::ItemCache;
use crate::digest::Digest;
use crate::durability::Durable;
use crate::heads::Heads;
use crate::latches::Latches;
use crate::log::Segment;
use crate::log::io::LogDirectory;
use crate::log::records::RecordIndex;
use crate::manifest::ManifestFile;
use crate::memtable::Memtable;
use crate::partitions::Partitions;
use crate::sequencer::Sequencer;
use crate::spaces::{Incarnation, Spaces};
use crate::tree::DiskTree;
use crate::view::View;

/// A read from the tree that took longer than this touched the disk, or its thread was preempted: so much, and
/// for each byte several times what copying it from memory takes.
const SLOW_READ: Duration = Duration::from_micros(300);
const SLOW_BYTE: Duration = Duration::from_nanos(4);
/// So many slow reads in a row are not chance: the disk is at work.
const SLOW_READS: u64 = 3;
/// After them, reads from the tree go to other threads for this long.
const SLOW_TIME: Duration = Duration::from_millis(50);

/// The room for heads of rows, as a part of that for hot rows, beside which it is: enough for eight times
/// as many rows of 1 KB.
const HEADS_PART: u64 = 4;

/// Counters for the metrics page.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) commits: AtomicU64,
    pub(crate) conflicts: AtomicU64,
    pub(crate) log_fsyncs: AtomicU64,
    pub(crate) log_groups: AtomicU64,
    pub(crate) log_bytes: AtomicU64,
    pub(crate) flushes: AtomicU64,
    pub(crate) compactions: AtomicU64,
    pub(crate) tree_reads: AtomicU64,
    pub(crate) pooled_reads: AtomicU64,
    pub(crate) slowed_writes: AtomicU64,
}

/// Work for the background threads.
#[derive(Debug, Default)]
pub(crate) struct Work {
    pub(crate) dropped: Vec<Incarnation>,
    pub(crate) compact: bool,
    pub(crate) prepare: bool,
    /// Whether segments may have become free.
    pub(crate) release: bool,
    /// Why the last flush failed.
    pub(crate) flush_error: Option<EngineError>,
    pub(crate) flush_failures: u64,
}

/// Whether a read of so many bytes took longer than from memory.
fn is_slow(took: Duration, bytes: usize) -> bool {
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    took > SLOW_READ + SLOW_BYTE.saturating_mul(bytes)
}

/// The shared state.
pub(crate) struct Core {
    pub(crate) options: LocalOptions,
    pub(crate) salt: u64,
    pub(crate) spaces: Arc<ArcSwap<Spaces>>,
    pub(crate) view: ArcSwap<View>,
    /// Held to replace the view. After the sequencer's lock in the order of locks.
    pub(crate) view_lock: Mutex<()>,
    pub(crate) sequencer: Mutex<Sequencer>,
    /// Wakes the committer; goes with the sequencer's lock.
    pub(crate) work: Condvar,
    /// The last LSN that readers of the latest state see.
    pub(crate) visible: AtomicU64,
    pub(crate) durable: Durable,
    /// The last LSN that survives a power loss.
    pub(crate) synced: AtomicU64,
    pub(crate) sync_wanted: AtomicBool,
    pub(crate) latches: Latches,
    pub(crate) cache: ItemCache,
    pub(crate) heads: Heads,
    pub(crate) partitions: Partitions,
    pub(crate) segments: Mutex<BTreeMap<u64, Arc<Segment>>>,
    pub(crate) records: Mutex<RecordIndex>,
    pub(crate) manifest: Mutex<ManifestFile>,
    pub(crate) flushed_lsn: AtomicU64,
    pub(crate) tree: DiskTree,
    pub(crate) directory: Arc<dyn LogDirectory>,
    pub(crate) spares: Mutex<Vec<String>>,
    /// The segments that are summed up in a file beside them, and (`false`) those that cannot be. Before `segments` in
    /// the order of locks.
    pub(crate) summed_up: Mutex<BTreeMap<u64, bool>>,
    /// Tells waiting writers and checkpoints that something has changed.
    pub(crate) room: Notify,
    /// The last in the order of locks.
    pub(crate) background: Mutex<Work>,
    /// Wakes the background threads; goes with `background`.
    pub(crate) wake: Condvar,
    pub(crate) stopping: AtomicBool,
    pub(crate) closed: AtomicBool,
    pub(crate) figures: Figures,
    epoch: Instant,
    slow_reads: AtomicU64,
    slow_until_us: AtomicU64,
    /// Held until the engine is closed.
    pub(crate) lock: Mutex<Option<File>>,
}

/// What [`Core`] is made of when the engine opens.
pub(crate) struct Parts {
    pub(crate) options: LocalOptions,
    pub(crate) salt: u64,
    pub(crate) spaces: Arc<ArcSwap<Spaces>>,
    pub(crate) view: View,
    pub(crate) sequencer: Sequencer,
    pub(crate) segments: BTreeMap<u64, Arc<Segment>>,
    pub(crate) records: RecordIndex,
    pub(crate) manifest: ManifestFile,
    pub(crate) flushed_lsn: u64,
    pub(crate) tree: DiskTree,
    pub(crate) directory: Arc<dyn LogDirectory>,
    pub(crate) spares: Vec<String>,
    pub(crate) summed_up: BTreeMap<u64, bool>,
    /// Spaces that are no more, of which tables may have rows.
    pub(crate) dropped: Vec<Incarnation>,
    pub(crate) lock: File,
}

impl Core {
    pub(crate) fn new(parts: Parts) -> Self {
        let last_lsn = parts.sequencer.next_lsn - 1;
        Self {
            cache: ItemCache::new(parts.options.item_cache_bytes),
            heads: Heads::new(parts.options.item_cache_bytes / HEADS_PART),
            partitions: Partitions::new(),
            options: parts.options,
            salt: parts.salt,
            spaces: parts.spaces,
            view: ArcSwap::from_pointee(parts.view),
            view_lock: Mutex::new(()),
            sequencer: Mutex::new(parts.sequencer),
            work: Condvar::new(),
            visible: AtomicU64::new(last_lsn),
            durable: Durable::starting_at(last_lsn),
            synced: AtomicU64::new(last_lsn),
            sync_wanted: AtomicBool::new(false),
            latches: Latches::new(),
            segments: Mutex::new(parts.segments),
            records: Mutex::new(parts.records),
            manifest: Mutex::new(parts.manifest),
            flushed_lsn: AtomicU64::new(parts.flushed_lsn),
            tree: parts.tree,
            directory: parts.directory,
            spares: Mutex::new(parts.spares),
            summed_up: Mutex::new(parts.summed_up),
            room: Notify::new(),
            background: Mutex::new(Work {
                compact: true,
                dropped: parts.dropped,
                ..Work::default()
            }),
            wake: Condvar::new(),
            stopping: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            figures: Figures::default(),
            epoch: Instant::now(),
            slow_reads: AtomicU64::new(0),
            slow_until_us: AtomicU64::new(0),
            lock: Mutex::new(Some(parts.lock)),
        }
    }

    pub(crate) fn check_open(&self) -> EngineResult<()> {
        if self.closed.load(Ordering::Acquire) { Err(EngineError::Closed) } else { Ok(()) }
    }

    /// Whether commits are taken. A log or a tree that cannot grow counts before its last room is used.
    pub(crate) fn health(&self) -> Health {
        if let Err(closed) = self.check_open() {
            return Health::WritesRefused(closed);
        }
        let sequencer = self.sequencer.lock();
        // What only a large commit needs does not count.
        let full = sequencer.full.as_ref().filter(|full| full.from_bytes == 0);
        let full = full.map(|full| EngineError::Full(full.why.clone()));
        let log = sequencer.refused.clone().or(full);
        drop(sequencer);
        log.or_else(|| self.flush_failure()).map_or(Health::Writable, Health::WritesRefused)
    }

    /// Why the last flush failed, as a writer is told.
    pub(crate) fn flush_failure(&self) -> Option<EngineError> {
        match self.background.lock().flush_error.as_ref()? {
            EngineError::Closed => None,
            refused @ EngineError::WritesRefused(_) => Some(refused.clone()),
            EngineError::Full(text) => {
                Some(EngineError::Full(format!("rows cannot be flushed: {text}")))
            }
            // Then it is memory that there is no more of.
            other => Some(EngineError::Full(format!("rows cannot be flushed: {other}"))),
        }
    }

    /// What stands for a physical key.
    pub(crate) fn digest(&self, key: &[u8]) -> Digest {
        Digest::of(key, self.salt)
    }

    /// The incarnation of a space that exists.
    pub(crate) fn incarnation(&self, space: SpaceId) -> EngineResult<Incarnation> {
        self.spaces.load().get(space)
    }

    /// After this nothing is written until the engine is reopened.
    pub(crate) fn refuse(&self, error: &EngineError) {
        tracing::error!(%error, "writes are refused from now on");
        let refused = match error {
            EngineError::WritesRefused(text) => EngineError::WritesRefused(text.clone()),
            other => EngineError::WritesRefused(other.to_string()),
        };
        self.sequencer.lock().refused = Some(refused.clone());
        self.durable.fail(refused);
        self.room.notify_waiters();
    }

    /// Starts a new memtable. The caller holds the sequencer's lock.
    pub(crate) fn rotate(&self, sequencer: &mut Sequencer) {
        if sequencer.active.is_empty() {
            return;
        }
        let active = Arc::new(Memtable::default());
        sequencer.active = active.clone();
        self.change_view(|view| view.memtables.insert(0, active));
        self.wake_background(|_| {});
    }

    pub(crate) fn change_view(&self, change: impl FnOnce(&mut View)) {
        let _serial = self.view_lock.lock();
        let mut view = View::clone(&self.view.load());
        change(&mut view);
        self.view.store(Arc::new(view));
    }

    pub(crate) fn wake_background(&self, change: impl FnOnce(&mut Work)) {
        change(&mut self.background.lock());
        self.wake.notify_all();
    }

    /// Runs work that reads from the tree: here, as long as the operating system has the pages; on
    /// another thread for a while after it did not.
    ///
    /// A read that is answered from memory takes a few microseconds, less than handing it to another
    /// thread; and whether it will be cannot be asked in advance. `bytes` says how much was read.
    pub(crate) async fn on_disk<T, F>(&self, bytes: fn(&T) -> usize, work: F) -> EngineResult<T>
    where
        T: Send + 'static,
        F: FnOnce() -> EngineResult<T> + Send + 'static,
    {
        self.figures.tree_reads.fetch_add(1, Ordering::Relaxed);
        let start = self.epoch.elapsed();
        if micros(start) < self.slow_until_us.load(Ordering::Relaxed) {
            self.figures.pooled_reads.fetch_add(1, Ordering::Relaxed);
            return self.off_thread(work).await;
        }
        let result = work();
        self.note_time(start, result.as_ref().map_or(0, bytes));
        result
    }

    fn note_time(&self, start: Duration, bytes: usize) {
        let end = self.epoch.elapsed();
        if !is_slow(end.saturating_sub(start), bytes) {
            self.slow_reads.store(0, Ordering::Relaxed);
        } else if self.slow_reads.fetch_add(1, Ordering::Relaxed) + 1 >= SLOW_READS {
            self.slow_until_us.store(micros(end + SLOW_TIME), Ordering::Relaxed);
        }
    }

    /// Runs blocking work on a thread where that is possible.
    pub(crate) async fn off_thread<T, F>(&self, work: F) -> EngineResult<T>
    where
        T: Send + 'static,
        F: FnOnce() -> EngineResult<T> + Send + 'static,
    {
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => match runtime.spawn_blocking(work).await {
                Ok(result) => result,
                Err(error) => Err(EngineError::Unavailable(error.to_string())),
            },
            Err(_) => work(),
        }
    }

    /// The oldest thing that the log must keep.
    pub(crate) fn needed_segment(&self) -> Option<u64> {
        self.records.lock().oldest_segment()
    }

    pub(crate) fn figure_list(&self) -> Vec<Figure> {
        let mut figures = self.log_and_tree_figures();
        figures.extend(self.cache_figures());
        figures
    }

    fn cache_figures(&self) -> Vec<Figure> {
        let figure = |name, help, value| Figure { name, help, value };
        let (hits, misses) = self.cache.counts();
        let (partition_hits, partition_misses) = self.partitions.counts();
        vec![
            figure("item_cache_hits_total", "Rows answered from the item cache.", hits as f64),
            figure(
                "item_cache_misses_total",
                "Rows that the item cache did not have.",
                misses as f64,
            ),
            figure(
                "partition_cache_hits_total",
                "Reads of a partition answered from the item cache.",
                partition_hits as f64,
            ),
            figure(
                "partition_cache_misses_total",
                "Reads of a partition that the item cache could not answer.",
                partition_misses as f64,
            ),
            figure("item_cache_bytes", "Bytes in the item cache.", self.cache.bytes() as f64),
        ]
    }

    fn log_and_tree_figures(&self) -> Vec<Figure> {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
        let figure = |name, help, value| Figure { name, help, value };
        let (segments, segment_bytes) = {
            let segments = self.segments.lock();
            (segments.len(), segments.values().map(|segment| segment.size_bytes).sum::<u64>())
        };
        let f = &self.figures;
        vec![
            figure("commits_total", "Commits that were ordered.", count(&f.commits)),
            figure(
                "conflicts_total",
                "Commits refused because a row was not as expected.",
                count(&f.conflicts),
            ),
            figure("log_fsyncs_total", "Syncs of the log.", count(&f.log_fsyncs)),
            figure(
                "log_groups_total",
                "Writes to the log, each of one or more commits.",
                count(&f.log_groups),
            ),
            figure("log_bytes_written_total", "Bytes written to the log.", count(&f.log_bytes)),
            figure("log_segments", "Log segments that are kept or prepared.", segments as f64),
            figure("log_disk_bytes", "The length of the log's segments.", segment_bytes as f64),
            figure(
                "memtable_bytes",
                "Rows in memory that are not in the tree yet.",
                self.view.load().memtable_bytes() as f64,
            ),
            figure(
                "memtables",
                "Memtables, the one that is written to included.",
                self.view.load().memtables.len() as f64,
            ),
            figure("flushes_total", "Memtables written into the tree.", count(&f.flushes)),
            figure("compactions_total", "Compactions of the tree.", count(&f.compactions)),
            figure("tree_reads_total", "Reads that went to the tree.", count(&f.tree_reads)),
            figure(
                "tree_pooled_reads_total",
                "Reads that went to the tree on another thread.",
                count(&f.pooled_reads),
            ),
            figure("tree_tables", "Table files of the tree.", self.tree.table_count() as f64),
            figure(
                "tree_level0_runs",
                "Sorted runs on level 0 of the tree.",
                self.tree.waiting_runs() as f64,
            ),
            figure("tree_disk_bytes", "Bytes in the tree's tables.", self.tree.disk_bytes() as f64),
            figure(
                "slowed_writes_total",
                "Commits that were held up for flushes to catch up.",
                count(&f.slowed_writes),
            ),
        ]
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::task::{Context, Waker};

    use bytes::Bytes;
    use zenobe_storage::{
        Commit, Engine as _, Expect, Key, Lane, Mutation, Outcome, Precondition, Version,
    };

    use super::*;
    use crate::LocalEngine;

    #[test]
    fn a_read_is_slow_for_what_it_reads() {
        let (millisecond, megabyte) = (Duration::from_millis(1), 1 << 20);
        assert!(is_slow(millisecond, 0) && is_slow(millisecond, 1_000));
        assert!(!is_slow(millisecond, megabyte) && !is_slow(4 * millisecond, megabyte));
        assert!(is_slow(20 * millisecond, megabyte));
        assert!(!is_slow(SLOW_READ, usize::MAX));
    }

    /// Commits while another commit waits for the disk to say what it must compare with. The runtime has one thread for that.
    async fn overtake(directory: &std::path::Path) {
        let space = SpaceId(1);
        let key = Key {
            space,
            partition: Bytes::from_static(b"p"),
            lane: Lane::ITEM,
            sort: Bytes::new(),
        };
        let put = |value: &'static str| {
            let mutation = Mutation { key: key.clone(), value: Some(value.into()) };
            Commit { mutations: vec![mutation], ..Commit::default() }
        };
        let engine = LocalEngine::open(LocalOptions::new(directory)).unwrap();
        engine.create_space(space).await.unwrap();
        engine.commit(put("old")).await.unwrap();
        engine.checkpoint().await.unwrap();
        engine.close().await.unwrap();
        // Now only the disk knows the row, and is asked on another thread.
        let engine = LocalEngine::open(LocalOptions::new(directory)).unwrap();
        engine.core.slow_until_us.store(u64::MAX, Ordering::Relaxed);
        let (release, released) = mpsc::channel();
        tokio::task::spawn_blocking(move || released.recv());
        let expect = Precondition { key: key.clone(), expect: Expect::At(Version(1)) };
        let mut late = engine.commit(Commit { preconditions: vec![expect], ..put("late") });
        assert!(late.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        engine.commit(put("new")).await.unwrap();
        release.send(()).unwrap();
        let Outcome::Conflict { current: Some(Some(row)), .. } = late.await.unwrap() else {
            panic!("the row has changed")
        };
        assert_eq!(row.value, "new");
    }

    #[test]
    fn who_is_overtaken_while_the_disk_is_asked_loses_no_update() {
        let directory = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(1)
            .build()
            .unwrap();
        runtime.block_on(overtake(directory.path()));
    }
}
