//! Request bodies: collected within limits of size, time and memory, and decompressed within the same.
//!
//! A body that arrives with its head (nearly all do) lies in the connection's read buffer anyway. The memory of others
//! is counted over all connections, with their heads: otherwise clients that nobody has let in yet could fill it. There
//! are two budgets, so that those who send much do not keep the others out:
//!
//! - of the beginnings of requests, as much as is taken of anybody;
//! - of the rest, which only those send whose heads show a key that somebody has.
//!
//! The very beginning, which most requests do not exceed, is not counted. On all streams of a connection of HTTP/2 that
//! is a megabyte.

use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flate2::bufread::GzDecoder;
use http_body_util::BodyExt;
use hyper::body::Body;
use hyper::header::{self, HeaderMap};

/// The largest body, in bytes, before and after decompression. Source: Developer Guide, "Quotas"
/// (a request of BatchWriteItem may have 16 MB).
pub(crate) const BODY_BYTES_MAX: usize = 16 << 20;
/// How much of a body is taken, in bytes, where the head says already that the request is refused.
pub(crate) const UNPROVEN_BYTES_MAX: usize = 64 << 10;
/// What of a request is not counted, in bytes.
const UNCOUNTED_BYTES: usize = 8 << 10;
/// The beginning of a request, in bytes: a head, and as much of a body as is taken of anybody.
const BEGINNING_BYTES: usize = UNPROVEN_BYTES_MAX + (32 << 10);
/// Each of the budgets, in bytes.
const BUDGET_BYTES: usize = 256 << 20;
/// How much is set aside on the word of a Content-Length header alone.
const TRUSTED_LENGTH_BYTES: usize = 64 << 10;

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// It is longer than it may be.
    TooLarge,
    /// It did not arrive in time.
    TimedOut,
    /// The framing is wrong, or the body ends early.
    Broken,
    /// It is not what Content-Encoding says.
    Malformed,
    /// There is no memory for it now.
    NoRoom,
}

/// The memory that requests take together.
#[derive(Debug, Default)]
pub(crate) struct BodyBudget {
    /// By beginnings, and by the rest.
    used_bytes: [AtomicUsize; 2],
}

/// A request's part of the budgets, given back when dropped.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    budget: &'a BodyBudget,
    bytes: usize,
}

/// What a request of so many bytes takes of each budget.
const fn shares(bytes: usize) -> [usize; 2] {
    let beginning = if bytes < BEGINNING_BYTES { bytes } else { BEGINNING_BYTES };
    [beginning.saturating_sub(UNCOUNTED_BYTES), bytes.saturating_sub(BEGINNING_BYTES)]
}

impl BodyBudget {
    /// Nothing held yet.
    pub(crate) const fn hold_nothing(&self) -> Held<'_> {
        Held { budget: self, bytes: 0 }
    }
}

impl Held<'_> {
    /// Takes so much more.
    pub(crate) fn take(&mut self, more_bytes: usize) -> Result<(), BodyError> {
        let before = shares(self.bytes);
        self.bytes += more_bytes;
        let mut has_room = true;
        for ((used, after), before) in
            self.budget.used_bytes.iter().zip(shares(self.bytes)).zip(before)
        {
            let more = after - before;
            if more > 0 {
                has_room &= used.fetch_add(more, Ordering::Relaxed) + more <= BUDGET_BYTES;
            }
        }
        if has_room { Ok(()) } else { Err(BodyError::NoRoom) }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        for (used, share) in self.budget.used_bytes.iter().zip(shares(self.bytes)) {
            if share > 0 {
                used.fetch_sub(share, Ordering::Relaxed);
            }
        }
    }
}

/// Whether a body may be longer than what is taken of anybody, and is not known to be longer than any may be.
pub(crate) fn may_be_long(body: &impl Body) -> bool {
    let size = body.size_hint();
    size.lower() <= BODY_BYTES_MAX as u64
        && size.upper().is_none_or(|bytes| bytes > UNPROVEN_BYTES_MAX as u64)
}

/// Collects a body of at most so many bytes. One that arrived together with its head is not copied.
pub(crate) async fn collect<B>(
    body: B,
    limit_bytes: usize,
    timeout: Duration,
    held: &mut Held<'_>,
) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    if body.size_hint().lower() > limit_bytes as u64 {
        return Err(BodyError::TooLarge);
    }
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    tokio::time::timeout(timeout, collect_frames(body, limit_bytes, held))
        .await
        .map_err(|_| BodyError::TimedOut)?
}

