//! Random calls against a plain map.

use std::collections::BTreeMap;
use std::ops::{Bound, RangeBounds as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::EngineFactory;
use super::fixture::{bytes, on_thread};
use crate::{
    Commit, Direction, Engine, Expect, HashInterval, Key, Lane, LogCursor, LogRecord, LoggedRecord,
    Mutation, Outcome, Page, PageLimit, Position, Precondition, RangeRead, Read, Row, RowPlace,
    ScanRead, ShardId, Snapshot, SpaceId, Version,
};

const CASES: u32 = 48;
const CALLS_MAX: usize = 80;

const PARTITIONS: [&[u8]; 4] = [b"a", b"a\0", b"\0", b"\xff\xff"];
const LANES: [Lane; 2] = [Lane::ITEM, Lane(255)];
const SORTS: [&[u8]; 6] = [b"", b"\0", b"\0\xff", b"a", b"ab", b"\xff"];

/// A key by the ordinals of its parts.
#[derive(Clone, Copy, Debug)]
struct KeyIndex {
    space: usize,
    partition: usize,
    lane: usize,
    sort: usize,
}

#[derive(Clone, Copy, Debug)]
enum Check {
    Right,
    Absent,
    At(u64),
}

#[derive(Clone, Debug)]
enum Call {
    Commit {
        checks: Vec<(KeyIndex, Check)>,
        mutations: Vec<(KeyIndex, Option<Vec<u8>>)>,
        shards: Vec<u64>,
    },
    Get {
        keys: Vec<KeyIndex>,
        snapshot: Option<usize>,
    },
    Range {
        key: KeyIndex,
        from: Bound<usize>,
        to: Bound<usize>,
        backward: bool,
        limit: PageLimit,
        snapshot: Option<usize>,
    },
    Scan {
        key: KeyIndex,
        after: bool,
        first: u64,
        last: u64,
        limit: PageLimit,
        snapshot: Option<usize>,
    },
    TakeSnapshot,
    DropSnapshot(usize),
    DropSpace(usize),
    LogRead {
        shard: u64,
        after: Option<usize>,
        limit: PageLimit,
    },
    LogTrim {
        shard: u64,
        at: usize,
    },
    Checkpoint,
    Reopen,
}

fn any_key() -> impl Strategy<Value = KeyIndex> {
    (0..2_usize, 0..PARTITIONS.len(), 0..LANES.len(), 0..SORTS.len())
        .prop_map(|(space, partition, lane, sort)| KeyIndex { space, partition, lane, sort })
}

fn any_bound() -> impl Strategy<Value = Bound<usize>> {
    prop_oneof![
        Just(Bound::Unbounded),
        (0..SORTS.len()).prop_map(Bound::Included),
        (0..SORTS.len()).prop_map(Bound::Excluded)
    ]
}

fn any_limit() -> impl Strategy<Value = PageLimit> {
    (1..8_usize, prop_oneof![Just(1 << 20), 0..200_usize])
        .prop_map(|(rows, bytes)| PageLimit { rows, bytes })
}

fn any_commit() -> impl Strategy<Value = Call> {
    let check = prop_oneof![6 => Just(Check::Right), 1 => Just(Check::Absent), 1 => (0..3_u64).prop_map(Check::At)];
    let value = option::weighted(0.7, vec(any::<u8>(), 0..60));
    (vec((any_key(), check), 0..4), vec((any_key(), value), 0..6), vec(0..2_u64, 0..3))
        .prop_map(|(checks, mutations, shards)| Call::Commit { checks, mutations, shards })
}

fn any_call() -> impl Strategy<Value = Call> {
    let snapshot = || option::weighted(0.4, 0..8_usize);
    let get = (vec(any_key(), 1..5), snapshot())
        .prop_map(|(keys, snapshot)| Call::Get { keys, snapshot });
    let range = (any_key(), any_bound(), any_bound(), any::<bool>(), any_limit(), snapshot())
        .prop_map(|(key, from, to, backward, limit, snapshot)| Call::Range {
            key,
            from,
            to,
            backward,
            limit,
            snapshot,
        });
    let hash = || prop_oneof![Just(0), Just(u64::MAX), any::<u64>()];
    let scan = (any_key(), any::<bool>(), hash(), hash(), any_limit(), snapshot()).prop_map(
        |(key, after, first, last, limit, snapshot)| Call::Scan {
            key,
            after,
            first,
            last,
            limit,
            snapshot,
        },
    );
    prop_oneof![
        12 => any_commit(),
        4 => get,
        6 => range,
        6 => scan,
        2 => Just(Call::TakeSnapshot),
        1 => (0..8_usize).prop_map(Call::DropSnapshot),
        1 => (0..2_usize).prop_map(Call::DropSpace),
        2 => (0..2_u64, option::of(0..20_usize), any_limit())
            .prop_map(|(shard, after, limit)| Call::LogRead { shard, after, limit }),
        1 => (0..2_u64, 0..20_usize).prop_map(|(shard, at)| Call::LogTrim { shard, at }),
        1 => Just(Call::Checkpoint),
        1 => Just(Call::Reopen),
    ]
}

type Rows = BTreeMap<Key, Row>;

struct Model<'a> {
    factory: &'a dyn EngineFactory,
    name: String,
    engine: Arc<dyn Engine>,
    spaces: [SpaceId; 2],
    rows: Rows,
    log: BTreeMap<ShardId, Vec<LoggedRecord>>,
    trimmed: BTreeMap<ShardId, Position>,
    snapshots: Vec<(Arc<dyn Snapshot>, Rows)>,
    last_version: Version,
}

