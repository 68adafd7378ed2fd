//! The change log: records that commits append to shards.

use super::EngineFactory;
use super::fixture::{Store, absent, bytes, commit_of, key, put};
use crate::{
    Commit, EngineError, LogCursor, LogRecord, LoggedRecord, Outcome, PageLimit, Position, ShardId,
};

const SHARD: ShardId = ShardId(3);
const ALL_RECORDS: PageLimit = PageLimit { rows: 1_000_000, bytes: 1 << 40 };

fn record(shard: ShardId, payload: impl AsRef<[u8]>) -> LogRecord {
    LogRecord { shard, payload: bytes(payload) }
}

const fn place(record: &LoggedRecord) -> LogCursor {
    LogCursor { position: record.position, ordinal: record.ordinal }
}

/// Appends records with a row beside them; returns once they are durable.
async fn append(store: &Store, row: u8, records: Vec<LogRecord>) -> Position {
    let commit = Commit { records, ..commit_of(Vec::new(), vec![put(key("p", [row]), [row])]) };
    let (position, _) = store.commit(commit).await;
    store.engine.durable(position).await.unwrap();
    position
}

async fn log(store: &Store, shard: ShardId) -> Vec<LoggedRecord> {
    store.engine.log_read(shard, None, ALL_RECORDS).await.unwrap().records
}

/// Records come in the order of their commits' positions, and within a commit in the order of its list.
pub async fn records_are_kept_in_order_of_commits(factory: &dyn EngineFactory) {
    let store = Store::new(factory, "records_are_kept_in_order_of_commits").await;
    assert_eq!(log(&store, SHARD).await, Vec::new());
    let mut expected = Vec::new();
    for round in 0..30_u8 {
        let payloads: Vec<_> = (0..round % 4).map(|ordinal| bytes([round, ordinal])).collect();
        let records = payloads.iter().map(|payload| record(SHARD, payload)).collect();
        let position = append(&store, round, records).await;
        expected.extend(payloads.into_iter().zip(0..).map(|(payload, ordinal)| LoggedRecord {
            position,
            ordinal,
            payload,
        }));
    }
    let commit = Commit { records: vec![record(SHARD, "")], ..Commit::default() };
    let (position, _) = store.commit(commit).await;
    store.engine.durable(position).await.unwrap();
    expected.push(LoggedRecord { position, ordinal: 0, payload: bytes("") });
    assert_eq!(log(&store, SHARD).await, expected);
}

/// A shard shows its own records only; ordinals count within the shard.
pub async fn shards_are_separate(factory: &dyn EngineFactory) {
    let store = Store::new(factory, "shards_are_separate").await;
    let shards = [ShardId(0), ShardId(1), ShardId(256), ShardId(u64::MAX)];
    let mut positions = Vec::new();
    for round in 0..10_u8 {
        let mut records = Vec::new();
        for ordinal in 0..2_u8 {
            records.extend(shards.iter().map(|shard| record(*shard, [round, ordinal])));
        }
        positions.push(append(&store, round, records).await);
    }
    for shard in shards {
        let records = log(&store, shard).await;
        assert_eq!(records.len(), 20);
        for (index, record) in records.iter().enumerate() {
            assert_eq!(record.position, positions[index / 2]);
            assert_eq!(usize::try_from(record.ordinal).unwrap(), index % 2);
        }
    }
    store.engine.log_trim(ShardId(1), positions[9]).await.unwrap();
    assert_eq!(log(&store, ShardId(1)).await, Vec::new());
    assert_eq!(log(&store, ShardId(0)).await.len(), 20);
    assert_eq!(log(&store, ShardId(2)).await, Vec::new());
    // An engine may keep silent about its shards, but it names none that has no records.
    let named = store.engine.log_shards().await.unwrap();
    assert!(named.iter().all(|shard| shards.contains(shard) && *shard != ShardId(1)));
    assert!(named.is_empty() || named.len() == 3, "{named:?}");
}

