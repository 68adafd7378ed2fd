//! Transactions on an engine whose commits stay within one partition.
//!
//! # The algorithm
//!
//! 1. Read the items, apply the writes; what refuses, refuses here.
//! 2. Write the record of the transaction: pending, with its participants and a deadline.
//! 3. Prepare: beside each item, in its own partition, put an *intent* with what the item will be, on
//!    the precondition that the item is as it was read and has no intent. While the intent is there
//!    nobody else writes the item, so that from the last intent on all items are as they were read.
//! 4. Decide: one commit turns the record from pending to committed. This is the moment at which the
//!    transaction happens.
//! 5. Roll forward: for each item one commit in its partition removes the intent and writes the item
//!    with its index entries. Then the record goes, unless it holds a token.
//!
//! Example: a transfer from `a` (version 3) to `b` (version 8). Its intents say `a = 5` and `b = 15`.
//! The process dies after step 4 has turned the record to committed. Somebody writes `b`: finds the
//! intent, asks the record, rolls `b` forward to 15, and then writes on top of that. Somebody reads
//! `a` strongly: finds the intent, rolls `a` forward to 5, reads 5.
//!
//! # Whoever meets an intent
//!
//! asks its record. Committed: rolls forward. Aborted, or gone, or of another attempt: removes the
//! intent. Pending: a read takes the item as it is, since the transaction has not happened; a write
//! waits for a while and then is refused as a conflict; after the deadline it aborts the transaction
//! and goes on. So nobody waits for a process that has died for longer than the deadline, and nobody
//! waits in a circle: who waits gives up.
//!
//! # Why nothing is lost or happens twice
//!
//! - The decision is a compare-and-set on the version of the pending record: it is made once, by the
//!   coordinator as committed or by anybody as aborted.
//! - Each step waits until the one before is durable.
//! - The commit that prepares has an outcome, or its transaction is aborted: an attempt is a random
//!   number, and an intent that arrives late finds no committed record with its attempt.
//! - A record is removed, or given to the next attempt with its token, only after no participant has
//!   an intent of a committed attempt.
//!
//! Entries of global indexes are derived from the commit that rolls their item forward. The size of an item collection is checked when the transaction prepares, and counted when it rolls forward.

use std::time::Duration;

use bytes::Bytes;
use zenobe_model::limits::TRANSACTION_BYTES_MAX;
use zenobe_model::{EncodedItem, ErrorCode, ServiceError};
use zenobe_storage::{
    Commit, Direction, HashInterval, Key, Lane, Mutation, Outcome, PageLimit, RangeRead, Read, Row,
    RowPlace, ScanRead, SortBound, SpaceId,
};

use super::record::{self, Effect, Intent, Record, State};
use super::{Begin, conflict, expiry, get, participants};
use crate::background::make_item_good;
use crate::catalog::Table;
use crate::stream::Entered;
use crate::write::{
    self, CONFLICT_RETRIES_MAX, ItemChange, ItemWrite, Keys, Origin, Plan, Refusal, Written,
    as_read,
};
use crate::{Inner, engine_failure, index, key, stream};

/// How often a transaction starts again because another process changed an item under it.
const ATTEMPTS_MAX: usize = 8;
/// How often the record of a pending transaction is looked at before its intent is a conflict.
const MEETINGS_MAX: u32 = 6;
/// How long to wait before looking at it for the second time; from then on twice as long each time.
const MEETING_DELAY: Duration = Duration::from_millis(2);
/// How many intents are read at once.
const INTENTS_PAGE: PageLimit = PageLimit { rows: 256, bytes: 4 << 20 };

/// Makes all writes or none.
///
/// # Errors
/// [`Refusal`]
pub(super) async fn write(
    db: &Inner,
    writes: &[ItemWrite],
    begin: Begin,
) -> Result<Vec<Written>, Refusal> {
    let keys = Keys::of(db, writes);
    let mut begin = Some(begin);
    for _ in 0..ATTEMPTS_MAX {
        let Some(start) = begin.take() else { break };
        match attempt(db, writes, &keys, start).await? {
            Attempt::Written(written) => return Ok(written),
            Attempt::Again(start) => begin = Some(start),
        }
    }
    Err(Refusal::Contended)
}

