//! Looking whether a stream's records can be read, and whether they fit the items of its table.
//!
//! # What is looked at
//!
//! Every shard that is kept is read as a reader of the stream does, from what is not forgotten yet up to where it
//! ends at the moment. Its records must be within the shard and ascend, so that no sequence number is there twice,
//! and each must decode. A reader stops at a commit that is under way, so a shard that cannot be read up to its end
//! for [`UNFINISHED_LOOKS_MAX`] looks has something unfinished.
//!
//! Each record of a key must begin with what the one before left, as far as the view has images, or one between
//! them is missing.
//!
//! While the table has the stream, the newest record of each key must say what the item is: the new image, if
//! the view has it; else that the item is there, or that it is not.
//!
//! # While others write
//!
//! An item is read before the records that may be about it. So if the two do not fit, the item has changed since
//! or something is wrong; and if they still do not fit at the next look, with neither a newer record nor another
//! version of the item, nothing has changed.
//!
//! # Memory
//!
//! Newest records are remembered by their keys, in the order of these, up to a bound. With more keys the shards are
//! read again, from the first key on for which there was no room.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_128;
use zenobe_model::codec::ItemHeader;
use zenobe_model::operation::StreamEvent;
use zenobe_model::{EncodedItem, ServiceError};
use zenobe_storage::{
    EngineError, LogCursor, LogPage, LoggedRecord, PageLimit, Position, Read, RowPlace, Version,
};

use super::reading::place_of;
use super::{position, record};
use crate::catalog::{Shard, Stream, Table};
use crate::check::{LOOK_AGAIN, LOOKS_MAX, Progress};
use crate::{Inner, check, engine_failure, key, write};

const PAGE: PageLimit = PageLimit { rows: 1000, bytes: 1 << 20 };
/// How often a reader that does not get on looks before what stops it counts as unfinished: for longer than an
/// engine leaves the commits of a dead process alone.
const UNFINISHED_LOOKS_MAX: usize = 100;
/// How many bytes of newest records are remembered.
const NEWEST_BYTES_MAX: usize = 64 << 20;
/// What one takes beside its key.
const NEWEST_BYTES: usize = 128;
/// How many items are read at once.
const ITEMS_AT_ONCE: usize = 100;

/// What was found of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamCheck {
    /// `TableName`
    pub table: String,
    /// `StreamLabel`
    pub label: String,
    /// Records that were read.
    pub records: u64,
    /// Keys whose newest record was compared with the item.
    pub items: u64,
    /// What does not fit.
    pub faults: u64,
    /// The first faults, for a person.
    pub named: Vec<String>,
}

impl StreamCheck {
    /// Whether the stream can be read and agrees with its table.
    #[must_use]
    pub const fn agrees(&self) -> bool {
        self.faults == 0
    }

    fn fault(&mut self, what: impl FnOnce() -> String) {
        self.faults += 1;
        check::name(&mut self.named, what);
    }
}

impl fmt::Display for StreamCheck {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, label, records, items, faults, named } = self;
        writeln!(
            out,
            "{table}/stream/{label}: {records} records, {items} items compared, {faults} faults"
        )?;
        named.iter().try_for_each(|fault| writeln!(out, "  {fault}"))
    }
}

/// A key of a table, in an order.
type ItemKey = (Bytes, Bytes);

/// What a change leaves of its item, or what an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Nothing,
    /// An item with attributes that have this hash, where they are known.
    Item(Option<u128>),
}

impl Left {
    fn of(item: Option<&EncodedItem>) -> Self {
        // Whenever and by whom it was written does not matter.
        let hash = |item: &EncodedItem| xxh3_128(item.with_header(ItemHeader::default()).bytes());
        item.map_or(Self::Nothing, |item| Self::Item(Some(hash(item))))
    }

