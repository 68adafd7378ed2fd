//! A client that does not send, or does not take, in time does not hold a connection.

mod support;

use support::{Server, as_pairs, signed_headers};

#[test]
fn a_head_that_does_not_arrive() {
    let server = Server::start(&["--in-memory", "--header-timeout-ms", "300"]);
    let mut connection = server.connect();
    connection.write(b"POST / HT");
    assert!(connection.is_closed());
}

#[test]
fn a_head_that_arrives_byte_by_byte() {
    let server = Server::start(&["--in-memory", "--header-timeout-ms", "300"]);
    let mut connection = server.connect();
    connection.write(b"POST / HTTP/1.1\r\nx: ");
    support::eventually("the end of the connection", || connection.try_write(b"a").is_err());
}

#[test]
fn a_head_that_arrives_in_pieces() {
    let server = Server::start(&["--in-memory"]);
    let mut connection = server.connect();
    for piece in ["P", "OST / HT", "TP/1.1\r\nhost: a\r\n", "content-length: 0\r\n\r\n"] {
        connection.write(piece.as_bytes());
        // So that the pieces do not come together.
        server.request("GET", "/", &[], b"");
    }
    let answer = connection.receive("POST");
    assert_eq!((answer.status, answer.header("x-amz-crc32")), (400, "1368724161"));
}

#[test]
fn a_body_that_does_not_arrive() {
    let server = Server::start(&["--in-memory", "--body-timeout-ms", "300"]);
    let mut connection = server.connect();
    connection.write(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc");
    let answer = connection.receive("POST");
    assert_eq!((answer.status, answer.header("connection")), (408, "close"));
    assert!(connection.is_closed());
}

#[test]
fn a_connection_without_a_request() {
    let server = Server::start(&["--in-memory", "--idle-timeout-ms", "300"]);
    let mut connection = server.connect();
    connection.send("GET", "/", &[], b"");
    assert_eq!(connection.receive("GET").status, 200);
    assert!(connection.is_closed());
}

#[test]
fn a_connection_without_a_first_byte_has_the_time_of_a_head() {
    // A connection that waits for its next request would stay for five minutes.
    let server = Server::start(&["--in-memory", "--header-timeout-ms", "300"]);
    assert!(server.connect().is_closed());
    for first in [&b"P"[..], b"PR"] {
        let mut connection = server.connect();
        connection.write(first);
        assert!(connection.is_closed());
    }
    let mut connection = server.connect();
    connection.write(b"PRI * HTTP/2.0");
    // The server's own settings come first.
    while !connection.is_closed() {}
}

#[test]
fn a_client_that_leaves_in_the_middle_of_what_tells_the_protocol() {
    let server = Server::start(&["--in-memory", "--header-timeout-ms", "600000"]);
    let clients = [&b"P"[..], b"PR", b"PRI"].map(|first| {
        let mut client = server.connect();
        client.write(first);
        client
    });
    let are_open = |count: usize| {
        let page = server.request("GET", "/metrics", &[], b"");
        page.text().contains(&format!("\nzenobe_connections_open {count}\n"))
    };
    support::eventually("the connections, and that for the metrics", || are_open(4));
    drop(clients);
    support::eventually("the end of the connections", || are_open(1));
}

#[test]
fn a_client_that_takes_no_answers() {
    let server = Server::start(&["--in-memory", "--write-timeout-ms", "300"]);
    let headers = signed_headers(server.address, "ListTables", b"{}");
    let mut request = String::from("POST / HTTP/1.1\r\ncontent-length: 2\r\n");
    for (name, value) in as_pairs(&headers) {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n{}");
    // Answers pile up until no buffer takes more.
    let mut connection = server.connect();
    support::eventually("the end of the connection", || {
        (0..100).any(|_| connection.try_write(request.as_bytes()).is_err())
    });
    assert_eq!(server.request("GET", "/health", &[], b"").status, 200);
}