impl<'a> Model<'a> {
    async fn new(factory: &'a dyn EngineFactory, name: String) -> Self {
        let engine = factory.open(&name).await;
        let spaces = [SpaceId(1), SpaceId(2)];
        for space in spaces {
            engine.create_space(space).await.unwrap();
        }
        Self {
            factory,
            name,
            engine,
            spaces,
            rows: Rows::new(),
            log: BTreeMap::new(),
            trimmed: BTreeMap::new(),
            snapshots: Vec::new(),
            last_version: Version(0),
        }
    }

    fn key(&self, index: KeyIndex) -> Key {
        Key {
            space: self.spaces[index.space],
            partition: bytes(PARTITIONS[index.partition]),
            lane: LANES[index.lane],
            sort: bytes(SORTS[index.sort]),
        }
    }

    /// The rows that a read is to see, and the read.
    fn view(&self, snapshot: Option<usize>) -> (&Rows, Read) {
        match snapshot.and_then(|index| self.snapshots.get(index)) {
            Some((snapshot, rows)) => (rows, Read::Snapshot(Arc::clone(snapshot))),
            None => (&self.rows, Read::Strong),
        }
    }

    async fn run(&mut self, call: Call) {
        match call {
            Call::Commit { checks, mutations, shards } => {
                self.commit(checks, mutations, &shards).await
            }
            Call::Get { keys, snapshot } => self.get(&keys, snapshot).await,
            Call::Range { key, from, to, backward, limit, snapshot } => {
                let key = self.key(key);
                let sort = |index: usize| bytes(SORTS[index]);
                let direction = if backward { Direction::Backward } else { Direction::Forward };
                let (Key { space, partition, lane, .. }, from, to) =
                    (key, from.map(sort), to.map(sort));
                let range = RangeRead { space, partition, lane, from, to, direction, limit };
                self.range(range, snapshot).await;
            }
            Call::Scan { key, after, first, last, limit, snapshot } => {
                let Key { space, partition, lane, sort } = self.key(key);
                let interval = HashInterval { first: first.min(last), last: last.max(first) };
                let after = after.then_some(RowPlace { partition, sort });
                self.scan(ScanRead { space, lane, interval, after, limit }, snapshot).await;
            }
            Call::TakeSnapshot if self.engine.capabilities().snapshot_read => {
                let position = self.log_position().await;
                let snapshot = self.engine.snapshot().await.unwrap();
                assert!(snapshot.position() >= position);
                self.snapshots.push((snapshot, self.rows.clone()));
            }
            Call::TakeSnapshot => {}
            Call::DropSnapshot(index) => {
                if index < self.snapshots.len() {
                    self.snapshots.swap_remove(index);
                }
            }
            Call::DropSpace(index) => self.drop_space(index).await,
            Call::LogRead { shard, after, limit } => {
                self.log_read(ShardId(shard), after, limit).await
            }
            Call::LogTrim { shard, at } => self.log_trim(ShardId(shard), at).await,
            Call::Checkpoint => self.engine.checkpoint().await.unwrap(),
            Call::Reopen if self.factory.keeps_data() => self.reopen().await,
            Call::Reopen => {}
        }
    }

    /// Makes everything durable and returns the position of a commit that changes nothing.
    async fn log_position(&mut self) -> Position {
        match self.engine.commit(Commit::default()).await.unwrap() {
            Outcome::Committed { position, .. } => {
                self.engine.durable(position).await.unwrap();
                position
            }
            outcome @ (Outcome::Conflict { .. } | Outcome::Closed { .. } | Outcome::Unknown) => {
                panic!("{outcome:?}")
            }
        }
    }

