//! The vocabulary in which the service's request shapes are written down.
//!
//! A shape says which JSON a member takes, and which constraints its value must satisfy before the
//! operation looks at it. The shapes themselves are in [`crate::model`]; [`crate::decode`] reads
//! JSON by them and [`crate::constraint`] checks what was read.

use zenobe_model::operation::Operation;

/// What a member of a request holds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// `boolean`
    Boolean,
    /// `integer`, with its least and greatest value.
    Integer(i64, i64),
    /// The `integer` of `Limit`: at least 1, in words of its own.
    PositiveLimit,
    /// `long`, with its least value.
    Long(i64),
    /// `timestamp`: seconds since the epoch, kept as milliseconds.
    Timestamp,
    /// `string`
    Text(&'static [Rule]),
    /// `list` of a shape, with its least and greatest length.
    List(&'static Shape, usize, usize),
    /// `map` from names to a shape.
    Map(&'static MapShape),
    /// `structure`
    Structure(&'static StructureShape),
    /// `AttributeValue`
    Value,
    /// A map from attribute names to `AttributeValue`: an item or a key.
    Item,
    /// The keys of BatchGetItem: a list of 1 to 100 items, in words of its own.
    Keys,
    /// Something that is never looked at; only whether it is given counts.
    Presence,
}

/// A constraint on a string, in the service's words.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rule {
    /// `Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+`
    NamePattern,
    /// The same for the name of a table, unless it is an ARN.
    TablePattern,
    /// `Member must have length greater than or equal to …`
    MinLength(usize),
    /// A name of one or two characters is too short for a table; an empty one has been reported.
    TableMinLength,
    /// An empty value ends the checks at once, in the words of the item writes since 2026.
    NotEmptyFirst,
    /// `Member must have length less than or equal to …`
    MaxLength(usize),
    /// The same for the name of a table: 255 characters, or 1024 for an ARN.
    TableMaxLength,
    /// `Member must satisfy enum value set: […]`
    OneOf(&'static [&'static str]),
    /// One of the values, in a text of its own that names neither the member nor the value.
    Unnamed(&'static [&'static str], &'static str),
    /// The same, and a wrong value ends the checks at once, with all of the text here.
    UnnamedFirst(&'static [&'static str], &'static str),
}

/// A map with string keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MapShape {
    /// What each value is.
    pub(crate) value: Shape,
    /// The fewest entries.
    pub(crate) min: usize,
    /// The most entries.
    pub(crate) max: usize,
    /// The operation whose tables the keys name. Without any, it fails in words of its own.
    pub(crate) tables_of: Option<Operation>,
    /// How a `null` in place of a value is refused; `None` where the value says so itself, see
    /// [`Shape::has_own_fault_for_null`].
    pub(crate) null: Option<NullValue>,
}

/// How a `null` is refused in place of a map's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NullValue {
    /// With the other errors: `Value null at '…' failed to satisfy constraint: Member must not be
    /// null`
    Collected,
    /// After them, in a text of its own around the key.
    Saying(&'static str, &'static str),
}

/// A structure: its members in the order in which the service reports their errors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StructureShape {
    /// The name of the shape, as it occurs in error texts.
    pub(crate) name: &'static str,
    /// The members.
    pub(crate) members: &'static [Member],
}

/// A member of a structure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    /// The name on the wire. In error texts it begins with a lower-case letter.
    pub(crate) name: &'static str,
    /// What it holds.
    pub(crate) shape: Shape,
    /// Whether it must be given.
    pub(crate) need: Need,
}

/// Whether a member must be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// It need not.
    Optional,
    /// `Value null at '…' failed to satisfy constraint: Member must not be null`
    Collected,
    /// `The parameter '…' is required but was not present in the request`, before all else.
    First,
    /// A text of its own, before all else.
    Saying(&'static str),
}

/// A member that need not be given.
pub(crate) const fn optional(name: &'static str, shape: Shape) -> Member {
    Member { name, shape, need: Need::Optional }
}

/// A member whose absence is collected with the other errors.
pub(crate) const fn required(name: &'static str, shape: Shape) -> Member {
    Member { name, shape, need: Need::Collected }
}

/// A member whose absence is reported at once.
pub(crate) const fn required_first(name: &'static str, shape: Shape) -> Member {
    Member { name, shape, need: Need::First }
}

impl Shape {
    /// Whether a `null` in place of such an element of a list or map is no broken constraint but a
    /// malformed value, which the operation raises where it looks at values.
    pub(crate) const fn has_own_fault_for_null(&self) -> bool {
        matches!(self, Self::Value)
    }

    /// The structure that this shape is, or that its elements or values are.
    pub(crate) const fn structure(&self) -> Option<&'static StructureShape> {
        match *self {
            Self::Structure(structure) => Some(structure),
            Self::List(element, ..) => element.structure(),
            Self::Map(map) => map.value.structure(),
            _ => None,
        }
    }
}

/// The name of a member as error texts have it.
pub(crate) fn lower_first(name: &str) -> String {
    let mut characters = name.chars();
    let first = characters.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(characters).collect()
}
