//! The group commit: one thread writes and syncs what the sequencer queued.
//!
//! It takes everything that is queued, writes it, syncs once, wakes who waits, and starts over at
//! once. When nothing is queued after a sync, and once a second when something is, it writes down
//! beside the log what is synced, which proves the last group to a later recovery; that is synced itself
//! only when the engine stops. Before a new segment is written to, the old one's end is synced. After any
//! failure nothing more is written.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;
use zenobe_storage::{EngineError, EngineResult};

use crate::Durability;
use crate::core::Core;
use crate::log::frame::{Header, Kind, Payload, payload_hash, push_commit};
use crate::log::records::Point;
use crate::log::synced::SyncedFile;
use crate::sequencer::Pending;

/// How long the committer sleeps when it has nothing to do; it is woken when it has.
const IDLE: Duration = Duration::from_secs(3600);
/// While there is always something to do, what is synced is written down this often.
const TELL: Duration = Duration::from_secs(1);
const UNTOLD: &str =
    "what is synced cannot be written down: damage to the end of the log may look like a crash";

struct Committer<'a> {
    core: &'a Core,
    buffer: Vec<u8>,
    synced_lsn: u64,
    written_lsn: u64,
    /// `None` once it could not be written to.
    synced_file: Option<SyncedFile>,
    /// The LSN that the file says, and since when.
    told: (u64, Instant),
    last_sync: Instant,
    unsynced: Option<std::sync::Arc<crate::log::Segment>>,
}

/// Runs until the engine stops; what is queued then is still written.
pub(crate) fn run(core: &Core) {
    let start = core.durable.lsn();
    let synced_file = SyncedFile::open(core.directory.as_ref(), core.salt)
        .and_then(|file| file.write(start).map(|()| file))
        .inspect_err(|error| tracing::warn!(%error, "{UNTOLD}"));
    let mut committer = Committer {
        core,
        buffer: Vec::new(),
        synced_lsn: start,
        written_lsn: start,
        synced_file: synced_file.ok(),
        told: (start, Instant::now()),
        last_sync: Instant::now(),
        unsynced: None,
    };
    // Whether the last group was of more than one commit.
    let mut several = false;
    loop {
        committer.await_work();
        if several {
            // So others may be on their way, on this processor: who joins the group saves a sync.
            std::thread::yield_now();
        }
        let (group, stop) = committer.take_group();
        several = group.len() > 1;
        if let Err(error) = committer.commit(group, stop) {
            core.refuse(&error);
            return;
        }
        if stop {
            return;
        }
    }
}

