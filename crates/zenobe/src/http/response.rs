//! Responses: their headers, the errors of the front door, CORS.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use crate::http::request_id::RequestId;

/// A response of the front door.
pub(crate) type HttpResponse = Response<Full<Bytes>>;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const CRC32: HeaderName = HeaderName::from_static("x-amz-crc32");
const SERVER: HeaderValue = HeaderValue::from_static("Zenobe");
/// How long a browser may keep the answer to a preflight request, in seconds.
const PREFLIGHT_MAX_AGE_SECONDS: HeaderValue = HeaderValue::from_static("172800");

/// The content types that the API knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ContentType {
    /// `application/x-amz-json-1.0`, what SDKs send.
    AmzJson,
    /// `application/json`.
    Json,
    /// The metrics page.
    Prometheus,
    /// None is sent.
    Unstated,
}

impl ContentType {
    const fn header(self) -> Option<HeaderValue> {
        Some(match self {
            Self::AmzJson => HeaderValue::from_static("application/x-amz-json-1.0"),
            Self::Json => HeaderValue::from_static("application/json"),
            Self::Prometheus => {
                HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8")
            }
            Self::Unstated => return None,
        })
    }
}

/// A response with the headers that all have. Length and date are added by the connection.
pub(crate) fn respond(
    status: StatusCode,
    content_type: ContentType,
    id: &RequestId,
    body: Bytes,
) -> HttpResponse {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(header::SERVER, SERVER);
    if let Some(content_type) = content_type.header() {
        headers.insert(header::CONTENT_TYPE, content_type);
    }
    headers.insert(REQUEST_ID, id.header());
    headers.insert(CRC32, HeaderValue::from(crc32fast::hash(&body)));
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// What the service answers to methods, paths and content types that are none of its own.
pub(crate) fn not_an_operation(id: &RequestId) -> HttpResponse {
    let body = Bytes::from_static(b"<UnknownOperationException/>\n");
    respond(StatusCode::NOT_FOUND, ContentType::Unstated, id, body)
}

/// The answer to a head over the limit. The body is not read: the connection closes.
pub(crate) fn head_too_long(id: &RequestId) -> HttpResponse {
    let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    closing(respond(status, ContentType::Unstated, id, Bytes::new()))
}

/// The answer to a body over the limit. The rest of the body is not read: the connection closes.
pub(crate) fn too_large(id: &RequestId) -> HttpResponse {
    closing(respond(StatusCode::PAYLOAD_TOO_LARGE, ContentType::Unstated, id, Bytes::new()))
}

/// The answer to what is not HTTP: where the next request would begin is not known, so the connection closes.
pub(crate) fn bad_request(id: &RequestId) -> HttpResponse {
    closing(respond(StatusCode::BAD_REQUEST, ContentType::Unstated, id, Bytes::new()))
}

/// The answer to a body that did not arrive in time.
pub(crate) fn body_timed_out(id: &RequestId) -> HttpResponse {
    closing(respond(StatusCode::REQUEST_TIMEOUT, ContentType::Unstated, id, Bytes::new()))
}

/// Closes the connection after a response.
pub(crate) fn closing(mut response: HttpResponse) -> HttpResponse {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The answer to a preflight request of a browser: whatever it asks for is allowed.
pub(crate) fn preflight(id: &RequestId, asked: &HeaderMap) -> HttpResponse {
    let mut response = respond(StatusCode::OK, ContentType::Unstated, id, Bytes::new());
    let headers = response.headers_mut();
    headers.remove(CRC32);
    for (from, to) in [
        (header::ACCESS_CONTROL_REQUEST_HEADERS, header::ACCESS_CONTROL_ALLOW_HEADERS),
        (header::ACCESS_CONTROL_REQUEST_METHOD, header::ACCESS_CONTROL_ALLOW_METHODS),
    ] {
        if let Some(value) = asked.get(from) {
            headers.insert(to, value.clone());
        }
    }
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_MAX_AGE_SECONDS);
    response
}

/// Lets any page read the response and the headers that say more about it, as the service does when the request names
/// its origin.
pub(crate) fn allow_any_origin(response: &mut HttpResponse) {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("x-amzn-RequestId,x-amzn-ErrorType,x-amzn-ErrorMessage,Date"),
    );
}

/// An error's body: `{"__type":…,"message":…}`, the message only where there is one.
pub(crate) fn error_body(type_name: &str, message: Option<&str>) -> Bytes {
    let mut body = format!("{{\"__type\":\"{type_name}\"");
    if let Some(message) = message {
        body.push_str(",\"message\":\"");
        for character in message.chars() {
            match character {
                '"' => body.push_str("\\\""),
                '\\' => body.push_str("\\\\"),
                '\n' => body.push_str("\\n"),
                control if control < ' ' => {
                    body.push_str(&format!("\\u{:04x}", u32::from(control)));
                }
                other => body.push(other),
            }
        }
        body.push('"');
    }
    body.push('}');
    body.into()
}
