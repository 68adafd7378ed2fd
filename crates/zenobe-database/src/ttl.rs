//! Time to live: which items have expired, and the index that knows them by time.
//!
//! # The index
//!
//! A table with time to live has a space of its own with an entry for every item whose attribute
//! says when it expires: a Number, of which the whole seconds count. An entry follows from the item
//! and is committed with it, as those of secondary indexes are, so finding what has expired reads
//! nothing else. The entry of an item with encoded key `(partition, sort)`:
//!
//! | part | bytes |
//! |---|---|
//! | partition | one byte: the shard, CRC32 of the item's partition modulo [`SHARDS`] |
//! | sort | the second, 8 bytes big-endian; the item's partition; the item's sort bytes |
//! | value | the length of the item's partition, 4 bytes big-endian |
//!
//! So within a shard entries lie in the order of time, and whoever looks for expired items reads from
//! the beginning of each shard to the present. Shards by key and not by time: items that expire in
//! the same hour were often written in the same hour, and would all go to one place.
//!
//! [`crate::catalog`]'s `Due` remembers the earliest second that there may be something at, so that
//! a table without anything due is not looked at.
//!
//! # What has expired
//!
//! An item whose second is before the present one, unless that is more than five years ago: such
//! items are left alone, since the attribute is probably no time. Items are deleted by
//! [`crate::background`]; until then they are read and written like any other.
//! Source: Developer Guide, "Using time to live (TTL) in DynamoDB".

use bytes::Bytes;
use zenobe_model::expression::{Comparison, Condition, Literal, Operand, Path};
use zenobe_model::{AttributeValue, EncodedItem, Number, ValueRef};
use zenobe_storage::{Commit, Key, Lane, Mutation, RowPlace};

use crate::catalog::{ExpiryIndex, Table, Upkeep};

/// How many partitions an index has. Part of the format.
pub(crate) const SHARDS: u8 = 16;
/// Items that expired longer ago are left alone: five years.
const PAST_SECONDS_MAX: u64 = 5 * 365 * 24 * 60 * 60;
/// The bytes of the second that an entry begins with.
const SECOND_BYTES: usize = 8;

/// An entry of an index: the second, and the place of the item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) second: u64,
    pub(crate) place: RowPlace,
}

impl Entry {
    /// The entry of an item; `None` when the item does not say when it expires.
    pub(crate) fn of(index: &ExpiryIndex, place: &RowPlace, item: &EncodedItem) -> Option<Self> {
        match item.get(&index.attribute)?.value() {
            ValueRef::N(number) => {
                Some(Self { second: whole_seconds(number)?, place: place.clone() })
            }
            _ => None,
        }
    }

    /// Where the entry lives.
    pub(crate) fn key(&self, index: &ExpiryIndex) -> Key {
        let RowPlace { partition, sort } = &self.place;
        let shard = crc32fast::hash(partition) % u32::from(SHARDS);
        let mut bytes = Vec::with_capacity(SECOND_BYTES + partition.len() + sort.len());
        bytes.extend_from_slice(&self.second.to_be_bytes());
        bytes.extend_from_slice(partition);
        bytes.extend_from_slice(sort);
        Key {
            space: index.space,
            partition: shard_partition(u8::try_from(shard).unwrap_or_default()),
            lane: Lane::ITEM,
            sort: bytes.into(),
        }
    }

    /// What is stored under the key.
    pub(crate) fn value(&self) -> Bytes {
        let length = u32::try_from(self.place.partition.len()).unwrap_or(u32::MAX);
        Bytes::copy_from_slice(&length.to_be_bytes())
    }

    /// Reads an entry; `None` for bytes that are none.
    pub(crate) fn read(sort: &Bytes, value: &[u8]) -> Option<Self> {
        let second = u64::from_be_bytes(sort.get(..SECOND_BYTES)?.try_into().ok()?);
        let length = usize::try_from(u32::from_be_bytes(value.try_into().ok()?)).ok()?;
        let mut partition = sort.slice(SECOND_BYTES..);
        let sort = (length <= partition.len()).then(|| partition.split_off(length))?;
        Some(Self { second, place: RowPlace { partition, sort } })
    }
}

/// The partition of a shard.
pub(crate) fn shard_partition(shard: u8) -> Bytes {
    Bytes::copy_from_slice(&[shard])
}

/// The first sort bytes of a second.
pub(crate) fn sort_of_second(second: u64) -> Bytes {
    Bytes::copy_from_slice(&second.to_be_bytes())
}

/// The seconds of a number without their fraction; `None` when no clock will ever show them.
fn whole_seconds(number: Number) -> Option<u64> {
    if number.is_negative() || number.is_integer() {
        return number.to_u64();
    }
    let fraction_digits = u32::from(number.exponent().unsigned_abs());
    // A divisor that is too large for the type is larger than any coefficient.
    let whole = 10u128.checked_pow(fraction_digits).map_or(0, |by| number.coefficient() / by);
    u64::try_from(whole).ok()
}

