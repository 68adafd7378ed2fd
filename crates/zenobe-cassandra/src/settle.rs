//! What became of a commit whose answer did not come.
//!
//! The partition's clock decides it: once the header is past the commit's version, the commit cannot happen any
//! more. [`Core::pass`] sees to that. If it is this that moved the header past the version, the commit did not
//! happen; if the header is at the version, it did. If others were faster, [`Core::settle`] looks for what the
//! commit would have left.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use zenobe_storage::{EngineError, EngineResult, Expect};

use crate::client::{Bind, Failure, Freshness};
use crate::core::{Core, Verdict, verdict};
use crate::figures::Kind;
use crate::marks::Generation;
use crate::plan::{HEADER_AFTER_DELETION_S, Merged, header_values, stored, trace_sort};
use crate::schema::{HEADER_LANE, TRACE_LANE, Table};
use crate::trace::Trace;

/// How long finding out what became of a commit may take.
const SETTLE_MAX: Duration = Duration::from_secs(8);

/// How a commit without an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    Happened,
    /// It did not and never will.
    DidNot,
    CannotTell,
}

/// How a partition's clock came past a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    /// It was behind, so that the commit with the version had not happened, and was moved.
    Prevented,
    /// It was found there.
    Found(i64),
}

/// A commit that was sent.
pub(crate) struct Sent<'a> {
    pub(crate) table: &'a Table,
    pub(crate) part: &'a Bytes,
    pub(crate) version: i64,
    pub(crate) merged: &'a Merged,
    pub(crate) trace: Option<&'a Trace>,
    /// The mark that it relies on.
    pub(crate) generation: Option<&'a Generation>,
}

impl Core {
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
    pub(crate) async fn pass(
        &self,
        table: &Table,
        part: &Bytes,
        version: i64,
        deadline: Instant,
    ) -> EngineResult<Passed> {
        let mut wait_ms = 20;
        let mut tried = Vec::new();
        while Instant::now() < deadline {
            let found = match self.decided_version(table, part, HEADER_LANE, Bytes::new()).await {
                Ok(Some(header)) if tried.contains(&header) => return Ok(Passed::Prevented),
                Ok(Some(header)) if header >= version => return Ok(Passed::Found(header)),
                Ok(found) => found,
                Err(failure @ Failure::Refused(_)) => return Err(failure.error()),
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
                return Ok(Passed::Prevented);
            }
            tried.push(later);
        }
        Err(EngineError::Unavailable("what became of a commit was not found in time".to_owned()))
    }

    /// Finds out what became of a commit whose answer did not come, and makes sure that it stays so.
    pub(crate) async fn settle(&self, sent: &Sent<'_>) -> Settled {
        let deadline = Instant::now() + SETTLE_MAX;
        let settled = match self.pass(sent.table, sent.part, sent.version, deadline).await {
            Ok(Passed::Prevented) => Settled::DidNot,
            Ok(Passed::Found(header)) if header == sent.version => Settled::Happened,
            Ok(Passed::Found(_)) => self.look(sent).await.unwrap_or(Settled::CannotTell),
            Err(_) => Settled::CannotTell,
        };
        if settled != Settled::CannotTell {
            self.client.counters.settled.fetch_add(1, Ordering::Relaxed);
        }
        settled
    }

    /// Looks for what a commit left. Its partition's clock is past it.
    async fn look(&self, sent: &Sent<'_>) -> Result<Settled, Failure> {
        let Sent { table, part, version, merged, trace, .. } = sent;
        if let Some(trace) = trace
            && let Some(settled) = self.look_for_trace(sent, trace).await?
        {
            return Ok(settled);
        }
        for ((lane, sort), row) in &merged.rows {
            let found = self.decided_version(table, part, *lane, sort.clone()).await?;
            let written = matches!(row.change, Some(Some(_)));
            if written && found == Some(*version) {
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

    async fn look_for_trace(
        &self,
        sent: &Sent<'_>,
        trace: &Trace,
    ) -> Result<Option<Settled>, Failure> {
        let sort = trace_sort(sent.version);
        if self.decided_version(sent.table, sent.part, TRACE_LANE, sort).await?.is_some() {
            return Ok(Some(Settled::Happened));
        }
        // Who else can have finished it? For records their readers, who left them done then.
        if let Some(shard) = trace.shards.first() {
            return Ok(match self.marker_state(*shard, sent.version).await? {
                Some(true) => Some(Settled::Happened),
                Some(false) => Some(Settled::DidNot),
                // A reader has removed it, or has published it and somebody trimmed it since.
                None => None,
            });
        }
        // For derived rows only a process that took over from this one.
        let lives = |generation: &Generation| generation.instance.lives(self.clock.wall_ms());
        Ok(sent.generation.is_some_and(lives).then_some(Settled::DidNot))
    }
}
