//! What follows from a commit: its records are published, its derived rows are written, its trace is forgotten.
//!
//! Derived rows are plain writes whose timestamp is the commit's version: they may be written by several
//! processes, any number of times and in any order, and the highest version stands. A deletion stands against
//! lower versions for as long as Cassandra keeps its tombstone (`gc_grace_seconds`, ten days). Nobody is that late:
//! a process that is still trying after [`LOOK_AFTER`] looks first whether the trace is still there, and who takes
//! over refuses traces older than [`LATE_MAX`].

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::join;
use futures_util::stream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use zenobe_storage::{BoxFuture, EngineError, EngineResult};

use crate::client::{Bind, Failure};
use crate::core::Core;
use crate::figures::Kind;
use crate::marks::Generation;
use crate::plan::trace_sort;
use crate::schema::{TRACE_LANE, Table, TableName};
use crate::trace::{Derived, Trace};

/// How many partitions one commit's derived rows are written to at once.
const RELAYS_AT_ONCE: usize = 16;
/// How many derived rows of one partition go into one batch, and how many bytes.
const BATCH_ROWS_MAX: usize = 100;
const BATCH_BYTES_MAX: usize = 256 << 10;
/// How long a commit's answer waits for what follows from it.
const ANSWER_WAIT: Duration = Duration::from_secs(1);
/// How long to wait before what failed is tried again: first, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// From when on the trace is looked at before each attempt.
const LOOK_AFTER: Duration = Duration::from_secs(60);
/// How old a trace may be, by its version, for its derived rows to be written.
pub(crate) const LATE_MAX: Duration = Duration::from_secs(8 * 86_400);

/// What is held for a commit with derived rows until it is through.
pub(crate) struct Unfinished {
    pub(crate) generation: Arc<Generation>,
    pub(crate) _room: OwnedSemaphorePermit,
}

/// A commit that happened, or may have.
pub(crate) struct Left {
    pub(crate) table: Arc<Table>,
    pub(crate) part: Bytes,
    pub(crate) version: i64,
    pub(crate) unfinished: Option<Unfinished>,
}

impl Core {
    /// Finishes what follows from a commit that happened. Calls `answer` when that is done, or takes long.
    pub(crate) async fn see_through(
        self: Arc<Self>,
        left: Left,
        trace: Trace,
        answer: impl FnOnce(),
    ) {
        let mut finishing = pin!(self.finish_until_done(&left, &trace));
        let in_time = tokio::time::timeout(ANSWER_WAIT, finishing.as_mut()).await.is_ok();
        answer();
        if !in_time {
            finishing.await;
        }
    }

