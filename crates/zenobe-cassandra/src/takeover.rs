//! Taking over from processes that died: what they left in the middle is found and finished by others.
//!
//! Every process looks at the table `instances` now and then. One that is not alive any more it fences by a
//! conditional update, which one process at a time can do, and then:
//!
//! 1. it reads the marks: all partitions where the dead one may have left a trace;
//! 2. in each it moves the partition's clock past `last`, the highest version that the dead one may have used.
//!    What is still under way cannot happen any more, unless it has;
//! 3. it reads the traces there, and finishes each ([`crate::relay`]);
//! 4. it removes the marks, and then the instance.
//!
//! If it dies meanwhile, its own claim ends and the next process begins again: every step may be repeated. It gives
//! the claim back when a step fails, and does not renew it when nothing is done for [`STILL_MAX`]. If the
//! dead one was only slow, its commits of before are refused by the clocks, its later ones by the fence.

use std::pin::pin;
use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use parking_lot::Mutex;
use scylla::response::PagingState;
use tokio::time::Instant;
use zenobe_storage::{EngineError, EngineResult, SpaceId};

use crate::client::{Bind, BoundRead, Failure, Freshness};
use crate::core::{Core, Verdict, number, verdict};
use crate::figures::Kind;
use crate::marks::BUCKETS;
use crate::plan::trace_sort;
use crate::relay::LATE_MAX;
use crate::schema::{REGISTRY, TRACE_LANE, Table, TableName};
use crate::trace::Trace;

/// How often a process looks for dead ones.
const LOOK: Duration = Duration::from_secs(2);
/// How long a claim to take over lasts without renewal, and how often it is renewed.
const CLAIM_S: i32 = 10;
const RENEW: Duration = Duration::from_secs(3);
/// How long a claim is renewed while nothing comes of it: another process may have more luck.
const STILL_MAX: Duration = Duration::from_secs(60);
/// How many marks are read at once, and how many partitions are seen to at a time.
const MARKS_PAGE: i32 = 200;
const PARTITIONS_AT_ONCE: usize = 16;
/// How many traces are read at once: each may be as large as a commit.
const TRACES_PAGE: i32 = 8;

/// An instance as stored.
struct Seen {
    id: Bytes,
    is_alive: bool,
    last: Option<i64>,
    taker: Option<Bytes>,
}

impl Seen {
    fn last(&self) -> EngineResult<i64> {
        self.last.ok_or_else(|| corrupt("an instance without its last version"))
    }
}

/// When something of what is taken over was last done.
struct Progress(Mutex<Instant>);

impl Progress {
    fn begun() -> Self {
        Self(Mutex::new(Instant::now()))
    }

    fn goes_on(&self) {
        *self.0.lock() = Instant::now();
    }

    fn stands_still(&self, now: Instant) -> bool {
        now.duration_since(*self.0.lock()) >= STILL_MAX
    }
}

/// A mark as stored.
struct Mark {
    table: TableName,
    part: Bytes,
    since: i64,
}

fn corrupt(what: impl std::fmt::Display) -> EngineError {
    EngineError::Corrupt(format!("the registry of instances: {what}"))
}

fn lost() -> EngineError {
    EngineError::Unavailable("another process took it over".to_owned())
}

/// Looks for dead processes until the engine is gone.
pub(crate) async fn watch(core: Weak<Core>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(core) = core.upgrade() else { return };
        if let Err(error) = core.look_for_dead().await {
            tracing::warn!(%error, "it was not seen which processes died");
        }
    }
}

impl Core {
    async fn instances(&self, freshness: Freshness) -> EngineResult<Vec<Seen>> {
        let answer = self
            .client
            .run(Kind::Registry, &self.own.instances.all, freshness, vec![REGISTRY])
            .await;
        let Some(rows) = answer.map_err(Failure::error)? else { return Ok(Vec::new()) };
        let rows = rows
            .rows::<(Bytes, Option<bool>, Option<bool>, Option<i64>, Option<Bytes>)>()
            .map_err(corrupt)?;
        let mut seen = Vec::new();
        for row in rows {
            let (id, alive, fenced, last, taker) = row.map_err(corrupt)?;
            // Without a fence only the end of a heartbeat of one that is removed already is left.
            if fenced.is_some() {
                seen.push(Seen { id, is_alive: alive == Some(true), last, taker });
            }
        }
        Ok(seen)
    }

