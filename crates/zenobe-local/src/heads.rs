//! Of many rows their version and how their value begins.
//!
//! Who replaces a row whatever it holds still wants to know its version, and how large it was. With what
//! is kept here that takes no read of the row, which for most keys of a large database is a read of the
//! tree. An entry takes 32 bytes where a row takes a thousand.
//!
//! An entry is that of the newest version of its key, kept up like an entry of [`crate::cache`]: commits
//! write it before they become visible, readers under the key's latch if nothing was written since.
//! Keys are told apart by some eighty bits of their digest's 128. Should two ever be taken for each
//! other, then a version is compared with that of another row: a needless conflict, no lost update.

use bytes::Bytes;
use parking_lot::Mutex;
use zenobe_storage::{Row, Version};

use crate::digest::Digest;

/// How many bytes of a value are kept.
pub(crate) const HEAD_BYTES: usize = 15;
const SHARDS: usize = 256;
/// Entries that a key may be in: two lines of the processor's cache.
const WAYS: usize = 4;
const BUCKET_BYTES: u64 = 128;
/// The length that stands for no row.
const NO_ROW: u8 = u8::MAX;

/// What is known of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The version.
    pub(crate) lsn: u64,
    length: u8,
    bytes: [u8; HEAD_BYTES],
}

impl Head {
    /// The head of a version.
    pub(crate) fn of(lsn: u64, value: Option<&[u8]>) -> Self {
        let mut bytes = [0; HEAD_BYTES];
        let Some(value) = value else { return Self { lsn, length: NO_ROW, bytes } };
        bytes.iter_mut().zip(value).for_each(|(to, from)| *to = *from);
        let length = u8::try_from(value.len().min(HEAD_BYTES)).unwrap_or(0);
        Self { lsn, length, bytes }
    }

    /// Whether there is a row.
    pub(crate) fn is_row(&self) -> bool {
        self.length != NO_ROW
    }

    /// The rows with the first `bytes` bytes of their values, which share their memory.
    pub(crate) fn rows(heads: &[Self], bytes: usize) -> Vec<Option<Row>> {
        let mut values = Vec::with_capacity(heads.len() * HEAD_BYTES);
        heads.iter().filter_map(|head| head.first(bytes)).for_each(|first| values.extend(first));
        let mut values = Bytes::from(values);
        let row = |head: &Self| {
            let value = values.split_to(head.first(bytes)?.len());
            Some(Row { version: Version(head.lsn), value })
        };
        heads.iter().map(row).collect()
    }

    /// The first `bytes` bytes of the value, or all that are kept; `None` without a row.
    fn first(&self, bytes: usize) -> Option<&[u8]> {
        if self.is_row() { self.bytes.get(..usize::from(self.length).min(bytes)) } else { None }
    }
}

/// A tag of 0 is an empty place.
#[derive(Clone, Copy)]
struct Entry {
    tag: u64,
    head: Head,
}

type Bucket = [Entry; WAYS];

const EMPTY: Bucket =
    [Entry { tag: 0, head: Head { lsn: 0, length: 0, bytes: [0; HEAD_BYTES] } }; WAYS];

/// The heads.
pub(crate) struct Heads {
    /// A shard takes its memory when it is first written to.
    shards: Box<[Mutex<Vec<Bucket>>]>,
    buckets: usize,
}

impl Heads {
    pub(crate) fn new(capacity_bytes: u64) -> Self {
        // Little room is a bucket in each shard; none is none.
        let least = u64::from(capacity_bytes > 0);
        let buckets = (capacity_bytes / BUCKET_BYTES / SHARDS as u64).max(least);
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            buckets: usize::try_from(buckets).unwrap_or(0),
        }
    }

    /// The tag of a key, its shard, and its bucket there.
    fn place(&self, digest: Digest) -> Option<(u64, &Mutex<Vec<Bucket>>, usize)> {
        let (tag, place) = (digest.high() | 1, digest.low());
        let bucket = (place / SHARDS).checked_rem(self.buckets)?;
        Some((tag, self.shards.get(place % SHARDS)?, bucket))
    }

    /// What is known of a key, if it is not too new for a reader at `lsn`.
    pub(crate) fn get(&self, digest: Digest, lsn: u64) -> Option<Head> {
        let (tag, shard, bucket) = self.place(digest)?;
        let shard = shard.lock();
        let entry = shard.get(bucket)?.iter().find(|entry| entry.tag == tag)?;
        (entry.head.lsn <= lsn).then_some(entry.head)
    }

    /// Keeps the newest head of a key. The caller holds the key's latch.
    pub(crate) fn put(&self, digest: Digest, head: Head) {
        let Some((tag, shard, bucket)) = self.place(digest) else { return };
        let mut shard = shard.lock();
        if shard.is_empty() {
            shard.resize(self.buckets, EMPTY);
        }
        let Some(bucket) = shard.get_mut(bucket) else { return };
        let known = bucket.iter().position(|entry| entry.tag == tag);
        let place = known.or_else(|| bucket.iter().position(|entry| entry.tag == 0));
        // The numbers of commits choose evenly enough whom to forget.
        let place = place.unwrap_or(usize::try_from(head.lsn % WAYS as u64).unwrap_or(0));
        if let Some(entry) = bucket.get_mut(place) {
            *entry = Entry { tag, head };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(key: &[u8]) -> Digest {
        Digest::of(key, 7)
    }

    #[test]
    fn an_entry_takes_a_quarter_of_its_bucket() {
        assert_eq!(size_of::<Bucket>() as u64, BUCKET_BYTES);
    }

    #[test]
    fn heads_are_those_put_last_or_forgotten() {
        let heads = Heads::new(1 << 20);
        let key = |n: u32| digest(&n.to_be_bytes());
        for round in 1..=2_u64 {
            for n in 0..100_000 {
                let value = [u8::try_from(round).unwrap(); 40];
                let head = Head::of(u64::from(n) + round * 1_000_000, Some(&value));
                heads.put(key(n), head);
            }
        }
        let found: Vec<(u32, Head)> =
            (0..100_000).filter_map(|n| Some((n, heads.get(key(n), u64::MAX)?))).collect();
        assert!(found.len() > 25_000 && found.len() <= 32_768, "{}", found.len());
        for (n, head) in found {
            assert_eq!(head.lsn, u64::from(n) + 2_000_000);
            assert_eq!(head.first(HEAD_BYTES), Some(&[2; HEAD_BYTES][..]));
        }
    }

    #[test]
    fn what_is_short_empty_or_no_row_is_told_apart() {
        for value in [None, Some(&b""[..]), Some(b"abc"), Some(b"0123456789abcde")] {
            let head = Head::of(1, value);
            assert_eq!((head.first(HEAD_BYTES), head.is_row()), (value, value.is_some()));
        }
        assert_eq!(Head::of(1, Some(&[1; 99])).first(HEAD_BYTES), Some(&[1; HEAD_BYTES][..]));
    }

    #[test]
    fn a_head_too_new_for_its_reader_is_not_given() {
        let heads = Heads::new(1 << 20);
        heads.put(digest(b"key"), Head::of(5, None));
        assert_eq!(heads.get(digest(b"key"), 4), None);
        assert!(heads.get(digest(b"key"), 5).is_some_and(|head| !head.is_row()));
    }

    #[test]
    fn without_room_nothing_is_kept() {
        let heads = Heads::new(0);
        heads.put(digest(b"key"), Head::of(5, None));
        assert_eq!(heads.get(digest(b"key"), 9), None);
    }
}
