//! Requests as read from JSON: parsed by shape, not yet checked, not yet typed.
//!
//! The tree is shallow and short: attribute values, keys and whole items are leaves that already
//! hold their final form ([`crate::value`]), so a request for an item costs one small vector beside
//! the item itself. What has the wrong JSON type fails here, in the service's words. Source: the
//! SerializationException texts that the service is known to answer with; where its reader meets a
//! list that it did not expect, it gives no text at all.

use std::borrow::Cow;

use zenobe_model::operation::Parsed;
use zenobe_model::value::AttributeValue;
use zenobe_model::{EncodedItem, ErrorCode, ServiceError};

use crate::json::{Reader, Token, malformed};
use crate::shape::{MapShape, Shape, StructureShape};
use crate::value::{ValueFaults, ValueReader};

/// The most elements of lists and entries of maps in a request, those inside items and values left out. No
/// request that the service takes comes near; without a limit sixteen megabytes of `{}` would take a gigabyte.
const ELEMENTS_MAX: usize = 64 << 10;

/// What a member of a request holds, by its shape.
#[derive(Debug)]
pub(crate) enum Node<'a> {
    /// Absent or `null`, which the service does not tell apart.
    Null,
    /// [`Shape::Boolean`]
    Boolean(bool),
    /// [`Shape::Integer`], [`Shape::Long`] and [`Shape::Timestamp`]
    Integer(i64),
    /// [`Shape::Text`]
    Text(Cow<'a, str>),
    /// [`Shape::List`]
    List(Vec<Node<'a>>),
    /// [`Shape::Map`], in the order of the request, each key once.
    Map(Vec<(Cow<'a, str>, Node<'a>)>),
    /// [`Shape::Structure`]: one node per member of the shape, in its order.
    Structure(Vec<Node<'a>>),
    /// [`Shape::Value`]
    Value(Parsed<AttributeValue>),
    /// [`Shape::Item`]
    Item(Parsed<EncodedItem>),
    /// [`Shape::Presence`]
    Present,
}

/// A `SerializationException` with the service's text.
pub(crate) fn wrong_type(message: impl Into<String>) -> Box<ServiceError> {
    Box::new(ServiceError::new(ErrorCode::Serialization, message))
}

/// What the service calls a token in its texts.
const fn token_name(token: Token) -> &'static str {
    match token {
        Token::Integer => "NUMBER_VALUE",
        Token::Decimal => "DECIMAL_VALUE",
        Token::True => "TRUE_VALUE",
        Token::False => "FALSE_VALUE",
        Token::Text | Token::Null | Token::Object | Token::Array => "STRING_VALUE",
    }
}

const OBJECT_UNEXPECTED: &str = "Start of structure or map found where not expected";
const FIELD_UNEXPECTED: &str = "Unexpected field type";
const ELEMENT_UNEXPECTED: &str = "Unexpected value type in payload";

/// The failure of a token where a scalar of the type `wanted` belongs.
pub(crate) fn not_a_scalar(token: Token, wanted: &str) -> Box<ServiceError> {
    match token {
        Token::Object => wrong_type(OBJECT_UNEXPECTED),
        Token::Array => malformed(),
        _ => wrong_type(format!("{} cannot be converted to {wanted}", token_name(token))),
    }
}

/// The failure of a token where a list belongs; `member` tells members from elements.
pub(crate) fn not_a_list(token: Token, member: bool) -> Box<ServiceError> {
    match token {
        Token::Object => wrong_type(OBJECT_UNEXPECTED),
        _ if member => wrong_type(FIELD_UNEXPECTED),
        _ => malformed(),
    }
}

/// The failure of a token where a map belongs; `member` tells members from elements.
pub(crate) fn not_a_map(token: Token, member: bool) -> Box<ServiceError> {
    if token == Token::Array || !member { malformed() } else { wrong_type(FIELD_UNEXPECTED) }
}

/// The failure of a token where a structure belongs; `member` tells members from elements.
pub(crate) fn not_a_structure(token: Token, member: bool) -> Box<ServiceError> {
    match token {
        Token::Array => malformed(),
        _ if member => wrong_type(FIELD_UNEXPECTED),
        _ => wrong_type(ELEMENT_UNEXPECTED),
    }
}

/// Reads a boolean; the service takes its words as strings, too.
pub(crate) fn boolean(reader: &mut Reader<'_>, token: Token) -> Result<bool, Box<ServiceError>> {
    match token {
        Token::True | Token::False => {
            reader.literal(token)?;
            Ok(token == Token::True)
        }
        Token::Text => {
            let text = reader.text()?;
            if text.eq_ignore_ascii_case("true") {
                Ok(true)
            } else if text.eq_ignore_ascii_case("false") {
                Ok(false)
            } else {
                Err(wrong_type("Unexpected token received from parser"))
            }
        }
        _ => Err(not_a_scalar(token, "Boolean")),
    }
}

/// Reads the whole body of a request.
pub(crate) fn read<'a>(
    body: &'a [u8],
    shape: &StructureShape,
    faults: ValueFaults,
) -> Result<Vec<Node<'a>>, Box<ServiceError>> {
    let mut reader = Reader::new(body)?;
    if reader.peek()? != Token::Object {
        // The service gives no text for a body that is not an object.
        return Err(malformed());
    }
    let mut context =
        Context { values: ValueReader::new(faults, body.len()), elements_left: ELEMENTS_MAX };
    let members = structure(&mut reader, shape, &mut context)?;
    if reader.at_end() { Ok(members) } else { Err(malformed()) }
}

/// What is kept while a request is read.
struct Context {
    values: ValueReader,
    elements_left: usize,
}

