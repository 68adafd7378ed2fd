//! Request bodies: collected within limits of size, time and memory, and decompressed within the same.
//!
//! A body that arrives with its head (nearly all do) lies in the connection's read buffer anyway. The
//! memory of larger ones is counted over all connections: otherwise clients that nobody has let in
//! yet could fill it, sixteen megabytes at a time.

use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flate2::bufread::MultiGzDecoder;
use http_body_util::BodyExt;
use hyper::body::Body;
use hyper::header::{self, HeaderMap};

/// The largest body, in bytes, before and after decompression. Source: Developer Guide, "Quotas"
/// (a request of BatchWriteItem may have 16 MB).
pub(crate) const BODY_BYTES_MAX: usize = 16 << 20;
/// The most memory that large bodies take together, in bytes.
const BUDGET_BYTES: usize = 256 << 20;
/// How much is set aside on the word of a Content-Length header alone.
const TRUSTED_LENGTH_BYTES: usize = 64 << 10;

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// It is longer than [`BODY_BYTES_MAX`].
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

/// The memory that large bodies take together.
#[derive(Debug, Default)]
pub(crate) struct BodyBudget {
    used_bytes: AtomicUsize,
}

/// A body's part of the budget, given back when dropped.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    budget: &'a BodyBudget,
    bytes: usize,
}

impl BodyBudget {
    /// Nothing held yet.
    pub(crate) const fn hold_nothing(&self) -> Held<'_> {
        Held { budget: self, bytes: 0 }
    }
}

impl Held<'_> {
    /// Takes so much more.
    fn take(&mut self, more_bytes: usize) -> Result<(), BodyError> {
        let before = self.budget.used_bytes.fetch_add(more_bytes, Ordering::Relaxed);
        self.bytes += more_bytes;
        if before + more_bytes > BUDGET_BYTES { Err(BodyError::NoRoom) } else { Ok(()) }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.budget.used_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

/// Collects a body. One that arrived together with its head is not copied.
pub(crate) async fn collect<B>(
    body: B,
    timeout: Duration,
    held: &mut Held<'_>,
) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
        return Err(BodyError::TooLarge);
    }
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    tokio::time::timeout(timeout, collect_frames(body, held))
        .await
        .map_err(|_| BodyError::TimedOut)?
}

async fn collect_frames<B>(mut body: B, held: &mut Held<'_>) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let Some(first) = next_data(&mut body).await? else {
        return Ok(Bytes::new());
    };
    if first.len() > BODY_BYTES_MAX {
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
        if whole.len() + data.len() > BODY_BYTES_MAX {
            return Err(BodyError::TooLarge);
        }
        held.take(data.len())?;
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
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

fn gunzip(body: &[u8], held: &mut Held<'_>) -> Result<Bytes, BodyError> {
    let mut plain = Vec::new();
    let mut decoder = MultiGzDecoder::new(body);
    loop {
        let step = (&mut decoder).take(GUNZIP_STEP_BYTES).read_to_end(&mut plain);
        let step_bytes = step.map_err(|_| BodyError::Malformed)?;
        if step_bytes == 0 {
            return Ok(plain.into());
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

    #[test]
    fn the_budget_is_shared_and_given_back() {
        let budget = BodyBudget::default();
        let mut first = budget.hold_nothing();
        assert_eq!(first.take(BUDGET_BYTES - 1), Ok(()));
        let mut second = budget.hold_nothing();
        assert_eq!(second.take(1), Ok(()));
        assert_eq!(second.take(1), Err(BodyError::NoRoom));
        drop((first, second));
        assert_eq!(budget.hold_nothing().take(BUDGET_BYTES), Ok(()));
        assert_eq!(budget.used_bytes.load(Ordering::Relaxed), 0);
    }
}
