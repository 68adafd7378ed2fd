//! The metrics page has what happened.

mod support;

use support::Server;

#[test]
fn metrics_page() {
    let server = Server::start(&["--in-memory"]);
    let answered = server.call("ListTables", "{}").body;
    let target = [("x-amz-target", "DynamoDB_20120810.ListTables")];
    let refused = server.request("POST", "/", &target, b"").body;
    let mut connection = server.connect();
    let mut page = || {
        connection.send("GET", "/metrics", &[], b"");
        connection.receive("GET")
    };
    // The connections of the calls before end a moment after their answers.
    support::eventually("the end of connections", || {
        page().text().contains("zenobe_connections_open 1\n")
    });
    let answer = page();
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").starts_with("text/plain; version=0.0.4"));
    let page = answer.text();
    let sent_bytes = answered.len() + refused.len();
    for line in [
        "zenobe_requests_total{operation=\"ListTables\"} 2",
        "zenobe_request_duration_seconds_count{operation=\"ListTables\"} 2",
        "zenobe_errors_total{operation=\"ListTables\",code=\"MissingAuthenticationTokenException\"} 1",
        "zenobe_request_bytes_total 2",
        &format!("zenobe_response_bytes_total {sent_bytes}"),
        "zenobe_connections_total 3",
        "zenobe_requests_in_flight 0",
        "zenobe_panics_total 0",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}\n{page}");
    }
    for name in ["process_resident_memory_bytes", "process_cpu_seconds_total"] {
        assert!(page.lines().any(|line| line.starts_with(name)), "{name}\n{page}");
    }
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let value = line.rsplit(' ').next().unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
}
