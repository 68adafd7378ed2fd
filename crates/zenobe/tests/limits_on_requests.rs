//! Bodies and heads have limits, and a length is not believed.

mod support;

use support::{Builder, Connection, Server, as_pairs, signed_headers};

const BODY_BYTES_MAX: usize = 16 << 20;

#[test]
fn a_body_over_the_limit_is_refused_before_it_is_sent() {
    let server = Server::start(&["--in-memory"]);
    let mut connection = server.connect();
    connection.write(
        format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", BODY_BYTES_MAX + 1)
            .as_bytes(),
    );
    assert_eq!(connection.receive("POST").status, 413);
    assert!(connection.is_closed());
}

#[test]
fn a_chunked_body_over_the_limit_is_refused() {
    let server = Server::start(&["--in-memory"]);
    let mut head = String::from("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n");
    for (name, value) in as_pairs(&signed_headers(server.address, "ListTables", b"{}")) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let mut connection = server.connect();
    connection.write(format!("{head}\r\n").as_bytes());
    let mut chunk = format!("{:x}\r\n", 1 << 20).into_bytes();
    chunk.resize(chunk.len() + (1 << 20), b'a');
    chunk.extend_from_slice(b"\r\n");
    for _ in 0..17 {
        if connection.try_write(&chunk).is_err() {
            break;
        }
    }
    assert_eq!(connection.receive("POST").status, 413);
}

#[test]
fn a_body_at_the_limit_is_taken() {
    let server = Builder::new(&["--in-memory"]).verified().start();
    let mut body = b"{".to_vec();
    body.resize(BODY_BYTES_MAX - 1, b' ');
    body.push(b'}');
    let headers = signed_headers(server.address, "ListTables", &body);
    let answer = server.request("POST", "/", &as_pairs(&headers), &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn a_chunked_body_is_taken() {
    let server = Builder::new(&["--in-memory"]).verified().start();
    let headers = signed_headers(server.address, "ListTables", b"{}");
    let mut head = String::from("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n");
    for (name, value) in as_pairs(&headers) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let mut connection = server.connect();
    connection.write(format!("{head}\r\n1\r\n{{\r\n1\r\n}}\r\n0\r\n\r\n").as_bytes());
    assert_eq!(connection.receive("POST").status, 200);
}

#[test]
fn a_head_over_the_limit_is_refused() {
    let server = Server::start(&["--in-memory"]);
    let mut connection = server.connect();
    let long = "a".repeat(300 << 10);
    let _ = connection.try_write(format!("POST / HTTP/1.1\r\nx: {long}\r\n\r\n").as_bytes());
    assert_eq!(connection.receive("POST").status, 431);

    let mut connection = server.connect();
    let many = "x: y\r\n".repeat(200);
    let _ = connection.try_write(format!("POST / HTTP/1.1\r\n{many}\r\n").as_bytes());
    assert_eq!(connection.receive("POST").status, 431);
}

#[test]
fn a_head_is_as_long_as_over_http2() {
    let server = Server::start(&["--in-memory"]);
    for (length, status) in [(15 << 10, 200), (16 << 10, 431)] {
        let long = "a".repeat(length);
        assert_eq!(server.request("GET", "/", &[("x", &long)], b"").status, status);
    }
}

#[test]
fn connections_over_the_limit_wait() {
    let server = Server::start(&["--in-memory", "--max-connections", "2"]);
    let [mut first, mut second] = [server.connect(), server.connect()];
    for connection in [&mut first, &mut second] {
        connection.write(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{");
    }
    let mut third = server.connect();
    third.send("GET", "/", &[], b"");
    support::eventually("a warning", || server.log().contains("\"max_connections\":2"));
    drop(first);
    assert_eq!(third.receive("GET").status, 200);
}

#[test]
fn idle_connections_do_not_keep_others_waiting() {
    let server = Server::start(&["--in-memory", "--max-connections", "1"]);
    let get = |connection: &mut Connection| {
        connection.send("GET", "/", &[], b"");
        assert_eq!(connection.receive("GET").status, 200);
    };
    let [mut first, mut second] = [server.connect(), server.connect()];
    get(&mut first);
    get(&mut second);
    assert!(first.is_closed());
}

#[test]
fn one_connection_may_come_to_any_address() {
    let listen = ["--listen", "127.0.0.1:0,127.0.0.2:0"];
    let server = Server::start(&[&["--in-memory", "--max-connections", "1"], &listen[..]].concat());
    let port_file = std::fs::read_to_string(server.dir.path().join("port")).unwrap();
    let get = |address: &str| {
        let mut connection = Connection::open(address.parse().unwrap());
        connection.send("GET", "/", &[], b"");
        assert_eq!(connection.receive("GET").status, 200);
    };
    get(port_file.lines().next_back().unwrap());
    assert!(!server.log().contains("max_connections"), "{}", server.log());
    port_file.lines().for_each(get);
}
