//! Key encoding: bytes that compare as DynamoDB orders the values.
//!
//! Strings compare by their UTF-8 bytes, binaries by unsigned bytes, numbers by value. Every element
//! is self-delimiting, so that several of them in a row order element by element, and starts with a
//! tag, so that decoding needs no schema. All values at one position of a key have one type:
//! the tag never decides an order that anyone sees.
//!
//! | element | bytes |
//! |---|---|
//! | S | `11`, the bytes with each `00` written `00 FF`, then `00 00` |
//! | B | `12`, as S |
//! | N < 0 | `13 01`, then the complement of: exponent, digit pairs, `00` |
//! | N = 0 | `13 02` |
//! | N > 0 | `13 03`, exponent, digit pairs, `00` |
//!
//! The exponent is that of the first significant digit, plus 130, which makes 0 to 255 of it. A
//! digit pair is the number 0 to 99, plus 1; an odd last digit is paired with a 0.
//!
//! ```
//! use zenobe_model::Number;
//! use zenobe_model::key::{KeyValue, encode_composite};
//!
//! let key = |n: &str| encode_composite(&[KeyValue::N(Number::parse(n).unwrap())]);
//! assert_eq!(&key("-12.3")[..], [0x13, 0x01, 0x7C, 0xF2, 0xE0, 0xFF]);
//! assert_eq!(&key("0")[..], [0x13, 0x02]);
//! assert_eq!(&key("12.3")[..], [0x13, 0x03, 0x83, 0x0D, 0x1F, 0x00]);
//! assert!(key("-12.3") < key("0") && key("9") < key("12.3"));
//!
//! let pair = |a, b| encode_composite(&[KeyValue::S(a), KeyValue::S(b)]);
//! assert_eq!(&pair("a", "b\0")[..], [0x11, b'a', 0, 0, 0x11, b'b', 0, 0xFF, 0, 0]);
//! assert!(pair("a", "z") < pair("a\0", "a"));
//! ```

use bytes::Bytes;

use crate::codec::ValueRef;
use crate::number::{DIGITS_MAX, MAGNITUDE_MIN, Number};
use crate::value::{AttributeValue, ValueType};

const TAG_S: u8 = 0x11;
const TAG_B: u8 = 0x12;
const TAG_N: u8 = 0x13;

const NEGATIVE: u8 = 1;
const ZERO: u8 = 2;
const POSITIVE: u8 = 3;

/// Behind a zero byte inside of an element.
const ESCAPED: u8 = 0xFF;
/// Behind a zero byte at the end of an element.
const END: u8 = 0x00;

