//! What load balancers and scripts ask first.

mod support;

use support::Server;

#[test]
fn health_of_the_endpoint() {
    let server = Server::start(&["--in-memory"]);
    for path in ["/", "/ping"] {
        let answer = server.request("GET", path, &[], b"");
        assert_eq!(answer.status, 200);
        assert_eq!(answer.text(), "healthy: dynamodb.us-east-1.amazonaws.com ");
        assert_eq!(answer.header("x-amz-crc32"), "3128867991");
        assert_eq!(answer.header("content-length"), "42");
    }
    let answer = server.request("HEAD", "/", &[], b"");
    assert_eq!((answer.status, answer.header("content-length")), (200, "42"));
}

#[test]
fn health_names_the_region() {
    let server = Server::start(&["--in-memory", "--region", "eu-west-1"]);
    let answer = server.request("GET", "/", &[], b"");
    assert_eq!(answer.text(), "healthy: dynamodb.eu-west-1.amazonaws.com ");
}

#[test]
fn health_for_load_balancers() {
    let server = Server::start(&["--in-memory"]);
    let answer = server.request("GET", "/health", &[], b"");
    assert_eq!((answer.status, answer.text()), (200, r#"{"status":"ok"}"#));
    assert_eq!(answer.header("content-type"), "application/json");
}

#[test]
fn answers_carry_what_clients_look_for() {
    let server = Server::start(&["--in-memory"]);
    let answer = server.call("ListTables", "{}");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "application/x-amz-json-1.0");
    assert_eq!(answer.header("x-amz-crc32"), crc32fast::hash(&answer.body).to_string());
    assert_eq!(answer.header("content-length"), answer.body.len().to_string());
    assert!(answer.header("date").ends_with(" GMT"));
    assert_eq!(answer.header("server"), "Zenobe");
    let id = answer.header("x-amzn-requestid");
    assert!(id.len() == 52 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'V')));
}

#[test]
fn the_endpoint_is_what_the_request_reached() {
    let server = Server::start(&["--in-memory"]);
    let expected = |host: &str| {
        format!(r#"{{"Endpoints":[{{"Address":"{host}","CachePeriodInMinutes":1440}}]}}"#)
    };
    for host in ["db.example:8443", "localhost"] {
        let mut headers = support::signed_headers(server.address, "DescribeEndpoints", b"{}");
        headers.insert("host", host.parse().unwrap());
        let answer = server.request("POST", "/", &support::as_pairs(&headers), b"{}");
        assert_eq!((answer.status, answer.text()), (200, &*expected(host)));
    }
    // A client of HTTP/1.0 may name none.
    let headers = support::signed_headers(server.address, "DescribeEndpoints", b"{}");
    let mut request = String::from("POST / HTTP/1.0\r\ncontent-length: 2\r\n");
    for (name, value) in support::as_pairs(&headers).iter().filter(|(name, _)| *name != "host") {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    let mut connection = server.connect();
    connection.write(format!("{request}\r\n{{}}").as_bytes());
    assert_eq!(connection.receive("POST").text(), expected(&server.address.to_string()));
}

#[test]
fn debug_has_every_request() {
    let server = Server::start(&["--in-memory", "--log-level", "debug"]);
    for path in ["/health", "/metrics", "/elsewhere"] {
        server.request("GET", path, &[], b"");
    }
    server.request("OPTIONS", "/", &[("origin", "http://a")], b"");
    for said in [
        r#""method":"GET","path":"/health","status":200"#,
        r#""method":"GET","path":"/metrics","status":200"#,
        r#""method":"GET","path":"/elsewhere","status":404"#,
        r#""method":"OPTIONS","path":"/","status":200"#,
    ] {
        assert!(server.log().contains(said), "{said}\n{}", server.log());
    }
}
