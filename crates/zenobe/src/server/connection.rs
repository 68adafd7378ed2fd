//! One connection: TLS or not, HTTP/1.1 or HTTP/2, watched while it lives.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::http::handler::Front;
use crate::http::head::{HEAD_BYTES_MAX, HEADERS_MAX};
use crate::http::request_id::RequestId;
use crate::http::response::{HttpResponse, error_body};
use crate::server::registry::{ConnectionState, Directive, Phase, Registry, Sending};
use crate::server::tls::Tls;
use crate::service::Service;

/// What HTTP/1.1 reads at a time, and so the longest head that it looks at. It may read as much again before.
const HTTP1_BUFFER_BYTES: usize = 64 << 10;
/// The most requests under way on one HTTP/2 connection.
const HTTP2_STREAMS_MAX: u32 = 128;
/// HTTP/2 flow control: one large batch fits without a round trip.
const HTTP2_WINDOW_BYTES: u32 = 1 << 20;
/// HTTP/2 clients are pinged, so that a dead one does not stay.
const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(30);
const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(20);

/// What all connections share.
pub(super) struct Connections<S> {
    pub(super) front: Arc<Front<S>>,
    pub(super) registry: Registry,
    pub(super) tls: Option<Arc<Tls>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
}

impl<S: Service> Connections<S> {
    /// Serves a connection until it ends.
    pub(super) async fn serve(&self, mut stream: TcpStream) {
        let registered = self.registry.register();
        let state = registered.state.clone();
        // Answers are small and written at once: waiting for more to send would only delay them.
        let _ = stream.set_nodelay(true);
        match &self.tls {
            None => {
                let sniffed = unless_told_to_end(&state, sniff(&mut stream)).await;
                if let Some(Ok((protocol, first))) = sniffed {
                    self.speak(protocol, first, stream, state).await;
                }
            }
            Some(tls) => {
                // The whole handshake has the time of a head, together with the head of the first request.
                let handshake = tls.acceptor().accept(stream);
                match unless_told_to_end(&state, handshake).await {
                    Some(Ok(stream)) => {
                        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                        let protocol = if is_http2 { Protocol::Http2 } else { Protocol::Http1 };
                        self.speak(protocol, Bytes::new(), stream, state).await;
                    }
                    Some(Err(error)) => {
                        self.front.metrics.tls_failed();
                        tracing::debug!(%error, "TLS handshake failed");
                    }
                    None => self.front.metrics.tls_failed(),
                }
            }
        }
    }