    async fn commit(
        &mut self,
        checks: Vec<(KeyIndex, Check)>,
        mutations: Vec<(KeyIndex, Option<Vec<u8>>)>,
        shards: &[u64],
    ) {
        let first =
            checks.first().map(|(key, _)| *key).or_else(|| mutations.first().map(|(key, _)| *key));
        let global = self.engine.capabilities().global_commit;
        let key_of = |index: KeyIndex| match first {
            Some(first) if !global => {
                self.key(KeyIndex { lane: index.lane, sort: index.sort, ..first })
            }
            _ => self.key(index),
        };
        let preconditions: Vec<_> = checks
            .into_iter()
            .map(|(index, check)| {
                let key = key_of(index);
                let expect = match (check, self.rows.get(&key)) {
                    (Check::Right, Some(row)) => Expect::At(row.version),
                    (Check::Right, None) | (Check::Absent, _) => Expect::Absent,
                    (Check::At(back), _) => {
                        Expect::At(Version(self.last_version.0.saturating_sub(back)))
                    }
                };
                Precondition { key, expect }
            })
            .collect();
        let mutations: BTreeMap<_, _> = mutations
            .into_iter()
            .map(|(index, value)| (key_of(index), value.map(Bytes::from)))
            .collect();
        let records = shards.iter().enumerate().map(|(index, shard)| LogRecord {
            shard: ShardId(*shard),
            payload: bytes([u8::try_from(index).unwrap(); 20]),
        });
        let commit = Commit {
            preconditions,
            mutations: mutations.into_iter().map(|(key, value)| Mutation { key, value }).collect(),
            derived: Vec::new(),
            records: records.collect(),
        };
        let outcome = self.engine.commit(commit.clone()).await.unwrap();
        self.compare_outcome(commit, outcome).await;
    }

    fn holds(&self, precondition: &Precondition) -> bool {
        match (precondition.expect, self.rows.get(&precondition.key)) {
            (Expect::Absent, found) => found.is_none(),
            (Expect::At(version), found) => found.is_some_and(|row| row.version == version),
        }
    }

    async fn compare_outcome(&mut self, commit: Commit, outcome: Outcome) {
        let failing: Vec<_> =
            commit.preconditions.iter().filter(|p| !self.holds(p)).map(|p| p.key.clone()).collect();
        match outcome {
            Outcome::Committed { position, version } => {
                assert_eq!(failing, Vec::new(), "a commit whose preconditions did not hold");
                if !commit.mutations.is_empty() {
                    assert!(version > self.last_version);
                    self.last_version = version;
                }
                for Mutation { key, value } in commit.mutations {
                    match value {
                        Some(value) => self.rows.insert(key, Row { version, value }),
                        None => self.rows.remove(&key),
                    };
                }
                for LogRecord { shard, payload } in commit.records {
                    let records = self.log.entry(shard).or_default();
                    let ordinal =
                        records.iter().filter(|record| record.position == position).count();
                    records.push(LoggedRecord {
                        position,
                        ordinal: u32::try_from(ordinal).unwrap(),
                        payload,
                    });
                }
                self.engine.durable(position).await.unwrap();
            }
            Outcome::Conflict { key, current } => {
                assert!(failing.contains(&key), "a conflict on {key:?}, which was as expected");
                if let Some(current) = current {
                    assert_eq!(current.as_ref(), self.rows.get(&key));
                }
            }
            Outcome::Closed { .. } | Outcome::Unknown => {
                panic!("an unknown outcome without a fault")
            }
        }
    }

    async fn get(&self, keys: &[KeyIndex], snapshot: Option<usize>) {
        let (rows, read) = self.view(snapshot);
        let keys: Vec<_> = keys.iter().map(|index| self.key(*index)).collect();
        let expected: Vec<_> = keys.iter().map(|key| rows.get(key).cloned()).collect();
        assert_eq!(self.engine.multi_get(keys.clone(), read.clone()).await.unwrap(), expected);
        assert_eq!(self.engine.get(keys[0].clone(), read).await.unwrap(), expected[0]);
    }

    async fn range(&self, range: RangeRead, snapshot: Option<usize>) {
        let (rows, read) = self.view(snapshot);
        let bounds = (range.from.clone(), range.to.clone());
        let mut inside: Vec<_> = rows
            .iter()
            .filter(|(key, _)| {
                (key.space, &key.partition, key.lane) == (range.space, &range.partition, range.lane)
            })
            .filter(|(key, _)| bounds.contains(&key.sort))
            .collect();
        if range.direction == Direction::Backward {
            inside.reverse();
        }
        let limit = range.limit;
        compare_page(&inside, limit, &self.engine.range(range, read).await.unwrap());
    }