/// What an attempt came to.
enum Attempt {
    Written(Vec<Written>),
    /// Another process was quicker, or an outcome could not be told; nothing has happened.
    Again(Begin),
}

async fn attempt(
    db: &Inner,
    writes: &[ItemWrite],
    keys: &Keys,
    begin: Begin,
) -> Result<Attempt, Refusal> {
    let latches = db.latches.lock(&keys.all).await;
    let rows = write::read_rows(db, &keys.all).await?;
    if let Some((intent, row)) = keys.first_intent(&rows) {
        drop(latches);
        meet_for(db, writes, (intent, row)).await?;
        return Ok(Attempt::Again(begin));
    }
    let header = write::header(db);
    let plan = match Plan::make(writes, keys, &rows, header, TRANSACTION_BYTES_MAX) {
        Ok(plan) => plan,
        Err(refusal) => {
            drop(latches);
            write::await_durable(db, &keys.all).await?;
            return Err(refusal);
        }
    };
    let key = begin.key.clone();
    let Some(mut coordinator) = Coordinator::begin(db, writes, begin).await? else {
        return Err(Refusal::Rider);
    };
    let decided = match coordinator.prepare(writes, &rows, &plan.written).await {
        Ok(true) => coordinator.decide().await,
        Ok(false) => Ok(false),
        Err(error) => Err(error),
    };
    match decided {
        Ok(true) => {
            // Its commits are still to come, one for each item.
            write::count(db, writes, &plan.written, None);
            coordinator.roll_forward().await;
            Ok(Attempt::Written(plan.written))
        }
        Ok(false) => {
            let before = coordinator.abort().await?;
            let fingerprint = coordinator.record.fingerprint;
            let record = Record::new(db.environment.random(), fingerprint);
            Ok(Attempt::Again(Begin { key, before, record }))
        }
        Err(error) => {
            // Nobody need wait for the deadline, if this works.
            if let Err(error) = coordinator.abort().await {
                tracing::debug!(%error, "a transaction is left to whoever meets it");
            }
            Err(error.into())
        }
    }
}

/// Meets an intent beside an item of these writes: returns when the intent is resolved.
///
/// # Errors
/// A conflict for the write of the item beside which the intent lies, if its transaction is under way for longer
/// than one waits.
pub(crate) async fn meet_for(
    db: &Inner,
    writes: &[ItemWrite],
    intent: (&Key, &Row),
) -> Result<(), Refusal> {
    meet(db, intent).await.map_err(|error| {
        if error.code != ErrorCode::TransactionConflict {
            return error.into();
        }
        let is_it = |write: &ItemWrite| key::intent_key(write.key()) == *intent.0;
        Refusal::Actions(writes.iter().map(|write| is_it(write).then(|| error.clone())).collect())
    })
}

/// How a commit ended for somebody who cannot go on without knowing.
enum Certain {
    Done(Row),
    Conflict,
    /// It may happen later.
    Unknown,
}

/// Commits the change of one row and waits until it is durable.
async fn change_row(db: &Inner, commit: Commit, value: Bytes) -> Result<Certain, ServiceError> {
    match db.engine.commit(commit).await.map_err(|error| engine_failure(&error))? {
        Outcome::Committed { position, version } => {
            db.engine.durable(position).await.map_err(|error| engine_failure(&error))?;
            Ok(Certain::Done(Row { version, value }))
        }
        Outcome::Conflict { .. } | Outcome::Closed { .. } => Ok(Certain::Conflict),
        Outcome::Unknown => Ok(Certain::Unknown),
    }
}

