//! What is refused before an operation runs: codes, texts, order, checksums.
//!
//! Bodies and checksums are those that the service was seen to answer with.

mod support;

use support::{Answer, Builder, Server, as_pairs, signed_headers};

const TARGET: (&str, &str) = ("x-amz-target", "DynamoDB_20120810.ListTables");

#[track_caller]
fn check(answer: &Answer, content_type: &str, body: &str, crc32: u32) {
    assert_eq!((answer.status, answer.text()), (400, body));
    assert_eq!(answer.header("content-type"), content_type);
    assert_eq!(answer.header("x-amz-crc32"), crc32.to_string());
    assert_eq!(answer.header("content-length"), body.len().to_string());
    assert_eq!(answer.header("x-amzn-requestid").len(), 52);
}

#[track_caller]
fn check_404(answer: &Answer) {
    assert_eq!((answer.status, answer.text()), (404, "<UnknownOperationException/>\n"));
    assert_eq!(answer.header("x-amz-crc32"), "3552371480");
    assert_eq!(answer.header("x-amzn-requestid").len(), 52);
}

#[test]
fn methods_and_content_types_that_are_no_part_of_the_api() {
    let server = Server::start(&["--in-memory"]);
    check_404(&server.request("OPTIONS", "/", &[], b""));
    check_404(&server.request("PUT", "/", &[], b""));
    check_404(&server.request("DELETE", "/", &[], b""));
    check_404(&server.request("GET", "/elsewhere", &[], b""));
    for content_type in ["whatever", "application/x-amz-json-1.1", "application/jsonasdf"] {
        check_404(&server.request("POST", "/", &[("content-type", content_type)], b"hi"));
    }
    check_404(&server.request("POST", "/", &[], b"hi"));
}

#[test]
fn a_body_that_is_not_json_comes_first() {
    let server = Server::start(&["--in-memory"]);
    let body = r#"{"__type":"com.amazon.coral.service#SerializationException"}"#;
    for (sent, answered) in [
        ("application/json", "application/json"),
        ("application/json;", "application/json"),
        ("  application/json  ;   asfd", "application/json"),
        ("application/x-amz-json-1.0;blahblah", "application/x-amz-json-1.0"),
    ] {
        let headers = [("content-type", sent)];
        check(&server.request("POST", "/", &headers, b"hi"), answered, body, 3_948_637_019);
        let headers = [("content-type", sent), TARGET];
        check(&server.request("POST", "/", &headers, b"hi"), answered, body, 3_948_637_019);
    }
}

#[test]
fn then_an_unknown_operation() {
    let server = Server::start(&["--in-memory"]);
    let body = r#"{"__type":"com.amazon.coral.service#UnknownOperationException"}"#;
    let json = "application/json";
    check(&server.request("POST", "/", &[], b""), json, body, 1_368_724_161);
    for target in ["whatever", "DynamoDB_20120810.ListTable", "DynamoDB_20120810."] {
        let headers = [("x-amz-target", target)];
        check(&server.request("POST", "/", &headers, b""), json, body, 1_368_724_161);
    }
    let amz_json = "application/x-amz-json-1.0";
    let headers = [("content-type", amz_json)];
    check(&server.request("POST", "/", &headers, b"{}"), amz_json, body, 1_368_724_161);
}

#[test]
fn then_the_signature() {
    let server = Server::start(&["--in-memory"]);
    let json = "application/json";
    let missing = r#"{"__type":"com.amazon.coral.service#MissingAuthenticationTokenException","message":"Request is missing Authentication Token"}"#;
    check(&server.request("POST", "/", &[TARGET], b""), json, missing, 2_088_342_776);
    let headers = [TARGET, ("authorization", "AWS4")];
    check(&server.request("POST", "/", &headers, b""), json, missing, 2_088_342_776);

    let headers = [TARGET, ("authorization", "AWS4-")];
    let answer = server.request("POST", "/", &headers, b"");
    assert_eq!(answer.header("x-amz-crc32"), "1828866742", "{}", answer.text());

    let headers = [TARGET, ("authorization", "X")];
    let answer = server.request("POST", "/?X-Amz-Algorithm", &headers, b"");
    assert_eq!(answer.header("x-amz-crc32"), "2139606068", "{}", answer.text());

    let answer = server.request("POST", "/?X-Amz-Algorithm", &[TARGET], b"");
    assert_eq!(answer.header("x-amz-crc32"), "2900502663", "{}", answer.text());
}

