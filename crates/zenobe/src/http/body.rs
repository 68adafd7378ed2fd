//! Request bodies: collected within limits of size and time, and decompressed within the same.

use std::io::Read;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flate2::bufread::MultiGzDecoder;
use http_body_util::BodyExt;
use hyper::body::Body;
use hyper::header::{self, HeaderMap};

/// The largest body, in bytes, before and after decompression. Source: Developer Guide, "Quotas"
/// (a request of BatchWriteItem may have 16 MB).
pub(crate) const BODY_BYTES_MAX: usize = 16 << 20;
/// How much is set aside on the word of a Content-Length header alone.
const TRUSTED_LENGTH_BYTES: usize = 64 << 10;

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// It is longer than [`BODY_BYTES_MAX`].
    TooLarge,
    /// It did not arrive in time.
    TimedOut,
    /// The connection broke or the framing is wrong.
    Broken,
    /// It is not what Content-Encoding says.
    Malformed,
}

/// Collects a body. One that arrived together with its head is not copied.
pub(crate) async fn collect<B>(body: B, timeout: Duration) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
        return Err(BodyError::TooLarge);
    }
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    tokio::time::timeout(timeout, collect_frames(body)).await.map_err(|_| BodyError::TimedOut)?
}

async fn collect_frames<B>(mut body: B) -> Result<Bytes, BodyError>
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
    let expected = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut whole = BytesMut::with_capacity(first.len() + expected.min(TRUSTED_LENGTH_BYTES));
    whole.extend_from_slice(&first);
    while let Some(data) = next_data(&mut body).await? {
        if whole.len() + data.len() > BODY_BYTES_MAX {
            return Err(BodyError::TooLarge);
        }
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
pub(crate) fn decompress(headers: &HeaderMap, body: Bytes) -> Result<Bytes, BodyError> {
    let Some(encoding) = headers.get(header::CONTENT_ENCODING) else {
        return Ok(body);
    };
    match encoding.as_bytes().trim_ascii() {
        b"" | b"identity" => Ok(body),
        encoding if encoding.eq_ignore_ascii_case(b"gzip") => gunzip(&body),
        _ => Err(BodyError::Malformed),
    }
}

fn gunzip(body: &[u8]) -> Result<Bytes, BodyError> {
    let mut plain = Vec::new();
    let limit = BODY_BYTES_MAX as u64 + 1;
    MultiGzDecoder::new(body)
        .take(limit)
        .read_to_end(&mut plain)
        .map_err(|_| BodyError::Malformed)?;
    if plain.len() > BODY_BYTES_MAX {
        return Err(BodyError::TooLarge);
    }
    Ok(plain.into())
}
