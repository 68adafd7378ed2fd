//! Signing, as a client does it: for tests, the bench and requests from one node to another.

use http::HeaderMap;
use http::header::HeaderValue;

use crate::canonical::{canonical_request, push_hex, string_to_sign};
use crate::credential::Credential;
use crate::parse::{ALGORITHM, SignedRequest};
use crate::time::UnixSeconds;
use crate::verify::signing_key;

/// What a signature is scoped to, and when it is made.
#[derive(Clone, Copy, Debug)]
pub struct SigningRequest<'a> {
    /// The region.
    pub region: &'a str,
    /// The service, `dynamodb`.
    pub service: &'a str,
    /// The moment of signing.
    pub now: UnixSeconds,
}

/// A request that cannot be signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigningError {
    /// The host header must be there before signing.
    #[error("a request must have a host header to be signed")]
    NoHost,
    /// The access key or token cannot be sent in a header.
    #[error("the credential cannot be sent in a header")]
    InvalidCredential,
}

/// Signs all of `headers` and adds `x-amz-date`, `x-amz-security-token` (where the credential has
/// one) and `authorization`. `path` may carry a query string.
///
/// # Errors
/// [`SigningError`] when the host is missing or the credential is not visible ASCII.
pub fn sign(
    signing: &SigningRequest<'_>,
    credential: &Credential,
    method: &str,
    path: &str,
    headers: &mut HeaderMap,
    body: &[u8],
) -> Result<(), SigningError> {
    if !headers.contains_key("host") {
        return Err(SigningError::NoHost);
    }
    let value =
        |text: &str| HeaderValue::from_str(text).map_err(|_| SigningError::InvalidCredential);
    let timestamp = signing.now.to_basic();
    headers.insert("x-amz-date", value(&timestamp)?);
    if let Some(token) = &credential.session_token {
        headers.insert("x-amz-security-token", value(token.expose())?);
    }
    let mut names: Vec<&str> = headers.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    let signed_headers = names.join(";");
    let date = timestamp.get(..8).unwrap_or_default();
    let scope = [date, signing.region, signing.service, "aws4_request"];

    let (path, query) = match path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path, None),
    };
    let request = SignedRequest { method, path, query, headers, authority: None, body };
    let (mut canonical, mut to_sign, mut signature) = (Vec::new(), Vec::new(), Vec::new());
    canonical_request(&request, &signed_headers, &mut canonical);
    string_to_sign(&timestamp, scope, &canonical, &mut to_sign);
    let key = signing_key(&credential.secret_access_key, scope);
    push_hex(ring::hmac::sign(&key, &to_sign).as_ref(), &mut signature);

    let authorization = format!(
        "{ALGORITHM} Credential={}/{}, SignedHeaders={signed_headers}, Signature={}",
        credential.access_key_id,
        scope.join("/"),
        String::from_utf8_lossy(&signature),
    );
    headers.insert("authorization", value(&authorization)?);
    Ok(())
}
