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
//!   DELETE checked … lane 0                     IF version = null;  -- Expect::Absent, nothing changed
//! APPLY BATCH
//! ```
//!
//! So whatever the clocks of nodes say, versions grow within a partition, rows that were deleted and made again
//! included; a node whose clock is behind is refused once, learns the partition's clock and goes past it.
//! A deleted row needs no marker of its own. A header that a commit without puts writes ends by itself after
//! [`HEADER_AFTER_DELETION_S`], so that partitions without rows leave nothing for ever; by then every clock has
//! passed it.
//!
//! The header also decides what became of a commit whose answer did not come: once the header is past its
//! version, it cannot happen any more. [`Core::settle`] sees to that and then looks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use scylla::statement::prepared::PreparedStatement;
use tokio::time::Instant;
use zenobe_storage::{
    Commit, EngineError, EngineResult, Expect, Key, Outcome, PARTITION_BYTES_MAX, Position,
    Precondition, SORT_BYTES_MAX, ShardId, SpaceId, Version,
};

use crate::client::{Bind, Failure, Freshness};
use crate::core::{Conditioned, Core, HeaderOf, Verdict, verdict};
use crate::figures::Kind;
use crate::log::{Reserved, encode_records, encode_shards};
use crate::schema::{HEADER_LANE, TRACE_LANE, Table};
use crate::token::token;

/// The longest value. Cassandra's comfort ends far below; DynamoDB's largest item fits twice.
pub(crate) const VALUE_BYTES_MAX: usize = 2 << 20;
/// The largest commit. Cassandra takes a mutation of half a commit log segment, 16 MiB by default.
pub(crate) const COMMIT_BYTES_MAX: usize = 12 << 20;
/// For how long a partition without rows keeps its clock: no clock may be wrong by more.
pub(crate) const HEADER_AFTER_DELETION_S: i32 = 86_400;
/// How many statements one batch may have.
const STATEMENTS_MAX: usize = 10_000;
/// How long finding out what became of a commit may take.
const SETTLE_MAX: Duration = Duration::from_secs(8);

/// What a commit does with one row.
#[derive(Debug, Default)]
struct RowPlan {
    expect: Option<Expect>,
    /// `Some(None)` deletes.
    change: Option<Option<Bytes>>,
}

/// A commit, sorted by rows of its one partition.
pub(crate) struct Plan {
    /// `None` where the commit names no key.
    space: Option<SpaceId>,
    part: Bytes,
    rows: BTreeMap<(i16, Bytes), RowPlan>,
    preconditions: Vec<Precondition>,
    pub(crate) records: BTreeMap<ShardId, Bytes>,
}

/// How a commit without an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Settled {
    Happened,
    /// It did not and never will.
    DidNot,
    CannotTell,
}

/// Why a commit on one table gave up.
enum Stop {
    /// The server refused the statement: the table may be gone. Nothing happened.
    Refused(String),
    Error(EngineError),
}

impl From<EngineError> for Stop {
    fn from(error: EngineError) -> Self {
        Self::Error(error)
    }
}

fn keys(commit: &Commit) -> impl Iterator<Item = &Key> {
    let expected = commit.preconditions.iter().map(|precondition| &precondition.key);
    expected.chain(commit.mutations.iter().map(|mutation| &mutation.key))
}

fn check_sizes(commit: &Commit) -> EngineResult<()> {
    let mut total = 0_usize;
    for key in keys(commit) {
        if key.partition.len() > PARTITION_BYTES_MAX || key.sort.len() > SORT_BYTES_MAX {
            let (partition, sort) = (key.partition.len(), key.sort.len());
            let text = format!("a key of {partition} partition and {sort} sort bytes");
            return Err(EngineError::TooLarge(text));
        }
        // Every statement carries the partition.
        total += key.partition.len() + key.sort.len();
    }
    for value in commit.mutations.iter().filter_map(|mutation| mutation.value.as_ref()) {
        if value.len() > VALUE_BYTES_MAX {
            return Err(EngineError::TooLarge(format!("a value of {} bytes", value.len())));
        }
        total += value.len();
    }
    total += commit.records.iter().map(|record| record.payload.len()).sum::<usize>();
    let statements = commit.preconditions.len() + commit.mutations.len();
    if total > COMMIT_BYTES_MAX || statements > STATEMENTS_MAX {
        let text = format!("a commit of {statements} rows and {total} bytes");
        return Err(EngineError::TooLarge(text));
    }
    Ok(())
}

