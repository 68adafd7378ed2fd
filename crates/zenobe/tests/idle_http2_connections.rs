//! Connections of HTTP/2 without a request: they stay for the idle timeout, whatever is said about the connection
//! itself; then, or when the server stops, the client is told goodbye, and not waited for if it does not answer.

#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;

use support::{PATIENCE, Server};

const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;
const END_STREAM_AND_HEADERS: u8 = 5;

/// A client that says just what the test lets it say.
struct Client {
    stream: TcpStream,
    streams: u32,
}

impl Client {
    fn connect(server: &Server) -> Self {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        let mut client = Self { stream, streams: 0 };
        client.send(SETTINGS, 0, 0, b"");
        client
    }

    fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.stream.write_all(&frame).unwrap();
    }

    /// The next frame: its kind and stream. `None` when the server has closed.
    fn receive(&mut self) -> Option<(u8, u32)> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        self.stream.read_exact(&mut vec![0; length]).ok()?;
        Some((head[3], u32::from_be_bytes([head[5], head[6], head[7], head[8]])))
    }

    /// `GET /`; whether there is an answer.
    fn get(&mut self) -> bool {
        let stream = 2 * self.streams + 1;
        self.streams += 1;
        // RFC 7541, appendix A: GET, http and / have numbers; the authority has one for its name.
        let head = b"\x82\x86\x84\x01\x09localhost";
        self.send(HEADERS, END_STREAM_AND_HEADERS, stream, head);
        while let Some(received) = self.receive() {
            if received == (HEADERS, stream) {
                return true;
            }
        }
        false
    }

    /// Reads until the server closes; whether it said goodbye.
    fn is_told_goodbye(&mut self) -> bool {
        let mut told = false;
        while let Some((kind, _)) = self.receive() {
            told |= kind == GOAWAY;
        }
        told
    }
}

#[test]
fn what_is_about_the_connection_does_not_begin_a_request() {
    let server = Server::start(&["--in-memory", "--header-timeout-ms", "300"]);
    let mut client = Client::connect(&server);
    assert!(client.get());
    client.send(SETTINGS, ACK, 0, b"");
    client.send(WINDOW_UPDATE, 0, 0, &1000_u32.to_be_bytes());
    // Twice the time of a head goes by.
    for _ in 0..2 {
        let mut slow = server.connect();
        slow.write(b"POST / HT");
        assert!(slow.is_closed());
    }
    assert!(client.get());
}

#[test]
fn the_idle_timeout_ends_them_with_a_goodbye() {
    let server = Server::start(&["--in-memory", "--idle-timeout-ms", "300"]);
    let mut client = Client::connect(&server);
    assert!(client.get());
    client.send(WINDOW_UPDATE, 0, 0, &1000_u32.to_be_bytes());
    // It does not answer the goodbye, which does not keep it.
    assert!(client.is_told_goodbye());
    assert!(Client::connect(&server).is_told_goodbye());
}

#[test]
fn a_stop_does_not_wait_for_a_client_that_says_nothing() {
    let mut server = Server::start(&["--in-memory", "--shutdown-timeout-ms", "60000"]);
    let (mut asked, mut fresh) = (Client::connect(&server), Client::connect(&server));
    assert!(asked.get());
    assert!(fresh.receive().is_some());
    assert!(server.stop().success());
    assert!(!server.log().contains("without waiting"), "{}", server.log());
    assert!(asked.is_told_goodbye() && fresh.is_told_goodbye());
}
