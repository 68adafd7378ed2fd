//! Places in the change log, taken for all commits of the process that wait for the same shard.
//!
//! A place is a row at the commit's position, the commit's version. All places of a round are in one conditional
//! batch on the shard's partition, under the condition that the shard's clock is behind the first of them; then
//! it is at the last. So rows come into a shard in the order of their positions, whoever takes places, and
//! what a shard bears is rounds, not commits: processes that write to one shard refuse each other's rounds, and
//! each round that succeeds carries all that waited for it.
//!
//! Each shard that commits wait for has a queue and one task that serves it until the queue is empty, as partitions
//! have ([`crate::queue`]). A round that is refused is made again with later versions, by those that wait then.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use parking_lot::Mutex;
use scylla::statement::prepared::PreparedStatement;
use tokio::sync::oneshot;
use tokio::time::Instant;
use zenobe_storage::{EngineError, EngineResult, ShardId};

use crate::client::{Bind, Failure};
use crate::core::{Core, HeaderOf, Verdict, ordered, verdict};
use crate::figures::Kind;
use crate::log::shard_column;
use crate::schema::TableName;

/// How many places and bytes of records one round takes; a commit that has more bytes goes alone.
const PLACES_MAX: usize = 128;
const BYTES_MAX: usize = 1 << 20;

/// Whether the places of a commit were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reserved {
    /// At this version.
    Taken(i64),
    /// Not for every shard, and now for none. Another attempt may do.
    Behind,
    /// A shard is closed; none was taken.
    Closed(ShardId),
}

/// What became of a round.
enum Round {
    Taken,
    Behind,
    Closed,
}

/// What a commit puts at its place: where the commit is, and its records for the shard.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) table: TableName,
    pub(crate) part: Bytes,
    pub(crate) records: Bytes,
}

/// A commit that waits for its place.
struct Waiter {
    place: Place,
    reply: oneshot::Sender<EngineResult<Reserved>>,
}

/// The queues of all shards that commits wait for.
#[derive(Default)]
pub(crate) struct ShardQueues(Mutex<HashMap<ShardId, VecDeque<Waiter>>>);

impl ShardQueues {
    /// Puts a commit into a queue. Returns whether nobody serves it yet.
    fn put(&self, shard: ShardId, waiter: Waiter) -> bool {
        let mut queues = self.0.lock();
        if let Some(queue) = queues.get_mut(&shard) {
            queue.push_back(waiter);
            return false;
        }
        queues.insert(shard, VecDeque::from([waiter]));
        true
    }

    /// Takes out those that go in the next round, who waited longest first. With none the queue is gone.
    fn take(&self, shard: ShardId) -> Vec<Waiter> {
        let mut queues = self.0.lock();
        let Some(queue) = queues.get_mut(&shard) else { return Vec::new() };
        let (mut waiters, mut bytes) = (Vec::new(), 0);
        while let Some(waiter) = queue.pop_front() {
            // Whoever does not wait any more needs no place.
            if waiter.reply.is_closed() {
                continue;
            }
            bytes += waiter.place.records.len();
            if !waiters.is_empty() && (bytes > BYTES_MAX || waiters.len() == PLACES_MAX) {
                queue.push_front(waiter);
                break;
            }
            waiters.push(waiter);
        }
        if waiters.is_empty() {
            queues.remove(&shard);
        }
        waiters
    }

    /// Puts those back that go again, before all others.
    fn put_back(&self, shard: ShardId, waiters: Vec<Waiter>) {
        if let Some(queue) = self.0.lock().get_mut(&shard) {
            waiters.into_iter().rev().for_each(|waiter| queue.push_front(waiter));
        }
    }
}

/// Removes a queue if its task ends in the middle: those who wait learn that there is no place.
struct Serving<'a> {
    queues: &'a ShardQueues,
    shard: ShardId,
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        let left = self.queues.0.lock().remove(&self.shard);
        drop(left);
    }
}

