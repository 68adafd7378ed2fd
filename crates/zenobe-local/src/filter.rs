//! A filter over the keys and partitions of one memtable, kept for the tables that it becomes.
//!
//! One bit for the hash of each key and one for what all keys of a partition begin with. A clear bit
//! means that there is no such row; a set one means nothing. The library's filters know whole keys only,
//! so without this one a query would look into every run that spans its partition.

use std::sync::atomic::{AtomicU64, Ordering};

use xxhash_rust::xxh3::xxh3_64;

use crate::layout::{self, Interval};

/// A million bits: some twenty for each row of 1 KB that fits into a memtable of the default size.
const WORDS: usize = 1 << 14;

/// The filter.
#[derive(Debug)]
pub(crate) struct KeyFilter {
    words: Box<[AtomicU64]>,
}

impl Default for KeyFilter {
    fn default() -> Self {
        Self { words: (0..WORDS).map(|_| AtomicU64::new(0)).collect() }
    }
}

impl KeyFilter {
    fn bit(&self, bytes: &[u8]) -> Option<(&AtomicU64, u64)> {
        let hash = xxh3_64(bytes);
        let word = usize::try_from(hash / 64 % WORDS as u64).unwrap_or(0);
        Some((self.words.get(word)?, 1 << (hash % 64)))
    }

    fn set(&self, bytes: &[u8]) {
        if let Some((word, bit)) = self.bit(bytes) {
            word.fetch_or(bit, Ordering::Release);
        }
    }

    fn is_set(&self, bytes: &[u8]) -> bool {
        self.bit(bytes).is_none_or(|(word, bit)| word.load(Ordering::Acquire) & bit != 0)
    }

    /// Notes a key. To be called before its row can be read.
    pub(crate) fn note(&self, key: &[u8]) {
        self.set(key);
        if let Some(partition) = layout::partition_prefix(key) {
            self.set(partition);
        }
    }

    /// Whether there may be rows of the key.
    pub(crate) fn may_have(&self, key: &[u8]) -> bool {
        self.is_set(key)
    }

    /// Whether there may be rows in the interval. Intervals beyond one partition always may.
    pub(crate) fn may_overlap(&self, interval: &Interval) -> bool {
        layout::partition_of(interval).is_none_or(|partition| self.is_set(partition))
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Bound;

    use bytes::Bytes;
    use zenobe_storage::{Direction, Key, Lane, PageLimit, RangeRead, SpaceId};

    use super::*;
    use crate::spaces::Incarnation;

    fn key(partition: String) -> Key {
        Key { space: SpaceId(1), partition: partition.into(), lane: Lane::ITEM, sort: "s".into() }
    }

    fn interval(key: &Key) -> Interval {
        let range = RangeRead {
            space: key.space,
            partition: key.partition.clone(),
            lane: key.lane,
            from: Bound::Excluded(Bytes::from_static(b"a")),
            to: Bound::Unbounded,
            direction: Direction::Forward,
            limit: PageLimit { rows: 1, bytes: 1 },
        };
        let prefix = layout::partition_key(Incarnation(3), &range).unwrap();
        layout::range_interval(&prefix, &range).unwrap()
    }

    #[test]
    fn what_was_noted_is_never_denied_and_most_else_is() {
        let filter = KeyFilter::default();
        let own: Vec<Key> = (0..1000).map(|n| key(format!("own{n}"))).collect();
        for key in &own {
            filter.note(&layout::physical_key(Incarnation(3), key).unwrap());
        }
        for key in &own {
            assert!(filter.may_have(&layout::physical_key(Incarnation(3), key).unwrap()));
            assert!(filter.may_overlap(&interval(key)));
        }
        let strange = (0..1000).map(|n| key(format!("strange{n}")));
        assert!(strange.filter(|key| filter.may_overlap(&interval(key))).count() < 20);
        assert!(filter.may_overlap(&layout::space_interval(Incarnation(9))));
    }

    #[test]
    fn a_partition_at_the_end_of_its_prefix_is_never_denied() {
        let filter = KeyFilter::default();
        let last = Key { partition: Bytes::from_static(&[0xff; 300]), ..key(String::new()) };
        filter.note(&layout::physical_key(Incarnation(3), &last).unwrap());
        assert!(filter.may_overlap(&interval(&last)));
    }
}
