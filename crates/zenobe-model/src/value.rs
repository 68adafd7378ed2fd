//! Attribute values and items as trees: what requests carry and what updates change.
//!
//! Stored items are bytes ([`crate::codec`]); reads and conditions look at those without building
//! this tree. Source: API Reference, `AttributeValue`.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::number::Number;

/// The attributes of an item, or of a map, by name.
pub type Item = BTreeMap<String, AttributeValue>;

/// One of the ten types of attribute values.
///
/// Sets are kept sorted and without duplicates, so that equal sets are equal values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeValue {
    /// `S`: a UTF-8 string.
    S(String),
    /// `N`: a decimal number.
    N(Number),
    /// `B`: bytes.
    B(Bytes),
    /// `BOOL`.
    Bool(bool),
    /// `NULL`.
    Null,
    /// `SS`: a set of strings, never empty.
    Ss(Vec<String>),
    /// `NS`: a set of numbers, never empty.
    Ns(Vec<Number>),
    /// `BS`: a set of byte strings, never empty.
    Bs(Vec<Bytes>),
    /// `L`: a list.
    L(Vec<AttributeValue>),
    /// `M`: a map.
    M(Item),
}

/// The type of an attribute value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ValueType {
    /// `S`
    S,
    /// `N`
    N,
    /// `B`
    B,
    /// `BOOL`
    Bool,
    /// `NULL`
    Null,
    /// `SS`
    Ss,
    /// `NS`
    Ns,
    /// `BS`
    Bs,
    /// `L`
    L,
    /// `M`
    M,
}

impl ValueType {
    /// The name that the API uses, such as `SS` or `BOOL`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::S => "S",
            Self::N => "N",
            Self::B => "B",
            Self::Bool => "BOOL",
            Self::Null => "NULL",
            Self::Ss => "SS",
            Self::Ns => "NS",
            Self::Bs => "BS",
            Self::L => "L",
            Self::M => "M",
        }
    }

    /// The type with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "S" => Self::S,
            "N" => Self::N,
            "B" => Self::B,
            "BOOL" => Self::Bool,
            "NULL" => Self::Null,
            "SS" => Self::Ss,
            "NS" => Self::Ns,
            "BS" => Self::Bs,
            "L" => Self::L,
            "M" => Self::M,
            _ => return None,
        })
    }
}

impl AttributeValue {
    /// The type of this value.
    #[must_use]
    pub const fn value_type(&self) -> ValueType {
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
}
