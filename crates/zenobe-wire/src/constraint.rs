//! The constraints of the service's model, checked and worded as the service does.
//!
//! Most are collected: `2 validation errors detected: Value 'x' at 'tableName' failed to satisfy
//! constraint: …; …`, ten at most. Since 2026 the service words some without the value and with the
//! member's own capitals, and lets some end the checks at once; each such case is a rule of its own
//! in [`crate::shape`]. Source: answers of `us-east-1` in August 2026 as published, the service
//! model for the rest.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::RangeInclusive;

use zenobe_model::ServiceError;
use zenobe_model::operation::Operation;

use crate::echo;
use crate::node::Node;
use crate::shape::{MapShape, Member, Need, NullValue, Rule, Shape, StructureShape, lower_first};

/// The most errors that one answer collects.
const ERRORS_MAX: usize = 10;
const TABLE_NAME_MAX: usize = 255;
const TABLE_ARN_MAX: usize = 1024;

/// The writes of one item: whatever they find before they look the table up begins as the broken
/// constraints do.
const ENVELOPED: [&str; 3] = ["PutItemInput", "DeleteItemInput", "UpdateItemInput"];

/// Checks the members of a request.
///
/// # Errors
/// A `ValidationException` with all errors that the service reports together.
pub(crate) fn check(shape: &StructureShape, nodes: &[Node<'_>]) -> Result<(), Box<ServiceError>> {
    let members = || shape.members.iter().zip(nodes);
    for (member, _) in members().filter(|(_, node)| matches!(node, Node::Null)) {
        match member.need {
            Need::Optional | Need::Collected => {}
            Need::First => {
                return Err(invalid(format!(
                    "The parameter '{}' is required but was not present in the request",
                    member.name
                )));
            }
            Need::Saying(text) => return Err(invalid(text.to_owned())),
        }
    }
    // Where a required member is missing, the service has only the older words for the others.
    let older = members()
        .any(|(member, node)| member.need == Need::Collected && matches!(node, Node::Null));
    if !older {
        members().try_for_each(|(member, node)| check_first(member, node))?;
    }
    let mut errors = Errors { texts: Vec::new(), null_text: None, older };
    errors.structure(None, shape, nodes);
    errors.texts.truncate(ERRORS_MAX);
    match errors.texts.len() {
        0 => errors.null_text.map_or(Ok(()), |text| {
            let is_enveloped = ENVELOPED.contains(&shape.name);
            Err(if is_enveloped { collected("1 validation error", &[text]) } else { invalid(text) })
        }),
        1 => Err(collected("1 validation error", &errors.texts)),
        count => Err(collected(&format!("{count} validation errors"), &errors.texts)),
    }
}

/// Checks the rules that end the checks at once.
fn check_first(member: &Member, node: &Node<'_>) -> Result<(), Box<ServiceError>> {
    match (&member.shape, node) {
        (Shape::Text(rules), Node::Text(text)) => {
            for rule in *rules {
                match rule {
                    Rule::NotEmptyFirst if text.is_empty() => return Err(empty(member.name)),
                    Rule::UnnamedFirst(values, message) if !values.contains(&text.as_ref()) => {
                        return Err(invalid((*message).to_owned()));
                    }
                    _ => {}
                }
            }
            Ok(())
        }
        (Shape::Map(map), Node::Map(entries)) if entries.is_empty() => match map.tables_of {
            Some(Operation::BatchGetItem) => Err(empty(member.name)),
            Some(operation) => Err(invalid(format!(
                "The requestItems parameter is required for {}",
                operation.name()
            ))),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

/// An empty value where there must be something, in the newer words.
fn empty(name: &str) -> Box<ServiceError> {
    invalid(format!(
        "1 validation error detected: Value at '{name}' failed to satisfy constraint: Member must \
         have length greater than or equal to 1"
    ))
}

fn invalid(message: String) -> Box<ServiceError> {
    Box::new(ServiceError::validation(message))
}

fn collected(count: &str, texts: &[String]) -> Box<ServiceError> {
    invalid(format!("{count} detected: {}", texts.join("; ")))
}

/// Whether a name of a table is an ARN.
fn is_arn(text: &str) -> bool {
    text.starts_with("arn:")
}

fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    !text.is_empty() && text.bytes().all(allowed)
}

/// The text of the constraint that `text` does not satisfy. Lengths are in UTF-16 units.
fn broken_rule(rule: &Rule, text: &str) -> Option<String> {
    let too_short = |min: usize| (utf16_length(text) < min).then(|| min_length_text(min));
    let too_long = |max: usize| (utf16_length(text) > max).then(|| max_length_text(max));
    match *rule {
        Rule::NamePattern => (!is_name(text)).then(|| PATTERN_TEXT.to_owned()),
        Rule::TablePattern => {
            let wrong = !text.is_empty() && !is_arn(text) && !is_name(text);
            wrong.then(|| PATTERN_TEXT.to_owned())
        }
        Rule::MinLength(min) => too_short(min),
        Rule::TableMinLength if text.is_empty() => None,
        Rule::TableMinLength => too_short(3),
        Rule::MaxLength(max) => too_long(max),
        Rule::TableMaxLength => too_long(if is_arn(text) { TABLE_ARN_MAX } else { TABLE_NAME_MAX }),
        Rule::OneOf(values) => (!values.contains(&text))
            .then(|| format!("Member must satisfy enum value set: [{}]", values.join(", "))),
        // An empty value has been refused before, unless the words are the older ones.
        Rule::NotEmptyFirst => too_short(1),
        Rule::Unnamed(values, _) | Rule::UnnamedFirst(values, _) => {
            broken_rule(&Rule::OneOf(values), text)
        }
    }
}

const NOT_NULL: &str = "Member must not be null";
const PATTERN_TEXT: &str = "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+";

fn min_length_text(min: usize) -> String {
    format!("Member must have length greater than or equal to {min}")
}

fn max_length_text(max: usize) -> String {
    format!("Member must have length less than or equal to {max}")
}

fn utf16_length(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.encode_utf16().count() }
}

/// Where the member that is being checked is. Only an error writes it out.
#[derive(Clone, Copy)]
struct Path<'p> {
    parent: Option<&'p Path<'p>>,
    step: Step<'p>,
}

/// The last step of a path.
#[derive(Clone, Copy)]
enum Step<'p> {
    /// A member of a structure, by its name on the wire.
    Member(&'p str),
    /// An element of a list, counted from 1.
    Element(usize),
    /// The value of a map's key.
    Value(&'p str),
}

impl<'p> Path<'p> {
    const fn then(&'p self, step: Step<'p>) -> Self {
        Path { parent: Some(self), step }
    }
}

impl std::fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(parent) = self.parent {
            write!(f, "{parent}.")?;
        }
        match self.step {
            Step::Member(name) => f.write_str(&lower_first(name)),
            Step::Element(index) => write!(f, "{index}.member"),
            Step::Value(key) => write!(f, "{}.member", echo::cut(key)),
        }
    }
}

