//! One request, in the order in which DynamoDB looks at it.
//!
//! Length of the head, method and preflight, size of the body, content type, form of the body, operation, signature;
//! only then the operation itself. The form of the body is looked at again only for requests that
//! are refused: whoever is let in has it decoded once, by the service.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Body;
use hyper::header::{self, HeaderMap};
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode, Version};
use zenobe_model::operation::Operation;
use zenobe_storage::Health;

use crate::answers::AnswerBudget;
use crate::clock;
use crate::http::authentication::Authentication;
use crate::http::body::{self, BODY_BYTES_MAX, BodyBudget, BodyError, Held, UNPROVEN_BYTES_MAX};
use crate::http::head;
use crate::http::request_id::RequestId;
use crate::http::response::{
    ContentType, HttpResponse, allow_any_origin, bad_request, body_timed_out, closing, error_body,
    head_too_long, not_an_operation, preflight, respond, too_large,
};
use crate::logging::LogBudget;
use crate::metrics::Metrics;
use crate::service::{ApiRequest, ApiResponse, Service};

const TARGET: &str = "x-amz-target";
const SERIALIZATION: &str = "com.amazon.coral.service#SerializationException";
const UNKNOWN_OPERATION: &str = "com.amazon.coral.service#UnknownOperationException";
const UNAVAILABLE: &str = "com.amazon.coral.service#ServiceUnavailableException";
const INTERNAL_SERVER: &str = "com.amazonaws.dynamodb.v20120810#InternalServerError";

/// The front door: what all connections share.
pub(crate) struct Front<S> {
    pub(crate) service: S,
    pub(crate) authentication: Authentication,
    pub(crate) metrics: Arc<Metrics>,
    /// How long a body may take to arrive.
    pub(crate) body_timeout: Duration,
    /// Requests that take longer than this are logged.
    pub(crate) slow_request: Duration,
    /// The answer to `GET /`.
    pub(crate) health_text: Bytes,
    pub(crate) log_budget: LogBudget,
    pub(crate) body_budget: BodyBudget,
    pub(crate) answer_budget: AnswerBudget,
}

/// The answer and what the metrics are told about it.
struct Answer {
    response: HttpResponse,
    error: Option<&'static str>,
}

