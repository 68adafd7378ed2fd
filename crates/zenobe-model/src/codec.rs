//! The binary item format: how items are stored, read in part, and turned into JSON without a tree.
//!
//! # Layout, version 1
//!
//! All integers are little-endian.
//!
//! ```text
//! item    = version u8 = 1, timestamp u64, region u16, size u32, count u32, count × (name value)
//! name    = text                    names ascend by bytes, without duplicates
//! value   = tag u8, payload
//!           00 NULL                 no payload
//!           01 BOOL false           no payload
//!           02 BOOL true            no payload
//!           03 S                    text
//!           04 N                    number
//!           05 B                    bytes
//!           06 SS                   container of texts, ascending by bytes, without duplicates
//!           07 NS                   container of numbers, ascending, without duplicates
//!           08 BS                   container of bytes, ascending, without duplicates
//!           09 L                    container of values
//!           0A M                    container of (name value)
//! text    = bytes that are UTF-8
//! bytes   = length, that many bytes
//! length  = u8 < FE  |  FE u16 ≥ FE  |  FF u32 > FFFF
//! container = byte length of the elements u32, count u32, the elements
//! number  = 00 for zero  |  head u8, exponent u8, coefficient
//!           head bits 0–4: bytes of the coefficient (1 to 16); bit 6: bit 8 of the exponent;
//!           bit 7: negative. The exponent is that of the last significant digit plus 167. The
//!           coefficient has no trailing zeros in decimal and no leading zero bytes.
//! ```
//!
//! `timestamp` is the hybrid logical clock of the last writer, `region` where it wrote, `size` the
//! size of the item as DynamoDB counts it. Every value has exactly one encoding: two values are
//! equal, as DynamoDB compares, if their bytes are. A value is skipped without looking inside.
//!
//! [`EncodedItem::from_stored`] checks all of this once, in one walk; nothing behind it can fail.
//! [`EncodedItem::from_stored_to_pass_on`] leaves the check of texts to whoever writes them out.
//!
//! ```
//! use zenobe_model::{AttributeValue, EncodedItem, Item, Number, ValueRef};
//! use zenobe_model::codec::ItemHeader;
//!
//! let item = Item::from([
//!     ("Id".to_owned(), AttributeValue::N(Number::from(1i64))),
//!     ("name".to_owned(), AttributeValue::S("amit".to_owned())),
//! ]);
//! let encoded = EncodedItem::encode(&item, ItemHeader::default());
//! assert_eq!(encoded.size_bytes(), 2 + 2 + 4 + 4);
//! assert_eq!(encoded.get("name").map(|raw| raw.value()), Some(ValueRef::S("amit")));
//!
//! let stored = EncodedItem::from_stored(encoded.into_bytes())?;
//! assert_eq!(stored.to_item(), item);
//! # Ok::<(), zenobe_model::codec::CorruptItem>(())
//! ```

mod build;
mod read;
mod unordered;
mod validate;

use bytes::Bytes;

use crate::number::Number;
use crate::value::{AttributeValue, Item, ValueType};

pub use build::ItemBuilder;
pub use unordered::{Mark, ValueWriter};

pub use read::{
    Attributes, BinarySetRef, ListRef, MapRef, NumberSetRef, RawValue, StringSetRef, ValueRef,
};

/// The version of the layout that is written, and the newest that is read.
pub const FORMAT_VERSION: u8 = 1;
/// How deep a stored value may nest. Requests are limited to
/// [`crate::limits::NESTING_DEPTH_MAX`] long before; this one bounds recursion over stored bytes.
pub const STORED_DEPTH_MAX: usize = 128;

const HEADER_BYTES: usize = 19;

mod tag {
    pub(super) const NULL: u8 = 0x00;
    pub(super) const FALSE: u8 = 0x01;
    pub(super) const TRUE: u8 = 0x02;
    pub(super) const S: u8 = 0x03;
    pub(super) const N: u8 = 0x04;
    pub(super) const B: u8 = 0x05;
    pub(super) const SS: u8 = 0x06;
    pub(super) const NS: u8 = 0x07;
    pub(super) const BS: u8 = 0x08;
    pub(super) const L: u8 = 0x09;
    pub(super) const M: u8 = 0x0A;
}

/// A whole item in the binary format. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct EncodedItem(Bytes);

/// What an item carries beside its attributes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ItemHeader {
    /// When the item was last written: hybrid logical clock.
    pub timestamp: u64,
    /// The region that wrote it.
    pub region: u16,
}

/// Stored bytes that are not an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CorruptItem {
    /// Written by a newer version of the format.
    #[error("stored item has format version {0}, newer than {FORMAT_VERSION}")]
    Version(u8),
    /// The layout is broken.
    #[error("stored item is corrupt at byte {offset}: {reason}")]
    Malformed {
        /// Where.
        offset: usize,
        /// What is wrong there.
        reason: &'static str,
    },
}

/// One attribute value encoded alone, such as an operand of an expression: it compares with stored
/// values without decoding either.
#[derive(Clone, PartialEq, Eq)]
pub struct RawValueBuf(Vec<u8>);

