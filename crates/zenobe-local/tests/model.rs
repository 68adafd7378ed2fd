//! The engine equals a `BTreeMap`, whatever is flushed, compacted or reopened in between.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test code, outside the functions that the lint knows as such"
)]

mod support;

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use proptest::prelude::*;
use support::{SPACE, commit, open_with_space};
use zenobe_local::LocalEngine;
use zenobe_storage::{
    Commit, Direction, Engine as _, Expect, HashInterval, Key, Lane, Mutation, Outcome, PageLimit,
    Precondition, RangeRead, Read, RowPlace, ScanRead, Snapshot, SpaceId, Version,
};

#[derive(Clone, Debug)]
enum Step {
    Write(Vec<(u8, u8, u8, Option<u16>)>),
    Compare(u8, u8, bool),
    Range(u8, Option<u8>, Option<u8>, bool, usize),
    Scan(u8, usize),
    Checkpoint,
    Reopen,
    Snapshot,
}

fn step() -> impl Strategy<Value = Step> {
    let row = (0..4_u8, 0..2_u8, 0..12_u8, proptest::option::of(0..2000_u16));
    prop_oneof![
        8 => proptest::collection::vec(row, 1..6).prop_map(Step::Write),
        4 => (0..4_u8, 0..12_u8, any::<bool>()).prop_map(|(p, s, right)| Step::Compare(p, s, right)),
        4 => (0..4_u8, proptest::option::of(0..12_u8), proptest::option::of(0..12_u8), any::<bool>(), 1..9_usize)
            .prop_map(|(p, from, to, backward, rows)| Step::Range(p, from, to, backward, rows)),
        4 => (0..4_u8).prop_map(|p| Step::Range(p, None, None, false, 20)),
        2 => (0..2_u8, 1..9_usize).prop_map(|(lane, rows)| Step::Scan(lane, rows)),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Reopen),
        1 => Just(Step::Snapshot),
    ]
}

fn key(partition: u8, lane: u8, sort: u8) -> Key {
    let partition = Bytes::from(vec![partition; usize::from(partition) + 1]);
    Key { space: SPACE, partition, lane: Lane(lane), sort: Bytes::from(vec![sort]) }
}

type Model = BTreeMap<(u8, u8, u8), (Version, Bytes)>;

struct World {
    engine: Option<LocalEngine>,
    model: Model,
    snapshot: Option<(std::sync::Arc<dyn Snapshot>, Model)>,
}

impl World {
    fn engine(&self) -> &LocalEngine {
        self.engine.as_ref().unwrap()
    }

    async fn write(&mut self, rows: &[(u8, u8, u8, Option<u16>)]) {
        let rows: BTreeMap<_, _> = rows.iter().map(|&(p, l, s, v)| ((p, l, s), v)).collect();
        let value = |length: u16| Bytes::from(vec![b'v'; usize::from(length)]);
        let mutations = rows
            .iter()
            .map(|(&(p, l, s), &v)| Mutation { key: key(p, l, s), value: v.map(value) })
            .collect();
        let outcome =
            self.engine().commit(Commit { mutations, ..Commit::default() }).await.unwrap();
        let Outcome::Committed { position, version } = outcome else { panic!("{outcome:?}") };
        self.engine().durable(position).await.unwrap();
        for (place, v) in rows {
            match v {
                Some(length) => self.model.insert(place, (version, value(length))),
                None => self.model.remove(&place),
            };
        }
    }

    async fn compare(&mut self, p: u8, s: u8, right: bool) {
        let expected = self.model.get(&(p, 0, s)).cloned();
        let expect = match (&expected, right) {
            (Some((version, _)), true) => Expect::At(*version),
            (None, true) | (Some(_), false) => Expect::Absent,
            (None, false) => Expect::At(Version(1)),
        };
        let what = Commit {
            preconditions: vec![Precondition { key: key(p, 0, s), expect }],
            mutations: vec![Mutation {
                key: key(p, 0, s),
                value: Some(Bytes::from_static(b"compared")),
            }],
            ..Commit::default()
        };
        match self.engine().commit(what).await.unwrap() {
            Outcome::Committed { version, position } => {
                assert!(right);
                self.engine().durable(position).await.unwrap();
                self.model.insert((p, 0, s), (version, Bytes::from_static(b"compared")));
            }
            Outcome::Conflict { key: at, current } => {
                assert!(!right);
                assert_eq!(at, key(p, 0, s));
                assert_eq!(current.unwrap().map(|row| (row.version, row.value)), expected);
            }
            Outcome::Closed { .. } | Outcome::Unknown => panic!("unknown"),
        }
    }