/// The errors so far.
struct Errors {
    texts: Vec<String>,
    /// The first text for a `null` element that has one of its own. It counts if nothing else is
    /// wrong.
    null_text: Option<String>,
    /// Whether all errors have the older words, which name the member and the value.
    older: bool,
}

impl Errors {
    fn is_full(&self) -> bool {
        self.texts.len() >= ERRORS_MAX
    }

    /// Adds an error of the value at the path.
    fn add(&mut self, path: Path<'_>, shape: &Shape, value: &Node<'_>, constraint: &str) {
        if self.is_full() {
            return;
        }
        let mut text = String::from("Value ");
        if matches!(value, Node::Null) {
            text.push_str("null");
        } else {
            text.push('\'');
            match shape {
                Shape::Map(map) if map.tables_of == Some(Operation::BatchGetItem) => {
                    echo::json(&mut text, shape, value);
                }
                _ => echo::describe(&mut text, shape, value),
            }
            text.push('\'');
        }
        let _ = write!(text, " at '{path}' failed to satisfy constraint: {constraint}");
        self.texts.push(text);
    }

    /// Adds an error in the words that name the member with its capitals and not its value.
    fn add_unquoted(&mut self, path: &str, constraint: &str) {
        if !self.is_full() {
            self.texts
                .push(format!("Value at '{path}' failed to satisfy constraint: {constraint}"));
        }
    }