    /// Serves a connection of which the first bytes are read already.
    async fn speak<T>(
        &self,
        protocol: Protocol,
        first: Bytes,
        stream: T,
        state: Arc<ConnectionState>,
    ) where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        match protocol {
            Protocol::Http1 => {
                let stream = Watched { first, stream, notes: Http1Notes(state.clone()) };
                self.speak_http1(TokioIo::new(stream), state).await;
            }
            Protocol::Http2 => {
                let preface_bytes_left = HTTP2_PREFACE_BYTES;
                let notes = Http2Notes { state: state.clone(), preface_bytes_left };
                let stream = Watched { first, stream, notes };
                self.speak_http2(TokioIo::new(stream), state).await;
            }
        }
    }

    async fn speak_http1<T>(
        &self,
        stream: TokioIo<Watched<T, Http1Notes>>,
        state: Arc<ConnectionState>,
    ) where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(|request: hyper::Request<Incoming>| {
            let (front, in_flight) = (self.front.clone(), state.begin(Phase::Writing));
            async move {
                let response = front.handle(request).await;
                // The other requests that are ready go first, so that their answers leave in a row: it
                // costs much to wake a client that sleeps, and the first answer does that for all.
                tokio::task::yield_now().await;
                drop(in_flight);
                Ok::<_, Infallible>(response)
            }
        });
        let mut builder = http1::Builder::new();
        // A client that has sent its request and closed its sending half still gets its answer, and
        // an operation under way is not dropped half done.
        builder.half_close(true).max_buf_size(HTTP1_BUFFER_BYTES).max_headers(HEADERS_MAX);
        let connection = builder.serve_connection(stream, service);
        drive(connection, &state, |connection| connection.graceful_shutdown()).await;
    }

    async fn speak_http2<T>(
        &self,
        stream: TokioIo<Watched<T, Http2Notes>>,
        state: Arc<ConnectionState>,
    ) where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(|request: hyper::Request<Incoming>| {
            let (front, in_flight) = (self.front.clone(), state.begin(Phase::Idle));
            // A client may cancel a stream at any time; an operation under way must not be dropped
            // half done for that, so it runs in a task of its own.
            let answer = tokio::spawn(async move { front.handle(request).await });
            let state = state.clone();
            async move {
                let response = answer.await.unwrap_or_else(|_| lost());
                let response = response.map(|body| Http2Body { body, sending: Some(state.send()) });
                drop(in_flight);
                Ok::<_, Infallible>(response)
            }
        });
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(HTTP2_STREAMS_MAX)
            .max_header_list_size(HEAD_BYTES_MAX)
            .initial_stream_window_size(HTTP2_WINDOW_BYTES)
            .initial_connection_window_size(HTTP2_WINDOW_BYTES)
            .keep_alive_interval(HTTP2_PING_INTERVAL)
            .keep_alive_timeout(HTTP2_PING_TIMEOUT);
        let connection = builder.serve_connection(stream, service);
        drive(connection, &state, |connection| connection.graceful_shutdown()).await;
    }
}

/// The body of an answer of HTTP/2, which notes how far it is sent.
struct Http2Body {
    body: Full<Bytes>,
    sending: Option<Sending>,
}

