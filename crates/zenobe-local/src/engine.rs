//! [`LocalEngine`]: the seam's calls, and the life of the threads.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use parking_lot::Mutex;
use zenobe_storage::{
    BoxFuture, Capabilities, Commit, Engine, EngineError, EngineResult, Figure, Health, Key,
    LogCursor, LogPage, Outcome, Page, PageLimit, Position, RangeRead, Read, Row, ScanRead,
    ShardId, Snapshot, SpaceId, SpaceStats,
};

use crate::core::Core;
use crate::{LocalOptions, background, commit, committer, layout, open};

/// The embedded engine on one directory.
///
/// Opening reads the log and starts the threads; it blocks. Dropping the engine stops them after what
/// was committed is written and synced; [`Engine::close`] does the same and reports failures.
///
/// ```
/// use zenobe_local::{LocalEngine, LocalOptions};
/// use zenobe_storage::{Commit, Engine as _, Key, Lane, Mutation, Outcome, Read, SpaceId};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let directory = tempfile::tempdir()?;
/// let engine = LocalEngine::open(LocalOptions::new(directory.path()))?;
/// engine.create_space(SpaceId(1)).await?;
/// let key = Key { space: SpaceId(1), partition: "p".into(), lane: Lane::ITEM, sort: "s".into() };
/// let mutation = Mutation { key: key.clone(), value: Some("hello".into()) };
/// let outcome = engine.commit(Commit { mutations: vec![mutation], ..Commit::default() }).await?;
/// let Outcome::Committed { position, .. } = outcome else { panic!("nothing was expected") };
/// engine.durable(position).await?;
/// let row = engine.get(key, Read::Strong).await?;
/// assert_eq!(row.map(|row| row.value), Some("hello".into()));
/// # Ok(())
/// # }
/// ```
pub struct LocalEngine {
    pub(crate) core: Arc<Core>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl std::fmt::Debug for LocalEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalEngine").field("options", &self.core.options).finish_non_exhaustive()
    }
}

impl LocalEngine {
    /// Opens the engine on a directory, which it has to itself until it is dropped.
    ///
    /// # Errors
    /// [`EngineError::Corrupt`] when stored data is damaged, [`EngineError::Unavailable`] when another
    /// process has the directory, a newer version wrote it, or it cannot be read or written.
    pub fn open(options: LocalOptions) -> EngineResult<Self> {
        let core = Arc::new(open::open(options)?);
        let engine = Self { core, threads: Mutex::new(Vec::new()) };
        engine.start("zenobe-log", committer::run, 0)?;
        engine.start("zenobe-segments", background::run_preparation, FLUSH_NICENESS)?;
        engine.start("zenobe-flush", background::run_flushes, FLUSH_NICENESS)?;
        engine.start("zenobe-compact", background::run_compactions, COMPACTION_NICENESS)?;
        Ok(engine)
    }

    fn start(&self, name: &str, run: fn(&Core), niceness: i32) -> EngineResult<()> {
        let core = self.core.clone();
        let body = move || {
            be_nice(niceness);
            let guard = PanicGuard(&core);
            run(&core);
            drop(guard);
        };
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(body)
            .map_err(|e| EngineError::Unavailable(format!("thread {name}: {e}")))?;
        self.threads.lock().push(thread);
        Ok(())
    }

    fn stop(core: &Core, threads: Vec<JoinHandle<()>>) {
        core.closed.store(true, Ordering::Release);
        core.stopping.store(true, Ordering::Release);
        // Under their locks, or a thread that is about to sleep would miss it.
        {
            let _sequencer = core.sequencer.lock();
            core.work.notify_all();
        }
        core.wake_background(|_| {});
        core.room.notify_waiters();
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the engine panicked");
            }
        }
        core.durable.fail(EngineError::Closed);
        // After a call that is still changing the manifest; then another process may have it all.
        let _manifest = core.manifest.lock();
        core.lock.lock().take();
    }
}

/// How far threads that nobody waits for stand back where cores are short: far enough that requests do
/// not wait for them, not so far that they fall behind for good.
const FLUSH_NICENESS: i32 = 3;
const COMPACTION_NICENESS: i32 = 5;

