//! Reads the log after a start: replays what is whole, cuts what was never acknowledged, refuses
//! what is damaged.
//!
//! Frames carry LSNs without a gap. Where the chain breaks off (a bad frame at LSN *n*), the question
//! is whether *n* had been synced, and so perhaps acknowledged. Each frame says up to which LSN the log
//! was synced when the frame was written, and a file beside the segments says it of the last frames
//! ([`super::synced`]). If that file or a frame after the break says *n* or more, *n* was there: data was
//! damaged, and opening is refused. Frames that say less belong to the same
//! unsynced group, of which a power loss may leave any pages: they prove nothing, and the log ends
//! before *n*. A segment is used only when the one before it has an end frame that was synced, so a
//! break in one and any frame in a later one is damage too. So are a segment's header that cannot be read and a
//! file that is shorter than its segment was made: both are synced before the segment gets its name.
//!
//! What is cut is wiped, or frames of the lost group could come back to life behind new ones. With that
//! an end frame is written there, and the log goes on in the next segment.
//!
//! What was read may be in the system's memory only: after a sync that failed, pages count as clean there, and
//! another sync writes nothing. So frames that nothing proves to be synced are written again before
//! the log ends with them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use zenobe_storage::{EngineError, EngineResult};

use super::Segment;
use super::frame::{self, Header, Kind, SEGMENT_HEADER_BYTES};
use super::io::{LogDirectory, LogFile};
use super::records::{Point, RecordIndex};
use super::summary::Summary;
use super::synced;

/// The largest segment file that is read: one commit of the largest size fits with room to spare.
const SEGMENT_BYTES_MAX: u64 = 1 << 30;

/// Where the log starts and ends, from the manifest.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// What the frames are salted with.
    pub salt: u64,
    /// The first segment that is still needed.
    pub first_segment: u64,
    /// The LSN of the first commit in it.
    pub first_lsn: u64,
    /// The last segment that was prepared.
    pub newest_segment: u64,
}

/// A commit frame that was found.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// The segment.
    pub segment: u64,
    /// Where in it.
    pub offset: u64,
    /// The commit's LSN.
    pub lsn: u64,
    /// The commit's payload.
    pub payload: &'a [u8],
}

/// The log after recovery.
#[derive(Debug, Default)]
pub struct Recovered {
    /// The segments that hold frames, in order.
    pub used: Vec<Arc<Segment>>,
    /// Prepared segments without frames, in order, right after the used ones.
    pub ready: Vec<Arc<Segment>>,
    /// The LSN of the next commit.
    pub next_lsn: u64,
    /// Files that are no part of the log.
    pub leftovers: Vec<String>,
}

/// The frames of a segment, followed as far as they go.
struct Walked {
    /// Where the last frame ends.
    until: usize,
    /// Whether that is an end frame. If not, the frame behind it is missing or broken.
    ended: bool,
    /// The LSN of the last commit; 0 if there is none.
    last_lsn: u64,
    /// The frames that none behind them proves to be synced: LSN and place of each.
    unproven: VecDeque<(u64, usize)>,
}

impl Walked {
    /// The LSN and the place of the first frame that was perhaps never synced, if LSNs up to this one were; of what
    /// follows, if there is none.
    fn first_unproven(&self, synced_lsn: u64, next_lsn: u64) -> (u64, usize) {
        let first = self.unproven.iter().find(|(lsn, _)| *lsn > synced_lsn);
        first.map_or((next_lsn, self.until), |&(lsn, at)| (lsn.min(next_lsn), at))
    }
}

/// What is to be done at the end of the log.
struct End {
    /// Where frames begin that were perhaps never synced.
    unproven_from: usize,
    /// The last LSN before them.
    proven_lsn: u64,
    /// Where the last whole frame ends.
    until: usize,
    /// Where the log is cut: up to which place there are remains of later frames.
    cut: Option<usize>,
}

