//! What a sealed segment holds, in a file beside it, so that opening need not read the segment.
//!
//! A segment whose commits are all in the tree is kept for its change-log records alone. Then the file
//! `<id, 16 hex digits>.index` says which LSNs the segment holds and where each shard has records. It is
//! made by walking the whole segment after its end frame was synced, and only if all of it is in order.
//! Nothing depends on it: where it is missing or damaged the segment is read as a whole. With it, damage
//! to the segment is met when the records are read, which checks every frame on the way.
//!
//! Little-endian: magic `ZNBINDEX`, segment u64, its length u64, first LSN u64, last LSN u64, count u64 of
//! shards, each shard u64, last LSN u64, count u64 of points, each LSN u64 and offset u64; then XXH3-64 of
//! everything before, seeded with the segment's seed.

use bytes::BufMut as _;

use super::Segment;
use super::frame::{body_of, push_hash};
use super::io::LogDirectory;
use super::records::{Point, RecordIndex, ShardPoints};

const MAGIC: &[u8; 8] = b"ZNBINDEX";
const SUFFIX: &str = ".index";
/// The longest file that is read: points of 16 bytes, one for each shard and stretch of the segment.
const BYTES_MAX: u64 = 64 << 20;

/// What a sealed segment holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The segment.
    pub segment: u64,
    /// The length of its file.
    pub size_bytes: u64,
    /// The LSN of its first commit.
    pub first_lsn: u64,
    /// The LSN of its last commit.
    pub last_lsn: u64,
    /// Where the shards have records.
    pub shards: Vec<ShardPoints>,
}

impl Summary {
    /// The name of the file for a segment.
    #[must_use]
    pub fn name(segment: u64) -> String {
        format!("{segment:016x}{SUFFIX}")
    }

    /// The segment that a file name stands for.
    #[must_use]
    pub fn id_of(name: &str) -> Option<u64> {
        let id = u64::from_str_radix(name.strip_suffix(SUFFIX)?, 16).ok()?;
        (Self::name(id) == name).then_some(id)
    }

    /// Sums up a segment from the records that were found in it.
    #[must_use]
    pub fn of(segment: &Segment, first_lsn: u64, records: &RecordIndex) -> Self {
        Self {
            segment: segment.id,
            size_bytes: segment.size_bytes,
            first_lsn,
            last_lsn: segment.last_lsn(),
            shards: records.all_points(),
        }
    }

    /// Reads the file of a segment; `None` when there is none that can be relied on.
    #[must_use]
    pub fn load(directory: &dyn LogDirectory, segment: &Segment) -> Option<Self> {
        let file = directory.open(&Self::name(segment.id)).ok()?;
        let length = file.len().ok().filter(|length| *length <= BYTES_MAX)?;
        let mut bytes = vec![0; usize::try_from(length).ok()?];
        file.read_at(&mut bytes, 0).ok()?;
        let summary = Self::decode(&bytes, segment.seed)?;
        let fits = summary.segment == segment.id && summary.size_bytes == segment.size_bytes;
        fits.then_some(summary)
    }

    /// Writes the file. When this returns, it is whole on disk, or there is none.
    ///
    /// # Errors
    /// What the operating system reports.
    pub fn store(&self, directory: &dyn LogDirectory, seed: u64) -> std::io::Result<()> {
        let beside = format!("{}.tmp", Self::name(self.segment));
        let file = directory.create(&beside)?;
        file.write_at(&self.encode(seed), 0)?;
        file.sync()?;
        directory.rename(&beside, &Self::name(self.segment))
    }

    fn encode(&self, seed: u64) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(MAGIC);
        for word in [self.segment, self.size_bytes, self.first_lsn, self.last_lsn] {
            out.put_u64_le(word);
        }
        out.put_u64_le(self.shards.len() as u64);
        for shard in &self.shards {
            out.put_u64_le(shard.shard);
            out.put_u64_le(shard.last_lsn);
            out.put_u64_le(shard.points.len() as u64);
            for point in &shard.points {
                out.put_u64_le(point.lsn);
                out.put_u64_le(point.offset);
            }
        }
        push_hash(&mut out, seed);
        out
    }

    fn decode(bytes: &[u8], seed: u64) -> Option<Self> {
        let body = body_of(bytes, seed).filter(|body| body.starts_with(MAGIC))?;
        let words = body.get(8..)?.chunks_exact(8);
        let mut words = words.map(|word| word.try_into().map_or(0, u64::from_le_bytes));
        let mut summary = Self {
            segment: words.next()?,
            size_bytes: words.next()?,
            first_lsn: words.next()?,
            last_lsn: words.next()?,
            shards: Vec::new(),
        };
        for _ in 0..words.next()? {
            let (shard, last_lsn, count) = (words.next()?, words.next()?, words.next()?);
            let mut points = Vec::new();
            for _ in 0..count {
                let (lsn, offset) = (words.next()?, words.next()?);
                points.push(Point { lsn, segment: summary.segment, offset });
            }
            summary.shards.push(ShardPoints { shard, last_lsn, points });
        }
        Some(summary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_notices_damage() {
        let point = |lsn| Point { lsn, segment: 5, offset: lsn * 100 };
        let summary = Summary {
            segment: 5,
            size_bytes: 1 << 20,
            first_lsn: 7,
            last_lsn: 90,
            shards: vec![
                ShardPoints { shard: 3, last_lsn: 60, points: vec![point(7), point(40)] },
                ShardPoints { shard: 4, last_lsn: 90, points: vec![point(90)] },
            ],
        };
        let bytes = summary.encode(11);
        assert_eq!(Summary::decode(&bytes, 11), Some(summary));
        assert_eq!(Summary::decode(&bytes, 12), None, "another segment's seed");
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Summary::decode(&damaged, 11), None, "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert_eq!(Summary::decode(&bytes[..length], 11), None, "cut at {length}");
        }
    }

    #[test]
    fn names_say_which_segment() {
        assert_eq!(Summary::id_of(&Summary::name(0x1f)), Some(0x1f));
        assert_eq!(Summary::id_of("000000000000001f.index.tmp"), None);
        assert_eq!(Summary::id_of("1f.index"), None);
    }
}
