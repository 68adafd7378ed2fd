//! The bytes of the log: segment headers and frames. This file is the format's only statement.
//!
//! A segment file starts with a header of [`SEGMENT_HEADER_BYTES`]: magic `ZNBLOG01`, id u64, size
//! u64, XXH3-64 of the 24 bytes before it, zeros. Frames follow, each at a multiple of
//! [`ALIGN_BYTES`]. All integers are little-endian. A frame is
//!
//! | offset | bytes | |
//! |---|---|---|
//! | 0 | 4 | magic |
//! | 4 | 4 | payload length |
//! | 8 | 8 | LSN: of the commit, or else of the last commit before it |
//! | 16 | 8 | the last LSN that was known to be synced when this frame was written |
//! | 24 | 8 | XXH3-64 of the payload |
//! | 32 | 4 | kind: 1 commit, 2 mark (says only what was synced; not written any more), 3 end of segment |
//! | 36 | 4 | zero |
//! | 40 | 8 | XXH3-64 of the 40 bytes before it, seeded with the segment's seed |
//! | 48 | | payload, then zeros up to the alignment |
//!
//! The seed mixes the database's salt with the segment's id, so frames that an earlier life of a
//! recycled file left behind, or that a client hid in a value, are never taken for frames.
//!
//! A commit's payload is: mutation count u32, record count u32; for each mutation key length u16,
//! value length u32 (`u32::MAX` deletes), key, value; for each record shard u64, length u32, bytes.

use bytes::{BufMut as _, Bytes};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};
use zenobe_storage::{LogRecord, ShardId};

/// The room for a segment's header.
pub const SEGMENT_HEADER_BYTES: u64 = 64;
/// The length of a frame's header.
pub const FRAME_HEADER_BYTES: usize = 48;
/// Frames start at multiples of this.
pub const ALIGN_BYTES: usize = 8;

const SEGMENT_MAGIC: &[u8; 8] = b"ZNBLOG01";
const FRAME_MAGIC: u32 = 0x464e_425a;
const DELETED: u32 = u32::MAX;
/// What is before the key of a row, and before the bytes of a record.
const ROW_HEAD_BYTES: usize = 6;
const RECORD_HEAD_BYTES: usize = 12;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A commit.
    Commit,
    /// Says only what was synced. Read, but not written any more.
    Mark,
    /// Nothing follows in this segment.
    End,
}

impl Kind {
    const fn code(self) -> u32 {
        match self {
            Self::Commit => 1,
            Self::Mark => 2,
            Self::End => 3,
        }
    }

    const fn from_code(code: u32) -> Option<Self> {
        match code {
            1 => Some(Self::Commit),
            2 => Some(Self::Mark),
            3 => Some(Self::End),
            _ => None,
        }
    }
}

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What it is.
    pub kind: Kind,
    /// The length of the payload.
    pub payload_bytes: u32,
    /// The LSN.
    pub lsn: u64,
    /// The last LSN known to be synced when the frame was written.
    pub synced: u64,
    /// The hash of the payload.
    pub payload_hash: u64,
}

/// The seed of a segment's frames.
#[must_use]
pub fn seed(salt: u64, segment: u64) -> u64 {
    xxh3_64_with_seed(&segment.to_le_bytes(), salt)
}

/// The hash of a payload.
#[must_use]
pub fn payload_hash(payload: &[u8]) -> u64 {
    xxh3_64(payload)
}

/// The room that a frame with such a payload takes.
#[must_use]
pub const fn frame_bytes(payload_bytes: usize) -> usize {
    (FRAME_HEADER_BYTES + payload_bytes).next_multiple_of(ALIGN_BYTES)
}

impl Header {
    /// Appends the header.
    pub fn encode(&self, seed: u64, out: &mut Vec<u8>) {
        let start = out.len();
        out.put_u32_le(FRAME_MAGIC);
        out.put_u32_le(self.payload_bytes);
        out.put_u64_le(self.lsn);
        out.put_u64_le(self.synced);
        out.put_u64_le(self.payload_hash);
        out.put_u32_le(self.kind.code());
        out.put_u32_le(0);
        let hash = xxh3_64_with_seed(out.get(start..).unwrap_or_default(), seed);
        out.put_u64_le(hash);
    }