fn check_reach(commit: &Commit) -> EngineResult<()> {
    if !commit.derived.is_empty() {
        return Err(EngineError::Unsupported("derived rows"));
    }
    let mut keys = keys(commit);
    let Some(first) = keys.next() else { return Ok(()) };
    if keys.all(|key| key.space == first.space && key.partition == first.partition) {
        Ok(())
    } else {
        Err(EngineError::Unsupported("a commit over several partitions"))
    }
}

const fn stored(version: Version) -> i64 {
    // No version that was ever given is negative, so none that is too large matches one.
    version.0.cast_signed()
}

impl Plan {
    /// Sorts a commit. `Err` is a key of which it expects two things at once.
    fn of(commit: Commit) -> Result<Self, Key> {
        let mut space = None;
        let mut part = Bytes::new();
        let mut rows: BTreeMap<(i16, Bytes), RowPlan> = BTreeMap::new();
        for precondition in &commit.preconditions {
            let key = &precondition.key;
            (space, part) = (Some(key.space), key.partition.clone());
            let row = rows.entry((i16::from(key.lane.0), key.sort.clone())).or_default();
            if row.expect.is_some_and(|expect| expect != precondition.expect) {
                return Err(key.clone());
            }
            row.expect = Some(precondition.expect);
        }
        for mutation in commit.mutations {
            let key = mutation.key;
            (space, part) = (Some(key.space), key.partition);
            let row = rows.entry((i16::from(key.lane.0), key.sort)).or_default();
            row.change = Some(mutation.value);
        }
        let records = encode_records(commit.records);
        Ok(Self { space, part, rows, preconditions: commit.preconditions, records })
    }

    fn puts(&self) -> bool {
        self.rows.values().any(|row| matches!(row.change, Some(Some(_))))
    }

    /// Whether the partition surely had rows, if the expectations hold.
    fn expects_a_row(&self) -> bool {
        self.rows.values().any(|row| matches!(row.expect, Some(Expect::At(_))))
    }

    fn statements<'t>(
        &self,
        table: &'t Table,
        part: &Bytes,
        version: i64,
        header_known: bool,
    ) -> Vec<(&'t PreparedStatement, Vec<Bind>)> {
        let mut statements = Vec::with_capacity(self.rows.len() + 2);
        let ttl = if self.puts() { 0 } else { HEADER_AFTER_DELETION_S };
        let header = if header_known { Some(version) } else { None };
        let statement = if header_known { &table.header_later } else { &table.header_new };
        statements.push((statement, header_values(ttl, version, part, header)));
        for ((lane, sort), row) in &self.rows {
            let place = [Bind::Blob(part.clone()), Bind::Small(*lane), Bind::Blob(sort.clone())];
            let expected = row.expect.map(|expect| match expect {
                Expect::Absent => Bind::Null,
                Expect::At(version) => Bind::Big(stored(version)),
            });
            let statement = match (&row.change, &expected) {
                (Some(Some(_)), Some(_)) => &table.put_if,
                (Some(Some(_)), None) => &table.put,
                (Some(None), Some(_)) => &table.delete_if,
                (Some(None), None) => &table.delete,
                (None, _) => &table.check,
            };
            let mut values = Vec::with_capacity(6);
            if let Some(Some(value)) = &row.change {
                values.extend([Bind::Big(version), Bind::Blob(value.clone())]);
            }
            values.extend(place);
            values.extend(expected);
            statements.push((statement, values));
        }
        if !self.records.is_empty() {
            let values = vec![
                Bind::Big(version),
                Bind::Blob(encode_shards(self.records.keys())),
                Bind::Blob(part.clone()),
                Bind::Small(TRACE_LANE),
                Bind::Blob(trace_sort(version)),
            ];
            statements.push((&table.put, values));
        }
        statements
    }

    /// The first precondition that these conditioned rows contradict.
    fn judge(&self, rows: &[Conditioned]) -> Option<Outcome> {
        self.preconditions.iter().find_map(|precondition| {
            let key = &precondition.key;
            let current = version_of(rows, i16::from(key.lane.0), &key.sort);
            let holds = match precondition.expect {
                Expect::Absent => current.is_none(),
                Expect::At(version) => current == Some(stored(version)),
            };
            // The batch tells versions, not values; that there is no row it does tell.
            let current = current.is_none().then_some(None);
            (!holds).then(|| Outcome::Conflict { key: key.clone(), current })
        })
    }
}