    async fn finish_until_done(&self, left: &Left, trace: &Trace) {
        let Left { table, part, version, unfinished } = left;
        let began = Instant::now();
        let counter = &self.client.counters.unfinished;
        let count = u64::from(unfinished.is_some());
        counter.fetch_add(count, Ordering::Relaxed);
        let (mut pause, pause_max) = PAUSES;
        while let Err(error) = self.finish_trace(table, part, *version, trace).await {
            tracing::warn!(%error, "what follows from a commit is not finished yet");
            // What has records only is left to the readers of the log.
            if unfinished.is_none() || self.is_stopped() {
                break;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(pause_max);
            if began.elapsed() > LOOK_AFTER && self.was_finished(table, part, *version).await {
                break;
            }
        }
        counter.fetch_sub(count, Ordering::Relaxed);
    }

    async fn was_finished(&self, table: &Table, part: &Bytes, version: i64) -> bool {
        let found = self.decided_version(table, part, TRACE_LANE, trace_sort(version)).await;
        matches!(found, Ok(None))
    }

    /// Finds out what became of a commit without an answer, for as long as it takes, and finishes it.
    pub(crate) async fn find_out(self: Arc<Self>, left: Left) {
        let Left { table, part, version, .. } = &left;
        let (mut pause, pause_max) = PAUSES;
        while let Err(error) = self.finish_partition(table.name, part, *version, *version).await {
            tracing::warn!(%error, "whether a commit happened is not known yet");
            if self.is_stopped() {
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(pause_max);
        }
    }

    /// Does what a trace asks for, and forgets it.
    pub(crate) async fn finish_trace(
        &self,
        table: &Table,
        part: &Bytes,
        version: i64,
        trace: &Trace,
    ) -> EngineResult<()> {
        let marking = self.mark_done(trace.shards.iter().copied(), version);
        let (marked, relayed) = join(marking, self.relay(version, &trace.derived)).await;
        relayed?;
        if !marked {
            return Err(EngineError::Unavailable("a record could not be published".to_owned()));
        }
        self.forget_trace(table, part, version).await
    }

    async fn forget_trace(&self, table: &Table, part: &Bytes, version: i64) -> EngineResult<()> {
        let values = vec![
            Bind::Big(self.timestamp_after_all()),
            Bind::Blob(part.clone()),
            Bind::Small(TRACE_LANE),
            Bind::Blob(trace_sort(version)),
        ];
        let forgetting = self.client.write(Kind::Forget, vec![(&table.forget, values)]).await;
        self.unless_dropped(table.name, forgetting).await
    }

    /// Writes derived rows, each partition's in batches.
    async fn relay(&self, version: i64, derived: &[Derived]) -> EngineResult<()> {
        let mut partitions: HashMap<(TableName, &Bytes), Vec<&Derived>> = HashMap::new();
        for row in derived {
            partitions.entry((row.table, &row.partition)).or_default().push(row);
        }
        let mut writing: Vec<BoxFuture<'_, EngineResult<()>>> = Vec::new();
        for ((name, _), rows) in partitions {
            writing.push(Box::pin(self.write_partition(name, version, rows)));
        }
        let mut writing = stream::iter(writing).buffer_unordered(RELAYS_AT_ONCE);
        let mut outcome = Ok(());
        while let Some(written) = writing.next().await {
            outcome = outcome.and(written);
        }
        outcome
    }

    async fn write_partition(
        &self,
        name: TableName,
        version: i64,
        rows: Vec<&Derived>,
    ) -> EngineResult<()> {
        for rows in batches(&rows) {
            self.write_derived(name, version, rows).await?;
        }
        Ok(())
    }

    async fn write_derived(
        &self,
        name: TableName,
        version: i64,
        rows: &[&Derived],
    ) -> EngineResult<()> {
        let Some(table) = self.table_named(name).await? else { return Ok(()) };
        let statements = rows.iter().map(|row| {
            let mut values = vec![Bind::Big(version)];
            let statement = match &row.value {
                Some(value) => {
                    values.extend([Bind::Big(version), Bind::Blob(value.clone())]);
                    &table.derive
                }
                None => &table.forget,
            };
            let partition = Bind::Blob(row.partition.clone());
            values.extend([partition, Bind::Small(row.lane), Bind::Blob(row.sort.clone())]);
            (statement, values)
        });
        let written = self.client.write(Kind::Relay, statements.collect()).await;
        self.unless_dropped(name, written).await
    }

    /// The outcome of a write, which is fine if the space was dropped.
    async fn unless_dropped(
        &self,
        name: TableName,
        written: Result<(), Failure>,
    ) -> EngineResult<()> {
        match written {
            Ok(()) => Ok(()),
            Err(Failure::Refused(text)) => match self.table_of(name).await? {
                None => Ok(()),
                Some(_) => Err(EngineError::Unavailable(text)),
            },
            Err(failure) => Err(failure.error()),
        }
    }
}

/// Rows in groups that fit a batch.
fn batches<'a, 'r>(rows: &'a [&'r Derived]) -> Vec<&'a [&'r Derived]> {
    let size = |row: &Derived| {
        row.partition.len() + row.sort.len() + row.value.as_ref().map_or(0, Bytes::len)
    };
    let mut groups = Vec::new();
    let mut rest = rows;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = |row: &&&Derived| {
            bytes += size(row);
            bytes <= BATCH_BYTES_MAX
        };
        let count = rest.iter().take(BATCH_ROWS_MAX).take_while(fits).count().max(1);
        let (group, others) = rest.split_at(count);
        groups.push(group);
        rest = others;
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_partition_go_in_batches_of_bounded_size() {
        let row = |bytes: usize| Derived {
            table: TableName { space: None, incarnation: 0 },
            partition: Bytes::new(),
            lane: 0,
            sort: Bytes::new(),
            value: Some(vec![0; bytes].into()),
        };
        let counts = |sizes: &[usize]| {
            let rows: Vec<_> = sizes.iter().map(|size| row(*size)).collect();
            let rows: Vec<_> = rows.iter().collect();
            batches(&rows).into_iter().map(<[_]>::len).collect::<Vec<_>>()
        };
        assert_eq!(counts(&[]), [0; 0]);
        assert_eq!(counts(&[10; 250]), [100, 100, 50]);
        let (half, huge) = (BATCH_BYTES_MAX / 2, BATCH_BYTES_MAX * 2);
        assert_eq!(counts(&[half, half, half]), [2, 1]);
        assert_eq!(counts(&[1, huge, huge, 1]), [1, 1, 1, 1]);
    }
}
