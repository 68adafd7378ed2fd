//! Attribute values: JSON to their stored form in one pass, with no tree between.
//!
//! What has the wrong JSON type ends the request. What is well-formed but wrong, such as an empty
//! set, is an error that the operation raises where the service's order of checks has it; the first
//! of an item is kept, and reading goes on. Source: API Reference, `AttributeValue`; the texts are
//! those of `us-east-1` in October 2026, as the public conformance suite records them. The service
//! has two layers that check values, and which one an operation runs decides the words.

use std::borrow::Cow;
use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use zenobe_model::codec::{EncodedItem, ItemHeader, ValueWriter};
use zenobe_model::expression::name_fault;
use zenobe_model::limits::NESTING_DEPTH_MAX;
use zenobe_model::number::NumberError;
use zenobe_model::operation::Parsed;
use zenobe_model::value::{AttributeValue, ValueType};
use zenobe_model::{Number, ServiceError};

use crate::json::{Reader, Token, malformed};
use crate::{echo, node};

/// Standard base64 with padding; bits behind the last byte must be zero.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// How an operation words what is wrong with a value. Writes of one item put `1 validation error
/// detected: ` before these texts, as before all that they check at that point; that is left to the
/// operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValueFaults {
    /// The newer layer: all operations on one item, BatchGetItem, Query.
    Newer,
    /// The older layer: BatchWriteItem, Scan, the transactions.
    Older,
}

/// What it takes to read the values of a request: the words for what is wrong, and room to write.
pub(crate) struct ValueReader {
    faults: ValueFaults,
    writer: ValueWriter,
}

impl ValueReader {
    /// For a body of so many bytes.
    pub(crate) fn new(faults: ValueFaults, body_bytes: usize) -> Self {
        Self { faults, writer: ValueWriter::with_capacity(body_bytes.min(FIRST_ROOM_BYTES)) }
    }

    /// Reads one attribute value; its `{` comes next.
    pub(crate) fn attribute_value(
        &mut self,
        reader: &mut Reader<'_>,
    ) -> Result<Parsed<AttributeValue>, Box<ServiceError>> {
        let start = self.writer.mark();
        let mut values = self.values(reader);
        // Seen of the older layer in 2026: a value of an expression may be deeper than one of an item, which an
        // update then refuses to store.
        if values.faults == ValueFaults::Older {
            values.depth_max += 1;
        }
        values.value(1)?;
        let fault = values.fault;
        let value = self.writer.finish_value(start);
        Ok(fault.map_or(Ok(value), Err))
    }

    /// Reads a map of attribute values; its `{` comes next.
    pub(crate) fn item(
        &mut self,
        reader: &mut Reader<'_>,
    ) -> Result<Parsed<EncodedItem>, Box<ServiceError>> {
        let start = self.writer.begin_item();
        let mut values = self.values(reader);
        values.members(1)?;
        let fault = values.fault;
        let item = self.writer.finish_item(start, ItemHeader::default());
        Ok(fault.map_or(Ok(item), Err))
    }

    fn values<'r, 'a>(&'r mut self, reader: &'r mut Reader<'a>) -> Values<'r, 'a> {
        let Self { faults, writer } = self;
        Values {
            reader,
            faults: *faults,
            writer,
            depth_max: NESTING_DEPTH_MAX,
            fault: None,
            yields: Yields::Nothing,
        }
    }
}

/// The room that a reader of values begins with, if the body is not shorter.
const FIRST_ROOM_BYTES: usize = 4 << 10;

/// Reads values and keeps the first error of those that are well-formed but wrong.
struct Values<'r, 'a> {
    reader: &'r mut Reader<'a>,
    faults: ValueFaults,
    writer: &'r mut ValueWriter,
    depth_max: usize,
    fault: Option<Box<ServiceError>>,
    /// Whether `fault` may give way to a value that is nested too deep, or is one.
    yields: Yields,
}

/// What a fault that was found gives way to. The older layer looks at the names of an item, then at
/// how deep its values are, then at the rest.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Yields {
    Nothing,
    ToDepth,
    ToNames,
}

