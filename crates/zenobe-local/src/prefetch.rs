//! Fetching memory before it is needed.
//!
//! Who goes from one piece of memory to the next waits for each that the processor's caches lack. Pieces that are asked
//! for together, with no address depending on what another piece holds, arrive together: a dozen in the time of one.

use std::hint::black_box;

/// The bytes of a line of the processor's caches.
const LINE_BYTES: usize = 64;

/// Reads what each item reads, without waiting in between.
pub(crate) fn together(reads: impl Iterator<Item = u64>) {
    black_box(reads.fold(0, |folded, read| folded ^ read));
}

/// Fetches all lines of some bytes. A stored item is walked from one length to the next.
pub(crate) fn lines(bytes: &[u8]) {
    together(bytes.iter().step_by(LINE_BYTES).map(|&byte| u64::from(byte)));
}
