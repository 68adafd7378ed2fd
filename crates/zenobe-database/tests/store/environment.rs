//! Time that stands still unless the test says otherwise, and random numbers that can be foretold.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use zenobe_database::environment::Environment;
use zenobe_storage::BoxFuture;

use super::{on_cassandra, real_ms};

/// 2026-10-08T23:07:31.275Z
pub(crate) const START_MS: u64 = 1_791_500_851_275;
/// No sleep of a process on Cassandra is longer. One of a process on the in-memory engine takes no time.
const SLEEP_MAX: Duration = Duration::from_millis(100);
/// How long a process sleeps after it has renewed its row.
const BEAT: Duration = Duration::from_secs(1);

/// What a process has of the world.
pub(crate) struct TestEnvironment {
    now_ms: AtomicU64,
    elapsed_ms: AtomicU64,
    random: AtomicU64,
    /// The upper half of each random number: where a store was used before, what is in it has other names.
    origin: u64,
    on_cassandra: AtomicBool,
    /// How often the process began to sleep for as long as it does after it has renewed its row.
    beats: watch::Sender<u64>,
}

impl TestEnvironment {
    pub(crate) fn new() -> Arc<Self> {
        Self::of_process(0, 0)
    }

    /// The environment of another process: its random numbers are its own.
    pub(crate) fn of_process(number: u64, ahead_ms: u64) -> Arc<Self> {
        static ORIGINS: AtomicU64 = AtomicU64::new(0);
        let next = || (real_ms() << 16) + ORIGINS.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self {
            now_ms: AtomicU64::new(START_MS + ahead_ms),
            elapsed_ms: AtomicU64::new(0),
            random: AtomicU64::new(number << 32 | 1),
            origin: if on_cassandra() { next() } else { 0 },
            on_cassandra: AtomicBool::new(false),
            beats: watch::Sender::new(0),
        })
    }

    /// Sets the clock ahead, and not the watch by which processes of a store find out who is dead.
    pub(crate) fn advance(&self, ms: u64) {
        self.now_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// Lets time pass by the clock and the watch.
    pub(crate) fn pass(&self, ms: u64) {
        self.advance(ms);
        self.elapsed_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// Waits until the process, with its background work, has renewed its row among those that share the store, and
    /// has done so from the beginning since this was called.
    pub(crate) async fn beat(&self) {
        let seen = *self.beats.borrow();
        self.beats.subscribe().wait_for(|beats| *beats >= seen + 2).await.unwrap();
    }

    /// Tells what the process works on.
    pub(super) fn set_on_cassandra(&self) {
        self.on_cassandra.store(true, Ordering::Relaxed);
    }
}

impl Environment for TestEnvironment {
    fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::Relaxed)
    }

    fn elapsed_ms(&self) -> u64 {
        self.elapsed_ms.load(Ordering::Relaxed)
    }

    fn random(&self) -> u128 {
        let low = self.random.fetch_add(1, Ordering::Relaxed);
        u128::from(self.origin) << 64 | u128::from(low)
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        if duration == BEAT {
            self.beats.send_modify(|beats| *beats += 1);
        }
        if self.on_cassandra.load(Ordering::Relaxed) {
            Box::pin(tokio::time::sleep(duration.min(SLEEP_MAX)))
        } else {
            Box::pin(tokio::task::yield_now())
        }
    }
}