impl<'a> Values<'_, 'a> {
    fn wrong(&mut self, message: &str) {
        if self.fault.is_none() {
            self.fault = Some(Box::new(ServiceError::validation(message)));
        }
    }

    /// Notes what is wrong with a name.
    fn wrong_name(&mut self, message: &str, depth: usize) {
        let older = self.faults == ValueFaults::Older;
        if older && depth == 1 && self.yields == Yields::ToNames {
            self.fault = None;
        }
        if self.fault.is_none() {
            let nested = older && depth > 1;
            self.yields = if nested { Yields::ToDepth } else { Yields::Nothing };
        }
        self.wrong(message);
    }

    fn too_deep(&mut self) {
        if self.yields == Yields::ToDepth {
            self.fault = None;
        }
        if self.fault.is_none() {
            self.yields = Yields::ToNames;
        }
        self.wrong(TOO_DEEP);
    }

    /// Reads the members of a map of values that has depth `depth`.
    fn members(&mut self, depth: usize) -> Result<(), Box<ServiceError>> {
        self.reader.open();
        let mut first = true;
        while let Some(name) = self.reader.key(first)? {
            first = false;
            if let Some(message) = name_fault(&name) {
                self.wrong_name(message, depth);
            }
            self.writer.member(&name);
            self.element(depth)?;
        }
        Ok(())
    }

    /// Reads a value inside a list or map.
    fn element(&mut self, depth: usize) -> Result<(), Box<ServiceError>> {
        match self.reader.peek()? {
            Token::Object => self.value(depth),
            Token::Null => {
                self.reader.literal(Token::Null)?;
                self.wrong(EMPTY);
                self.writer.null();
                Ok(())
            }
            token => Err(node::not_a_structure(token, false)),
        }
    }

    /// Reads a value of depth `depth`; its `{` comes next.
    fn value(&mut self, depth: usize) -> Result<(), Box<ServiceError>> {
        if depth > self.depth_max {
            self.too_deep();
            self.writer.null();
            return self.reader.skip();
        }
        self.reader.open();
        let start = self.writer.mark();
        let mut found: Option<ValueType> = None;
        let mut several = false;
        let mut first = true;
        while let Some(key) = self.reader.key(first)? {
            first = false;
            let Some(value_type) = ValueType::from_name(&key) else {
                self.reader.skip()?;
                continue;
            };
            let token = self.reader.peek()?;
            if token == Token::Null {
                self.reader.literal(token)?;
                continue;
            }
            // Of several the last counts.
            self.writer.take_back(start);
            self.typed(value_type, token, depth)?;
            several |= found.is_some_and(|old| old != value_type);
            found = Some(value_type);
        }
        if several {
            self.wrong(SEVERAL);
        } else if found.is_none() {
            self.wrong(EMPTY);
            self.writer.null();
        }
        Ok(())
    }

    fn typed(
        &mut self,
        value_type: ValueType,
        token: Token,
        depth: usize,
    ) -> Result<(), Box<ServiceError>> {
        match value_type {
            ValueType::S => {
                let text = self.text(token)?;
                self.writer.text(&text);
            }
            ValueType::N => {
                let digits = self.text(token)?;
                let number = self.number(&digits);
                self.writer.number(number);
            }
            ValueType::B => {
                let bytes = self.binary(token)?;
                self.writer.binary(&bytes);
            }
            ValueType::Bool => self.writer.boolean(node::boolean(self.reader, token)?),
            ValueType::Null => {
                if !node::boolean(self.reader, token)? {
                    self.wrong(NULL_FALSE);
                }
                self.writer.null();
            }
            ValueType::Ss => {
                let set = AttributeValue::Ss(self.string_set(token)?);
                self.writer.value(&set);
            }
            ValueType::Ns => {
                let set = AttributeValue::Ns(self.number_set(token)?);
                self.writer.value(&set);
            }
            ValueType::Bs => {
                let set = AttributeValue::Bs(self.binary_set(token)?);
                self.writer.value(&set);
            }
            ValueType::L => self.list(token, depth)?,
            ValueType::M => match token {
                Token::Object => {
                    let map = self.writer.begin_map();
                    self.members(depth + 1)?;
                    self.writer.end_map(map);
                }
                _ => return Err(node::not_a_map(token, true)),
            },
        }
        Ok(())
    }

    fn list(&mut self, token: Token, depth: usize) -> Result<(), Box<ServiceError>> {
        self.open_list(token)?;
        let list = self.writer.begin_list();
        let mut elements = 0;
        while self.reader.element(elements == 0)? {
            self.element(depth + 1)?;
            elements += 1;
        }
        self.writer.end_list(list, elements);
        Ok(())
    }

    fn text(&mut self, token: Token) -> Result<Cow<'a, str>, Box<ServiceError>> {
        match token {
            Token::Text => self.reader.text(),
            _ => Err(node::not_a_scalar(token, "String")),
        }
    }

    fn number(&mut self, digits: &str) -> Number {
        Number::parse(digits).unwrap_or_else(|error| {
            self.wrong(&number_fault(error, digits, self.faults));
            Number::ZERO
        })
    }

    fn binary(&mut self, token: Token) -> Result<Bytes, Box<ServiceError>> {
        match token {
            Token::Text => decode_base64(&self.reader.text()?),
            Token::Object | Token::Array => Err(node::not_a_scalar(token, "")),
            _ => Err(node::wrong_type("only base-64-encoded strings are convertible to bytes")),
        }
    }

    fn open_list(&mut self, token: Token) -> Result<(), Box<ServiceError>> {
        if token != Token::Array {
            return Err(node::not_a_list(token, true));
        }
        self.reader.open();
        Ok(())
    }

    /// Reads the elements of a set by `element`, which is given each one's token. A null element
    /// is not an element of any type.
    fn set<T>(
        &mut self,
        token: Token,
        null_text: &str,
        mut element: impl FnMut(&mut Self, Token) -> Result<T, Box<ServiceError>>,
    ) -> Result<Vec<T>, Box<ServiceError>> {
        self.open_list(token)?;
        let mut values = Vec::new();
        let mut first = true;
        while self.reader.element(first)? {
            first = false;
            let token = self.reader.peek()?;
            if token == Token::Null {
                self.reader.literal(token)?;
                self.wrong(null_text);
            } else {
                values.push(element(self, token)?);
            }
        }
        Ok(values)
    }

    fn string_set(&mut self, token: Token) -> Result<Vec<String>, Box<ServiceError>> {
        let mut values =
            self.set(token, NULL_STRING, |this, token| Ok(this.text(token)?.into_owned()))?;
        if values.is_empty() {
            self.wrong(
                "One or more parameter values were invalid: An string set  may not be empty",
            );
        }
        if has_duplicates(&values) {
            let listed = self.listed(&values, ", ", Clone::clone);
            self.wrong(&format!("{INVALID}Input collection [{listed}] contains duplicates."));
        }
        values.sort_unstable();
        values.dedup();
        Ok(values)
    }

    fn number_set(&mut self, token: Token) -> Result<Vec<Number>, Box<ServiceError>> {
        let mut values = self.set(token, NOT_NUMERIC, |this, token| {
            let digits = this.text(token)?;
            Ok(this.number(&digits))
        })?;
        if values.is_empty() {
            self.wrong(
                "One or more parameter values were invalid: An number set  may not be empty",
            );
        }
        if has_duplicates(&values) {
            match self.faults {
                ValueFaults::Older => self.wrong("Input collection contains duplicates"),
                ValueFaults::Newer => {
                    self.wrong(&format!("{INVALID}Input collection contains duplicates."));
                }
            }
        }
        values.sort_unstable();
        values.dedup();
        Ok(values)
    }

    fn binary_set(&mut self, token: Token) -> Result<Vec<Bytes>, Box<ServiceError>> {
        let mut values = self.set(token, NULL_BINARY, Self::binary)?;
        if values.is_empty() {
            self.wrong(
                "One or more parameter values were invalid: Binary sets should not be empty",
            );
        }
        if has_duplicates(&values) {
            let separator = if self.faults == ValueFaults::Older { ", " } else { "," };
            let listed = self.listed(&values, separator, |value| BASE64.encode(value));
            self.wrong(&format!(
                "{INVALID}Input collection [{listed}]of type BS contains duplicates."
            ));
        }
        values.sort_unstable();
        values.dedup();
        Ok(values)
    }

    /// A set with duplicates as error texts list it. The older layer lists it as it was sent. The
    /// newer one has put the elements up to the first repeated one in order, and quotes them all.
    fn listed<T: Ord>(
        &self,
        values: &[T],
        separator: &str,
        print: impl Fn(&T) -> String,
    ) -> String {
        if self.faults == ValueFaults::Older {
            return echo::list(values, separator, print);
        }
        let mut seen = BTreeSet::new();
        let distinct = values.iter().take_while(|value| seen.insert(*value)).count();
        let rest = values.iter().skip(distinct);
        echo::list(seen.into_iter().chain(rest), separator, |value| format!("\"{}\"", print(value)))
    }
}