/// Replaces the record that was read as `before`. The row as it is afterwards, or `None` if somebody
/// else has changed it.
///
/// Safe to try again after an unknown outcome: the precondition holds for one commit only, and its
/// value is unlike any other.
async fn change_record(
    db: &Inner,
    key: &Key,
    before: Option<&Row>,
    record: &Record,
) -> Result<Option<Row>, ServiceError> {
    let value = record.encode();
    let mut doubtful = false;
    for _ in 0..CONFLICT_RETRIES_MAX {
        let commit = Commit {
            preconditions: vec![as_read(key.clone(), before)],
            mutations: vec![Mutation { key: key.clone(), value: Some(value.clone()) }],
            ..Commit::default()
        };
        let changed = match change_row(db, commit, value.clone()).await {
            Ok(Certain::Done(row)) => return Ok(Some(row)),
            // Perhaps with a commit of our own whose outcome was unknown.
            Ok(Certain::Conflict) => get(db, key.clone(), Read::Strong).await,
            Ok(Certain::Unknown) => {
                doubtful = true;
                continue;
            }
            Err(error) => Err(error),
        };
        return match changed {
            Ok(found) => Ok(found.filter(|row| row.value == value)),
            // Nobody can say that nothing happened.
            Err(_) if doubtful => Err(ServiceError::internal()),
            Err(error) => Err(error),
        };
    }
    Err(ServiceError::internal())
}

/// Who drives a transaction.
struct Coordinator<'a> {
    db: &'a Inner,
    key: Key,
    record: Record,
    row: Row,
}

impl<'a> Coordinator<'a> {
    /// Writes the pending record. `None` if somebody else has written it.
    async fn begin(
        db: &'a Inner,
        writes: &[ItemWrite],
        begin: Begin,
    ) -> Result<Option<Self>, ServiceError> {
        let record = begin.record.pending(db.environment.now_ms(), participants(writes));
        let row = change_record(db, &begin.key, begin.before.as_ref(), &record).await?;
        Ok(row.map(|row| Self { db, key: begin.key, record, row }))
    }

    /// Puts an intent beside each item. Whether that worked for all.
    async fn prepare(
        &self,
        writes: &[ItemWrite],
        rows: &[Option<Row>],
        written: &[Written],
    ) -> Result<bool, ServiceError> {
        let mut positions = Vec::with_capacity(writes.len());
        for ((write, row), written) in writes.iter().zip(rows).zip(written) {
            let effect = match &written.new {
                _ if write.is_check() => Effect::Check,
                None => Effect::Delete,
                Some(item) => Effect::Put(item.bytes().clone()),
            };
            let intent =
                Intent { attempt: self.record.attempt, record: self.key.partition.clone(), effect };
            let item = write.key();
            let key = key::intent_key(item.clone());
            let commit = Commit {
                preconditions: vec![as_read(item, row.as_ref()), as_read(key.clone(), None)],
                mutations: vec![Mutation { key: key.clone(), value: Some(intent.encode()) }],
                ..Commit::default()
            };
            match self.db.engine.commit(commit).await.map_err(|error| engine_failure(&error))? {
                Outcome::Committed { position, .. } => positions.push(position),
                Outcome::Conflict { .. } | Outcome::Closed { .. } => return Ok(false),
                // If it is not there it may come later, so this attempt must not be committed.
                Outcome::Unknown => {
                    let found = get(self.db, key, Read::Strong).await?;
                    if found.is_none_or(|row| row.value != intent.encode()) {
                        return Ok(false);
                    }
                }
            }
        }
        for position in positions {
            self.db.engine.durable(position).await.map_err(|error| engine_failure(&error))?;
        }
        Ok(true)
    }

