//! Hostile heads are refused, never a panic; and what was signed verifies, unless it was changed.

#![expect(clippy::unwrap_used, reason = "tests")]

use http::HeaderMap;
use http::header::HeaderValue;
use proptest::prelude::*;
use zenobe_auth::{Credential, SignedRequest, SigningRequest, UnixSeconds, Verifier, sign};

const NOW: UnixSeconds = UnixSeconds(1_795_466_700);

fn verifier() -> Verifier {
    Verifier::new("us-east-1", "dynamodb", vec![Credential::new("AKID", "secret")]).unwrap()
}

/// Text made of the pieces that the parser looks for, so that it gets past the first check.
fn authorization() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("AWS4-HMAC-SHA256 ".to_owned()),
        Just("Credential=".to_owned()),
        Just("AKID/20261123/us-east-1/dynamodb/aws4_request".to_owned()),
        Just(",".to_owned()),
        Just(" ".to_owned()),
        Just("SignedHeaders=host;x-amz-date".to_owned()),
        Just("Signature=".to_owned()),
        "[0-9a-f]{64}",
        "[ -~]{0,8}",
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| format!("AWS4-{}", pieces.concat()))
}

proptest! {
    #[test]
    fn hostile_heads(
        authorization in authorization(),
        date in "[0-9TZ]{14,17}",
        path in "/[ -~]{0,20}",
        query in prop::option::of("(X-Amz-(Algorithm|Date|Expires)=[ -~]{0,6}&){0,4}[ -~]{0,20}"),
    ) {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::from_str(&authorization).unwrap());
        headers.insert("x-amz-date", HeaderValue::from_str(&date).unwrap());
        let request = SignedRequest {
            method: "POST", path: &path, query: query.as_deref(), headers: &headers,
            authority: None, body: b"",
        };
        prop_assert!(verifier().verify(&request, NOW).is_err());
        let mut unsigned = headers.clone();
        unsigned.remove("authorization");
        let request = SignedRequest { headers: &unsigned, ..request };
        prop_assert!(verifier().verify(&request, NOW).is_err());
    }

    #[test]
    fn what_was_signed_verifies(
        path in "/[ -~&&[^?#]]{0,20}",
        query in prop::option::of("[a-zA-Z0-9=&%+~./-]{0,30}"),
        value in "[!-~][ -~]{0,30}",
        body in prop::collection::vec(any::<u8>(), 0..200),
        flip in any::<prop::sample::Index>(),
    ) {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("localhost:8000"));
        headers.insert("x-custom", HeaderValue::from_str(&value).unwrap());
        headers.append("x-custom", HeaderValue::from_static("second"));
        let target = query.as_ref().map_or(path.clone(), |query| format!("{path}?{query}"));
        let signing = SigningRequest { region: "us-east-1", service: "dynamodb", now: NOW };
        sign(&signing, &Credential::new("AKID", "secret"), "POST", &target, &mut headers, &body)
            .unwrap();
        let mut request = SignedRequest {
            method: "POST", path: &path, query: query.as_deref(), headers: &headers,
            authority: None, body: &body,
        };
        let verifier = verifier();
        prop_assert!(verifier.verify(&request, NOW).is_ok());

        let mut changed = body.clone();
        changed.push(0);
        let place = flip.index(changed.len());
        changed[place] ^= 1;
        request.body = &changed;
        prop_assert!(verifier.verify(&request, NOW).is_err());
    }
}
