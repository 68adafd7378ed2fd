//! Conditions: what `ConditionExpression`, `FilterExpression` and their legacy forms compile to.
//!
//! Source: Developer Guide, "Condition and filter expressions, operators, and functions".

use memchr::memmem;

use crate::codec::{EncodedItem, RawValueBuf, ValueRef};
use crate::error::ServiceError;
use crate::number::Number;
use crate::value::{AttributeValue, ValueType};

use super::path::Path;

/// A compiled condition on one item.
#[derive(Clone, Debug)]
pub enum Condition {
    /// All of them hold; true if there are none.
    And(Vec<Condition>),
    /// One of them holds; false if there are none.
    Or(Vec<Condition>),
    /// It does not hold.
    Not(Box<Condition>),
    /// A comparison. False if an operand does not exist, except `<>`, which is then true.
    Compare {
        /// The operator.
        operator: Comparison,
        /// What stands before it.
        left: Operand,
        /// What stands after it.
        right: Operand,
    },
    /// `operand BETWEEN low AND high`
    Between {
        /// What is tested.
        operand: Operand,
        /// The lower bound, included.
        low: Operand,
        /// The upper bound, included.
        high: Operand,
    },
    /// `operand IN (candidates)`
    In {
        /// What is tested.
        operand: Operand,
        /// What it is compared with, for equality.
        candidates: Vec<Operand>,
    },
    /// `attribute_exists(path)`
    AttributeExists(Path),
    /// `attribute_not_exists(path)`
    AttributeNotExists(Path),
    /// `attribute_type(operand, type)`
    AttributeType {
        /// What is tested.
        operand: Operand,
        /// The type that it shall have.
        value_type: ValueType,
    },
    /// `begins_with(operand, prefix)`: both strings, or both binary.
    BeginsWith {
        /// What is tested.
        operand: Operand,
        /// What it shall begin with.
        prefix: Operand,
    },
    /// `contains(operand, element)`: a substring, an element of a set or of a list.
    Contains {
        /// What is searched.
        operand: Operand,
        /// What is searched for.
        element: Operand,
    },
}

/// A comparison operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// What a condition looks at.
#[derive(Clone, Debug)]
pub enum Operand {
    /// The value at a path, if there is one.
    Path(Path),
    /// A value of the request.
    Literal(Literal),
    /// `size(operand)`: a number, or nothing for types without a size.
    Size(Box<Operand>),
    /// Whether a condition holds, a BOOL: PartiQL compares conditions with values.
    Truth(Box<Condition>),
}

/// A value of the request, encoded as values in items are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Literal {
    encoded: RawValueBuf,
}

impl From<AttributeValue> for Literal {
    fn from(value: AttributeValue) -> Self {
        Self::from(&value)
    }
}

impl From<&AttributeValue> for Literal {
    fn from(value: &AttributeValue) -> Self {
        Self { encoded: RawValueBuf::encode(value) }
    }
}

impl Literal {
    /// The value, decoded as far as its type.
    #[must_use]
    pub fn value(&self) -> ValueRef<'_> {
        self.encoded.as_raw().value()
    }

    /// The value as a tree.
    #[must_use]
    pub fn to_value(&self) -> AttributeValue {
        self.encoded.as_raw().to_owned()
    }
}

impl Comparison {
    /// As it is written.
    #[must_use]
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    /// The operator that says the same with its operands exchanged.
    #[must_use]
    pub const fn mirrored(self) -> Self {
        match self {
            Self::Equal => Self::Equal,
            Self::NotEqual => Self::NotEqual,
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
        }
    }

    fn holds(self, left: Option<ValueRef<'_>>, right: Option<ValueRef<'_>>) -> bool {
        let (Some(left), Some(right)) = (left, right) else {
            return matches!(self, Self::NotEqual);
        };
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Less => left.compare(right).is_some_and(std::cmp::Ordering::is_lt),
            Self::LessOrEqual => left.compare(right).is_some_and(std::cmp::Ordering::is_le),
            Self::Greater => left.compare(right).is_some_and(std::cmp::Ordering::is_gt),
            Self::GreaterOrEqual => left.compare(right).is_some_and(std::cmp::Ordering::is_ge),
        }
    }
}

impl Operand {
    fn value<'a>(&'a self, item: Option<&'a EncodedItem>) -> Option<ValueRef<'a>> {
        match self {
            Self::Path(path) => item.and_then(|item| path.find(item)).map(|raw| raw.value()),
            Self::Literal(literal) => Some(literal.value()),
            Self::Size(operand) => size(operand.value(item)?).map(ValueRef::N),
            Self::Truth(condition) => Some(ValueRef::Bool(condition.holds(item))),
        }
    }

    fn visit<'a>(&'a self, visitor: &mut impl FnMut(&'a Path)) {
        match self {
            Self::Path(path) => visitor(path),
            Self::Literal(_) => {}
            Self::Size(operand) => operand.visit(visitor),
            Self::Truth(condition) => condition.visit(visitor),
        }
    }
}