    /// Decides. Whether the transaction has happened; `false` if somebody has aborted it.
    async fn decide(&mut self) -> Result<bool, ServiceError> {
        let committed = self.record.clone().committed(expiry(self.db));
        match change_record(self.db, &self.key, Some(&self.row), &committed).await? {
            Some(row) => {
                (self.record, self.row) = (committed, row);
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// Writes the items, and removes what is not needed any more. What fails here is done by whoever
    /// comes next.
    async fn roll_forward(&self) {
        let done = resolve_participants(self.db, &self.record).await;
        let done = match done {
            Ok(()) if self.record.fingerprint == 0 => remove(self.db, &self.key, &self.row).await,
            other => other,
        };
        if let Err(error) = done {
            tracing::debug!(%error, "a committed transaction is left to whoever meets it");
        }
    }

    /// Aborts, and removes the intents. What is left of the record, for the next attempt.
    ///
    /// # Errors
    /// If the transaction has been committed after all, or nobody knows.
    async fn abort(&self) -> Result<Option<Row>, ServiceError> {
        let row = finish(self.db, &self.key, self.row.clone()).await?;
        let Some(row) = row else { return Ok(None) };
        let found = Record::decode(&row.value)?;
        if found.attempt == self.record.attempt && found.state == State::Aborted {
            return Ok(Some(row));
        }
        Err(ServiceError::internal())
    }
}

/// Brings the transaction with this record to its end: aborts it if it is pending, and leaves no
/// intent of it. What is left of the record.
///
/// # Errors
/// If the engine fails, or somebody else is changing the record all the time.
pub(super) async fn finish(db: &Inner, key: &Key, row: Row) -> Result<Option<Row>, ServiceError> {
    let mut row = row;
    for _ in 0..CONFLICT_RETRIES_MAX {
        let found = Record::decode(&row.value)?;
        if found.state != State::Pending {
            resolve_participants(db, &found).await?;
            return Ok(Some(row));
        }
        let changed = change_record(db, key, Some(&row), &found.aborted()).await?;
        row = match changed {
            Some(row) => row,
            None => match get(db, key.clone(), Read::Strong).await? {
                Some(row) => row,
                None => return Ok(None),
            },
        };
    }
    Err(ServiceError::internal())
}

/// Removes a record that nobody needs.
pub(super) async fn remove(db: &Inner, key: &Key, row: &Row) -> Result<(), ServiceError> {
    let commit = Commit {
        preconditions: vec![as_read(key.clone(), Some(row))],
        mutations: vec![Mutation { key: key.clone(), value: None }],
        ..Commit::default()
    };
    db.engine.commit(commit).await.map(drop).map_err(|error| engine_failure(&error))
}

/// Leaves no intent of a decided transaction.
async fn resolve_participants(db: &Inner, record: &Record) -> Result<(), ServiceError> {
    for participant in &record.participants {
        let item = participant.item_key();
        if let Some(row) = intent_row(db, &item).await? {
            let intent = Intent::decode(&row.value)?;
            if intent.attempt == record.attempt {
                let committed = record.state == State::Committed;
                resolve(db, item, row, intent, committed).await?;
            }
        }
    }
    Ok(())
}

/// The intent beside an item. None is left of a table that is gone.
async fn intent_row(db: &Inner, item: &Key) -> Result<Option<Row>, ServiceError> {
    match db.engine.get(key::intent_key(item.clone()), Read::Strong).await {
        Err(zenobe_storage::EngineError::NoSpace(_)) => Ok(None),
        row => row.map_err(|error| engine_failure(&error)),
    }
}

/// Meets an intent in order to write its item: returns when the intent is resolved.
///
/// # Errors
/// `TransactionConflictException` if its transaction is under way for longer than one waits.
pub(super) async fn meet(db: &Inner, intent: (&Key, &Row)) -> Result<(), ServiceError> {
    let (key, row) = intent;
    let item = Key { lane: Lane::ITEM, ..key.clone() };
    let intent = Intent::decode(&row.value)?;
    let record_key = record::key(intent.record.clone());
    for meeting in 0..MEETINGS_MAX {
        match standing(db, &record_key, &intent).await? {
            Standing::Committed => return resolve(db, item, row.clone(), intent, true).await,
            Standing::Over => return resolve(db, item, row.clone(), intent, false).await,
            Standing::Abandoned(record) => {
                finish(db, &record_key, record).await?;
            }
            Standing::Pending => db.environment.sleep(MEETING_DELAY * 2_u32.pow(meeting)).await,
        }
    }
    Err(conflict())
}

/// Where the transaction of an intent stands.
enum Standing {
    Committed,
    /// Aborted, or so long ago that its record is gone.
    Over,
    Pending,
    /// Pending after its deadline.
    Abandoned(Row),
}

async fn standing(db: &Inner, record_key: &Key, intent: &Intent) -> Result<Standing, ServiceError> {
    let Some(row) = get(db, record_key.clone(), Read::Strong).await? else {
        return Ok(Standing::Over);
    };
    let record = Record::decode(&row.value)?;
    if record.attempt != intent.attempt {
        return Ok(Standing::Over);
    }
    Ok(match record.state {
        State::Committed => Standing::Committed,
        State::Aborted => Standing::Over,
        State::Pending if record.deadline_ms <= db.environment.now_ms() => Standing::Abandoned(row),
        State::Pending => Standing::Pending,
    })
}

/// Removes an intent, and writes its item if the transaction is committed. Does nothing if somebody
/// else has.
async fn resolve(
    db: &Inner,
    item: Key,
    row: Row,
    intent: Intent,
    committed: bool,
) -> Result<(), ServiceError> {
    let intent_key = key::intent_key(item.clone());
    let rolls = committed && intent.effect != Effect::Check;
    for _ in 0..CONFLICT_RETRIES_MAX {
        let Some(table) = table_of(db, item.space) else { return Ok(()) };
        let mut commit = Commit {
            preconditions: vec![as_read(intent_key.clone(), Some(&row))],
            mutations: vec![Mutation { key: intent_key.clone(), value: None }],
            ..Commit::default()
        };
        let streams = Entered::enter(std::iter::once(&table)).await;
        let old = match rolls {
            true => roll_into(db, (&table, &streams), &item, &intent, &mut commit).await?,
            false => None,
        };
        let begun_ms = db.environment.elapsed_ms();
        db.catalog.check_may_commit(db, std::iter::once(&*table))?;
        let outcome = db.engine.commit(commit).await.map_err(|error| engine_failure(&error))?;
        drop(streams);
        match outcome {
            Outcome::Committed { position, .. } => {
                if rolls && db.catalog.may_be_late(db, begun_ms) {
                    make_item_good(db, &table, item, old.as_ref()).await?;
                }
                return db.engine.durable(position).await.map_err(|error| engine_failure(&error));
            }
            Outcome::Closed { shard } => stream::meet_cut(db, shard).await?,
            Outcome::Conflict { .. } | Outcome::Unknown => {}
        }
        let now = intent_row(db, &item).await?;
        if now.is_none_or(|now| now.version != row.version) {
            return Ok(());
        }
    }
    Err(ServiceError::internal())
}

/// Adds to a commit that removes an intent what the intent does to its item. The item before.
async fn roll_into(
    db: &Inner,
    (table, streams): (&Table, &Entered<'_>),
    item: &Key,
    intent: &Intent,
    commit: &mut Commit,
) -> Result<Option<EncodedItem>, ServiceError> {
    let collection = collection_key(table, item);
    let keys: Vec<Key> = std::iter::once(item.clone()).chain(collection.clone()).collect();
    let mut rows = write::read_rows(db, &keys).await?.into_iter();
    let (old_row, collection_row) = (rows.next().flatten(), rows.next().flatten());
    let old = old_row.as_ref().map(|row| write::decode(row.value.clone())).transpose()?;
    let new = match &intent.effect {
        Effect::Put(bytes) => Some(write::decode(bytes.clone())?),
        Effect::Check | Effect::Delete => None,
    };
    let change = ItemChange { table, key: item.clone(), old: &old, new: &new };
    let indexes = change.add_to(commit);
    commit.preconditions.push(as_read(item.clone(), old_row.as_ref()));
    let now_ms = db.environment.now_ms();
    let from = (table, &item.partition[..], Origin::Request);
    commit.records.extend(streams.record(db, from, (old.as_ref(), new.as_ref()), now_ms));
    if let Some(collection) = collection {
        let size = collection_row.as_ref().map(write::decode_collection).transpose()?;
        let size = new_collection_size(size.unwrap_or_default(), &old, &new, &indexes);
        commit.preconditions.push(as_read(collection.clone(), collection_row.as_ref()));
        let value = (size > 0).then(|| Bytes::copy_from_slice(&size.to_be_bytes()));
        commit.mutations.push(Mutation { key: collection, value });
    }
    Ok(old)
}

fn collection_key(table: &Table, item: &Key) -> Option<Key> {
    (!table.local_indexes.is_empty()).then(|| Key {
        lane: key::COLLECTION_LANE,
        sort: Bytes::new(),
        ..item.clone()
    })
}

fn new_collection_size(
    size: u64,
    old: &Option<EncodedItem>,
    new: &Option<EncodedItem>,
    indexes: &[index::IndexChange],
) -> u64 {
    let bytes = |item: &Option<EncodedItem>| item.as_ref().map_or(0, EncodedItem::size_bytes);
    let before = bytes(old) + write::local_bytes(indexes, |change| change.old_bytes);
    let after = bytes(new) + write::local_bytes(indexes, |change| change.new_bytes);
    size.saturating_sub(before as u64).saturating_add(after as u64)
}

fn table_of(db: &Inner, space: SpaceId) -> Option<std::sync::Arc<Table>> {
    db.catalog.tables().into_iter().find(|table| table.space == space)
}

/// Resolves what strong reads of these items must not overlook: intents of committed transactions. To
/// be called before the items are read; what is committed later may be seen or not.
pub(crate) async fn settle_items(db: &Inner, items: &[Key]) -> Result<(), ServiceError> {
    if db.engine.capabilities().global_commit {
        return Ok(());
    }
    let keys = items.iter().cloned().map(key::intent_key).collect();
    let rows = db.engine.multi_get(keys, Read::Strong).await;
    let rows = rows.map_err(|error| engine_failure(&error))?;
    for (item, row) in items.iter().zip(rows) {
        if let Some(row) = row {
            settle(db, item.clone(), row).await?;
        }
    }
    Ok(())
}

/// The same for all items of a partition.
pub(crate) async fn settle_partition(
    db: &Inner,
    space: SpaceId,
    partition: &Bytes,
) -> Result<(), ServiceError> {
    if db.engine.capabilities().global_commit {
        return Ok(());
    }
    let mut from = SortBound::Unbounded;
    loop {
        let range = RangeRead {
            space,
            partition: partition.clone(),
            lane: key::INTENT_LANE,
            from,
            to: SortBound::Unbounded,
            direction: Direction::Forward,
            limit: INTENTS_PAGE,
        };
        let page = db.engine.range(range, Read::Strong).await;
        let page = page.map_err(|error| engine_failure(&error))?;
        let Some((last, _)) = page.rows.last() else { return Ok(()) };
        from = SortBound::Excluded(last.sort.clone());
        settle_page(db, space, page.rows).await?;
        if page.end {
            return Ok(());
        }
    }
}

/// The same for all items of a space whose partitions lie in an interval.
pub(crate) async fn settle_interval(
    db: &Inner,
    space: SpaceId,
    interval: HashInterval,
) -> Result<(), ServiceError> {
    if db.engine.capabilities().global_commit {
        return Ok(());
    }
    let mut after = None;
    loop {
        let lane = key::INTENT_LANE;
        let scan = ScanRead { space, lane, interval, after, limit: INTENTS_PAGE };
        let page = db.engine.scan(scan, Read::Strong).await;
        let page = page.map_err(|error| engine_failure(&error))?;
        let Some((last, _)) = page.rows.last() else { return Ok(()) };
        after = Some(last.clone());
        settle_page(db, space, page.rows).await?;
        if page.end {
            return Ok(());
        }
    }
}

async fn settle_page(
    db: &Inner,
    space: SpaceId,
    rows: Vec<(RowPlace, Row)>,
) -> Result<(), ServiceError> {
    for (place, row) in rows {
        let RowPlace { partition, sort } = place;
        settle(db, Key { space, partition, lane: Lane::ITEM, sort }, row).await?;
    }
    Ok(())
}

/// Resolves an intent unless its transaction is pending: then the item is what it was.
async fn settle(db: &Inner, item: Key, row: Row) -> Result<(), ServiceError> {
    let intent = Intent::decode(&row.value)?;
    match standing(db, &record::key(intent.record.clone()), &intent).await? {
        Standing::Committed => resolve(db, item, row, intent, true).await,
        Standing::Over => resolve(db, item, row, intent, false).await,
        Standing::Pending | Standing::Abandoned(_) => Ok(()),
    }
}
