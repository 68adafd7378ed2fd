//! The seam's calls, each handed to the module that does the work.

use std::sync::Arc;

use tokio::task::JoinHandle;
use zenobe_storage::{
    BoxFuture, Capabilities, Commit, Engine, EngineError, EngineResult, Figure, Health, Key,
    LogCursor, LogPage, Outcome, Page, PageLimit, Position, RangeRead, Read, Row, ScanRead,
    ShardId, Snapshot, SpaceId, SpaceStats,
};

use crate::client::{Bind, Failure, Freshness};
use crate::core::Core;
use crate::figures::Kind;
use crate::instance::keep_instance;
use crate::node::keep_lease;
use crate::options::CassandraOptions;
use crate::plan::{COMMIT_BYTES_MAX, VALUE_BYTES_MAX};
use crate::schema::table_text;
use crate::takeover::watch;
use crate::token::{hash_of, token};

/// An engine over an Apache Cassandra cluster. Any number of processes may use one keyspace.
///
/// Needs a Tokio runtime that outlives it.
pub struct CassandraEngine {
    core: Arc<Core>,
    tasks: [JoinHandle<()>; 3],
}

impl CassandraEngine {
    /// Connects to a cluster, and makes the keyspace and the engine's own tables where they are missing.
    ///
    /// # Errors
    /// [`EngineError::Unavailable`] when no contact point answers, the options are malformed or do not fit the
    /// cluster and its data centres, or the cluster refuses.
    pub async fn open(options: CassandraOptions) -> EngineResult<Self> {
        let core = Arc::new(Box::pin(Core::open(options)).await?);
        let tasks = [
            tokio::spawn(keep_lease(Arc::downgrade(&core))),
            tokio::spawn(keep_instance(Arc::downgrade(&core))),
            tokio::spawn(watch(Arc::downgrade(&core))),
        ];
        Ok(Self { core, tasks })
    }

    /// A call whose repetition changes nothing, ended when its time is over, wherever it waits then.
    async fn in_time<T>(&self, call: impl Future<Output = EngineResult<T>>) -> EngineResult<T> {
        let budget = self.core.options.call_budget;
        let late = || Err(EngineError::Unavailable("the call took too long".to_owned()));
        tokio::time::timeout(budget, call).await.unwrap_or_else(|_| late())
    }

    fn end_tasks(&self) {
        self.core.stop();
        for task in &self.tasks {
            task.abort();
        }
    }

    async fn space_size(&self, space: SpaceId) -> EngineResult<SpaceStats> {
        self.core.check_open()?;
        let table = self.core.table(space).await?;
        // A table of a dropped space may still be cached.
        let Some(table) = self.core.table_of(table.name).await? else {
            return Err(EngineError::NoSpace(space));
        };
        let keyspace = Bind::Text(self.core.options.keyspace.clone());
        let values = vec![keyspace, Bind::Text(table_text(table.name))];
        let estimates = &self.core.own.size_estimates;
        let answer = self.core.client.run(Kind::Registry, estimates, Freshness::One, values).await;
        let Some(rows) = answer.map_err(Failure::error)? else {
            return Ok(SpaceStats::default());
        };
        let mut bytes = 0_u64;
        let rows = rows
            .rows::<(Option<i64>, Option<i64>)>()
            .map_err(|error| EngineError::Corrupt(error.to_string()))?;
        for row in rows {
            let (mean, count) = row.map_err(|error| EngineError::Corrupt(error.to_string()))?;
            let part = mean.unwrap_or(0).max(0).saturating_mul(count.unwrap_or(0).max(0));
            bytes = bytes.saturating_add(part.cast_unsigned());
        }
        // Each node estimates the ranges that it is first responsible for.
        Ok(SpaceStats { disk_bytes: bytes.saturating_mul(self.core.client.node_count()) })
    }

    async fn shut(&self) -> EngineResult<()> {
        if !self.core.refuse_calls() {
            return Err(EngineError::Closed);
        }
        // What follows from the commits is finished here, or else by others.
        let finished = self.core.drain().await;
        self.end_tasks();
        if finished && self.core.remove_marks().await {
            self.core.sign_off().await;
        }
        self.core.lease.release(&self.core.client, &self.core.own).await;
        Ok(())
    }
}

impl Drop for CassandraEngine {
    fn drop(&mut self) {
        self.end_tasks();
    }
}