/// Recovers the log, calling `visit` for each commit in order.
///
/// # Errors
/// [`EngineError::Corrupt`] naming file and offset where acknowledged data is damaged or missing,
/// [`EngineError::Unavailable`] where files cannot be read or written.
pub fn recover(
    directory: &dyn LogDirectory,
    extent: Extent,
    visit: &mut dyn FnMut(Found<'_>) -> EngineResult<()>,
) -> EngineResult<Recovered> {
    recover_unless_known(directory, extent, &mut |_, _| None, visit)
}

/// Recovers the log as [`recover`] does, but does not read what `known` says is known: it is given a
/// segment and the LSN with which that must begin, and returns its last LSN.
///
/// # Errors
/// Those of [`recover`].
pub fn recover_unless_known(
    directory: &dyn LogDirectory,
    extent: Extent,
    known: &mut dyn FnMut(&Segment, u64) -> Option<u64>,
    visit: &mut dyn FnMut(Found<'_>) -> EngineResult<()>,
) -> EngineResult<Recovered> {
    let mut out = Recovered { next_lsn: extent.first_lsn, ..Recovered::default() };
    let mut names = directory.list().map_err(|e| unavailable("list the log", &e))?;
    names.retain(|name| {
        let inside = Segment::id_of(name)
            .or_else(|| Summary::id_of(name))
            .is_some_and(|id| (extent.first_segment..=extent.newest_segment).contains(&id));
        if !inside && name != synced::NAME {
            out.leftovers.push(name.clone());
        }
        inside
    });
    let synced_lsn =
        synced::read(directory, extent.salt).map_err(|e| unavailable(synced::NAME, &e))?;
    let mut broken = false;
    // One for all segments: zeroing one for each takes longer than reading it.
    let mut bytes = Vec::new();
    let mut end = None;
    for id in extent.first_segment..=extent.newest_segment {
        let name = Segment::name(id);
        if !names.contains(&name) {
            return Err(EngineError::Corrupt(format!("log segment {name} is missing")));
        }
        let file = directory.open(&name).map_err(|e| unavailable(&name, &e))?;
        let segment = Arc::new(made(id, file, extent.salt)?);
        let last_lsn = if broken { None } else { known(&segment, out.next_lsn) };
        if let Some(last_lsn) = last_lsn {
            segment.last_lsn.store(last_lsn, Ordering::Release);
            out.next_lsn = last_lsn + 1;
            out.used.push(segment);
            // It was summed up when a later commit was synced.
            end = None;
            continue;
        }
        read_whole(&segment, &mut bytes)?;
        if broken {
            expect_unused(&segment, &bytes)?;
            out.ready.push(segment);
            continue;
        }
        let walked = walk(&segment, &bytes, &mut out.next_lsn, visit)?;
        segment.last_lsn.store(walked.last_lsn, Ordering::Release);
        let (lsn, unproven_from) = walked.first_unproven(synced_lsn, out.next_lsn);
        let (proven_lsn, until) = (lsn.saturating_sub(1), walked.until);
        let mut cut = None;
        if !walked.ended {
            let torn_end = torn_end(&segment, &bytes, until, (out.next_lsn, synced_lsn))?;
            broken = true;
            if walked.last_lsn == 0 && torn_end == until {
                out.ready.push(segment);
                continue;
            }
            cut = Some(torn_end);
        }
        out.used.push(segment);
        end = Some(End { unproven_from, proven_lsn, until, cut });
    }
    if out.next_lsn <= synced_lsn {
        let last = Segment::name(out.used.last().map_or(extent.first_segment, |last| last.id));
        return Err(EngineError::Corrupt(format!(
            "log segment {last}: the log ends there before LSN {synced_lsn}, which {} says was synced",
            synced::NAME
        )));
    }
    // Only now, when no later segment has contradicted it.
    if let (Some(segment), Some(end)) = (out.used.last(), end) {
        write_end(segment, &end, out.next_lsn)?;
    }
    Ok(out)
}

/// A segment as it was made, if all of its file is there.
fn made(id: u64, file: Arc<dyn LogFile>, salt: u64) -> EngineResult<Segment> {
    let mut segment = Segment::new(id, file, 0, salt);
    let failed = |e: std::io::Error| unavailable(&Segment::name(id), &e);
    let length = segment.file.len().map_err(failed)?;
    let mut head = vec![0; usize::try_from(length.min(SEGMENT_HEADER_BYTES)).unwrap_or(0)];
    segment.file.read_at(&mut head, 0).map_err(failed)?;
    match frame::segment_bytes(&head, id).filter(|bytes| *bytes <= SEGMENT_BYTES_MAX) {
        None => Err(damaged(&segment, 0, "the header of the segment is damaged")),
        Some(size_bytes) if length < size_bytes => {
            let at = usize::try_from(length).unwrap_or(usize::MAX);
            Err(damaged(&segment, at, &format!("the file ends here, of {size_bytes} bytes")))
        }
        Some(size_bytes) => {
            segment.size_bytes = size_bytes;
            Ok(segment)
        }
    }
}

fn read_whole(segment: &Segment, bytes: &mut Vec<u8>) -> EngineResult<()> {
    bytes.resize(usize::try_from(segment.size_bytes).unwrap_or(0), 0);
    segment.file.read_at(bytes, 0).map_err(|e| unavailable(&Segment::name(segment.id), &e))
}

/// Sums up a segment whose end frame was synced; `None` when it holds no commit.
///
/// # Errors
/// Those of [`recover`]; it is damaged if it does not end.
pub fn sum_up(segment: &Segment) -> EngineResult<Option<Summary>> {
    let mut bytes = Vec::new();
    read_whole(segment, &mut bytes)?;
    let start = usize::try_from(SEGMENT_HEADER_BYTES).unwrap_or(64);
    let unreadable = |at| damaged(segment, at, "a frame that was synced is unreadable");
    let first = frame::read_frame(&bytes, start, segment.seed);
    let (first, _) = first.ok_or_else(|| unreadable(start))?;
    // Marks repeat the LSN of the commit before them.
    let first_lsn = if first.kind == Kind::Commit { first.lsn } else { first.lsn + 1 };
    let mut records = RecordIndex::default();
    let mut next_lsn = first_lsn;
    let walked = walk(segment, &bytes, &mut next_lsn, &mut |found| {
        let place = Point { lsn: found.lsn, segment: found.segment, offset: found.offset };
        let payload =
            frame::Payload::decode(&Bytes::copy_from_slice(found.payload)).ok_or_else(|| {
                let at = usize::try_from(found.offset).unwrap_or(usize::MAX);
                damaged(segment, at, "malformed commit")
            })?;
        payload.shards().into_iter().for_each(|shard| records.add(shard, place));
        Ok(())
    })?;
    if !walked.ended {
        return Err(unreadable(walked.until));
    }
    Ok((walked.last_lsn > 0).then(|| Summary::of(segment, first_lsn, &records)))
}

/// Follows the frames of a segment.
fn walk(
    segment: &Segment,
    bytes: &[u8],
    next_lsn: &mut u64,
    visit: &mut dyn FnMut(Found<'_>) -> EngineResult<()>,
) -> EngineResult<Walked> {
    let until = usize::try_from(SEGMENT_HEADER_BYTES).unwrap_or(64);
    let mut walked = Walked { until, ended: false, last_lsn: 0, unproven: VecDeque::new() };
    while !walked.ended
        && let Some((header, payload)) = frame::read_frame(bytes, walked.until, segment.seed)
    {
        let at = walked.until;
        let expected =
            if header.kind == Kind::Commit { *next_lsn } else { next_lsn.saturating_sub(1) };
        if header.lsn != expected {
            return Err(damaged(
                segment,
                at,
                &format!("LSN {} where {expected} belongs", header.lsn),
            ));
        }
        while walked.unproven.pop_front_if(|(lsn, _)| *lsn <= header.synced).is_some() {}
        match header.kind {
            Kind::Commit => {
                visit(Found { segment: segment.id, offset: at as u64, lsn: header.lsn, payload })?;
                walked.last_lsn = header.lsn;
                *next_lsn += 1;
                walked.unproven.push_back((header.lsn, at));
            }
            Kind::Mark => {}
            Kind::End => {
                walked.ended = true;
                // Nothing says of it that it was synced.
                walked.unproven.push_back((u64::MAX, at));
            }
        }
        walked.until += header.frame_bytes();
    }
    Ok(walked)
}

/// Looks for proof that what is missing behind a break had been synced. Returns the end of the last
/// frame of the unsynced group, or `at`.
fn torn_end(
    segment: &Segment,
    bytes: &[u8],
    at: usize,
    (missing_lsn, synced_lsn): (u64, u64),
) -> EngineResult<usize> {
    let mut end = at;
    let mut synced_lsn = synced_lsn;
    for (place, header) in frames_from(bytes, at, segment.seed) {
        synced_lsn = synced_lsn.max(header.synced);
        end = end.max((place + header.frame_bytes()).min(bytes.len()));
    }
    if missing_lsn <= synced_lsn {
        let what = format!("LSN {missing_lsn} was synced and is unreadable");
        return Err(damaged(segment, at, &what));
    }
    Ok(end)
}

fn expect_unused(segment: &Segment, bytes: &[u8]) -> EngineResult<()> {
    match frames_from(bytes, 0, segment.seed).next() {
        None => Ok(()),
        Some((at, _)) => Err(damaged(segment, at, "the log breaks off before this frame")),
    }
}

/// The headers at any aligned place from `at` on, whether their payload is whole or not.
fn frames_from(bytes: &[u8], at: usize, seed: u64) -> impl Iterator<Item = (usize, Header)> + '_ {
    let rest = bytes.get(at..).unwrap_or_default();
    let starts = rest.chunks(frame::ALIGN_BYTES).enumerate();
    starts.filter(|(_, start)| frame::starts_frame(start)).filter_map(move |(index, _)| {
        let place = at + index * frame::ALIGN_BYTES;
        Some((place, Header::decode(bytes.get(place..)?, seed)?))
    })
}

/// Makes the end of the log safe: what was perhaps never synced is written again, what is cut is wiped and gets an end
/// frame. All at once: should the sync fail, the end frame is read with the rest, and says of nothing that it is synced.
fn write_end(segment: &Segment, end: &End, next_lsn: u64) -> EngineResult<()> {
    let name = Segment::name(segment.id);
    let failed = |e: std::io::Error| unavailable(&name, &e);
    let &End { unproven_from, proven_lsn, until, cut } = end;
    let mut bytes = vec![0; until - unproven_from];
    segment.file.read_at(&mut bytes, unproven_from as u64).map_err(failed)?;
    if let Some(torn_end) = cut {
        if torn_end > until {
            tracing::warn!(
                segment = name,
                offset = until,
                bytes = torn_end - until,
                "the log ends with incomplete commits: after a crash these are such as were never acknowledged; they are cut off"
            );
        }
        Header {
            kind: Kind::End,
            payload_bytes: 0,
            lsn: next_lsn.saturating_sub(1),
            synced: proven_lsn,
            payload_hash: frame::payload_hash(&[]),
        }
        .encode(segment.seed, &mut bytes);
        bytes.resize(bytes.len().max(torn_end - unproven_from), 0);
    }
    segment.file.write_at(&bytes, unproven_from as u64).map_err(failed)?;
    segment.file.sync().map_err(failed)
}

fn damaged(segment: &Segment, at: usize, what: &str) -> EngineError {
    EngineError::Corrupt(format!(
        "log segment {} at offset {at}: {what}",
        Segment::name(segment.id)
    ))
}

fn unavailable(what: &str, error: &std::io::Error) -> EngineError {
    EngineError::Unavailable(format!("{what}: {error}"))
}
