//! Versions: hybrid logical clock values that carry the node that gave them.
//!
//! ```text
//! 63      62 .............. 21   20 ........ 10   9 ....... 0
//! zero    milliseconds since 1970   counter          node
//! ```
//!
//! The upper 53 bits, the *tick*, follow the time of day, never go back within a process, and jump ahead of
//! every version that the process meets. So versions of one process grow, and those of another are behind at
//! most until the two meet in a row. After such a jump the clock goes on from there at the speed of time, for
//! [`LEAD_MAX`]: one that stood still would be behind again a moment later, and lose every race for a partition
//! against a process whose clock is ahead. That versions of one partition grow whatever the clocks say is not the
//! clock's doing but that of the header row (see [`crate::commit`]).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::options::WallClock;

/// How many bits of a version name the node.
pub(crate) const NODE_BITS: u32 = 10;
const COUNTER_BITS: u32 = 11;
/// For how long a clock follows one that it met ahead of its own.
const LEAD_MAX: Duration = Duration::from_secs(60);
/// Versions are stored in signed columns.
const VERSION_MAX: u64 = i64::MAX as u64;

/// Gives versions.
pub(crate) struct HybridClock {
    wall: WallClock,
    /// The last tick given or met.
    tick: AtomicU64,
    /// By how many ticks the clock goes ahead of the time of day, since when (in milliseconds of that).
    lead: Mutex<(u64, u64)>,
}

impl HybridClock {
    pub(crate) fn new(wall: WallClock) -> Self {
        Self { wall, tick: AtomicU64::new(0), lead: Mutex::default() }
    }

