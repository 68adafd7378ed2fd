//! Asking for memory before it is needed.
//!
//! Who walks a stored item goes from one length to the next, and waits for each line of memory that the processor's
//! caches lack before it knows which one comes then. Lines that are asked for together arrive together.

use std::hint::black_box;

/// The bytes of a line of the processor's caches.
const LINE_BYTES: usize = 64;

/// Fetches all lines of some bytes that are about to be walked.
pub(crate) fn all(bytes: &[u8]) {
    // Loads that do not wait for each other. The processor has a dozen under way at once.
    let lines = bytes.iter().step_by(LINE_BYTES);
    black_box(lines.fold(0, |folded, byte| folded ^ byte));
}
