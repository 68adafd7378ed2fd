//! Answers that their clients do not take have a limit together: large ones wait for room, and are refused when none
//! comes; small ones go on.

#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2::{self, SendRequest};
use hyper::header::HeaderName;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use support::{Server, as_pairs, eventually, signed_headers};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// The largest answers for which there is room: 256 MB of 16.
const ANSWERS_MAX: usize = 16;
/// The length of the items. There are so many that one answer does not have them all.
const ITEM_BYTES: usize = 399 << 10;
const ITEMS: usize = 45;
/// What the client takes of all answers of a connection.
const WINDOW_BYTES: u32 = 65_535;

type Answered = JoinHandle<hyper::Result<Response<Incoming>>>;

async fn connect(server: &Server) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(server.address).await.unwrap();
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

/// Asks for more than an answer may have. The result is the answer's head.
fn ask(server: &Server, sender: &mut SendRequest<Full<Bytes>>) -> Answered {
    let body = batch();
    let mut headers = signed_headers(server.address, "BatchGetItem", body.as_bytes());
    headers.remove(HeaderName::from_static("host"));
    let mut request = Request::post(format!("http://{}/", server.address))
        .body(Full::from(body.into_bytes()))
        .unwrap();
    *request.headers_mut() = headers;
    tokio::spawn(sender.send_request(request))
}

fn key(place: usize) -> String {
    format!(r#"{{"id":{{"N":"{place}"}}}}"#)
}

fn batch() -> String {
    let keys: Vec<String> = (0..ITEMS).map(key).collect();
    format!(r#"{{"RequestItems":{{"Large":{{"Keys":[{}]}}}}}}"#, keys.join(","))
}

fn fill(server: &Server) {
    let call = |operation, body: &str| {
        let answer = server.call(operation, body);
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    call(
        "CreateTable",
        r#"{"TableName":"Large","BillingMode":"PAY_PER_REQUEST",
            "AttributeDefinitions":[{"AttributeName":"id","AttributeType":"N"}],
            "KeySchema":[{"AttributeName":"id","KeyType":"HASH"}]}"#,
    );
    let text = "x".repeat(ITEM_BYTES);
    for place in 0..ITEMS {
        let item = format!(r#"{{"id":{{"N":"{place}"}},"text":{{"S":"{text}"}}}}"#);
        call("PutItem", &format!(r#"{{"TableName":"Large","Item":{item}}}"#));
    }
}

fn held_bytes(server: &Server) -> usize {
    let page = server.request("GET", "/metrics", &[], b"");
    let line = page.text().lines().find(|line| line.starts_with("zenobe_answer_bytes_held "));
    line.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn unread_answers() {
    let server = Server::start(&["--in-memory"]);
    fill(&server);

    // All the room but that for one answer is taken over HTTP/2, the rest over HTTP/1.1.
    let (mut one, mut other) = (connect(&server).await, connect(&server).await);
    let mut kept = Vec::new();
    for place in 1..ANSWERS_MAX {
        let sender = if place % 2 == 0 { &mut one } else { &mut other };
        kept.push(ask(&server, sender).await.unwrap().unwrap());
    }
    assert!(kept.iter().all(|answer| answer.status() == 200));
    let body = batch();
    let headers = signed_headers(server.address, "BatchGetItem", body.as_bytes());
    let mut plain = server.connect();
    plain.send("POST", "/", &as_pairs(&headers), body.as_bytes());
    let full_bytes = ANSWERS_MAX * (16 << 20);
    let taken_bytes = full_bytes - ITEM_BYTES * ANSWERS_MAX;
    eventually("the last room being taken", || held_bytes(&server) > taken_bytes);

    let mut waiting: Vec<Answered> = (0..3).map(|_| ask(&server, &mut one)).collect();
    // Small answers do not wait for large ones, nor do single items.
    let get = format!(r#"{{"TableName":"Large","Key":{}}}"#, key(1));
    let answer = server.call("GetItem", &get);
    assert_eq!((answer.status, answer.body.len() > ITEM_BYTES), (200, true));
    assert_eq!(server.call("ListTables", "{}").status, 200);
    assert!(!waiting.iter().any(Answered::is_finished));
    let held = held_bytes(&server);
    assert!(held < full_bytes + (1 << 20), "{held}");
    // A client gives an answer up: another gets its room. Those for whom there is none are refused.
    drop(kept.pop());
    let mut statuses = Vec::new();
    for answer in waiting.drain(..) {
        let answer = answer.await.unwrap().unwrap();
        statuses.push(answer.status().as_u16());
        kept.push(answer);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 503, 503]);

    // An answer that is taken gives its room back, and so does a client that leaves.
    assert_eq!(plain.receive("POST").status, 200);
    eventually("room", || held_bytes(&server) < taken_bytes);
    assert_eq!(server.call("BatchGetItem", &body).status, 200);
    drop((one, other, kept));
    eventually("the whole budget", || held_bytes(&server) == 0);
}