impl Engine for CassandraEngine {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            global_commit: false,
            snapshot_read: false,
            native_log_order: false,
            shared: true,
            latest_is_durable: true,
            value_bytes_max: VALUE_BYTES_MAX,
            commit_bytes_max: COMMIT_BYTES_MAX,
        }
    }

    fn create_space(&self, space: SpaceId) -> BoxFuture<'_, EngineResult<()>> {
        Box::pin(async move {
            self.core.check_open()?;
            self.core.make_space(space).await
        })
    }

    fn drop_space(&self, space: SpaceId) -> BoxFuture<'_, EngineResult<()>> {
        Box::pin(async move {
            self.core.check_open()?;
            self.core.drop_space(space).await
        })
    }

    fn spaces(&self) -> BoxFuture<'_, EngineResult<Vec<SpaceId>>> {
        Box::pin(async move {
            self.core.check_open()?;
            self.core.ready_spaces().await
        })
    }

    fn get(&self, key: Key, read: Read) -> BoxFuture<'_, EngineResult<Option<Row>>> {
        Box::pin(self.in_time(self.core.get(key, read)))
    }

    fn multi_get(
        &self,
        keys: Vec<Key>,
        read: Read,
    ) -> BoxFuture<'_, EngineResult<Vec<Option<Row>>>> {
        Box::pin(self.in_time(self.core.multi_get(keys, read)))
    }

    fn range(&self, range: RangeRead, read: Read) -> BoxFuture<'_, EngineResult<Page>> {
        Box::pin(self.core.range(range, read))
    }

    fn scan(&self, scan: ScanRead, read: Read) -> BoxFuture<'_, EngineResult<Page>> {
        Box::pin(self.core.scan(scan, read))
    }

    fn partition_hash(&self, partition: &[u8]) -> u64 {
        hash_of(token(partition))
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, EngineResult<Outcome>> {
        Box::pin(async move { self.core.commit(commit).await })
    }

    /// What was committed is on the disks of a quorum, if the cluster runs with `commitlog_sync: batch` (or
    /// `group`); with Cassandra's default, `periodic`, it is in their memory for up to ten seconds.
    fn durable(&self, _position: Position) -> BoxFuture<'_, EngineResult<()>> {
        Box::pin(async move { self.core.check_open() })
    }

    fn snapshot(&self) -> BoxFuture<'_, EngineResult<Arc<dyn Snapshot>>> {
        Box::pin(async move { Err(EngineError::Unsupported("snapshot reads")) })
    }

    fn log_read(
        &self,
        shard: ShardId,
        after: Option<LogCursor>,
        limit: PageLimit,
    ) -> BoxFuture<'_, EngineResult<LogPage>> {
        Box::pin(self.in_time(self.core.log_read(shard, after, limit)))
    }

    fn log_end(&self, shard: ShardId) -> BoxFuture<'_, EngineResult<Position>> {
        Box::pin(self.in_time(self.core.log_end(shard)))
    }

    fn log_cut(
        &self,
        close: Vec<ShardId>,
        open: Vec<ShardId>,
    ) -> BoxFuture<'_, EngineResult<Position>> {
        Box::pin(self.in_time(self.core.log_cut(close, open)))
    }

    fn log_trim(&self, shard: ShardId, up_to: Position) -> BoxFuture<'_, EngineResult<()>> {
        Box::pin(self.in_time(self.core.log_trim(shard, up_to)))
    }

    /// Nothing to do: Cassandra sees to its own memory and logs.
    fn checkpoint(&self) -> BoxFuture<'_, EngineResult<()>> {
        Box::pin(async move { self.core.check_open() })
    }

    fn space_stats(&self, space: SpaceId) -> BoxFuture<'_, EngineResult<SpaceStats>> {
        Box::pin(async move { self.space_size(space).await })
    }

    fn figures(&self) -> Vec<Figure> {
        self.core.client.counters.figures(self.core.clock.ahead_ms())
    }

    /// Says no after [`Engine::close`], while the last statement was not answered, and while the node number
    /// could not be renewed.
    fn health(&self) -> Health {
        let lease = self.core.check_open().and_then(|()| self.core.lease.node().map(|_| ()));
        match lease {
            Err(error) => Health::WritesRefused(error),
            Ok(()) if !self.core.client.is_answering() => {
                let text = "the cluster did not answer the last statement".to_owned();
                Health::WritesRefused(EngineError::Unavailable(text))
            }
            Ok(()) => Health::Writable,
        }
    }

    fn close(&self) -> BoxFuture<'_, EngineResult<()>> {
        Box::pin(async move { self.shut().await })
    }
}
