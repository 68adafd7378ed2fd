//! Connections of HTTP/2 without a request: they stay for the idle timeout, whatever is said about the connection
//! itself; then, or when the server stops, the client is told goodbye, and not waited for if it does not answer.

#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use support::{PATIENCE, Server, closed};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_STREAM_AND_HEADERS: u8 = 5;

/// What a client takes of an answer at first.
const FIRST_BYTES: u32 = 100;

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    length: u32,
}

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

    /// The next frame. `None` when the server has closed.
    fn receive(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        closed(self.stream.read_exact(&mut head))?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        closed(self.stream.read_exact(&mut vec![0; length as usize]))?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some(Frame { kind: head[3], flags: head[4], stream, length })
    }

    /// `GET /`; whether there is an answer.
    fn get(&mut self) -> bool {
        // RFC 7541, appendix A: /, too, has a number.
        self.begin_get(b"\x84")
    }

    /// Asks for a path; whether the head of an answer comes.
    fn begin_get(&mut self, path: &[u8]) -> bool {
        let stream = 2 * self.streams + 1;
        self.streams += 1;
        // RFC 7541, appendix A: GET and http have numbers; the authority has one for its name.
        let head = [b"\x82\x86\x01\x09localhost", path].concat();
        self.send(HEADERS, END_STREAM_AND_HEADERS, stream, &head);
        while let Some(frame) = self.receive() {
            if (frame.kind, frame.stream) == (HEADERS, stream) {
                return true;
            }
        }
        false
    }

    /// Asks for the metrics and takes only the head of the answer and its first bytes.
    fn begin_to_take(server: &Server) -> Self {
        let mut client = Self::connect(server);
        // RFC 9113, section 6.5.2: the initial window of the client's streams.
        client.send(SETTINGS, 0, 0, &[&[0, 4][..], &FIRST_BYTES.to_be_bytes()].concat());
        assert!(client.begin_get(b"\x04\x08/metrics"));
        let first = client.receive().unwrap();
        assert_eq!((first.kind, first.flags, first.length), (DATA, 0, FIRST_BYTES));
        client
    }

    /// Takes the rest of the one answer; whether it comes to its end.
    fn takes_the_rest(&mut self) -> bool {
        self.send(WINDOW_UPDATE, 0, 1, &1_000_000_u32.to_be_bytes());
        while let Some(frame) = self.receive() {
            if frame.kind == DATA && frame.flags & END_STREAM != 0 {
                return true;
            }
        }
        false
    }

    /// Reads until the server closes; whether it said goodbye.
    fn is_told_goodbye(&mut self) -> bool {
        let mut told = false;
        while let Some(frame) = self.receive() {
            told |= frame.kind == GOAWAY;
        }
        told
    }
}

#[test]
fn what_is_about_the_connection_does_not_begin_a_request() {
    let server = Server::start(&["--in-memory", "--header-timeout-ms", "2000"]);
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
    let server = Server::start(&["--in-memory", "--idle-timeout-ms", "2000"]);
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

#[test]
fn an_answer_that_is_being_taken_is_not_idle() {
    // What is idle would be closed a second after it was told so.
    let pause = || std::thread::sleep(Duration::from_millis(2000));
    let mut server = Server::start(&["--in-memory", "--idle-timeout-ms", "100"]);
    let mut client = Client::begin_to_take(&server);
    pause();
    assert!(client.takes_the_rest());
    let mut client = Client::begin_to_take(&server);
    server.signal("TERM");
    pause();
    assert!(client.takes_the_rest());
    assert!(server.wait().success());
    assert!(!server.log().contains("without waiting"), "{}", server.log());
}

#[test]
fn an_answer_that_is_not_taken_is_waited_for_only_so_long() {
    let server = Server::start(&["--in-memory", "--write-timeout-ms", "1000"]);
    let mut client = Client::begin_to_take(&server);
    assert!(!client.is_told_goodbye());
}