fn version_of(rows: &[Conditioned], lane: i16, sort: &[u8]) -> Option<i64> {
    let there =
        |row: &&Conditioned| row.small("lane") == Some(lane) && row.blob("sort") == Some(sort);
    rows.iter().find(there).and_then(|row| row.big("version"))
}

fn header_values(ttl: i32, version: i64, part: &Bytes, expected: Option<i64>) -> Vec<Bind> {
    vec![
        Bind::Int(ttl),
        Bind::Big(version),
        Bind::Blob(part.clone()),
        Bind::Small(HEADER_LANE),
        Bind::Blob(Bytes::new()),
        Bind::from(expected),
    ]
}

/// The sort bytes of a commit's trace.
pub(crate) fn trace_sort(version: i64) -> Bytes {
    Bytes::copy_from_slice(&version.to_be_bytes())
}

fn committed(version: i64) -> Outcome {
    let version = version.cast_unsigned();
    Outcome::Committed { position: Position(version), version: Version(version) }
}

impl Core {
    pub(crate) async fn commit(&self, commit: Commit) -> EngineResult<Outcome> {
        self.check_open()?;
        check_sizes(&commit)?;
        check_reach(&commit)?;
        if commit.records.is_empty() && keys(&commit).next().is_none() {
            return Ok(committed(self.next_version()?));
        }
        let space = keys(&commit).next().map(|key| key.space);
        let table = match space {
            Some(space) => self.table(space).await?,
            None => Arc::clone(&self.anchors),
        };
        let plan = match Plan::of(commit) {
            Ok(plan) => plan,
            Err(key) => return Ok(Outcome::Conflict { key, current: None }),
        };
        let deadline = self.deadline();
        match Box::pin(self.commit_in(&table, &plan, deadline)).await {
            Ok(outcome) => Ok(outcome),
            Err(Stop::Error(error)) => Err(error),
            Err(Stop::Refused(text)) => {
                let table = self.table_after_refusal(&table, text).await?;
                match Box::pin(self.commit_in(&table, &plan, deadline)).await {
                    Ok(outcome) => Ok(outcome),
                    Err(Stop::Error(error)) => Err(error),
                    Err(Stop::Refused(text)) => Err(EngineError::Unavailable(text)),
                }
            }
        }
    }