    /// Takes over from those that died, one after the other. An error with one does not keep the next waiting.
    async fn look_for_dead(&self) -> EngineResult<()> {
        let me = self.marks.instance();
        for seen in self.instances(Freshness::Quorum).await? {
            if seen.is_alive || seen.taker.is_some() || seen.id == me.id {
                continue;
            }
            if let Err(error) = self.see_to(&seen).await {
                tracing::warn!(instance = ?seen.id, %error, "taking over from a process did not end");
            }
        }
        Ok(())
    }

    /// Takes over from one, unless another process does.
    async fn see_to(&self, seen: &Seen) -> EngineResult<()> {
        // Without it nobody could; so nobody claims it.
        seen.last()?;
        let outcome = match self.claim(&seen.id).await {
            Ok(true) => self.take_claimed(&seen.id).await,
            Ok(false) => return Ok(()),
            Err(error) => Err(error),
        };
        if outcome.is_err() {
            self.release(&seen.id).await;
        }
        outcome
    }

    async fn take_claimed(&self, id: &Bytes) -> EngineResult<()> {
        let progress = Progress::begun();
        let taking = pin!(self.take_over(id, &progress));
        let renewing = pin!(self.keep_claim(id, &progress));
        match select(taking, renewing).await {
            Either::Left((taken, _)) => taken?,
            Either::Right((ended, _)) => return Err(ended),
        }
        self.client.counters.taken_over.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Fences an instance and claims what it left.
    async fn claim(&self, id: &Bytes) -> EngineResult<bool> {
        let own = &self.own.instances;
        let (instance, taker) = (Bind::Blob(id.clone()), Bind::Blob(self.taker.clone()));
        let batch = vec![
            (&own.fence, vec![REGISTRY, instance.clone()]),
            (&own.take, vec![Bind::Int(CLAIM_S), taker, REGISTRY, instance]),
        ];
        let answer = self.client.conditional(Kind::TakeOver, batch).await.and_then(verdict);
        match answer.map_err(Failure::error)? {
            Verdict::Applied => {
                tracing::info!(instance = ?id, "claimed what a process left that died");
                Ok(true)
            }
            Verdict::Refused(found) => {
                tracing::info!(instance = ?id, ?found, "a claim was refused");
                Ok(false)
            }
        }
    }

    /// Changes the taker of an instance that this process has claimed: to itself again, or to nobody.
    async fn retake(&self, id: &Bytes, taker: Bind) -> Result<Verdict, Failure> {
        let (id, expected) = (Bind::Blob(id.clone()), Bind::Blob(self.taker.clone()));
        let values = vec![Bind::Int(CLAIM_S), taker, REGISTRY, id, expected];
        let batch = vec![(&self.own.instances.retake, values)];
        self.client.conditional(Kind::TakeOver, batch).await.and_then(verdict)
    }

    /// Renews a claim until it is lost, or nothing comes of it.
    async fn keep_claim(&self, id: &Bytes, progress: &Progress) -> EngineError {
        loop {
            tokio::time::sleep(RENEW).await;
            if progress.stands_still(Instant::now()) {
                return EngineError::Unavailable("there was no progress".to_owned());
            }
            match self.retake(id, Bind::Blob(self.taker.clone())).await {
                Ok(Verdict::Applied) => {}
                Ok(Verdict::Refused(_)) => return lost(),
                // It lasts longer than until the next attempt.
                Err(failure) => tracing::debug!(?failure, "a claim was not renewed"),
            }
        }
    }

    /// Gives a claim back, if it is still this process's: the next attempt, whoever makes it, need not wait for its end.
    async fn release(&self, id: &Bytes) {
        if let Err(failure) = self.retake(id, Bind::Null).await {
            tracing::debug!(?failure, "a claim was not given back; it ends by itself");
        }
    }

    async fn take_over(&self, id: &Bytes, progress: &Progress) -> EngineResult<()> {
        // Its last heartbeat is final since the fence.
        let seen = self.instances(Freshness::Serial).await?;
        let last = seen.into_iter().find(|seen| seen.id == *id).ok_or_else(lost)?.last()?;
        let mut partitions = 0_usize;
        for bucket in 0..BUCKETS {
            partitions += self.take_bucket(id, bucket, last, progress).await?;
        }
        for bucket in 0..BUCKETS {
            let stamp = Bind::Big(self.timestamp_after_all());
            let values = vec![stamp, Bind::Blob(id.clone()), Bind::Small(bucket)];
            let statement = &self.own.instances.unmark;
            let removing = self.client.run(Kind::TakeOver, statement, Freshness::Quorum, values);
            removing.await.map_err(Failure::error)?;
            progress.goes_on();
        }
        let values = vec![REGISTRY, Bind::Blob(id.clone()), Bind::Blob(self.taker.clone())];
        let batch = vec![(&self.own.instances.remove_taken, values)];
        let answer = self.client.conditional(Kind::TakeOver, batch).await.and_then(verdict);
        match answer.map_err(Failure::error)? {
            Verdict::Applied => {
                tracing::info!(instance = ?id, partitions, "took over from a process that died");
                Ok(())
            }
            Verdict::Refused(_) => Err(lost()),
        }
    }

    /// Sees to the partitions of one bucket, up to the version `last`. Returns how many there were.
    async fn take_bucket(
        &self,
        id: &Bytes,
        bucket: i16,
        last: i64,
        progress: &Progress,
    ) -> EngineResult<usize> {
        let read = BoundRead {
            statement: &self.own.instances.marks,
            freshness: Freshness::Quorum,
            may_be_given_up: false,
            values: vec![Bind::Blob(id.clone()), Bind::Small(bucket)],
        };
        let mut state = PagingState::start();
        let mut count = 0;
        loop {
            let page = self.client.page(Kind::TakeOver, &read, MARKS_PAGE, state).await;
            let (rows, next) = page.map_err(Failure::error)?;
            progress.goes_on();
            let mut marks = Vec::new();
            for row in rows.rows::<(i64, i64, Bytes, Option<i64>)>().map_err(corrupt)? {
                let (space, incarnation, part, since) = row.map_err(corrupt)?;
                let space = (incarnation != 0).then(|| SpaceId(number(space)));
                let table = TableName { space, incarnation };
                marks.push(Mark { table, part, since: since.unwrap_or(0) });
            }
            count += marks.len();
            stream::iter(marks)
                .map(async |mark: Mark| {
                    self.finish_partition(mark.table, &mark.part, mark.since, last).await?;
                    progress.goes_on();
                    Ok::<_, EngineError>(())
                })
                .buffer_unordered(PARTITIONS_AT_ONCE)
                .try_collect::<()>()
                .await?;
            match next.into_paging_control_flow() {
                std::ops::ControlFlow::Continue(more) => state = more,
                std::ops::ControlFlow::Break(()) => return Ok(count),
            }
        }
    }

    /// Decides and finishes all commits of a partition whose versions are from `since` to `last`.
    pub(crate) async fn finish_partition(
        &self,
        name: TableName,
        part: &Bytes,
        since: i64,
        last: i64,
    ) -> EngineResult<()> {
        let Some(table) = self.table_named(name).await? else { return Ok(()) };
        match self.finish_in(&table, part, since, last).await {
            Ok(()) => Ok(()),
            // Its traces went with the space, if that was dropped.
            Err(error) => match self.table_of(name).await? {
                None => Ok(()),
                Some(_) => Err(error),
            },
        }
    }

    async fn finish_in(
        &self,
        table: &Table,
        part: &Bytes,
        since: i64,
        last: i64,
    ) -> EngineResult<()> {
        self.pass(table, part, last, self.deadline()).await?;
        let [from, to] = [since, last].map(|version| Bind::Blob(trace_sort(version)));
        let lane = Bind::Small(TRACE_LANE);
        // All that can be there is decided, and known to every quorum, once the clock is past it.
        let read = BoundRead {
            statement: &table.traces,
            freshness: Freshness::Quorum,
            may_be_given_up: false,
            values: vec![Bind::Blob(part.clone()), lane, from, to],
        };
        let mut state = PagingState::start();
        loop {
            let page = self.client.page(Kind::TakeOver, &read, TRACES_PAGE, state).await;
            let (rows, next) = page.map_err(Failure::error)?;
            for row in rows.rows::<(Option<i64>, Option<Bytes>)>().map_err(corrupt)? {
                let (version, trace) = row.map_err(corrupt)?;
                let missing = || corrupt("a trace without a version or a value");
                let version = version.ok_or_else(missing)?;
                let trace = Trace::decode(trace.ok_or_else(missing)?)?;
                if self.clock.age(version) > LATE_MAX && !trace.derived.is_empty() {
                    let name = table.name;
                    tracing::error!(?name, ?part, version, "derived rows are too late to write");
                    continue;
                }
                self.finish_trace(table, part, version, &trace).await?;
            }
            match next.into_paging_control_flow() {
                std::ops::ControlFlow::Continue(more) => state = more,
                std::ops::ControlFlow::Break(()) => return Ok(()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_stands_still_when_nothing_was_done_for_a_while() {
        let progress = Progress::begun();
        let begun = *progress.0.lock();
        let late = begun + STILL_MAX;
        assert!(!progress.stands_still(begun) && progress.stands_still(late));
        while *progress.0.lock() == begun {
            progress.goes_on();
        }
        assert!(!progress.stands_still(late));
    }
}
