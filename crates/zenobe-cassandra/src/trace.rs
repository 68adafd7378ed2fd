//! Traces: what a commit leaves in its partition until everything that follows from it is seen to.
//!
//! A commit reaches one partition. What follows from it in others, the publication of its log records and its
//! derived rows, comes after it and must come if and only if it happened. So the commit's batch itself writes a
//! row (lane 256, sorted by version) that says what follows: the trace. Whoever finds a trace may finish it, any
//! number of times: marking a record as done changes nothing when repeated, and a derived row is written with the
//! commit's version as its write timestamp, so that the one with the highest version stands, in whatever order and
//! however often they arrive. Only after all of it is certain the trace is forgotten.
//!
//! Usually the committing process does it at once, before the call returns ([`crate::relay`]). Who does it if that
//! process cannot: for records the readers of the log ([`crate::log`]), for derived rows the other processes
//! ([`crate::takeover`]).

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use zenobe_storage::{EngineError, EngineResult, Mutation, ShardId, SpaceId};

use crate::core::{number, ordered};
use crate::schema::TableName;

/// The format of a trace.
const FORMAT: u8 = 2;

/// A row that follows from a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Derived {
    /// The space as it was at the commit: made again, it is another one.
    pub(crate) table: TableName,
    pub(crate) partition: Bytes,
    pub(crate) lane: i16,
    pub(crate) sort: Bytes,
    /// `None` deletes.
    pub(crate) value: Option<Bytes>,
}

impl Derived {
    pub(crate) fn of(table: TableName, mutation: Mutation) -> Self {
        let Mutation { key, value } = mutation;
        Self { table, partition: key.partition, lane: i16::from(key.lane.0), sort: key.sort, value }
    }

    pub(crate) fn place(&self) -> (TableName, Bytes, i16, Bytes) {
        (self.table, self.partition.clone(), self.lane, self.sort.clone())
    }
}

/// What follows from a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trace {
    /// The shards where it has records.
    pub(crate) shards: Vec<ShardId>,
    pub(crate) derived: Vec<Derived>,
}

fn put_length(bytes: &mut BytesMut, length: usize) {
    // What a commit may hold is far below.
    bytes.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
}

fn put_bytes(bytes: &mut BytesMut, part: &[u8]) {
    put_length(bytes, part.len());
    bytes.put_slice(part);
}

fn corrupt() -> EngineError {
    EngineError::Corrupt("a trace in a partition".to_owned())
}

fn get_length(bytes: &mut Bytes) -> EngineResult<usize> {
    let length = bytes.try_get_u32().map_err(|_| corrupt())?;
    usize::try_from(length).map_err(|_| corrupt())
}

fn get_bytes(bytes: &mut Bytes) -> EngineResult<Bytes> {
    let length = get_length(bytes)?;
    if length > bytes.remaining() { Err(corrupt()) } else { Ok(bytes.split_to(length)) }
}

fn get_derived(bytes: &mut Bytes) -> EngineResult<Derived> {
    let space = bytes.try_get_i64().map_err(|_| corrupt())?;
    let incarnation = bytes.try_get_i64().map_err(|_| corrupt())?;
    let lane = bytes.try_get_i16().map_err(|_| corrupt())?;
    let partition = get_bytes(bytes)?;
    let sort = get_bytes(bytes)?;
    let value = match bytes.try_get_u8().map_err(|_| corrupt())? {
        0 => None,
        1 => Some(get_bytes(bytes)?),
        _ => return Err(corrupt()),
    };
    let table = TableName { space: Some(SpaceId(number(space))), incarnation };
    Ok(Derived { table, partition, lane, sort, value })
}

impl Trace {
    /// The bytes that are stored.
    pub(crate) fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::new();
        bytes.put_u8(FORMAT);
        put_length(&mut bytes, self.shards.len());
        for shard in &self.shards {
            bytes.put_u64(shard.0);
        }
        put_length(&mut bytes, self.derived.len());
        for row in &self.derived {
            bytes.put_i64(ordered(row.table.space.map_or(0, |space| space.0)));
            bytes.put_i64(row.table.incarnation);
            bytes.put_i16(row.lane);
            put_bytes(&mut bytes, &row.partition);
            put_bytes(&mut bytes, &row.sort);
            match &row.value {
                None => bytes.put_u8(0),
                Some(value) => {
                    bytes.put_u8(1);
                    put_bytes(&mut bytes, value);
                }
            }
        }
        bytes.freeze()
    }

    /// Reads what is stored.
    pub(crate) fn decode(mut bytes: Bytes) -> EngineResult<Self> {
        if bytes.try_get_u8().ok() != Some(FORMAT) {
            return Err(corrupt());
        }
        let mut trace = Self { shards: Vec::new(), derived: Vec::new() };
        for _ in 0..get_length(&mut bytes)? {
            trace.shards.push(ShardId(bytes.try_get_u64().map_err(|_| corrupt())?));
        }
        for _ in 0..get_length(&mut bytes)? {
            trace.derived.push(get_derived(&mut bytes)?);
        }
        if bytes.has_remaining() { Err(corrupt()) } else { Ok(trace) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace() -> Trace {
        let row = |space, value: Option<&'static [u8]>| Derived {
            table: TableName { space: Some(SpaceId(space)), incarnation: 12 },
            partition: Bytes::from_static(b"partition"),
            lane: 3,
            sort: Bytes::new(),
            value: value.map(Bytes::from_static),
        };
        Trace {
            shards: vec![ShardId(0), ShardId(u64::MAX)],
            derived: vec![row(0, None), row(u64::MAX, Some(b"value")), row(5, Some(b""))],
        }
    }

    #[test]
    fn a_trace_reads_as_written() {
        let nothing = Trace { shards: Vec::new(), derived: Vec::new() };
        for trace in [trace(), nothing] {
            assert_eq!(Trace::decode(trace.encode()), Ok(trace));
        }
    }

    #[test]
    fn a_damaged_trace_is_corrupt() {
        let good = trace().encode();
        for length in 0..good.len() {
            assert!(Trace::decode(good.slice(..length)).is_err(), "{length}");
        }
        let longer = [&good[..], &[0]].concat();
        assert!(Trace::decode(longer.into()).is_err());
        let other = [&[1], &good[1..]].concat();
        assert!(Trace::decode(other.into()).is_err());
    }
}