/// What `size` says of a value: UTF-16 code units of a string, bytes of a binary, elements of a
/// set, list or map.
fn size(value: ValueRef<'_>) -> Option<Number> {
    let size = match value {
        ValueRef::S(text) => text.encode_utf16().count(),
        ValueRef::B(bytes) => bytes.len(),
        ValueRef::Ss(set) => set.len(),
        ValueRef::Ns(set) => set.len(),
        ValueRef::Bs(set) => set.len(),
        ValueRef::L(list) => list.len(),
        ValueRef::M(map) => map.len(),
        ValueRef::N(_) | ValueRef::Bool(_) | ValueRef::Null => return None,
    };
    u64::try_from(size).ok().map(Number::from)
}

fn begins_with(value: ValueRef<'_>, prefix: ValueRef<'_>) -> bool {
    match (value, prefix) {
        (ValueRef::S(value), ValueRef::S(prefix)) => value.starts_with(prefix),
        (ValueRef::B(value), ValueRef::B(prefix)) => value.starts_with(prefix),
        _ => false,
    }
}

fn contains(value: ValueRef<'_>, element: ValueRef<'_>) -> bool {
    match (value, element) {
        (ValueRef::S(value), ValueRef::S(part)) => value.contains(part),
        (ValueRef::B(value), ValueRef::B(part)) => memmem::find(value, part).is_some(),
        (ValueRef::Ss(set), ValueRef::S(element)) => set.contains(element),
        (ValueRef::Ns(set), ValueRef::N(element)) => set.contains(element),
        (ValueRef::Bs(set), ValueRef::B(element)) => set.contains(element),
        (ValueRef::L(list), element) => list.iter().any(|mine| mine.value() == element),
        _ => false,
    }
}

impl Condition {
    /// Whether the condition holds for an item, or for none.
    ///
    /// # Errors
    /// None today: an [`EncodedItem`] was checked when it was read.
    pub fn evaluate(&self, item: Option<&EncodedItem>) -> Result<bool, ServiceError> {
        Ok(self.holds(item))
    }

    /// Whether the condition holds for an item, or for none.
    #[must_use]
    pub fn holds(&self, item: Option<&EncodedItem>) -> bool {
        match self {
            Self::And(conditions) => conditions.iter().all(|condition| condition.holds(item)),
            Self::Or(conditions) => conditions.iter().any(|condition| condition.holds(item)),
            Self::Not(condition) => !condition.holds(item),
            Self::Compare { operator, left, right } => {
                operator.holds(left.value(item), right.value(item))
            }
            Self::Between { operand, low, high } => {
                let value = operand.value(item);
                Comparison::LessOrEqual.holds(low.value(item), value)
                    && Comparison::LessOrEqual.holds(value, high.value(item))
            }
            Self::In { operand, candidates } => {
                let value = operand.value(item);
                candidates.iter().any(|one| Comparison::Equal.holds(value, one.value(item)))
            }
            Self::AttributeExists(path) => item.and_then(|item| path.find(item)).is_some(),
            Self::AttributeNotExists(path) => item.and_then(|item| path.find(item)).is_none(),
            Self::AttributeType { operand, value_type } => {
                operand.value(item).is_some_and(|value| value.value_type() == *value_type)
            }
            Self::BeginsWith { operand, prefix } => operand
                .value(item)
                .zip(prefix.value(item))
                .is_some_and(|(value, prefix)| begins_with(value, prefix)),
            Self::Contains { operand, element } => operand
                .value(item)
                .zip(element.value(item))
                .is_some_and(|(value, element)| contains(value, element)),
        }
    }

    /// Every path that the condition looks at, in the order of the text.
    #[must_use]
    pub fn paths(&self) -> Vec<&Path> {
        let mut paths = Vec::new();
        self.visit(&mut |path| paths.push(path));
        paths
    }

    /// Whether the condition looks at this top-level attribute, or below it.
    #[must_use]
    pub fn mentions(&self, name: &str) -> bool {
        let mut mentioned = false;
        self.visit(&mut |path| mentioned |= path.root == name);
        mentioned
    }

    fn visit<'a>(&'a self, visitor: &mut impl FnMut(&'a Path)) {
        let mut operands = |operands: &[&'a Operand]| {
            operands.iter().for_each(|operand| operand.visit(&mut *visitor));
        };
        match self {
            Self::And(conditions) | Self::Or(conditions) => {
                for condition in conditions {
                    condition.visit(visitor);
                }
            }
            Self::Not(condition) => condition.visit(visitor),
            Self::Compare { left, right, .. } => operands(&[left, right]),
            Self::Between { operand, low, high } => operands(&[operand, low, high]),
            Self::In { operand, candidates } => {
                operands(&[operand]);
                for candidate in candidates {
                    operands(&[candidate]);
                }
            }
            Self::AttributeExists(path) | Self::AttributeNotExists(path) => visitor(path),
            Self::AttributeType { operand, .. } => operands(&[operand]),
            Self::BeginsWith { operand, prefix: other }
            | Self::Contains { operand, element: other } => operands(&[operand, other]),
        }
    }
}

/// A bound of BETWEEN as the error text has it. Other types than these were refused before.
pub(super) fn shown(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::S(text) => format!("AttributeValue: {{S:{text}}}"),
        ValueRef::N(number) => format!("AttributeValue: {{N:{number}}}"),
        ValueRef::B(bytes) => {
            format!(
                "AttributeValue: {{B:java.nio.HeapByteBuffer[pos=0 lim={0} cap={0}]}}",
                bytes.len()
            )
        }
        other => format!("AttributeValue: {{{}}}", other.value_type().name()),
    }
}
