//! TLS: both versions of HTTP, certificates that change while the server runs, pairs that do not fit.

#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::path::Path;
use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use support::{Builder, Server, run};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Writes a certificate for localhost with its key, and returns it.
fn write_pair(dir: &Path) -> CertificateDer<'static> {
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    support::write_file(dir, "key.pem", &pair.signing_key.serialize_pem());
    support::write_file(dir, "cert.pem", &pair.cert.pem());
    pair.cert.der().clone()
}

fn start(dir: &Path) -> Server {
    let (cert, key) = (dir.join("cert.pem"), dir.join("key.pem"));
    Builder::new(&[
        "--in-memory",
        "--tls-cert",
        cert.to_str().unwrap(),
        "--tls-key",
        key.to_str().unwrap(),
    ])
    .start()
}

/// Connects, trusting one certificate.
async fn connect(
    server: &Server,
    trusted: &CertificateDer<'static>,
    protocol: &[u8],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(server.address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

fn request() -> hyper::Request<Full<Bytes>> {
    hyper::Request::get("https://localhost/")
        .header("host", "localhost")
        .body(Full::default())
        .unwrap()
}

#[tokio::test]
async fn http1_and_http2_over_tls() {
    let dir = tempfile::tempdir().unwrap();
    let certificate = write_pair(dir.path());
    let server = start(dir.path());

    let stream = connect(&server, &certificate, b"http/1.1").await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let answer = sender.send_request(request()).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes().len(), 42);

    let stream = connect(&server, &certificate, b"h2").await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let executor = TokioExecutor::new();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(executor, TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let answer = sender.send_request(request()).await.unwrap();
    assert_eq!((answer.version(), answer.status().as_u16()), (hyper::Version::HTTP_2, 200));
}

#[tokio::test]
async fn a_certificate_that_changes_is_used_from_then_on() {
    let dir = tempfile::tempdir().unwrap();
    let old = write_pair(dir.path());
    let server = start(dir.path());
    connect(&server, &old, b"http/1.1").await.unwrap();

    let new = write_pair(dir.path());
    let mut tries = 0;
    while connect(&server, &new, b"http/1.1").await.is_err() {
        tries += 1;
        assert!(tries < 400, "the new certificate is not used\n{}", server.log());
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    assert!(connect(&server, &old, b"http/1.1").await.is_err());

    // A pair that cannot be used does not replace one that can.
    support::write_file(dir.path(), "key.pem", "nonsense");
    server.signal("HUP");
    support::eventually("the complaint", || server.log().contains("the old certificate stays"));
    connect(&server, &new, b"http/1.1").await.unwrap();
}

#[test]
fn a_pair_that_cannot_be_used_is_refused_at_start() {
    let dir = tempfile::tempdir().unwrap();
    write_pair(dir.path());
    let args = [
        "--in-memory",
        "--listen",
        "127.0.0.1:0",
        "--tls-cert",
        "cert.pem",
        "--tls-key",
        "key.pem",
    ];
    let message = |expected: &str| {
        let output = run(&args, &[], dir.path());
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(expected), "{message}");
    };
    let other = rcgen::KeyPair::generate().unwrap();
    support::write_file(dir.path(), "key.pem", &other.serialize_pem());
    message("do not go together");
    support::write_file(dir.path(), "key.pem", "nonsense");
    message("key.pem as a private key");
    // A key of Ed448, of which there is no use.
    let unsupported = "-----BEGIN PRIVATE KEY-----\n\
        MEcCAQAwBQYDK2VxBDsEOcjZBp4/2QMkI3SiOP0hDRJc4/keBGUejoaG9KYL963m\n\
        qMrKNbNToXv8Nt7pgJWmG2RKspH5Wyrd2Q==\n\
        -----END PRIVATE KEY-----\n";
    support::write_file(dir.path(), "key.pem", unsupported);
    message("not supported; RSA with 2048 to 4096 bits, ECDSA");
    for encrypted in [
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
    ] {
        support::write_file(dir.path(), "key.pem", encrypted);
        message("key.pem as a private key: it is encrypted");
    }
    std::fs::remove_file(dir.path().join("cert.pem")).unwrap();
    message("cert.pem as a certificate chain");
}

#[test]
fn plain_http_on_a_tls_port_is_closed_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    write_pair(dir.path());
    let server = start(dir.path());
    let mut connection = server.connect();
    connection.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    while !connection.is_closed() {}
}
