//! JSON text, written straight into the output buffer.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zenobe_model::codec::{EncodedItem, MapRef, RawValue};
use zenobe_model::number::NumberBuffer;
use zenobe_model::value::{AttributeValue, Item};
use zenobe_model::{Number, ValueRef};

use crate::json::plain_length;

/// An object that is being written. The caller closes it.
pub(crate) struct Object<'o> {
    out: &'o mut Vec<u8>,
    empty: bool,
}

impl<'o> Object<'o> {
    /// Opens an object.
    pub(crate) fn open(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, empty: true }
    }

    fn comma(&mut self) {
        if !self.empty {
            self.out.push(b',');
        }
        self.empty = false;
    }

    /// Writes a name of the API, which needs no escapes, and hands out the buffer for its value.
    pub(crate) fn member(&mut self, name: &str) -> &mut Vec<u8> {
        self.comma();
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    /// Writes a name from the client, and hands out the buffer for its value.
    pub(crate) fn key(&mut self, name: &str) -> &mut Vec<u8> {
        self.comma();
        string(self.out, name);
        self.out.push(b':');
        self.out
    }

    /// Writes a string member.
    pub(crate) fn text(&mut self, name: &str, value: &str) {
        string(self.member(name), value);
    }

    /// Writes an integer member.
    pub(crate) fn integer(&mut self, name: &str, value: impl itoa::Integer) {
        integer(self.member(name), value);
    }

    /// Writes a boolean member.
    pub(crate) fn boolean(&mut self, name: &str, value: bool) {
        boolean(self.member(name), value);
    }

    /// Closes the object.
    pub(crate) fn close(self) {
        self.out.push(b'}');
    }
}

/// Writes an array of `values`.
pub(crate) fn array<T>(
    out: &mut Vec<u8>,
    values: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(b'[');
    let mut empty = true;
    for value in values {
        if !empty {
            out.push(b',');
        }
        empty = false;
        write(out, value);
    }
    out.push(b']');
}

/// Writes a string in quotes, with what JSON wants escaped.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    string_bytes(out, text.as_bytes());
}

/// Writes the bytes of a stored string. Should they be no UTF-8, then the whole body is none, which
/// is checked before it is sent.
fn string_bytes(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    content(out, text);
    out.push(b'"');
}

/// Writes what is between the quotes of a string.
fn content(out: &mut Vec<u8>, mut rest: &[u8]) {
    loop {
        let (plain, special) = rest.split_at_checked(plain_length(rest)).unwrap_or((rest, &[]));
        out.extend_from_slice(plain);
        let Some((&byte, behind)) = special.split_first() else { break };
        escape(out, byte);
        rest = behind;
    }
}

fn escape(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        0x0C => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            out.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// Writes an integer.
pub(crate) fn integer(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Writes a boolean.
pub(crate) fn boolean(out: &mut Vec<u8>, value: bool) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

/// Writes a figure with a point, as the service does: `1.0`, `0.5`.
pub(crate) fn decimal(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(format!("{value:?}").as_bytes());
}

/// Writes a time in seconds as the service does, which prints large figures like `1.363729002E9`.
pub(crate) fn seconds(out: &mut Vec<u8>, milliseconds: u64) {
    let digits = milliseconds.to_string();
    // The service changes to this notation at 10^7, which is in April of 1970.
    let Some((first, rest)) = digits.split_at_checked(1).filter(|_| digits.len() >= 11) else {
        #[expect(clippy::cast_precision_loss, reason = "fewer than eleven digits")]
        return decimal(out, milliseconds as f64 / 1000.0);
    };
    let rest = rest.trim_end_matches('0');
    let rest = if rest.is_empty() { "0" } else { rest };
    out.extend_from_slice(format!("{first}.{rest}E{}", digits.len() - 4).as_bytes());
}

fn base64(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written = STANDARD.encode_slice(bytes, out.get_mut(start..).unwrap_or_default());
    // The buffer has the exact size, so that nothing is cut off.
    out.truncate(start + written.unwrap_or_default());
    out.push(b'"');
}

fn number(out: &mut Vec<u8>, value: Number) {
    out.push(b'"');
    out.extend_from_slice(value.format(&mut NumberBuffer::new()).as_bytes());
    out.push(b'"');
}

/// Writes a stored item without building it.
pub(crate) fn encoded_item(out: &mut Vec<u8>, item: &EncodedItem) {
    map(out, item.as_map());
}

fn map(out: &mut Vec<u8>, map: MapRef<'_>) {
    let mut start: &[u8] = b"{\"";
    let mut attributes = map.iter();
    while let Some((name, value)) = attributes.next_bytes() {
        out.extend_from_slice(start);
        start = b",\"";
        content(out, name);
        match value.string_bytes() {
            // What most attributes are, in as few steps as possible.
            Some(text) => {
                out.extend_from_slice(b"\":{\"S\":\"");
                content(out, text);
                out.extend_from_slice(b"\"}");
            }
            None => {
                out.extend_from_slice(b"\":");
                raw_value(out, value);
            }
        }
    }
    out.extend_from_slice(if start == b"{\"" { b"{}" } else { b"}" });
}

fn raw_value(out: &mut Vec<u8>, value: RawValue<'_>) {
    if let Some(text) = value.string_bytes() {
        return typed(out, "S", |out| string_bytes(out, text));
    }
    match value.value() {
        ValueRef::S(text) => typed(out, "S", |out| string(out, text)),
        ValueRef::N(value) => typed(out, "N", |out| number(out, value)),
        ValueRef::B(bytes) => typed(out, "B", |out| base64(out, bytes)),
        ValueRef::Bool(value) => typed(out, "BOOL", |out| boolean(out, value)),
        ValueRef::Null => typed(out, "NULL", |out| boolean(out, true)),
        ValueRef::Ss(set) => typed(out, "SS", |out| array(out, set.iter(), string)),
        ValueRef::Ns(set) => typed(out, "NS", |out| array(out, set.iter(), number)),
        ValueRef::Bs(set) => typed(out, "BS", |out| array(out, set.iter(), base64)),
        ValueRef::L(list) => typed(out, "L", |out| array(out, list.iter(), raw_value)),
        ValueRef::M(value) => typed(out, "M", |out| map(out, value)),
    }
}

fn typed(out: &mut Vec<u8>, value_type: &str, write: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"{\"");
    out.extend_from_slice(value_type.as_bytes());
    out.extend_from_slice(b"\":");
    write(out);
    out.push(b'}');
}

/// Writes an item that is a tree, such as a key.
pub(crate) fn item(out: &mut Vec<u8>, item: &Item) {
    let mut object = Object::open(out);
    for (name, value) in item {
        attribute_value(object.key(name), value);
    }
    object.close();
}

fn attribute_value(out: &mut Vec<u8>, value: &AttributeValue) {
    typed(out, value.value_type().name(), |out| match value {
        AttributeValue::S(text) => string(out, text),
        AttributeValue::N(value) => number(out, *value),
        AttributeValue::B(bytes) => base64(out, bytes),
        AttributeValue::Bool(value) => boolean(out, *value),
        AttributeValue::Null => boolean(out, true),
        AttributeValue::Ss(set) => array(out, set, |out, text| string(out, text)),
        AttributeValue::Ns(set) => array(out, set, |out, value| number(out, *value)),
        AttributeValue::Bs(set) => array(out, set, |out, bytes| base64(out, bytes)),
        AttributeValue::L(list) => array(out, list, attribute_value),
        AttributeValue::M(map) => item(out, map),
    });
}