/// Reading after a cursor gives what follows it, in the middle of a commit too.
pub async fn a_cursor_reads_on_from_where_it_stands(factory: &dyn EngineFactory) {
    let store = Store::new(factory, "a_cursor_reads_on_from_where_it_stands").await;
    for round in 0..10_u8 {
        let shards = if round % 3 == 2 { vec![ShardId(9)] } else { vec![SHARD, SHARD, SHARD] };
        append(&store, round, shards.into_iter().map(|shard| record(shard, [round])).collect())
            .await;
    }
    let all = log(&store, SHARD).await;
    for (index, record) in all.iter().enumerate() {
        let after =
            store.engine.log_read(SHARD, Some(place(record)), ALL_RECORDS).await.unwrap().records;
        assert_eq!(after, all[index + 1..]);
        let beyond = LogCursor { ordinal: u32::MAX, ..place(record) };
        let after = store.engine.log_read(SHARD, Some(beyond), ALL_RECORDS).await.unwrap().records;
        let expected: Vec<_> =
            all.iter().filter(|other| other.position > record.position).cloned().collect();
        assert_eq!(after, expected);
    }
    let start = LogCursor { position: Position(0), ordinal: u32::MAX };
    assert_eq!(store.engine.log_read(SHARD, Some(start), ALL_RECORDS).await.unwrap().records, all);
    // What is appended later is found from where the reader stopped.
    let stopped = all.last().map(place);
    append(&store, 99, vec![record(SHARD, "later")]).await;
    let later = store.engine.log_read(SHARD, stopped, ALL_RECORDS).await.unwrap().records;
    assert_eq!(later.len(), 1);
    assert_eq!(later[0].payload, bytes("later"));
}

/// A page of records ends with the one that reaches a limit.
pub async fn a_page_of_records_ends_at_its_limits(factory: &dyn EngineFactory) {
    let store = Store::new(factory, "a_page_of_records_ends_at_its_limits").await;
    for round in 0..7_u8 {
        append(&store, round, (0..3).map(|_| record(SHARD, [round; 10])).collect()).await;
    }
    let all = log(&store, SHARD).await;
    for (rows, bytes) in
        [(1, 1000), (2, 1000), (20, 1000), (21, 1000), (22, 1000), (99, 0), (99, 10), (99, 25)]
    {
        let limit = PageLimit { rows, bytes };
        let expected = rows.min(bytes.div_ceil(10).max(1)).min(21);
        let mut found: Vec<LoggedRecord> = Vec::new();
        loop {
            let after = found.last().map(place);
            let page = store.engine.log_read(SHARD, after, limit).await.unwrap().records;
            assert_eq!(page.len(), expected.min(21 - found.len()), "{limit:?}");
            if page.is_empty() {
                break;
            }
            found.extend(page);
        }
        assert_eq!(found, all);
    }
}

/// Trimming forgets the records up to a position and no others.
pub async fn trimmed_records_are_gone_and_later_ones_stay(factory: &dyn EngineFactory) {
    let store = Store::new(factory, "trimmed_records_are_gone_and_later_ones_stay").await;
    for round in 0..10_u8 {
        append(&store, round, vec![record(SHARD, [round]), record(SHARD, [round])]).await;
    }
    let all = log(&store, SHARD).await;
    for keep_from in [6, 6, 2, 12] {
        let up_to = all[keep_from - 1].position;
        store.engine.log_trim(SHARD, up_to).await.unwrap();
        let kept: Vec<_> = all[keep_from.max(6)..].to_vec();
        assert_eq!(log(&store, SHARD).await, kept, "trimming does not bring records back");
        let behind = Some(place(&all[1]));
        assert_eq!(store.engine.log_read(SHARD, behind, ALL_RECORDS).await.unwrap().records, kept);
    }
    store.engine.log_trim(SHARD, Position(all[19].position.0)).await.unwrap();
    assert_eq!(log(&store, SHARD).await, Vec::new());
    append(&store, 11, vec![record(SHARD, "after")]).await;
    assert_eq!(log(&store, SHARD).await.len(), 1);
    store.engine.log_trim(ShardId(77), Position(1)).await.unwrap();
}

