//! Time, randomness and sleeping, injected so that a simulation can replace them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use zenobe_storage::BoxFuture;

/// What the database needs from the world outside.
pub trait Environment: Send + Sync + 'static {
    /// Milliseconds since 1970-01-01 UTC.
    fn now_ms(&self) -> u64;

    /// Milliseconds since some moment, by a watch that nobody sets.
    fn elapsed_ms(&self) -> u64;

    /// 128 random bits.
    fn random(&self) -> u128;

    /// Returns after the duration.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// Gives timestamps that always grow: milliseconds since the epoch in the upper 48 bits, a counter
/// in the lower 16. That begins anew with every millisecond, in each process at a number of its own: so two that write
/// in the same millisecond hardly ever give the same timestamp.
#[derive(Debug)]
pub(crate) struct HybridClock {
    last: AtomicU64,
    first_count: u64,
}

impl HybridClock {
    /// The clock of a process, with a random number of its own.
    pub(crate) fn new(random: u128) -> Self {
        let mixed = xxhash_rust::xxh3::xxh3_64(&random.to_be_bytes());
        // In the lower half, so that the other half is left to count within a millisecond.
        Self { last: AtomicU64::new(0), first_count: mixed & 0x7FFF }
    }

    /// A timestamp later than all given before.
    pub(crate) fn next(&self, now_ms: u64) -> u64 {
        let floor = now_ms << 16 | self.first_count;
        let advance = |last: u64| Some(floor.max(last.saturating_add(1)));
        match self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, advance) {
            Ok(last) | Err(last) => floor.max(last.saturating_add(1)),
        }
    }
}

/// 128 random bits as a version 4 UUID, as in `TableId`.
pub(crate) fn uuid(random: u128) -> String {
    let bits = (random & !(0xf << 76) & !(0b11 << 62)) | (0x4 << 76) | (0b10 << 62);
    let hex = format!("{bits:032x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_grow_even_when_time_stands_still() {
        let clock = HybridClock::new(1);
        let first = clock.next(7);
        let second = clock.next(7);
        let earlier = clock.next(3);
        assert_eq!(first >> 16, 7);
        assert!(first < second && second < earlier);
    }

    #[test]
    fn processes_give_other_timestamps_at_the_same_time() {
        assert_ne!(HybridClock::new(1).next(7), HybridClock::new(2).next(7));
    }

    #[test]
    fn a_uuid_says_its_version_and_variant() {
        assert_eq!(uuid(0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
