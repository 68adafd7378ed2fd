//! Sizes as DynamoDB counts them, and how deep values nest.
//!
//! Source: Developer Guide, "DynamoDB item sizes and formats". A number costs one byte, one per two
//! significant digits before the point and one per two behind it, and one more if it is negative:
//! the guide says "approximately", the exact rule was measured against the service.

use crate::codec::ValueRef;
use crate::number::Number;
use crate::value::{AttributeValue, Item};

/// What a list or a map costs beside its elements.
pub const CONTAINER_BYTES: usize = 3;
/// What each element of a list or map costs beside name and value.
pub const ELEMENT_BYTES: usize = 1;

/// The size of a number.
///
/// Digits are stored in pairs aligned at the point; a pair of zeros before the first or behind the
/// last significant digit is free. So 1E+125 costs as much as 1, and 1.5 more than 15.
#[must_use]
pub fn number_size(number: Number) -> usize {
    if number.is_zero() {
        return 1;
    }
    let first_pair = number.magnitude().div_euclid(2);
    let last_pair = number.exponent().div_euclid(2);
    let pairs = usize::from(first_pair.abs_diff(last_pair)) + 1;
    1 + pairs + usize::from(number.is_negative())
}

/// The size of a value.
#[must_use]
pub fn value_size(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(number) => number_size(*number),
        AttributeValue::B(bytes) => bytes.len(),
        AttributeValue::Bool(_) | AttributeValue::Null => 1,
        AttributeValue::Ss(set) => set.iter().map(String::len).sum(),
        AttributeValue::Ns(set) => set.iter().copied().map(number_size).sum(),
        AttributeValue::Bs(set) => set.iter().map(bytes::Bytes::len).sum(),
        AttributeValue::L(list) => {
            CONTAINER_BYTES
                + list.iter().map(|element| ELEMENT_BYTES + value_size(element)).sum::<usize>()
        }
        AttributeValue::M(map) => CONTAINER_BYTES + ELEMENT_BYTES * map.len() + item_size(map),
    }
}

/// The size of an item: names and values. Limits and capacity are computed from it.
#[must_use]
pub fn item_size(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + value_size(value)).sum()
}

/// The size of an encoded value.
#[must_use]
pub fn value_ref_size(value: ValueRef<'_>) -> usize {
    match value {
        ValueRef::S(text) => text.len(),
        ValueRef::N(number) => number_size(number),
        ValueRef::B(bytes) => bytes.len(),
        ValueRef::Bool(_) | ValueRef::Null => 1,
        ValueRef::Ss(set) => set.iter().map(str::len).sum(),
        ValueRef::Ns(set) => set.iter().map(number_size).sum(),
        ValueRef::Bs(set) => set.iter().map(<[u8]>::len).sum(),
        ValueRef::L(list) => {
            CONTAINER_BYTES
                + list.iter().map(|element| ELEMENT_BYTES + element.size_bytes()).sum::<usize>()
        }
        ValueRef::M(map) => {
            CONTAINER_BYTES
                + map
                    .iter()
                    .map(|(name, value)| ELEMENT_BYTES + name.len() + value.size_bytes())
                    .sum::<usize>()
        }
    }
}

/// How deep a value nests: 1 for a scalar or a set, one more than the deepest element for a list
/// or map. Compare with [`crate::limits::NESTING_DEPTH_MAX`].
#[must_use]
pub fn depth(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::L(list) => 1 + list.iter().map(depth).max().unwrap_or(0),
        AttributeValue::M(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        AttributeValue::S(_)
        | AttributeValue::N(_)
        | AttributeValue::B(_)
        | AttributeValue::Bool(_)
        | AttributeValue::Null
        | AttributeValue::Ss(_)
        | AttributeValue::Ns(_)
        | AttributeValue::Bs(_) => 1,
    }
}