/// Lets other threads go first. On Linux the priority is one of the thread; elsewhere it would be one of
/// the whole process, and nothing happens. Where it is not permitted nothing is lost.
fn be_nice(niceness: i32) {
    #[cfg(target_os = "linux")]
    if niceness > 0
        && let Err(error) = rustix::process::setpriority_process(None, niceness)
    {
        tracing::debug!(%error, "a background thread keeps its priority");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = niceness;
}

/// A thread that panics leaves the engine without something it needs.
struct PanicGuard<'a>(&'a Core);

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.refuse(&EngineError::WritesRefused("a thread of the engine panicked".into()));
        }
    }
}

impl Drop for LocalEngine {
    fn drop(&mut self) {
        let threads = std::mem::take(&mut *self.threads.lock());
        Self::stop(&self.core, threads);
    }
}

impl Engine for LocalEngine {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            global_commit: true,
            snapshot_read: true,
            native_log_order: true,
            shared: false,
            latest_is_durable: false,
            value_bytes_max: commit::VALUE_BYTES_MAX,
            commit_bytes_max: commit::COMMIT_BYTES_MAX,
        }
    }

    fn create_space(&self, space: SpaceId) -> BoxFuture<'_, EngineResult<()>> {
        Box::pin(self.change_spaces(move |core| core.create_space(space)))
    }

    fn drop_space(&self, space: SpaceId) -> BoxFuture<'_, EngineResult<()>> {
        Box::pin(self.change_spaces(move |core| core.drop_space(space)))
    }

    fn spaces(&self) -> BoxFuture<'_, EngineResult<Vec<SpaceId>>> {
        Box::pin(async {
            self.core.check_open()?;
            Ok(self.core.spaces.load().iter().map(|(space, _)| space).collect())
        })
    }

    fn get(&self, key: Key, read: Read) -> BoxFuture<'_, EngineResult<Option<Row>>> {
        Box::pin(self.core.get(key, read))
    }

    fn multi_get(
        &self,
        keys: Vec<Key>,
        read: Read,
    ) -> BoxFuture<'_, EngineResult<Vec<Option<Row>>>> {
        Box::pin(self.core.multi_get(keys, read))
    }

    fn heads(&self, keys: Vec<Key>, bytes: usize) -> BoxFuture<'_, EngineResult<Vec<Option<Row>>>> {
        Box::pin(self.core.heads(keys, bytes))
    }

    fn range(&self, range: RangeRead, read: Read) -> BoxFuture<'_, EngineResult<Page>> {
        Box::pin(self.core.range(range, read))
    }

    fn scan(&self, scan: ScanRead, read: Read) -> BoxFuture<'_, EngineResult<Page>> {
        Box::pin(self.core.scan(scan, read))
    }

    fn partition_hash(&self, partition: &[u8]) -> u64 {
        layout::partition_hash(partition)
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, EngineResult<Outcome>> {
        Box::pin(self.core.commit(commit))
    }

    fn durable(&self, position: Position) -> BoxFuture<'_, EngineResult<()>> {
        Box::pin(async move {
            self.core.check_open()?;
            if position.0 > self.core.visible.load(Ordering::Acquire) {
                return Err(EngineError::Unavailable(format!(
                    "position {} is not committed",
                    position.0
                )));
            }
            self.core.durable.wait(position.0).await
        })
    }

    fn snapshot(&self) -> BoxFuture<'_, EngineResult<Arc<dyn Snapshot>>> {
        Box::pin(async { self.core.take_snapshot() })
    }

    fn log_read(
        &self,
        shard: ShardId,
        after: Option<LogCursor>,
        limit: PageLimit,
    ) -> BoxFuture<'_, EngineResult<LogPage>> {
        Box::pin(async move {
            let core = self.core.clone();
            let bytes = |page: &LogPage| page.records.iter().map(|one| one.payload.len()).sum();
            self.core.on_disk(bytes, move || core.log_read(shard, after, limit)).await
        })
    }

    fn log_end(&self, _shard: ShardId) -> BoxFuture<'_, EngineResult<Position>> {
        Box::pin(async move {
            self.core.check_open()?;
            Ok(Position(self.core.durable.lsn()))
        })
    }

    fn log_cut(
        &self,
        _close: Vec<ShardId>,
        _open: Vec<ShardId>,
    ) -> BoxFuture<'_, EngineResult<Position>> {
        Box::pin(async { Err(EngineError::Unsupported("cuts by the engine")) })
    }

    fn log_trim(&self, shard: ShardId, up_to: Position) -> BoxFuture<'_, EngineResult<()>> {
        Box::pin(async move {
            self.core.check_open()?;
            self.core.records.lock().trim(shard.0, up_to.0);
            self.core.wake_background(|work| work.release = true);
            Ok(())
        })
    }

    fn log_shards(&self) -> BoxFuture<'_, EngineResult<Vec<ShardId>>> {
        Box::pin(async move {
            self.core.check_open()?;
            Ok(self.core.records.lock().shards().map(ShardId).collect())
        })
    }

    fn checkpoint(&self) -> BoxFuture<'_, EngineResult<()>> {
        Box::pin(self.flush_everything())
    }

    fn space_stats(&self, space: SpaceId) -> BoxFuture<'_, EngineResult<SpaceStats>> {
        Box::pin(async move {
            self.core.check_open()?;
            let space = self.core.incarnation(space)?;
            Ok(SpaceStats {
                disk_bytes: self.core.tree.interval_bytes(&layout::space_interval(space)),
            })
        })
    }

    fn figures(&self) -> Vec<Figure> {
        self.core.figure_list()
    }

    fn health(&self) -> Health {
        self.core.health()
    }

    fn close(&self) -> BoxFuture<'_, EngineResult<()>> {
        Box::pin(async {
            let threads = std::mem::take(&mut *self.threads.lock());
            let core = self.core.clone();
            self.core
                .off_thread(move || {
                    Self::stop(&core, threads);
                    Ok(())
                })
                .await?;
            // Of what was still to be written then, too.
            match self.core.durable.failure().cloned() {
                Some(error @ EngineError::WritesRefused(_)) => Err(error),
                _ => Ok(()),
            }
        })
    }
}

