//! The in-memory reference engine: what the seam means, in its simplest form.
//!
//! Each space is one persistent ordered map (`imbl`'s B-tree), so that a snapshot is a copy of the
//! root: O(1) to take, and a write beneath a live snapshot copies only the nodes on its path. Without a
//! snapshot the map is changed in place. One lock guards everything; the order in which commits take
//! it is the order of positions, and a version is the position of its commit.
//!
//! Nothing outlives the process, so everything committed counts as durable. The options switch off
//! what lesser engines lack, and [`Faults`] inject what distributed ones do: with both, code above the
//! seam is tested against every engine that there may ever be.

mod faults;
mod rows;

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use imbl::OrdMap;
use parking_lot::RwLock;

pub use faults::{Call, CommitFault, FaultScript, Faults};

use crate::{
    BoxFuture, Capabilities, Commit, Engine, EngineError, EngineResult, Expect, Figure, Health,
    Key, LogCursor, LogPage, LogRecord, LoggedRecord, Mutation, Outcome, PARTITION_BYTES_MAX, Page,
    PageLimit, Position, RangeRead, Read, Row, SORT_BYTES_MAX, ScanRead, ShardId, Snapshot,
    SpaceId, SpaceStats, Version, hash_partition,
};
use rows::{RowKey, Space};

/// What a [`MemoryEngine`] can do.
#[derive(Clone, Debug)]
pub struct MemoryOptions {
    /// [`Capabilities::global_commit`].
    pub global_commit: bool,
    /// [`Capabilities::snapshot_read`].
    pub snapshot_read: bool,
    /// [`Capabilities::native_log_order`]. The engine keeps the order anyway; it only does not say so.
    pub native_log_order: bool,
    /// [`Capabilities::shared`]: databases that share the engine know of each other.
    pub shared: bool,
    /// [`Capabilities::latest_is_durable`]. It is so anyway; the engine only says so.
    pub latest_is_durable: bool,
    /// Whether derived rows wait for [`MemoryEngine::relay`] and then come in the wrong order. Only
    /// without a global commit.
    pub late_derived: bool,
    /// [`Capabilities::value_bytes_max`].
    pub value_bytes_max: usize,
    /// [`Capabilities::commit_bytes_max`].
    pub commit_bytes_max: usize,
    /// Asked before every call whether it shall fail.
    pub faults: Option<Arc<dyn Faults>>,
}

impl Default for MemoryOptions {
    fn default() -> Self {
        Self {
            global_commit: true,
            snapshot_read: true,
            native_log_order: true,
            shared: false,
            latest_is_durable: false,
            late_derived: false,
            value_bytes_max: 4 << 20,
            commit_bytes_max: 256 << 20,
            faults: None,
        }
    }
}

/// An engine that holds everything in memory.
///
/// ```
/// use zenobe_storage::memory::{MemoryEngine, MemoryOptions};
/// use zenobe_storage::Engine;
///
/// let engine = MemoryEngine::new(MemoryOptions { global_commit: false, ..MemoryOptions::default() });
/// assert!(!engine.capabilities().global_commit);
/// ```
#[derive(Debug, Default)]
pub struct MemoryEngine {
    options: MemoryOptions,
    state: RwLock<State>,
}

type Spaces = OrdMap<SpaceId, Space>;

#[derive(Debug, Default)]
struct State {
    closed: bool,
    position: Position,
    spaces: Spaces,
    shards: BTreeMap<ShardId, VecDeque<LoggedRecord>>,
    /// Commits whose caller was told [`Outcome::Unknown`], and which have not happened yet.
    delayed: Vec<Commit>,
    /// Derived rows that were not relayed yet, in the order of their commits.
    derived: Vec<(Version, Mutation)>,
    /// The versions of derived deletions, which nothing older may undo.
    gone: BTreeMap<Key, Version>,
    /// The shards that take no more records.
    closed_shards: BTreeSet<ShardId>,
    /// Where readers of shards do not get on.
    held_shards: BTreeMap<ShardId, Position>,
}

#[derive(Debug)]
struct MemorySnapshot {
    position: Position,
    spaces: Spaces,
}

impl Snapshot for MemorySnapshot {
    fn position(&self) -> Position {
        self.position
    }
}

