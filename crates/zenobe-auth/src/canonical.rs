//! The canonical request and the string to sign: the bytes that a signature is made of.
//!
//! Source: IAM User Guide, "Create a signed AWS API request", steps 1 to 3.

use http::HeaderMap;
use ring::digest;

use crate::parse::{SignedRequest, query_pairs};

const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";
const CONTENT_SHA256: &str = "x-amz-content-sha256";

/// Writes the canonical request into `out`, which is cleared first.
///
/// `signed_headers` are names separated by semicolons, as the client gave them.
pub(crate) fn canonical_request(
    request: &SignedRequest<'_>,
    signed_headers: &str,
    out: &mut Vec<u8>,
) {
    out.clear();
    out.extend_from_slice(request.method.as_bytes());
    out.push(b'\n');
    push_path(request.path, out);
    out.push(b'\n');
    if let Some(query) = request.query
        && !query.is_empty()
    {
        push_query(query, out);
    }
    out.push(b'\n');
    for name in signed_headers.split(';') {
        push_header(request, name, out);
    }
    out.push(b'\n');
    out.extend(signed_headers.bytes().map(|byte| byte.to_ascii_lowercase()));
    out.push(b'\n');
    if payload_is_unsigned(request.headers, signed_headers) {
        out.extend_from_slice(UNSIGNED_PAYLOAD.as_bytes());
    } else {
        push_hex(digest::digest(&digest::SHA256, request.body).as_ref(), out);
    }
}

/// Writes the string to sign into `out`, which is cleared first. `scope` is
/// `date/region/service/aws4_request`.
pub(crate) fn string_to_sign(
    timestamp: &str,
    scope: [&str; 4],
    canonical: &[u8],
    out: &mut Vec<u8>,
) {
    out.clear();
    out.extend_from_slice(crate::parse::ALGORITHM.as_bytes());
    out.push(b'\n');
    out.extend_from_slice(timestamp.as_bytes());
    out.push(b'\n');
    for (place, part) in scope.into_iter().enumerate() {
        if place > 0 {
            out.push(b'/');
        }
        out.extend_from_slice(part.as_bytes());
    }
    out.push(b'\n');
    push_hex(digest::digest(&digest::SHA256, canonical).as_ref(), out);
}

/// A client may say that the body is not covered, but only under its signature: otherwise anybody
/// on the way could say it.
fn payload_is_unsigned(headers: &HeaderMap, signed_headers: &str) -> bool {
    headers.get(CONTENT_SHA256).is_some_and(|value| value == UNSIGNED_PAYLOAD)
        && signed_headers.split(';').any(|name| name.eq_ignore_ascii_case(CONTENT_SHA256))
}

/// Writes `name:values\n`: the values in order, separated by commas, each without outer spaces and
/// with runs of spaces and tabs as one space.
fn push_header(request: &SignedRequest<'_>, name: &str, out: &mut Vec<u8>) {
    out.extend(name.bytes().map(|byte| byte.to_ascii_lowercase()));
    out.push(b':');
    let is_host = name.eq_ignore_ascii_case("host");
    match request.authority {
        Some(authority)
            if name == ":authority" || is_host && !request.headers.contains_key("host") =>
        {
            out.extend_from_slice(authority.as_bytes());
        }
        _ => {
            // `get_all` takes any case; a name that is no header name has no values.
            for (place, value) in request.headers.get_all(name).iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                push_collapsed(value.as_bytes(), out);
            }
        }
    }
    out.push(b'\n');
}

fn push_collapsed(value: &[u8], out: &mut Vec<u8>) {
    let value = value.trim_ascii();
    if !value.contains(&b'\t') && !value.windows(2).any(|pair| pair == b"  ") {
        out.extend_from_slice(value);
        return;
    }
    let words = value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    for (place, word) in words.enumerate() {
        if place > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(word);
    }
}

/// Writes the canonical path: dot segments and empty segments removed, everything but unreserved
/// characters encoded once more, since every service but S3 encodes twice.
fn push_path(path: &str, out: &mut Vec<u8>) {
    if path.is_empty() || path == "/" {
        out.push(b'/');
        return;
    }
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            _ => segments.push(segment),
        }
    }
    for segment in &segments {
        out.push(b'/');
        push_encoded(segment.as_bytes(), out);
    }
    if segments.is_empty() || path.ends_with('/') {
        out.push(b'/');
    }
}

/// Writes the canonical query string: decoded, encoded again, sorted, without the signature itself.
fn push_query(query: &str, out: &mut Vec<u8>) {
    let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = query_pairs(query)
        .filter(|(name, _)| name != "X-Amz-Signature")
        .map(|(name, value)| {
            let (mut encoded_name, mut encoded_value) = (Vec::new(), Vec::new());
            push_encoded(name.as_bytes(), &mut encoded_name);
            push_encoded(value.as_bytes(), &mut encoded_value);
            (encoded_name, encoded_value)
        })
        .collect();
    pairs.sort_unstable();
    for (place, (name, value)) in pairs.iter().enumerate() {
        if place > 0 {
            out.push(b'&');
        }
        out.extend_from_slice(name);
        out.push(b'=');
        out.extend_from_slice(value);
    }
}

fn push_encoded(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(byte);
        } else {
            out.push(b'%');
            push_digits(byte, DIGITS, out);
        }
    }
}

pub(crate) fn push_hex(bytes: &[u8], out: &mut Vec<u8>) {
    for &byte in bytes {
        push_digits(byte, b"0123456789abcdef", out);
    }
}

#[expect(clippy::indexing_slicing, reason = "a nibble is below 16")]
fn push_digits(byte: u8, digits: &[u8; 16], out: &mut Vec<u8>) {
    out.push(digits[usize::from(byte >> 4)]);
    out.push(digits[usize::from(byte & 15)]);
}
