//! Requests signed by another implementation verify, and no longer do once anything is changed.

#![expect(clippy::unwrap_used, reason = "tests")]

use http::header::{HeaderMap, HeaderName, HeaderValue};
use zenobe_auth::{Credential, SecretString, SignedRequest, UnixSeconds, Verifier};

const NOW: UnixSeconds = UnixSeconds(1_440_938_160);
const TOKEN: &str =
    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMic";

#[derive(Clone, Debug)]
struct Golden {
    name: String,
    method: String,
    target: String,
    headers: HeaderMap,
    body: String,
}

impl Golden {
    fn request(&self) -> SignedRequest<'_> {
        let (path, query) = match self.target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (&*self.target, None),
        };
        SignedRequest {
            method: &self.method,
            path,
            query,
            headers: &self.headers,
            authority: None,
            body: self.body.as_bytes(),
        }
    }

    fn verifier(&self) -> Verifier {
        let mut credential =
            Credential::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        credential.session_token =
            self.name.contains("session-token").then(|| SecretString::new(TOKEN));
        Verifier::new("us-east-1", "service", vec![credential]).unwrap()
    }
}

fn goldens() -> Vec<Golden> {
    let goldens: Vec<Golden> = include_str!("golden/signatures.txt")
        .split("=== ")
        .skip(1)
        .map(|block| {
            let (head, body) = block.split_once("\n\n").unwrap();
            let mut lines = head.lines();
            let name = lines.next().unwrap().to_owned();
            let (method, target) = lines.next().unwrap().split_once(' ').unwrap();
            let headers = lines
                .map(|line| {
                    let (name, value) = line.split_once(':').unwrap();
                    (
                        name.to_ascii_lowercase().parse::<HeaderName>().unwrap(),
                        value.parse::<HeaderValue>().unwrap(),
                    )
                })
                .collect();
            Golden {
                name,
                method: method.to_owned(),
                target: target.to_owned(),
                headers,
                body: body.strip_suffix('\n').unwrap().to_owned(),
            }
        })
        .collect();
    assert_eq!(goldens.len(), 20);
    goldens
}

#[test]
fn golden_signatures_verify() {
    for golden in goldens() {
        let principal = golden.verifier().verify(&golden.request(), NOW);
        assert_eq!(
            principal.map(|principal| principal.access_key_id.to_string()),
            Ok("AKIDEXAMPLE".to_owned()),
            "{}",
            golden.name
        );
    }
}

#[test]
fn the_cached_signing_key_verifies_too() {
    let golden = goldens().remove(0);
    let verifier = golden.verifier();
    for _ in 0..3 {
        verifier.verify(&golden.request(), NOW).unwrap();
    }
}

#[test]
fn any_change_of_the_body_is_seen() {
    for golden in goldens() {
        if golden.name == "post-unsigned-payload" {
            continue;
        }
        let mut changed = golden.clone();
        changed.body.push(' ');
        let error = golden.verifier().verify(&changed.request(), NOW).unwrap_err();
        assert!(error.message.starts_with("The request signature we calculated"), "{error}");
    }
}

#[test]
fn an_unsigned_payload_is_not_covered_and_must_be_declared_under_the_signature() {
    let mut golden = goldens().into_iter().find(|g| g.name == "post-unsigned-payload").unwrap();
    golden.body.push(' ');
    golden.verifier().verify(&golden.request(), NOW).unwrap();

    let mut undeclared = goldens().into_iter().find(|g| g.name == "post-dynamodb").unwrap();
    undeclared.headers.insert("x-amz-content-sha256", HeaderValue::from_static("UNSIGNED-PAYLOAD"));
    undeclared.verifier().verify(&undeclared.request(), NOW).unwrap();
    undeclared.body.push(' ');
    undeclared.verifier().verify(&undeclared.request(), NOW).unwrap_err();
}

#[test]
fn any_change_of_a_signed_header_the_method_or_the_path_is_seen() {
    for golden in goldens() {
        let names: Vec<HeaderName> = golden.headers.keys().cloned().collect();
        for name in names {
            let signed =
                name == "host" || name.as_str().starts_with("x-amz") || name == "my-header1";
            if !signed || golden.target.contains("X-Amz-Signature") && name != "host" {
                continue;
            }
            let mut changed = golden.clone();
            changed.headers.insert(name.clone(), HeaderValue::from_static("20150830T123601Z"));
            assert!(golden.verifier().verify(&changed.request(), NOW).is_err(), "{name}");
        }
        let mut changed = golden.clone();
        changed.method = "PUT".into();
        assert!(golden.verifier().verify(&changed.request(), NOW).is_err());
        let mut changed = golden.clone();
        changed.target = format!("/x{}", changed.target);
        assert!(golden.verifier().verify(&changed.request(), NOW).is_err());
    }
}

#[test]
fn the_authority_stands_for_the_host() {
    for golden in goldens() {
        let mut http2 = golden.clone();
        let host = http2.headers.remove("host").unwrap();
        let mut request = http2.request();
        request.authority = Some(host.to_str().unwrap());
        golden.verifier().verify(&request, NOW).unwrap();
        request.authority = Some("elsewhere");
        golden.verifier().verify(&request, NOW).unwrap_err();
    }
}

#[test]
fn spaces_around_and_within_header_values_do_not_count() {
    let mut golden = goldens().into_iter().find(|g| g.name == "get-header-value-trim").unwrap();
    golden.headers.insert("my-header1", HeaderValue::from_static("value1"));
    golden.headers.insert("my-header2", HeaderValue::from_static("   \"a b      c\" "));
    golden.verifier().verify(&golden.request(), NOW).unwrap();
    // Clients take a tab for a space.
    golden.headers.insert("my-header2", HeaderValue::from_static("\"a\tb \t c\"\t"));
    golden.verifier().verify(&golden.request(), NOW).unwrap();
}
