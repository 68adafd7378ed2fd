//! What a request claims about its signer, from the Authorization header or the query string.
//!
//! Only the form is checked here, in the service's order: form of the header, missing parts, form
//! of the date, signed host, algorithm, form of the credential.

use std::borrow::Cow;

use http::HeaderMap;

use crate::UnixSeconds;
use crate::error::AuthError;

/// The parts of a request that a signature covers.
#[derive(Clone, Copy, Debug)]
pub struct SignedRequest<'a> {
    /// The method, such as `POST`.
    pub method: &'a str,
    /// The path as sent, still encoded.
    pub path: &'a str,
    /// The query string as sent, still encoded, without `?`.
    pub query: Option<&'a str>,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The authority of the request target (HTTP/2's `:authority`), if it has one.
    pub authority: Option<&'a str>,
    /// The body as sent: before decompression.
    pub body: &'a [u8],
}

/// Where the signature was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// In the Authorization header.
    Header,
    /// In the query string (presigned), with the seconds for which it is valid.
    Query {
        /// `X-Amz-Expires`, where it was given.
        expires_seconds: Option<u64>,
    },
}

/// What a request claims. Nothing in here is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presented<'a> {
    /// Where the signature was found.
    pub form: Form,
    /// The access key id.
    pub access_key_id: Cow<'a, str>,
    /// The date of the scope, which should be YYYYMMDD.
    pub scope_date: Cow<'a, str>,
    /// The region of the scope.
    pub region: Cow<'a, str>,
    /// The service of the scope.
    pub service: Cow<'a, str>,
    /// The last part of the scope, which should be `aws4_request`.
    pub terminator: Cow<'a, str>,
    /// The names of the signed headers, separated by semicolons, as given.
    pub signed_headers: Cow<'a, str>,
    /// The signature, which should be 64 hexadecimal digits.
    pub signature: Cow<'a, str>,
    /// The moment of signing as given.
    pub timestamp_text: Cow<'a, str>,
    /// The moment of signing.
    pub timestamp: UnixSeconds,
    /// The session token.
    pub session_token: Option<Cow<'a, str>>,
}

/// The one algorithm.
pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const ALGORITHM_QUERY: &str = "X-Amz-Algorithm";
/// More signed headers than any client has; bounds the work of a hostile request.
pub(crate) const SIGNED_HEADERS_MAX: usize = 128;

/// The parts before their form is checked.
struct Parts<'a> {
    form: Form,
    algorithm: Cow<'a, str>,
    credential: Cow<'a, str>,
    signature: Cow<'a, str>,
    signed_headers: Cow<'a, str>,
    date: Cow<'a, str>,
    session_token: Option<Cow<'a, str>>,
}

impl<'a> Presented<'a> {
    /// Reads what a request claims.
    ///
    /// # Errors
    /// `MissingAuthenticationToken` for an unsigned request, `IncompleteSignature` where parts are
    /// missing or malformed, `InvalidSignature` where it is signed twice or without its host.
    pub fn parse(request: &SignedRequest<'a>) -> Result<Self, AuthError> {
        let header = header_text(request.headers, "authorization")?;
        let query = request.query.unwrap_or_default();
        let in_query = query.contains(ALGORITHM_QUERY)
            && query_pairs(query).any(|(name, _)| name == ALGORITHM_QUERY);
        let parts = match header {
            Some(_) if in_query => {
                return Err(AuthError::invalid(
                    "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as \
                     HTTP header.",
                ));
            }
            Some(header) if header.trim_ascii().starts_with("AWS4-") => {
                parts_of_header(header, request.headers)?
            }
            None if in_query => parts_of_query(query)?,
            _ => return Err(AuthError::missing()),
        };
        parts.check()
    }
}

impl<'a> Parts<'a> {
    fn check(self) -> Result<Presented<'a>, AuthError> {
        let Some(timestamp) = UnixSeconds::from_basic(&self.date) else {
            return Err(AuthError::incomplete(format!(
                "Date must be in ISO-8601 'basic format'. Got '{}'. See \
                 http://en.wikipedia.org/wiki/ISO_8601",
                self.date
            )));
        };
        let mut count = 0;
        let mut host_signed = false;
        for name in self.signed_headers.split(';') {
            count += 1;
            host_signed |= name.eq_ignore_ascii_case("host") || name == ":authority";
        }
        if !host_signed || count > SIGNED_HEADERS_MAX {
            return Err(AuthError::invalid(
                "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
            ));
        }
        if self.algorithm != ALGORITHM {
            return Err(AuthError::incomplete(format!(
                "Unsupported AWS 'algorithm': '{}' (only {ALGORITHM} for now). ",
                self.algorithm
            )));
        }
        let Some([access_key_id, scope_date, region, service, terminator]) =
            split_credential(&self.credential)
        else {
            return Err(AuthError::incomplete(format!(
                "Credential must have exactly 5 slash-delimited elements, e.g. \
                 keyid/date/region/service/term, got '{}'",
                self.credential
            )));
        };
        Ok(Presented {
            form: self.form,
            access_key_id,
            scope_date,
            region,
            service,
            terminator,
            signed_headers: self.signed_headers,
            signature: self.signature,
            timestamp_text: self.date,
            timestamp,
            session_token: self.session_token,
        })
    }
}

/// Cuts a credential into its five parts. Trailing slashes are ignored.
fn split_credential<'a>(credential: &Cow<'a, str>) -> Option<[Cow<'a, str>; 5]> {
    fn cut(text: &str) -> Option<[&str; 5]> {
        let mut parts = text.trim_end_matches('/').split('/');
        let five = [parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?];
        parts.next().is_none().then_some(five)
    }
    match credential {
        Cow::Borrowed(text) => cut(text).map(|parts| parts.map(Cow::Borrowed)),
        Cow::Owned(text) => cut(text).map(|parts| parts.map(|part| Cow::Owned(part.to_owned()))),
    }
}

