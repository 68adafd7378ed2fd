//! How rows lie in the tree: the physical key and the stored value.
//!
//! A physical key is incarnation of the space u64, lane u8, partition hash u64, partition length u16 (all big-endian),
//! partition, sort. The lane comes before the hash, so a scan of items meets no index rows; the
//! length comes before the partition, so no partition is a prefix of another. A stored value is the
//! row's version, u64 little-endian, and the value.

use std::ops::Bound;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use xxhash_rust::xxh3::xxh3_64;
use zenobe_storage::{
    EngineError, EngineResult, Key, Lane, Mutation, PARTITION_BYTES_MAX, RangeRead, Row, RowPlace,
    SORT_BYTES_MAX, ScanRead, Version,
};

use crate::spaces::Incarnation;

/// The bytes of a physical key up to and with the partition's hash.
const HASH_END: usize = 17;
/// The bytes of a physical key before the partition.
pub(crate) const PREFIX_BYTES: usize = 19;
/// The tree's limit.
const PHYSICAL_KEY_BYTES_MAX: usize = u16::MAX as usize;
const VERSION_BYTES: usize = 8;

const _: () = assert!(
    PREFIX_BYTES + PARTITION_BYTES_MAX + SORT_BYTES_MAX <= PHYSICAL_KEY_BYTES_MAX,
    "the longest key must fit into the tree"
);

/// An interval of physical keys.
pub(crate) type Interval = (Bound<Bytes>, Bound<Bytes>);

/// The place of a partition in the order of scans.
pub(crate) fn partition_hash(partition: &[u8]) -> u64 {
    xxh3_64(partition)
}

/// Checks the lengths of a key's parts.
pub(crate) fn check_place(partition: &[u8], sort: &[u8]) -> EngineResult<()> {
    if partition.is_empty() || partition.len() > PARTITION_BYTES_MAX {
        return Err(EngineError::TooLarge(format!("a partition of {} bytes", partition.len())));
    }
    if sort.len() > SORT_BYTES_MAX {
        return Err(EngineError::TooLarge(format!("sort bytes of {} bytes", sort.len())));
    }
    Ok(())
}

fn put(out: &mut BytesMut, space: Incarnation, lane: Lane, partition: &[u8], sort: &[u8]) {
    out.put_u64(space.0);
    out.put_u8(lane.0);
    out.put_u64(partition_hash(partition));
    out.put_u16(u16::try_from(partition.len()).unwrap_or(u16::MAX));
    out.extend_from_slice(partition);
    out.extend_from_slice(sort);
}

fn physical(space: Incarnation, lane: Lane, partition: &[u8], sort: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(PREFIX_BYTES + partition.len() + sort.len());
    put(&mut out, space, lane, partition, sort);
    out.freeze()
}

/// The physical key of a row.
pub(crate) fn physical_key(space: Incarnation, key: &Key) -> EngineResult<Bytes> {
    check_place(&key.partition, &key.sort)?;
    Ok(physical(space, key.lane, &key.partition, &key.sort))
}

/// Appends the physical key of a row.
pub(crate) fn put_key(out: &mut BytesMut, space: Incarnation, key: &Key) -> EngineResult<()> {
    check_place(&key.partition, &key.sort)?;
    put(out, space, key.lane, &key.partition, &key.sort);
    Ok(())
}

/// Values up to this length lie behind their key: one allocation for both, and one way to memory for who
/// comes later. Longer ones are not copied for that.
const JOINED_BYTES_MAX: usize = 4 << 10;
/// Rows of a commit lie next to each other in pieces of about this length.
const PIECE_BYTES: usize = 64 << 10;

/// Makes physical rows of what is to be written, in as few pieces of memory as may be.
pub(crate) struct RowWriter {
    piece: BytesMut,
    /// The bytes of rows that are still to come.
    ahead: usize,
}

impl RowWriter {
    /// For all of these rows.
    pub(crate) fn of(mutations: &[Mutation]) -> Self {
        Self { piece: BytesMut::new(), ahead: mutations.iter().map(joined_bytes).sum() }
    }

