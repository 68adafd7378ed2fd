//! The constraints of the service's model, checked and worded as the service does.
//!
//! Most are collected: `2 validation errors detected: Value 'x' at 'tableName' failed to satisfy
//! constraint: …; …`, ten at most. Since 2026 the service words some without the value and with the
//! member's own capitals, and lets some end the checks at once; each such case is a rule of its own
//! in [`crate::shape`]. Source: answers of `us-east-1` in August 2026 as published, the service
//! model for the rest.

use std::fmt::Write as _;
use std::ops::RangeInclusive;

use zenobe_model::ServiceError;
use zenobe_model::value::{AttributeValue, Item, ValueType};

use crate::node::Node;
use crate::shape::{MapShape, Need, Rule, Shape, StructureShape};

/// The most errors that one answer collects.
const ERRORS_MAX: usize = 10;
const TABLE_NAME_MAX: usize = 255;
const TABLE_ARN_MAX: usize = 1024;

/// Checks the members of a request.
///
/// # Errors
/// A `ValidationException` with all errors that the service reports together.
pub(crate) fn check(shape: &StructureShape, nodes: &[Node<'_>]) -> Result<(), Box<ServiceError>> {
    for (member, node) in shape.members.iter().zip(nodes) {
        if member.need == Need::First && matches!(node, Node::Null) {
            return Err(invalid(format!(
                "The parameter '{}' is required but was not present in the request",
                member.name
            )));
        }
        if let (Shape::Text(rules), Node::Text(text)) = (&member.shape, node) {
            check_first(member.name, rules, text)?;
        }
        if let (Shape::Map(map), Node::Map(entries)) = (&member.shape, node)
            && let (Some(operation), true) = (map.tables_of, entries.is_empty())
        {
            return Err(invalid(format!("The requestItems parameter is required for {operation}")));
        }
    }
    let mut errors = Errors { path: String::new(), texts: Vec::new() };
    errors.structure(shape, nodes);
    errors.texts.truncate(ERRORS_MAX);
    match errors.texts.len() {
        0 => Ok(()),
        1 => Err(collected("1 validation error", &errors.texts)),
        count => Err(collected(&format!("{count} validation errors"), &errors.texts)),
    }
}

/// Checks the rules that end the checks at once.
fn check_first(name: &str, rules: &[Rule], text: &str) -> Result<(), Box<ServiceError>> {
    for rule in rules {
        match rule {
            Rule::NotEmptyFirst if text.is_empty() => {
                return Err(invalid(format!(
                    "1 validation error detected: Value at '{name}' failed to satisfy constraint: \
                     Member must have length greater than or equal to 1"
                )));
            }
            Rule::UnnamedFirst(values, message) if !values.contains(&text) => {
                return Err(invalid((*message).to_owned()));
            }
            _ => {}
        }
    }
    Ok(())
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
        Rule::NotEmptyFirst | Rule::Unnamed(..) | Rule::UnnamedFirst(..) => None,
    }
}

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

/// The name of a member as error texts have it.
fn push_member(path: &mut String, name: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    push_lower_first(path, name);
}

fn push_lower_first(path: &mut String, name: &str) {
    let mut characters = name.chars();
    path.extend(characters.next().map(|first| first.to_ascii_lowercase()));
    path.push_str(characters.as_str());
}

/// The errors so far, and the path to the member that is being checked.
struct Errors {
    path: String,
    texts: Vec<String>,
}

impl Errors {
    /// Adds an error of the value at the path.
    fn add(&mut self, shape: &Shape, value: &Node<'_>, constraint: &str) {
        if self.texts.len() >= ERRORS_MAX {
            return;
        }
        let mut text = String::from("Value ");
        if matches!(value, Node::Null) {
            text.push_str("null");
        } else {
            text.push('\'');
            describe(&mut text, shape, value);
            text.push('\'');
        }
        let _ = write!(text, " at '{}' failed to satisfy constraint: {constraint}", self.path);
        self.texts.push(text);
    }

    /// Adds an error in the words that name the member with its capitals and not its value.
    fn add_unquoted(&mut self, path: &str, constraint: &str) {
        if self.texts.len() < ERRORS_MAX {
            self.texts
                .push(format!("Value at '{path}' failed to satisfy constraint: {constraint}"));
        }
    }

    /// Runs `check` with `name` added to the path.
    fn within(&mut self, push: impl FnOnce(&mut String), check: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        push(&mut self.path);
        check(self);
        self.path.truncate(length);
    }

