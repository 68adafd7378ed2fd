//! What a commit asks of its partition, sorted by rows, and how commits that touch different rows are merged into
//! one batch.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use scylla::statement::prepared::PreparedStatement;
use zenobe_storage::{
    Commit, EngineError, EngineResult, Expect, Key, Mutation, Outcome, PARTITION_BYTES_MAX,
    Precondition, SORT_BYTES_MAX, ShardId, SpaceId, Version,
};

use crate::client::Bind;
use crate::core::Conditioned;
use crate::log::encode_records;
use crate::schema::{HEADER_LANE, TRACE_LANE, Table};
use crate::trace::{Derived, Trace};

/// The longest value. Cassandra's comfort ends far below; DynamoDB's largest item fits twice.
pub(crate) const VALUE_BYTES_MAX: usize = 2 << 20;
/// The largest commit. Cassandra takes a mutation of half a commit log segment, 16 MiB by default.
pub(crate) const COMMIT_BYTES_MAX: usize = 12 << 20;
/// For how long a partition without rows keeps its clock: no clock may be wrong by more.
pub(crate) const HEADER_AFTER_DELETION_S: i32 = 86_400;
/// How many statements one batch may have.
const STATEMENTS_MAX: usize = 10_000;
/// How many commits are merged into one batch.
const MERGED_MAX: usize = 128;
/// How many rows and bytes the commits of one batch may have together; one that has more goes alone.
const MERGED_ROWS_MAX: usize = 1024;
const MERGED_BYTES_MAX: usize = 1 << 20;

type RowPlace = (i16, Bytes);

/// What a commit does with one row.
#[derive(Clone, Debug, Default)]
pub(crate) struct RowPlan {
    pub(crate) expect: Option<Expect>,
    /// `Some(None)` deletes.
    pub(crate) change: Option<Option<Bytes>>,
}

/// A commit, sorted by rows of its one partition.
#[derive(Debug)]
pub(crate) struct Plan {
    /// `None` where the commit names no key.
    pub(crate) space: Option<SpaceId>,
    pub(crate) part: Bytes,
    rows: BTreeMap<RowPlace, RowPlan>,
    preconditions: Vec<Precondition>,
    records: BTreeMap<ShardId, Vec<Bytes>>,
    derived: Vec<Derived>,
    bytes: usize,
}

fn keys(commit: &Commit) -> impl Iterator<Item = &Key> {
    let expected = commit.preconditions.iter().map(|precondition| &precondition.key);
    expected.chain(commit.mutations.iter().map(|mutation| &mutation.key))
}

/// Checks a commit's sizes, and returns the sum.
pub(crate) fn check_sizes(commit: &Commit) -> EngineResult<usize> {
    let mut total = 0_usize;
    let written = || commit.mutations.iter().chain(&commit.derived);
    for key in keys(commit).chain(commit.derived.iter().map(|mutation| &mutation.key)) {
        if key.partition.len() > PARTITION_BYTES_MAX || key.sort.len() > SORT_BYTES_MAX {
            let (partition, sort) = (key.partition.len(), key.sort.len());
            let text = format!("a key of {partition} partition and {sort} sort bytes");
            return Err(EngineError::TooLarge(text));
        }
        // Every statement carries the partition.
        total += key.partition.len() + key.sort.len();
    }
    for value in written().filter_map(|mutation| mutation.value.as_ref()) {
        if value.len() > VALUE_BYTES_MAX {
            return Err(EngineError::TooLarge(format!("a value of {} bytes", value.len())));
        }
        total += value.len();
    }
    total += commit.records.iter().map(|record| record.payload.len()).sum::<usize>();
    let rows = commit.preconditions.len() + written().count();
    if total > COMMIT_BYTES_MAX || rows > STATEMENTS_MAX {
        let text = format!("a commit of {rows} rows and {total} bytes");
        return Err(EngineError::TooLarge(text));
    }
    Ok(total)
}

/// Checks that a commit stays within one partition.
pub(crate) fn check_reach(commit: &Commit) -> EngineResult<()> {
    let mut keys = keys(commit);
    let Some(first) = keys.next() else { return Ok(()) };
    if keys.all(|key| key.space == first.space && key.partition == first.partition) {
        Ok(())
    } else {
        Err(EngineError::Unsupported("a commit over several partitions"))
    }
}

pub(crate) const fn stored(version: Version) -> i64 {
    // No version that was ever given is negative, so none that is too large matches one.
    version.0.cast_signed()
}

