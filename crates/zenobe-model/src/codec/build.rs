//! Writing encoded items: from trees, and from parts of other items.

use bytes::Bytes;

use super::{EncodedItem, FORMAT_VERSION, HEADER_BYTES, ItemHeader, RawValue, tag};
use crate::number::{EXPONENT_MIN, Number};
use crate::size::{CONTAINER_BYTES, ELEMENT_BYTES, value_size};
use crate::value::{AttributeValue, Item};

/// Builds an [`EncodedItem`] from raw parts, counting its size on the way.
///
/// Names are pushed in ascending order, on every level. Between `begin_list` and its `end` the
/// elements are pushed with the `element` methods, everywhere else by name.
///
/// ```
/// use zenobe_model::codec::{ItemBuilder, ItemHeader, RawValueBuf};
/// use zenobe_model::AttributeValue;
///
/// let value = RawValueBuf::encode(&AttributeValue::S("x".to_owned()));
/// let mut builder = ItemBuilder::new(ItemHeader::default());
/// builder.begin_map("a");
/// builder.begin_list("b");
/// builder.push_element_raw(value.as_raw());
/// builder.end();
/// builder.end();
/// builder.push_raw("c", value.as_raw());
/// let item = builder.finish();
/// assert_eq!(item.len(), 2);
/// assert_eq!(item.size_bytes(), 1 + 3 + 1 + 1 + 3 + 1 + 1 + 1 + 1);
/// ```
#[derive(Clone, Debug)]
pub struct ItemBuilder {
    bytes: Vec<u8>,
    size: usize,
    count: u32,
    open: Vec<Frame>,
}

/// A container that was begun and not ended.
#[derive(Clone, Debug)]
struct Frame {
    /// Where its length and count belong.
    start: usize,
    count: u32,
}

impl ItemBuilder {
    /// A builder of an item without attributes.
    #[must_use]
    pub fn new(header: ItemHeader) -> Self {
        Self::with_capacity(header, 0)
    }

    /// A builder of an item that DynamoDB will count as about `size_bytes`.
    #[must_use]
    pub fn with_capacity(header: ItemHeader, size_bytes: usize) -> Self {
        // Lengths and tags add a few bytes per attribute.
        let mut bytes = Vec::with_capacity(HEADER_BYTES + size_bytes + size_bytes / 8 + 64);
        push_header(&mut bytes, header);
        Self { bytes, size: 0, count: 0, open: Vec::new() }
    }

    /// Appends an attribute by copying an encoded value.
    pub fn push_raw(&mut self, name: &str, value: RawValue<'_>) {
        self.push_name(name);
        self.bytes.extend_from_slice(value.as_bytes());
        self.size += value.size_bytes();
    }

    /// Appends an attribute.
    pub fn push_value(&mut self, name: &str, value: &AttributeValue) {
        self.push_name(name);
        push_value(&mut self.bytes, value);
        self.size += value_size(value);
    }

    /// Appends an element of a list by copying an encoded value.
    pub fn push_element_raw(&mut self, value: RawValue<'_>) {
        self.count_element();
        self.bytes.extend_from_slice(value.as_bytes());
        self.size += value.size_bytes();
    }

    /// Appends an element of a list.
    pub fn push_element_value(&mut self, value: &AttributeValue) {
        self.count_element();
        push_value(&mut self.bytes, value);
        self.size += value_size(value);
    }

    /// Begins a map as an attribute; [`Self::end`] ends it.
    pub fn begin_map(&mut self, name: &str) {
        self.push_name(name);
        self.begin(tag::M);
    }

    /// Begins a list as an attribute; [`Self::end`] ends it.
    pub fn begin_list(&mut self, name: &str) {
        self.push_name(name);
        self.begin(tag::L);
    }

    /// Begins a map as an element of a list; [`Self::end`] ends it.
    pub fn begin_element_map(&mut self) {
        self.count_element();
        self.begin(tag::M);
    }

    /// Begins a list as an element of a list; [`Self::end`] ends it.
    pub fn begin_element_list(&mut self) {
        self.count_element();
        self.begin(tag::L);
    }

    /// Ends the map or list that was begun last. Without one it does nothing.
    pub fn end(&mut self) {
        if let Some(frame) = self.open.pop() {
            finish_container(&mut self.bytes, frame.start, frame.count);
        }
    }

    /// The item. Containers still open are ended.
    #[must_use]
    pub fn finish(mut self) -> EncodedItem {
        while !self.open.is_empty() {
            self.end();
        }
        patch_u32(&mut self.bytes, 11, self.size);
        patch_u32(&mut self.bytes, 15, self.count as usize);
        // Without spare room: items stay in caches.
        EncodedItem(Bytes::from(self.bytes.into_boxed_slice()))
    }

    fn begin(&mut self, tag: u8) {
        self.bytes.push(tag);
        self.open.push(Frame { start: begin_container(&mut self.bytes), count: 0 });
        self.size += CONTAINER_BYTES;
    }

    fn push_name(&mut self, name: &str) {
        self.count_element();
        push_bytes(&mut self.bytes, name.as_bytes());
        self.size += name.len();
    }

