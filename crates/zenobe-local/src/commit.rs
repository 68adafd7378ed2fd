//! Commits: encode, check under the latches, order, queue.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use zenobe_storage::{
    Commit, EngineError, EngineResult, Expect, Key, Outcome, Position, SpaceId, Version,
};

use crate::core::Core;
use crate::digest::Digest;
use crate::heads::Head;
use crate::latches::Latches;
use crate::layout::{self, RowWriter};
use crate::log::frame::Payload;
use crate::sequencer::NoRoom;
use crate::spaces::{Incarnation, Spaces};
use crate::view::Found;

/// The longest value.
pub(crate) const VALUE_BYTES_MAX: usize = 16 << 20;
/// The largest commit: a transaction of 4 MB on a table with 20 indexes fits.
pub(crate) const COMMIT_BYTES_MAX: usize = 128 << 20;

/// The longest that a writer is held up at a time while flushes lag behind.
const SLOWEST: Duration = Duration::from_millis(4);
/// Sorted runs on level 0 from which on writers are slowed down.
const WAITING_RUNS_SOFT: usize = 16;
/// So many more make it the longest time.
const SLOWEST_AT_RUNS: u32 = 16;

struct Check {
    index: usize,
    key: Bytes,
    digest: Digest,
    expect: Expect,
    /// The row's head before the latches were taken, and an LSN at which that was so.
    before: Option<(Head, u64)>,
}

struct Prepared {
    payload: Payload,
    payload_bytes: usize,
    /// Those of the rows, in their order.
    digests: Vec<Digest>,
    checks: Vec<Check>,
    /// Sorted, each once.
    stripes: Vec<usize>,
    /// The spaces that it names, as they were.
    spaces: Vec<(SpaceId, Incarnation)>,
}

enum Tried {
    Committed(u64),
    Conflict(usize, Found),
    Wait(NoRoom),
}

fn prepare(commit: &mut Commit, live: &Spaces, salt: u64) -> EngineResult<Prepared> {
    let mut rows = Vec::with_capacity(commit.mutations.len());
    let mut digests = Vec::with_capacity(commit.mutations.len());
    let mut size = 0_usize;
    let mut writer = RowWriter::of(&commit.mutations);
    for mutation in &commit.mutations {
        let value_bytes = mutation.value.as_ref().map_or(0, Bytes::len);
        if value_bytes > VALUE_BYTES_MAX {
            return Err(EngineError::TooLarge(format!("a value of {value_bytes} bytes")));
        }
        let space = live.get(mutation.key.space)?;
        let row = writer.row(space, mutation)?;
        size = size.saturating_add(row.0.len() + value_bytes);
        digests.push(Digest::of(&row.0, salt));
        rows.push(row);
    }
    size = commit.records.iter().fold(size, |sum, record| sum.saturating_add(record.payload.len()));
    if size > COMMIT_BYTES_MAX {
        return Err(EngineError::TooLarge(format!("a commit of {size} bytes")));
    }
    let mut checks = Vec::with_capacity(commit.preconditions.len());
    for (index, precondition) in commit.preconditions.iter().enumerate() {
        // Who checks a row mostly writes it, and mostly in the same order.
        let same = commit.mutations.get(index).is_some_and(|m| m.key == precondition.key);
        let (key, digest) = match rows.get(index).zip(digests.get(index)).filter(|_| same) {
            Some(((key, _), digest)) => (key.clone(), *digest),
            None => {
                let space = live.get(precondition.key.space)?;
                let key = layout::physical_key(space, &precondition.key)?;
                let digest = Digest::of(&key, salt);
                (key, digest)
            }
        };
        checks.push(Check { index, key, digest, expect: precondition.expect, before: None });
    }
    let checked = checks.iter().map(|check| check.digest);
    let mut stripes: Vec<usize> =
        checked.chain(digests.iter().copied()).map(Latches::stripe).collect();
    stripes.sort_unstable();
    stripes.dedup();
    let keys =
        commit.mutations.iter().map(|m| &m.key).chain(commit.preconditions.iter().map(|p| &p.key));
    let mut spaces = Vec::new();
    for space in keys.map(|key: &Key| key.space) {
        if spaces.last().is_none_or(|&(last, _)| last != space) {
            spaces.push((space, live.get(space)?));
        }
    }
    let payload = Payload { rows, records: std::mem::take(&mut commit.records) };
    let payload_bytes = payload.encoded_bytes();
    Ok(Prepared { payload, payload_bytes, digests, checks, stripes, spaces })
}

