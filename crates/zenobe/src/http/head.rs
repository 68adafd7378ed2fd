//! The head of a request: how long it may be, and what memory it takes.
//!
//! HTTP/1.1 has one head on a connection and HTTP/2 as many as streams, each of which may name what came before by a
//! byte. So what counts is what a head becomes, not what was sent.

use hyper::http::request::Parts;

/// The most headers of a request.
pub(crate) const HEADERS_MAX: usize = 128;
/// The longest head of a request, in bytes, as HTTP/2 counts them. A signed request has about one KB of headers, and
/// perhaps a session token of a few more.
pub(crate) const HEAD_BYTES_MAX: u32 = 16 << 10;
/// What HTTP/2 counts for a header beside its name and value. Source: RFC 9113, section 6.5.2.
const HEADER_BYTES: usize = 32;

/// Whether a head is longer than it may be, whichever protocol brought it.
pub(crate) fn is_too_long(parts: &Parts) -> bool {
    parts.headers.len() > HEADERS_MAX || bytes(parts, HEADER_BYTES) > HEAD_BYTES_MAX as usize
}

/// What a header takes in memory beside its name and value, in bytes: its place in the map, and in the index of that.
const HEADER_MEMORY_BYTES: usize = 128;

/// What memory a head takes, in bytes, roughly.
pub(crate) fn memory_bytes(parts: &Parts) -> usize {
    bytes(parts, HEADER_MEMORY_BYTES)
}

/// The length of a head, with so many bytes for each header beside its name and value.
fn bytes(parts: &Parts, header_bytes: usize) -> usize {
    let target = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
    let headers = parts.headers.iter();
    let texts = headers.map(|(name, value)| name.as_str().len() + value.len());
    target + texts.sum::<usize>() + parts.headers.len() * header_bytes
}