#[test]
fn and_an_empty_body_last() {
    let server = Server::start(&["--in-memory"]);
    let headers = signed_headers(server.address, "ListTables", b"");
    let answer = server.request("POST", "/", &as_pairs(&headers), b"");
    let body = r#"{"__type":"com.amazon.coral.service#SerializationException"}"#;
    check(&answer, "application/x-amz-json-1.0", body, 3_948_637_019);
}

#[test]
fn the_connection_goes_on_after_an_error() {
    let server = Server::start(&["--in-memory"]);
    let mut connection = server.connect();
    for _ in 0..3 {
        connection.send("POST", "/", &[TARGET], b"");
        assert_eq!(connection.receive("POST").status, 400);
    }
    let headers = signed_headers(server.address, "ListTables", b"{}");
    connection.send("POST", "/", &as_pairs(&headers), b"{}");
    assert_eq!(connection.receive("POST").status, 200);
}

#[test]
fn signatures_are_verified_where_there_are_keys() {
    let server = Builder::new(&["--in-memory"]).verified().start();
    assert_eq!(server.call("ListTables", "{}").status, 200);

    let headers = signed_headers(server.address, "ListTables", b"{}");
    let answer = server.request("POST", "/", &as_pairs(&headers), b"{} ");
    assert_eq!(answer.status, 400);
    assert!(
        answer.text().starts_with(
            r#"{"__type":"com.amazon.coral.service#InvalidSignatureException","message":"The request signature we calculated"#
        ),
        "{}",
        answer.text()
    );

    let mut headers = signed_headers(server.address, "ListTables", b"{}");
    let other = headers["authorization"].to_str().unwrap().replace("AKIDTEST", "AKIDOTHER");
    headers.insert("authorization", other.parse().unwrap());
    let answer = server.request("POST", "/", &as_pairs(&headers), b"{}");
    assert_eq!(
        answer.text(),
        r#"{"__type":"com.amazon.coral.service#UnrecognizedClientException","message":"The security token included in the request is invalid."}"#
    );
}

#[test]
fn without_keys_any_well_formed_signature_will_do() {
    let server = Server::start(&["--in-memory"]);
    let headers = [
        ("x-amz-target", "DynamoDB_20120810.ListTables"),
        ("content-type", "application/x-amz-json-1.0"),
        ("x-amz-date", "20150830T123600Z"),
        (
            "authorization",
            "AWS4-HMAC-SHA256 Credential=a/20150830/local/dynamodb/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature=0",
        ),
    ];
    assert_eq!(server.request("POST", "/", &headers, b"{}").status, 200);
    assert!(server.log().contains("any well-formed signature is accepted"), "{}", server.log());
}

#[test]
fn what_is_not_http_is_a_bad_request() {
    let server = Server::start(&["--in-memory"]);
    for sent in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n",
        "POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nmany\r\n{}\r\n0\r\n\r\n",
    ] {
        let mut connection = server.connect();
        connection.write(sent.as_bytes());
        let answer = connection.receive("");
        assert_eq!((answer.status, answer.header("connection")), (400, "close"), "{sent}");
        assert!(connection.is_closed());
    }
    let mut connection = server.connect();
    connection.write(b"GET / HTTP/1.0\r\n\r\n");
    assert_eq!(connection.receive("GET").status, 200);
}