const INVALID: &str = "One or more parameter values were invalid: ";
const NULL_FALSE: &str = "One or more parameter values were invalid: Null attribute value types \
                          must have the value of true";
const EMPTY: &str =
    "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes";
const SEVERAL: &str = "Supplied AttributeValue has more than one datatypes set, must contain \
                       exactly one of the supported datatypes";
const TOO_DEEP: &str = "Nesting Levels have exceeded supported limits: Attributes in the item have \
                        nested levels beyond supported limit";
const NULL_STRING: &str = "One or more parameter values were invalid: An string set may not have a null string as a member";
const NULL_BINARY: &str =
    "One or more parameter values were invalid: Binary sets may not contain null values";
const NOT_NUMERIC: &str = "The parameter cannot be converted to a numeric value";

fn has_duplicates<T: Ord>(values: &[T]) -> bool {
    let mut sorted: Vec<&T> = values.iter().collect();
    sorted.sort_unstable();
    sorted.iter().zip(sorted.iter().skip(1)).any(|(a, b)| a == b)
}

/// The service's text for a number that is none. An empty one is repeated by the newer layer only.
fn number_fault(error: NumberError, digits: &str, faults: ValueFaults) -> String {
    match (error, faults) {
        (NumberError::Malformed, ValueFaults::Newer) => {
            format!("{NOT_NUMERIC}: {}", echo::cut(digits))
        }
        (NumberError::Overflow | NumberError::Underflow, ValueFaults::Older) => {
            older_range_fault(digits).unwrap_or(error).message(echo::cut(digits))
        }
        _ => error.message(echo::cut(digits)),
    }
}