impl Core {
    pub(crate) async fn commit(&self, mut commit: Commit) -> EngineResult<Outcome> {
        self.check_open()?;
        commit.mutations.append(&mut commit.derived);
        let mut prepared = prepare(&mut commit, &self.spaces.load(), self.salt)?;
        self.warm(&mut prepared).await?;
        self.slow_down().await?;
        loop {
            let tried = {
                let first = self.try_commit(&mut prepared)?;
                if let Tried::Wait(_) = first {
                    // Registered before the second look, so that no change goes unnoticed.
                    let mut changed = std::pin::pin!(self.room.notified());
                    changed.as_mut().enable();
                    let second = self.try_commit(&mut prepared)?;
                    if let Tried::Wait(why) = second {
                        if why == NoRoom::Segment {
                            self.wake_background(|work| work.prepare = true);
                        }
                        changed.await;
                        continue;
                    }
                    second
                } else {
                    first
                }
            };
            match tried {
                Tried::Committed(lsn) => {
                    return Ok(Outcome::Committed {
                        position: Position(lsn),
                        version: Version(lsn),
                    });
                }
                Tried::Conflict(index, found) => {
                    self.figures.conflicts.fetch_add(1, Ordering::Relaxed);
                    let Some(precondition) = commit.preconditions.into_iter().nth(index) else {
                        return Err(EngineError::Unavailable("a precondition is gone".into()));
                    };
                    // Whoever is told of the row must not see a crash take it back.
                    self.durable.wait(found.lsn).await?;
                    return Ok(Outcome::Conflict {
                        key: precondition.key,
                        current: Some(found.row()),
                    });
                }
                Tried::Wait(_) => {}
            }
        }
    }

    /// Looks the rows to be checked up before the latches are taken: this may ask the disk.
    async fn warm(&self, prepared: &mut Prepared) -> EngineResult<()> {
        for check in &mut prepared.checks {
            let lsn = self.visible.load(Ordering::Acquire);
            check.before = Some((self.head(check.digest, &check.key).await?, lsn));
        }
        Ok(())
    }

    /// Holds writers up when flushes lag behind: a little at first, entirely at the limit. When
    /// compaction lags behind, only a little, or reads would have ever more runs to look into.
    async fn slow_down(&self) -> EngineResult<()> {
        let behind = self.view.load().tree.waiting_runs().saturating_sub(WAITING_RUNS_SOFT);
        if behind > 0 {
            self.figures.slowed_writes.fetch_add(1, Ordering::Relaxed);
            let part = u32::try_from(behind).unwrap_or(u32::MAX).min(SLOWEST_AT_RUNS);
            tokio::time::sleep(SLOWEST * part / SLOWEST_AT_RUNS).await;
        }
        let soft = self.options.memtable_bytes / 4 * 3;
        let hard = self.options.memtable_bytes / 2 * 3;
        loop {
            let bytes = self.view.load().memtable_bytes();
            if bytes < soft {
                return Ok(());
            }
            self.figures.slowed_writes.fetch_add(1, Ordering::Relaxed);
            if let Some(error) = self.flush_failure() {
                return Err(error);
            }
            let part = (bytes - soft).saturating_mul(1000) / (hard - soft).max(1);
            tokio::time::sleep(SLOWEST * u32::try_from(part.min(1000)).unwrap_or(1000) / 1000)
                .await;
            if bytes < hard {
                return Ok(());
            }
            self.check_open()?;
            if let Some(error) = self.durable.failure() {
                return Err(error.clone());
            }
        }
    }

