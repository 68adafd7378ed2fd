//! Commits: one conditional batch on one partition.
//!
//! # The header row
//!
//! Each partition has a header row (lane -1) whose version is the partition's clock. Every commit's batch sets
//! it under the condition that it was behind:
//!
//! ```text
//! BEGIN UNLOGGED BATCH
//!   UPDATE … SET version = 71 … lane = -1       IF version < 71;    -- or = null, where there is none yet
//!   UPDATE … SET version = 71, value = … lane 0 IF version = 64;    -- Expect::At(64), put
//!   UPDATE … SET version = 71, value = … lane 1;                    -- a mutation without an expectation
//!   UPDATE … SET checked = (unset) … lane 0     IF version = null;  -- Expect::Absent, nothing changed
//! APPLY BATCH
//! ```
//!
//! So whatever the clocks of nodes say, versions grow within a partition, rows that were deleted and made again
//! included; a node whose clock is behind is refused once, learns the partition's clock and goes past it.
//! A deleted row needs no marker of its own. A header that a commit without puts writes ends by itself after
//! [`HEADER_AFTER_DELETION_S`](crate::plan::HEADER_AFTER_DELETION_S), so that partitions without rows leave nothing
//! for ever; by then every clock has passed it.
//!
//! The header also decides what became of a commit whose answer did not come ([`crate::settle`]).
//!
//! # A round
//!
//! One batch is made of all commits that wait for the partition ([`crate::queue`]): mark the partition, if there are
//! derived rows ([`crate::marks`]); take a version, with places in the change log ([`crate::reserve`]); send; then do
//! what follows from it, beside the next round ([`crate::relay`]).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use tokio::time::Instant;
use zenobe_storage::{
    Commit, EngineError, EngineResult, Mutation, Outcome, Position, ShardId, Version,
};

use crate::client::Failure;
use crate::core::{Core, HeaderOf, Verdict, room_of, verdict};
use crate::figures::Kind;
use crate::plan::{Plan, check_reach, check_sizes, trace_sort, version_of};
use crate::queue::Group;
use crate::relay::{Left, Unfinished};
use crate::reserve::Reserved;
use crate::schema::{HEADER_LANE, Table};
use crate::settle::{Sent, Settled};
use crate::token::token;
use crate::trace::{Derived, Trace};

/// Why a commit on one table gave up.
#[derive(Clone, Debug)]
pub(crate) enum Stop {
    /// The server refused the statement: the table may be gone. Nothing happened.
    Refused(String),
    Error(EngineError),
}

impl From<EngineError> for Stop {
    fn from(error: EngineError) -> Self {
        Self::Error(error)
    }
}

/// A version for a round, or why there is none.
enum Placed {
    At(i64),
    /// A clock was ahead, or a heartbeat was due. Another attempt may do.
    Again,
    Closed(ShardId),
}

const fn committed(version: i64) -> Outcome {
    let version = version.cast_unsigned();
    Outcome::Committed { position: Position(version), version: Version(version) }
}

impl Core {
    pub(crate) async fn commit(self: &Arc<Self>, commit: Commit) -> EngineResult<Outcome> {
        self.check_open()?;
        let bytes = check_sizes(&commit)?;
        check_reach(&commit)?;
        let (plan, derived) = match Plan::of(commit, bytes) {
            Ok(planned) => planned,
            Err(key) => return Ok(Outcome::Conflict { key, current: None }),
        };
        let mut plan = plan.deriving(self.resolve(derived).await?);
        if plan.is_empty() {
            return Ok(committed(self.next_version()?));
        }
        let table = match plan.space {
            Some(space) => self.table(space).await?,
            None => {
                plan.part = trace_sort(self.next_version()?);
                Arc::clone(&self.anchors)
            }
        };
        let plan = Arc::new(plan);
        let deadline = self.deadline();
        let text = match self.ask(&table, &plan, deadline).await {
            Ok(outcome) => return Ok(outcome),
            Err(Stop::Error(error)) => return Err(error),
            Err(Stop::Refused(text)) => text,
        };
        let table = self.table_after_refusal(&table, text).await?;
        match self.ask(&table, &plan, deadline).await {
            Ok(outcome) => Ok(outcome),
            Err(Stop::Error(error)) => Err(error),
            Err(Stop::Refused(text)) => Err(EngineError::Unavailable(text)),
        }
    }