impl EncodedItem {
    /// Encodes a tree. Sets that are not sorted are sorted.
    #[must_use]
    pub fn encode(item: &Item, header: ItemHeader) -> Self {
        build::encode(item, header)
    }

    /// Takes stored bytes for an item, after checking the whole of them.
    ///
    /// # Errors
    /// If the bytes are not exactly one item.
    pub fn from_stored(bytes: Bytes) -> Result<Self, CorruptItem> {
        validate::item::<true>(&bytes)?;
        Ok(Self(bytes))
    }

    /// Takes stored bytes for an item that is only counted or passed on, after checking all but that
    /// names and strings are UTF-8: who passes it on does that, for all items at once.
    ///
    /// # Errors
    /// If the bytes are not exactly one item.
    pub fn from_stored_to_pass_on(bytes: Bytes) -> Result<Self, CorruptItem> {
        validate::item::<false>(&bytes)?;
        Ok(Self(bytes))
    }

    /// How many bytes of a stored item tell its size.
    pub const HEAD_BYTES: usize = 15;

    /// Takes the beginning of a stored item for an item of that size whose attributes nobody knows: it
    /// seems to have none.
    ///
    /// # Errors
    /// If no item begins like this.
    pub fn from_head(head: &[u8]) -> Result<Self, CorruptItem> {
        validate::version(head)?;
        let Some(head) = head.get(..Self::HEAD_BYTES) else {
            let reason = "the header is cut off";
            return Err(CorruptItem::Malformed { offset: head.len(), reason });
        };
        let mut bytes = [0; HEADER_BYTES];
        bytes.iter_mut().zip(head).for_each(|(to, from)| *to = *from);
        Ok(Self(Bytes::copy_from_slice(&bytes)))
    }

    /// The bytes to store.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// The bytes to store.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// What the item carries beside its attributes.
    #[must_use]
    pub fn header(&self) -> ItemHeader {
        ItemHeader {
            timestamp: u64::from_le_bytes(self.field(1)),
            region: u16::from_le_bytes(self.field(9)),
        }
    }

    /// The same item with another header.
    #[must_use]
    pub fn with_header(&self, header: ItemHeader) -> Self {
        let mut bytes = Vec::with_capacity(self.0.len());
        bytes.push(FORMAT_VERSION);
        bytes.extend_from_slice(&header.timestamp.to_le_bytes());
        bytes.extend_from_slice(&header.region.to_le_bytes());
        bytes.extend_from_slice(self.0.get(11..).unwrap_or_default());
        Self(Bytes::from(bytes))
    }

    /// Gives the item another header: in place, unless its bytes are shared.
    pub fn set_header(&mut self, header: ItemHeader) {
        self.0 = match std::mem::take(&mut self.0).try_into_mut() {
            Err(shared) => Self(shared).with_header(header).0,
            Ok(mut own) => {
                let fields = header.timestamp.to_le_bytes().into_iter();
                let fields = fields.chain(header.region.to_le_bytes());
                own.iter_mut().skip(1).zip(fields).for_each(|(to, from)| *to = from);
                own.freeze()
            }
        };
    }

    /// Whether both have the same attributes, whenever and wherever they were written.
    #[must_use]
    pub fn has_attributes_of(&self, other: &Self) -> bool {
        self.0.get(HEADER_BYTES..) == other.0.get(HEADER_BYTES..) && self.len() == other.len()
    }

    /// The size as DynamoDB counts it: names and values, without the header.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        u32::from_le_bytes(self.field(11)) as usize
    }

    /// The number of attributes.
    #[must_use]
    pub fn len(&self) -> usize {
        u32::from_le_bytes(self.field(15)) as usize
    }

    /// Whether there are no attributes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of an attribute.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<RawValue<'_>> {
        self.as_map().get(name)
    }

    /// The attributes, by name in the order of bytes.
    #[must_use]
    pub fn attributes(&self) -> Attributes<'_> {
        self.as_map().iter()
    }

    /// The attributes as if they were a map.
    #[must_use]
    pub fn as_map(&self) -> MapRef<'_> {
        MapRef::new(self.len(), self.0.get(HEADER_BYTES..).unwrap_or_default())
    }

    /// The item as a tree.
    #[must_use]
    pub fn to_item(&self) -> Item {
        self.as_map().to_item()
    }

    /// The item with only the attributes named, by copying their bytes.
    ///
    /// `names` ascend; names that the item lacks are skipped.
    #[must_use]
    pub fn project_top_level(&self, names: &[&str]) -> Self {
        let mut builder = ItemBuilder::with_capacity(self.header(), 0);
        let mut names = names.iter().peekable();
        for (name, value) in self.attributes() {
            while names.next_if(|wanted| **wanted < name).is_some() {}
            match names.peek() {
                None => break,
                Some(wanted) if **wanted == name => builder.push_raw(name, value),
                Some(_) => {}
            }
        }
        builder.finish()
    }

    /// The bytes at a fixed place of the header, which is always complete.
    fn field<const N: usize>(&self, offset: usize) -> [u8; N] {
        self.0.get(offset..).and_then(|bytes| bytes.first_chunk::<N>()).copied().unwrap_or([0; N])
    }
}

