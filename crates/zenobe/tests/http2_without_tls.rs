//! HTTP/2 with prior knowledge: many requests at a time on one connection, signed with `:authority`.

#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use support::{Builder, Server, sign_headers};
use tokio::net::TcpStream;

async fn connect(server: &Server) -> http2::SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(server.address).await.unwrap();
    let (sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn request(server: &Server) -> hyper::Request<Full<Bytes>> {
    let mut headers = support::signed_headers(server.address, "ListTables", b"{}");
    headers.remove("authorization");
    sign_headers(&mut headers, "POST", "/", b"{}");
    // The host is signed, but sent as the authority only.
    headers.remove("host");
    let mut request = hyper::Request::post(format!("http://{}/", server.address))
        .body(Full::from(&b"{}"[..]))
        .unwrap();
    *request.headers_mut() = headers;
    request
}

#[tokio::test]
async fn requests_at_the_same_time() {
    let server = Builder::new(&["--in-memory"]).verified().start();
    let sender = connect(&server).await;
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let (mut sender, request) = (sender.clone(), request(&server));
            tokio::spawn(async move { sender.send_request(request).await.unwrap() })
        })
        .collect();
    for call in calls {
        let answer = call.await.unwrap();
        assert_eq!(answer.status(), 200);
        let crc32 = answer.headers()["x-amz-crc32"].to_str().unwrap().to_owned();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(crc32, crc32fast::hash(&body).to_string());
    }
}

#[tokio::test]
async fn a_head_over_the_limit_is_refused() {
    let server = Builder::new(&["--in-memory"]).verified().start();
    let mut sender = connect(&server).await;
    let mut check = async |count: usize, length: usize, expected: u16| {
        let mut request = request(&server);
        for _ in 0..count {
            request.headers_mut().append("x", "a".repeat(length).parse().unwrap());
        }
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.status().as_u16(), expected, "{count} {length}");
    };
    check(100, 1, 200).await;
    check(200, 1, 431).await;
    check(1, 15 << 10, 200).await;
    check(1, 16 << 10, 431).await;
    check(1, 1, 200).await;
}

#[tokio::test]
async fn a_shutdown_ends_the_connection() {
    let mut server = Builder::new(&["--in-memory"]).verified().start();
    let mut sender = connect(&server).await;
    assert_eq!(sender.send_request(request(&server)).await.unwrap().status(), 200);
    // The client must be able to answer the server's goodbye meanwhile.
    let (server, status) = tokio::task::spawn_blocking(move || {
        let status = server.stop();
        (server, status)
    })
    .await
    .unwrap();
    assert!(status.success());
    assert!(sender.send_request(request(&server)).await.is_err());
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let server = Builder::new(&["--in-memory", "--idle-timeout-ms", "300"]).verified().start();
    let mut sender = connect(&server).await;
    assert_eq!(sender.send_request(request(&server)).await.unwrap().status(), 200);
    let mut tries = 0;
    while !sender.is_closed() {
        tries += 1;
        assert!(tries < 400, "the connection stays open");
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
}