    /// Derived rows with the tables where they go; without those of dropped spaces.
    async fn resolve(&self, derived: Vec<Mutation>) -> EngineResult<Vec<Derived>> {
        let mut rows = Vec::with_capacity(derived.len());
        for mutation in derived {
            match self.table(mutation.key.space).await {
                Ok(table) => rows.push(Derived::of(table.name, mutation)),
                Err(EngineError::NoSpace(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(rows)
    }

    /// One attempt for a group. Those for which it brings an answer are not in the group any more afterwards.
    /// `ended` is whether the partition's clock is known to be missing.
    pub(crate) async fn round(
        self: &Arc<Self>,
        table: &Arc<Table>,
        part: &Bytes,
        group: &mut Group,
        ended: &mut bool,
    ) {
        let Err(error) = self.attempt(table, part, group, ended).await else { return };
        let is_overloaded = matches!(error, Stop::Error(EngineError::Overloaded(_)));
        let reply = Err(error);
        // A round waits as long as the first of the group does; the others have time left.
        if !(is_overloaded && group.answer_late(Instant::now(), &reply)) {
            group.answer_all(&reply);
        }
    }

    async fn attempt(
        self: &Arc<Self>,
        table: &Arc<Table>,
        part: &Bytes,
        group: &mut Group,
        ended: &mut bool,
    ) -> Result<(), Stop> {
        self.check_open()?;
        let unfinished = self.prepare(table, part, group).await?;
        let version = match self.place(table, part, group, unfinished.as_ref()).await? {
            Placed::At(version) => version,
            Placed::Again => return Ok(()),
            Placed::Closed(shard) => {
                group.answer_closed(shard);
                return Ok(());
            }
        };
        let header = HeaderOf::Partition(table.name, token(part));
        let known = !*ended && (group.merged.expects_a_row() || self.header_is_known(&header));
        let trace = group.merged.trace();
        let encoded = trace.as_ref().map(Trace::encode);
        let statements = group.merged.statements(table, part, version, known, encoded.as_ref());
        let answer = self.client.conditional(Kind::Commit, statements).await;
        let settled = match answer.and_then(verdict) {
            Ok(Verdict::Applied) => Settled::Happened,
            Ok(Verdict::Refused(rows)) => {
                let clock = version_of(&rows, HEADER_LANE, b"");
                *ended = clock.is_none();
                self.learn_header(header, clock);
                self.void_records(group.merged.shards(), version).await;
                group.answer_some(|plan| plan.judge(&rows).map(Ok));
                if group.len() > 0 {
                    self.client.counters.repeated.fetch_add(1, Ordering::Relaxed);
                }
                return Ok(());
            }
            Err(Failure::Unclear(text)) => {
                tracing::debug!(text, "a commit without an answer");
                let generation = unfinished.as_ref().map(|held| held.generation.as_ref());
                let (merged, trace) = (&group.merged, trace.as_ref());
                let sent = Sent { table, part, version, merged, trace, generation };
                Box::pin(self.settle(&sent)).await
            }
            Err(failure) => {
                self.void_records(group.merged.shards(), version).await;
                return Err(match failure {
                    Failure::Refused(text) => Stop::Refused(text),
                    failure => Stop::Error(failure.error()),
                });
            }
        };
        let left = Left { table: Arc::clone(table), part: part.clone(), version, unfinished };
        match settled {
            Settled::Happened => {
                *ended = false;
                self.learn_header(header, Some(version));
                self.happened(left, trace, group);
            }
            Settled::DidNot => self.void_records(group.merged.shards(), version).await,
            Settled::CannotTell => self.unknown(left, group),
        }
        Ok(())
    }

    /// What commits with derived rows need beforehand: room to remember them, and a mark in the cluster.
    async fn prepare(
        &self,
        table: &Table,
        part: &Bytes,
        group: &Group,
    ) -> Result<Option<Unfinished>, Stop> {
        if !group.merged.derives() {
            return Ok(None);
        }
        let bytes = u32::try_from(group.merged.bytes()).unwrap_or(u32::MAX);
        let max = self.options.unfinished_bytes_max;
        let room = Arc::clone(&self.room).acquire_many_owned(room_of(bytes.min(max)));
        let deadline = group.deadline().unwrap_or_else(|| self.deadline());
        let Ok(Ok(room)) = tokio::time::timeout_at(deadline, room).await else {
            let text = "too many derived rows are not written yet".to_owned();
            return Err(Stop::Error(EngineError::Overloaded(text)));
        };
        let generation = self.mark(table.name, part).await?;
        Ok(Some(Unfinished { generation, _room: room }))
    }

    /// A version for a round, with its places in the change log taken.
    async fn place(
        self: &Arc<Self>,
        table: &Table,
        part: &Bytes,
        group: &Group,
        unfinished: Option<&Unfinished>,
    ) -> Result<Placed, Stop> {
        let version = self.next_version()?;
        if !self.may_use(version, unfinished).await? {
            return Ok(Placed::Again);
        }
        let records = group.merged.records();
        if records.is_empty() {
            return Ok(Placed::At(version));
        }
        let deadline = group.deadline().unwrap_or_else(|| self.deadline());
        match self.reserve_records(records, table.name, part, deadline).await? {
            Reserved::Taken(version) => {
                let may_use = self.may_use(version, unfinished).await;
                if !matches!(may_use, Ok(true)) {
                    self.void_records(group.merged.shards(), version).await;
                }
                Ok(if may_use? { Placed::At(version) } else { Placed::Again })
            }
            Reserved::Closed(shard) => Ok(Placed::Closed(shard)),
            Reserved::Behind => Ok(Placed::Again),
        }
    }

    /// Whether a commit may have this version: one with derived rows only if the instance's heartbeat covers it.
    /// If it does not, there is another heartbeat when this returns.
    async fn may_use(&self, version: i64, unfinished: Option<&Unfinished>) -> EngineResult<bool> {
        let Some(Unfinished { generation, .. }) = unfinished else { return Ok(true) };
        let covered = generation.instance.covers(version, self.clock.wall_ms());
        if !covered {
            self.beat(&generation.instance).await?;
        }
        Ok(covered)
    }

    /// Answers the commits of a batch that happened, once what follows from it is done. The partition's next
    /// round does not wait for that.
    fn happened(self: &Arc<Self>, left: Left, trace: Option<Trace>, group: &mut Group) {
        let merged = u64::try_from(group.len().saturating_sub(1)).unwrap_or(0);
        self.client.counters.merged.fetch_add(merged, Ordering::Relaxed);
        let reply = Ok(committed(left.version));
        let Some(trace) = trace else {
            group.answer_all(&reply);
            return;
        };
        let members = group.take_all();
        let answer = move || {
            for member in members {
                member.answer(reply.clone());
            }
        };
        tokio::spawn(Arc::clone(self).see_through(left, trace, answer));
    }

    /// Answers commits of which nobody knows whether they happened. Their derived rows must come if they did.
    fn unknown(self: &Arc<Self>, left: Left, group: &mut Group) {
        let count = u64::try_from(group.len()).unwrap_or(0);
        self.client.counters.unknown.fetch_add(count, Ordering::Relaxed);
        group.answer_all(&Ok(Outcome::Unknown));
        if left.unfinished.is_some() {
            tokio::spawn(Arc::clone(self).find_out(left));
        }
    }
}