/// The first second that is not too long ago.
pub(crate) const fn first_second(now_s: u64) -> u64 {
    now_s.saturating_sub(PAST_SECONDS_MAX)
}

/// The condition that an item has expired, as of `now_s`.
pub(crate) fn has_expired(attribute: &str, now_s: u64) -> Condition {
    let compare = |operator, second: u64| Condition::Compare {
        operator,
        left: Operand::Path(Path::attribute(attribute)),
        right: Operand::Literal(Literal::from(AttributeValue::N(Number::from(second)))),
    };
    // Both ends are whole, so that fractions need not be cut off first.
    Condition::And(vec![
        compare(Comparison::Less, now_s),
        compare(Comparison::GreaterOrEqual, first_second(now_s)),
    ])
}

/// Adds to a commit what the change of an item from `old` to `new` means for the expiry index.
pub(crate) fn mutations(
    table: &Table,
    place: &RowPlace,
    old: Option<&EncodedItem>,
    new: Option<&EncodedItem>,
    commit: &mut Commit,
) {
    let out = &mut commit.derived;
    for index in &table.expiry_indexes {
        let Some(upkeep) = index.state.upkeep() else { continue };
        let entry = |item| Entry::of(index, place, item);
        let (old, new) = (old.and_then(entry), new.and_then(entry));
        if old != new {
            out.extend(old.map(|entry| Mutation { key: entry.key(index), value: None }));
        } else if upkeep != Upkeep::Always {
            continue;
        }
        if let Some(new) = new.filter(|_| upkeep != Upkeep::RemoveOnly) {
            out.push(Mutation { key: new.key(index), value: Some(new.value()) });
        }
    }
}

/// Takes note of an item that was committed.
pub(crate) fn note(table: &Table, place: &RowPlace, new: Option<&EncodedItem>) {
    for index in table.expiry_indexes.iter().filter(|index| index.is_written()) {
        if let Some(entry) = new.and_then(|item| Entry::of(index, place, item)) {
            index.due.lower(entry.second);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zenobe_model::Item;
    use zenobe_model::codec::ItemHeader;
    use zenobe_storage::SpaceId;

    use super::*;

    #[test]
    fn the_whole_seconds_of_a_number_count() {
        let check = |text: &str, expected| {
            assert_eq!(whole_seconds(Number::parse(text).unwrap()), expected, "{text}");
        };
        check("0", Some(0));
        check("1700000000", Some(1_700_000_000));
        check("1700000000.999", Some(1_700_000_000));
        check("1.7e9", Some(1_700_000_000));
        check("0.5", Some(0));
        check("1e-130", Some(0));
        check("99999999999999999999999999999999999999", None);
        check("1e125", None);
        check("18446744073709551615.5", Some(u64::MAX));
        check("-1", None);
        check("-0.5", None);
    }

    #[test]
    fn an_item_expires_with_the_second_after_its_own_and_for_five_years() {
        let now = 1_800_000_000;
        let expired = |value: AttributeValue| {
            let item: Item = [("t".to_owned(), value)].into_iter().collect();
            let item = EncodedItem::encode(&item, ItemHeader::default());
            has_expired("t", now).evaluate(Some(&item)).unwrap()
        };
        let number = |text: &str| AttributeValue::N(Number::parse(text).unwrap());
        assert!(expired(number("1799999999")));
        assert!(expired(number("1799999999.999")));
        assert!(!expired(number("1800000000")));
        assert!(!expired(number("1800000000.5")));
        assert!(expired(number("1642320000")));
        assert!(!expired(number("1642319999.9")));
        assert!(!expired(number("0")));
        assert!(!expired(number("-5")));
        assert!(!expired(AttributeValue::S("1799999999".to_owned())));
        assert!(!has_expired("t", now).evaluate(None).unwrap());
    }

    #[test]
    fn bytes_that_are_no_entry_are_none() {
        let bytes = Bytes::from_static(b"\0\0\0\0\0\0\0\x05abc");
        assert!(Entry::read(&bytes, &2u32.to_be_bytes()).is_some());
        assert!(Entry::read(&bytes, &4u32.to_be_bytes()).is_none());
        assert!(Entry::read(&bytes, b"").is_none());
        assert!(Entry::read(&bytes.slice(..7), &0u32.to_be_bytes()).is_none());
    }

    proptest! {
        #[test]
        fn entries_are_read_as_they_were_written_and_lie_in_the_order_of_time(
            second: u64,
            partition: Vec<u8>,
            sort: Vec<u8>,
            later in 1u64..,
        ) {
            let index = ExpiryIndex::new("t".to_owned(), SpaceId(16));
            let place = RowPlace { partition: partition.into(), sort: sort.into() };
            let entry = Entry { second, place };
            let key = entry.key(&index);
            prop_assert_eq!(Entry::read(&key.sort, &entry.value()), Some(entry.clone()));
            let later = Entry { second: second.saturating_add(later), ..entry.clone() };
            prop_assert_eq!(key < later.key(&index), entry != later);
        }
    }
}