    /// Whether the two may be the same.
    fn fits(self, other: Self) -> bool {
        match (self, other) {
            (Self::Item(None), Self::Item(_)) | (Self::Item(_), Self::Item(None)) => true,
            (one, other) => one == other,
        }
    }
}

/// The newest record of a key.
#[derive(Clone, Copy, Debug)]
struct Newest {
    at: LogCursor,
    left: Left,
    /// The first two neighbouring records of the key between which one is missing.
    gap: Option<(LogCursor, LogCursor)>,
}

/// Checks a stream.
///
/// # Errors
/// What the engine answered, or that a stored item does not decode.
pub(crate) async fn check(
    db: &Inner,
    stream: &Stream,
    progress: &mut Progress<'_>,
) -> Result<StreamCheck, ServiceError> {
    check_within(db, stream, NEWEST_BYTES_MAX, progress).await
}

async fn check_within(
    db: &Inner,
    stream: &Stream,
    bytes_max: usize,
    progress: &mut Progress<'_>,
) -> Result<StreamCheck, ServiceError> {
    let mut found = StreamCheck {
        table: stream.table_name.clone(),
        label: stream.label.clone(),
        ..StreamCheck::default()
    };
    let mut pass = Pass { bytes_max, ..Pass::default() };
    loop {
        pass.read(db, stream, &mut found, progress).await?;
        // Behind what cannot be read there may be newer records.
        if pass.unreadable.is_empty() {
            pass.compare(db, stream, &mut found, progress).await?;
        }
        pass.report_gaps(db, &mut found);
        match pass.end.take() {
            Some(from) if pass.unreadable.is_empty() => {
                pass = Pass { from: Some(from), bytes_max, ..Pass::default() };
            }
            _ => return Ok(found),
        }
    }
}

/// One reading of all shards, for the keys from one on up to as many as there is room for.
#[derive(Default)]
struct Pass {
    /// The first key; all before were compared by earlier passes.
    from: Option<ItemKey>,
    /// The first key that there was no room for.
    end: Option<ItemKey>,
    newest: BTreeMap<ItemKey, Newest>,
    /// How many bytes `newest` takes, and may take.
    bytes: usize,
    bytes_max: usize,
    /// The last record of each shard that was read, by the shard's number in the log.
    cursors: BTreeMap<u64, LogCursor>,
    /// Shards that cannot be read up to their ends.
    unreadable: BTreeSet<u64>,
}

impl Pass {
    /// Reads all shards from where the last call ended up to where they end now.
    async fn read(
        &mut self,
        db: &Inner,
        stream: &Stream,
        found: &mut StreamCheck,
        progress: &mut Progress<'_>,
    ) -> Result<(), ServiceError> {
        let what = format!("{}/stream/{}", stream.table_name, stream.label);
        // As it is now: shards may have rolled over. Parents come before their children.
        let Some(stream) = db.catalog.streams.find(&stream.table_name, &stream.label) else {
            return Ok(());
        };
        for shard in &stream.shards {
            self.read_shard(db, &stream, shard, found).await?;
            progress(&what, found.records);
        }
        Ok(())
    }

    async fn read_shard(
        &mut self,
        db: &Inner,
        stream: &Stream,
        shard: &Shard,
        found: &mut StreamCheck,
    ) -> Result<(), ServiceError> {
        let log = shard.name.log;
        let end = db.engine.log_end(shard.name.shard()).await;
        let end = end.map_err(|error| engine_failure(&error))?;
        let mut looks = 0;
        while !self.unreadable.contains(&log) {
            let horizon = position::end_of(db.catalog.streams.horizon());
            let after = self.cursors.get(&log).copied().unwrap_or(horizon);
            let page = db.engine.log_read(shard.name.shard(), Some(after), PAGE).await;
            let LogPage { records, reached } = match page {
                Err(EngineError::Corrupt(what)) => {
                    self.unreadable.insert(log);
                    found.fault(|| format!("{} cannot be read: {what}", shard.name.text()));
                    break;
                }
                page => page.map_err(|error| engine_failure(&error))?,
            };
            let is_stuck = records.is_empty();
            for record in records {
                self.take(stream, shard, &record, found);
            }
            if reached >= end {
                break;
            }
            if is_stuck {
                looks += 1;
                if looks == UNFINISHED_LOOKS_MAX {
                    self.unreadable.insert(log);
                    let (shard, at) = (shard.name.text(), position::sequence_number(after));
                    found.fault(|| format!("{shard} has something unfinished after {at}"));
                    break;
                }
                db.environment.sleep(LOOK_AGAIN).await;
            }
        }
        Ok(())
    }

