//! What is stored about a transaction: its record, and the intents that it leaves beside its items.
//!
//! # Format of a record
//!
//! | bytes | |
//! |---|---|
//! | 1 | format, 1 |
//! | 1 | state: 0 pending, 1 committed, 2 aborted |
//! | 16 | attempt: a random number, never given twice |
//! | 8 | deadline in milliseconds since 1970: of a pending one until when nobody may abort it, of a committed one until when its token counts |
//! | 16 | fingerprint of the request that the token stands for; 0 without a token |
//! | rest | the participants: space (8), length of the partition (4), partition, length of the sort bytes (4), sort bytes |
//!
//! # Format of an intent
//!
//! | bytes | |
//! |---|---|
//! | 1 | format, 1 |
//! | 1 | what: 0 a check, 1 a deletion, 2 an item |
//! | 16 | the attempt that it belongs to |
//! | 4 | length of the record's partition |
//! | | the record's partition |
//! | rest | the new item, as stored |
//!
//! All numbers are big-endian.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use zenobe_model::ServiceError;
use zenobe_storage::{Key, Lane, SpaceId};

use super::SPACE;
use crate::write;

const FORMAT: u8 = 1;
/// How long a pending transaction may take before whoever meets it may abort it.
const PENDING_LIFE_MS: u64 = 5_000;

/// Where a transaction stands. It changes once, by one commit on its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Not decided.
    Pending,
    /// It has happened.
    Committed,
    /// It will never happen.
    Aborted,
}

/// One item of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Participant {
    pub(super) space: SpaceId,
    pub(super) partition: Bytes,
    pub(super) sort: Bytes,
}

impl Participant {
    /// The key of the item.
    pub(super) fn item_key(&self) -> Key {
        Key {
            space: self.space,
            partition: self.partition.clone(),
            lane: Lane::ITEM,
            sort: self.sort.clone(),
        }
    }
}

/// The record of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) state: State,
    pub(super) attempt: u128,
    pub(super) deadline_ms: u64,
    pub(super) fingerprint: u128,
    pub(super) participants: Vec<Participant>,
}

/// The key of the record of the transaction with this token.
pub(super) fn key_of_token(token: &str) -> Key {
    key([b"t", token.as_bytes()].concat().into())
}

/// The key of the record of a transaction without a token.
pub(super) fn key_of_attempt(attempt: u128) -> Key {
    key([&b"a"[..], &attempt.to_be_bytes()].concat().into())
}

/// The key of the record in this partition.
pub(super) fn key(partition: Bytes) -> Key {
    Key { space: SPACE, partition, lane: Lane::ITEM, sort: Bytes::new() }
}

impl Record {
    /// A new one, of which nothing is stored.
    pub(super) const fn new(attempt: u128, fingerprint: u128) -> Self {
        Self {
            state: State::Pending,
            attempt,
            deadline_ms: 0,
            fingerprint,
            participants: Vec::new(),
        }
    }

    /// The same, pending from now on.
    pub(super) fn pending(self, now_ms: u64, participants: Vec<Participant>) -> Self {
        let deadline_ms = now_ms.saturating_add(PENDING_LIFE_MS);
        Self { state: State::Pending, deadline_ms, participants, ..self }
    }

    /// The same, committed, and its token good until `deadline_ms`.
    pub(super) fn committed(self, deadline_ms: u64) -> Self {
        Self { state: State::Committed, deadline_ms, ..self }
    }

    /// The same, aborted.
    pub(super) fn aborted(self) -> Self {
        Self { state: State::Aborted, ..self }
    }

    pub(super) fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_u8(FORMAT);
        out.put_u8(match self.state {
            State::Pending => 0,
            State::Committed => 1,
            State::Aborted => 2,
        });
        out.put_u128(self.attempt);
        out.put_u64(self.deadline_ms);
        out.put_u128(self.fingerprint);
        for participant in &self.participants {
            out.put_u64(participant.space.0);
            put_bytes(&mut out, &participant.partition);
            put_bytes(&mut out, &participant.sort);
        }
        out.freeze()
    }

    /// # Errors
    /// An internal error when the bytes are not a record: corruption, never absence.
    pub(super) fn decode(bytes: &Bytes) -> Result<Self, ServiceError> {
        Self::read(bytes.clone()).ok_or_else(|| write::corrupt("the record of a transaction"))
    }

    fn read(mut bytes: Bytes) -> Option<Self> {
        (bytes.try_get_u8().ok()? == FORMAT).then_some(())?;
        let state = match bytes.try_get_u8().ok()? {
            0 => State::Pending,
            1 => State::Committed,
            2 => State::Aborted,
            _ => return None,
        };
        let attempt = bytes.try_get_u128().ok()?;
        let deadline_ms = bytes.try_get_u64().ok()?;
        let fingerprint = bytes.try_get_u128().ok()?;
        let mut participants = Vec::new();
        while bytes.has_remaining() {
            participants.push(Participant {
                space: SpaceId(bytes.try_get_u64().ok()?),
                partition: get_bytes(&mut bytes)?,
                sort: get_bytes(&mut bytes)?,
            });
        }
        Some(Self { state, attempt, deadline_ms, fingerprint, participants })
    }
}