    async fn scan(&self, scan: ScanRead, snapshot: Option<usize>) {
        let (rows, read) = self.view(snapshot);
        let place = |partition: &Bytes, sort: &Bytes| {
            (self.engine.partition_hash(partition), partition.clone(), sort.clone())
        };
        let after = scan.after.as_ref().map(|after| place(&after.partition, &after.sort));
        let mut inside: Vec<_> = rows
            .iter()
            .filter(|(key, _)| (key.space, key.lane) == (scan.space, scan.lane))
            .map(|(key, row)| (place(&key.partition, &key.sort), (key, row)))
            .filter(|(place, _)| (scan.interval.first..=scan.interval.last).contains(&place.0))
            .filter(|(place, _)| after.as_ref().is_none_or(|after| place > after))
            .collect();
        inside.sort_by(|one, two| one.0.cmp(&two.0));
        let inside: Vec<_> = inside.into_iter().map(|(_, found)| found).collect();
        let limit = scan.limit;
        compare_page(&inside, limit, &self.engine.scan(scan, read).await.unwrap());
    }

    async fn drop_space(&mut self, index: usize) {
        let old = self.spaces[index];
        let new = SpaceId(old.0 + 2);
        self.engine.drop_space(old).await.unwrap();
        self.engine.create_space(new).await.unwrap();
        self.rows.retain(|key, _| key.space != old);
        self.spaces[index] = new;
        // What a snapshot shows of spaces that were dropped or made since is left to the engine.
        self.snapshots.clear();
        let mut spaces = self.spaces.to_vec();
        spaces.sort_unstable();
        assert_eq!(self.engine.spaces().await.unwrap(), spaces);
    }

    async fn log_read(&self, shard: ShardId, after: Option<usize>, limit: PageLimit) {
        let records = self.log.get(&shard).cloned().unwrap_or_default();
        let after = after.and_then(|index| records.get(index));
        let cursor =
            after.map(|record| LogCursor { position: record.position, ordinal: record.ordinal });
        let start =
            after.map_or(0, |record| records.iter().position(|other| other == record).unwrap() + 1);
        let mut expected = Vec::new();
        let mut total = 0;
        for record in &records[start..] {
            total += record.payload.len();
            expected.push(record.clone());
            if expected.len() >= limit.rows || total >= limit.bytes {
                break;
            }
        }
        assert_eq!(self.engine.log_read(shard, cursor, limit).await.unwrap().records, expected);
    }

    async fn log_trim(&mut self, shard: ShardId, at: usize) {
        let Some(records) = self.log.get_mut(&shard) else { return };
        let Some(position) = records.get(at).map(|record| record.position) else { return };
        records.retain(|record| record.position > position);
        self.trimmed.insert(shard, position);
        self.engine.log_trim(shard, position).await.unwrap();
    }

    async fn reopen(&mut self) {
        self.snapshots.clear();
        self.engine.close().await.unwrap();
        self.engine = self.factory.open(&self.name).await;
        // Records that were trimmed may come back with a crash or a restart; trimming again is no error.
        for (shard, position) in &self.trimmed {
            self.engine.log_trim(*shard, *position).await.unwrap();
        }
    }

    /// Compares everything that there is.
    async fn compare_all(&self) {
        let limit = PageLimit { rows: 1 << 20, bytes: 1 << 30 };
        for space in self.spaces {
            for lane in LANES {
                let scan =
                    ScanRead { space, lane, interval: HashInterval::ALL, after: None, limit };
                self.scan(scan, None).await;
            }
        }
        for shard in self.log.keys() {
            self.log_read(*shard, None, limit).await;
        }
    }
}

fn compare_page(inside: &[(&Key, &Row)], limit: PageLimit, page: &Page) {
    let mut total = 0;
    let mut count = 0;
    for (_, row) in inside {
        total += row.value.len();
        count += 1;
        if count >= limit.rows || total >= limit.bytes {
            break;
        }
    }
    let expected: Vec<_> = inside[..count]
        .iter()
        .map(|(key, row)| {
            (RowPlace { partition: key.partition.clone(), sort: key.sort.clone() }, (*row).clone())
        })
        .collect();
    assert_eq!(page.rows, expected);
    assert_eq!(page.end, count == inside.len(), "whether more follows");
}

async fn run_case(factory: &dyn EngineFactory, name: String, calls: Vec<Call>) {
    let mut model = Model::new(factory, name).await;
    for call in calls {
        Box::pin(model.run(call)).await;
    }
    model.compare_all().await;
    if factory.keeps_data() {
        model.reopen().await;
        model.compare_all().await;
    }
    model.engine.close().await.unwrap();
}

/// Random sequences of all calls answer what a map and a list would, across reopening where data is kept.
pub async fn random_calls_match_a_map(factory: &dyn EngineFactory) {
    let config =
        ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() };
    let case = AtomicU64::new(0);
    on_thread(|| {
        let outcome = TestRunner::new(config).run(&vec(any_call(), 1..CALLS_MAX), |calls| {
            let name = format!("random_calls_match_a_map_{}", case.fetch_add(1, Ordering::Relaxed));
            factory.block_on(Box::pin(run_case(factory, name, calls)));
            Ok(())
        });
        if let Err(failure) = outcome {
            panic!("{failure}");
        }
    });
}