    fn structure(&mut self, shape: &StructureShape, nodes: &[Node<'_>]) {
        for (member, node) in shape.members.iter().zip(nodes) {
            if matches!(node, Node::Null) && member.need == Need::Optional {
                continue;
            }
            self.within(
                |path| push_member(path, member.name),
                |errors| match node {
                    Node::Null => errors.add(&member.shape, node, "Member must not be null"),
                    _ => errors.value(&member.shape, node),
                },
            );
        }
    }

    fn value(&mut self, shape: &Shape, node: &Node<'_>) {
        match (shape, node) {
            (Shape::Text(rules), Node::Text(text)) => self.text(shape, rules, node, text),
            (Shape::Integer(min, max), Node::Integer(value)) => {
                self.range(shape, *min..=*max, node, *value);
            }
            (Shape::Long(min), Node::Integer(value)) => {
                self.range(shape, *min..=i64::MAX, node, *value)
            }
            (Shape::PositiveLimit, Node::Integer(value)) if *value < 1 => {
                self.add_unquoted("Limit", "Member must have value greater than or equal to 1");
            }
            (Shape::List(element, min, max), Node::List(values)) => {
                self.length(shape, (*min, *max), node, values.len());
                self.elements(element, values);
            }
            (Shape::Keys, Node::List(values)) => self.keys(values.len()),
            (Shape::Map(map), Node::Map(entries)) => {
                self.length(shape, (map.min, map.max), node, entries.len());
                self.map(shape, map, node);
            }
            (Shape::Structure(structure), Node::Structure(nodes)) => {
                self.structure(structure, nodes);
            }
            _ => {}
        }
    }

    fn text(&mut self, shape: &Shape, rules: &[Rule], node: &Node<'_>, text: &str) {
        for rule in rules {
            if let Rule::Unnamed(values, message) = rule {
                if !values.contains(&text) && self.texts.len() < ERRORS_MAX {
                    self.texts.push((*message).to_owned());
                }
            } else if let Some(constraint) = broken_rule(rule, text) {
                self.add(shape, node, &constraint);
            }
        }
    }

    fn range(&mut self, shape: &Shape, range: RangeInclusive<i64>, node: &Node<'_>, value: i64) {
        let (min, max) = range.into_inner();
        if value < min {
            self.add(
                shape,
                node,
                &format!("Member must have value greater than or equal to {min}"),
            );
        }
        if value > max {
            self.add(shape, node, &format!("Member must have value less than or equal to {max}"));
        }
    }

    fn length(
        &mut self,
        shape: &Shape,
        (min, max): (usize, usize),
        node: &Node<'_>,
        length: usize,
    ) {
        if length < min {
            self.add(shape, node, &min_length_text(min));
        }
        if length > max {
            self.add(shape, node, &max_length_text(max));
        }
    }

    /// The keys of one table of BatchGetItem. The path begins with `requestItems`, which these
    /// words have with a capital.
    fn keys(&mut self, length: usize) {
        let constraint = match length {
            0 => min_length_text(1),
            1..=100 => return,
            _ => max_length_text(100),
        };
        let table = self.path.strip_prefix("requestItems.").unwrap_or(&self.path);
        let table = table.strip_suffix(".member.keys").unwrap_or(table);
        let path = format!("RequestItems.{table}.member.Keys");
        self.add_unquoted(&path, &constraint);
    }

    fn elements(&mut self, element: &Shape, values: &[Node<'_>]) {
        for (index, value) in values.iter().enumerate() {
            if self.texts.len() >= ERRORS_MAX {
                return;
            }
            self.within(
                |path| {
                    let _ = write!(path, ".{}.member", index + 1);
                },
                |errors| errors.value(element, value),
            );
        }
    }

    fn map(&mut self, shape: &Shape, map: &MapShape, node: &Node<'_>) {
        let Node::Map(entries) = node else { return };
        for (key, value) in entries {
            if self.texts.len() >= ERRORS_MAX {
                return;
            }
            if map.tables_of.is_some() {
                self.table_key(shape, node, key);
            }
            if let (Shape::List(_, min, max), Node::List(values)) = (&map.value, value) {
                // The lengths of lists in a map are constraints of the map.
                if values.len() < *min || values.len() > *max {
                    let (most, least) = (max_length_text(*max), min_length_text(*min));
                    let text = format!("Map value must satisfy constraint: [{most}, {least}]");
                    self.add(shape, node, &text);
                    continue;
                }
            }
            self.within(
                |path| {
                    let _ = write!(path, ".{key}.member");
                },
                |errors| errors.value(&map.value, value),
            );
        }
    }

    /// A name of a table as the key of a map: the constraints of keys are listed as one.
    fn table_key(&mut self, shape: &Shape, node: &Node<'_>, key: &str) {
        let max = if is_arn(key) { TABLE_ARN_MAX } else { TABLE_NAME_MAX };
        let length = utf16_length(key);
        if !(is_arn(key) || is_name(key)) || length < 3 || length > max {
            let (most, least) = (max_length_text(max), min_length_text(3));
            let text =
                format!("Map keys must satisfy constraint: [{most}, {least}, {PATTERN_TEXT}]");
            self.add(shape, node, &text);
        }
    }
}

/// How error texts show a value: as the service's own types print themselves.
fn describe(out: &mut String, shape: &Shape, node: &Node<'_>) {
    match (shape, node) {
        (_, Node::Boolean(value)) => {
            let _ = write!(out, "{value}");
        }
        (_, Node::Integer(value)) => {
            let _ = write!(out, "{value}");
        }
        (_, Node::Text(text)) => out.push_str(text),
        (Shape::List(element, ..), Node::List(values)) => {
            out.push('[');
            for (index, value) in values.iter().enumerate() {
                separate(out, index);
                describe(out, element, value);
            }
            out.push(']');
        }
        (Shape::Map(map), Node::Map(entries)) => {
            out.push('{');
            for (index, (key, value)) in entries.iter().enumerate() {
                separate(out, index);
                out.push_str(key);
                out.push('=');
                describe(out, &map.value, value);
            }
            out.push('}');
        }
        (Shape::Structure(structure), Node::Structure(nodes)) => {
            out.push_str(structure.name);
            out.push('(');
            for (index, (member, node)) in structure.members.iter().zip(nodes).enumerate() {
                separate(out, index);
                push_lower_first(out, member.name);
                out.push('=');
                describe(out, &member.shape, node);
            }
            out.push(')');
        }
        (_, Node::Value(Ok(value))) => describe_value(out, value),
        (_, Node::Item(Ok(item))) => describe_item(out, item),
        _ => out.push_str("null"),
    }
}

fn separate(out: &mut String, index: usize) {
    if index > 0 {
        out.push_str(", ");
    }
}

fn describe_item(out: &mut String, item: &Item) {
    out.push('{');
    for (index, (name, value)) in item.iter().enumerate() {
        separate(out, index);
        out.push_str(name);
        out.push('=');
        describe_value(out, value);
    }
    out.push('}');
}

/// The fields of the service's own type, of which one is set.
const VALUE_FIELDS: [(&str, Option<ValueType>); 16] = [
    ("s", Some(ValueType::S)),
    ("n", Some(ValueType::N)),
    ("b", Some(ValueType::B)),
    ("iNT", None),
    ("dECIMAL", None),
    ("dOUBLE", None),
    ("sS", Some(ValueType::Ss)),
    ("nS", Some(ValueType::Ns)),
    ("bS", Some(ValueType::Bs)),
    ("iNTSET", None),
    ("dECIMALSET", None),
    ("dOUBLESET", None),
    ("m", Some(ValueType::M)),
    ("l", Some(ValueType::L)),
    ("nULL", Some(ValueType::Null)),
    ("bOOL", Some(ValueType::Bool)),
];

fn describe_value(out: &mut String, value: &AttributeValue) {
    out.push_str("AttributeValue(");
    for (index, (name, value_type)) in VALUE_FIELDS.into_iter().enumerate() {
        separate(out, index);
        out.push_str(name);
        out.push('=');
        if value_type == Some(value.value_type()) {
            describe_content(out, value);
        } else {
            out.push_str("null");
        }
    }
    out.push(')');
}

fn describe_content(out: &mut String, value: &AttributeValue) {
    let _ = match value {
        AttributeValue::S(text) => write!(out, "{text}"),
        AttributeValue::N(number) => write!(out, "{number}"),
        AttributeValue::B(bytes) => describe_bytes(out, bytes),
        AttributeValue::Bool(value) => write!(out, "{value}"),
        AttributeValue::Null => write!(out, "true"),
        AttributeValue::Ss(values) => write!(out, "[{}]", values.join(", ")),
        AttributeValue::Ns(values) => {
            let digits: Vec<String> = values.iter().map(ToString::to_string).collect();
            write!(out, "[{}]", digits.join(", "))
        }
        AttributeValue::Bs(values) => {
            out.push('[');
            for (index, bytes) in values.iter().enumerate() {
                separate(out, index);
                let _ = describe_bytes(out, bytes);
            }
            write!(out, "]")
        }
        AttributeValue::L(values) => {
            out.push('[');
            for (index, value) in values.iter().enumerate() {
                separate(out, index);
                describe_value(out, value);
            }
            write!(out, "]")
        }
        AttributeValue::M(item) => {
            describe_item(out, item);
            Ok(())
        }
    };
}

fn describe_bytes(out: &mut String, bytes: &[u8]) -> std::fmt::Result {
    let size = bytes.len();
    write!(out, "java.nio.HeapByteBuffer[pos=0 lim={size} cap={size}]")
}