fn space_of(spaces: &Spaces, space: SpaceId) -> EngineResult<&Space> {
    spaces.get(&space).ok_or(EngineError::NoSpace(space))
}

fn row_of(spaces: &Spaces, key: Key) -> EngineResult<Option<Row>> {
    Ok(space_of(spaces, key.space)?.get(&RowKey::new(key.lane, key.partition, key.sort)))
}

impl MemoryEngine {
    /// An empty engine.
    #[must_use]
    pub fn new(options: MemoryOptions) -> Self {
        Self { options, state: RwLock::default() }
    }

    /// Writes the derived rows that wait, the last first. Returns how many there were.
    pub fn relay(&self) -> usize {
        let mut state = self.state.write();
        let waiting = std::mem::take(&mut state.derived);
        let count = waiting.len();
        for (version, mutation) in waiting.into_iter().rev() {
            state.relay(version, mutation);
        }
        count
    }

    /// Makes readers of a shard stop before this position, as before a commit that is under way: they see no
    /// record from there on, and do not reach it. `None` lets them go on.
    pub fn hold_log(&self, shard: ShardId, at: Option<Position>) {
        let held = &mut self.state.write().held_shards;
        match at {
            Some(at) => held.insert(shard, at),
            None => held.remove(&shard),
        };
    }

