//! Each refusal has the code and the text that the service was seen to answer with, and they come in
//! its order.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use zenobe_auth::{
    AuthErrorCode, Credential, Presented, SecretString, SignedRequest, SigningRequest, UnixSeconds,
    Verifier, sign,
};

/// 2026-11-23T20:45:00Z
const NOW: UnixSeconds = UnixSeconds(1_795_466_700);

fn credential() -> Credential {
    Credential::new("AKIDEXAMPLE", "secret")
}

fn verifier() -> Verifier {
    Verifier::new("eu-west-1", "dynamodb", vec![credential()]).unwrap()
}

fn signed_at(now: UnixSeconds) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("localhost:8000"));
    let signing = SigningRequest { region: "eu-west-1", service: "dynamodb", now };
    sign(&signing, &credential(), "POST", "/", &mut headers, b"{}").unwrap();
    headers
}

fn request<'a>(headers: &'a HeaderMap, query: Option<&'a str>) -> SignedRequest<'a> {
    SignedRequest { method: "POST", path: "/", query, headers, authority: None, body: b"{}" }
}

#[track_caller]
fn check(headers: &HeaderMap, query: Option<&str>, code: AuthErrorCode, message: &str) {
    let error = verifier().verify(&request(headers, query), NOW).unwrap_err();
    assert_eq!((error.code, &*error.message), (code, message));
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
        .collect()
}

#[test]
fn unsigned() {
    let missing = AuthErrorCode::MissingAuthenticationToken;
    let text = "Request is missing Authentication Token";
    check(&headers(&[]), None, missing, text);
    check(&headers(&[("authorization", "AWS4")]), None, missing, text);
    check(&headers(&[("authorization", "X")]), Some("X-Amz-Algorith"), missing, text);
    let query = "X-Amz-Credential=a&X-Amz-Signature=b&X-Amz-SignedHeaders=c&X-Amz-Date=d";
    check(&headers(&[]), Some(query), missing, text);
}

#[test]
fn signed_twice() {
    check(
        &headers(&[("authorization", "X")]),
        Some("X-Amz-Algorithm"),
        AuthErrorCode::InvalidSignature,
        "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.",
    );
}

#[test]
fn incomplete_header() {
    let incomplete = AuthErrorCode::IncompleteSignature;
    check(
        &headers(&[("authorization", "AWS4-")]),
        None,
        incomplete,
        "Authorization header requires 'Credential' parameter. Authorization header requires \
         'Signature' parameter. Authorization header requires 'SignedHeaders' parameter. \
         Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. \
         Authorization=AWS4-",
    );
    for authorization in [
        "AWS4- Signature=b Credential=a",
        "AWS4- Signature=b,Credential=a",
        "AWS4- Signature=b, Credential=a",
    ] {
        check(
            &headers(&[("authorization", authorization), ("date", "a")]),
            None,
            incomplete,
            &format!(
                "Authorization header requires 'SignedHeaders' parameter. \
                 Authorization={authorization}"
            ),
        );
    }
    check(
        &headers(&[(
            "authorization",
            "AWS4-HMAC-SHA256 Signature=b,    Credential,    SignedHeaders",
        )]),
        None,
        incomplete,
        "'Credential' not a valid key=value pair (missing equal-sign) in Authorization header: \
         'AWS4-HMAC-SHA256 Signature=b,    Credential,    SignedHeaders'.",
    );
}

#[test]
fn incomplete_query() {
    let incomplete = AuthErrorCode::IncompleteSignature;
    check(
        &headers(&[]),
        Some("X-Amz-Algorithm"),
        incomplete,
        "AWS query-string parameters must include 'X-Amz-Algorithm'. AWS query-string parameters \
         must include 'X-Amz-Credential'. AWS query-string parameters must include \
         'X-Amz-Signature'. AWS query-string parameters must include 'X-Amz-SignedHeaders'. AWS \
         query-string parameters must include 'X-Amz-Date'. Re-examine the query-string \
         parameters.",
    );
    check(
        &headers(&[]),
        Some("X-Amz-Algorithm=a&X-Amz-Credential=b&X-Amz-Signature=c&X-Amz-Date=d"),
        incomplete,
        "AWS query-string parameters must include 'X-Amz-SignedHeaders'. Re-examine the \
         query-string parameters.",
    );
}

fn with_authorization(edit: impl Fn(&str) -> String) -> HeaderMap {
    let mut headers = signed_at(NOW);
    let edited = edit(headers["authorization"].to_str().unwrap());
    headers.insert("authorization", edited.parse().unwrap());
    headers
}

#[test]
fn malformed_date() {
    let mut headers = signed_at(NOW);
    headers.insert("x-amz-date", HeaderValue::from_static("201"));
    check(
        &headers,
        None,
        AuthErrorCode::IncompleteSignature,
        "Date must be in ISO-8601 'basic format'. Got '201'. See \
         http://en.wikipedia.org/wiki/ISO_8601",
    );
}

