//! Intervals read in pieces.
//!
//! Cassandra keeps a mark of each deletion for `gc_grace_seconds`, ten days, and gives up a page for which it would
//! pass too many of them (`tombstone_failure_threshold`, 100,000): the beginning of a queue, what a table's expired
//! items left, a table that was emptied. Nothing says where in the interval they are. So a read that is given up
//! asks for a smaller piece, and for larger ones again while they are answered: the sizes are powers of two, and
//! double their steps, since keys may differ in their first byte or in their hundredth.
//!
//! The price is that of bisecting: about two statements for each bit before the keys that were deleted begin to
//! differ, and a few for each piece.
//!
//! What is not answered in time is read in pieces, too: a scan of a lane that hardly any partition has looks at every
//! partition there is. That costs the time each time, so the pieces become smaller much faster, and none becomes
//! larger unless it was quick. If none is answered however small it is, it is not the size.
//!
//! Sort bytes are taken as binary fractions: a piece at scale `n` ends at the next multiple of 2⁻ⁿ. Hashes the same,
//! as fractions of 2⁶⁴.

use bytes::Bytes;
use zenobe_storage::{Direction, HashInterval, SORT_BYTES_MAX};

use crate::core::successor;

/// The scale at which no two keys are in one piece.
#[expect(clippy::cast_possible_truncation, reason = "a small constant")]
const SCALE_MAX: u32 = (SORT_BYTES_MAX as u32 + 1) * 8;
/// How many pieces one read asks for, before it gives up.
const PIECES_MAX: u32 = 10_000;

/// How many pieces in a row are not answered in time, before a read gives up.
const TIMEOUTS_MAX: u32 = 4;
/// By how much the scale changes when the first of them is not: it becomes a sixteenth.
const TIMEOUT_STEP: u32 = 4;
/// By how much the scale of a read changes back at most, once a piece of it was not answered in time.
const GROWTH_MAX: u32 = 2;

/// How long a piece took that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// One of four times its size would be answered in time.
    Quick,
    Slow,
}

/// How large the pieces of a read are.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    scale: u32,
    /// By how much the scale changed last.
    step: u32,
    was_refused: bool,
    count: u32,
    /// How many of the last ones were not answered in time.
    timeouts: u32,
    ever_timed_out: bool,
}

impl Pieces {
    pub(crate) fn scale(&self) -> u32 {
        self.scale
    }

    /// Whether a piece was given up before.
    pub(crate) fn is_begun(&self) -> bool {
        self.count > 0
    }

    /// A piece was given up: the next one is smaller. Returns whether there may be one.
    pub(crate) fn refused(&mut self) -> bool {
        self.timeouts = 0;
        self.smaller(1)
    }

    /// A piece was not answered in time: the next one is much smaller. Returns whether there may be one.
    pub(crate) fn timed_out(&mut self) -> bool {
        self.timeouts += 1;
        self.ever_timed_out = true;
        self.smaller(TIMEOUT_STEP) && self.timeouts < TIMEOUTS_MAX
    }

    fn smaller(&mut self, step: u32) -> bool {
        self.step = if self.was_refused { self.step.saturating_mul(2).max(step) } else { step };
        self.was_refused = true;
        self.count += 1;
        let smallest = self.scale == SCALE_MAX;
        self.scale = self.scale.saturating_add(self.step).min(SCALE_MAX);
        !smallest && self.count < PIECES_MAX
    }

    /// A piece was read. The second one in a row makes the next one larger: a size that has just been found to be
    /// right is not left at once. Where one was late, none that was slow does, and the steps are small.
    pub(crate) fn read(&mut self, pace: Pace) {
        let step_max = if self.ever_timed_out { GROWTH_MAX } else { SCALE_MAX };
        self.step = match (self.was_refused, pace, self.step) {
            (true, _, _) => 0,
            (false, Pace::Slow, _) if self.ever_timed_out => 0,
            (false, _, 0) => 1,
            (false, _, step) => step.saturating_mul(2).min(step_max),
        };
        self.timeouts = 0;
        self.was_refused = false;
        self.count += 1;
        self.scale = self.scale.saturating_sub(self.step);
    }
}

/// Sort bytes from `from` on, up to but without `to`; without it, up to the end of the lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interval {
    pub(crate) from: Bytes,
    pub(crate) to: Option<Bytes>,
}

impl Interval {
    pub(crate) fn is_empty(&self) -> bool {
        self.to.as_ref().is_some_and(|to| *to <= self.from)
    }

