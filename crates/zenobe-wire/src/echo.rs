//! How error texts repeat the value that they are about.
//!
//! Most are printed as the service's own types print themselves, some as JSON. What is longer than
//! a limit is cut, because these prints are many times longer than what was sent, and one answer may have ten.

use std::fmt::Write as _;

use zenobe_model::value::{AttributeValue, Item, ValueType};

use crate::node::Node;
use crate::shape::{Shape, lower_first};
use crate::write::{self, Object};

/// How much of a value, and of each text in it, an error text shows, about.
const ECHO_BYTES_MAX: usize = 128 << 10;

/// As much of a client's text as an error text shows.
pub(crate) fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(ECHO_BYTES_MAX)).unwrap_or_default()
}

/// Appends a value as JSON.
pub(crate) fn json(out: &mut String, shape: &Shape, node: &Node<'_>) {
    let mut bytes = Vec::new();
    write_json(&mut bytes, shape, node);
    bytes.truncate(ECHO_BYTES_MAX);
    out.push_str(&String::from_utf8_lossy(&bytes));
}

fn write_json(out: &mut Vec<u8>, shape: &Shape, node: &Node<'_>) {
    if out.len() > ECHO_BYTES_MAX {
        return;
    }
    match (shape, node) {
        (_, Node::Boolean(value)) => write::boolean(out, *value),
        (_, Node::Integer(value)) => write::integer(out, *value),
        (_, Node::Text(text)) => write::string(out, cut(text)),
        (Shape::List(element, ..), Node::List(values)) => {
            write::array(out, values, |out, value| write_json(out, element, value));
        }
        (Shape::Keys, Node::List(values)) => {
            write::array(out, values, |out, value| write_json(out, &Shape::Item, value));
        }
        (Shape::Map(map), Node::Map(entries)) => {
            let mut object = Object::open(out);
            for (key, value) in entries {
                write_json(object.key(cut(key)), &map.value, value);
            }
            object.close();
        }
        (Shape::Structure(structure), Node::Structure(nodes)) => {
            let mut object = Object::open(out);
            for (member, node) in structure.members.iter().zip(nodes) {
                if !matches!(node, Node::Null) {
                    write_json(object.member(member.name), &member.shape, node);
                }
            }
            object.close();
        }
        (_, Node::Item(Ok(item))) => write::encoded_item(out, item),
        _ => out.extend_from_slice(b"null"),
    }
}

/// Appends a value as the service's own types print themselves.
pub(crate) fn describe(out: &mut String, shape: &Shape, node: &Node<'_>) {
    if out.len() > ECHO_BYTES_MAX {
        return;
    }
    match (shape, node) {
        (_, Node::Boolean(value)) => {
            let _ = write!(out, "{value}");
        }
        (_, Node::Integer(value)) => {
            let _ = write!(out, "{value}");
        }
        (_, Node::Text(text)) => out.push_str(cut(text)),
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
                out.push_str(cut(key));
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
                out.push_str(&lower_first(member.name));
                out.push('=');
                describe(out, &member.shape, node);
            }
            out.push(')');
        }
        (_, Node::Value(Ok(value))) => describe_value(out, value),
        (_, Node::Item(Ok(item))) => describe_item(out, &item.to_item()),
        _ => out.push_str("null"),
    }
}

fn separate(out: &mut String, index: usize) {
    if index > 0 && out.len() <= ECHO_BYTES_MAX {
        out.push_str(", ");
    }
}

/// The elements of a set, printed and separated, as far as an error text shows them.
pub(crate) fn list<'v, T: 'v>(
    values: impl IntoIterator<Item = &'v T>,
    separator: &str,
    print: impl Fn(&T) -> String,
) -> String {
    let mut out = String::new();
    for (index, value) in values.into_iter().enumerate() {
        if out.len() > ECHO_BYTES_MAX {
            break;
        }
        if index > 0 {
            out.push_str(separator);
        }
        out.push_str(cut(&print(value)));
    }
    out
}

fn describe_item(out: &mut String, item: &Item) {
    out.push('{');
    for (index, (name, value)) in item.iter().enumerate() {
        separate(out, index);
        out.push_str(cut(name));
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
    if out.len() > ECHO_BYTES_MAX {
        return;
    }
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
        AttributeValue::S(text) => write!(out, "{}", cut(text)),
        AttributeValue::N(number) => write!(out, "{number}"),
        AttributeValue::B(bytes) => describe_bytes(out, bytes),
        AttributeValue::Bool(value) => write!(out, "{value}"),
        AttributeValue::Null => write!(out, "true"),
        AttributeValue::Ss(values) => write!(out, "[{}]", list(values, ", ", Clone::clone)),
        AttributeValue::Ns(values) => {
            write!(out, "[{}]", list(values, ", ", ToString::to_string))
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