impl Plan {
    /// Sorts a commit, all but its derived rows. `Err` is a key of which it expects two things at once.
    pub(crate) fn of(commit: Commit, bytes: usize) -> Result<(Self, Vec<Mutation>), Key> {
        let mut space = None;
        let mut part = Bytes::new();
        let mut rows: BTreeMap<RowPlace, RowPlan> = BTreeMap::new();
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
        let mut records: BTreeMap<ShardId, Vec<Bytes>> = BTreeMap::new();
        for record in commit.records {
            records.entry(record.shard).or_default().push(record.payload);
        }
        let preconditions = commit.preconditions;
        let plan = Self { space, part, rows, preconditions, records, derived: Vec::new(), bytes };
        Ok((plan, commit.derived))
    }

    /// The commit with its derived rows.
    pub(crate) fn deriving(self, derived: Vec<Derived>) -> Self {
        Self { derived, ..self }
    }

    /// Whether there is nothing to do.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.records.is_empty() && self.derived.is_empty()
    }

    pub(crate) fn has_record_in(&self, shard: ShardId) -> bool {
        self.records.contains_key(&shard)
    }

    /// The conflict of the first precondition that these conditioned rows contradict.
    pub(crate) fn judge(&self, rows: &[Conditioned]) -> Option<Outcome> {
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

pub(crate) fn version_of(rows: &[Conditioned], lane: i16, sort: &[u8]) -> Option<i64> {
    let there =
        |row: &&Conditioned| row.small("lane") == Some(lane) && row.blob("sort") == Some(sort);
    rows.iter().find(there).and_then(|row| row.big("version"))
}

/// What the header's statement takes.
pub(crate) fn header_values(
    ttl: i32,
    version: i64,
    part: &Bytes,
    expected: Option<i64>,
) -> Vec<Bind> {
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

/// Commits of one partition that touch different rows, as one.
#[derive(Debug, Default)]
pub(crate) struct Merged {
    pub(crate) rows: BTreeMap<RowPlace, RowPlan>,
    records: BTreeMap<ShardId, Vec<Bytes>>,
    derived: Vec<Derived>,
    derived_places: HashSet<(crate::schema::TableName, Bytes, i16, Bytes)>,
    count: usize,
    bytes: usize,
}

impl Merged {
    /// Whether a commit can be taken in.
    pub(crate) fn has_room_for(&self, plan: &Plan) -> bool {
        if self.count == 0 {
            return true;
        }
        let small = self.count < MERGED_MAX
            && self.rows.len() + plan.rows.len() <= MERGED_ROWS_MAX
            && self.bytes + plan.bytes <= MERGED_BYTES_MAX;
        small
            && !plan.rows.keys().any(|place| self.rows.contains_key(place))
            && !plan.derived.iter().any(|row| self.derived_places.contains(&row.place()))
    }

    /// Takes a commit in, for which there is room.
    pub(crate) fn take(&mut self, plan: &Plan) {
        self.count += 1;
        self.bytes += plan.bytes;
        self.rows.extend(plan.rows.iter().map(|(place, row)| (place.clone(), row.clone())));
        for (shard, payloads) in &plan.records {
            self.records.entry(*shard).or_default().extend(payloads.iter().cloned());
        }
        self.derived_places.extend(plan.derived.iter().map(Derived::place));
        self.derived.extend(plan.derived.iter().cloned());
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn derives(&self) -> bool {
        !self.derived.is_empty()
    }

    /// The shards where it has records.
    pub(crate) fn shards(&self) -> impl Iterator<Item = ShardId> {
        self.records.keys().copied()
    }

    /// The records of each shard, encoded.
    pub(crate) fn records(&self) -> BTreeMap<ShardId, Bytes> {
        self.records.iter().map(|(shard, payloads)| (*shard, encode_records(payloads))).collect()
    }

    /// What the batch leaves in the partition for whoever sees to what follows from it; nothing if nothing does.
    pub(crate) fn trace(&self) -> Option<Trace> {
        let shards: Vec<ShardId> = self.shards().collect();
        let nothing = shards.is_empty() && self.derived.is_empty();
        (!nothing).then(|| Trace { shards, derived: self.derived.clone() })
    }

    fn puts(&self) -> bool {
        self.rows.values().any(|row| matches!(row.change, Some(Some(_))))
    }

    /// Whether the partition surely had rows, if the expectations hold.
    pub(crate) fn expects_a_row(&self) -> bool {
        self.rows.values().any(|row| matches!(row.expect, Some(Expect::At(_))))
    }

    /// The statements of the batch.
    pub(crate) fn statements<'t>(
        &self,
        table: &'t Table,
        part: &Bytes,
        version: i64,
        header_known: bool,
        trace: Option<&Bytes>,
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
            let mut values = Vec::with_capacity(6);
            let statement = match (&row.change, row.expect) {
                (Some(Some(value)), expect) => {
                    values.extend([Bind::Big(version), Bind::Blob(value.clone())]);
                    if expect.is_some() { &table.put_if } else { &table.put }
                }
                (Some(None), Some(Expect::At(_))) => &table.delete_if,
                (Some(None), None) => &table.delete,
                // What is not there needs no deletion: it would stay in the way of reads for ten days.
                (Some(None), Some(Expect::Absent)) | (None, _) => {
                    values.push(Bind::Unset);
                    &table.check
                }
            };
            values.extend(place);
            values.extend(expected);
            statements.push((statement, values));
        }
        if let Some(trace) = trace {
            let values = vec![
                Bind::Big(version),
                Bind::Blob(trace.clone()),
                Bind::Blob(part.clone()),
                Bind::Small(TRACE_LANE),
                Bind::Blob(trace_sort(version)),
            ];
            statements.push((&table.put, values));
        }
        statements
    }
}

#[cfg(test)]
mod tests {
    use zenobe_storage::{Lane, LogRecord};

    use super::*;
    use crate::schema::TableName;

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

    fn plan(commit: Commit) -> Plan {
        let bytes = check_sizes(&commit).unwrap();
        let Ok((plan, derived)) = Plan::of(commit, bytes) else { panic!("no contradiction") };
        let name = TableName { space: Some(SpaceId(2)), incarnation: 7 };
        plan.deriving(derived.into_iter().map(|mutation| Derived::of(name, mutation)).collect())
    }

    fn merged(plans: &[Plan]) -> Merged {
        let mut merged = Merged::default();
        for plan in plans {
            assert!(merged.has_room_for(plan));
            merged.take(plan);
        }
        merged
    }

    #[test]
    fn what_is_expected_and_changed_of_a_row_comes_together() {
        let preconditions = vec![
            Precondition { key: key("a"), expect: Expect::At(Version(5)) },
            Precondition { key: key("b"), expect: Expect::Absent },
            Precondition { key: key("b"), expect: Expect::Absent },
        ];
        let mutations = vec![put("a", Some("x")), put("c", None)];
        let plan = plan(Commit { preconditions, mutations, ..Commit::default() });
        assert_eq!(plan.part, Bytes::from_static(b"p"));
        let merged = merged(&[plan]);
        assert_eq!(merged.rows.len(), 3);
        assert!(merged.puts() && merged.expects_a_row());
    }

    #[test]
    fn two_expectations_of_a_row_contradict_each_other() {
        let preconditions = vec![
            Precondition { key: key("a"), expect: Expect::At(Version(5)) },
            Precondition { key: key("a"), expect: Expect::Absent },
        ];
        let commit = Commit { preconditions, ..Commit::default() };
        assert_eq!(Plan::of(commit, 0).err(), Some(key("a")));
    }

    #[test]
    fn a_commit_of_deletions_does_not_put() {
        let commit = Commit { mutations: vec![put("a", None)], ..Commit::default() };
        let merged = merged(&[plan(commit)]);
        assert!(!merged.puts() && !merged.expects_a_row());
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

    #[test]
    fn commits_merge_unless_their_rows_meet() {
        let writing = |sort, derived| {
            let mutations = vec![put(sort, Some("x"))];
            let record = LogRecord { shard: ShardId(4), payload: Bytes::from_static(b"r") };
            let derived = vec![put(derived, Some("x"))];
            plan(Commit { mutations, derived, records: vec![record], ..Commit::default() })
        };
        let merged = merged(&[writing("a", "1"), writing("b", "2")]);
        assert_eq!((merged.rows.len(), merged.derived.len()), (2, 2));
        assert_eq!(merged.records[&ShardId(4)].len(), 2);
        assert!(!merged.has_room_for(&writing("a", "3")), "the row is taken");
        assert!(!merged.has_room_for(&writing("c", "2")), "the derived row is taken");
        assert!(merged.has_room_for(&writing("c", "3")));
    }

    #[test]
    fn a_batch_is_bounded_but_takes_any_commit_alone() {
        let huge = Bytes::from(vec![0; MERGED_BYTES_MAX + 1]);
        let writing = |index: usize, value: &Bytes| {
            let key = Key { sort: index.to_string().into(), ..key("") };
            let mutations = vec![Mutation { key, value: Some(value.clone()) }];
            plan(Commit { mutations, ..Commit::default() })
        };
        let small = Bytes::from_static(b"x");
        let full = merged(&(0..MERGED_MAX).map(|index| writing(index, &small)).collect::<Vec<_>>());
        assert!(!full.has_room_for(&writing(MERGED_MAX, &small)));
        assert!(Merged::default().has_room_for(&writing(0, &huge)));
        assert!(!merged(&[writing(1, &small)]).has_room_for(&writing(0, &huge)));
    }
}
