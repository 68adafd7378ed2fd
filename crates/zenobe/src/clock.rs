//! The one place where the process reads the time.
//!
//! Everything else takes it from here or, below the binary, from an injected environment.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use zenobe_auth::UnixSeconds;

/// A moment of the monotonic clock.
#[expect(clippy::disallowed_methods, reason = "the binary's one source of monotonic time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Time since 1970. A clock before 1970 reads as 1970.
#[expect(clippy::disallowed_methods, reason = "the binary's one source of wall-clock time")]
pub(crate) fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Seconds since 1970.
pub(crate) fn unix_seconds() -> UnixSeconds {
    UnixSeconds(since_epoch().as_secs())
}

/// Milliseconds since the first call in this process.
pub(crate) fn uptime_ms() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let start = *START.get_or_init(now);
    u64::try_from(now().duration_since(start).as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds since some moment, those included during which the machine was suspended: what another
/// machine may have measured in the meantime.
pub(crate) fn elapsed_ms() -> u64 {
    #[cfg(target_os = "linux")]
    const CLOCK: ClockId = ClockId::Boottime;
    // Elsewhere this one goes on during a suspension, where any clock does.
    #[cfg(not(target_os = "linux"))]
    const CLOCK: ClockId = ClockId::Monotonic;
    let time = clock_gettime(CLOCK);
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u64::try_from(time.tv_nsec));
    seconds.unwrap_or(0).saturating_mul(1000).saturating_add(nanos.unwrap_or(0) / 1_000_000)
}

static COARSE_MS: AtomicU64 = AtomicU64::new(0);

/// Milliseconds of uptime as of the last [`tick`]: for what needs no better than the tick's interval
/// and is asked for several times a request.
pub(crate) fn coarse_ms() -> u64 {
    COARSE_MS.load(Ordering::Relaxed)
}

/// Moves [`coarse_ms`] on.
pub(crate) fn tick() -> u64 {
    let now_ms = uptime_ms();
    COARSE_MS.store(now_ms, Ordering::Relaxed);
    now_ms
}
