//! Encoded values, read in place.
//!
//! Everything here was checked by [`super::validate`] or written by [`super::build`], so that the
//! readers have no errors to report; on bytes that are neither, they would end early.

use std::cmp::Ordering;
use std::fmt;

use bytes::Bytes;

use super::{
    split_bytes, split_container, split_length, split_number, split_value, tag, type_of_tag,
};
use crate::number::Number;
use crate::value::{AttributeValue, Item, ValueType};

/// An encoded value. Two are equal exactly if DynamoDB calls the values equal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RawValue<'a>(&'a [u8]);

/// A value inside an [`super::EncodedItem`], decoded as far as its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueRef<'a> {
    /// `S`
    S(&'a str),
    /// `N`
    N(Number),
    /// `B`
    B(&'a [u8]),
    /// `BOOL`
    Bool(bool),
    /// `NULL`
    Null,
    /// `SS`
    Ss(StringSetRef<'a>),
    /// `NS`
    Ns(NumberSetRef<'a>),
    /// `BS`
    Bs(BinarySetRef<'a>),
    /// `L`
    L(ListRef<'a>),
    /// `M`
    M(MapRef<'a>),
}

/// The elements of an encoded container.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Elements<'a> {
    count: usize,
    bytes: &'a [u8],
}

/// An encoded set of strings, in the order of their bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct StringSetRef<'a>(Elements<'a>);

/// An encoded set of numbers, in ascending order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct NumberSetRef<'a>(Elements<'a>);

/// An encoded set of binaries, in the order of their bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BinarySetRef<'a>(Elements<'a>);

/// An encoded list.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ListRef<'a>(Elements<'a>);

/// An encoded map, by name in the order of bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MapRef<'a>(Elements<'a>);

/// Iterates over the attributes of an item or a map.
#[derive(Clone, Debug)]
pub struct Attributes<'a> {
    left: usize,
    bytes: &'a [u8],
}

impl<'a> RawValue<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The encoded bytes, tag included.
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The type.
    #[must_use]
    pub fn value_type(self) -> ValueType {
        self.0.first().and_then(|byte| type_of_tag(*byte)).unwrap_or(ValueType::Null)
    }

    /// The value, decoded as far as its type.
    #[must_use]
    pub fn value(self) -> ValueRef<'a> {
        let Some((&byte, payload)) = self.0.split_first() else {
            return ValueRef::Null;
        };
        let bytes = || split_bytes(payload).map(|(bytes, _)| bytes).unwrap_or_default();
        match byte {
            tag::FALSE => ValueRef::Bool(false),
            tag::TRUE => ValueRef::Bool(true),
            tag::S => ValueRef::S(text(bytes())),
            tag::N => ValueRef::N(split_number(payload).map_or(Number::ZERO, |(n, _)| n)),
            tag::B => ValueRef::B(bytes()),
            tag::SS => ValueRef::Ss(StringSetRef(Elements::of(payload))),
            tag::NS => ValueRef::Ns(NumberSetRef(Elements::of(payload))),
            tag::BS => ValueRef::Bs(BinarySetRef(Elements::of(payload))),
            tag::L => ValueRef::L(ListRef(Elements::of(payload))),
            tag::M => ValueRef::M(MapRef(Elements::of(payload))),
            _ => ValueRef::Null,
        }
    }

    /// The bytes of a string, not looked at; `None` for values of other types.
    #[must_use]
    pub fn string_bytes(self) -> Option<&'a [u8]> {
        match self.0 {
            [tag::S, payload @ ..] => Some(split_bytes(payload)?.0),
            _ => None,
        }
    }

    /// The value as a tree.
    #[must_use]
    pub fn to_owned(self) -> AttributeValue {
        self.value().to_value()
    }

    /// The size as DynamoDB counts it.
    #[must_use]
    pub fn size_bytes(self) -> usize {
        match self.0 {
            // Nothing but the length is needed of text: it is not looked at.
            [tag::S | tag::B, payload @ ..] => split_length(payload).map_or(0, |(size, _)| size),
            _ => self.value().size_bytes(),
        }
    }
}

impl fmt::Debug for RawValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value().fmt(f)
    }
}

impl<'a> ValueRef<'a> {
    /// The type.
    #[must_use]
    pub const fn value_type(self) -> ValueType {
        match self {
            Self::S(_) => ValueType::S,
            Self::N(_) => ValueType::N,
            Self::B(_) => ValueType::B,
            Self::Bool(_) => ValueType::Bool,
            Self::Null => ValueType::Null,
            Self::Ss(_) => ValueType::Ss,
            Self::Ns(_) => ValueType::Ns,
            Self::Bs(_) => ValueType::Bs,
            Self::L(_) => ValueType::L,
            Self::M(_) => ValueType::M,
        }
    }

    /// The order that `<`, `<=`, `BETWEEN` and sort keys use: defined between two strings (by UTF-8
    /// bytes), two numbers (by value) and two binaries (by unsigned bytes), and nowhere else.
    #[must_use]
    pub fn compare(self, other: ValueRef<'_>) -> Option<Ordering> {
        match (self, other) {
            (Self::S(left), ValueRef::S(right)) => Some(left.cmp(right)),
            (Self::N(left), ValueRef::N(right)) => Some(left.cmp(&right)),
            (Self::B(left), ValueRef::B(right)) => Some(left.cmp(right)),
            _ => None,
        }
    }

    /// The size as DynamoDB counts it.
    #[must_use]
    pub fn size_bytes(self) -> usize {
        crate::size::value_ref_size(self)
    }

