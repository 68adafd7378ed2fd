//! Futures that stop before any call of the engine, so that a test chooses how they interleave.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use tokio::sync::Semaphore;
use zenobe_storage::*;

/// An engine that gives way once before each call, and makes it when it may.
pub(crate) struct Stepwise {
    engine: Arc<dyn Engine>,
    steps: Arc<Steps>,
}

impl Stepwise {
    /// Makes one that may make any calls.
    pub(crate) fn over(engine: &Arc<dyn Engine>) -> (Arc<dyn Engine>, Arc<Steps>) {
        let steps = Arc::new(Steps { left: Semaphore::new(0), waiting: AtomicUsize::new(0) });
        steps.free();
        let stepwise = Self { engine: Arc::clone(engine), steps: Arc::clone(&steps) };
        (Arc::new(stepwise), steps)
    }
}

/// How many calls may be made.
pub(crate) struct Steps {
    left: Semaphore,
    waiting: AtomicUsize,
}

/// Somebody who waits to make a call.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Steps {
    /// Lets any calls be made from now on.
    pub(crate) fn free(&self) {
        self.left.add_permits(Semaphore::MAX_PERMITS - self.left.available_permits());
    }

    /// Runs a future until it wants to make a call after so many; what it came to, if it came to its end.
    pub(crate) async fn run<T>(
        &self,
        mut future: Pin<&mut impl Future<Output = T>>,
        steps: usize,
    ) -> Option<T> {
        self.left.forget_permits(Semaphore::MAX_PERMITS);
        self.left.add_permits(steps);
        poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if self.waiting.load(Ordering::SeqCst) > 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Lets a future that was run make the rest of its calls.
    pub(crate) async fn finish<T>(
        &self,
        future: Pin<&mut impl Future<Output = T>>,
        before: Option<T>,
    ) -> T {
        self.free();
        match before {
            Some(done) => done,
            None => future.await,
        }
    }

    async fn step(&self) {
        tokio::task::yield_now().await;
        if let Ok(step) = self.left.try_acquire() {
            return step.forget();
        }
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let _waiting = Waiting(&self.waiting);
        self.left.acquire().await.unwrap().forget();
    }
}

macro_rules! stepwise {
    ($($name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        $(fn $name(&self, $($argument: $type),*) -> BoxFuture<'_, EngineResult<$result>> {
            Box::pin(async move {
                self.steps.step().await;
                self.engine.$name($($argument),*).await
            })
        })*
    };
}

impl Engine for Stepwise {
    fn capabilities(&self) -> Capabilities {
        self.engine.capabilities()
    }

    fn partition_hash(&self, partition: &[u8]) -> u64 {
        self.engine.partition_hash(partition)
    }

    fn health(&self) -> Health {
        self.engine.health()
    }

    fn figures(&self) -> Vec<Figure> {
        self.engine.figures()
    }

    stepwise! {
        create_space(space: SpaceId) -> ();
        drop_space(space: SpaceId) -> ();
        spaces() -> Vec<SpaceId>;
        get(key: Key, read: Read) -> Option<Row>;
        multi_get(keys: Vec<Key>, read: Read) -> Vec<Option<Row>>;
        range(range: RangeRead, read: Read) -> Page;
        scan(scan: ScanRead, read: Read) -> Page;
        commit(commit: Commit) -> Outcome;
        durable(position: Position) -> ();
        snapshot() -> Arc<dyn Snapshot>;
        log_read(shard: ShardId, after: Option<LogCursor>, limit: PageLimit) -> LogPage;
        log_end(shard: ShardId) -> Position;
        log_cut(close: Vec<ShardId>, open: Vec<ShardId>) -> Position;
        log_trim(shard: ShardId, up_to: Position) -> ();
        checkpoint() -> ();
        space_stats(space: SpaceId) -> SpaceStats;
        close() -> ();
    }
}
