//! What the condition of a statement says of keys: which reads it comes down to, and which item a
//! write names.
//!
//! A condition with an equality, or IN, on the partition key in each of its alternatives is a set of
//! queries; any other is a scan with a filter. `pk IN ['a', 'b'] AND sk > 1 AND n = 2` is
//!
//! ```text
//! partition 'a', sort key > 1, filter n = 2
//! partition 'b', sort key > 1, filter n = 2
//! ```
//!
//! Source: Developer Guide, "PartiQL select statements for DynamoDB", and the texts that the
//! service answers: it refuses more than 50 such reads, and reads that overlap.

use std::rc::Rc;

use crate::expression::{Comparison, Condition, KeyPredicate, Literal, Operand, Path};
use crate::value::AttributeValue;

/// The most reads that one condition may come down to.
pub const READS_MAX: usize = 50;
/// The most alternatives on the way there.
const ALTERNATIVES_MAX: usize = 1000;

/// The key attributes of what is read or written.
#[derive(Clone, Copy, Debug)]
pub struct KeyNames<'a> {
    /// The partition key.
    pub partition: &'a str,
    /// The sort key.
    pub sort: Option<&'a str>,
}

/// What a condition comes down to.
#[derive(Clone, Debug)]
pub enum Reads {
    /// All of the table or index is read, with the condition as filter.
    Scan,
    /// Each of these is read, [`READS_MAX`] at most; none if the condition contradicts itself.
    Keyed(Vec<KeyedRead>),
    /// There would be more than [`READS_MAX`] reads.
    TooMany,
}

/// A read of one partition.
#[derive(Clone, Debug)]
pub struct KeyedRead {
    /// The value of the partition key, of any type.
    pub partition: AttributeValue,
    /// What must all hold of the sort key; values are of any type.
    pub sort: Vec<KeyPredicate>,
    /// What else must hold.
    pub filter: Vec<Condition>,
}

impl KeyedRead {
    /// All that holds within the partition.
    fn whole_filter(self, sort: &str) -> Condition {
        let path = || Operand::Path(Path::attribute(sort));
        let literal = |value| Operand::Literal(Literal::from(value));
        let of_sort = self.sort.into_iter().map(|predicate| match predicate {
            KeyPredicate::Compare(operator, value) => {
                Condition::Compare { operator, left: path(), right: literal(value) }
            }
            KeyPredicate::Between(low, high) => {
                Condition::Between { operand: path(), low: literal(low), high: literal(high) }
            }
            KeyPredicate::BeginsWith(prefix) => {
                Condition::BeginsWith { operand: path(), prefix: literal(prefix) }
            }
        });
        Condition::And(of_sort.chain(self.filter).collect())
    }
}

/// The item that a condition names.
#[derive(Clone, Debug, Default)]
pub struct NamedItem {
    /// The value that the partition key must equal.
    pub partition: Option<AttributeValue>,
    /// The value that the sort key must equal.
    pub sort: Option<AttributeValue>,
    /// A key attribute that must equal two different values. The second one is in `rest`.
    pub conflict: Option<String>,
    /// What else must hold.
    pub rest: Vec<Condition>,
}

/// One alternative of a condition. There may be very many on the way, so they share what they hold.
#[derive(Clone, Default)]
struct Alternative<'c> {
    partition: Option<Rc<AttributeValue>>,
    sort: Vec<Rc<KeyPredicate>>,
    filter: Vec<&'c Condition>,
}

/// An alternative with its partition.
struct Keyed<'c> {
    partition: Rc<AttributeValue>,
    sort: Vec<Rc<KeyPredicate>>,
    filter: Vec<&'c Condition>,
}

impl Keyed<'_> {
    /// The read of it, with what must hold in each.
    fn read(&self, common: &[&Condition]) -> KeyedRead {
        KeyedRead {
            partition: AttributeValue::clone(&self.partition),
            sort: self.sort.iter().map(|one| KeyPredicate::clone(one)).collect(),
            filter: self.filter.iter().chain(common).map(|&one| one.clone()).collect(),
        }
    }
}

/// A condition on one key attribute.
enum KeyAtom {
    /// The partition key equals one of these.
    Partition(Vec<AttributeValue>),
    /// One of these holds of the sort key.
    Sort(Vec<KeyPredicate>),
}