/// A value that may be part of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyValue<'a> {
    /// `S`
    S(&'a str),
    /// `N`
    N(Number),
    /// `B`
    B(&'a [u8]),
}

/// Key bytes that are not what [`KeyWriter`] wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("corrupt key: {reason}")]
pub struct CorruptKey {
    /// What is wrong.
    pub reason: &'static str,
}

/// Writes the elements of a key one after another.
#[derive(Clone, Debug, Default)]
pub struct KeyWriter {
    bytes: Vec<u8>,
}

impl<'a> KeyValue<'a> {
    /// The value as part of a key, if its type allows that.
    #[must_use]
    pub fn from_value(value: &'a AttributeValue) -> Option<Self> {
        match value {
            AttributeValue::S(text) => Some(Self::S(text)),
            AttributeValue::N(number) => Some(Self::N(*number)),
            AttributeValue::B(bytes) => Some(Self::B(bytes)),
            AttributeValue::Bool(_)
            | AttributeValue::Null
            | AttributeValue::Ss(_)
            | AttributeValue::Ns(_)
            | AttributeValue::Bs(_)
            | AttributeValue::L(_)
            | AttributeValue::M(_) => None,
        }
    }

    /// The encoded value as part of a key, if its type allows that.
    #[must_use]
    pub fn from_ref(value: ValueRef<'a>) -> Option<Self> {
        match value {
            ValueRef::S(text) => Some(Self::S(text)),
            ValueRef::N(number) => Some(Self::N(number)),
            ValueRef::B(bytes) => Some(Self::B(bytes)),
            ValueRef::Bool(_)
            | ValueRef::Null
            | ValueRef::Ss(_)
            | ValueRef::Ns(_)
            | ValueRef::Bs(_)
            | ValueRef::L(_)
            | ValueRef::M(_) => None,
        }
    }

    /// The type of the value.
    #[must_use]
    pub const fn value_type(self) -> ValueType {
        match self {
            Self::S(_) => ValueType::S,
            Self::N(_) => ValueType::N,
            Self::B(_) => ValueType::B,
        }
    }

    /// The size as DynamoDB counts it; key values have limits of their own.
    #[must_use]
    pub fn size_bytes(self) -> usize {
        match self {
            Self::S(text) => text.len(),
            Self::N(number) => crate::size::number_size(number),
            Self::B(bytes) => bytes.len(),
        }
    }

    /// The value as a tree.
    #[must_use]
    pub fn to_value(self) -> AttributeValue {
        match self {
            Self::S(text) => AttributeValue::S(text.to_owned()),
            Self::N(number) => AttributeValue::N(number),
            Self::B(bytes) => AttributeValue::B(Bytes::copy_from_slice(bytes)),
        }
    }
}

impl KeyWriter {
    /// A writer of an empty key.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A writer with room for these elements.
    fn with_room_for<'a>(values: impl IntoIterator<Item = &'a KeyValue<'a>>) -> Self {
        // Tags and ends, and a byte for the exponent of numbers.
        let room = values.into_iter().map(|value| value.size_bytes() + 4).sum();
        Self { bytes: Vec::with_capacity(room) }
    }

    /// Appends an element.
    pub fn push(&mut self, value: KeyValue<'_>) {
        match value {
            KeyValue::S(text) => self.push_bytes(TAG_S, text.as_bytes()),
            KeyValue::B(bytes) => self.push_bytes(TAG_B, bytes),
            KeyValue::N(number) => {
                self.bytes.push(TAG_N);
                push_number(number, &mut self.bytes);
                return;
            }
        }
        self.bytes.extend_from_slice(&[0, END]);
    }

    /// Appends what all strings or binaries that begin with this one have in common. Use it last,
    /// with [`prefix_end`] for the other end of the range. Numbers have no beginnings: one is
    /// appended whole.
    pub fn push_prefix(&mut self, prefix: KeyValue<'_>) {
        match prefix {
            KeyValue::S(text) => self.push_bytes(TAG_S, text.as_bytes()),
            KeyValue::B(bytes) => self.push_bytes(TAG_B, bytes),
            KeyValue::N(_) => self.push(prefix),
        }
    }

    /// The key.
    #[must_use]
    pub fn finish(self) -> Bytes {
        // Without spare room: keys stay in caches.
        Bytes::from(self.bytes.into_boxed_slice())
    }

    /// What was written so far.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn push_bytes(&mut self, tag: u8, bytes: &[u8]) {
        self.bytes.reserve(bytes.len() + 3);
        self.bytes.push(tag);
        let mut parts = bytes.split(|byte| *byte == 0);
        if let Some(first) = parts.next() {
            self.bytes.extend_from_slice(first);
        }
        for part in parts {
            self.bytes.extend_from_slice(&[0, ESCAPED]);
            self.bytes.extend_from_slice(part);
        }
    }
}