impl Body for Http2Body {
    type Data = Unsent;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Unsent>, Infallible>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        // All of it is one frame, which waits for the client after the body is gone.
        let sending = self.sending.take();
        Poll::Ready(frame.map(|Ok(frame)| Ok(frame.map_data(|bytes| Unsent { bytes, sending }))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The bytes of an answer of HTTP/2 that are not written to the connection. They are dropped when all of them
/// are, or when the client gave the answer up.
struct Unsent {
    bytes: Bytes,
    sending: Option<Sending>,
}

impl Buf for Unsent {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        if let Some(sending) = &self.sending {
            sending.progress();
        }
    }
}

/// The answer when the task of a request is gone, which only a defect outside the service does.
fn lost() -> HttpResponse {
    let type_name = "com.amazonaws.dynamodb.v20120810#InternalServerError";
    crate::http::response::respond(
        hyper::StatusCode::INTERNAL_SERVER_ERROR,
        crate::http::response::ContentType::AmzJson,
        &RequestId::fresh(),
        error_body(type_name, Some("Internal server error")),
    )
}

/// Runs a connection until it ends or is told to.
async fn drive<C>(connection: C, state: &ConnectionState, shut_down: impl Fn(Pin<&mut C>))
where
    C: Future,
{
    let mut connection = std::pin::pin!(connection);
    let mut remembered = false;
    let mut draining = false;
    std::future::poll_fn(|context| {
        if !remembered {
            state.remember(context.waker());
            remembered = true;
        }
        match state.directive() {
            Directive::Run => {}
            Directive::Drain if draining => {}
            Directive::Drain => {
                draining = true;
                shut_down(connection.as_mut());
            }
            Directive::Close => return Poll::Ready(()),
        }
        // How it ended is the client's affair: an error here is a broken or hostile connection.
        connection.as_mut().poll(context).map(|_| ())
    })
    .await;
}

/// Waits for something before the first request; `None` when the connection is told to end.
async fn unless_told_to_end<F: Future>(state: &ConnectionState, future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    let mut remembered = false;
    std::future::poll_fn(|context| {
        if !remembered {
            state.remember(context.waker());
            remembered = true;
        }
        match state.directive() {
            Directive::Run => future.as_mut().poll(context).map(Some),
            Directive::Drain | Directive::Close => Poll::Ready(None),
        }
    })
    .await
}

/// What HTTP/2 begins with, as no request of HTTP/1.1 does.
const HTTP2_BEGINS: &[u8] = b"PRI";

/// Reads a connection's first bytes, as many as tell its protocol. One that ends before is left to HTTP/1.1.
async fn sniff(stream: &mut TcpStream) -> io::Result<(Protocol, Bytes)> {
    let mut first = BytesMut::with_capacity(HTTP2_BEGINS.len());
    loop {
        let has_ended = stream.read_buf(&mut first).await? == 0;
        if first.starts_with(HTTP2_BEGINS) {
            return Ok((Protocol::Http2, first.freeze()));
        }
        if has_ended || !HTTP2_BEGINS.starts_with(&first) {
            return Ok((Protocol::Http1, first.freeze()));
        }
    }
}

/// A stream whose bytes tell what its connection does.
struct Watched<T, N> {
    /// What was read of it before.
    first: Bytes,
    stream: T,
    notes: N,
}

/// What is noted of a connection by its bytes.
trait Notes: Unpin {
    /// Some bytes came.
    fn came(&mut self, count: usize);
    /// The client took some of a response, or does not take it now.
    fn wrote(&self, written: &Poll<io::Result<usize>>);
    /// All that was written is on its way.
    fn flushed(&self) {}
}

impl<T: AsyncRead + Unpin, N: Notes> AsyncRead for Watched<T, N> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if self.first.is_empty() {
            ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        } else {
            let length = self.first.len().min(buffer.remaining());
            buffer.put_slice(&self.first.split_to(length));
        }
        let count = buffer.filled().len() - before;
        if count > 0 {
            self.notes.came(count);
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin, N: Notes> AsyncWrite for Watched<T, N> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.notes.wrote(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.notes.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.notes.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Of HTTP/1.1, where each byte belongs to a request or its response: the phases.
struct Http1Notes(Arc<ConnectionState>);

impl Notes for Http1Notes {
    fn came(&mut self, _: usize) {
        self.0.enter_head();
    }

    fn wrote(&self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(_)) = written
            && self.0.phase() != Phase::Handling
        {
            self.0.enter(Phase::Writing);
        }
    }

    fn flushed(&self) {
        if self.0.phase() == Phase::Writing {
            self.0.enter(Phase::Idle);
        }
    }
}

/// What a client of HTTP/2 sends first. Source: RFC 9113, section 3.4.
const HTTP2_PREFACE_BYTES: usize = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len();

/// Of HTTP/2. What its bytes mean cannot be seen here: settings, pings and windows come and go while
/// there is no request. So requests alone say whether the connection is idle, and this notes only that the
/// preface is there, and for how long the client takes nothing. Heads that do not arrive in full keep
/// the client from answering pings, which ends the connection.
struct Http2Notes {
    state: Arc<ConnectionState>,
    preface_bytes_left: usize,
}

impl Notes for Http2Notes {
    fn came(&mut self, count: usize) {
        if self.preface_bytes_left > 0 {
            self.preface_bytes_left = self.preface_bytes_left.saturating_sub(count);
            if self.preface_bytes_left == 0 {
                self.state.enter(Phase::Idle);
            }
        } else {
            self.state.progress();
        }
    }

    fn wrote(&self, written: &Poll<io::Result<usize>>) {
        match (written, self.state.phase()) {
            (Poll::Pending, Phase::Idle) => self.state.enter(Phase::Writing),
            (Poll::Ready(Ok(_)), Phase::Writing) => self.state.enter(Phase::Idle),
            (Poll::Ready(Ok(_)), _) => self.state.progress(),
            (Poll::Pending | Poll::Ready(Err(_)), _) => {}
        }
    }
}