    /// Reads a header; `None` when the bytes are not one of this segment.
    #[must_use]
    pub fn decode(bytes: &[u8], seed: u64) -> Option<Self> {
        let bytes = bytes.get(..FRAME_HEADER_BYTES)?;
        if read_u32(bytes, 0)? != FRAME_MAGIC || read_u32(bytes, 36)? != 0 {
            return None;
        }
        if xxh3_64_with_seed(bytes.get(..40)?, seed) != read_u64(bytes, 40)? {
            return None;
        }
        Some(Self {
            kind: Kind::from_code(read_u32(bytes, 32)?)?,
            payload_bytes: read_u32(bytes, 4)?,
            lsn: read_u64(bytes, 8)?,
            synced: read_u64(bytes, 16)?,
            payload_hash: read_u64(bytes, 24)?,
        })
    }

    /// The room that the frame takes.
    #[must_use]
    pub const fn frame_bytes(&self) -> usize {
        frame_bytes(self.payload_bytes as usize)
    }
}

/// Whether the bytes may start a frame: a quick look before [`Header::decode`].
#[must_use]
pub fn starts_frame(bytes: &[u8]) -> bool {
    bytes.starts_with(&FRAME_MAGIC.to_le_bytes())
}

/// Reads the frame that starts at `at`; `None` when there is no whole, intact one.
#[must_use]
pub fn read_frame(segment: &[u8], at: usize, seed: u64) -> Option<(Header, &[u8])> {
    let bytes = segment.get(at..)?;
    let header = Header::decode(bytes, seed)?;
    let end = FRAME_HEADER_BYTES.checked_add(header.payload_bytes as usize)?;
    let payload = bytes.get(FRAME_HEADER_BYTES..end)?;
    (payload_hash(payload) == header.payload_hash).then_some((header, payload))
}

/// The header of a segment file.
#[must_use]
pub fn encode_segment_header(id: u64, size_bytes: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    out.extend_from_slice(SEGMENT_MAGIC);
    out.put_u64_le(id);
    out.put_u64_le(size_bytes);
    let hash = xxh3_64(&out);
    out.put_u64_le(hash);
    out.resize(64, 0);
    out
}

/// The length that segment `id` was made with; `None` when the bytes do not start with its header.
#[must_use]
pub fn segment_bytes(bytes: &[u8], id: u64) -> Option<u64> {
    let head = bytes.get(..24)?;
    let holds = head.starts_with(SEGMENT_MAGIC)
        && read_u64(bytes, 8)? == id
        && read_u64(bytes, 24)? == xxh3_64(head);
    if holds { read_u64(bytes, 16) } else { None }
}

/// What a commit writes.
#[derive(Clone, Debug, Default)]
pub struct Payload {
    /// The rows: their keys, and their values unless they are deleted.
    pub rows: Vec<(Bytes, Option<Bytes>)>,
    /// The records of the change log.
    pub records: Vec<LogRecord>,
}

impl Payload {
    /// How many bytes the encoded payload has.
    #[must_use]
    pub fn encoded_bytes(&self) -> usize {
        let row = |(key, value): &(Bytes, Option<Bytes>)| {
            ROW_HEAD_BYTES + key.len() + value.as_ref().map_or(0, Bytes::len)
        };
        let rows: usize = self.rows.iter().map(row).sum();
        let record = |record: &LogRecord| RECORD_HEAD_BYTES + record.payload.len();
        8 + rows + self.records.iter().map(record).sum::<usize>()
    }

    /// The shards that get records, each once.
    #[must_use]
    pub fn shards(&self) -> Vec<u64> {
        let mut shards: Vec<u64> = Vec::new();
        for record in &self.records {
            if !shards.contains(&record.shard.0) {
                shards.push(record.shard.0);
            }
        }
        shards
    }

