//! Whose head says already that it is refused has a long body for nothing: it is not collected.

mod support;

use support::{Answer, Builder, Server, as_pairs, signed_headers};

const TARGET: (&str, &str) = ("x-amz-target", "DynamoDB_20120810.ListTables");
const JSON: (&str, &str) = ("content-type", "application/json");

/// Promises a body, sends so much of it, and takes the answer, which ends the connection.
fn promise(server: &Server, length: &str, headers: &[(&str, &str)], sent: &[u8]) -> Answer {
    let mut connection = server.connect();
    let mut head = format!("POST / HTTP/1.1\r\n{length}\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    connection.write(format!("{head}\r\n").as_bytes());
    connection.write(sent);
    let answer = connection.receive("POST");
    assert_eq!(answer.header("connection"), "close");
    assert!(connection.is_closed());
    answer
}

fn start() -> Server {
    Builder::new(&["--in-memory", "--body-timeout-ms", "600000"]).verified().start()
}

#[test]
fn they_are_refused_for_what_is_wrong_with_the_head() {
    let server = start();
    let long = "content-length: 70000";
    let check = |headers: &[(&str, &str)], status, said: &str| {
        let answer = promise(&server, long, headers, b"x");
        assert_eq!(answer.status, status);
        assert!(answer.text().contains(said), "{}", answer.text());
    };
    let host = ("host", "a");
    check(&[host], 404, "<UnknownOperationException/>");
    check(&[host, JSON], 400, "#UnknownOperationException");
    check(&[host, JSON, TARGET], 400, "#MissingAuthenticationTokenException");
    let mut headers = signed_headers(server.address, "ListTables", b"{}");
    let other = headers["authorization"].to_str().unwrap().replace("AKIDTEST", "AKIDOTHER");
    headers.insert("authorization", other.parse().unwrap());
    check(&as_pairs(&headers), 400, "#UnrecognizedClientException");
    headers.insert("x-amz-date", "20150830T123600Z".parse().unwrap());
    check(&as_pairs(&headers), 400, "Signature expired");
}

#[test]
fn so_they_are_where_the_length_is_not_said() {
    let server = start();
    let headers = [("host", "a"), JSON, TARGET];
    let chunk = [b"11000\r\n", &vec![b'x'; 0x11000][..], b"\r\n"].concat();
    let answer = promise(&server, "transfer-encoding: chunked", &headers, &chunk);
    assert!(answer.text().contains("#MissingAuthenticationToken"), "{}", answer.text());
}

#[test]
fn one_that_is_sent_as_a_whole_does_not_keep_its_client_from_the_answer() {
    let server = start();
    let body = vec![b'x'; 8 << 20];
    let headers = [("host", "a"), JSON, TARGET];
    let answer = promise(&server, &format!("content-length: {}", body.len()), &headers, &body);
    assert!(answer.text().contains("#MissingAuthenticationToken"), "{}", answer.text());
}