    /// The value as a tree.
    #[must_use]
    pub fn to_value(self) -> AttributeValue {
        match self {
            Self::S(text) => AttributeValue::S(text.to_owned()),
            Self::N(number) => AttributeValue::N(number),
            Self::B(bytes) => AttributeValue::B(Bytes::copy_from_slice(bytes)),
            Self::Bool(value) => AttributeValue::Bool(value),
            Self::Null => AttributeValue::Null,
            Self::Ss(set) => AttributeValue::Ss(set.iter().map(str::to_owned).collect()),
            Self::Ns(set) => AttributeValue::Ns(set.iter().collect()),
            Self::Bs(set) => AttributeValue::Bs(set.iter().map(Bytes::copy_from_slice).collect()),
            Self::L(list) => AttributeValue::L(list.iter().map(RawValue::to_owned).collect()),
            Self::M(map) => AttributeValue::M(map.to_item()),
        }
    }
}

impl<'a> Elements<'a> {
    fn of(payload: &'a [u8]) -> Self {
        split_container(payload).map_or(Self { count: 0, bytes: &[] }, |(count, bytes, _)| Self {
            count: count as usize,
            bytes,
        })
    }

    fn iter<T>(
        self,
        split: impl Fn(&'a [u8]) -> Option<(T, &'a [u8])> + Clone,
    ) -> impl Iterator<Item = T> + Clone {
        let mut bytes = self.bytes;
        (0..self.count).map_while(move |_| {
            let (element, rest) = split(bytes)?;
            bytes = rest;
            Some(element)
        })
    }
}

impl<'a> StringSetRef<'a> {
    /// The number of elements.
    #[must_use]
    pub const fn len(self) -> usize {
        self.0.count
    }

    /// Whether there are no elements; no set that a request brought is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0.count == 0
    }

    /// The elements.
    pub fn iter(self) -> impl Iterator<Item = &'a str> + Clone {
        self.0.iter(|bytes| split_bytes(bytes).map(|(element, rest)| (text(element), rest)))
    }

    /// Whether the set contains an element.
    #[must_use]
    pub fn contains(self, element: &str) -> bool {
        self.iter().any(|mine| mine == element)
    }
}

impl<'a> NumberSetRef<'a> {
    /// The number of elements.
    #[must_use]
    pub const fn len(self) -> usize {
        self.0.count
    }

    /// Whether there are no elements; no set that a request brought is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0.count == 0
    }

    /// The elements.
    pub fn iter(self) -> impl Iterator<Item = Number> + Clone + use<'a> {
        self.0.iter(split_number)
    }

    /// Whether the set contains an element.
    #[must_use]
    pub fn contains(self, element: Number) -> bool {
        self.iter().any(|mine| mine == element)
    }
}

impl<'a> BinarySetRef<'a> {
    /// The number of elements.
    #[must_use]
    pub const fn len(self) -> usize {
        self.0.count
    }

    /// Whether there are no elements; no set that a request brought is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0.count == 0
    }

    /// The elements.
    pub fn iter(self) -> impl Iterator<Item = &'a [u8]> + Clone {
        self.0.iter(split_bytes)
    }

    /// Whether the set contains an element.
    #[must_use]
    pub fn contains(self, element: &[u8]) -> bool {
        self.iter().any(|mine| mine == element)
    }
}

impl<'a> ListRef<'a> {
    /// The number of elements.
    #[must_use]
    pub const fn len(self) -> usize {
        self.0.count
    }

    /// Whether there are no elements.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0.count == 0
    }

    /// The elements.
    pub fn iter(self) -> impl Iterator<Item = RawValue<'a>> + Clone {
        self.0.iter(|bytes| split_value(bytes).map(|(value, rest)| (RawValue(value), rest)))
    }

    /// The element at an index; those before it are skipped one by one.
    #[must_use]
    pub fn get(self, index: usize) -> Option<RawValue<'a>> {
        self.iter().nth(index)
    }
}

impl<'a> MapRef<'a> {
    pub(super) const fn new(count: usize, bytes: &'a [u8]) -> Self {
        Self(Elements { count, bytes })
    }

    /// The number of attributes.
    #[must_use]
    pub const fn len(self) -> usize {
        self.0.count
    }

    /// Whether there are no attributes.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0.count == 0
    }

    /// The attributes.
    #[must_use]
    pub const fn iter(self) -> Attributes<'a> {
        Attributes { left: self.0.count, bytes: self.0.bytes }
    }

    /// The value of an attribute.
    #[must_use]
    pub fn get(self, name: &str) -> Option<RawValue<'a>> {
        let mut attributes = self.iter();
        while let Some((mine, value)) = attributes.next_bytes() {
            // Names mostly differ in length: that is cheaper than their order, which would end
            // the search for an absent name early.
            if mine.len() == name.len() && mine == name.as_bytes() {
                return Some(value);
            }
        }
        None
    }

    /// The map as a tree.
    #[must_use]
    pub fn to_item(self) -> Item {
        self.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

impl<'a> Attributes<'a> {
    /// The next attribute, with its name not yet taken for text.
    pub fn next_bytes(&mut self) -> Option<(&'a [u8], RawValue<'a>)> {
        self.left = self.left.checked_sub(1)?;
        let (name, rest) = split_bytes(self.bytes)?;
        let (value, rest) = split_value(rest)?;
        self.bytes = rest;
        Some((name, RawValue(value)))
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (&'a str, RawValue<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, value) = self.next_bytes()?;
        Some((text(name), value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left))
    }
}

impl fmt::Debug for StringSetRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl fmt::Debug for NumberSetRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl fmt::Debug for BinarySetRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl fmt::Debug for ListRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl fmt::Debug for MapRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Bytes that were checked to be UTF-8 when the item was read.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}
