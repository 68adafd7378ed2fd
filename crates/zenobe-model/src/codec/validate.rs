//! The one walk that decides whether stored bytes are an item.

use super::{
    CorruptItem, FORMAT_VERSION, HEADER_BYTES, STORED_DEPTH_MAX, split_bytes, split_container,
    split_length, split_number, tag,
};

/// What is wrong, with the bytes from there on: their number tells the offset.
struct Broken<'a>(&'static str, &'a [u8]);

type Checked<'a> = Result<&'a [u8], Broken<'a>>;

/// Checks a whole item.
pub(super) fn item(bytes: &[u8]) -> Result<(), CorruptItem> {
    let malformed =
        |reason, rest: &[u8]| CorruptItem::Malformed { offset: bytes.len() - rest.len(), reason };
    match bytes.first() {
        None => return Err(malformed("empty", bytes)),
        Some(&FORMAT_VERSION) => {}
        Some(0) => return Err(malformed("no format version", bytes)),
        Some(&version) => return Err(CorruptItem::Version(version)),
    }
    let Some((header, attributes)) = bytes.split_at_checked(HEADER_BYTES) else {
        return Err(malformed("the header is cut off", &[]));
    };
    let count = header.last_chunk::<4>().map_or(0, |count| u32::from_le_bytes(*count));
    match map(attributes, count as usize, 0) {
        Ok([]) => Ok(()),
        Ok(rest) => Err(malformed("more bytes than attributes", rest)),
        Err(Broken(reason, rest)) => Err(malformed(reason, rest)),
    }
}

/// Checks `count` attributes; returns what is behind them.
fn map(mut bytes: &[u8], count: usize, depth: usize) -> Checked<'_> {
    let mut previous: Option<&[u8]> = None;
    for _ in 0..count {
        let (name, rest) = text(bytes)?;
        if previous.is_some_and(|previous| previous >= name) {
            return Err(Broken("names do not ascend", bytes));
        }
        previous = Some(name);
        bytes = value(rest, depth + 1)?;
    }
    Ok(bytes)
}

/// Checks a value; returns what is behind it.
fn value(bytes: &[u8], depth: usize) -> Checked<'_> {
    if depth > STORED_DEPTH_MAX {
        return Err(Broken("values nest too deep", bytes));
    }
    let Some((&byte, payload)) = bytes.split_first() else {
        return Err(Broken("a value is cut off", bytes));
    };
    match byte {
        tag::NULL | tag::FALSE | tag::TRUE => Ok(payload),
        tag::S => text(payload).map(|(_, rest)| rest),
        tag::N => {
            split_number(payload).map(|(_, rest)| rest).ok_or(Broken("not a number", payload))
        }
        tag::B => binary(payload).map(|(_, rest)| rest),
        tag::SS => set(payload, text),
        tag::NS => set(payload, |bytes| split_number(bytes).ok_or(Broken("not a number", bytes))),
        tag::BS => set(payload, binary),
        tag::L => container(payload, |mut elements, count| {
            for _ in 0..count {
                elements = value(elements, depth + 1)?;
            }
            Ok(elements)
        }),
        tag::M => container(payload, |elements, count| map(elements, count, depth)),
        _ => Err(Broken("unknown tag", bytes)),
    }
}

/// Checks that a container holds exactly what its count says; returns what is behind it.
fn container<'a>(
    payload: &'a [u8],
    check: impl FnOnce(&'a [u8], usize) -> Checked<'a>,
) -> Checked<'a> {
    let Some((count, elements, rest)) = split_container(payload) else {
        return Err(Broken("a container is cut off", payload));
    };
    // The end of the elements is not the end of the item, from which offsets are counted: what is
    // wrong inside of a container is reported at the container.
    match check(elements, count) {
        Ok([]) => Ok(rest),
        Ok(_) => Err(Broken("a container is longer than its elements", payload)),
        Err(Broken(reason, _)) => Err(Broken(reason, payload)),
    }
}

fn set<'a, T: Ord>(
    payload: &'a [u8],
    split: impl Fn(&'a [u8]) -> Result<(T, &'a [u8]), Broken<'a>>,
) -> Checked<'a> {
    container(payload, |mut elements, count| {
        let mut previous: Option<T> = None;
        for _ in 0..count {
            let (element, rest) = split(elements)?;
            if previous.as_ref().is_some_and(|previous| *previous >= element) {
                return Err(Broken("elements of a set do not ascend", elements));
            }
            previous = Some(element);
            elements = rest;
        }
        Ok(elements)
    })
}

/// Splits text off: UTF-8, its length in the shortest form.
fn text(bytes: &[u8]) -> Result<(&[u8], &[u8]), Broken<'_>> {
    let (text, rest) = binary(bytes)?;
    match std::str::from_utf8(text) {
        Ok(_) => Ok((text, rest)),
        Err(_) => Err(Broken("text is not UTF-8", bytes)),
    }
}

/// Splits bytes off, their length in the shortest form.
fn binary(bytes: &[u8]) -> Result<(&[u8], &[u8]), Broken<'_>> {
    if let Some((length, _)) = split_length(bytes) {
        let shortest = match bytes.first() {
            Some(0xFE) => length >= 0xFE,
            Some(0xFF) => length > 0xFFFF,
            _ => true,
        };
        if !shortest {
            return Err(Broken("a length is not in its shortest form", bytes));
        }
    }
    split_bytes(bytes).ok_or(Broken("bytes are cut off", bytes))
}
