//! Futures that stop at each call of the engine, so that a test chooses how they interleave.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use zenobe_storage::*;

/// An engine that gives way once before each call.
pub(crate) struct Stepwise(pub(crate) Arc<dyn Engine>);

macro_rules! stepwise {
    ($($name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        $(fn $name(&self, $($argument: $type),*) -> BoxFuture<'_, EngineResult<$result>> {
            Box::pin(async move {
                tokio::task::yield_now().await;
                self.0.$name($($argument),*).await
            })
        })*
    };
}

impl Engine for Stepwise {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn partition_hash(&self, partition: &[u8]) -> u64 {
        self.0.partition_hash(partition)
    }

    fn health(&self) -> Health {
        self.0.health()
    }

    fn figures(&self) -> Vec<Figure> {
        self.0.figures()
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

/// Polls a future this often; what it came to, if it came to its end.
pub(crate) fn poll_times<T>(future: impl Future<Output = T>, times: usize) -> Option<T> {
    poll_pinned(pin!(future), times)
}

/// The same for a future that is to go on later.
pub(crate) fn poll_pinned<T>(
    mut future: std::pin::Pin<&mut impl Future<Output = T>>,
    times: usize,
) -> Option<T> {
    let mut context = Context::from_waker(Waker::noop());
    (0..times).find_map(|_| match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(done) => Some(done),
        std::task::Poll::Pending => None,
    })
}
