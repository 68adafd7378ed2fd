//! What is known about a stream: its settings and its shards.
//!
//! A [`Stream`] is an immutable snapshot, stored as one row of the catalogue and replaced as a whole.
//! The CBOR field numbers are a file format, as in [`super::table`]. A stream outlives its table: it
//! stays for as long as its records are kept.

use minicbor::{Decode, Encode};
use zenobe_model::operation::StreamViewType;
use zenobe_storage::{Position, ShardId};

use super::KeySchema;
use super::stored;

/// A stream of a table.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Stream {
    /// The table's id: a table of the same name may have come after it.
    #[n(0)]
    pub table_id: String,
    /// `TableName`
    #[n(1)]
    pub table_name: String,
    /// `StreamLabel`
    #[n(2)]
    pub label: String,
    /// `StreamViewType`
    #[cbor(n(3), with = "stored::view_type")]
    pub view: StreamViewType,
    /// The key of the table.
    #[n(4)]
    pub key: KeySchema,
    /// When it was enabled, milliseconds since the epoch.
    #[n(5)]
    pub creation_ms: u64,
    /// When it was disabled, milliseconds since the epoch.
    #[n(6)]
    pub disabled_ms: Option<u64>,
    /// Its shards: those of one generation side by side, in the order of their hash intervals, older
    /// generations first. That is also the order of their names.
    #[n(7)]
    pub shards: Vec<Shard>,
}

/// A shard of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Shard {
    /// What names it.
    #[n(0)]
    pub name: ShardName,
    /// The shard whose place it took.
    #[n(1)]
    pub parent: Option<ShardName>,
    /// Its records were committed after this position.
    #[n(2)]
    pub start: u64,
    /// When and where it ended; absent while it is open.
    #[n(3)]
    pub end: Option<ShardEnd>,
}

/// What names a shard: it is never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct ShardName {
    /// When it was opened, milliseconds since the epoch; later than its parent.
    #[n(0)]
    pub creation_ms: u64,
    /// Its number in the engine's change log: random, but for the last byte, which is the shard's
    /// ordinal in its generation.
    #[n(1)]
    pub log: u64,
}

/// Where a shard ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ShardEnd {
    /// When, milliseconds since the epoch.
    #[n(0)]
    pub ms: u64,
    /// Its records were committed before this position.
    #[n(1)]
    pub position: u64,
}

impl ShardName {
    /// The shard of the engine's change log.
    #[must_use]
    pub const fn shard(self) -> ShardId {
        ShardId(self.log)
    }

    /// `ShardId`. Names compare as their texts do, as far as one generation goes.
    #[must_use]
    pub fn text(self) -> String {
        format!("shardId-{:020}-{:08x}", self.creation_ms, self.log & 0xFFFF_FFFF)
    }
}

impl Stream {
    /// What `LatestStreamArn` has behind the ARN of the table.
    #[must_use]
    pub const fn is_enabled(&self) -> bool {
        self.disabled_ms.is_none()
    }

    /// The shards that take records, in the order of their hash intervals.
    pub fn open_shards(&self) -> impl Iterator<Item = &Shard> {
        self.shards.iter().filter(|shard| shard.end.is_none())
    }

    /// The shard with this `ShardId`.
    #[must_use]
    pub fn shard(&self, id: &str) -> Option<&Shard> {
        self.shards.iter().find(|shard| shard.name.text() == id)
    }

    /// The stream with `count` shards (1 to 256) opened at a position, each the child of the open
    /// shard in its place, which is closed. `random` names them.
    #[must_use]
    pub fn rolled_over(&self, at: Position, now_ms: u64, count: usize, random: u128) -> Self {
        let parents: Vec<ShardName> = self.open_shards().map(|shard| shard.name).collect();
        let last_ms = self.shards.iter().map(|shard| shard.name.creation_ms).max();
        let creation_ms = last_ms.map_or(now_ms, |last| now_ms.max(last + 1));
        let mut next = self.closed(at, now_ms);
        for ordinal in 0..count {
            let name = ShardName { creation_ms, log: shard_number(random, ordinal) };
            let parent = parents.get(ordinal).copied();
            next.shards.push(Shard { name, parent, start: at.0, end: None });
        }
        next
    }

    /// The stream with its open shards closed at a position.
    #[must_use]
    pub fn closed(&self, at: Position, now_ms: u64) -> Self {
        let mut next = self.clone();
        for shard in next.shards.iter_mut().filter(|shard| shard.end.is_none()) {
            shard.end = Some(ShardEnd { ms: now_ms, position: at.0 });
        }
        next
    }
}

/// The number of a shard in the change log: all of its bits depend on all of `random`, but the last
/// byte, which orders the shards of a generation.
#[expect(clippy::cast_possible_truncation, reason = "the lower half of the bits is meant")]
fn shard_number(random: u128, ordinal: usize) -> u64 {
    let mixed = mix(mix((random >> 64) as u64) ^ random as u64);
    (mixed & !0xFF) | (ordinal as u64 & 0xFF)
}

/// Spreads a number over all bits; different numbers stay different.
pub(crate) const fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

/// From when on positions were after a time: what trimming by age goes by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Marks {
    /// Times, milliseconds since the epoch, and positions that were reached by then; both ascend.
    #[n(0)]
    pub(crate) marks: Vec<(u64, u64)>,
    /// Records up to this position are forgotten.
    #[n(1)]
    pub(crate) horizon: u64,
}

#[cfg(test)]
mod tests {
    use super::super::KeyAttribute;
    use super::*;
    use zenobe_model::value::ValueType;

    fn stream() -> Stream {
        Stream {
            table_id: "id".to_owned(),
            table_name: "Music".to_owned(),
            label: "label".to_owned(),
            view: StreamViewType::OldImage,
            key: KeySchema {
                partition: KeyAttribute { name: "pk".to_owned(), ty: ValueType::S },
                sort: None,
            },
            creation_ms: 7,
            disabled_ms: None,
            shards: Vec::new(),
        }
    }

    #[test]
    fn children_take_the_place_of_their_parents() {
        let first = stream().rolled_over(Position(10), 1000, 3, 1);
        // The clock stands still, or goes back: names ascend all the same.
        let second = first.rolled_over(Position(20), 900, 3, 2);
        assert_eq!(first.open_shards().count(), 3);
        let closed: Vec<&Shard> =
            second.shards.iter().filter(|shard| shard.end.is_some()).collect();
        let open: Vec<&Shard> = second.open_shards().collect();
        assert_eq!((closed.len(), open.len()), (3, 3));
        for (parent, child) in closed.iter().zip(&open) {
            assert_eq!(child.parent, Some(parent.name));
            assert_eq!(parent.end, Some(ShardEnd { ms: 900, position: 20 }));
            assert_eq!((parent.start, child.start), (10, 20));
        }
        let names: Vec<String> = second.shards.iter().map(|shard| shard.name.text()).collect();
        assert!(names.is_sorted());
        assert_eq!(names[0].len(), 37);
        assert!(second.closed(Position(30), 5).open_shards().next().is_none());
    }

    #[test]
    fn the_format_is_pinned() {
        let stored = stored::encode(&stream().rolled_over(Position(10), 1000, 1, 1));
        let hex: String = stored.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, include_str!("golden/stream_1.hex").trim());
    }
}
