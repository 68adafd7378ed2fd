//! Document paths.

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

impl Path {
    /// The path of a top-level attribute.
    #[must_use]
    pub fn attribute(name: impl Into<String>) -> Self {
        Self { root: name.into(), elements: Vec::new() }
    }
}