impl<S: Service> Front<S> {
    /// Answers one request. Never fails: whatever goes wrong becomes a response.
    pub(crate) async fn handle<B>(&self, request: Request<B>) -> HttpResponse
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let id = RequestId::fresh();
        let (parts, body) = request.into_parts();
        let has_origin = parts.headers.contains_key(header::ORIGIN);
        let mut response = match parts.method {
            _ if head::is_too_long(&parts) => logged(&id, &parts, head_too_long(&id)),
            _ if !has_one_host(parts.version, &parts.headers) => {
                logged(&id, &parts, bad_request(&id))
            }
            // This one is measured and logged with its operation.
            Method::POST => self.post(&id, &parts, body).await,
            Method::OPTIONS if has_origin => logged(&id, &parts, preflight(&id, &parts.headers)),
            Method::GET | Method::HEAD => logged(&id, &parts, self.get(&id, parts.uri.path())),
            _ => logged(&id, &parts, not_an_operation(&id)),
        };
        if has_origin {
            allow_any_origin(&mut response);
        }
        response
    }

    fn get(&self, id: &RequestId, path: &str) -> HttpResponse {
        let (content_type, body) = match path {
            "/" | "/ping" => (ContentType::Unstated, self.health_text.clone()),
            "/health" => return self.health(id),
            "/metrics" => return self.metrics_page(id),
            _ => return not_an_operation(id),
        };
        respond(StatusCode::OK, content_type, id, body)
    }

    fn metrics_page(&self, id: &RequestId) -> HttpResponse {
        let mut figures = self.service.figures();
        figures.push(self.answer_budget.figure());
        let page = self.metrics.render(&figures, &self.service.health());
        match self.answer_budget.hold_metrics(page.into_bytes()) {
            Some(page) => respond(StatusCode::OK, ContentType::Prometheus, id, page),
            None => busy(id, ContentType::Json),
        }
    }

    /// Whether the server does all that it is there for. The reason is for a person.
    fn health(&self, id: &RequestId) -> HttpResponse {
        let (status, body) = match self.service.health() {
            Health::Writable => (StatusCode::OK, Bytes::from_static(b"{\"status\":\"ok\"}")),
            Health::WritesRefused(error) => {
                let reason = error.to_string();
                let body = serde_json::json!({ "status": "writes refused", "reason": reason });
                (StatusCode::SERVICE_UNAVAILABLE, Bytes::from(body.to_string()))
            }
        };
        respond(status, ContentType::Json, id, body)
    }

    async fn post<B>(&self, id: &RequestId, parts: &Parts, mut body: B) -> HttpResponse
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let started = clock::now();
        let operation = operation(&parts.headers);
        let measure = self.metrics.start(operation);
        let mut held = self.body_budget.hold_nothing();
        // What is wrong with a body is said before what is wrong with the head, but a long one is not taken for that.
        let is_long = body::may_be_long(&body);
        let refusal = if is_long { self.refused_by_head(id, parts, operation) } else { None };
        let limit_bytes = if refusal.is_some() { UNPROVEN_BYTES_MAX } else { BODY_BYTES_MAX };
        let collected = match held.take(head::memory_bytes(parts)) {
            Ok(()) => body::collect(&mut body, limit_bytes, self.body_timeout, &mut held).await,
            Err(error) => Err(error),
        };
        let (received_bytes, answer) = match (collected, refusal) {
            (Ok(body), _) => (body.len(), self.answer(id, parts, operation, body, &mut held).await),
            (Err(BodyError::TooLarge), Some(refusal)) => {
                body::pass_over(body).await;
                (0, refusal)
            }
            (Err(error), _) => (0, refused_body(id, parts, error)),
        };
        let elapsed = started.elapsed();
        let sent_bytes = answer.response.body().size_hint().exact().unwrap_or_default();
        measure.finish(elapsed, received_bytes as u64, sent_bytes);
        self.note(id, operation, &answer, elapsed);
        answer.response
    }

    async fn answer(
        &self,
        id: &RequestId,
        parts: &Parts,
        operation: Option<Operation>,
        body: Bytes,
        held: &mut Held<'_>,
    ) -> Answer {
        let Some(content_type) = content_type(&parts.headers, body.is_empty()) else {
            return Answer { response: not_an_operation(id), error: Some(UNKNOWN_OPERATION) };
        };
        let refuse = |type_name, message| refused(id, content_type, type_name, message);
        let principal = self.authentication.check(parts, &body);
        let (operation, principal) = match (operation, principal) {
            (Some(operation), Ok(principal)) => (operation, principal),
            _ if self.is_malformed(&parts.headers, &body) => return refuse(SERIALIZATION, None),
            (None, _) => return refuse(UNKNOWN_OPERATION, None),
            (Some(_), Err(error)) => {
                return refuse(error.code.type_name(), Some(&error.message));
            }
        };
        let body = match body::decompress(&parts.headers, body, held) {
            Ok(body) if !body.is_empty() => body,
            Ok(_) => return refuse(SERIALIZATION, None),
            Err(error) => return refused_body(id, parts, error),
        };
        let is_about_host = operation == Operation::DescribeEndpoints;
        let host = if is_about_host { host(parts) } else { None };
        let called = self.call(id, ApiRequest { operation, host, body, principal }).await;
        let status = StatusCode::from_u16(called.status).unwrap_or(StatusCode::BAD_REQUEST);
        Answer { response: respond(status, content_type, id, called.body), error: called.error }
    }

    /// The answer to a request that is refused whatever its body is. If that is long it is not read: the connection closes.
    fn refused_by_head(
        &self,
        id: &RequestId,
        parts: &Parts,
        operation: Option<Operation>,
    ) -> Option<Answer> {
        let answer = match (content_type(&parts.headers, false), operation) {
            (None, _) => Answer { response: not_an_operation(id), error: Some(UNKNOWN_OPERATION) },
            (Some(content_type), None) => refused(id, content_type, UNKNOWN_OPERATION, None),
            (Some(content_type), Some(_)) => {
                let error = self.authentication.check_head(parts).err()?;
                refused(id, content_type, error.code.type_name(), Some(&error.message))
            }
        };
        Some(Answer { response: closing(answer.response), error: answer.error })
    }

    /// Whether a request that is refused anyway is refused for the form of its body. A compressed
    /// body of somebody who is not let in is not decompressed.
    fn is_malformed(&self, headers: &HeaderMap, body: &[u8]) -> bool {
        !body.is_empty()
            && !headers.contains_key(header::CONTENT_ENCODING)
            && !self.service.is_json(body)
    }

    /// Calls the service. A panic there is a defect, answered as an internal error: the connection
    /// and all others go on.
    async fn call(&self, id: &RequestId, request: ApiRequest) -> ApiResponse {
        let operation = request.operation;
        let mut call = pin!(self.service.call(request));
        let result = std::future::poll_fn(|context| {
            let polled = AssertUnwindSafe(|| call.as_mut().poll(context));
            match std::panic::catch_unwind(polled) {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(response)) => Poll::Ready(Ok(response)),
                Err(panic) => Poll::Ready(Err(panic)),
            }
        })
        .await;
        result.unwrap_or_else(|panic| {
            self.metrics.count_panic();
            let cause = panic
                .downcast_ref::<&str>()
                .copied()
                .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
                .unwrap_or("(no text)");
            self.log_budget.spend(|| {
                tracing::error!(
                    request_id = id.as_str(),
                    operation = operation.name(),
                    cause,
                    "a defect: the operation panicked"
                );
            });
            ApiResponse {
                status: 500,
                body: error_body(INTERNAL_SERVER, Some("Internal server error")),
                error: Some(INTERNAL_SERVER),
            }
        })
    }

    /// Tells metrics and log how a request ended.
    fn note(
        &self,
        id: &RequestId,
        operation: Option<Operation>,
        answer: &Answer,
        elapsed: Duration,
    ) {
        if let Some(error) = answer.error {
            self.metrics.count_error(operation, error);
        }
        let status = answer.response.status().as_u16();
        let name = operation.map_or("", Operation::name);
        let elapsed_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        tracing::debug!(
            request_id = id.as_str(),
            operation = name,
            status,
            elapsed_us,
            error = answer.error.unwrap_or_default(),
            "request"
        );
        if elapsed > self.slow_request || status >= 500 {
            self.log_budget.spend(|| {
                tracing::warn!(
                    request_id = id.as_str(),
                    operation = name,
                    status,
                    elapsed_us,
                    error = answer.error.unwrap_or_default(),
                    "slow or failed request"
                );
            });
        }
    }
}

