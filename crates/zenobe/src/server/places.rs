//! The places for connections, as many as may be open at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::clock;

/// How often it is said that there is no place, at most.
const SAY_AGAIN_MS: u64 = 60_000;

/// The places for connections.
pub(super) struct Places {
    free: Arc<Semaphore>,
    count: usize,
    /// Who waits for one.
    waiting: AtomicUsize,
    /// From when on it may be said that there is none.
    say_from_ms: AtomicU64,
}

impl Places {
    /// So many places, all free.
    pub(super) fn new(count: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(count)),
            count,
            waiting: AtomicUsize::new(0),
            say_from_ms: AtomicU64::new(0),
        }
    }

    /// Takes a place, as soon as there is one. `None` when there will be none any more.
    pub(super) async fn take(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(place) = self.free.clone().try_acquire_owned() {
            return Some(place);
        }
        let now_ms = clock::uptime_ms();
        let from_ms = self.say_from_ms.load(Ordering::Relaxed);
        let next_ms = now_ms + SAY_AGAIN_MS;
        let is_first = || {
            let (set, read) = (Ordering::Relaxed, Ordering::Relaxed);
            self.say_from_ms.compare_exchange(from_ms, next_ms, set, read).is_ok()
        };
        if now_ms >= from_ms && is_first() {
            tracing::warn!(
                max_connections = self.count,
                "all connections that may be open are; more wait until one ends or has been idle"
            );
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let place = self.free.clone().acquire_owned().await.ok();
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        place
    }

    /// Whether somebody waits for a place.
    pub(super) fn are_waited_for(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Waits until all places are free.
    pub(super) async fn all_free(&self) {
        let _all = self.free.acquire_many(u32::try_from(self.count).unwrap_or(u32::MAX)).await;
    }
}