    fn try_commit(&self, prepared: &mut Prepared) -> EngineResult<Tried> {
        let mut latches = self.latches.lock(&prepared.stripes);
        for check in &prepared.checks {
            let last = prepared.stripes.binary_search(&Latches::stripe(check.digest));
            let last = last.ok().and_then(|place| latches.get(place)).map_or(u64::MAX, |l| **l);
            let head = match &check.before {
                // Nothing wrote to a key of the stripe since.
                Some((head, lsn)) if last <= *lsn => *head,
                _ => self.current_head(check.digest, &check.key)?,
            };
            let holds = match check.expect {
                Expect::Absent => !head.is_row(),
                Expect::At(version) => head.is_row() && head.lsn == version.0,
            };
            if !holds {
                let found = self.current(check.digest, &check.key)?;
                // Only a space that exists has rows to conflict with.
                self.check_spaces(&prepared.spaces)?;
                return Ok(Tried::Conflict(check.index, found));
            }
        }
        let payload = &prepared.payload;
        if payload.rows.is_empty() && payload.records.is_empty() {
            self.check_spaces(&prepared.spaces)?;
            return Ok(Tried::Committed(self.visible.load(Ordering::Acquire)));
        }
        let mut sequencer = self.sequencer.lock();
        self.check_open()?;
        if let Some(refused) = &sequencer.refused {
            return Err(refused.clone());
        }
        self.check_spaces(&prepared.spaces)?;
        let room = sequencer.make_room(prepared.payload_bytes);
        match room {
            Ok(()) => {}
            Err(NoRoom::Full) => {
                let why = sequencer.full.as_ref().map(|full| full.why.clone());
                return Err(EngineError::Full(why.unwrap_or_default()));
            }
            Err(why) => return Ok(Tried::Wait(why)),
        }
        let lsn = sequencer.next_lsn;
        sequencer.active.insert(&payload.rows, lsn);
        let heads = payload.rows.iter().map(|(_, value)| Head::of(lsn, value.as_deref()));
        self.heads.put_all(&prepared.digests, heads);
        for ((key, value), &digest) in payload.rows.iter().zip(&prepared.digests) {
            // Or a row in the cache would keep all others of its commit in memory.
            let is_alone =
                payload.rows.len() == 1 || !value.as_ref().is_some_and(layout::is_joined);
            self.cache.replace(digest, key, lsn, value.as_ref(), is_alone);
            self.partitions.wrote(key, lsn);
        }
        sequencer.append(std::mem::take(&mut prepared.payload), prepared.payload_bytes);
        self.visible.store(lsn, Ordering::Release);
        if sequencer.ask_for_segment() {
            self.wake_background(|work| work.prepare = true);
        }
        if sequencer.active.bytes() >= self.options.memtable_bytes / 8 * 3 {
            self.rotate(&mut sequencer);
        }
        drop(sequencer);
        self.work.notify_one();
        // Stripes that were only checked are marked too: it costs a cache fill, no more.
        latches.iter_mut().for_each(|last| **last = lsn);
        self.figures.commits.fetch_add(1, Ordering::Relaxed);
        Ok(Tried::Committed(lsn))
    }

    /// The spaces are still those for which the commit was prepared.
    fn check_spaces(&self, spaces: &[(SpaceId, Incarnation)]) -> EngineResult<()> {
        let live = self.spaces.load();
        for &(space, incarnation) in spaces {
            if live.get(space)? != incarnation {
                return Err(EngineError::NoSpace(space));
            }
        }
        Ok(())
    }

    /// The head of the row as it is now. The caller holds the key's latch.
    fn current_head(&self, digest: Digest, key: &Bytes) -> EngineResult<Head> {
        match self.known_head(digest) {
            Some(head) => Ok(head),
            None => Ok(self.current(digest, key)?.head()),
        }
    }