impl Core {
    /// Takes the places of a commit in its shards, or none. A commit hardly ever has more than one; the others are
    /// taken by themselves, at the version that the first one came to.
    pub(crate) async fn reserve_records(
        self: &Arc<Self>,
        records: BTreeMap<ShardId, Bytes>,
        table: TableName,
        part: &Bytes,
        deadline: Instant,
    ) -> EngineResult<Reserved> {
        let place = |records| Place { table, part: part.clone(), records };
        let mut version = None;
        let mut taken = Vec::with_capacity(records.len());
        for (shard, records) in records {
            let reserved = match version {
                None => self.wait_for_place(shard, place(records), deadline).await,
                Some(version) => match self.reserve(shard, &[(version, place(records))]).await {
                    Ok(Round::Taken) => Ok(Reserved::Taken(version)),
                    Ok(Round::Closed) => Ok(Reserved::Closed(shard)),
                    Ok(Round::Behind) => Ok(Reserved::Behind),
                    Err(failure) => Err(failure.error()),
                },
            };
            if let Ok(Reserved::Taken(at)) = reserved {
                version = Some(at);
                taken.push(shard);
                continue;
            }
            if let Some(version) = version {
                self.void_records(taken.into_iter(), version).await;
            }
            return reserved;
        }
        Ok(version.map_or(Reserved::Behind, Reserved::Taken))
    }

    async fn wait_for_place(
        self: &Arc<Self>,
        shard: ShardId,
        place: Place,
        deadline: Instant,
    ) -> EngineResult<Reserved> {
        let (reply, answer) = oneshot::channel();
        if self.shard_queues.put(shard, Waiter { place, reply }) {
            tokio::spawn(Arc::clone(self).serve_shard(shard));
        }
        match tokio::time::timeout_at(deadline, answer).await {
            Ok(Ok(reserved)) => reserved,
            Ok(Err(_)) => Err(EngineError::Unavailable("no place in the change log".to_owned())),
            Err(_) => {
                let text = "too many commits wait for one shard of the change log";
                Err(EngineError::Overloaded(text.to_owned()))
            }
        }
    }

    async fn serve_shard(self: Arc<Self>, shard: ShardId) {
        let serving = Serving { queues: &self.shard_queues, shard };
        loop {
            let waiters = self.shard_queues.take(shard);
            if waiters.is_empty() {
                break;
            }
            Box::pin(self.shard_round(shard, waiters)).await;
        }
        // The queue is gone; another one may be there by now.
        std::mem::forget(serving);
    }

    async fn shard_round(&self, shard: ShardId, waiters: Vec<Waiter>) {
        let give = |waiters: Vec<Waiter>, reserved: EngineResult<Reserved>| {
            for waiter in waiters {
                let _ = waiter.reply.send(reserved.clone());
            }
        };
        let mut places = Vec::with_capacity(waiters.len());
        for waiter in &waiters {
            match self.next_version() {
                Ok(version) => places.push((version, waiter.place.clone())),
                Err(error) => return give(waiters, Err(error)),
            }
        }
        match self.reserve(shard, &places).await {
            Ok(Round::Taken) => {
                for (waiter, (version, _)) in waiters.into_iter().zip(places) {
                    if waiter.reply.send(Ok(Reserved::Taken(version))).is_err() {
                        self.void_records([shard].into_iter(), version).await;
                    }
                }
            }
            Ok(Round::Closed) => give(waiters, Ok(Reserved::Closed(shard))),
            Ok(Round::Behind) => {
                self.client.counters.repeated.fetch_add(1, Ordering::Relaxed);
                self.shard_queues.put_back(shard, waiters);
            }
            Err(failure) => give(waiters, Err(failure.error())),
        }
    }