    fn admit(&self, call: Call) -> EngineResult<()> {
        match self.options.faults.as_ref().and_then(|faults| faults.before_call(call)) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn with_state<T>(
        &self,
        call: Call,
        look: impl FnOnce(&State) -> EngineResult<T>,
    ) -> EngineResult<T> {
        self.admit(call)?;
        let state = self.state.read();
        if state.closed {
            return Err(EngineError::Closed);
        }
        look(&state)
    }

    fn with_state_mut<T>(
        &self,
        call: Call,
        change: impl FnOnce(&mut State) -> EngineResult<T>,
    ) -> EngineResult<T> {
        self.admit(call)?;
        let mut state = self.state.write();
        if state.closed {
            return Err(EngineError::Closed);
        }
        change(&mut state)
    }

    fn with_rows<T>(
        &self,
        call: Call,
        read: &Read,
        look: impl FnOnce(&Spaces) -> EngineResult<T>,
    ) -> EngineResult<T> {
        let Read::Snapshot(snapshot) = read else {
            return self.with_state(call, |state| look(&state.spaces));
        };
        self.with_state(call, |_| Ok(()))?;
        if !self.options.snapshot_read {
            return Err(EngineError::Unsupported("snapshot reads"));
        }
        let snapshot: &dyn Any = &**snapshot;
        let snapshot = snapshot
            .downcast_ref::<MemorySnapshot>()
            .ok_or(EngineError::Unsupported("another engine's snapshot"))?;
        look(&snapshot.spaces)
    }

    fn check_sizes(&self, commit: &Commit) -> EngineResult<()> {
        let keys = commit
            .preconditions
            .iter()
            .map(|p| &p.key)
            .chain(commit.mutations.iter().chain(&commit.derived).map(|m| &m.key));
        let mut total = 0_usize;
        for key in keys {
            if key.partition.len() > PARTITION_BYTES_MAX || key.sort.len() > SORT_BYTES_MAX {
                return Err(EngineError::TooLarge(format!(
                    "a key of {} partition and {} sort bytes",
                    key.partition.len(),
                    key.sort.len()
                )));
            }
            total += key.partition.len() + key.sort.len();
        }
        let values = commit.mutations.iter().chain(&commit.derived);
        for value in values.filter_map(|m| m.value.as_ref()) {
            if value.len() > self.options.value_bytes_max {
                return Err(EngineError::TooLarge(format!("a value of {} bytes", value.len())));
            }
            total += value.len();
        }
        total += commit.records.iter().map(|record| record.payload.len()).sum::<usize>();
        if total > self.options.commit_bytes_max {
            return Err(EngineError::TooLarge(format!("a commit of {total} bytes")));
        }
        Ok(())
    }

    fn check_reach(&self, commit: &Commit) -> EngineResult<()> {
        if self.options.global_commit {
            return Ok(());
        }
        let mut keys = commit
            .preconditions
            .iter()
            .map(|p| &p.key)
            .chain(commit.mutations.iter().map(|m| &m.key));
        let Some(first) = keys.next() else { return Ok(()) };
        if keys.all(|key| key.space == first.space && key.partition == first.partition) {
            Ok(())
        } else {
            Err(EngineError::Unsupported("a commit over several partitions"))
        }
    }

    fn commit_now(&self, mut commit: Commit) -> EngineResult<Outcome> {
        self.admit(Call::Commit)?;
        self.check_sizes(&commit)?;
        self.check_reach(&commit)?;
        if self.options.global_commit {
            commit.mutations.append(&mut commit.derived);
        }
        let fault = self.options.faults.as_ref().and_then(|faults| faults.on_commit(&commit));
        let mut state = self.state.write();
        if state.closed {
            return Err(EngineError::Closed);
        }
        for late in std::mem::take(&mut state.delayed) {
            // Its caller has gone; whether it still could happen is what a later reader finds.
            let _ = state.commit(late);
        }
        match fault {
            None => state.commit(commit),
            Some(CommitFault::Fail(error)) => Err(error),
            Some(CommitFault::UnknownNotCommitted) => Ok(Outcome::Unknown),
            Some(CommitFault::UnknownCommitted) => match state.commit(commit)? {
                Outcome::Committed { .. }
                | Outcome::Conflict { .. }
                | Outcome::Closed { .. }
                | Outcome::Unknown => Ok(Outcome::Unknown),
            },
            Some(CommitFault::UnknownDelayed) => {
                state.delayed.push(commit);
                Ok(Outcome::Unknown)
            }
            Some(CommitFault::HideCurrent) => Ok(match state.commit(commit)? {
                Outcome::Conflict { key, .. } => Outcome::Conflict { key, current: None },
                outcome @ (Outcome::Committed { .. }
                | Outcome::Closed { .. }
                | Outcome::Unknown) => outcome,
            }),
        }
        .inspect(|_| {
            if !self.options.late_derived {
                state.relay_all();
            }
        })
    }
}

impl State {
    fn commit(&mut self, commit: Commit) -> EngineResult<Outcome> {
        for key in commit.mutations.iter().map(|m| &m.key) {
            space_of(&self.spaces, key.space)?;
        }
        for precondition in commit.preconditions {
            let current = row_of(&self.spaces, precondition.key.clone())?;
            let holds = match (precondition.expect, &current) {
                (Expect::Absent, None) => true,
                (Expect::At(version), Some(row)) => row.version == version,
                (Expect::Absent, Some(_)) | (Expect::At(_), None) => false,
            };
            if !holds {
                return Ok(Outcome::Conflict { key: precondition.key, current: Some(current) });
            }
        }
        let closed = |record: &&LogRecord| self.closed_shards.contains(&record.shard);
        if let Some(record) = commit.records.iter().find(closed) {
            return Ok(Outcome::Closed { shard: record.shard });
        }
        let position = Position(self.position.0 + 1);
        let version = Version(position.0);
        self.position = position;
        self.derived.extend(commit.derived.into_iter().map(|derived| (version, derived)));
        for mutation in commit.mutations {
            let key = mutation.key;
            let Some(space) = self.spaces.get_mut(&key.space) else {
                return Err(EngineError::NoSpace(key.space));
            };
            let row_key = RowKey::new(key.lane, key.partition, key.sort);
            space.set(row_key, mutation.value.map(|value| Row { version, value }));
        }
        let mut ordinals: BTreeMap<ShardId, u32> = BTreeMap::new();
        for record in commit.records {
            let next = ordinals.entry(record.shard).or_default();
            let logged = LoggedRecord { position, ordinal: *next, payload: record.payload };
            *next += 1;
            self.shards.entry(record.shard).or_default().push_back(logged);
        }
        Ok(Outcome::Committed { position, version })
    }

    fn relay_all(&mut self) {
        for (version, mutation) in std::mem::take(&mut self.derived) {
            self.relay(version, mutation);
        }
    }