    /// A version larger than every one that this clock gave or met.
    pub(crate) fn next(&self, node: u16) -> i64 {
        let now = self.now();
        let step = |last: u64| now.max(last.saturating_add(1));
        let last = match self
            .tick
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |last| Some(step(last)))
        {
            Ok(last) | Err(last) => last,
        };
        let version = (step(last) << NODE_BITS) | u64::from(node);
        i64::try_from(version.min(VERSION_MAX)).unwrap_or(i64::MAX)
    }

    /// Later versions are larger than this one.
    pub(crate) fn meet(&self, version: i64) {
        let Ok(version) = u64::try_from(version) else { return };
        let tick = version >> NODE_BITS;
        if self.tick.fetch_max(tick, Ordering::SeqCst) < tick {
            let wall_ms = self.wall_ms();
            *self.lead.lock() = (tick.saturating_sub(wall_ms << COUNTER_BITS), wall_ms);
        }
    }

    /// The tick of the time of day, or of the clock that this one follows.
    fn now(&self) -> u64 {
        let wall_ms = self.wall_ms();
        let (lead, since_ms) = *self.lead.lock();
        let follows = Duration::from_millis(wall_ms.abs_diff(since_ms)) < LEAD_MAX;
        (wall_ms << COUNTER_BITS).saturating_add(if follows { lead } else { 0 })
    }

    /// A version that this clock will not exceed for this long, unless it meets one.
    pub(crate) fn ahead(&self, time: Duration) -> i64 {
        let now = self.now();
        let time = u64::try_from(time.as_millis()).unwrap_or(u64::MAX) << COUNTER_BITS;
        Self::largest_of(now.max(self.tick.load(Ordering::SeqCst)).saturating_add(time))
    }

    /// How long ago a version was given, as far as clocks tell.
    pub(crate) fn age(&self, version: i64) -> Duration {
        let given_ms = version.cast_unsigned() >> (COUNTER_BITS + NODE_BITS);
        Duration::from_millis(self.wall_ms().saturating_sub(given_ms))
    }

    fn largest_of(tick: u64) -> i64 {
        let version = (tick << NODE_BITS) | ((1 << NODE_BITS) - 1);
        i64::try_from(version.min(VERSION_MAX)).unwrap_or(i64::MAX)
    }

    /// The time of day in milliseconds.
    pub(crate) fn wall_ms(&self) -> u64 {
        (self.wall)()
    }

    /// The time of day in microseconds, as Cassandra's write timestamps are.
    pub(crate) fn wall_us(&self) -> i64 {
        i64::try_from((self.wall)().saturating_mul(1000)).unwrap_or(i64::MAX)
    }

    /// By how much the clock is ahead of the time of day, because another node's is.
    pub(crate) fn ahead_ms(&self) -> u64 {
        (self.tick.load(Ordering::SeqCst) >> COUNTER_BITS).saturating_sub((self.wall)())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn clock_at(now: &Arc<AtomicU64>) -> HybridClock {
        let now = Arc::clone(now);
        HybridClock::new(Arc::new(move || now.load(Ordering::SeqCst)))
    }

    #[test]
    fn versions_grow_though_the_time_stands_still_or_goes_back() {
        let now = Arc::new(AtomicU64::new(1_800_000_000_000));
        let clock = clock_at(&now);
        let mut last = 0;
        for round in 0..10_000 {
            if round == 5_000 {
                now.store(1_700_000_000_000, Ordering::SeqCst);
            }
            let version = clock.next(7);
            assert!(version > last);
            assert_eq!(version & 1023, 7);
            last = version;
        }
    }

    #[test]
    fn a_version_met_is_overtaken() {
        let clock = clock_at(&Arc::new(AtomicU64::new(1_800_000_000_000)));
        let ahead = clock_at(&Arc::new(AtomicU64::new(1_800_000_060_000)));
        let met = ahead.next(1023);
        assert!(clock.next(0) < met);
        clock.meet(met);
        assert!(clock.next(0) > met);
        assert!((59_000..=60_000).contains(&clock.ahead_ms()));
        clock.meet(-1);
        clock.meet(0);
        assert!(clock.next(0) > met);
    }

    #[test]
    fn a_clock_follows_one_that_is_ahead_for_a_while() {
        let now = Arc::new(AtomicU64::new(1_800_000_000_000));
        let clock = clock_at(&now);
        let ahead = clock_at(&Arc::new(AtomicU64::new(1_800_000_060_000)));
        clock.meet(ahead.next(1));
        now.fetch_add(10, Ordering::SeqCst);
        let version = clock.next(0).cast_unsigned();
        assert_eq!(version >> (COUNTER_BITS + NODE_BITS), 1_800_000_060_010);
        // What it gave itself is nothing new.
        now.fetch_add(59_000, Ordering::SeqCst);
        clock.meet(version.cast_signed());
        now.fetch_add(1_000, Ordering::SeqCst);
        let version = clock.next(0).cast_unsigned();
        assert_eq!(version >> (COUNTER_BITS + NODE_BITS), 1_800_000_060_010);
    }

    #[test]
    fn a_clock_tells_what_is_ahead_of_it_and_how_old_a_version_is() {
        let now = Arc::new(AtomicU64::new(1_800_000_000_000));
        let clock = clock_at(&now);
        let limit = clock.ahead(Duration::from_secs(15));
        now.fetch_add(14_999, Ordering::SeqCst);
        let given = clock.next(1023);
        assert!(given < limit);
        now.fetch_add(15_002, Ordering::SeqCst);
        assert!(clock.next(0) > limit);
        assert_eq!(clock.age(given), Duration::from_millis(15_002));
        clock.meet(clock.ahead(Duration::from_secs(3600)));
        assert!(clock.ahead(Duration::from_secs(1)) > clock.next(0));
        assert_eq!(clock.age(clock.next(0)), Duration::ZERO);
    }

    #[test]
    fn a_version_is_a_positive_number_for_a_century() {
        let clock = clock_at(&Arc::new(AtomicU64::new(4_000_000_000_000)));
        assert!(clock.next(1023) > 0);
        let absurd = clock_at(&Arc::new(AtomicU64::new(u64::MAX)));
        assert!(absurd.next(0) > 0);
    }
}