    /// Counts an element of the innermost container; those of the item itself cost nothing.
    fn count_element(&mut self) {
        match self.open.last_mut() {
            Some(frame) => {
                frame.count += 1;
                self.size += ELEMENT_BYTES;
            }
            None => self.count += 1,
        }
    }
}

/// Writes the header of an item whose size and count are not known yet.
pub(super) fn push_header(out: &mut Vec<u8>, header: ItemHeader) {
    out.push(FORMAT_VERSION);
    out.extend_from_slice(&header.timestamp.to_le_bytes());
    out.extend_from_slice(&header.region.to_le_bytes());
    out.extend_from_slice(&[0; 8]);
}

/// Encodes a tree, counting its size once.
pub(super) fn encode(item: &Item, header: ItemHeader) -> EncodedItem {
    let size = crate::size::item_size(item);
    let mut builder = ItemBuilder::with_capacity(header, size);
    builder.size = size;
    builder.count = count(item.len());
    push_attributes(&mut builder.bytes, item);
    builder.finish()
}

/// Appends an encoded value.
pub(super) fn push_value(out: &mut Vec<u8>, value: &AttributeValue) {
    match value {
        AttributeValue::Null => out.push(tag::NULL),
        AttributeValue::Bool(false) => out.push(tag::FALSE),
        AttributeValue::Bool(true) => out.push(tag::TRUE),
        AttributeValue::S(text) => {
            out.push(tag::S);
            push_bytes(out, text.as_bytes());
        }
        AttributeValue::N(number) => {
            out.push(tag::N);
            push_number(out, *number);
        }
        AttributeValue::B(bytes) => {
            out.push(tag::B);
            push_bytes(out, bytes);
        }
        AttributeValue::Ss(set) => {
            out.push(tag::SS);
            push_set(out, set, |out, text| push_bytes(out, text.as_bytes()));
        }
        AttributeValue::Ns(set) => {
            out.push(tag::NS);
            push_set(out, set, |out, number| push_number(out, *number));
        }
        AttributeValue::Bs(set) => {
            out.push(tag::BS);
            push_set(out, set, |out, bytes| push_bytes(out, bytes));
        }
        AttributeValue::L(list) => {
            out.push(tag::L);
            let start = begin_container(out);
            for element in list {
                push_value(out, element);
            }
            finish_container(out, start, count(list.len()));
        }
        AttributeValue::M(map) => {
            out.push(tag::M);
            let start = begin_container(out);
            push_attributes(out, map);
            finish_container(out, start, count(map.len()));
        }
    }
}

fn push_attributes(out: &mut Vec<u8>, attributes: &Item) {
    for (name, value) in attributes {
        push_bytes(out, name.as_bytes());
        push_value(out, value);
    }
}

fn push_set<T: Ord>(out: &mut Vec<u8>, set: &[T], push: impl Fn(&mut Vec<u8>, &T)) {
    let start = begin_container(out);
    let ascending = set.windows(2).all(|pair| matches!(pair, [left, right] if left < right));
    let length = if ascending {
        set.iter().for_each(|element| push(out, element));
        set.len()
    } else {
        let sorted: std::collections::BTreeSet<&T> = set.iter().collect();
        sorted.iter().for_each(|element| push(out, element));
        sorted.len()
    };
    finish_container(out, start, count(length));
}

/// Leaves room for length and count; returns where.
pub(super) fn begin_container(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; 8]);
    start
}

pub(super) fn finish_container(out: &mut [u8], start: usize, count: u32) {
    let length = out.len() - start - 8;
    patch_u32(out, start, length);
    patch_u32(out, start + 4, count as usize);
}

pub(super) fn patch_u32(out: &mut [u8], offset: usize, value: usize) {
    if let Some(slot) = out.get_mut(offset..).and_then(|bytes| bytes.first_chunk_mut::<4>()) {
        *slot = count(value).to_le_bytes();
    }
}

/// Requests are limited to some megabytes, so that nothing in an item comes near 4 GB. A larger
/// item would be found corrupt when it is read, not read wrongly.
pub(super) fn count(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

pub(super) fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    match bytes.len() {
        length @ 0..0xFE => out.extend(u8::try_from(length)),
        length => match u16::try_from(length) {
            Ok(length) => {
                out.push(0xFE);
                out.extend_from_slice(&length.to_le_bytes());
            }
            Err(_) => {
                out.push(0xFF);
                out.extend_from_slice(&count(length).to_le_bytes());
            }
        },
    }
    out.extend_from_slice(bytes);
}

#[expect(clippy::cast_possible_truncation, reason = "the biased exponent has 9 bits")]
pub(super) fn push_number(out: &mut Vec<u8>, number: Number) {
    if number.is_zero() {
        out.push(0);
        return;
    }
    let coefficient = number.coefficient().to_le_bytes();
    let length = 16 - number.coefficient().leading_zeros() as usize / 8;
    let exponent = (number.exponent() - EXPONENT_MIN).unsigned_abs();
    let sign = if number.is_negative() { 0x80 } else { 0 };
    out.push(sign | ((exponent >> 8) as u8) << 6 | length as u8);
    out.push(exponent as u8);
    out.extend_from_slice(coefficient.get(..length).unwrap_or_default());
}