    /// The row as it is now. The caller holds the key's latch.
    fn current(&self, digest: Digest, key: &Bytes) -> EngineResult<Found> {
        let lsn = self.visible.load(Ordering::Acquire);
        if let Some(found) = self.cache.get(digest, key, lsn) {
            return Ok(found);
        }
        let view = self.view.load();
        let lsn = self.visible.load(Ordering::Acquire);
        match view.in_memory(key, lsn) {
            Some(found) => Ok(found),
            None => view.on_disk(key),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;
    use zenobe_storage::{Engine as _, Lane, Mutation, Read};

    use super::*;
    use crate::partitions::PartitionKey;
    use crate::{LocalEngine, LocalOptions};

    /// A value that does something when the last who has it lets go of it.
    struct Watched(Vec<u8>, Box<dyn Fn() + Send>);

    impl AsRef<[u8]> for Watched {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    impl Drop for Watched {
        fn drop(&mut self) {
            (self.1)();
        }
    }

    /// What readers find while a commit is being made.
    #[derive(Debug, PartialEq)]
    struct Look {
        visible: u64,
        heads: Vec<Option<u64>>,
        /// Whether the first row's partition counts as it was before.
        first_is_unwritten: bool,
    }

    #[tokio::test]
    async fn a_commit_is_visible_only_after_heads_and_caches_have_it() {
        let directory = tempfile::tempdir().unwrap();
        let engine = LocalEngine::open(LocalOptions::new(directory.path())).unwrap();
        let space = SpaceId(1);
        engine.create_space(space).await.unwrap();
        let keys: Vec<Key> = [&b"first"[..], b"second"]
            .map(|partition| Key {
                space,
                partition: Bytes::from_static(partition),
                lane: Lane::ITEM,
                sort: Bytes::new(),
            })
            .into();
        let core = &engine.core;
        let incarnation = core.incarnation(space).unwrap();
        let physical = |key| layout::physical_key(incarnation, key).unwrap();
        let digests: Vec<Digest> = keys.iter().map(|key| core.digest(&physical(key))).collect();
        let partition = Arc::new(PartitionKey::new(physical(&keys[0]), core.salt));
        let looks = Arc::new(Mutex::new(Vec::new()));
        let watched = || {
            let (core, looks) = (Arc::downgrade(core), looks.clone());
            let (digests, partition) = (digests.clone(), partition.clone());
            let look = move || {
                let Some(core) = core.upgrade() else { return };
                let head = |digest: &Digest| core.heads.get(*digest, u64::MAX).map(|head| head.lsn);
                looks.lock().push(Look {
                    visible: core.visible.load(Ordering::Acquire),
                    heads: digests.iter().map(head).collect(),
                    first_is_unwritten: core.partitions.is_unwritten(&partition, 2),
                });
            };
            // Too long to be copied.
            Some(Bytes::from_owner(Watched(vec![b'v'; 10_000], Box::new(look))))
        };
        let commit = async |keys: &[Key], values: [Option<Bytes>; 2]| {
            let mutations = keys.iter().cloned().zip(values);
            let mutations = mutations.map(|(key, value)| Mutation { key, value }).collect();
            let commit = Commit { mutations, ..Commit::default() };
            let Outcome::Committed { position, .. } = engine.commit(commit).await.unwrap() else {
                panic!("nothing was expected")
            };
            engine.durable(position).await.unwrap();
            position.0
        };
        // The cache replaces only what it has.
        engine.multi_get(keys.clone(), Read::Latest).await.unwrap();
        commit(&keys, [watched(), watched()]).await;
        // Until nobody else has the values: neither who writes the log nor a memtable.
        let other = Key { lane: Lane(9), ..keys[0].clone() };
        let old = commit(&[other], [None, None]).await;
        let memtable = Arc::downgrade(&core.view.load().memtables[0]);
        engine.checkpoint().await.unwrap();
        while memtable.strong_count() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(*looks.lock(), []);
        let new = commit(&keys, [None, None]).await;
        let look = |first_is_unwritten| Look {
            visible: old,
            heads: vec![Some(new), Some(new)],
            first_is_unwritten,
        };
        assert_eq!(*looks.lock(), [look(true), look(false)]);
        assert_eq!(core.visible.load(Ordering::Acquire), new);
    }
}