impl Default for EncodedItem {
    fn default() -> Self {
        Self::encode(&Item::new(), ItemHeader::default())
    }
}

impl From<Item> for EncodedItem {
    /// Encodes a tree as an item that was not written yet.
    fn from(item: Item) -> Self {
        Self::encode(&item, ItemHeader::default())
    }
}

impl<const N: usize> From<[(String, AttributeValue); N]> for EncodedItem {
    fn from(attributes: [(String, AttributeValue); N]) -> Self {
        Item::from(attributes).into()
    }
}

impl FromIterator<(String, AttributeValue)> for EncodedItem {
    fn from_iter<I: IntoIterator<Item = (String, AttributeValue)>>(attributes: I) -> Self {
        attributes.into_iter().collect::<Item>().into()
    }
}

impl std::fmt::Debug for EncodedItem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.to_item().fmt(f)
    }
}

impl RawValueBuf {
    /// Encodes a tree. Sets that are not sorted are sorted.
    #[must_use]
    pub fn encode(value: &AttributeValue) -> Self {
        let mut bytes = Vec::new();
        build::push_value(&mut bytes, value);
        Self(bytes)
    }

    /// The encoded value.
    #[must_use]
    pub fn as_raw(&self) -> RawValue<'_> {
        RawValue::new(&self.0)
    }
}

impl std::fmt::Debug for RawValueBuf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_raw().fmt(f)
    }
}

impl From<RawValue<'_>> for RawValueBuf {
    fn from(raw: RawValue<'_>) -> Self {
        Self(raw.as_bytes().to_vec())
    }
}

/// The type that a tag stands for.
const fn type_of_tag(byte: u8) -> Option<ValueType> {
    Some(match byte {
        tag::NULL => ValueType::Null,
        tag::FALSE | tag::TRUE => ValueType::Bool,
        tag::S => ValueType::S,
        tag::N => ValueType::N,
        tag::B => ValueType::B,
        tag::SS => ValueType::Ss,
        tag::NS => ValueType::Ns,
        tag::BS => ValueType::Bs,
        tag::L => ValueType::L,
        tag::M => ValueType::M,
        _ => return None,
    })
}

/// Splits a length off; the canonical form is not checked.
fn split_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match bytes {
        [length @ ..0xFE, rest @ ..] => Some((usize::from(*length), rest)),
        [0xFE, a, b, rest @ ..] => Some((usize::from(u16::from_le_bytes([*a, *b])), rest)),
        [0xFF, a, b, c, d, rest @ ..] => {
            Some((u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest))
        }
        [0xFE | 0xFF, ..] | [] => None,
    }
}

/// Splits length-prefixed bytes off.
fn split_bytes(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = split_length(bytes)?;
    rest.split_at_checked(length)
}

/// Splits the count and the elements of a container off.
fn split_container(bytes: &[u8]) -> Option<(u32, &[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (count, rest) = rest.split_first_chunk::<4>()?;
    let (elements, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    Some((u32::from_le_bytes(*count), elements, rest))
}

/// How many bytes the number at the start of `bytes` takes.
fn number_bytes(head: u8) -> usize {
    if head == 0 { 1 } else { 2 + usize::from(head & 0x1F) }
}

/// Splits a number off, decoded; nothing if it is not in its one encoding.
fn split_number(bytes: &[u8]) -> Option<(Number, &[u8])> {
    let (head, rest) = bytes.split_first()?;
    if *head == 0 {
        return Some((Number::ZERO, rest));
    }
    let (exponent, rest) = rest.split_first()?;
    let length = usize::from(head & 0x1F);
    if head & 0x20 != 0 || length == 0 {
        return None;
    }
    let (digits, rest) = rest.split_at_checked(length)?;
    if digits.last() == Some(&0) {
        return None;
    }
    let mut coefficient = [0u8; 16];
    coefficient.get_mut(..length)?.copy_from_slice(digits);
    let exponent = i16::from(*exponent) | (i16::from(head & 0x40) << 2);
    let number = Number::from_normal_parts(
        head & 0x80 != 0,
        u128::from_le_bytes(coefficient),
        exponent + crate::number::EXPONENT_MIN,
    )?;
    // Zero has an encoding of its own.
    (!number.is_zero()).then_some((number, rest))
}

/// Splits the encoded value at the start of `bytes` off, without looking inside.
fn split_value(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let payload = match *tag {
        tag::NULL | tag::FALSE | tag::TRUE => 0,
        tag::S | tag::B => {
            let (length, behind) = split_length(rest)?;
            (rest.len() - behind.len()).checked_add(length)?
        }
        tag::N => number_bytes(*rest.first()?),
        tag::SS | tag::NS | tag::BS | tag::L | tag::M => {
            (u32::from_le_bytes(*rest.first_chunk::<4>()?) as usize).checked_add(8)?
        }
        _ => return None,
    };
    bytes.split_at_checked(payload.checked_add(1)?)
}