    /// The physical key of a row, and its value.
    pub(crate) fn row(
        &mut self,
        space: Incarnation,
        mutation: &Mutation,
    ) -> EngineResult<(Bytes, Option<Bytes>)> {
        let Mutation { key, value } = mutation;
        let Some(value) = value.as_ref().filter(|value| is_joined(value)) else {
            return Ok((physical_key(space, key)?, value.clone()));
        };
        let bytes = joined_bytes(mutation);
        if self.piece.capacity() < bytes {
            self.piece = BytesMut::with_capacity(bytes.max(self.ahead.min(PIECE_BYTES)));
        }
        self.ahead = self.ahead.saturating_sub(bytes);
        put_key(&mut self.piece, space, key)?;
        let key_bytes = self.piece.len();
        self.piece.extend_from_slice(value);
        let mut key = self.piece.split().freeze();
        let value = key.split_off(key_bytes);
        Ok((key, Some(value)))
    }
}

/// Whether a value lies behind its key, and not in an allocation of its own.
pub(crate) fn is_joined(value: &Bytes) -> bool {
    value.len() <= JOINED_BYTES_MAX
}

/// The length of a row whose value lies behind its key; of others 0.
fn joined_bytes(Mutation { key, value }: &Mutation) -> usize {
    match value {
        Some(value) if is_joined(value) => {
            PREFIX_BYTES + key.partition.len() + key.sort.len() + value.len()
        }
        _ => 0,
    }
}

/// The first key that does not start with `prefix`.
fn after_prefix(prefix: &[u8]) -> Bound<Bytes> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Bound::Excluded(Bytes::from(end));
        }
    }
    Bound::Unbounded
}

/// What all keys of one partition begin with, and few others do: incarnation, lane and hash.
pub(crate) fn partition_prefix(physical_key: &[u8]) -> Option<&[u8]> {
    physical_key.get(..HASH_END)
}