    /// Appends the encoded payload. The caller has checked that lengths fit.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u32_le(u32::try_from(self.rows.len()).unwrap_or(u32::MAX));
        out.put_u32_le(u32::try_from(self.records.len()).unwrap_or(u32::MAX));
        for (key, value) in &self.rows {
            out.put_u16_le(u16::try_from(key.len()).unwrap_or(u16::MAX));
            let length = |value: &Bytes| u32::try_from(value.len()).unwrap_or(DELETED);
            out.put_u32_le(value.as_ref().map_or(DELETED, length));
            out.extend_from_slice(key);
            out.extend_from_slice(value.as_deref().unwrap_or_default());
        }
        for record in &self.records {
            out.put_u64_le(record.shard.0);
            out.put_u32_le(u32::try_from(record.payload.len()).unwrap_or(u32::MAX));
            out.extend_from_slice(&record.payload);
        }
    }

    /// Decodes a payload; `None` when it is malformed. What it holds are slices of `bytes`.
    #[must_use]
    pub fn decode(bytes: &Bytes) -> Option<Self> {
        let rows_count = read_u32(bytes, 0)?;
        let records_count = read_u32(bytes, 4)?;
        let mut at = 8_usize;
        let mut payload = Self::default();
        for _ in 0..rows_count {
            let key_bytes = usize::from(read_u16(bytes, at)?);
            let length = read_u32(bytes, at + 2)?;
            at += ROW_HEAD_BYTES;
            let key = take(bytes, &mut at, key_bytes)?;
            let value =
                if length == DELETED { None } else { Some(take(bytes, &mut at, length as usize)?) };
            payload.rows.push((key, value));
        }
        for _ in 0..records_count {
            let shard = ShardId(read_u64(bytes, at)?);
            let length = read_u32(bytes, at + 8)?;
            at += RECORD_HEAD_BYTES;
            let record = take(bytes, &mut at, length as usize)?;
            payload.records.push(LogRecord { shard, payload: record });
        }
        (at == bytes.len()).then_some(payload)
    }
}

/// Appends the frame of a commit, with the zeros behind it.
pub fn push_commit(payload: &Payload, lsn: u64, synced: u64, seed: u64, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + FRAME_HEADER_BYTES, 0);
    payload.encode(out);
    let (_, encoded) = out.split_at(start + FRAME_HEADER_BYTES);
    let header = Header {
        kind: Kind::Commit,
        payload_bytes: u32::try_from(encoded.len()).unwrap_or(u32::MAX),
        lsn,
        synced,
        payload_hash: payload_hash(encoded),
    };
    let mut head = Vec::with_capacity(FRAME_HEADER_BYTES);
    header.encode(seed, &mut head);
    out.iter_mut().skip(start).zip(head).for_each(|(to, from)| *to = from);
    out.resize(out.len().next_multiple_of(ALIGN_BYTES), 0);
}

/// The records that a commit's payload has for a shard, in order; `None` when it is malformed.
#[must_use]
pub fn records_of(bytes: &[u8], wanted: ShardId) -> Option<Vec<&[u8]>> {
    let rows_count = read_u32(bytes, 0)?;
    let records_count = read_u32(bytes, 4)?;
    let mut at = 8_usize;
    for _ in 0..rows_count {
        let length = match read_u32(bytes, at + 2)? {
            DELETED => 0,
            length => length as usize,
        };
        at = at.checked_add(6 + usize::from(read_u16(bytes, at)?))?.checked_add(length)?;
    }
    let mut records = Vec::new();
    for _ in 0..records_count {
        let shard = read_u64(bytes, at)?;
        let length = read_u32(bytes, at + 8)? as usize;
        at += 12;
        let end = at.checked_add(length)?;
        if shard == wanted.0 {
            records.push(bytes.get(at..end)?);
        }
        at = end;
    }
    (at == bytes.len()).then_some(records)
}

fn take(bytes: &Bytes, at: &mut usize, length: usize) -> Option<Bytes> {
    let end = at.checked_add(length)?;
    if end > bytes.len() {
        return None;
    }
    let part = bytes.slice(*at..end);
    *at = end;
    Some(part)
}

fn read_u16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

/// Appends the hash of what is there, as [`body_of`] expects it.
pub fn push_hash(out: &mut Vec<u8>, seed: u64) {
    let hash = xxh3_64_with_seed(out, seed);
    out.put_u64_le(hash);
}

/// What is before the hash at the end, XXH3-64 with this seed; `None` when the hash is not that of it. With 0 as
/// the seed it is the hash without one.
#[must_use]
pub fn body_of(bytes: &[u8], seed: u64) -> Option<&[u8]> {
    let (body, hash) = bytes.split_at_checked(bytes.len().checked_sub(8)?)?;
    (read_u64(hash, 0)? == xxh3_64_with_seed(body, seed)).then_some(body)
}

/// Reads a little-endian u32 at `at`.
#[must_use]
pub fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// Reads a little-endian u64 at `at`.
#[must_use]
pub fn read_u64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}
