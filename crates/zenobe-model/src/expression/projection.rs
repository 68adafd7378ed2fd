//! Projections: what `ProjectionExpression` and `AttributesToGet` compile to.
//!
//! Source: Developer Guide, "Using projection expressions in DynamoDB".

use std::collections::BTreeMap;

use super::path::{Path, PathElement};
use crate::codec::{EncodedItem, ItemBuilder, RawValue};
use crate::error::ServiceError;

/// Which parts of items are returned: paths that do not overlap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Projection {
    paths: Vec<Path>,
    /// The top-level attributes in the order of items, if the paths are nothing more.
    top_level: Option<Vec<String>>,
}

impl Projection {
    /// A projection on paths that do not overlap.
    #[must_use]
    pub fn new(paths: Vec<Path>) -> Self {
        let top_level = paths.iter().all(|path| path.elements.is_empty()).then(|| {
            let mut names: Vec<String> = paths.iter().map(|path| path.root.clone()).collect();
            names.sort_unstable();
            names.dedup();
            names
        });
        Self { paths, top_level }
    }

    /// A projection on top-level attributes, as `AttributesToGet` has it.
    pub fn attributes(names: impl IntoIterator<Item = String>) -> Self {
        Self::new(names.into_iter().map(Path::attribute).collect())
    }

    /// The paths, in the order of the text.
    #[must_use]
    pub fn paths(&self) -> &[Path] {
        &self.paths
    }

    /// The top-level attributes that the paths begin with, in the order of the text.
    pub fn top_level_names(&self) -> impl Iterator<Item = &str> {
        self.paths.iter().map(|path| path.root.as_str())
    }

    /// The projected parts of an item. Elements of lists keep their order and close up.
    ///
    /// # Errors
    /// None today: an [`EncodedItem`] was checked when it was read.
    pub fn project(&self, item: &EncodedItem) -> Result<EncodedItem, ServiceError> {
        Ok(match &self.top_level {
            Some(names) => project_attributes(names, item),
            None => project_paths(&self.paths, item),
        })
    }
}

/// One pass over the item; the names are sorted as its attributes are.
fn project_attributes(names: &[String], item: &EncodedItem) -> EncodedItem {
    let mut builder = ItemBuilder::new(item.header());
    let mut wanted = names.iter().peekable();
    for (name, value) in item.attributes() {
        while wanted.next_if(|wanted| wanted.as_str() < name).is_some() {}
        match wanted.peek() {
            Some(wanted) if wanted.as_str() == name => builder.push_raw(name, value),
            Some(_) => {}
            None => break,
        }
    }
    builder.finish()
}

/// The parts that exist, each in its place.
enum Part<'a> {
    Whole(RawValue<'a>),
    Map(BTreeMap<&'a str, Part<'a>>),
    List(BTreeMap<usize, Part<'a>>),
}

/// What `paths` find in an item, within the maps and lists that lead there.
pub(super) fn project_paths<'a>(
    paths: impl IntoIterator<Item = &'a Path>,
    item: &'a EncodedItem,
) -> EncodedItem {
    let mut parts = BTreeMap::new();
    for path in paths {
        if let Some(value) = path.find(item) {
            insert(&mut parts, &path.root, &path.elements, value);
        }
    }
    let mut builder = ItemBuilder::new(item.header());
    for (name, part) in &parts {
        push_attribute(&mut builder, name, part);
    }
    builder.finish()
}

fn insert<'a, K: Ord>(
    parts: &mut BTreeMap<K, Part<'a>>,
    key: K,
    elements: &'a [PathElement],
    value: RawValue<'a>,
) {
    match elements.split_first() {
        None => {
            parts.insert(key, Part::Whole(value));
        }
        Some((PathElement::Attribute(name), rest)) => {
            if let Part::Map(map) = parts.entry(key).or_insert_with(|| Part::Map(BTreeMap::new())) {
                insert(map, name.as_str(), rest, value);
            }
        }
        Some((PathElement::Index(index), rest)) => {
            if let Part::List(list) =
                parts.entry(key).or_insert_with(|| Part::List(BTreeMap::new()))
            {
                insert(list, *index, rest, value);
            }
        }
    }
}

fn push_attribute(builder: &mut ItemBuilder, name: &str, part: &Part<'_>) {
    match part {
        Part::Whole(value) => return builder.push_raw(name, *value),
        Part::Map(_) => builder.begin_map(name),
        Part::List(_) => builder.begin_list(name),
    }
    push_parts(builder, part);
}

fn push_parts(builder: &mut ItemBuilder, part: &Part<'_>) {
    match part {
        Part::Whole(_) => {}
        Part::Map(map) => {
            for (name, part) in map {
                push_attribute(builder, name, part);
            }
        }
        Part::List(list) => {
            for part in list.values() {
                match part {
                    Part::Whole(value) => {
                        builder.push_element_raw(*value);
                        continue;
                    }
                    Part::Map(_) => builder.begin_element_map(),
                    Part::List(_) => builder.begin_element_list(),
                }
                push_parts(builder, part);
            }
        }
    }
    builder.end();
}