    async fn range(&self, p: u8, bounds: (Option<u8>, Option<u8>), backward: bool, rows: usize) {
        let bound = |sort: Option<u8>| {
            sort.map_or(Bound::Unbounded, |s| Bound::Included(Bytes::from(vec![s])))
        };
        let range = RangeRead {
            space: SPACE,
            partition: key(p, 0, 0).partition,
            lane: Lane::ITEM,
            from: bound(bounds.0),
            to: bound(bounds.1),
            direction: if backward { Direction::Backward } else { Direction::Forward },
            limit: PageLimit { rows, bytes: usize::MAX },
        };
        let mut reads = vec![
            (Read::Strong, &self.model),
            (Read::Eventual, &self.model),
            (Read::Latest, &self.model),
        ];
        if let Some((snapshot, model)) = &self.snapshot {
            reads.push((Read::Snapshot(snapshot.clone()), model));
        }
        for (read, model) in reads {
            let page = self.engine().range(range.clone(), read).await.unwrap();
            let mut expected: Vec<_> = model
                .iter()
                .filter(|((rp, rl, rs), _)| {
                    *rp == p
                        && *rl == 0
                        && bounds.0.is_none_or(|s| *rs >= s)
                        && bounds.1.is_none_or(|s| *rs <= s)
                })
                .map(|((_, _, rs), (version, value))| (vec![*rs], *version, value.clone()))
                .collect();
            if backward {
                expected.reverse();
            }
            assert_eq!(page.end, expected.len() <= rows);
            expected.truncate(rows);
            let found: Vec<_> = page
                .rows
                .into_iter()
                .map(|(place, row)| (place.sort.to_vec(), row.version, row.value))
                .collect();
            assert_eq!(found, expected);
        }
    }

    async fn scan(&self, lane: u8, rows: usize) {
        let mut after: Option<RowPlace> = None;
        let mut found = Vec::new();
        loop {
            let scan = ScanRead {
                space: SPACE,
                lane: Lane(lane),
                interval: HashInterval::ALL,
                after: after.take(),
                limit: PageLimit { rows, bytes: usize::MAX },
            };
            let page = self.engine().scan(scan, Read::Strong).await.unwrap();
            after = page.rows.last().map(|(place, _)| place.clone());
            found.extend(page.rows);
            if page.end {
                break;
            }
        }
        let hash =
            |place: &RowPlace| (self.engine().partition_hash(&place.partition), place.sort.clone());
        assert!(found.is_sorted_by_key(|(place, _)| hash(place)));
        let mut places: Vec<_> = found
            .iter()
            .map(|(place, row)| ((place.partition[0], place.sort[0]), row.version))
            .collect();
        places.sort_unstable();
        let expected: Vec<_> = self
            .model
            .iter()
            .filter(|((_, l, _), _)| *l == lane)
            .map(|((p, _, s), (version, _))| ((*p, *s), *version))
            .collect();
        assert_eq!(places, expected);
    }

    async fn point_reads(&self) {
        for p in 0..4 {
            for s in 0..12 {
                let expected = self.model.get(&(p, 0, s)).cloned();
                for read in [Read::Strong, Read::Eventual, Read::Latest] {
                    let row = self.engine().get(key(p, 0, s), read).await.unwrap();
                    assert_eq!(row.map(|row| (row.version, row.value)), expected);
                }
                if let Some((snapshot, model)) = &self.snapshot {
                    let row = self
                        .engine()
                        .get(key(p, 0, s), Read::Snapshot(snapshot.clone()))
                        .await
                        .unwrap();
                    assert_eq!(
                        row.map(|row| (row.version, row.value)),
                        model.get(&(p, 0, s)).cloned()
                    );
                }
            }
        }
    }
}

async fn run(steps: Vec<Step>) {
    let directory = tempfile::tempdir().unwrap();
    let engine = open_with_space(directory.path()).await;
    // Rows of another space around ours must not show.
    for space in [SPACE.0 - 1, SPACE.0 + 1] {
        engine.create_space(SpaceId(space)).await.unwrap();
        let mut other = support::put(key(1, 0, 1), "other");
        other.mutations[0].key.space = SpaceId(space);
        commit(&engine, other).await;
    }
    let mut world = World { engine: Some(engine), model: Model::new(), snapshot: None };
    for step in steps {
        match step {
            Step::Write(rows) => world.write(&rows).await,
            Step::Compare(p, s, right) => world.compare(p, s, right).await,
            Step::Range(p, from, to, backward, rows) => {
                world.range(p, (from, to), backward, rows).await
            }
            Step::Scan(lane, rows) => world.scan(lane, rows).await,
            Step::Checkpoint => world.engine().checkpoint().await.unwrap(),
            Step::Reopen => {
                world.snapshot = None;
                drop(world.engine.take());
                world.engine = Some(support::open(directory.path()));
            }
            Step::Snapshot => {
                let snapshot = world.engine().snapshot().await.unwrap();
                world.snapshot = Some((snapshot, world.model.clone()));
            }
        }
    }
    world.point_reads().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_engine_equals_a_map(steps in proptest::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(steps));
    }
}
