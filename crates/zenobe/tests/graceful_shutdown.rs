//! Asked to stop, the server takes no new connections, finishes what is under way and ends well.

mod support;

use std::net::TcpStream;

use support::{Server, as_pairs, signed_headers};

#[test]
fn idle_connections_do_not_hold_it_up() {
    let mut server = Server::start(&["--in-memory"]);
    let mut connection = server.connect();
    connection.send("GET", "/", &[], b"");
    assert_eq!(connection.receive("GET").status, 200);
    let _fresh = server.connect();
    assert!(server.stop().success());
    assert!(connection.is_closed());
    assert!(!server.dir.path().join("port").exists());
    assert!(server.log().contains("stopped"), "{}", server.log());
}

#[test]
fn a_request_under_way_is_answered() {
    for signal in ["TERM", "INT"] {
        let mut server = Server::start(&["--in-memory"]);
        let headers = signed_headers(server.address, "ListTables", b"{}");
        let mut head = String::from("POST / HTTP/1.1\r\ncontent-length: 2\r\n");
        for (name, value) in as_pairs(&headers) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut connection = server.connect();
        connection.write(format!("{head}\r\n{{").as_bytes());
        support::eventually("the start of the request", || {
            let page = server.request("GET", "/metrics", &[], b"");
            page.text().contains("zenobe_requests_in_flight 1")
        });
        server.signal(signal);
        support::eventually("the end of listening", || TcpStream::connect(server.address).is_err());
        connection.write(b"}");
        assert_eq!(connection.receive("POST").status, 200);
        assert!(connection.is_closed());
        assert!(server.wait().success());
    }
}

#[test]
fn half_a_head_is_not_waited_for() {
    let mut server = Server::start(&[
        "--in-memory",
        "--header-timeout-ms",
        "60000",
        "--shutdown-timeout-ms",
        "60000",
    ]);
    let mut connection = server.connect();
    connection.write(b"POST / HT");
    // Time to read that. Should it not be read yet, the server stops as soon.
    server.request("GET", "/", &[], b"");
    assert!(server.stop().success());
    assert!(!server.log().contains("without waiting"), "{}", server.log());
    assert!(connection.is_closed());
}

#[test]
fn a_request_that_never_ends_is_waited_for_only_so_long() {
    let mut server = Server::start(&["--in-memory", "--shutdown-timeout-ms", "200"]);
    let mut connection = server.connect();
    connection.write(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{");
    support::eventually("the start of the request", || {
        let page = server.request("GET", "/metrics", &[], b"");
        page.text().contains("zenobe_requests_in_flight 1")
    });
    assert!(server.stop().success());
    assert!(server.log().contains("without waiting"), "{}", server.log());
}
