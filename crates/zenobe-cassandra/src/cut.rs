//! Cuts of the change log: shards are closed for good and others opened, while any number of processes write.
//!
//! A shard is closed by a flag in the row of its clock, set by a conditional update: taking a place needs the flag
//! to be missing. So a shard's clock does not move any more once it is closed, and every record of it is at or
//! before that. The largest clock of the closed shards is the cut. A shard is opened by setting its clock to the
//! cut, if it was behind; positions there are larger, therefore.
//!
//! What of a commit that took a place in a shard before that was closed, and is still under way? If it comes,
//! its record is at its place, before the cut, and a reader of the closed shard waits for it. But it must not come
//! *after* a commit on the same partition with a record in an opened shard: then the order of the records would
//! not be that of the changes. It cannot: that other commit has a version behind the cut, so the partition's clock
//! is behind the cut, and refuses the older version. The commit goes again, finds the shard closed, and says so.

use zenobe_storage::{EngineError, EngineResult, Position, ShardId};

use crate::client::{Bind, Failure, Freshness};
use crate::core::{Core, HeaderOf, Verdict, verdict};
use crate::figures::Kind;
use crate::log::shard_column;

/// How often a step is tried when its answer is unclear, or when others take places meanwhile.
const ATTEMPTS: u32 = 10;

impl Core {
    /// The clock of a shard, if it has one.
    pub(crate) async fn shard_clock(&self, shard: ShardId) -> EngineResult<Option<i64>> {
        let values = vec![shard_column(shard)];
        let clock = &self.own.log.clock;
        let answer = self.client.run(Kind::LogRead, clock, Freshness::Serial, values).await;
        let Some(rows) = answer.map_err(Failure::error)? else { return Ok(None) };
        let row = rows
            .maybe_first_row::<(Option<i64>,)>()
            .map_err(|error| EngineError::Corrupt(error.to_string()))?;
        Ok(row.and_then(|(clock,)| clock))
    }

    pub(crate) async fn log_end(&self, shard: ShardId) -> EngineResult<Position> {
        self.check_open()?;
        Ok(Position(self.shard_clock(shard).await?.unwrap_or(0).cast_unsigned()))
    }

    pub(crate) async fn log_cut(
        &self,
        close: Vec<ShardId>,
        open: Vec<ShardId>,
    ) -> EngineResult<Position> {
        self.check_open()?;
        let mut cut = 0;
        for shard in close {
            cut = cut.max(self.close_shard(shard).await?);
        }
        for shard in open {
            self.open_shard(shard, cut).await?;
        }
        self.clock.meet(cut);
        Ok(Position(cut.cast_unsigned()))
    }

    /// Closes a shard, unless it is closed, and returns its last clock.
    async fn close_shard(&self, shard: ShardId) -> EngineResult<i64> {
        for _ in 0..ATTEMPTS {
            let batch = vec![(&self.own.log.close, vec![shard_column(shard)])];
            match self.client.conditional(Kind::LogMark, batch).await.and_then(verdict) {
                // Refused is one that is closed.
                Ok(Verdict::Applied | Verdict::Refused(_)) => {
                    return Ok(self.shard_clock(shard).await?.unwrap_or(0));
                }
                Err(Failure::Unclear(_)) => {}
                Err(failure) => return Err(failure.error()),
            }
        }
        Err(EngineError::Unavailable("a shard could not be closed".to_owned()))
    }

    /// Sees to it that a shard's clock is at the cut or after it.
    async fn open_shard(&self, shard: ShardId, cut: i64) -> EngineResult<()> {
        let header = HeaderOf::Shard(shard);
        for _ in 0..ATTEMPTS {
            let known = self.header_is_known(&header);
            let log = &self.own.log;
            let (statement, expected) = if known {
                (&log.clock_later, Bind::Big(cut))
            } else {
                (&log.clock_new, Bind::Null)
            };
            let batch = vec![(statement, vec![Bind::Big(cut), shard_column(shard), expected])];
            match self.client.conditional(Kind::LogMark, batch).await.and_then(verdict) {
                Ok(Verdict::Applied) => {
                    self.learn_header(header, Some(cut));
                    return Ok(());
                }
                Ok(Verdict::Refused(rows)) => {
                    let clock = rows.iter().find_map(|row| row.big("clock"));
                    self.learn_header(header, clock);
                    // One that is ahead, or was closed since, is what it should be.
                    let closed = rows.iter().any(|row| row.flag("closed") == Some(true));
                    if closed || clock.is_some_and(|clock| clock >= cut) {
                        return Ok(());
                    }
                }
                Err(Failure::Unclear(_)) => {}
                Err(failure) => return Err(failure.error()),
            }
        }
        Err(EngineError::Unavailable("a shard could not be opened".to_owned()))
    }
}