    async fn commit_in(
        &self,
        table: &Table,
        plan: &Plan,
        deadline: Instant,
    ) -> Result<Outcome, Stop> {
        let anchor;
        let part = if plan.space.is_some() {
            &plan.part
        } else {
            anchor = trace_sort(self.next_version()?);
            &anchor
        };
        let header = HeaderOf::Partition(table.name, token(part));
        let turn = xxhash_rust::xxh3::xxh3_64(part);
        let _turn = self.partition_turns.take([turn].into_iter(), deadline).await?;
        let mut ended = false;
        while Instant::now() < deadline {
            let Some(version) = self.place(table, plan, part, deadline).await? else { continue };
            let known = !ended && (plan.expects_a_row() || self.header_is_known(&header));
            let statements = plan.statements(table, part, version, known);
            let answer = self.client.conditional(Kind::Commit, statements).await;
            let settled = match answer.and_then(verdict) {
                Ok(Verdict::Applied) => Settled::Happened,
                Ok(Verdict::Refused(rows)) => {
                    let clock = version_of(&rows, HEADER_LANE, b"");
                    ended = clock.is_none();
                    self.learn_header(header, clock);
                    self.void_records(&plan.records, version).await;
                    if let Some(conflict) = plan.judge(&rows) {
                        return Ok(conflict);
                    }
                    self.client.counters.repeated.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                Err(Failure::Refused(text)) => {
                    self.void_records(&plan.records, version).await;
                    return Err(Stop::Refused(text));
                }
                Err(Failure::Unavailable(text)) => {
                    self.void_records(&plan.records, version).await;
                    return Err(Stop::Error(EngineError::Unavailable(text)));
                }
                Err(Failure::Unclear(text)) => {
                    tracing::debug!(text, "a commit without an answer");
                    Box::pin(self.settle(table, plan, part, version)).await
                }
            };
            match settled {
                Settled::Happened => {
                    self.learn_header(header, Some(version));
                    self.publish(table, plan, part, version).await;
                    return Ok(committed(version));
                }
                Settled::DidNot => self.void_records(&plan.records, version).await,
                Settled::CannotTell => {
                    self.client.counters.unknown.fetch_add(1, Ordering::Relaxed);
                    return Ok(Outcome::Unknown);
                }
            }
        }
        Err(Stop::Error(EngineError::Unavailable("the commit took too long".to_owned())))
    }

    /// A version for an attempt, with its places in the change log taken. `None` when the log was ahead.
    async fn place(
        &self,
        table: &Table,
        plan: &Plan,
        part: &Bytes,
        deadline: Instant,
    ) -> Result<Option<i64>, Stop> {
        if plan.records.is_empty() {
            return Ok(Some(self.next_version()?));
        }
        let shards = plan.records.keys().map(|shard| shard.0);
        let _turns = self.shard_turns.take(shards, deadline).await?;
        let version = self.next_version()?;
        match self.reserve_records(&plan.records, version, table.name, part).await? {
            Reserved::Taken => Ok(Some(version)),
            Reserved::Behind => {
                self.client.counters.repeated.fetch_add(1, Ordering::Relaxed);
                Ok(None)
            }
        }
    }

    /// Makes a commit's records readable. Where that fails, the readers of the log do it.
    async fn publish(&self, table: &Table, plan: &Plan, part: &Bytes, version: i64) {
        if plan.records.is_empty() {
            return;
        }
        if self.mark_done(plan.records.keys().copied(), version).await {
            self.forget_trace(table, part, version).await;
        }
    }

    /// The version of a row, as all decided commits leave it.
    pub(crate) async fn decided_version(
        &self,
        table: &Table,
        part: &Bytes,
        lane: i16,
        sort: Bytes,
    ) -> Result<Option<i64>, Failure> {
        let values = vec![Bind::Blob(part.clone()), Bind::Small(lane), Bind::Blob(sort)];
        let answer = self.client.run(Kind::Settle, &table.get, Freshness::Serial, values).await?;
        let Some(rows) = answer else { return Ok(None) };
        let strange = |text: String| Failure::Unavailable(text);
        let row = rows
            .maybe_first_row::<(Option<i64>, Option<Bytes>)>()
            .map_err(|error| strange(error.to_string()))?;
        Ok(row.and_then(|(version, _)| version))
    }

    /// Sees to it that no commit with this version can happen in the partition any more, unless it has.
    /// Returns the header's version then.
    pub(crate) async fn pass(
        &self,
        table: &Table,
        part: &Bytes,
        version: i64,
        deadline: Instant,
    ) -> EngineResult<i64> {
        let mut wait_ms = 20;
        while Instant::now() < deadline {
            let found = match self.decided_version(table, part, HEADER_LANE, Bytes::new()).await {
                Ok(Some(header)) if header >= version => return Ok(header),
                Ok(found) => found,
                Err(failure @ Failure::Refused(_)) => return Err(failure.unavailable()),
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(wait_ms)).await;
                    wait_ms = (wait_ms * 2).min(1000);
                    continue;
                }
            };
            self.clock.meet(version);
            let later = self.next_version()?;
            let values = header_values(HEADER_AFTER_DELETION_S, later, part, found);
            let batch = vec![(&table.header_new, values)];
            let answer = self.client.conditional(Kind::Settle, batch).await;
            if matches!(answer.and_then(verdict), Ok(Verdict::Applied)) {
                return Ok(later);
            }
        }
        Err(EngineError::Unavailable("what became of a commit was not found in time".to_owned()))
    }

    /// Finds out what became of a commit whose answer did not come, and makes sure that it stays so.
    async fn settle(&self, table: &Table, plan: &Plan, part: &Bytes, version: i64) -> Settled {
        let deadline = Instant::now() + SETTLE_MAX;
        let settled = match self.pass(table, part, version, deadline).await {
            Ok(header) if header == version => Settled::Happened,
            Ok(_) => self.look(table, plan, part, version).await.unwrap_or(Settled::CannotTell),
            Err(_) => Settled::CannotTell,
        };
        if settled != Settled::CannotTell {
            self.client.counters.settled.fetch_add(1, Ordering::Relaxed);
        }
        settled
    }

    /// Looks for what a commit left. Its partition's clock is past it.
    async fn look(
        &self,
        table: &Table,
        plan: &Plan,
        part: &Bytes,
        version: i64,
    ) -> Result<Settled, Failure> {
        if let Some(shard) = plan.records.keys().next() {
            let sort = trace_sort(version);
            if self.decided_version(table, part, TRACE_LANE, sort).await?.is_some() {
                return Ok(Settled::Happened);
            }
            match self.marker_state(*shard, version).await? {
                Some(true) => return Ok(Settled::Happened),
                Some(false) => return Ok(Settled::DidNot),
                // A reader has removed it, or has published it and somebody trimmed it since.
                None => {}
            }
        }
        for ((lane, sort), row) in &plan.rows {
            let found = self.decided_version(table, part, *lane, sort.clone()).await?;
            let written = matches!(row.change, Some(Some(_)));
            if written && found == Some(version) {
                return Ok(Settled::Happened);
            }
            // It changes the row, so the row would not be what it was.
            if let (Some(_), Some(Expect::At(before))) = (&row.change, row.expect)
                && found == Some(stored(before))
            {
                return Ok(Settled::DidNot);
            }
        }
        Ok(Settled::CannotTell)
    }
}