/// Encodes the elements of a key, first to last.
#[must_use]
pub fn encode_composite(values: &[KeyValue<'_>]) -> Bytes {
    let mut writer = KeyWriter::with_room_for(values);
    for value in values {
        writer.push(*value);
    }
    writer.finish()
}

/// Encodes a partition key and a sort key (no bytes without one), both into one piece of memory.
#[must_use]
pub fn encode_pair(partition: KeyValue<'_>, sort: Option<KeyValue<'_>>) -> (Bytes, Bytes) {
    let mut writer = KeyWriter::with_room_for(std::iter::once(&partition).chain(&sort));
    writer.push(partition);
    let partition_bytes = writer.as_bytes().len();
    if let Some(sort) = sort {
        writer.push(sort);
    }
    let mut partition = writer.finish();
    let sort = partition.split_off(partition_bytes);
    (partition, sort)
}

/// The smallest bytes above everything that starts with `prefix`: the exclusive end of that range.
/// `None` if there is no end, because the prefix is empty or consists of `FF`.
///
/// ```
/// use zenobe_model::key::{KeyValue, KeyWriter, encode_composite, prefix_end};
///
/// let mut start = KeyWriter::new();
/// start.push_prefix(KeyValue::S("mov"));
/// let end = prefix_end(start.as_bytes()).unwrap();
/// let key = encode_composite(&[KeyValue::S("movies")]);
/// assert!(start.as_bytes() <= &key[..] && key < end);
/// ```
#[must_use]
pub fn prefix_end(prefix: &[u8]) -> Option<Bytes> {
    let last = prefix.iter().rposition(|byte| *byte != 0xFF)?;
    let mut end = prefix.get(..=last)?.to_vec();
    *end.last_mut()? += 1;
    Some(Bytes::from(end))
}

/// Decodes the first element of a key; also returns the bytes behind it.
///
/// # Errors
/// If the bytes do not start with an element.
pub fn decode(bytes: &[u8]) -> Result<(AttributeValue, &[u8]), CorruptKey> {
    let (tag, rest) = bytes.split_first().ok_or(CorruptKey { reason: "it ends early" })?;
    match *tag {
        TAG_S => {
            let (text, rest) = decode_bytes(rest)?;
            let text = String::from_utf8(text).map_err(|_| CorruptKey { reason: "not UTF-8" })?;
            Ok((AttributeValue::S(text), rest))
        }
        TAG_B => {
            let (bytes, rest) = decode_bytes(rest)?;
            Ok((AttributeValue::B(Bytes::from(bytes)), rest))
        }
        TAG_N => {
            let (number, rest) = decode_number(rest)?;
            Ok((AttributeValue::N(number), rest))
        }
        _ => Err(CorruptKey { reason: "unknown tag" }),
    }
}

/// Decodes all elements of a key.
///
/// # Errors
/// If the bytes are not a sequence of elements.
pub fn decode_composite(mut bytes: &[u8]) -> Result<Vec<AttributeValue>, CorruptKey> {
    let mut values = Vec::new();
    while !bytes.is_empty() {
        let (value, rest) = decode(bytes)?;
        values.push(value);
        bytes = rest;
    }
    Ok(values)
}

fn decode_bytes(mut bytes: &[u8]) -> Result<(Vec<u8>, &[u8]), CorruptKey> {
    let mut value = Vec::new();
    loop {
        let zero = bytes
            .iter()
            .position(|byte| *byte == 0)
            .ok_or(CorruptKey { reason: "no end of an element" })?;
        let (part, rest) = bytes.split_at(zero);
        value.extend_from_slice(part);
        match rest {
            [0, END, rest @ ..] => return Ok((value, rest)),
            [0, ESCAPED, rest @ ..] => {
                value.push(0);
                bytes = rest;
            }
            _ => return Err(CorruptKey { reason: "bad escape" }),
        }
    }
}

fn push_number(number: Number, out: &mut Vec<u8>) {
    if number.is_zero() {
        out.push(ZERO);
        return;
    }
    out.push(if number.is_negative() { NEGATIVE } else { POSITIVE });
    let start = out.len();
    let exponent = number.magnitude() - MAGNITUDE_MIN;
    // The range of magnitudes is exactly that of a byte.
    out.push(u8::try_from(exponent).unwrap_or(u8::MAX));
    push_pairs(number, out);
    out.push(0);
    if number.is_negative() {
        for byte in out.iter_mut().skip(start) {
            *byte = !*byte;
        }
    }
}

/// Appends the digits in pairs, the most significant ones first.
fn push_pairs(number: Number, out: &mut Vec<u8>) {
    let digits = number.digits();
    let mut coefficient = number.coefficient();
    if digits % 2 == 1 {
        // At most 37 digits: this stays below 10^38.
        coefficient *= 10;
    }
    let mut pairs = [0u8; DIGITS_MAX.div_ceil(2) as usize];
    let mut used = 0;
    for slot in pairs.iter_mut().rev() {
        if coefficient == 0 {
            break;
        }
        let (quotient, remainder) = match u64::try_from(coefficient) {
            Ok(small) => (u128::from(small / 100), small % 100),
            Err(_) => (coefficient / 100, u64::try_from(coefficient % 100).unwrap_or(0)),
        };
        *slot = u8::try_from(remainder).unwrap_or(0) + 1;
        coefficient = quotient;
        used += 1;
    }
    out.extend_from_slice(pairs.get(pairs.len() - used..).unwrap_or_default());
}

fn decode_number(bytes: &[u8]) -> Result<(Number, &[u8]), CorruptKey> {
    const CORRUPT: CorruptKey = CorruptKey { reason: "not a number" };
    let (mask, rest) = match bytes {
        [ZERO, rest @ ..] => return Ok((Number::ZERO, rest)),
        [POSITIVE, rest @ ..] => (0x00, rest),
        [NEGATIVE, rest @ ..] => (0xFF, rest),
        _ => return Err(CORRUPT),
    };
    let (exponent, mut rest) = rest.split_first().ok_or(CORRUPT)?;
    let magnitude = i16::from(exponent ^ mask) + MAGNITUDE_MIN;
    let mut coefficient = 0u128;
    let mut digits = 0i16;
    loop {
        let (byte, behind) = rest.split_first().ok_or(CORRUPT)?;
        rest = behind;
        let pair = match byte ^ mask {
            0 => break,
            pair @ 1..=100 => pair - 1,
            _ => return Err(CORRUPT),
        };
        digits += 2;
        if digits > 38 || (digits == 2 && pair < 10) {
            return Err(CORRUPT);
        }
        coefficient = coefficient * 100 + u128::from(pair);
    }
    let mut exponent = magnitude - digits + 1;
    if coefficient.is_multiple_of(100) {
        return Err(CORRUPT);
    }
    if coefficient.is_multiple_of(10) {
        coefficient /= 10;
        exponent += 1;
    }
    let number = Number::from_normal_parts(mask != 0, coefficient, exponent).ok_or(CORRUPT)?;
    Ok((number, rest))
}