    /// The piece that comes first in a direction.
    pub(crate) fn first(&self, scale: u32, direction: Direction) -> Self {
        let Self { from, to } = self.clone();
        match direction {
            Direction::Forward => {
                let end = above(&from, scale);
                let ends_before = |end: &Bytes| to.as_ref().is_none_or(|to| end < to);
                Self { from, to: end.filter(ends_before).or(to) }
            }
            Direction::Backward => Self { from: below(to.as_ref(), scale).max(from), to },
        }
    }

    /// What is left after a piece that was read; `None` if nothing is.
    pub(crate) fn after(&self, piece: &Self, direction: Direction) -> Option<Self> {
        let rest = match direction {
            Direction::Forward => Self { from: piece.to.clone()?, to: self.to.clone() },
            Direction::Backward => Self { from: self.from.clone(), to: Some(piece.from.clone()) },
        };
        (!rest.is_empty()).then_some(rest)
    }

    /// What is left after a row that was read.
    pub(crate) fn after_row(&self, sort: &Bytes, direction: Direction) -> Option<Self> {
        let rest = match direction {
            Direction::Forward => Self { from: successor(sort), to: self.to.clone() },
            Direction::Backward => Self { from: self.from.clone(), to: Some(sort.clone()) },
        };
        (!rest.is_empty()).then_some(rest)
    }
}

/// The first bytes of a fraction in which the last bit of a scale is, that bit's value in the last of them, and
/// this last one without what is below it.
fn floor(bytes: &[u8], scale: u32) -> (Vec<u8>, u8) {
    let length = usize::try_from(scale.div_ceil(8)).unwrap_or(usize::MAX);
    let unit = 1_u8 << (7 - (scale.saturating_sub(1)) % 8);
    let mut floor: Vec<u8> = bytes.iter().copied().take(length).collect();
    floor.resize(length, 0);
    if let Some(last) = floor.last_mut() {
        *last &= !(unit - 1);
    }
    (floor, unit)
}

/// A fraction in its shortest form, which comes first among the sort bytes that are the same fraction.
fn shortest(mut bytes: Vec<u8>) -> Bytes {
    let length = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.truncate(length);
    bytes.into()
}

/// The first multiple of 2^-scale above all of `bytes`; `None` if there is none.
fn above(bytes: &[u8], scale: u32) -> Option<Bytes> {
    let (mut multiple, mut add) = floor(bytes, scale);
    for byte in multiple.iter_mut().rev() {
        let (sum, carry) = byte.overflowing_add(add);
        *byte = sum;
        if !carry {
            return Some(shortest(multiple));
        }
        add = 1;
    }
    None
}

/// The last multiple of 2^-scale below `to`, or below the end of all.
fn below(to: Option<&Bytes>, scale: u32) -> Bytes {
    if scale == 0 {
        return Bytes::new();
    }
    let Some(to) = to else {
        let all = vec![u8::MAX; usize::try_from(scale.div_ceil(8)).unwrap_or(usize::MAX)];
        return shortest(floor(&all, scale).0);
    };
    let (mut multiple, mut subtract) = floor(to, scale);
    let found = shortest(multiple.clone());
    if found < *to {
        return found;
    }
    for byte in multiple.iter_mut().rev() {
        let (difference, borrow) = byte.overflowing_sub(subtract);
        *byte = difference;
        if !borrow {
            return shortest(multiple);
        }
        subtract = 1;
    }
    Bytes::new()
}