impl KeyNames<'_> {
    /// What a condition comes down to.
    #[must_use]
    pub fn reads(self, condition: &Condition) -> Reads {
        if !self.is_keyed(condition) {
            return Reads::Scan;
        }
        // What says nothing of a key is the same for all alternatives.
        let all = match condition {
            Condition::And(all) => all.as_slice(),
            other => std::slice::from_ref(other),
        };
        let (of_keys, common): (Vec<_>, Vec<_>) =
            all.iter().partition(|condition| self.mentions_key(condition));
        let Some(alternatives) = self.product(of_keys) else { return Reads::TooMany };
        let keyed =
            alternatives.into_iter().filter_map(|Alternative { partition, sort, filter }| {
                Some(Keyed { partition: partition?, sort, filter })
            });
        let reads = self.joined(keyed.collect(), &common);
        reads.map_or(Reads::TooMany, Reads::Keyed)
    }

    /// Reads of one partition may overlap if one of them excludes sort keys, with NOT or `<>`: they
    /// become one read of the partition, with all of them as filter. `None` if there are more than [`READS_MAX`].
    fn joined(self, keyed: Vec<Keyed<'_>>, common: &[&Condition]) -> Option<Vec<KeyedRead>> {
        let excludes = |filter: &[&Condition]| {
            self.sort.is_some_and(|sort| filter.iter().any(|one| one.mentions(sort)))
        };
        let all_exclude = excludes(common);
        let (mut groups, mut count) = (Vec::new(), 0);
        let mut left = keyed;
        while let Some(first) = left.first() {
            let partition = Rc::clone(&first.partition);
            let (same, others): (Vec<_>, Vec<_>) =
                left.into_iter().partition(|read| read.partition == partition);
            let excluding = all_exclude || same.iter().any(|read| excludes(&read.filter));
            let joined_by = self.sort.filter(|_| same.len() > 1 && excluding);
            count += if joined_by.is_some() { 1 } else { same.len() };
            if count > READS_MAX {
                return None;
            }
            groups.push((partition, same, joined_by));
            left = others;
        }
        let mut reads = Vec::with_capacity(count);
        for (partition, same, joined_by) in groups {
            let Some(sort) = joined_by else {
                reads.extend(same.iter().map(|read| read.read(common)));
                continue;
            };
            let whole = same.iter().map(|read| read.read(&[]).whole_filter(sort)).collect();
            let common = common.iter().map(|&one| one.clone());
            reads.push(KeyedRead {
                partition: AttributeValue::clone(&partition),
                sort: Vec::new(),
                filter: std::iter::once(Condition::Or(whole)).chain(common).collect(),
            });
        }
        Some(reads)
    }

    /// Whether each alternative has an equality on the partition key.
    fn is_keyed(self, condition: &Condition) -> bool {
        match condition {
            Condition::And(all) => all.iter().any(|one| self.is_keyed(one)),
            Condition::Or(all) => !all.is_empty() && all.iter().all(|one| self.is_keyed(one)),
            other => matches!(self.atom(other), Some(KeyAtom::Partition(_))),
        }
    }

    fn mentions_key(self, condition: &Condition) -> bool {
        match condition {
            Condition::And(all) | Condition::Or(all) => {
                all.iter().any(|one| self.mentions_key(one))
            }
            other => self.atom(other).is_some(),
        }
    }

    /// The alternatives of conditions that must all hold; `None` if they are too many.
    fn product<'c>(
        self,
        all: impl IntoIterator<Item = &'c Condition>,
    ) -> Option<Vec<Alternative<'c>>> {
        let mut product = vec![Alternative::default()];
        for one in all {
            product = combine(&product, &self.alternatives(one)?)?;
        }
        Some(product)
    }

    /// The alternatives of a condition; `None` if they are too many.
    fn alternatives(self, condition: &Condition) -> Option<Vec<Alternative<'_>>> {
        match condition {
            Condition::And(all) => self.product(all),
            Condition::Or(all) if self.mentions_key(condition) => {
                let mut sum = Vec::new();
                for one in all {
                    sum.extend(self.alternatives(one)?);
                    if sum.len() > ALTERNATIVES_MAX {
                        return None;
                    }
                }
                Some(sum)
            }
            other => Some(match self.atom(other) {
                None => vec![Alternative { filter: vec![other], ..Alternative::default() }],
                Some(KeyAtom::Partition(values)) => values
                    .into_iter()
                    .map(|value| Alternative {
                        partition: Some(value.into()),
                        ..Alternative::default()
                    })
                    .collect(),
                Some(KeyAtom::Sort(predicates)) => predicates
                    .into_iter()
                    .map(|one| Alternative { sort: vec![one.into()], ..Alternative::default() })
                    .collect(),
            }),
        }
    }

    /// What a condition says of a key attribute, if it compares one with literals only.
    fn atom(self, condition: &Condition) -> Option<KeyAtom> {
        let (name, predicates) = predicates(condition)?;
        if name == self.partition {
            let values: Option<Vec<AttributeValue>> =
                predicates.iter().map(|one| equal(one).cloned()).collect();
            return values.map(KeyAtom::Partition);
        }
        (Some(name) == self.sort).then_some(KeyAtom::Sort(predicates))
    }

    /// The item that a condition names by equality on each key attribute. With `one_of`, IN with a
    /// single value is an equality, too.
    #[must_use]
    pub fn item(self, condition: Option<&Condition>, one_of: bool) -> NamedItem {
        let mut named = NamedItem::default();
        if let Some(condition) = condition {
            self.collect(condition, one_of, &mut named);
        }
        named
    }

    fn collect(self, condition: &Condition, one_of: bool, named: &mut NamedItem) {
        if let Condition::And(all) = condition {
            for one in all {
                self.collect(one, one_of, named);
            }
            return;
        }
        let is_in = matches!(condition, Condition::In { .. });
        let equality =
            predicates(condition).filter(|_| !is_in || one_of).and_then(|(name, predicates)| {
                match predicates.as_slice() {
                    [only] => equal(only).map(|value| (name, value.clone())),
                    _ => None,
                }
            });
        if let Some((name, value)) = equality {
            let slot = if name == self.partition {
                Some(&mut named.partition)
            } else if Some(name) == self.sort {
                Some(&mut named.sort)
            } else {
                None
            };
            match slot {
                Some(slot @ None) => {
                    *slot = Some(value);
                    return;
                }
                Some(Some(known)) if *known == value => return,
                Some(Some(_)) => named.conflict = named.conflict.take().or(Some(name.to_owned())),
                None => {}
            }
        }
        named.rest.push(condition.clone());
    }
}