/// What a transaction will do to the item beside which the intent lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing: the item was looked at.
    Check,
    /// It will be deleted.
    Delete,
    /// It will be this, as stored.
    Put(Bytes),
}

/// An intent: while it is there, nobody else writes the item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Intent {
    pub(super) attempt: u128,
    /// The partition of the record that decides about it.
    pub(super) record: Bytes,
    pub(super) effect: Effect,
}

impl Intent {
    pub(super) fn encode(&self) -> Bytes {
        let (what, item) = match &self.effect {
            Effect::Check => (0, None),
            Effect::Delete => (1, None),
            Effect::Put(item) => (2, Some(item)),
        };
        let mut out = BytesMut::new();
        out.put_u8(FORMAT);
        out.put_u8(what);
        out.put_u128(self.attempt);
        put_bytes(&mut out, &self.record);
        out.extend_from_slice(item.map_or(&[], |item| item));
        out.freeze()
    }

    /// # Errors
    /// An internal error when the bytes are not an intent: corruption, never absence.
    pub(super) fn decode(bytes: &Bytes) -> Result<Self, ServiceError> {
        Self::read(bytes.clone()).ok_or_else(|| write::corrupt("the intent of a transaction"))
    }

    fn read(mut bytes: Bytes) -> Option<Self> {
        (bytes.try_get_u8().ok()? == FORMAT).then_some(())?;
        let what = bytes.try_get_u8().ok()?;
        let attempt = bytes.try_get_u128().ok()?;
        let record = get_bytes(&mut bytes)?;
        let effect = match what {
            0 if bytes.is_empty() => Effect::Check,
            1 if bytes.is_empty() => Effect::Delete,
            2 => Effect::Put(bytes),
            _ => return None,
        };
        Some(Self { attempt, record, effect })
    }
}

fn put_bytes(out: &mut BytesMut, bytes: &Bytes) {
    // Keys are at most 20 KiB long.
    out.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    out.extend_from_slice(bytes);
}

fn get_bytes(bytes: &mut Bytes) -> Option<Bytes> {
    let length = usize::try_from(bytes.try_get_u32().ok()?).ok()?;
    (length <= bytes.len()).then(|| bytes.split_to(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let participant = |sort: &'static [u8]| Participant {
            space: SpaceId(17),
            partition: Bytes::from_static(b"p"),
            sort: Bytes::from_static(sort),
        };
        Record::new(7, 9).pending(1_000, vec![participant(b""), participant(b"s")])
    }

    #[test]
    fn records_and_intents_are_read_as_written() {
        let all = [record(), record().aborted(), record().committed(5), Record::new(1, 2)];
        for record in all {
            assert_eq!(Record::decode(&record.encode()).unwrap(), record);
        }
        let effects = [Effect::Check, Effect::Delete, Effect::Put(Bytes::from_static(b"item"))];
        for effect in effects {
            let intent = Intent { attempt: 3, record: Bytes::from_static(b"tx"), effect };
            assert_eq!(Intent::decode(&intent.encode()).unwrap(), intent);
        }
    }

    #[test]
    fn what_is_cut_off_is_corrupt() {
        let whole = record().encode();
        for length in (0..42).chain(43..whole.len()) {
            // Participants that are whole make a shorter record.
            let shorter = Record::decode(&whole.slice(..length));
            assert!(shorter.is_err() || shorter.is_ok_and(|found| found.participants.len() < 2));
        }
        assert!(Record::decode(&whole.slice(..41)).is_err());
        let intent =
            Intent { attempt: 3, record: Bytes::from_static(b"tx"), effect: Effect::Check };
        let whole = intent.encode();
        for length in 0..whole.len() {
            assert!(Intent::decode(&whole.slice(..length)).is_err());
        }
    }
}
