//! The handler with a service that does what a test wants.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::{Body, Frame};
use zenobe_storage::{EngineError, Figure, Health};

use crate::answers::AnswerBudget;
use crate::http::authentication::Authentication;
use crate::http::body::{self, BODY_BYTES_MAX, BodyBudget, Held};
use crate::http::handler::Front;
use crate::logging::LogBudget;
use crate::metrics::Metrics;
use crate::service::{ApiRequest, ApiResponse, Service};

/// Panics when the body says so, otherwise answers with the body.
struct Echo {
    health: Health,
}

impl Service for Echo {
    async fn call(&self, request: ApiRequest) -> ApiResponse {
        assert!(!request.body.starts_with(b"panic at once"), "asked to panic");
        tokio::task::yield_now().await;
        assert!(!request.body.starts_with(b"panic later"), "asked to panic later");
        ApiResponse { status: 200, body: request.body, error: None }
    }

    fn is_json(&self, _: &[u8]) -> bool {
        true
    }

    fn figures(&self) -> Vec<Figure> {
        Vec::new()
    }

    fn health(&self) -> Health {
        self.health.clone()
    }
}

fn front() -> Front<Echo> {
    Front {
        service: Echo { health: Health::Writable },
        authentication: Authentication::Open,
        metrics: Arc::new(Metrics::new(1, 0)),
        body_timeout: Duration::from_secs(1),
        slow_request: Duration::from_secs(1),
        health_text: Bytes::new(),
        log_budget: LogBudget::default(),
        body_budget: BodyBudget::default(),
        answer_budget: AnswerBudget::new(),
    }
}

fn request(body: &'static str) -> Request<Full<Bytes>> {
    Request::post("/")
        .header("host", "localhost")
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", "DynamoDB_20120810.PutItem")
        .header("x-amz-date", "20150830T123600Z")
        .header(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host, Signature=f",
        )
        .body(Full::from(body))
        .unwrap()
}

#[tokio::test]
async fn a_panic_is_answered_as_an_internal_error_and_counted() {
    let front = front();
    for body in ["panic at once", "panic later"] {
        let answer = front.handle(request(body)).await;
        assert_eq!(answer.status(), 500);
        let answered = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(
            &answered[..],
            br#"{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError","message":"Internal server error"}"#
        );
    }
    assert_eq!(front.handle(request("fine")).await.status(), 200);
    let page = front.metrics.render(&[], &Health::Writable);
    assert!(page.contains("zenobe_panics_total 2"), "{page}");
    assert!(page.contains("code=\"InternalServerError\"} 2"), "{page}");
    assert!(page.contains("zenobe_requests_in_flight 0"), "{page}");
}

#[tokio::test]
async fn a_body_that_came_with_its_head_is_not_copied() {
    let body = Bytes::from_static(b"whole");
    let budget = BodyBudget::default();
    let mut held = budget.hold_nothing();
    let whole = Full::new(body.clone());
    let collected = body::collect(whole, BODY_BYTES_MAX, Duration::from_secs(1), &mut held);
    let collected = collected.await.unwrap();
    assert_eq!(collected.as_ptr(), body.as_ptr());
}

/// A body that comes in pieces.
struct Pieces(Vec<&'static [u8]>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop().map(|piece| Ok(Frame::data(Bytes::from_static(piece)))))
    }
}

/// Takes all that there is for the beginnings of requests.
fn begin_as_many_as_may_be(budget: &BodyBudget) -> Vec<Held<'_>> {
    let mut begun = Vec::new();
    let mut is_full = false;
    while !is_full {
        let mut other = budget.hold_nothing();
        is_full = other.take(64 << 10).is_err();
        begun.push(other);
    }
    begun
}

#[tokio::test]
async fn a_small_body_in_pieces_is_taken_whatever_others_hold() {
    let front = front();
    let send = async |pieces| {
        let answer = front.handle(request("").map(|_| Pieces(pieces))).await;
        answer.status().as_u16()
    };
    let (short, long) = (vec![&b"short"[..]; 2], vec![&[b' '; 8 << 10][..]; 2]);
    assert_eq!(send(long.clone()).await, 200);
    let mut others = front.body_budget.hold_nothing();
    while others.take(1 << 20).is_ok() {}
    // That was the rest, of which requests as short as these take nothing.
    assert_eq!([send(short.clone()).await, send(long.clone()).await], [200, 200]);
    let _begun = begin_as_many_as_may_be(&front.body_budget);
    assert_eq!([send(short).await, send(long).await], [200, 503]);
}

#[tokio::test]
async fn a_head_counts_with_its_body() {
    let front = front();
    let _begun = begin_as_many_as_may_be(&front.body_budget);
    assert_eq!(front.handle(request("short")).await.status(), 200);
    let mut long = request("short");
    long.headers_mut().insert("x", "a".repeat(12 << 10).parse().unwrap());
    assert_eq!(front.handle(long).await.status(), 503);
}

async fn get(front: &Front<Echo>, path: &str) -> (u16, String) {
    let request = Request::get(path).header("host", "a").body(Full::<Bytes>::default()).unwrap();
    let answer = front.handle(request).await;
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn health_check_and_gauge_say_that_writes_are_refused_and_why() {
    let mut front = front();
    let check = async |front: &Front<Echo>| {
        let (status, body) = get(front, "/health").await;
        let (_, page) = get(front, "/metrics").await;
        let gauge = format!("\nzenobe_healthy {}\n", u8::from(status == 200));
        assert!(page.contains(&gauge), "{page}");
        (status, body)
    };
    assert_eq!(check(&front).await, (200, r#"{"status":"ok"}"#.to_owned()));
    let full = EngineError::Full("the log cannot grow: \"disk\"".to_owned());
    front.service.health = Health::WritesRefused(full);
    let expected = concat!(
        r#"{"reason":"no room for more writes: the log cannot grow: \"disk\"","#,
        r#""status":"writes refused"}"#
    );
    assert_eq!(check(&front).await, (503, expected.to_owned()));
}