/// Every alternative of one condition together with every one of another, but for those that
/// contradict each other; `None` if they are too many.
fn combine<'c>(
    left: &[Alternative<'c>],
    right: &[Alternative<'c>],
) -> Option<Vec<Alternative<'c>>> {
    if left.len().saturating_mul(right.len()) > ALTERNATIVES_MAX {
        return None;
    }
    let mut product = Vec::with_capacity(left.len() * right.len());
    for one in left {
        for other in right {
            let partition = match (&one.partition, &other.partition) {
                (Some(one), Some(other)) if one != other => continue,
                (one, other) => one.as_ref().or(other.as_ref()).cloned(),
            };
            product.push(Alternative {
                partition,
                sort: one.sort.iter().chain(&other.sort).cloned().collect(),
                filter: one.filter.iter().chain(&other.filter).copied().collect(),
            });
        }
    }
    Some(product)
}

const fn equal(predicate: &KeyPredicate) -> Option<&AttributeValue> {
    match predicate {
        KeyPredicate::Compare(Comparison::Equal, value) => Some(value),
        _ => None,
    }
}

/// The top-level attribute that a condition compares with literals only, and the predicates of which
/// one must hold.
fn predicates(condition: &Condition) -> Option<(&str, Vec<KeyPredicate>)> {
    match condition {
        Condition::Compare { operator: Comparison::NotEqual, .. } => None,
        Condition::Compare { operator, left, right } => {
            let (name, operator, value) = match (attribute(left), attribute(right)) {
                (Some(name), None) => (name, *operator, literal(right)?),
                (None, Some(name)) => (name, operator.mirrored(), literal(left)?),
                _ => return None,
            };
            Some((name, vec![KeyPredicate::Compare(operator, value)]))
        }
        Condition::Between { operand, low, high } => {
            let between = KeyPredicate::Between(literal(low)?, literal(high)?);
            Some((attribute(operand)?, vec![between]))
        }
        Condition::BeginsWith { operand, prefix } => {
            Some((attribute(operand)?, vec![KeyPredicate::BeginsWith(literal(prefix)?)]))
        }
        Condition::In { operand, candidates } => {
            let values: Option<Vec<KeyPredicate>> = candidates
                .iter()
                .map(|one| Some(KeyPredicate::Compare(Comparison::Equal, literal(one)?)))
                .collect();
            Some((attribute(operand)?, values?))
        }
        _ => None,
    }
}

fn attribute(operand: &Operand) -> Option<&str> {
    match operand {
        Operand::Path(path) if path.elements.is_empty() => Some(&path.root),
        _ => None,
    }
}

fn literal(operand: &Operand) -> Option<AttributeValue> {
    match operand {
        Operand::Literal(literal) => Some(literal.to_value()),
        _ => None,
    }
}