impl Committer<'_> {
    /// Waits for frames, for the time to sync, or for the end.
    fn await_work(&self) {
        let mut sequencer = self.core.sequencer.lock();
        while sequencer.pending.is_empty()
            && !self.core.stopping.load(Ordering::Acquire)
            && !self.sync_is_due()
        {
            let patience = match self.core.options.durability {
                Durability::Interval(interval) if self.unsynced.is_some() => {
                    interval.saturating_sub(self.last_sync.elapsed()).max(Duration::from_millis(1))
                }
                _ => IDLE,
            };
            self.core.work.wait_for(&mut sequencer, patience);
        }
    }

    /// Takes the frames that wait, and says whether the engine stops.
    fn take_group(&self) -> (Vec<Pending>, bool) {
        let mut sequencer = self.core.sequencer.lock();
        // Nothing is queued once the engine stops.
        let stop = self.core.stopping.load(Ordering::Acquire);
        sequencer.pending_bytes = 0;
        (std::mem::take(&mut sequencer.pending), stop)
    }

    fn sync_is_due(&self) -> bool {
        let Durability::Interval(interval) = self.core.options.durability else { return false };
        self.unsynced.is_some()
            && (self.last_sync.elapsed() >= interval
                || self.core.sync_wanted.load(Ordering::Acquire))
    }

    fn commit(&mut self, group: Vec<Pending>, stop: bool) -> EngineResult<()> {
        let mut frames = group.as_slice();
        while let Some(first) = frames.first() {
            let count = frames.iter().take_while(|frame| frame.payload.is_some()).count();
            let (run, rest) = frames.split_at(count);
            if run.is_empty() {
                self.end_segment(first)?;
                frames = frames.get(1..).unwrap_or_default();
            } else {
                self.write_run(run)?;
                frames = rest;
            }
        }
        let by_interval = matches!(self.core.options.durability, Durability::Interval(_));
        if !by_interval || stop || self.sync_is_due() {
            self.sync()?;
        }
        self.publish();
        self.core.room.notify_waiters();
        self.tell(stop);
        Ok(())
    }

    /// Writes frames that lie next to each other.
    fn write_run(&mut self, run: &[Pending]) -> EngineResult<()> {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { return Ok(()) };
        self.buffer.clear();
        for frame in run {
            let Some(payload) = &frame.payload else { continue };
            let seed = frame.segment.seed;
            push_commit(payload, frame.lsn, self.synced_lsn, seed, &mut self.buffer);
        }
        first
            .segment
            .file
            .write_at(&self.buffer, first.offset)
            .map_err(|e| failed("write the log", &e))?;
        self.core.figures.log_bytes.fetch_add(self.buffer.len() as u64, Ordering::Relaxed);
        self.core.figures.log_groups.fetch_add(1, Ordering::Relaxed);
        self.unsynced = Some(first.segment.clone());
        self.written_lsn = last.lsn;
        if run.iter().any(|frame| frame.payload.as_ref().is_some_and(|p| !p.records.is_empty())) {
            let mut records = self.core.records.lock();
            for frame in run {
                let place =
                    Point { lsn: frame.lsn, segment: frame.segment.id, offset: frame.offset };
                for shard in frame.payload.iter().flat_map(Payload::shards) {
                    records.add(shard, place);
                }
            }
        }
        // A burst must not keep its buffer for ever.
        self.buffer.shrink_to(1 << 20);
        Ok(())
    }

    /// Syncs a full segment, then its end frame, so that the next one may be written to.
    fn end_segment(&mut self, end: &Pending) -> EngineResult<()> {
        self.sync()?;
        let header = Header {
            kind: Kind::End,
            payload_bytes: 0,
            lsn: end.lsn,
            synced: self.synced_lsn,
            payload_hash: payload_hash(&[]),
        };
        let mut bytes = Vec::new();
        header.encode(end.segment.seed, &mut bytes);
        end.segment.file.write_at(&bytes, end.offset).map_err(|e| failed("write the log", &e))?;
        self.unsynced = Some(end.segment.clone());
        self.sync()
    }

    /// Writes down beside the log what is synced. That it fails takes nothing from what is acknowledged: a
    /// later recovery only knows less about the end of the log.
    fn tell(&mut self, stop: bool) {
        let (told_lsn, told_at) = self.told;
        let idle = || self.core.sequencer.lock().pending.is_empty();
        let due = self.synced_lsn > told_lsn && (told_at.elapsed() >= TELL || idle());
        let Some(file) = self.synced_file.take_if(|_| due || stop) else { return };
        let written = file.write(self.synced_lsn);
        match written.and_then(|()| if stop { file.sync() } else { Ok(()) }) {
            Ok(()) => self.synced_file = Some(file),
            Err(error) => tracing::warn!(%error, "{UNTOLD}"),
        }
        self.told = (self.synced_lsn, Instant::now());
    }

    fn sync(&mut self) -> EngineResult<()> {
        if let Some(segment) = self.unsynced.take() {
            segment.file.sync().map_err(|e| failed("sync the log", &e))?;
            self.core.figures.log_fsyncs.fetch_add(1, Ordering::Relaxed);
        }
        self.last_sync = Instant::now();
        self.synced_lsn = self.written_lsn;
        self.core.synced.store(self.synced_lsn, Ordering::Release);
        self.core.sync_wanted.store(false, Ordering::Release);
        Ok(())
    }

    fn publish(&self) {
        if self.core.durable.lsn() < self.written_lsn {
            self.core.durable.advance(self.written_lsn);
        }
    }
}

fn failed(what: &str, error: &std::io::Error) -> EngineError {
    EngineError::WritesRefused(format!("could not {what}: {error}"))
}
