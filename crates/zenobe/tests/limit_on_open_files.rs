//! Connections and the database share the limit on open files: clients that only connect do not take the database's part.

mod support;

use support::Builder;

/// A limit of which 92 are for connections: 64 are for tables, 100 for the rest.
const OPEN_FILES: &str = "ulimit -n 256";

#[test]
fn clients_that_only_connect_do_not_keep_the_database_from_writing() {
    let server = Builder::new(&[]).limited(OPEN_FILES).start();
    let mut clients: Vec<_> = (0..300).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send("GET", "/", &[], b"");
    }
    let table = r#"{"TableName":"Table","BillingMode":"PAY_PER_REQUEST",
        "AttributeDefinitions":[{"AttributeName":"id","AttributeType":"N"}],
        "KeySchema":[{"AttributeName":"id","KeyType":"HASH"}]}"#;
    assert_eq!(server.call("CreateTable", table).status, 200);
    assert_eq!(server.request("GET", "/health", &[], b"").status, 200);
    drop(clients);
}

#[test]
fn more_connections_than_there_is_room_for_are_not_promised() {
    let server = Builder::new(&["--in-memory", "--max-connections", "5000"]);
    let server = server.limited(OPEN_FILES).start();
    let said =
        r#""level":"WARN","message":"the limit on open files (ulimit -n) has room for fewer"#;
    assert!(server.log().contains(said), "{}", server.log());
    assert!(server.log().contains(r#""max_connections":92}"#), "{}", server.log());
    let server = Builder::new(&["--in-memory"]).limited(OPEN_FILES).start();
    assert!(!server.log().contains("WARN"), "{}", server.log());
}

#[test]
fn the_limit_is_raised_as_far_as_it_may_be() {
    let server = Builder::new(&["--in-memory"]).limited("ulimit -Sn 256 && ulimit -Hn 900").start();
    let page = server.request("GET", "/metrics", &[], b"");
    assert!(page.text().contains("\nprocess_max_fds 900\n"), "{}", page.text());
}