impl Context {
    /// Counts an element of a list or an entry of a map.
    fn count_element(&mut self) -> Result<(), Box<ServiceError>> {
        let left = self.elements_left.checked_sub(1);
        let too_many = || wrong_type(format!("More than {ELEMENTS_MAX} elements in one request"));
        self.elements_left = left.ok_or_else(too_many)?;
        Ok(())
    }
}

fn structure<'a>(
    reader: &mut Reader<'a>,
    shape: &StructureShape,
    context: &mut Context,
) -> Result<Vec<Node<'a>>, Box<ServiceError>> {
    reader.open();
    let mut nodes: Vec<Node<'a>> = Vec::with_capacity(shape.members.len());
    nodes.resize_with(shape.members.len(), || Node::Null);
    let mut first = true;
    while let Some(key) = reader.key(first)? {
        first = false;
        let known = shape.members.iter().zip(&mut nodes).find(|(member, _)| member.name == key);
        match known {
            // Of a key that is given twice, the last counts.
            Some((member, node)) => *node = self::node(reader, &member.shape, true, context)?,
            None => reader.skip()?,
        }
    }
    Ok(nodes)
}

/// Reads a value of the shape. `member` tells members of structures from elements of lists and
/// maps, for which the service has other words.
fn node<'a>(
    reader: &mut Reader<'a>,
    shape: &Shape,
    member: bool,
    context: &mut Context,
) -> Result<Node<'a>, Box<ServiceError>> {
    let token = reader.peek()?;
    if token == Token::Null {
        reader.literal(token)?;
        return Ok(Node::Null);
    }
    match *shape {
        Shape::Boolean => boolean(reader, token).map(Node::Boolean),
        Shape::Integer(..) | Shape::PositiveLimit => integer(reader, token, "Integer")
            .map(|value| Node::Integer(value.clamp(i64::from(i32::MIN), i64::from(i32::MAX)))),
        Shape::Long(_) => integer(reader, token, "Long").map(Node::Integer),
        Shape::Timestamp => match token {
            Token::Integer | Token::Decimal => reader.thousandths().map(Node::Integer),
            _ => Err(not_a_scalar(token, "Timestamp")),
        },
        Shape::Text(_) => match token {
            Token::Text => reader.text().map(Node::Text),
            _ => Err(not_a_scalar(token, "String")),
        },
        Shape::List(element, ..) => match token {
            Token::Array => list(reader, element, context).map(Node::List),
            _ => Err(not_a_list(token, member)),
        },
        Shape::Keys => match token {
            Token::Array => list(reader, &Shape::Item, context).map(Node::List),
            _ => Err(not_a_list(token, member)),
        },
        Shape::Map(map_shape) => match token {
            Token::Object => map(reader, map_shape, context).map(Node::Map),
            _ => Err(not_a_map(token, member)),
        },
        Shape::Structure(structure_shape) => match token {
            Token::Object => structure(reader, structure_shape, context).map(Node::Structure),
            _ => Err(not_a_structure(token, member)),
        },
        Shape::Value => match token {
            Token::Object => context.values.attribute_value(reader).map(Node::Value),
            _ => Err(not_a_structure(token, member)),
        },
        Shape::Item => match token {
            Token::Object => context.values.item(reader).map(Node::Item),
            _ => Err(not_a_map(token, member)),
        },
        Shape::Presence => reader.skip().map(|()| Node::Present),
    }
}

fn integer(reader: &mut Reader<'_>, token: Token, wanted: &str) -> Result<i64, Box<ServiceError>> {
    match token {
        Token::Integer | Token::Decimal => reader.integer(),
        _ => Err(not_a_scalar(token, wanted)),
    }
}

fn list<'a>(
    reader: &mut Reader<'a>,
    element: &Shape,
    context: &mut Context,
) -> Result<Vec<Node<'a>>, Box<ServiceError>> {
    reader.open();
    let mut nodes = Vec::new();
    while reader.element(nodes.is_empty())? {
        context.count_element()?;
        nodes.push(node(reader, element, false, context)?);
    }
    Ok(nodes)
}

fn map<'a>(
    reader: &mut Reader<'a>,
    shape: &MapShape,
    context: &mut Context,
) -> Result<Vec<(Cow<'a, str>, Node<'a>)>, Box<ServiceError>> {
    reader.open();
    let mut entries: Vec<(Cow<'a, str>, Node<'a>)> = Vec::new();
    let mut first = true;
    while let Some(key) = reader.key(first)? {
        first = false;
        context.count_element()?;
        let value = node(reader, &shape.value, false, context)?;
        entries.push((key, value));
    }
    Ok(keep_last(entries))
}

/// Of entries with the same key keeps the last, in the place of the first.
fn keep_last<'a>(entries: Vec<(Cow<'a, str>, Node<'a>)>) -> Vec<(Cow<'a, str>, Node<'a>)> {
    if entries.len() < 2 {
        return entries;
    }
    let mut sorted: Vec<&str> = entries.iter().map(|(key, _)| key.as_ref()).collect();
    sorted.sort_unstable();
    if !sorted.iter().zip(sorted.iter().skip(1)).any(|(a, b)| a == b) {
        return entries;
    }
    let mut places = std::collections::HashMap::new();
    let mut kept: Vec<(Cow<'a, str>, Node<'a>)> = Vec::new();
    for (key, value) in entries {
        let place = *places.entry(key.clone()).or_insert(kept.len());
        match kept.get_mut(place) {
            Some(entry) => entry.1 = value,
            None => kept.push((key, value)),
        }
    }
    kept
}
