//! Data is there again after a stop and after a kill, belongs to one process at a time, and is gone
//! only when it was said to be in memory.

mod support;

use support::{Builder, Server, run};

const TABLE: &str = r#"{"TableName":"students","BillingMode":"PAY_PER_REQUEST",
    "AttributeDefinitions":[{"AttributeName":"Id","AttributeType":"N"}],
    "KeySchema":[{"AttributeName":"Id","KeyType":"HASH"}]}"#;
const GET: &str = r#"{"TableName":"students","Key":{"Id":{"N":"1"}},"ConsistentRead":true}"#;

fn start(data_dir: &str) -> Server {
    Builder::new(&["--data-dir", data_dir]).start()
}

#[track_caller]
fn call(server: &Server, operation: &str, body: &str) -> String {
    let answer = server.call(operation, body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text().to_owned()
}

fn wait_until_active(server: &Server) {
    support::eventually("an active table", || {
        call(server, "DescribeTable", r#"{"TableName":"students"}"#)
            .contains(r#""TableStatus":"ACTIVE""#)
    });
}

#[test]
fn data_outlives_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data").display().to_string();
    let mut server = start(&data_dir);
    call(&server, "CreateTable", TABLE);
    wait_until_active(&server);
    for round in 0..4 {
        let put = format!(
            r#"{{"TableName":"students","Item":{{"Id":{{"N":"1"}},"round":{{"N":"{round}"}}}}}}"#
        );
        call(&server, "PutItem", &put);
        if round % 2 == 0 {
            server.kill();
        } else {
            assert!(server.stop().success(), "{}", server.log());
        }
        server = start(&data_dir);
        let found = call(&server, "GetItem", GET);
        assert!(found.contains(&format!(r#""round":{{"N":"{round}"}}"#)), "{found}");
    }
}

#[test]
fn a_directory_belongs_to_one_process() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data").display().to_string();
    let _server = start(&data_dir);
    let args = ["--listen", "127.0.0.1:0", "--data-dir", &data_dir];
    let output = run(&args, &[], dir.path());
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4), "{message}");
    assert!(message.contains("in use by another process"), "{message}");
    assert!(message.contains(&data_dir), "{message}");
}

#[test]
fn a_directory_that_cannot_be_made_is_said() {
    let dir = tempfile::tempdir().unwrap();
    support::write_file(dir.path(), "file", "");
    let args = ["--listen", "127.0.0.1:0", "--data-dir", "file/data"];
    let output = run(&args, &[], dir.path());
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4), "{message}");
    assert!(message.contains("file/data"), "{message}");
}

#[test]
fn without_a_word_data_is_in_a_directory_of_its_own() {
    let mut server = Builder::new(&[]).start();
    assert!(server.dir.path().join("zenobe-data").is_dir(), "{}", server.log());
    assert!(server.log().contains("\"durability\":\"fsync\""), "{}", server.log());
    assert!(server.stop().success());
}
