//! Where the change-log records of each shard lie in the log.
//!
//! Kept in memory and sparse: one point for the first record of a shard in each stretch of
//! [`STRETCH_BYTES`] of a segment. A reader goes from point to point and looks through one stretch at
//! each. The records of a shard keep the log from its oldest untrimmed point on.

use std::collections::{HashMap, VecDeque};

/// A point covers the records of its shard in this many bytes of log from it on.
pub const STRETCH_BYTES: u64 = 64 << 10;

/// The place of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// The commit that appended it.
    pub lsn: u64,
    /// The segment.
    pub segment: u64,
    /// The offset of the commit's frame.
    pub offset: u64,
}

#[derive(Debug, Default)]
struct Shard {
    points: VecDeque<Point>,
    last_lsn: u64,
}

/// Where one shard has records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardPoints {
    /// The shard.
    pub shard: u64,
    /// The last LSN with a record of the shard.
    pub last_lsn: u64,
    /// Its points, in order.
    pub points: Vec<Point>,
}

/// The index over all shards.
#[derive(Debug, Default)]
pub struct RecordIndex {
    shards: HashMap<u64, Shard>,
    trimmed: HashMap<u64, u64>,
}

/// What a reader of a shard needs to know.
#[derive(Clone, Debug, Default)]
pub struct Route {
    /// The points to visit, in order.
    pub points: Vec<Point>,
    /// The last LSN with a record of the shard.
    pub last_lsn: u64,
    /// Records up to this LSN are forgotten.
    pub trimmed: u64,
}

impl RecordIndex {
    /// An index with the trim positions that the manifest remembered.
    #[must_use]
    pub fn with_trimmed(trimmed: impl IntoIterator<Item = (u64, u64)>) -> Self {
        Self { shards: HashMap::new(), trimmed: trimmed.into_iter().collect() }
    }

    /// Notes that the commit at `place` has records for `shard`.
    pub fn add(&mut self, shard: u64, place: Point) {
        if self.trimmed.get(&shard).is_some_and(|&trimmed| place.lsn <= trimmed) {
            return;
        }
        let entry = self.shards.entry(shard).or_default();
        entry.last_lsn = entry.last_lsn.max(place.lsn);
        let covered = entry.points.back().is_some_and(|last| {
            last.segment == place.segment && place.offset < last.offset + STRETCH_BYTES
        });
        if !covered {
            entry.points.push_back(place);
        }
    }

    /// All points, by shard.
    #[must_use]
    pub fn all_points(&self) -> Vec<ShardPoints> {
        let points = |(&shard, entry): (&u64, &Shard)| ShardPoints {
            shard,
            last_lsn: entry.last_lsn,
            points: entry.points.iter().copied().collect(),
        };
        let mut all: Vec<_> = self.shards.iter().map(points).collect();
        all.sort_unstable_by_key(|shard| shard.shard);
        all
    }

    /// Adds points that lie behind all that are known of their shard.
    pub fn restore(&mut self, points: &ShardPoints) {
        let entry = self.shards.entry(points.shard).or_default();
        entry.last_lsn = entry.last_lsn.max(points.last_lsn);
        entry.points.extend(&points.points);
        if let Some(&trimmed) = self.trimmed.get(&points.shard) {
            self.trim(points.shard, trimmed);
        }
    }

    /// The way to at most `stretches` stretches of records of `shard` after the LSN `after`, which
    /// may still have records itself.
    #[must_use]
    pub fn route(&self, shard: u64, after: u64, stretches: usize) -> Route {
        let trimmed = self.trimmed.get(&shard).copied().unwrap_or(0);
        let Some(entry) = self.shards.get(&shard) else {
            return Route { trimmed, ..Route::default() };
        };
        if entry.last_lsn < after {
            return Route { points: Vec::new(), last_lsn: entry.last_lsn, trimmed };
        }
        let start = entry.points.partition_point(|p| p.lsn <= after).saturating_sub(1);
        let points = entry.points.range(start..).take(stretches).copied().collect();
        Route { points, last_lsn: entry.last_lsn, trimmed }
    }

    /// Forgets the records of `shard` up to and with `up_to`.
    pub fn trim(&mut self, shard: u64, up_to: u64) {
        let trimmed = self.trimmed.entry(shard).or_default();
        *trimmed = up_to.max(*trimmed);
        let up_to = *trimmed;
        let Some(entry) = self.shards.get_mut(&shard) else { return };
        if entry.last_lsn <= up_to {
            self.shards.remove(&shard);
            return;
        }
        while entry.points.get(1).is_some_and(|next| next.lsn <= up_to + 1) {
            entry.points.pop_front();
        }
    }

    /// The shards that have untrimmed records.
    pub fn shards(&self) -> impl Iterator<Item = u64> + '_ {
        self.shards.keys().copied()
    }

    /// The oldest segment that has an untrimmed record.
    #[must_use]
    pub fn oldest_segment(&self) -> Option<u64> {
        self.shards
            .values()
            .filter_map(|shard| shard.points.front())
            .map(|point| point.segment)
            .min()
    }

    /// The trim positions that still matter for a log that starts at `first_lsn`. The others are
    /// forgotten.
    pub fn trim_positions(&mut self, first_lsn: u64) -> Vec<(u64, u64)> {
        self.trimmed.retain(|_, lsn| *lsn >= first_lsn);
        let mut positions: Vec<_> =
            self.trimmed.iter().map(|(&shard, &lsn)| (shard, lsn)).collect();
        positions.sort_unstable();
        positions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_is_kept_until_its_last_record_is_trimmed() {
        let mut index = RecordIndex::default();
        // Three stretches; the last record of the first one has LSN 5.
        for (lsn, offset) in [(1, 0), (5, 500), (6, STRETCH_BYTES), (9, 5 * STRETCH_BYTES)] {
            index.add(7, Point { lsn, segment: 1, offset });
        }
        let points = |index: &RecordIndex| -> Vec<u64> {
            index.route(7, 0, usize::MAX).points.iter().map(|point| point.lsn).collect()
        };
        assert_eq!(points(&index), [1, 6, 9]);
        for (up_to, left) in [(4, &[1, 6, 9][..]), (5, &[6, 9]), (7, &[6, 9]), (8, &[9]), (9, &[])]
        {
            index.trim(7, up_to);
            assert_eq!(points(&index), left, "trimmed up to {up_to}");
        }
        // What was trimmed does not come back.
        index.add(7, Point { lsn: 9, segment: 1, offset: 5 * STRETCH_BYTES });
        assert_eq!(points(&index), []);
    }

    #[test]
    fn a_trim_position_is_remembered_while_the_log_has_its_lsn() {
        let mut index = RecordIndex::default();
        index.trim(7, 50);
        index.trim(8, 60);
        assert_eq!(index.trim_positions(50), [(7, 50), (8, 60)]);
        assert_eq!(index.trim_positions(51), [(8, 60)]);
        assert_eq!(index.trim_positions(61), []);
    }
}