/// The partition's hash in a physical key, with space and lane mixed in.
pub(crate) fn stripe_hash(physical_key: &[u8]) -> u64 {
    let word = |at: usize| {
        let bytes = physical_key.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u64::from_be_bytes)
    };
    // The lane is the last byte of the second word that is looked at.
    word(HASH_END - 8) ^ word(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The prefix of the partition that an interval lies in, if it is within one.
pub(crate) fn partition_of(interval: &Interval) -> Option<&[u8]> {
    let (Bound::Included(low) | Bound::Excluded(low)) = &interval.0 else { return None };
    let (Bound::Included(high) | Bound::Excluded(high)) = &interval.1 else { return None };
    let prefix = partition_prefix(low)?;
    (partition_prefix(high) == Some(prefix)).then_some(prefix)
}

/// What the physical keys of a partition's lane begin with: one without sort bytes.
pub(crate) fn partition_key(space: Incarnation, range: &RangeRead) -> EngineResult<Bytes> {
    check_place(&range.partition, &[])?;
    Ok(physical(space, range.lane, &range.partition, &[]))
}

/// The physical interval of a range of a partition's lane; `None` when it is empty.
pub(crate) fn range_interval(prefix: &Bytes, range: &RangeRead) -> Option<Interval> {
    let key = |sort: &Bytes| Bytes::from([&prefix[..], &sort[..]].concat());
    let from = match &range.from {
        Bound::Included(sort) => Bound::Included(key(sort)),
        Bound::Excluded(sort) => Bound::Excluded(key(sort)),
        Bound::Unbounded => Bound::Included(prefix.clone()),
    };
    let to = match &range.to {
        Bound::Included(sort) => Bound::Included(key(sort)),
        Bound::Excluded(sort) => Bound::Excluded(key(sort)),
        Bound::Unbounded => after_prefix(prefix),
    };
    ordered((from, to))
}

/// The physical interval of a scan; `None` when it is empty.
pub(crate) fn scan_interval(space: Incarnation, scan: &ScanRead) -> Option<Interval> {
    if scan.interval.first > scan.interval.last {
        return None;
    }
    let prefix = |hash: u64| {
        let mut out = BytesMut::with_capacity(17);
        out.put_u64(space.0);
        out.put_u8(scan.lane.0);
        out.put_u64(hash);
        out.freeze()
    };
    let first = prefix(scan.interval.first);
    let from = match &scan.after {
        Some(place) => {
            let after = physical(space, scan.lane, &place.partition, &place.sort);
            if after >= first { Bound::Excluded(after) } else { Bound::Included(first) }
        }
        None => Bound::Included(first),
    };
    ordered((from, after_prefix(&prefix(scan.interval.last))))
}

/// The physical interval of all rows of a space.
pub(crate) fn space_interval(space: Incarnation) -> Interval {
    let first = space.0.to_be_bytes();
    (Bound::Included(Bytes::copy_from_slice(&first)), after_prefix(&first))
}

fn ordered(interval: Interval) -> Option<Interval> {
    let (Bound::Included(low) | Bound::Excluded(low)) = &interval.0 else { return Some(interval) };
    let (Bound::Included(high) | Bound::Excluded(high)) = &interval.1 else {
        return Some(interval);
    };
    let both_included = matches!(interval, (Bound::Included(_), Bound::Included(_)));
    let empty = low > high || (low == high && !both_included);
    (!empty).then_some(interval)
}

/// The space that a physical key belongs to.
pub(crate) fn space_of(physical_key: &[u8]) -> Option<Incarnation> {
    Some(Incarnation(u64::from_be_bytes(physical_key.get(..8)?.try_into().ok()?)))
}

/// The place in a physical key.
pub(crate) fn place_of(mut physical_key: Bytes) -> EngineResult<RowPlace> {
    let corrupt = || EngineError::Corrupt("a stored key is too short".into());
    let length = physical_key.get(17..PREFIX_BYTES).ok_or_else(corrupt)?;
    let length = usize::from(u16::from_be_bytes(length.try_into().map_err(|_| corrupt())?));
    let end = PREFIX_BYTES + length;
    if physical_key.len() < end {
        return Err(corrupt());
    }
    let sort = physical_key.split_off(end);
    physical_key.advance(PREFIX_BYTES);
    Ok(RowPlace { partition: physical_key, sort })
}

/// What the tree stores for a row.
pub(crate) fn stored_value(version: u64, value: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(VERSION_BYTES + value.len());
    out.put_u64_le(version);
    out.extend_from_slice(value);
    out.freeze()
}

/// The row in what the tree stores.
pub(crate) fn stored_row(mut stored: Bytes) -> EngineResult<Row> {
    let corrupt = || EngineError::Corrupt("a stored value is too short".into());
    let version = stored.get(..VERSION_BYTES).ok_or_else(corrupt)?;
    let version = Version(u64::from_le_bytes(version.try_into().map_err(|_| corrupt())?));
    stored.advance(VERSION_BYTES);
    Ok(Row { version, value: stored })
}

#[cfg(test)]
mod tests {
    use zenobe_storage::SpaceId;

    use super::*;

    fn mutation(n: u32, value_bytes: usize) -> Mutation {
        let partition = Bytes::copy_from_slice(&n.to_be_bytes());
        let key = Key { space: SpaceId(1), partition, lane: Lane::ITEM, sort: Bytes::new() };
        Mutation { key, value: Some(vec![7; value_bytes].into()) }
    }

    /// The physical rows of a commit.
    fn rows(mutations: &[Mutation]) -> Vec<(Bytes, Bytes)> {
        let mut writer = RowWriter::of(mutations);
        let row = |mutation| {
            let (key, value) = writer.row(Incarnation(1), mutation).unwrap();
            (key, value.unwrap())
        };
        mutations.iter().map(row).collect()
    }

    #[test]
    fn rows_of_a_commit_lie_side_by_side() {
        let mutations: Vec<Mutation> = (0..25).map(|n| mutation(n, 1000 + n as usize)).collect();
        let rows = rows(&mutations);
        for pair in rows.windows(2) {
            let [(_, value), (next, _)] = pair else { panic!("not two") };
            assert_eq!(value.as_ptr_range().end, next.as_ptr());
        }
        for (mutation, (key, value)) in mutations.iter().zip(&rows) {
            assert_eq!(*key, physical_key(Incarnation(1), &mutation.key).unwrap());
            assert_eq!(Some(value), mutation.value.as_ref());
        }
    }

    #[test]
    fn pieces_are_bounded_and_long_values_are_not_copied() {
        let mut mutations: Vec<Mutation> = (0..200).map(|n| mutation(n, 4000)).collect();
        mutations.push(mutation(200, JOINED_BYTES_MAX + 1));
        let rows = rows(&mutations);
        let begins = |pair: &&[(Bytes, Bytes)]| match pair {
            [(_, value), (next, _)] => value.as_ptr_range().end != next.as_ptr(),
            _ => false,
        };
        let pieces = 1 + rows.windows(2).filter(begins).count();
        let bytes: usize = mutations.iter().map(joined_bytes).sum();
        assert!(pieces >= bytes.div_ceil(PIECE_BYTES), "{pieces}");
        let (given, kept) = (mutations.last().unwrap(), rows.last().unwrap());
        assert_eq!(given.value.as_ref().map(|value| value.as_ptr()), Some(kept.1.as_ptr()));
    }
}
