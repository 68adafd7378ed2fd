//! The order of commits: who gets which LSN and which place in the log.
//!
//! All of it is under one lock that is never held across I/O. A commit gets the next LSN and offset here,
//! goes into the memtable, and is queued for the committer, who encodes it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;
use zenobe_storage::EngineError;

use crate::log::Segment;
use crate::log::frame::{FRAME_HEADER_BYTES, Payload, SEGMENT_HEADER_BYTES, frame_bytes};
use crate::memtable::Memtable;

/// Commits that wait for the committer, in bytes; more must wait outside.
pub(crate) const PENDING_BYTES_MAX: usize = 16 << 20;

/// What ends a segment.
const END_BYTES: u64 = FRAME_HEADER_BYTES as u64;

/// A frame that has its place and is not written yet.
pub(crate) struct Pending {
    pub(crate) segment: Arc<Segment>,
    pub(crate) offset: u64,
    pub(crate) lsn: u64,
    /// `None` ends the segment.
    pub(crate) payload: Option<Payload>,
}

/// Why a commit must wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// The committer is behind.
    Buffer,
    /// No prepared segment can take the frame.
    Segment,
    /// Nor can one be prepared: `Sequencer::full` says why.
    Full,
}

/// How long it counts that there was no room for a segment that is longer than others.
const FULL_FOR: Duration = Duration::from_secs(1);

/// No segment can be prepared.
#[derive(Debug)]
pub(crate) struct Full {
    /// Of this length or a longer one; 0 is none at all, which is tried again until it can.
    pub(crate) from_bytes: u64,
    pub(crate) why: String,
    pub(crate) since: Instant,
}

impl Full {
    /// Whether it is so for one who needs a segment of this length.
    pub(crate) fn holds(&self, needed_bytes: u64) -> bool {
        self.from_bytes == 0 || (needed_bytes >= self.from_bytes && self.since.elapsed() < FULL_FOR)
    }
}

/// What the lock protects.
pub(crate) struct Sequencer {
    pub(crate) next_lsn: u64,
    pub(crate) active: Arc<Memtable>,
    pub(crate) segment: Arc<Segment>,
    pub(crate) offset: u64,
    pub(crate) ready: VecDeque<Arc<Segment>>,
    pub(crate) pending: Vec<Pending>,
    pub(crate) pending_bytes: usize,
    /// Whether the next segment was asked for.
    pub(crate) asked: bool,
    /// The largest segment that somebody waits for.
    pub(crate) wanted_bytes: u64,
    /// Why no segment could be prepared last time.
    pub(crate) full: Option<Full>,
    pub(crate) refused: Option<EngineError>,
}

/// The length that a segment must have to take a payload.
pub(crate) fn segment_bytes_for(payload_bytes: usize) -> u64 {
    SEGMENT_HEADER_BYTES + frame_bytes(payload_bytes) as u64 + END_BYTES
}

impl Sequencer {
    /// Finds room for a payload, going to the next segment when this one is full.
    pub(crate) fn make_room(&mut self, payload_bytes: usize) -> Result<(), NoRoom> {
        if self.pending_bytes > 0 && self.pending_bytes + payload_bytes > PENDING_BYTES_MAX {
            return Err(NoRoom::Buffer);
        }
        let frame = frame_bytes(payload_bytes) as u64;
        if self.offset + frame + END_BYTES <= self.segment.size_bytes {
            return Ok(());
        }
        let needed = segment_bytes_for(payload_bytes);
        if !self.ready.iter().any(|segment| segment.size_bytes >= needed) {
            if self.full.as_ref().is_some_and(|full| full.holds(needed)) {
                return Err(NoRoom::Full);
            }
            self.wanted_bytes = self.wanted_bytes.max(needed);
            return Err(NoRoom::Segment);
        }
        while self.offset + frame + END_BYTES > self.segment.size_bytes {
            let Some(next) = self.ready.pop_front() else { return Err(NoRoom::Segment) };
            let ended = std::mem::replace(&mut self.segment, next);
            self.pending.push(Pending {
                segment: ended,
                offset: self.offset,
                lsn: self.next_lsn - 1,
                payload: None,
            });
            self.offset = SEGMENT_HEADER_BYTES;
            self.asked = false;
        }
        Ok(())
    }

    /// Queues a commit for which there is room, of so many bytes. Its LSN is `next_lsn`.
    pub(crate) fn append(&mut self, payload: Payload, length: usize) {
        let lsn = self.next_lsn;
        self.next_lsn += 1;
        self.segment.last_lsn.store(lsn, Ordering::Release);
        let pending = Pending {
            segment: self.segment.clone(),
            offset: self.offset,
            lsn,
            payload: Some(payload),
        };
        self.offset += frame_bytes(length) as u64;
        self.pending_bytes += length;
        self.pending.push(pending);
    }

    /// Whether it is time to prepare the next segment, said once. In good time, for writing zeros takes
    /// a while; not at once, for most databases never need it.
    pub(crate) fn ask_for_segment(&mut self) -> bool {
        let due = !self.asked && self.ready.is_empty() && self.offset > self.segment.size_bytes / 2;
        self.asked |= due;
        due
    }
}
