//! Compressed bodies are verified as sent, and decompressed within the limit.

#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use support::{Answer, Builder, Server, as_pairs, sign_headers, signed_headers};

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn call(server: &Server, encoding: &'static str, body: &[u8]) -> Answer {
    let mut headers = signed_headers(server.address, "ListTables", body);
    headers.remove("authorization");
    headers.insert("content-encoding", encoding.parse().unwrap());
    sign_headers(&mut headers, "POST", "/", body);
    server.request("POST", "/", &as_pairs(&headers), body)
}

#[test]
fn gzip_requests() {
    let server = Builder::new(&["--in-memory"]).verified().start();
    assert_eq!(call(&server, "gzip", &gzip(b"{}")).status, 200);
    assert_eq!(call(&server, "identity", b"{}").status, 200);

    let serialization = r#"{"__type":"com.amazon.coral.service#SerializationException"}"#;
    let whole = gzip(b"{}");
    let [two_members, and_more] = [&gzip(b"")[..], b"x"].map(|more| [&whole, more].concat());
    for (encoding, body) in [
        ("gzip", &b"{}"[..]),
        ("gzip", &whole[..whole.len() - 3]),
        ("gzip", &two_members),
        ("gzip", &and_more),
        ("br", b"{}"),
    ] {
        let answer = call(&server, encoding, body);
        assert_eq!((answer.status, answer.text()), (400, serialization), "{encoding}");
    }
}

#[test]
fn a_small_body_that_grows_over_the_limit_is_refused() {
    let server = Builder::new(&["--in-memory"]).verified().start();
    let bomb = gzip(&vec![b' '; (16 << 20) + 1]);
    assert!(bomb.len() < 1 << 20);
    assert_eq!(call(&server, "gzip", &bomb).status, 413);
}