#[test]
fn clock_skew() {
    for seconds in [NOW.0 - 300, NOW.0, NOW.0 + 300] {
        verifier().verify(&request(&signed_at(UnixSeconds(seconds)), None), NOW).unwrap();
    }
    check(
        &signed_at(UnixSeconds(NOW.0 - 301)),
        None,
        AuthErrorCode::InvalidSignature,
        "Signature expired: 20261123T203959Z is now earlier than 20261123T204000Z \
         (20261123T204500Z - 5 min.)",
    );
    check(
        &signed_at(UnixSeconds(NOW.0 + 301)),
        None,
        AuthErrorCode::InvalidSignature,
        "Signature not yet current: 20261123T205001Z is still later than 20261123T205000Z \
         (20261123T204500Z + 5 min.)",
    );
}

#[test]
fn host_not_signed() {
    check(
        &with_authorization(|text| text.replace("host;", "")),
        None,
        AuthErrorCode::InvalidSignature,
        "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
    );
}

#[test]
fn other_algorithm() {
    check(
        &with_authorization(|text| text.replace("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA25")),
        None,
        AuthErrorCode::IncompleteSignature,
        "Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA25' (only AWS4-HMAC-SHA256 for now). ",
    );
}

#[test]
fn malformed_credential() {
    check(
        &with_authorization(|text| text.replace("/aws4_request", "//")),
        None,
        AuthErrorCode::IncompleteSignature,
        "Credential must have exactly 5 slash-delimited elements, e.g. \
         keyid/date/region/service/term, got 'AKIDEXAMPLE/20261123/eu-west-1/dynamodb//'",
    );
    let trailing = with_authorization(|text| text.replace("/aws4_request", "/aws4_request//"));
    verifier().verify(&request(&trailing, None), NOW).unwrap();
}

#[test]
fn wrong_scope() {
    check(
        &with_authorization(|text| {
            text.replace("20261123/eu-west-1/dynamodb/aws4_request", "b/c/d/e")
        }),
        None,
        AuthErrorCode::InvalidSignature,
        "Credential should be scoped to a valid region. Credential should be scoped to correct \
         service: 'dynamodb'. Credential should be scoped with a valid terminator: \
         'aws4_request', not 'e'. Date in Credential scope does not match YYYYMMDD from ISO-8601 \
         version of date from HTTP: 'b' != '20261123', from '20261123T204500Z'. ",
    );
}

#[test]
fn unknown_key() {
    check(
        &with_authorization(|text| text.replace("AKIDEXAMPLE", "AKIDEXAMPLF")),
        None,
        AuthErrorCode::UnrecognizedClient,
        "The security token included in the request is invalid.",
    );
}

#[test]
fn wrong_signature() {
    let text = "The request signature we calculated does not match the signature you provided. \
                Check your AWS Secret Access Key and signing method. Consult the service \
                documentation for details.";
    let flip = |text: &str| {
        let last = if text.ends_with('0') { "1" } else { "0" };
        format!("{}{last}", &text[..text.len() - 1])
    };
    for headers in [
        with_authorization(flip),
        with_authorization(|text| text[..text.len() - 1].to_owned()),
        with_authorization(|text| format!("{text}0")),
        with_authorization(|text| format!("{}é", &text[..text.len() - 2]).replace('é', "zz")),
    ] {
        check(&headers, None, AuthErrorCode::InvalidSignature, text);
    }
}

#[test]
fn wrong_session_token() {
    let text = "The security token included in the request is invalid";
    let mut headers = signed_at(NOW);
    headers.insert("x-amz-security-token", HeaderValue::from_static("token"));
    check(&headers, None, AuthErrorCode::UnrecognizedClient, text);

    let mut temporary = credential();
    temporary.session_token = Some(SecretString::new("right"));
    let verifier = Verifier::new("eu-west-1", "dynamodb", vec![temporary]).unwrap();
    for token in [None, Some("wrong"), Some("righ"), Some("right")] {
        let mut headers = signed_at(NOW);
        if let Some(token) = token {
            headers.insert("x-amz-security-token", HeaderValue::from_static(token));
        }
        let result = verifier.verify(&request(&headers, None), NOW);
        match token {
            Some("right") => drop(result.unwrap()),
            _ => assert_eq!(result.unwrap_err().message, text),
        }
    }
}

#[test]
fn presigned_requests_expire() {
    let query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20261123%2F\
                 eu-west-1%2Fdynamodb%2Faws4_request&X-Amz-Date=20261123T194459Z&X-Amz-Expires=3600\
                 &X-Amz-SignedHeaders=host&X-Amz-Signature=00";
    check(
        &headers(&[("host", "localhost")]),
        Some(query),
        AuthErrorCode::InvalidSignature,
        "Signature expired: 20261123T194459Z is now earlier than 20261123T194500Z \
         (20261123T204500Z - 60 min.)",
    );
}

#[test]
fn the_form_alone_is_enough_where_nothing_is_verified() {
    let headers = headers(&[
        ("x-amz-date", "20150830T123600Z"),
        (
            "authorization",
            "AWS4-HMAC-SHA256 Credential=a/2/3/4/5 SignedHeaders=x-amz-date;host Signature=1",
        ),
    ]);
    let presented = Presented::parse(&request(&headers, None)).unwrap();
    assert_eq!(presented.access_key_id, "a");
    assert_eq!(presented.region, "3");
}