    /// Takes places in a shard, in the order of their versions: all or none.
    async fn reserve(&self, shard: ShardId, places: &[(i64, Place)]) -> Result<Round, Failure> {
        let header = HeaderOf::Shard(shard);
        let (Some((first, _)), Some((last, _))) = (places.first(), places.last()) else {
            return Ok(Round::Taken);
        };
        // The clock's row is there or not: the second attempt knows.
        for _ in 0..3 {
            let batch = self.round_of(shard, (*first, *last), places);
            match self.client.conditional(Kind::LogReserve, batch).await.and_then(verdict) {
                Ok(Verdict::Applied) => {
                    self.known_headers.insert(header, ());
                    return Ok(Round::Taken);
                }
                Ok(Verdict::Refused(rows)) => {
                    let clock = rows.iter().find_map(|row| row.big("clock"));
                    self.learn_header(header, clock);
                    if rows.iter().any(|row| row.flag("closed") == Some(true)) {
                        return Ok(Round::Closed);
                    }
                    if clock.is_some_and(|clock| clock >= *first) {
                        return Ok(Round::Behind);
                    }
                }
                // They may be there or come yet; without a commit they are nothing.
                Err(Failure::Unclear(_)) => {
                    for (version, _) in places {
                        self.void_records([shard].into_iter(), *version).await;
                    }
                    return Ok(Round::Behind);
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(Round::Behind)
    }

    /// The statements of a round: the clock, from before the first version to the last, and the places.
    fn round_of(
        &self,
        shard: ShardId,
        (first, last): (i64, i64),
        places: &[(i64, Place)],
    ) -> Vec<(&PreparedStatement, Vec<Bind>)> {
        let (clock, expected) = if self.header_is_known(&HeaderOf::Shard(shard)) {
            (&self.own.log.clock_later, Bind::Big(first))
        } else {
            (&self.own.log.clock_new, Bind::Null)
        };
        let mut batch = Vec::with_capacity(places.len() + 1);
        batch.push((clock, vec![Bind::Big(last), shard_column(shard), expected]));
        batch.extend(places.iter().map(|(version, place)| {
            let values = vec![
                shard_column(shard),
                Bind::Big(*version),
                Bind::Big(ordered(place.table.space.map_or(0, |space| space.0))),
                Bind::Big(place.table.incarnation),
                Bind::Blob(place.part.clone()),
                Bind::Blob(place.records.clone()),
            ];
            (&self.own.log.reserve, values)
        }));
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiter(bytes: usize) -> (Waiter, oneshot::Receiver<EngineResult<Reserved>>) {
        let table = TableName { space: None, incarnation: 0 };
        let place = Place { table, part: Bytes::new(), records: vec![0; bytes].into() };
        let (reply, answer) = oneshot::channel();
        (Waiter { place, reply }, answer)
    }

    #[test]
    fn rounds_are_bounded_and_those_that_go_again_are_first() {
        let (queues, shard) = (ShardQueues::default(), ShardId(1));
        let mut answers = Vec::new();
        let mut put = |bytes| {
            let (waiter, answer) = waiter(bytes);
            answers.push(answer);
            queues.put(shard, waiter)
        };
        assert!(put(BYTES_MAX * 2));
        assert!((0..PLACES_MAX + 1).all(|_| !put(1)));
        let sizes =
            |waiters: &[Waiter]| waiters.iter().map(|w| w.place.records.len()).collect::<Vec<_>>();
        let huge = queues.take(shard);
        assert_eq!(sizes(&huge), [BYTES_MAX * 2]);
        let full = queues.take(shard);
        assert_eq!(full.len(), PLACES_MAX);
        queues.put_back(shard, huge);
        assert_eq!(sizes(&queues.take(shard)), [BYTES_MAX * 2]);
        drop(answers);
        // The last one does not wait any more.
        assert!(queues.take(shard).is_empty());
        let (waiter, _answer) = waiter(1);
        assert!(queues.put(shard, waiter), "the queue is gone");
    }
}