    /// Writes a derived row, unless a later one stands.
    fn relay(&mut self, version: Version, Mutation { key, value }: Mutation) {
        let Some(space) = self.spaces.get_mut(&key.space) else { return };
        let row_key = RowKey::new(key.lane, key.partition.clone(), key.sort.clone());
        let standing = space.get(&row_key).map(|row| row.version);
        if standing.max(self.gone.get(&key).copied()) >= Some(version) {
            return;
        }
        if value.is_none() {
            self.gone.insert(key, version);
        }
        space.set(row_key, value.map(|value| Row { version, value }));
    }
}

const fn place(record: &LoggedRecord) -> LogCursor {
    LogCursor { position: record.position, ordinal: record.ordinal }
}

fn log_page(
    records: &VecDeque<LoggedRecord>,
    after: Option<LogCursor>,
    limit: PageLimit,
) -> Vec<LoggedRecord> {
    let start = after.map_or(0, |cursor| records.partition_point(|record| place(record) <= cursor));
    let mut page = Vec::new();
    let mut bytes = 0;
    for record in records.range(start..) {
        bytes += record.payload.len();
        page.push(record.clone());
        if page.len() >= limit.rows || bytes >= limit.bytes {
            break;
        }
    }
    page
}

impl Engine for MemoryEngine {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            global_commit: self.options.global_commit,
            snapshot_read: self.options.snapshot_read,
            native_log_order: self.options.native_log_order,
            shared: self.options.shared,
            latest_is_durable: self.options.latest_is_durable,
            value_bytes_max: self.options.value_bytes_max,
            commit_bytes_max: self.options.commit_bytes_max,
        }
    }

    fn create_space(&self, space: SpaceId) -> BoxFuture<'_, EngineResult<()>> {
        Box::pin(async move {
            self.with_state_mut(Call::CreateSpace, |state| {
                if !state.spaces.contains_key(&space) {
                    state.spaces.insert(space, Space::default());
                }
                Ok(())
            })
        })
    }

    fn drop_space(&self, space: SpaceId) -> BoxFuture<'_, EngineResult<()>> {
        Box::pin(async move {
            // The rows are released after the lock: there may be millions.
            let dropped =
                self.with_state_mut(Call::DropSpace, |state| Ok(state.spaces.remove(&space)))?;
            drop(dropped);
            Ok(())
        })
    }

    fn spaces(&self) -> BoxFuture<'_, EngineResult<Vec<SpaceId>>> {
        Box::pin(async move {
            self.with_state(Call::Spaces, |state| Ok(state.spaces.keys().copied().collect()))
        })
    }

    fn get(&self, key: Key, read: Read) -> BoxFuture<'_, EngineResult<Option<Row>>> {
        Box::pin(async move { self.with_rows(Call::Get, &read, |spaces| row_of(spaces, key)) })
    }

    fn multi_get(
        &self,
        keys: Vec<Key>,
        read: Read,
    ) -> BoxFuture<'_, EngineResult<Vec<Option<Row>>>> {
        Box::pin(async move {
            self.with_rows(Call::MultiGet, &read, |spaces| {
                keys.into_iter().map(|key| row_of(spaces, key)).collect()
            })
        })
    }

    fn range(&self, range: RangeRead, read: Read) -> BoxFuture<'_, EngineResult<Page>> {
        Box::pin(async move {
            self.with_rows(Call::Range, &read, |spaces| {
                Ok(space_of(spaces, range.space)?.range(&range))
            })
        })
    }

    fn scan(&self, scan: ScanRead, read: Read) -> BoxFuture<'_, EngineResult<Page>> {
        Box::pin(async move {
            self.with_rows(
                Call::Scan,
                &read,
                |spaces| Ok(space_of(spaces, scan.space)?.scan(&scan)),
            )
        })
    }

    fn partition_hash(&self, partition: &[u8]) -> u64 {
        hash_partition(partition)
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, EngineResult<Outcome>> {
        Box::pin(async move { self.commit_now(commit) })
    }

    fn durable(&self, _position: Position) -> BoxFuture<'_, EngineResult<()>> {
        Box::pin(async move { self.with_state(Call::Durable, |_| Ok(())) })
    }

    fn snapshot(&self) -> BoxFuture<'_, EngineResult<Arc<dyn Snapshot>>> {
        Box::pin(async move {
            if !self.options.snapshot_read {
                return Err(EngineError::Unsupported("snapshot reads"));
            }
            self.with_state(Call::Snapshot, |state| {
                let snapshot =
                    MemorySnapshot { position: state.position, spaces: state.spaces.clone() };
                Ok(Arc::new(snapshot) as Arc<dyn Snapshot>)
            })
        })
    }

    fn log_read(
        &self,
        shard: ShardId,
        after: Option<LogCursor>,
        limit: PageLimit,
    ) -> BoxFuture<'_, EngineResult<LogPage>> {
        Box::pin(async move {
            self.with_state(Call::LogRead, |state| {
                let records = state.shards.get(&shard);
                let mut page =
                    records.map_or_else(Vec::new, |records| log_page(records, after, limit));
                let held = state.held_shards.get(&shard);
                page.retain(|record| held.is_none_or(|held| record.position < *held));
                let more = |last: &LoggedRecord| {
                    records.and_then(VecDeque::back).is_some_and(|end| place(end) > place(last))
                };
                let reached = match page.last() {
                    Some(last) if more(last) => Position(last.position.0.saturating_sub(1)),
                    _ => state.position,
                };
                let before = |held: &Position| Position(held.0.saturating_sub(1));
                let reached = held.map(before).map_or(reached, |before| reached.min(before));
                Ok(LogPage { records: page, reached })
            })
        })
    }

    fn log_end(&self, _shard: ShardId) -> BoxFuture<'_, EngineResult<Position>> {
        Box::pin(async move { self.with_state(Call::LogRead, |state| Ok(state.position)) })
    }

    fn log_cut(
        &self,
        close: Vec<ShardId>,
        _open: Vec<ShardId>,
    ) -> BoxFuture<'_, EngineResult<Position>> {
        Box::pin(async move {
            if !self.options.shared {
                return Err(EngineError::Unsupported("cuts by the engine"));
            }
            self.with_state_mut(Call::LogCut, |state| {
                state.position.0 += 1;
                state.closed_shards.extend(close);
                Ok(state.position)
            })
        })
    }

    fn log_trim(&self, shard: ShardId, up_to: Position) -> BoxFuture<'_, EngineResult<()>> {
        Box::pin(async move {
            self.with_state_mut(Call::LogTrim, |state| {
                let Some(records) = state.shards.get_mut(&shard) else { return Ok(()) };
                let count = records.partition_point(|record| record.position <= up_to);
                records.drain(..count);
                if records.is_empty() {
                    state.shards.remove(&shard);
                }
                Ok(())
            })
        })
    }

    fn log_shards(&self) -> BoxFuture<'_, EngineResult<Vec<ShardId>>> {
        Box::pin(async move {
            self.with_state(Call::LogRead, |state| Ok(state.shards.keys().copied().collect()))
        })
    }

    fn checkpoint(&self) -> BoxFuture<'_, EngineResult<()>> {
        Box::pin(async move { self.with_state(Call::Checkpoint, |_| Ok(())) })
    }

    fn space_stats(&self, space: SpaceId) -> BoxFuture<'_, EngineResult<SpaceStats>> {
        Box::pin(async move {
            self.with_state(Call::SpaceStats, |state| {
                // What it would take on disk, near enough; there is no disk.
                Ok(SpaceStats { disk_bytes: space_of(&state.spaces, space)?.stored_bytes() })
            })
        })
    }

    fn figures(&self) -> Vec<Figure> {
        let state = self.state.read();
        let rows: usize = state.spaces.values().map(Space::row_count).sum();
        let bytes: u64 = state.spaces.values().map(Space::stored_bytes).sum();
        #[expect(clippy::cast_precision_loss, reason = "a figure for a graph; exact below 2^53")]
        let figure = |name, help, value: u64| Figure { name, help, value: value as f64 };
        vec![
            figure("memory_rows", "Rows held in memory.", rows as u64),
            figure("memory_row_bytes", "Keys and values held in memory, in bytes.", bytes),
            figure("commits_total", "Commits made since the start.", state.position.0),
        ]
    }

    fn health(&self) -> Health {
        if self.state.read().closed {
            Health::WritesRefused(EngineError::Closed)
        } else {
            Health::Writable
        }
    }

    fn close(&self) -> BoxFuture<'_, EngineResult<()>> {
        Box::pin(async move {
            let rows = self.with_state_mut(Call::Close, |state| {
                state.closed = true;
                Ok(std::mem::take(&mut state.spaces))
            })?;
            drop(rows);
            Ok(())
        })
    }
}