impl LocalEngine {
    async fn change_spaces(
        &self,
        change: impl FnOnce(&Core) -> EngineResult<()> + Send + 'static,
    ) -> EngineResult<()> {
        self.core.check_open()?;
        let core = self.core.clone();
        self.core.off_thread(move || change(&core)).await
    }

    async fn flush_everything(&self) -> EngineResult<()> {
        self.core.check_open()?;
        let core = &self.core;
        let target = {
            let mut sequencer = core.sequencer.lock();
            core.rotate(&mut sequencer);
            sequencer.next_lsn - 1
        };
        core.wake_background(|_| {});
        let is_flushed = || {
            let view = core.view.load();
            view.memtables
                .iter()
                .all(|memtable| memtable.is_empty() || memtable.last_lsn() > target)
        };
        let failures = core.background.lock().flush_failures;
        loop {
            let mut changed = std::pin::pin!(core.room.notified());
            changed.as_mut().enable();
            core.check_open()?;
            if is_flushed() {
                break;
            }
            let failed = {
                let work = core.background.lock();
                work.flush_error.clone().filter(|_| work.flush_failures > failures)
            };
            if let Some(error) = failed {
                return Err(error);
            }
            changed.await;
        }
        core.flushed_lsn
            .fetch_max(target.min(core.synced.load(Ordering::Acquire)), Ordering::AcqRel);
        let core = self.core.clone();
        self.core.off_thread(move || background::release(&core)).await
    }
}

impl Core {
    fn create_space(&self, space: SpaceId) -> EngineResult<()> {
        let mut manifest = self.manifest.lock();
        self.check_open()?;
        manifest.update(|manifest| {
            manifest.spaces.create(space);
        })?;
        self.spaces.store(Arc::new(manifest.current().spaces.clone()));
        Ok(())
    }