/// A header's first value as text. Bytes outside ASCII cannot be part of a signature's form.
fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, AuthError> {
    match headers.get(name) {
        None => Ok(None),
        Some(value) => match value.to_str() {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(AuthError::incomplete(format!(
                "The '{name}' header may have only visible ASCII characters."
            ))),
        },
    }
}

fn parts_of_header<'a>(header: &'a str, headers: &'a HeaderMap) -> Result<Parts<'a>, AuthError> {
    let header = header.trim_ascii();
    let (algorithm, rest) = header.split_once([' ', ',']).unwrap_or((header, ""));
    let (mut credential, mut signature, mut signed_headers) = (None, None, None);
    for pair in rest.split([' ', ',']).filter(|pair| !pair.is_empty()) {
        let Some((name, value)) = pair.split_once('=') else {
            return Err(AuthError::incomplete(format!(
                "'{pair}' not a valid key=value pair (missing equal-sign) in Authorization \
                 header: '{header}'."
            )));
        };
        match name {
            "Credential" => credential = Some(value),
            "Signature" => signature = Some(value),
            "SignedHeaders" => signed_headers = Some(value),
            _ => {}
        }
    }
    let date = match header_text(headers, "x-amz-date")? {
        Some(date) => Some(date),
        None => header_text(headers, "date")?,
    };
    let mut missing = String::new();
    let present = |part: Option<&str>| part.is_some_and(|part| !part.is_empty());
    for (name, given) in [
        ("Credential", present(credential)),
        ("Signature", present(signature)),
        ("SignedHeaders", signed_headers.is_some()),
    ] {
        if !given {
            missing.push_str(&format!("Authorization header requires '{name}' parameter. "));
        }
    }
    if !present(date) {
        missing.push_str(
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ",
        );
    }
    match (credential, signature, signed_headers, date) {
        (Some(credential), Some(signature), Some(signed_headers), Some(date))
            if missing.is_empty() =>
        {
            Ok(Parts {
                form: Form::Header,
                algorithm: Cow::Borrowed(algorithm),
                credential: Cow::Borrowed(credential),
                signature: Cow::Borrowed(signature),
                signed_headers: Cow::Borrowed(signed_headers),
                date: Cow::Borrowed(date),
                session_token: header_text(headers, "x-amz-security-token")?.map(Cow::Borrowed),
            })
        }
        _ => Err(AuthError::incomplete(format!("{missing}Authorization={header}"))),
    }
}

fn parts_of_query(query: &str) -> Result<Parts<'_>, AuthError> {
    let mut values: [Option<Cow<'_, str>>; 7] = [const { None }; 7];
    const NAMES: [&str; 7] = [
        ALGORITHM_QUERY,
        "X-Amz-Credential",
        "X-Amz-Signature",
        "X-Amz-SignedHeaders",
        "X-Amz-Date",
        "X-Amz-Expires",
        "X-Amz-Security-Token",
    ];
    for (name, value) in query_pairs(query) {
        for (place, known) in values.iter_mut().zip(NAMES) {
            // The first one counts, as for headers.
            if name == known && place.is_none() {
                *place = Some(value.clone());
            }
        }
    }
    let mut missing = String::new();
    for (value, name) in values.iter().zip(NAMES).take(5) {
        if value.as_ref().is_none_or(|value| value.is_empty()) {
            missing.push_str(&format!("AWS query-string parameters must include '{name}'. "));
        }
    }
    let [algorithm, credential, signature, signed_headers, date, expires, session_token] = values;
    match (algorithm, credential, signature, signed_headers, date) {
        (Some(algorithm), Some(credential), Some(signature), Some(signed_headers), Some(date))
            if missing.is_empty() =>
        {
            Ok(Parts {
                form: Form::Query {
                    expires_seconds: expires.map(|text| parse_expires(&text)).transpose()?,
                },
                algorithm,
                credential,
                signature,
                signed_headers,
                date,
                session_token,
            })
        }
        _ => {
            Err(AuthError::incomplete(format!("{missing}Re-examine the query-string parameters.")))
        }
    }
}

/// A presigned request is valid for a week at most. Source: IAM User Guide, "Elements of an AWS API
/// request signature".
const EXPIRES_SECONDS_MAX: u64 = 604_800;

fn parse_expires(text: &str) -> Result<u64, AuthError> {
    text.parse().ok().filter(|seconds| (1..=EXPIRES_SECONDS_MAX).contains(seconds)).ok_or_else(
        || {
            AuthError::incomplete(format!(
                "X-Amz-Expires must be a number of seconds from 1 to {EXPIRES_SECONDS_MAX}. Got '{text}'. \
                 Re-examine the query-string parameters."
            ))
        },
    )
}

/// The parameters of a query string, decoded, in the order given. A pair whose text is not UTF-8
/// after decoding is passed over here; a signature that covers it cannot be right.
pub(crate) fn query_pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    query.split('&').filter(|pair| !pair.is_empty()).filter_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((decode(name)?, decode(value)?))
    })
}

/// Undoes percent encoding; `+` is a space. A `%` without two hexadecimal digits stands for itself.
fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(['%', '+']) {
        return Some(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match (byte, tail) {
            (b'+', _) => decoded.push(b' '),
            (b'%', [high, low, after @ ..]) => match (hex_value(*high), hex_value(*low)) {
                (Some(high), Some(low)) => {
                    decoded.push(high << 4 | low);
                    rest = after;
                }
                _ => decoded.push(byte),
            },
            _ => decoded.push(byte),
        }
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

pub(crate) const fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}
