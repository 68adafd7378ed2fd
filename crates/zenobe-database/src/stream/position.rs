//! Places in a stream as clients see them: sequence numbers and shard iterators.
//!
//! # Sequence numbers
//!
//! 27 digits: `1`, the commit's position (20), the record's ordinal among those of its commit in the
//! shard (6). So they ascend within a shard and within all shards of a database, as numbers and as
//! text. A record's number follows from its place in the log; nothing is stored.
//!
//! # Shard iterators
//!
//! The stream's ARN, `|1|`, and in hexadecimal: version u8 = 1, the shard's number in the log u64,
//! position u64 and ordinal u32 of the last record read, the time of issue in ms u64, CRC32 of the
//! ARN and of all that before. Integers are big-endian. It is no secret: what it may read is decided
//! by the stream that it names.

use zenobe_storage::{LogCursor, Position};

/// The last ordinal that a sequence number can tell.
const ORDINAL_MAX: u32 = 999_999;
const VERSION: u8 = 1;
const BODY_BYTES: usize = 1 + 8 + 8 + 4 + 8;

/// The sequence number of a record.
pub(crate) fn sequence_number(at: LogCursor) -> String {
    format!("1{:020}{:06}", at.position.0, at.ordinal.min(ORDINAL_MAX))
}

/// The first sequence number after a position.
pub(crate) fn after(position: u64) -> String {
    sequence_number(LogCursor { position: Position(position.saturating_add(1)), ordinal: 0 })
}

/// The last sequence number at a position: the commit there may have several records.
pub(crate) fn last(position: u64) -> String {
    sequence_number(end_of(position))
}

/// The place that a sequence number tells; `None` if it is none of ours.
pub(crate) fn parse_sequence_number(text: &str) -> Option<LogCursor> {
    if text.len() != 27 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = text.strip_prefix('1')?;
    let (position, ordinal) = digits.split_at_checked(20)?;
    Some(LogCursor { position: Position(position.parse().ok()?), ordinal: ordinal.parse().ok()? })
}

/// The cursor whose reader gets the record at this place next.
pub(crate) fn before(at: LogCursor) -> LogCursor {
    match at.ordinal.checked_sub(1) {
        Some(ordinal) => LogCursor { ordinal, ..at },
        None => end_of(at.position.0.saturating_sub(1)),
    }
}

/// The cursor after all records of a commit.
pub(crate) const fn end_of(position: u64) -> LogCursor {
    LogCursor { position: Position(position), ordinal: u32::MAX }
}

/// A shard iterator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Iterator<'a> {
    /// The stream's ARN.
    pub(crate) arn: &'a str,
    /// The shard's number in the log.
    pub(crate) log: u64,
    /// The last record read.
    pub(crate) cursor: LogCursor,
    /// When it was given out, milliseconds since the epoch.
    pub(crate) issued_ms: u64,
}

impl<'a> Iterator<'a> {
    /// The iterator as text.
    pub(crate) fn text(&self) -> String {
        use std::fmt::Write as _;
        let mut body = Vec::with_capacity(BODY_BYTES + 4);
        body.push(VERSION);
        body.extend_from_slice(&self.log.to_be_bytes());
        body.extend_from_slice(&self.cursor.position.0.to_be_bytes());
        body.extend_from_slice(&self.cursor.ordinal.to_be_bytes());
        body.extend_from_slice(&self.issued_ms.to_be_bytes());
        body.extend_from_slice(&checksum(self.arn, &body).to_be_bytes());
        let mut text = format!("{}|1|", self.arn);
        for byte in body {
            // Writing into a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    /// The iterator in a text; `None` if it is none of ours.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (arn, body) = text.split_once("|1|")?;
        let (pairs, rest) = body.as_bytes().as_chunks::<2>();
        let digit = |digit: u8| char::from(digit).to_digit(16);
        let byte = |[high, low]: &[u8; 2]| u8::try_from(digit(*high)? * 16 + digit(*low)?).ok();
        let bytes = pairs.iter().map(byte).collect::<Option<Vec<u8>>>()?;
        let (body, sum) = bytes.split_at_checked(BODY_BYTES)?;
        if !rest.is_empty() || sum != checksum(arn, body).to_be_bytes() {
            return None;
        }
        let number = |at: usize| Some(u64::from_be_bytes(*body.get(at..)?.first_chunk::<8>()?));
        if body.first() != Some(&VERSION) {
            return None;
        }
        let ordinal = u32::from_be_bytes(*body.get(17..)?.first_chunk::<4>()?);
        Some(Self {
            arn,
            log: number(1)?,
            cursor: LogCursor { position: Position(number(9)?), ordinal },
            issued_ms: number(21)?,
        })
    }
}

fn checksum(arn: &str, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(arn.as_bytes());
    hasher.update(body);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cursor(position: u64, ordinal: u32) -> LogCursor {
        LogCursor { position: Position(position), ordinal }
    }

    #[test]
    fn sequence_numbers_are_texts_of_digits_that_ascend() {
        assert_eq!(sequence_number(cursor(12, 3)), "100000000000000000012000003");
        assert_eq!(after(11), "100000000000000000012000000");
        assert_eq!(last(12), "100000000000000000012999999");
        for text in ["", "1", "200000000000000000012000003", "10000000000000000001200000x"] {
            assert_eq!(parse_sequence_number(text), None, "{text}");
        }
        assert_eq!(before(cursor(5, 2)), cursor(5, 1));
        assert_eq!(before(cursor(5, 0)), end_of(4));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            log: u64, position: u64, ordinal in 0..ORDINAL_MAX, other: u64, issued_ms: u64,
        ) {
            let place = cursor(position, ordinal);
            let text = sequence_number(place);
            prop_assert_eq!(parse_sequence_number(&text), Some(place));
            prop_assert_eq!(text < sequence_number(cursor(other, 0)), place < cursor(other, 0));
            let arn = "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/l";
            let iterator = Iterator { arn, log, cursor: place, issued_ms };
            let text = iterator.text();
            prop_assert!(text.len() < 2048);
            prop_assert_eq!(Iterator::parse(&text), Some(iterator));
            let forged = text.replace("table/t", "table/u");
            prop_assert_eq!(Iterator::parse(&forged), None);
        }

        #[test]
        fn no_text_makes_parsing_panic(text: String, hex in "[0-9a-f]{0,80}") {
            let _ = Iterator::parse(&text);
            let _ = Iterator::parse(&format!("{text}|1|{text}"));
            let _ = Iterator::parse(&format!("{text}|1|{hex}"));
            let _ = parse_sequence_number(&text);
        }
    }
}
