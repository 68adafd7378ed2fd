//! Syncs of the whole process, told to a test: the library that writes tables has no seam of its own for that. Nothing is
//! written through to the disk then; tests that end no process lose nothing by it.
//!
//! The system's functions are replaced by ours of the same names, for all that is linked into the test.
#![allow(unsafe_code, reason = "to define a function by the name that the system's has")]

use std::path::{Path, PathBuf};

use parking_lot::Mutex;

/// Is told the path of what is about to be synced, while all other syncs wait.
type Watcher = Box<dyn FnMut(&Path) + Send>;

static WATCHER: Mutex<Option<Watcher>> = Mutex::new(None);

/// Tells of each sync from now on, until the next call.
pub(crate) fn watch(watcher: Option<Watcher>) {
    *WATCHER.lock() = watcher;
}

fn note(descriptor: i32) -> i32 {
    if let Some(watcher) = &mut *WATCHER.lock() {
        let path = std::fs::read_link(format!("/proc/self/fd/{descriptor}"));
        watcher(&path.unwrap_or_else(|_| PathBuf::new()));
    }
    0
}

#[unsafe(no_mangle)]
extern "C" fn fsync(descriptor: i32) -> i32 {
    note(descriptor)
}

#[unsafe(no_mangle)]
extern "C" fn fdatasync(descriptor: i32) -> i32 {
    note(descriptor)
}
