//! The allocator, and giving memory back to the system when the process falls idle.
//!
//! Small requests come and go by the thousand: an allocator with per-thread pages costs them less than
//! the system's. It is built without huge pages, which would make an idle process several times as
//! large as what it uses. What it keeps for reuse it gives back only as a side effect of further
//! work, so a process that falls idle after a burst, or after reading its log at start, must ask.

use crate::clock;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long nothing must have happened, in milliseconds.
const IDLE_MS: u64 = 2000;

/// Watches for the process to fall idle.
#[derive(Debug, Default)]
pub(crate) struct IdleWatch {
    /// The number of requests so far when it last changed, and when that was.
    seen: u64,
    changed_at_ms: u64,
    given_back: bool,
}

impl IdleWatch {
    /// Takes the number of requests so far; gives memory back once after each burst.
    pub(crate) fn observe(&mut self, requests: u64) {
        let now_ms = clock::coarse_ms();
        if requests != self.seen {
            *self = Self { seen: requests, changed_at_ms: now_ms, given_back: false };
        } else if !self.given_back && now_ms.saturating_sub(self.changed_at_ms) > IDLE_MS {
            self.given_back = true;
            give_back();
        }
    }
}

/// For how long the allocator keeps memory that was freed, in milliseconds; for whole regions ten times
/// as long. By default it gives it back after 10, and a busy database takes it again at once: rows wait
/// in memory until they are flushed, are freed, and the next ones come.
const KEPT_MS: std::ffi::c_long = 1000;
/// The allocator's number of that setting, `mi_option_purge_delay`.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// Lets the allocator keep memory for reuse. To be called at the start.
#[expect(unsafe_code, reason = "the allocator has no other way to be told")]
pub(crate) fn keep_for_reuse() {
    // SAFETY: sets one number; the option is one of those that the allocator has.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, KEPT_MS) };
}

/// Gives memory that is kept for reuse back to the system.
#[expect(unsafe_code, reason = "the allocator has no other way to be asked")]
pub(crate) fn give_back() {
    // SAFETY: the function takes nothing, and may be called on any thread at any time.
    unsafe { libmimalloc_sys::mi_collect(true) };
}