/// What was not committed left no record.
pub async fn a_conflict_appends_nothing(factory: &dyn EngineFactory) {
    let store = Store::new(factory, "a_conflict_appends_nothing").await;
    let before = append(&store, 1, vec![record(SHARD, "one")]).await;
    let refused = commit_of(vec![absent(key("p", [1]))], vec![put(key("p", [1]), "two")]);
    store.conflict(Commit { records: vec![record(SHARD, "two")], ..refused }).await;
    let after = append(&store, 2, vec![record(SHARD, "three")]).await;
    assert!(before < after);
    let payloads: Vec<_> =
        log(&store, SHARD).await.into_iter().map(|record| record.payload).collect();
    assert_eq!(payloads, [bytes("one"), bytes("three")]);
}

/// A reader that has read to the end knows how far it got, and stays in front of what comes later.
pub async fn a_reader_at_the_end_knows_where_it_is(factory: &dyn EngineFactory) {
    let store = Store::new(factory, "a_reader_at_the_end_knows_where_it_is").await;
    let mut after = None;
    for round in 0..6_u8 {
        let position = append(&store, round, vec![record(SHARD, [round])]).await;
        let end = store.engine.log_end(SHARD).await.unwrap();
        assert!(end >= position);
        let page = store.engine.log_read(SHARD, after, ALL_RECORDS).await.unwrap();
        assert_eq!(page.records.len(), 1);
        assert!(page.reached >= position);
        // From the end on, wherever it was learned.
        let from = if round % 2 == 0 { end } else { page.reached };
        let from = Some(LogCursor { position: from, ordinal: u32::MAX });
        let page = store.engine.log_read(SHARD, from, ALL_RECORDS).await.unwrap();
        assert_eq!(page.records, Vec::new());
        after = from;
    }
    append(&store, 7, vec![record(SHARD, "a"), record(SHARD, "b")]).await;
    append(&store, 8, vec![record(SHARD, "c")]).await;
    let limit = PageLimit { rows: 1, bytes: 1000 };
    let page = store.engine.log_read(SHARD, after, limit).await.unwrap();
    assert!(page.reached < page.records[0].position, "there is more of that commit");
}

/// After a cut the closed shards take no more records, and what the opened ones take lies behind it.
pub async fn a_cut_closes_shards_for_good(factory: &dyn EngineFactory) {
    let store = Store::new(factory, "a_cut_closes_shards_for_good").await;
    let (parent, child, other) = (SHARD, ShardId(30), ShardId(31));
    if !store.engine.capabilities().shared {
        let cut = store.engine.log_cut(vec![parent], vec![child]).await;
        assert!(matches!(cut, Err(EngineError::Unsupported(_))));
        return;
    }
    let before = append(&store, 1, vec![record(parent, "one")]).await;
    let cut = store.engine.log_cut(vec![parent], vec![child]).await.unwrap();
    assert!(before <= cut);
    let refused = Commit {
        records: vec![record(child, "two"), record(parent, "two")],
        ..commit_of(Vec::new(), vec![put(key("p", [1]), "two")])
    };
    let outcome = store.try_commit(refused.clone()).await.unwrap();
    assert!(matches!(outcome, Outcome::Closed { shard } if shard == parent), "{outcome:?}");
    assert_eq!(store.value(key("p", [1])).await, Some(bytes([1])));
    assert!(append(&store, 1, vec![record(child, "two")]).await > cut);
    // Who was interrupted does it again.
    let again = store.engine.log_cut(vec![parent], vec![other]).await.unwrap();
    assert!(again >= cut);
    assert!(append(&store, 1, vec![record(other, "three")]).await > again);
    assert!(matches!(store.try_commit(refused).await.unwrap(), Outcome::Closed { .. }));
    assert_eq!(log(&store, parent).await.len(), 1);
    assert_eq!(log(&store, child).await.len(), 1);
}