/// Tells the log of a request that is none of the API.
fn logged(id: &RequestId, parts: &Parts, response: HttpResponse) -> HttpResponse {
    tracing::debug!(
        request_id = id.as_str(),
        method = parts.method.as_str(),
        path = parts.uri.path(),
        status = response.status().as_u16(),
        "request"
    );
    response
}

/// The host that a request names: `:authority` of HTTP/2, else Host.
fn host(parts: &Parts) -> Option<String> {
    let authority = parts.uri.authority().map(|authority| authority.as_str());
    let header = || parts.headers.get(header::HOST)?.to_str().ok();
    authority.or_else(header).filter(|host| !host.is_empty()).map(str::to_owned)
}

/// Whether the head of a request says in one way whom it is for. Source: RFC 9112, section 3.2.
fn has_one_host(version: Version, headers: &HeaderMap) -> bool {
    version != Version::HTTP_11 || headers.get_all(header::HOST).iter().count() == 1
}

/// The operation that the target names.
fn operation(headers: &HeaderMap) -> Option<Operation> {
    zenobe_wire::parse_target(headers.get(TARGET)?.to_str().ok()?).ok()
}

/// The content type of the answer: that of the request, without its parameters. `None` for a body
/// of a type that the API does not know.
fn content_type(headers: &HeaderMap, has_no_body: bool) -> Option<ContentType> {
    let given = headers.get(header::CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    let media_type = given.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    match media_type {
        b"application/x-amz-json-1.0" => Some(ContentType::AmzJson),
        b"application/json" => Some(ContentType::Json),
        _ if has_no_body => Some(ContentType::Json),
        _ => None,
    }
}

/// The answer to a request that is refused for a reason that has a name.
fn refused(
    id: &RequestId,
    content_type: ContentType,
    type_name: &'static str,
    message: Option<&str>,
) -> Answer {
    let body = error_body(type_name, message);
    let response = respond(StatusCode::BAD_REQUEST, content_type, id, body);
    Answer { response, error: Some(type_name) }
}

/// The answer to a body that could not be taken. Except for a malformed one, the connection closes:
/// the rest of the body is not read.
fn refused_body(id: &RequestId, parts: &Parts, error: BodyError) -> Answer {
    let content_type = content_type(&parts.headers, true).unwrap_or(ContentType::Json);
    let (response, error) = match error {
        BodyError::TooLarge => (too_large(id), "RequestEntityTooLarge"),
        BodyError::TimedOut => (body_timed_out(id), "RequestTimeout"),
        BodyError::Broken => (bad_request(id), "BadRequest"),
        BodyError::Malformed => {
            return refused(id, content_type, SERIALIZATION, None);
        }
        BodyError::NoRoom => (closing(busy(id, content_type)), UNAVAILABLE),
    };
    Answer { response, error: Some(error) }
}

/// The answer where there is no memory for a request, or for its answer.
fn busy(id: &RequestId, content_type: ContentType) -> HttpResponse {
    let body = error_body(UNAVAILABLE, Some("The service is currently unavailable or busy."));
    respond(StatusCode::SERVICE_UNAVAILABLE, content_type, id, body)
}
