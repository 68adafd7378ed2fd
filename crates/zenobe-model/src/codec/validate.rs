//! The one walk that decides whether stored bytes are an item.
//!
//! `TEXTS` says whether it looks at every byte of names and strings, too. Whoever only passes an item on
//! may do that once for all that it passes on.

use super::{
    CorruptItem, FORMAT_VERSION, HEADER_BYTES, STORED_DEPTH_MAX, split_bytes, split_container,
    split_length, split_number, tag,
};
use crate::size::{CONTAINER_BYTES, ELEMENT_BYTES, number_size};

/// What is wrong, with the bytes from there on: their number tells the offset.
struct Broken<'a>(&'static str, &'a [u8]);

/// The size as DynamoDB counts it, and the bytes behind.
type Checked<'a> = Result<(usize, &'a [u8]), Broken<'a>>;

/// A part and the bytes behind it.
type Split<'a, T> = Result<(T, &'a [u8]), Broken<'a>>;

/// Checks the version of the layout.
pub(super) fn version(bytes: &[u8]) -> Result<(), CorruptItem> {
    let malformed = |reason| CorruptItem::Malformed { offset: 0, reason };
    match bytes.first() {
        None => Err(malformed("empty")),
        Some(&FORMAT_VERSION) => Ok(()),
        Some(0) => Err(malformed("no format version")),
        Some(&version) => Err(CorruptItem::Version(version)),
    }
}

/// Checks a whole item.
pub(super) fn item<const TEXTS: bool>(bytes: &[u8]) -> Result<(), CorruptItem> {
    let malformed =
        |reason, rest: &[u8]| CorruptItem::Malformed { offset: bytes.len() - rest.len(), reason };
    version(bytes)?;
    let Some((header, attributes)) = bytes.split_at_checked(HEADER_BYTES) else {
        return Err(malformed("the header is cut off", &[]));
    };
    let [.., s0, s1, s2, s3, c0, c1, c2, c3] = *header else {
        return Err(malformed("the header is cut off", &[]));
    };
    let count = u32::from_le_bytes([c0, c1, c2, c3]);
    match map::<TEXTS>(attributes, count, 0) {
        Ok((size, [])) if u32::try_from(size) == Ok(u32::from_le_bytes([s0, s1, s2, s3])) => Ok(()),
        Ok((_, [])) => Err(CorruptItem::Malformed {
            offset: HEADER_BYTES - 8,
            reason: "the size is not that of the attributes",
        }),
        Ok((_, rest)) => Err(malformed("more bytes than attributes", rest)),
        Err(Broken(reason, rest)) => Err(malformed(reason, rest)),
    }
}

/// Checks `count` attributes.
fn map<const TEXTS: bool>(mut bytes: &[u8], count: u32, depth: usize) -> Checked<'_> {
    let mut previous: Option<&[u8]> = None;
    let mut size = 0;
    for _ in 0..count {
        let (name, rest) = text::<TEXTS>(bytes)?;
        if previous.is_some_and(|previous| previous >= name) {
            return Err(Broken("names do not ascend", bytes));
        }
        previous = Some(name);
        let (value_size, rest) = value::<TEXTS>(rest, depth + 1)?;
        size += name.len() + value_size;
        bytes = rest;
    }
    Ok((size, bytes))
}

/// Checks a value.
fn value<const TEXTS: bool>(bytes: &[u8], depth: usize) -> Checked<'_> {
    if depth > STORED_DEPTH_MAX {
        return Err(Broken("values nest too deep", bytes));
    }
    let Some((&byte, payload)) = bytes.split_first() else {
        return Err(Broken("a value is cut off", bytes));
    };
    match byte {
        tag::NULL | tag::FALSE | tag::TRUE => Ok((1, payload)),
        tag::S => text::<TEXTS>(payload).map(|(text, rest)| (text.len(), rest)),
        tag::N => number(payload).map(|(number, rest)| (number_size(number), rest)),
        tag::B => binary(payload).map(|(bytes, rest)| (bytes.len(), rest)),
        tag::SS => set(payload, text::<true>, |text| text.len()),
        tag::NS => set(payload, number, |number| number_size(*number)),
        tag::BS => set(payload, binary, |bytes| bytes.len()),
        tag::L => container(payload, |mut elements, count| {
            let mut size = CONTAINER_BYTES;
            for _ in 0..count {
                let (value_size, rest) = value::<TEXTS>(elements, depth + 1)?;
                size += ELEMENT_BYTES + value_size;
                elements = rest;
            }
            Ok((size, elements))
        }),
        tag::M => container(payload, |elements, count| {
            let (size, rest) = map::<TEXTS>(elements, count, depth)?;
            Ok((CONTAINER_BYTES + ELEMENT_BYTES * count as usize + size, rest))
        }),
        _ => Err(Broken("unknown tag", bytes)),
    }
}

/// Checks that a container holds exactly what its count says.
fn container<'a>(
    payload: &'a [u8],
    check: impl FnOnce(&'a [u8], u32) -> Checked<'a>,
) -> Checked<'a> {
    let Some((count, elements, rest)) = split_container(payload) else {
        return Err(Broken("a container is cut off", payload));
    };
    // The end of the elements is not the end of the item, from which offsets are counted: what is
    // wrong inside of a container is reported at the container.
    match check(elements, count) {
        Ok((size, [])) => Ok((size, rest)),
        Ok(_) => Err(Broken("a container is longer than its elements", payload)),
        Err(Broken(reason, _)) => Err(Broken(reason, payload)),
    }
}

fn set<'a, T: Ord>(
    payload: &'a [u8],
    split: impl Fn(&'a [u8]) -> Split<'a, T>,
    size_of: impl Fn(&T) -> usize,
) -> Checked<'a> {
    container(payload, |mut elements, count| {
        let mut previous: Option<T> = None;
        let mut size = 0;
        for _ in 0..count {
            let (element, rest) = split(elements)?;
            if previous.as_ref().is_some_and(|previous| *previous >= element) {
                return Err(Broken("elements of a set do not ascend", elements));
            }
            size += size_of(&element);
            previous = Some(element);
            elements = rest;
        }
        Ok((size, elements))
    })
}

/// Splits a number off.
fn number(bytes: &[u8]) -> Split<'_, crate::Number> {
    split_number(bytes).ok_or(Broken("not a number", bytes))
}

/// Splits text off: UTF-8 if that is to be checked, its length in the shortest form.
fn text<const CHECKED: bool>(bytes: &[u8]) -> Split<'_, &[u8]> {
    let (text, rest) = binary(bytes)?;
    if !CHECKED || text.is_ascii() || std::str::from_utf8(text).is_ok() {
        Ok((text, rest))
    } else {
        Err(Broken("text is not UTF-8", bytes))
    }
}

/// Splits bytes off, their length in the shortest form.
fn binary(bytes: &[u8]) -> Split<'_, &[u8]> {
    const CUT_OFF: &str = "bytes are cut off";
    let shortest = match bytes {
        [0xFE, ..] => split_length(bytes).is_none_or(|(length, _)| length >= 0xFE),
        [0xFF, ..] => split_length(bytes).is_none_or(|(length, _)| length > 0xFFFF),
        [length, rest @ ..] => {
            let split = rest.split_at_checked(usize::from(*length));
            return split.ok_or(Broken(CUT_OFF, bytes));
        }
        [] => return Err(Broken(CUT_OFF, bytes)),
    };
    if !shortest {
        return Err(Broken("a length is not in its shortest form", bytes));
    }
    split_bytes(bytes).ok_or(Broken(CUT_OFF, bytes))
}