/// What the older layer makes of a number that is out of range, where that differs: it knows exponents
/// of 32 bits only, and compares the digits before the point in 32 bits, which wrap.
fn older_range_fault(text: &str) -> Option<NumberError> {
    let (digits, exponent) = text.split_once(['e', 'E'])?;
    let Ok(exponent) = exponent.parse::<i32>() else { return Some(NumberError::Malformed) };
    let decimals = digits.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let scale = i64::try_from(decimals).ok()? - i64::from(exponent);
    if i32::try_from(scale).is_err() {
        return Some(NumberError::Malformed);
    }
    let is_leading = |digit: char| matches!(digit, '+' | '-' | '.' | '0');
    let significant = digits.trim_start_matches(is_leading).replace('.', "").len().max(1);
    let before_point = i64::try_from(significant).ok()? - scale;
    if i32::try_from(before_point).is_ok() {
        return None;
    }
    Some(if before_point > 0 { NumberError::Underflow } else { NumberError::Overflow })
}

/// Decodes a blob, with the service's texts for what is not canonical base64.
fn decode_base64(text: &str) -> Result<Bytes, Box<ServiceError>> {
    if !text.len().is_multiple_of(4) {
        return Err(node::wrong_type(format!(
            "Base64 encoded length is expected a multiple of 4 bytes but found: {}",
            text.len()
        )));
    }
    match BASE64.decode(text) {
        Ok(bytes) => Ok(Bytes::from(bytes)),
        Err(base64::DecodeError::InvalidByte(_, byte)) if byte != b'=' => {
            Err(node::wrong_type(format!("Invalid Base64 character: '{}'", char::from(byte))))
        }
        Err(base64::DecodeError::InvalidLength(_)) => Err(malformed()),
        Err(_) => Err(node::wrong_type("Invalid last non-pad Base64 character dectected")),
    }
}
