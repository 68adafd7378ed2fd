//! Conditions on encoded items against the same rules written down over trees, as plainly as can
//! be: every expression is evaluated in text form by one and as a tree by the other.

mod notation;

use proptest::prelude::*;
use zenobe_model::codec::{EncodedItem, ItemHeader};
use zenobe_model::expression::{Compiler, ExpressionKind};
use zenobe_model::operation::ExpressionAttributeValues;
use zenobe_model::{AttributeValue, Item};

/// A condition that can be written as text and evaluated plainly.
#[derive(Clone, Debug)]
enum Plain {
    And(Box<Plain>, Box<Plain>),
    Or(Box<Plain>, Box<Plain>),
    Not(Box<Plain>),
    Compare(&'static str, Term, Term),
    Between(Term, Term, Term),
    In(Term, Vec<Term>),
    Exists(&'static str),
    BeginsWith(Term, Term),
    Contains(Term, Term),
}

#[derive(Clone, Debug)]
enum Term {
    Path(&'static str),
    Value(&'static str),
    Size(&'static str),
}

const PATHS: [&str; 8] = ["s", "n", "l", "l[0]", "l[1]", "m1", "m1.k", "nope"];
const VALUES: [(&str, &str); 7] = [
    (":a", "'a'"),
    (":ab", "'ab'"),
    (":one", "1"),
    (":two", "2"),
    (":x", "x'61'"),
    (":set", "<1, 2>"),
    (":list", "['a', 1]"),
];

fn find(item: &Item, path: &str) -> Option<AttributeValue> {
    let part = |root: &str| item.get(root).cloned();
    match (path, part(path.split(['.', '[']).next().unwrap_or_default())) {
        ("l[0]", Some(AttributeValue::L(list))) => list.first().cloned(),
        ("l[1]", Some(AttributeValue::L(list))) => list.get(1).cloned(),
        ("m1.k", Some(AttributeValue::M(map))) => map.get("k").cloned(),
        ("l[0]" | "l[1]" | "m1.k", _) => None,
        (_, whole) => whole,
    }
}

impl Term {
    fn text(&self) -> String {
        match self {
            Self::Path(path) => (*path).to_owned(),
            Self::Value(key) => (*key).to_owned(),
            Self::Size(path) => format!("size({path})"),
        }
    }

    fn value(&self, item: &Item) -> Option<AttributeValue> {
        match self {
            Self::Path(path) => find(item, path),
            Self::Value(key) => {
                let (_, text) = VALUES.iter().find(|(name, _)| name == key)?;
                Some(notation::value(text))
            }
            Self::Size(path) => {
                let size = match find(item, path)? {
                    AttributeValue::S(text) => text.chars().map(char::len_utf16).sum(),
                    AttributeValue::B(bytes) => bytes.len(),
                    AttributeValue::Ss(set) => set.len(),
                    AttributeValue::Ns(set) => set.len(),
                    AttributeValue::Bs(set) => set.len(),
                    AttributeValue::L(list) => list.len(),
                    AttributeValue::M(map) => map.len(),
                    _ => return None,
                };
                Some(notation::value(&size.to_string()))
            }
        }
    }
}

fn less(left: &AttributeValue, right: &AttributeValue, or_equal: bool) -> bool {
    use AttributeValue::{B, N, S};
    let equal = or_equal && left == right;
    match (left, right) {
        (S(left), S(right)) => left.as_bytes() < right.as_bytes() || equal,
        (N(left), N(right)) => left < right || equal,
        (B(left), B(right)) => left[..] < right[..] || equal,
        _ => false,
    }
}

fn contains(value: &AttributeValue, part: &AttributeValue) -> bool {
    use AttributeValue::{B, L, N, Ns, S, Ss};
    match (value, part) {
        (S(value), S(part)) => value.contains(part.as_str()),
        (B(value), B(part)) => part.is_empty() || value.windows(part.len()).any(|w| w == part),
        (Ss(set), S(part)) => set.contains(part),
        (Ns(set), N(part)) => set.contains(part),
        (L(list), part) => list.contains(part),
        _ => false,
    }
}

impl Plain {
    fn text(&self) -> String {
        match self {
            Self::And(left, right) => format!("({} AND {})", left.text(), right.text()),
            Self::Or(left, right) => format!("({} OR {})", left.text(), right.text()),
            Self::Not(inner) => format!("NOT {}", inner.text()),
            Self::Compare(operator, left, right) => {
                format!("{} {operator} {}", left.text(), right.text())
            }
            Self::Between(term, low, high) => {
                format!("{} BETWEEN {} AND {}", term.text(), low.text(), high.text())
            }
            Self::In(term, terms) => {
                let terms: Vec<String> = terms.iter().map(Term::text).collect();
                format!("{} IN ({})", term.text(), terms.join(", "))
            }
            Self::Exists(path) => format!("attribute_exists({path})"),
            Self::BeginsWith(term, prefix) => {
                format!("begins_with({}, {})", term.text(), prefix.text())
            }
            Self::Contains(term, part) => format!("contains({}, {})", term.text(), part.text()),
        }
    }

    fn holds(&self, item: &Item) -> bool {
        match self {
            Self::And(left, right) => left.holds(item) & right.holds(item),
            Self::Or(left, right) => left.holds(item) | right.holds(item),
            Self::Not(inner) => !inner.holds(item),
            Self::Compare(operator, left, right) => match (left.value(item), right.value(item)) {
                (Some(left), Some(right)) => match *operator {
                    "=" => left == right,
                    "<>" => left != right,
                    "<" => less(&left, &right, false),
                    "<=" => less(&left, &right, true),
                    ">" => less(&right, &left, false),
                    _ => less(&right, &left, true),
                },
                _ => *operator == "<>",
            },
            Self::Between(term, low, high) => {
                match (term.value(item), low.value(item), high.value(item)) {
                    (Some(value), Some(low), Some(high)) => {
                        less(&low, &value, true) && less(&value, &high, true)
                    }
                    _ => false,
                }
            }
            Self::In(term, terms) => {
                let value = term.value(item);
                value.is_some() && terms.iter().any(|term| term.value(item) == value)
            }
            Self::Exists(path) => find(item, path).is_some(),
            Self::BeginsWith(term, prefix) => match (term.value(item), prefix.value(item)) {
                (Some(AttributeValue::S(value)), Some(AttributeValue::S(prefix))) => {
                    value.starts_with(&prefix)
                }
                (Some(AttributeValue::B(value)), Some(AttributeValue::B(prefix))) => {
                    value.starts_with(&prefix)
                }
                _ => false,
            },
            Self::Contains(term, part) => match (term.value(item), part.value(item)) {
                (Some(value), Some(part)) => contains(&value, &part),
                _ => false,
            },
        }
    }
}

fn path() -> impl Strategy<Value = &'static str> {
    prop::sample::select(PATHS.to_vec())
}

fn term() -> impl Strategy<Value = Term> {
    prop_oneof![
        3 => path().prop_map(Term::Path),
        3 => prop::sample::select(VALUES.map(|(key, _)| key).to_vec()).prop_map(Term::Value),
        1 => path().prop_map(Term::Size),
    ]
}

fn plain() -> impl Strategy<Value = Plain> {
    let operators = prop::sample::select(vec!["=", "<>", "<", "<=", ">", ">="]);
    let leaf = prop_oneof![
        4 => (operators, term(), term()).prop_map(|(o, l, r)| Plain::Compare(o, l, r)),
        1 => (term(), term(), term()).prop_map(|(t, l, h)| Plain::Between(t, l, h)),
        1 => (term(), prop::collection::vec(term(), 1..4)).prop_map(|(t, o)| Plain::In(t, o)),
        1 => path().prop_map(Plain::Exists),
        1 => (term(), term()).prop_map(|(t, p)| Plain::BeginsWith(t, p)),
        2 => (term(), term()).prop_map(|(t, p)| Plain::Contains(t, p)),
    ];
    leaf.prop_recursive(3, 12, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(l, r)| Plain::And(l.into(), r.into())),
            (inner.clone(), inner.clone()).prop_map(|(l, r)| Plain::Or(l.into(), r.into())),
            inner.prop_map(|inner| Plain::Not(inner.into())),
        ]
    })
}

fn value() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "'a'",
        "'ab'",
        "'b'",
        "1",
        "2.0",
        "x'61'",
        "x'6161'",
        "<1, 2>",
        "<'a', 'ab'>",
        "['a', 1]",
        "[]",
        "['ab', ['a', 1]]",
        "{k: 'a'}",
        "{k: 1, j: 2}",
        "{}",
        "true",
        "null",
    ])
}

fn item() -> impl Strategy<Value = Item> {
    prop::collection::btree_map(prop::sample::select(vec!["s", "n", "l", "m1"]), value(), 0..5)
        .prop_map(|attributes| {
            let attributes: Vec<String> =
                attributes.iter().map(|(name, text)| format!("{name}: {text}")).collect();
            notation::item(&format!("{{{}}}", attributes.join(", ")))
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn the_answers_agree(condition in plain(), item in item()) {
        let values: ExpressionAttributeValues = VALUES
            .iter()
            .map(|(key, text)| ((*key).to_owned(), Ok(notation::value(text))))
            .collect();
        let text = condition.text();
        let mut compiler = Compiler::new(None, Some(&values)).expect("valid values");
        // Refused are operands of types that an operator never takes, and a path twice.
        if let Ok(compiled) = compiler.condition(ExpressionKind::Filter, &text) {
            let encoded = EncodedItem::encode(&item, ItemHeader::default());
            prop_assert_eq!(
                compiled.evaluate(Some(&encoded)).expect("an answer"),
                condition.holds(&item),
                "{} on {}", text, notation::show_item(&item)
            );
        }
    }
}