    /// Looks at one record.
    fn take(
        &mut self,
        stream: &Stream,
        shard: &Shard,
        logged: &LoggedRecord,
        found: &mut StreamCheck,
    ) {
        let at = place_of(logged);
        let last = self.cursors.insert(shard.name.log, at);
        let decoded = record::decode(&logged.payload, &stream.key);
        let place =
            decoded.as_ref().and_then(|record| key::place_of_encoded(&stream.key, &record.keys));
        // Later passes come by the same records.
        if self.from.is_none() {
            found.records += 1;
            let Position(position) = at.position;
            let mut fault = |what: &str| {
                let (shard, at) = (shard.name.text(), position::sequence_number(at));
                found.fault(|| format!("the record {at} of {shard} {what}"));
            };
            if position <= shard.start || shard.end.is_some_and(|end| position > end.position) {
                fault("is outside of it");
            }
            if last.is_some_and(|last| at <= last) {
                fault("does not come after the one before");
            }
            if place.is_none() {
                fault("does not decode");
            }
        }
        if let (Some(decoded), Some(place)) = (decoded, place) {
            let image = |image: &Option<EncodedItem>| match image {
                None => Left::Item(None),
                Some(image) => Left::of(Some(image)),
            };
            let (before, left) = match decoded.event {
                StreamEvent::Insert => (Left::Nothing, image(&decoded.new)),
                StreamEvent::Modify => (image(&decoded.old), image(&decoded.new)),
                StreamEvent::Remove => (image(&decoded.old), Left::Nothing),
            };
            self.remember((place.partition, place.sort), at, before, left);
        }
    }

    fn remember(&mut self, key: ItemKey, at: LogCursor, before: Left, left: Left) {
        let is_before = self.from.as_ref().is_some_and(|from| key < *from);
        if is_before || self.end.as_ref().is_some_and(|end| key >= *end) {
            return;
        }
        let size = |(partition, sort): &ItemKey| partition.len() + sort.len() + NEWEST_BYTES;
        match self.newest.entry(key) {
            Entry::Occupied(mut older) => {
                let older = older.get_mut();
                let gap = (!older.left.fits(before)).then_some((older.at, at));
                *older = Newest { at, left, gap: older.gap.or(gap) };
            }
            Entry::Vacant(place) => {
                self.bytes += size(place.key());
                place.insert(Newest { at, left, gap: None });
            }
        }
        while self.bytes > self.bytes_max && self.newest.len() > 1 {
            let Some((last, _)) = self.newest.pop_last() else { break };
            self.bytes -= size(&last);
            self.end = Some(last);
        }
    }

    /// Tells where records are missing.
    fn report_gaps(&self, db: &Inner, found: &mut StreamCheck) {
        // What came after an old record may have been forgotten before it was read.
        let horizon = position::end_of(db.catalog.streams.horizon());
        for (key, newest) in &self.newest {
            let Some((before, after)) = newest.gap.filter(|(before, _)| *before > horizon) else {
                continue;
            };
            found.fault(|| {
                let [before, after] = [before, after].map(position::sequence_number);
                format!("a record is missing between {before} and {after}: {}", shown(key))
            });
        }
    }