    fn structure(&mut self, parent: Option<&Path<'_>>, shape: &StructureShape, nodes: &[Node<'_>]) {
        for (member, node) in shape.members.iter().zip(nodes) {
            let path = Path { parent, step: Step::Member(member.name) };
            match node {
                Node::Null if member.need == Need::Optional => {}
                Node::Null => self.add(path, &member.shape, node, NOT_NULL),
                _ => self.value(path, &member.shape, node),
            }
        }
    }

    fn value(&mut self, path: Path<'_>, shape: &Shape, node: &Node<'_>) {
        match (shape, node) {
            (Shape::Text(rules), Node::Text(text)) => self.text(path, shape, rules, text),
            (Shape::Integer(min, max), Node::Integer(value)) => {
                self.range(path, *min..=*max, *value);
            }
            (Shape::Long(min), Node::Integer(value)) => self.range(path, *min..=i64::MAX, *value),
            (Shape::PositiveLimit, Node::Integer(value)) if *value < 1 => {
                self.add_unquoted("Limit", "Member must have value greater than or equal to 1");
            }
            (Shape::List(element, min, max), Node::List(values)) => {
                if let Some(text) = broken_length(*min, *max, values.len()) {
                    self.add(path, shape, node, &text);
                }
                self.elements(path, element, values);
            }
            (Shape::Keys, Node::List(values)) => self.keys(path, values),
            (Shape::Map(map), Node::Map(entries)) => {
                if let Some(text) = broken_length(map.min, map.max, entries.len()) {
                    self.add(path, shape, node, &text);
                }
                self.map(path, shape, map, node);
            }
            (Shape::Structure(structure), Node::Structure(nodes)) => {
                self.structure(Some(&path), structure, nodes);
            }
            _ => {}
        }
    }

    fn text(&mut self, path: Path<'_>, shape: &Shape, rules: &[Rule], text: &str) {
        for rule in rules {
            match (rule, broken_rule(rule, text)) {
                (_, None) => {}
                (Rule::Unnamed(_, message), Some(_)) if !self.older => {
                    if !self.is_full() {
                        self.texts.push((*message).to_owned());
                    }
                }
                (_, Some(constraint)) => {
                    self.add(path, shape, &Node::Text(Cow::Borrowed(text)), &constraint);
                }
            }
        }
    }

    fn range(&mut self, path: Path<'_>, range: RangeInclusive<i64>, value: i64) {
        let (min, max) = range.into_inner();
        let constraint = if value < min {
            format!("Member must have value greater than or equal to {min}")
        } else if value > max {
            format!("Member must have value less than or equal to {max}")
        } else {
            return;
        };
        self.add(path, &Shape::Long(min), &Node::Integer(value), &constraint);
    }

    /// The keys of one table of BatchGetItem. These words have the path with its capitals.
    fn keys(&mut self, path: Path<'_>, keys: &[Node<'_>]) {
        let table = path.parent.map(|table| match table.step {
            Step::Member(name) | Step::Value(name) => name,
            Step::Element(_) => "",
        });
        let table = echo::cut(table.unwrap_or_default());
        if keys.iter().any(is_null) {
            self.null_text.get_or_insert_with(|| {
                format!(
                    "The list of keys in RequestItems for BatchGetItem may not contain null or \
                     empty values: {table} has one or more empty keys"
                )
            });
        }
        if let Some(constraint) = broken_length(1, 100, keys.len()) {
            self.add_unquoted(&format!("RequestItems.{table}.member.Keys"), &constraint);
        }
    }

    /// The elements of a list. None of them may be `null`, so that who builds the request meets
    /// no element that it could lose.
    fn elements(&mut self, path: Path<'_>, element: &Shape, values: &[Node<'_>]) {
        for (index, value) in values.iter().enumerate() {
            if self.is_full() {
                return;
            }
            let path = path.then(Step::Element(index + 1));
            match value {
                Node::Null if !element.has_own_fault_for_null() => {
                    self.add(path, element, value, NOT_NULL);
                }
                _ => self.value(path, element, value),
            }
        }
    }

    /// The entries of a map. No value of them may be `null`, for the same reason.
    fn map(&mut self, path: Path<'_>, shape: &Shape, map: &MapShape, node: &Node<'_>) {
        let Node::Map(entries) = node else { return };
        if let (Some(operation), Some((key, _))) =
            (map.tables_of, entries.iter().find(|(key, _)| !is_table(key)))
            && (operation == Operation::BatchGetItem || self.texts.is_empty())
        {
            let max = if is_arn(key) { TABLE_ARN_MAX } else { TABLE_NAME_MAX };
            let (most, least) = (max_length_text(max), min_length_text(3));
            let text =
                format!("Map keys must satisfy constraint: [{most}, {least}, {PATTERN_TEXT}]");
            self.add(path, shape, node, &text);
        }
        // The lengths of lists in a map are constraints of the map.
        if let Shape::List(_, min, max) = map.value {
            let length = |value: &Node<'_>| match value {
                Node::List(values) => broken_length(min, max, values.len()),
                _ => None,
            };
            if entries.iter().any(|(_, value)| length(value).is_some()) {
                let (most, least) = (max_length_text(max), min_length_text(min));
                let text = format!("Map value must satisfy constraint: [{most}, {least}]");
                self.add(path, shape, node, &text);
                return;
            }
        }
        for (key, value) in entries {
            if self.is_full() {
                return;
            }
            let path = path.then(Step::Value(key));
            match (value, map.null) {
                (Node::Null, None) => {}
                (Node::List(writes), _)
                    if map.tables_of.is_some() && writes.iter().any(is_null) =>
                {
                    let text = "The batch write request list for a table cannot be null or empty";
                    self.null_text.get_or_insert_with(|| text.to_owned());
                }
                (Node::Null, Some(NullValue::Collected)) => {
                    self.add(path, &map.value, value, NOT_NULL);
                }
                (Node::Null, Some(NullValue::Saying(before, after))) => {
                    let key = echo::cut(key);
                    self.null_text.get_or_insert_with(|| format!("{before}{key}{after}"));
                }
                _ => self.value(path, &map.value, value),
            }
        }
    }
}

const fn is_null(node: &Node<'_>) -> bool {
    matches!(node, Node::Null)
}

/// The text of the constraint that a length breaks.
fn broken_length(min: usize, max: usize, length: usize) -> Option<String> {
    if length < min {
        Some(min_length_text(min))
    } else {
        (length > max).then(|| max_length_text(max))
    }
}

/// Whether the key of a map names a table.
fn is_table(key: &str) -> bool {
    let length = utf16_length(key);
    if is_arn(key) {
        length <= TABLE_ARN_MAX
    } else {
        is_name(key) && (3..=TABLE_NAME_MAX).contains(&length)
    }
}