#[cfg(test)]
mod tests {
    use zenobe_storage::{Lane, Mutation};

    use super::*;

    fn key(sort: &'static str) -> Key {
        Key {
            space: SpaceId(1),
            partition: Bytes::from_static(b"p"),
            lane: Lane::ITEM,
            sort: Bytes::from_static(sort.as_bytes()),
        }
    }

    fn put(sort: &'static str, value: Option<&'static str>) -> Mutation {
        let value = value.map(|value| Bytes::from_static(value.as_bytes()));
        Mutation { key: key(sort), value }
    }

    #[test]
    fn what_is_expected_and_changed_of_a_row_comes_together() {
        let preconditions = vec![
            Precondition { key: key("a"), expect: Expect::At(Version(5)) },
            Precondition { key: key("b"), expect: Expect::Absent },
            Precondition { key: key("b"), expect: Expect::Absent },
        ];
        let mutations = vec![put("a", Some("x")), put("c", None)];
        let Ok(plan) = Plan::of(Commit { preconditions, mutations, ..Commit::default() }) else {
            panic!("no contradiction")
        };
        assert_eq!(plan.rows.len(), 3);
        assert!(plan.puts() && plan.expects_a_row());
        assert_eq!(plan.part, Bytes::from_static(b"p"));
    }

    #[test]
    fn two_expectations_of_a_row_contradict_each_other() {
        let preconditions = vec![
            Precondition { key: key("a"), expect: Expect::At(Version(5)) },
            Precondition { key: key("a"), expect: Expect::Absent },
        ];
        let commit = Commit { preconditions, ..Commit::default() };
        assert_eq!(Plan::of(commit).err(), Some(key("a")));
    }

    #[test]
    fn a_commit_of_deletions_does_not_put() {
        let commit = Commit { mutations: vec![put("a", None)], ..Commit::default() };
        let Ok(plan) = Plan::of(commit) else { panic!("no contradiction") };
        assert!(!plan.puts() && !plan.expects_a_row());
    }

    #[test]
    fn keys_of_several_partitions_are_out_of_reach() {
        let other = Key { partition: Bytes::from_static(b"q"), ..key("a") };
        let commit = Commit {
            preconditions: vec![Precondition { key: other, expect: Expect::Absent }],
            mutations: vec![put("a", None)],
            ..Commit::default()
        };
        assert!(matches!(check_reach(&commit), Err(EngineError::Unsupported(_))));
    }
}
