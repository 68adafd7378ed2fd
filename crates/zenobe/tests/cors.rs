//! Browsers may call from any page, as they may at the service.

mod support;

use support::Server;

const ORIGIN: (&str, &str) = ("origin", "https://example.com");

#[test]
fn preflight_requests_are_allowed_what_they_ask_for() {
    let server = Server::start(&["--in-memory"]);
    let headers = [
        ORIGIN,
        ("access-control-request-headers", "a, b, c"),
        ("access-control-request-method", "d"),
    ];
    let answer = server.request("OPTIONS", "/", &headers, b"");
    assert_eq!(answer.status, 200);
    for (name, value) in [
        ("access-control-allow-origin", "*"),
        ("access-control-allow-headers", "a, b, c"),
        ("access-control-allow-methods", "d"),
        ("access-control-max-age", "172800"),
        ("content-length", "0"),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
    let answer = server.request("OPTIONS", "/", &[ORIGIN], b"");
    assert_eq!(answer.header("access-control-allow-headers"), "");
    assert_eq!(answer.header("access-control-allow-origin"), "*");
}

#[test]
fn answers_may_be_read_by_any_page_that_asks() {
    let server = Server::start(&["--in-memory"]);
    let answer = server.request("POST", "/", &[ORIGIN], b"");
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (400, "*"));
    assert!(answer.header("access-control-expose-headers").contains("x-amzn-RequestId"));
    let answer = server.request("POST", "/", &[], b"");
    assert_eq!(answer.header("access-control-allow-origin"), "");
}