async fn collect_frames<B>(
    mut body: B,
    limit_bytes: usize,
    held: &mut Held<'_>,
) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let Some(first) = next_data(&mut body).await? else {
        return Ok(Bytes::new());
    };
    if first.len() > limit_bytes {
        return Err(BodyError::TooLarge);
    }
    if body.is_end_stream() {
        return Ok(first);
    }
    held.take(first.len())?;
    let expected = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut whole = BytesMut::with_capacity(first.len() + expected.min(TRUSTED_LENGTH_BYTES));
    whole.extend_from_slice(&first);
    while let Some(data) = next_data(&mut body).await? {
        if whole.len() + data.len() > limit_bytes {
            return Err(BodyError::TooLarge);
        }
        held.take(data.len())?;
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

/// How long the rest of a body is passed over.
const PASS_OVER: Duration = Duration::from_secs(1);

/// Passes over the rest of a body, for a moment: a client that is still sending when the connection closes may not see
/// the answer.
pub(crate) async fn pass_over<B>(mut body: B)
where
    B: Body<Data = Bytes> + Unpin,
{
    let rest = async { while let Ok(Some(_)) = next_data(&mut body).await {} };
    let _ = tokio::time::timeout(PASS_OVER, rest).await;
}

/// The next piece of data; trailers are passed over.
async fn next_data<B>(body: &mut B) -> Result<Option<Bytes>, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    loop {
        match body.frame().await {
            None => return Ok(None),
            Some(Err(_)) => return Err(BodyError::Broken),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

/// Undoes Content-Encoding. Signatures cover the body as it was sent, so this comes after them.
pub(crate) fn decompress(
    headers: &HeaderMap,
    body: Bytes,
    held: &mut Held<'_>,
) -> Result<Bytes, BodyError> {
    let Some(encoding) = headers.get(header::CONTENT_ENCODING) else {
        return Ok(body);
    };
    match encoding.as_bytes().trim_ascii() {
        b"" | b"identity" => Ok(body),
        encoding if encoding.eq_ignore_ascii_case(b"gzip") => gunzip(&body, held),
        _ => Err(BodyError::Malformed),
    }
}

/// How much is decompressed at a time.
const GUNZIP_STEP_BYTES: u64 = 256 << 10;

/// Undoes gzip. A stream may have any number of members; here one is all: each costs far more time than its twenty bytes
/// should, and no client sends several.
fn gunzip(body: &[u8], held: &mut Held<'_>) -> Result<Bytes, BodyError> {
    let mut plain = Vec::new();
    let mut decoder = GzDecoder::new(body);
    loop {
        let step = (&mut decoder).take(GUNZIP_STEP_BYTES).read_to_end(&mut plain);
        let step_bytes = step.map_err(|_| BodyError::Malformed)?;
        if step_bytes == 0 {
            let is_whole = decoder.get_ref().is_empty();
            return if is_whole { Ok(plain.into()) } else { Err(BodyError::Malformed) };
        }
        if plain.len() > BODY_BYTES_MAX {
            return Err(BodyError::TooLarge);
        }
        held.take(step_bytes)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(budget: &BodyBudget) -> [usize; 2] {
        budget.used_bytes.each_ref().map(|used| used.load(Ordering::Relaxed))
    }

    #[test]
    fn a_request_takes_of_either_budget_what_is_its_share() {
        let budget = BodyBudget::default();
        let mut held = budget.hold_nothing();
        let mut check = |more_bytes, expected| {
            assert_eq!(held.take(more_bytes), Ok(()));
            assert_eq!(used(&budget), expected);
        };
        check(UNCOUNTED_BYTES, [0, 0]);
        check(1, [1, 0]);
        check(BEGINNING_BYTES, [BEGINNING_BYTES - UNCOUNTED_BYTES, UNCOUNTED_BYTES + 1]);
        drop(held);
        assert_eq!(used(&budget), [0, 0]);
    }

    #[test]
    fn without_room_for_the_rest_there_is_some_for_beginnings_and_always_for_small_requests() {
        let budget = BodyBudget::default();
        let mut large = budget.hold_nothing();
        assert_eq!(large.take(BEGINNING_BYTES + BUDGET_BYTES), Ok(()));
        assert_eq!(budget.hold_nothing().take(BEGINNING_BYTES), Ok(()));
        assert_eq!(budget.hold_nothing().take(BEGINNING_BYTES + 1), Err(BodyError::NoRoom));
        let share = BEGINNING_BYTES - UNCOUNTED_BYTES;
        let begun: Vec<_> = (1..BUDGET_BYTES / share)
            .map(|_| {
                let mut held = budget.hold_nothing();
                assert_eq!(held.take(BEGINNING_BYTES), Ok(()));
                held
            })
            .collect();
        assert_eq!(budget.hold_nothing().take(BEGINNING_BYTES), Err(BodyError::NoRoom));
        assert_eq!(budget.hold_nothing().take(UNCOUNTED_BYTES), Ok(()));
        drop((large, begun));
        assert_eq!(used(&budget), [0, 0]);
    }
}
