//! Any head is refused without a panic: nobody guesses a signature.
#![no_main]

use http::HeaderMap;
use http::header::HeaderValue;
use libfuzzer_sys::fuzz_target;
use zenobe_auth::{Credential, SignedRequest, UnixSeconds, Verifier};

fuzz_target!(|data: (&[u8], &[u8], &str, &str, &[u8])| {
    let (authorization, date, path, query, body) = data;
    let mut headers = HeaderMap::new();
    for (name, value) in [("authorization", authorization), ("x-amz-date", date)] {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.insert(name, value);
        }
    }
    let verifier =
        Verifier::new("us-east-1", "dynamodb", vec![Credential::new("AKID", "secret")]).unwrap();
    let query = (!query.is_empty()).then_some(query);
    let request =
        SignedRequest { method: "POST", path, query, headers: &headers, authority: None, body };
    assert!(verifier.verify(&request, UnixSeconds(1_795_466_700)).is_err());
});
