//! Document paths.

use std::fmt;

use crate::codec::{EncodedItem, RawValue, ValueRef};

/// A document path: a top-level attribute and the way down from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// The top-level attribute.
    pub root: String,
    /// The way down, empty for the attribute itself.
    pub elements: Vec<PathElement>,
}

/// One step down a document path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathElement {
    /// The attribute of a map.
    Attribute(String),
    /// The element of a list, counted from 0.
    Index(usize),
}

/// How two paths of one expression stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    /// Neither touches what the other does.
    Apart,
    /// One is the other, or leads to it.
    Overlap,
    /// They take the same value for a map and for a list.
    Conflict,
}

impl Path {
    /// The path of a top-level attribute.
    #[must_use]
    pub fn attribute(name: impl Into<String>) -> Self {
        Self { root: name.into(), elements: Vec::new() }
    }

    /// The value at the path, if there is one.
    #[must_use]
    pub fn find<'a>(&self, item: &'a EncodedItem) -> Option<RawValue<'a>> {
        let mut value = item.get(&self.root)?;
        for element in &self.elements {
            value = match (element, value.value()) {
                (PathElement::Attribute(name), ValueRef::M(map)) => map.get(name)?,
                (PathElement::Index(index), ValueRef::L(list)) => list.get(*index)?,
                _ => return None,
            };
        }
        Some(value)
    }

    pub(super) fn relation(&self, other: &Self) -> Relation {
        if self.root != other.root {
            return Relation::Apart;
        }
        for (mine, theirs) in self.elements.iter().zip(&other.elements) {
            match (mine, theirs) {
                (PathElement::Attribute(mine), PathElement::Attribute(theirs))
                    if mine == theirs => {}
                (PathElement::Index(mine), PathElement::Index(theirs)) if mine == theirs => {}
                (PathElement::Attribute(_), PathElement::Attribute(_))
                | (PathElement::Index(_), PathElement::Index(_)) => return Relation::Apart,
                _ => return Relation::Conflict,
            }
        }
        Relation::Overlap
    }
}

/// As error texts have it: `[a, b, [0]]`.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}", self.root)?;
        for element in &self.elements {
            match element {
                PathElement::Attribute(name) => write!(f, ", {name}")?,
                PathElement::Index(index) => write!(f, ", [{index}]")?,
            }
        }
        f.write_str("]")
    }
}