/// The first piece of an interval of hashes.
pub(crate) fn first_hashes(interval: HashInterval, scale: u32) -> HashInterval {
    let below_the_last_bit = u64::MAX.checked_shr(scale).unwrap_or(0);
    HashInterval { last: interval.last.min(interval.first | below_the_last_bit), ..interval }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(bytes: &[u8]) -> Bytes {
        Bytes::copy_from_slice(bytes)
    }

    #[test]
    fn pieces_end_at_multiples() {
        let up = |from: &[u8], scale, expected: Option<&[u8]>| {
            assert_eq!(above(from, scale), expected.map(bytes), "{from:?} {scale}");
        };
        up(b"", 0, None);
        up(&[1, 2], 0, None);
        up(b"", 1, Some(&[0x80]));
        up(&[0x80], 1, None);
        up(&[0x7f, 0xff], 8, Some(&[0x80]));
        up(&[0x12, 0x34, 0x56], 12, Some(&[0x12, 0x40]));
        up(&[0x12, 0xff, 0x56], 16, Some(&[0x13]));
        up(&[0x12], 16, Some(&[0x12, 0x01]));
        up(&[0xff, 0xff], 16, None);
        let down = |to: Option<&[u8]>, scale, expected: &[u8]| {
            assert_eq!(below(to.map(bytes).as_ref(), scale), bytes(expected), "{to:?} {scale}");
        };
        down(None, 0, b"");
        down(None, 1, &[0x80]);
        down(None, 12, &[0xff, 0xf0]);
        down(Some(&[0x12]), 0, b"");
        down(Some(&[0x80]), 1, b"");
        down(Some(&[0x80, 0]), 1, &[0x80]);
        down(Some(&[0x12, 0x34, 0x56]), 12, &[0x12, 0x30]);
        down(Some(&[0x12]), 16, &[0x11, 0xff]);
        down(Some(b"\0"), 16, b"");
    }

    /// Reads an interval in pieces where more than `passed` keys of `gone` are too many.
    fn walk(gone: &[Bytes], passed: usize, direction: Direction) -> u32 {
        let mut rest = Some(Interval { from: Bytes::new(), to: None });
        let (mut pieces, mut seen) = (Pieces::default(), 0);
        while let Some(interval) = rest {
            let piece = interval.first(pieces.scale(), direction);
            assert!(!piece.is_empty() && piece.from >= interval.from);
            let there =
                |key: &&Bytes| **key >= piece.from && piece.to.as_ref().is_none_or(|to| *key < to);
            let count = gone.iter().filter(there).count();
            if count > passed {
                assert!(pieces.refused());
                rest = Some(interval);
                continue;
            }
            pieces.read(Pace::Quick);
            seen += count;
            rest = interval.after(&piece, direction);
            assert_ne!(rest, Some(interval));
        }
        assert_eq!(seen, gone.len());
        pieces.count
    }

    #[test]
    fn dense_places_are_found_in_few_steps_wherever_they_are() {
        let key = |prefix: &[u8], index: u32| bytes(&[prefix, &index.to_be_bytes()].concat());
        for direction in [Direction::Forward, Direction::Backward] {
            for prefix in [&b""[..], b"\0\0\0\0", b"user#2026-11-27#", &[0xff; 40], &[0; 300]] {
                let gone: Vec<_> = (0..1000).map(|index| key(prefix, 7_000_000 + index)).collect();
                // A hundred at once would take ten pieces; each answer tells one bit of where they are.
                let count = usize::try_from(walk(&gone, 100, direction)).unwrap();
                assert!(count < 120 + 2 * 8 * prefix.len(), "{count} {prefix:?} {direction:?}");
                assert_eq!(walk(&gone, 1000, direction), 1);
                walk(&gone, 10, direction);
            }
        }
    }

    #[test]
    fn what_is_never_answered_is_given_up() {
        let mut pieces = Pieces::default();
        let attempts = (0..1000).take_while(|_| pieces.refused()).count();
        assert!(attempts < 30, "{attempts}");
        let mut pieces = Pieces::default();
        assert_eq!((0..1000).take_while(|_| pieces.timed_out()).count(), 3);
    }

    /// Reads all hashes where a piece takes time by its size. Returns how many were late, and how many there were.
    fn scan(all_ms: u64, patience_ms: u64) -> (u32, u32) {
        let (mut pieces, mut late) = (Pieces::default(), 0);
        let mut first = Some(0);
        while let Some(from) = first {
            let interval = HashInterval { first: from, last: u64::MAX };
            let piece = first_hashes(interval, pieces.scale());
            let part = u128::from(piece.last - piece.first) + 1;
            let took_ms = u64::try_from((part * u128::from(all_ms)) >> 64).unwrap();
            if took_ms > patience_ms {
                late += 1;
                assert!(pieces.timed_out(), "{all_ms}");
                continue;
            }
            let is_slow = took_ms >= patience_ms / 4;
            pieces.read(if is_slow { Pace::Slow } else { Pace::Quick });
            first = piece.last.checked_add(1);
        }
        (late, pieces.count)
    }

    #[test]
    fn pieces_that_are_late_become_small_fast_and_stay_so() {
        assert_eq!(scan(2_000, 3_000), (0, 1));
        for all_ms in [4_000, 60_000, 3_600_000] {
            let (late, count) = scan(all_ms, 3_000);
            let least = u32::try_from(all_ms / 3_000).unwrap();
            assert!(late <= 3 && count <= 16 + 8 * least, "{late} of {count} for {all_ms} ms");
        }
    }

    #[test]
    fn hashes_are_cut_like_keys() {
        let interval = HashInterval { first: 5, last: u64::MAX };
        let last = |interval, scale| first_hashes(interval, scale).last;
        assert_eq!(last(interval, 0), u64::MAX);
        assert_eq!(last(interval, 1), u64::MAX >> 1);
        assert_eq!(last(interval, 62), 7);
        assert_eq!(last(interval, 64), 5);
        assert_eq!(last(interval, 100), 5);
        assert_eq!(last(HashInterval { first: 5, last: 6 }, 62), 6);
    }
}