    /// Compares the newest records with the items.
    async fn compare(
        &mut self,
        db: &Inner,
        stream: &Stream,
        found: &mut StreamCheck,
        progress: &mut Progress<'_>,
    ) -> Result<(), ServiceError> {
        let mut waiting: Vec<ItemKey> = self.newest.keys().cloned().collect();
        // What was seen of those that did not fit at the last look.
        let mut misfits = BTreeMap::new();
        for look in 0..LOOKS_MAX {
            // Gone with its table, or disabled: the items may have changed since.
            let Some(table) = table_of(db, stream) else { return Ok(()) };
            let items = items(db, &table, &waiting).await?;
            self.read(db, stream, found, progress).await?;
            if !self.unreadable.is_empty() || table_of(db, stream).is_none() {
                return Ok(());
            }
            if look == 0 {
                found.items += waiting.len() as u64;
            }
            // A newer record than the one that was read may have been forgotten with it.
            let horizon = position::end_of(db.catalog.streams.horizon());
            let seen = waiting.into_iter().zip(items);
            let mut still = BTreeMap::new();
            for (key, (version, item)) in seen {
                let newest = self.newest.get(&key).filter(|newest| newest.at > horizon);
                let Some(newest) = newest.filter(|newest| !item.fits(newest.left)) else {
                    continue;
                };
                let now = (version, newest.at);
                if misfits.get(&key) == Some(&now) {
                    found.fault(|| misfit(&key, newest.at));
                } else {
                    still.insert(key, now);
                }
            }
            if still.is_empty() {
                return Ok(());
            }
            waiting = still.keys().cloned().collect();
            misfits = still;
            db.environment.sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }
}

fn misfit(key: &ItemKey, at: LogCursor) -> String {
    let at = position::sequence_number(at);
    format!("the item is not what its newest record, {at}, says: {}", shown(key))
}

/// A key for a person.
fn shown((partition, sort): &ItemKey) -> String {
    format!("{} {}", partition.escape_ascii(), sort.escape_ascii())
}

/// The table of a stream that its writes go to. A copy: others wait for whoever holds on to the snapshot.
fn table_of(db: &Inner, stream: &Stream) -> Option<Table> {
    let table = db.catalog.find(&stream.table_name)?;
    let now = db.catalog.streams.of_table(&table)?;
    (now.label == stream.label).then(|| Table::clone(&table))
}

/// The items with these keys as they are, by versions and what they hold.
async fn items(
    db: &Inner,
    table: &Table,
    keys: &[ItemKey],
) -> Result<Vec<(Option<Version>, Left)>, ServiceError> {
    let mut items = Vec::with_capacity(keys.len());
    for keys in keys.chunks(ITEMS_AT_ONCE) {
        let place = |(partition, sort): &ItemKey| RowPlace {
            partition: partition.clone(),
            sort: sort.clone(),
        };
        let keys = keys.iter().map(|key| key::item_key(table, place(key))).collect();
        let rows = db.engine.multi_get(keys, Read::Strong).await;
        for row in rows.map_err(|error| engine_failure(&error))? {
            let version = row.as_ref().map(|row| row.version);
            let item = row.map(|row| write::decode(row.value)).transpose()?;
            items.push((version, Left::of(item.as_ref())));
        }
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use zenobe_model::AttributeValue;
    use zenobe_model::operation::*;
    use zenobe_storage::{Commit, Mutation};

    use super::*;
    use crate::background::tests::database;

    async fn enable_stream(db: &crate::Database, view: StreamViewType) {
        let stream = StreamSpecification { stream_enabled: true, stream_view_type: Some(view) };
        let update = UpdateTableRequest {
            table_name: "Music".to_owned(),
            stream_specification: Some(stream),
            ..UpdateTableRequest::default()
        };
        db.execute(Request::UpdateTable(Box::new(update))).await.unwrap();
    }

    async fn put(db: &crate::Database, pk: &str, n: Option<&str>) {
        let pk = ("pk".to_owned(), AttributeValue::S(pk.to_owned()));
        let n = n.map(|n| ("n".to_owned(), AttributeValue::S(n.to_owned())));
        let item: zenobe_model::Item = std::iter::once(pk).chain(n).collect();
        let put = PutItemRequest {
            table_name: "Music".to_owned(),
            item: Ok(item.into()),
            options: WriteOptions::default(),
        };
        db.execute(Request::PutItem(Box::new(put))).await.unwrap();
    }

    fn row_of(db: &Inner, pk: &str) -> zenobe_storage::Key {
        let table = db.catalog.find("Music").unwrap();
        let pk = AttributeValue::S(pk.to_owned());
        let place = RowPlace { partition: key::encode(&[&pk]), sort: Bytes::new() };
        key::item_key(&table, place)
    }

    /// Changes an item, or removes it, without a record.
    async fn change_behind_the_stream(db: &Inner, pk: &str, value: Option<Bytes>) {
        let mutations = vec![Mutation { key: row_of(db, pk), value }];
        db.engine.commit(Commit { mutations, ..Commit::default() }).await.unwrap();
    }

    fn stream_of(db: &Inner) -> std::sync::Arc<Stream> {
        let table = db.catalog.find("Music").unwrap();
        db.catalog.streams.of_table(&table).unwrap()
    }

    /// The newest records fit, but a change before has none: seen by what images there are, once for each key.
    #[tokio::test]
    async fn a_record_that_is_missing_in_the_middle() {
        let views = [
            (StreamViewType::NewAndOldImages, 2),
            (StreamViewType::NewImage, 1),
            (StreamViewType::OldImage, 1),
            (StreamViewType::KeysOnly, 1),
        ];
        for (view, expected) in views {
            let db = database().await;
            enable_stream(&db, view).await;
            for pk in ["a", "b", "c", "d"] {
                put(&db, pk, Some("1")).await;
                put(&db, pk, Some("2")).await;
            }
            let older = db.inner.engine.get(row_of(&db.inner, "c"), Read::Strong).await;
            let older = older.unwrap().map(|row| row.value);
            put(&db, "c", Some("3")).await;
            change_behind_the_stream(&db.inner, "a", None).await;
            change_behind_the_stream(&db.inner, "c", older).await;
            for pk in ["a", "b", "c", "d"] {
                put(&db, pk, Some("4")).await;
            }
            let stream = stream_of(&db.inner);
            for room in [1, 2, 100] {
                let room = room * NEWEST_BYTES + 20;
                let found = check_within(&db.inner, &stream, room, &mut |_, _| ()).await.unwrap();
                let counts = (found.records, found.items, found.faults);
                assert_eq!(counts, (13, 4, expected), "{view:?} {found:?}");
                assert!(found.named[0].starts_with("a record is missing between "), "{found:?}");
            }
        }
    }

    /// With room for two keys at a time every key is compared, and every fault found once.
    #[tokio::test]
    async fn more_keys_than_there_is_room_for() {
        let db = database().await;
        enable_stream(&db, StreamViewType::NewImage).await;
        for pk in ["a", "b", "a", "c", "d", "e", "c"] {
            put(&db, pk, None).await;
        }
        let db = &db.inner;
        let stream = stream_of(db);
        let found = check_within(db, &stream, 2 * NEWEST_BYTES + 20, &mut |_, _| ()).await.unwrap();
        assert_eq!((found.records, found.items, found.faults), (5, 5, 0), "{found:?}");
        for pk in ["b", "e"] {
            change_behind_the_stream(db, pk, None).await;
        }
        for room in [1, 2, 3, 100] {
            let room = room * NEWEST_BYTES + 20;
            let found = check_within(db, &stream, room, &mut |_, _| ()).await.unwrap();
            assert_eq!((found.records, found.items, found.faults), (5, 5, 2), "{found:?}");
        }
    }
}
