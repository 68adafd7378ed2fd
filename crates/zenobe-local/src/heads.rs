//! Of many rows their version and how their value begins.
//!
//! Who replaces a row whatever it holds still wants to know its version, and how large it was. With what
//! is kept here that takes no read of the row, which for most keys of a large database is a read of the
//! tree. An entry takes 32 bytes where a row takes a thousand.
//!
//! An entry is that of the newest version of its key, kept up like an entry of [`crate::cache`]: commits
//! write it before they become visible, readers under the key's latch if nothing was written since.
//! Keys are told apart by some eighty bits of their digest's 128, which is seeded: nobody can look for two that are
//! taken for each other. For those a version would be compared with that of another row.

use bytes::Bytes;
use parking_lot::Mutex;
use zenobe_storage::{Row, Version};

use crate::digest::Digest;
use crate::prefetch;

/// How many bytes of a value are kept.
pub(crate) const HEAD_BYTES: usize = 15;
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

    fn to_entry(self, tag: u64) -> Entry {
        let [b0, b1, b2, b3, b4, b5, b6, high @ ..] = self.bytes;
        let low = [self.length, b0, b1, b2, b3, b4, b5, b6];
        [tag, self.lsn, u64::from_le_bytes(low), u64::from_le_bytes(high)]
    }

    fn of_entry(&[_, lsn, low, high]: &Entry) -> Self {
        let [length, bytes @ ..] = (u128::from(high) << 64 | u128::from(low)).to_le_bytes();
        Self { lsn, length, bytes }
    }

    /// The first `bytes` bytes of the value, or all that are kept; `None` without a row.
    fn first(&self, bytes: usize) -> Option<&[u8]> {
        if self.is_row() { self.bytes.get(..usize::from(self.length).min(bytes)) } else { None }
    }
}

/// A tag, which is 0 in an empty place, and a head. All zero is empty, so that new memory need not be written to.
type Entry = [u64; 4];

type Bucket = [Entry; WAYS];

/// The heads.
pub(crate) struct Heads {
    buckets: Mutex<Vec<Bucket>>,
}

/// The tag of a key.
fn tag(digest: Digest) -> u64 {
    digest.high() | 1
}

/// The bucket of a key, if there is room for any.
fn place(digest: Digest, buckets: &[Bucket]) -> Option<usize> {
    digest.low().checked_rem(buckets.len())
}

/// Fetches the buckets of keys that are about to be looked up.
fn fetch(digests: &[Digest], buckets: &[Bucket]) {
    let bucket = |digest: &Digest| buckets.get(place(*digest, buckets)?);
    let tags = |bucket: &Bucket| bucket.iter().fold(0, |folded, entry| folded ^ entry[0]);
    prefetch::together(digests.iter().filter_map(bucket).map(tags));
}

impl Heads {
    pub(crate) fn new(capacity_bytes: u64) -> Self {
        // Little room is one bucket; none is none.
        let least = u64::from(capacity_bytes > 0);
        let buckets = usize::try_from((capacity_bytes / BUCKET_BYTES).max(least)).unwrap_or(0);
        Self { buckets: Mutex::new(vec![Bucket::default(); buckets]) }
    }

    /// What is known of a key, if it is not too new for a reader at `lsn`.
    pub(crate) fn get(&self, digest: Digest, lsn: u64) -> Option<Head> {
        get(&self.buckets.lock(), digest, lsn)
    }

    /// What is known of each of some keys, like [`Self::get`].
    pub(crate) fn get_all(&self, digests: &[Digest], lsn: u64) -> Vec<Option<Head>> {
        let buckets = self.buckets.lock();
        fetch(digests, &buckets);
        digests.iter().map(|digest| get(&buckets, *digest, lsn)).collect()
    }

    /// Keeps the newest head of a key. The caller holds the key's latch.
    pub(crate) fn put(&self, digest: Digest, head: Head) {
        put(&mut self.buckets.lock(), digest, head);
    }

    /// Keeps the newest heads of some keys, like [`Self::put`].
    pub(crate) fn put_all(&self, digests: &[Digest], heads: impl Iterator<Item = Head>) {
        let mut buckets = self.buckets.lock();
        fetch(digests, &buckets);
        digests.iter().zip(heads).for_each(|(digest, head)| put(&mut buckets, *digest, head));
    }
}

fn get(buckets: &[Bucket], digest: Digest, lsn: u64) -> Option<Head> {
    let tag = tag(digest);
    let bucket = buckets.get(place(digest, buckets)?)?;
    let head = Head::of_entry(bucket.iter().find(|entry| entry[0] == tag)?);
    (head.lsn <= lsn).then_some(head)
}

fn put(buckets: &mut [Bucket], digest: Digest, head: Head) {
    let tag = tag(digest);
    let Some(bucket) = place(digest, buckets).and_then(|place| buckets.get_mut(place)) else {
        return;
    };
    let known = bucket.iter().position(|entry| entry[0] == tag);
    let place = known.or_else(|| bucket.iter().position(|entry| entry[0] == 0));
    // The numbers of commits choose evenly enough whom to forget.
    let place = place.unwrap_or(usize::try_from(head.lsn % WAYS as u64).unwrap_or(0));
    if let Some(place) = bucket.get_mut(place) {
        *place = head.to_entry(tag);
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