    fn drop_space(&self, space: SpaceId) -> EngineResult<()> {
        let mut manifest = self.manifest.lock();
        self.check_open()?;
        let Ok(incarnation) = manifest.current().spaces.get(space) else { return Ok(()) };
        manifest.update(|manifest| {
            manifest.spaces.remove(space);
        })?;
        {
            // Under the sequencer's lock, so that no commit gets in after this returns.
            let _sequencer = self.sequencer.lock();
            self.spaces.store(Arc::new(manifest.current().spaces.clone()));
        }
        drop(manifest);
        self.wake_background(|work| work.dropped.push(incarnation));
        Ok(())
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::path::PathBuf;
    use std::sync::mpsc;

    use bytes::Bytes;
    use zenobe_storage::{Lane, Mutation};

    use super::*;

    const SPACE: SpaceId = SpaceId(1);

    async fn open(directory: &std::path::Path) -> LocalEngine {
        let engine = LocalEngine::open(LocalOptions::new(directory)).unwrap();
        engine.create_space(SPACE).await.unwrap();
        engine
    }

    fn key() -> Key {
        Key {
            space: SPACE,
            partition: Bytes::from_static(b"p"),
            lane: Lane::ITEM,
            sort: Bytes::new(),
        }
    }

    async fn put(core: &Core) -> EngineResult<()> {
        let mutation = Mutation { key: key(), value: Some(Bytes::from_static(b"v")) };
        let commit = Commit { mutations: vec![mutation], ..Commit::default() };
        core.commit(commit).await.map(|_| ())
    }

    /// Starts something that will wait for a lock, and says where the system tells of its thread.
    fn start<T: Send + 'static>(
        work: impl FnOnce() -> T + Send + 'static,
    ) -> (JoinHandle<T>, PathBuf) {
        let (tell, told) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            tell.send(std::fs::read_link("/proc/thread-self").unwrap()).unwrap();
            work()
        });
        let thread_path = std::path::Path::new("/proc").join(told.recv().unwrap());
        (thread, thread_path.join("stat"))
    }

    fn sleeps(stat: &std::path::Path) -> bool {
        // After the name, which is in brackets.
        std::fs::read_to_string(stat).is_ok_and(|stat| stat.contains(") S "))
    }

    fn wait_until(holds: impl Fn() -> bool) {
        while !holds() {
            std::thread::yield_now();
        }
    }

    #[tokio::test]
    async fn a_commit_that_waited_for_its_turn_while_its_space_was_dropped_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let engine = open(directory.path()).await;
        let core = engine.core.clone();
        let physical = layout::physical_key(core.incarnation(SPACE).unwrap(), &key()).unwrap();
        let digest = core.digest(&physical);
        let sequencer = core.sequencer.lock();
        let (committing, stat) = start({
            let core = core.clone();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            move || runtime.block_on(put(&core))
        });
        // Under the latch of its key it can wait for nothing else.
        let has_latch = || core.latches.try_lock_unwritten(digest, u64::MAX).is_none();
        wait_until(|| has_latch() && sleeps(&stat));
        core.spaces.store(Arc::default());
        drop(sequencer);
        assert_eq!(committing.join().unwrap(), Err(EngineError::NoSpace(SPACE)));
    }

    #[tokio::test]
    async fn no_space_goes_between_the_check_of_a_commit_and_its_place_in_the_log() {
        let directory = tempfile::tempdir().unwrap();
        let engine = open(directory.path()).await;
        let core = engine.core.clone();
        // A commit is about to take its place.
        let sequencer = core.sequencer.lock();
        let (dropping, stat) = start({
            let core = core.clone();
            move || core.drop_space(SPACE)
        });
        let is_written_down = || {
            let manifest = crate::manifest::Manifest::load(directory.path()).unwrap().unwrap();
            manifest.spaces.get(SPACE).is_err()
        };
        wait_until(|| dropping.is_finished() || (is_written_down() && sleeps(&stat)));
        assert!(core.incarnation(SPACE).is_ok());
        drop(sequencer);
        dropping.join().unwrap().unwrap();
        assert_eq!(put(&core).await, Err(EngineError::NoSpace(SPACE)));
    }

    #[tokio::test]
    async fn a_snapshot_is_not_taken_while_the_view_is_changed() {
        let directory = tempfile::tempdir().unwrap();
        let engine = open(directory.path()).await;
        let core = engine.core.clone();
        // Or its LSN could be of before the change, and its view of after it.
        let changing = core.view_lock.lock();
        let (taking, stat) = start({
            let core = core.clone();
            move || core.take_snapshot().is_ok()
        });
        wait_until(|| taking.is_finished() || sleeps(&stat));
        assert!(!taking.is_finished());
        drop(changing);
        assert!(taking.join().unwrap());
    }
}
