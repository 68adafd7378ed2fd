//! The file that says where the server listens: whose it is, and what becomes of it when a start fails.

mod support;

use support::{Server, run};

#[test]
fn a_start_that_fails_leaves_the_file_of_the_server_that_runs() {
    let server = Server::start(&["--data-dir", "data"]);
    let (dir, address) = (server.dir.path(), server.address.to_string());
    let port_file = || std::fs::read_to_string(dir.join("port")).unwrap();
    let expected = format!("{address}\n");
    assert_eq!(port_file(), expected);
    let common = ["--port-file", "port", "--data-dir", "data", "--listen"];
    for (listen, code) in [(&*address, 3), ("127.0.0.1:0", 4)] {
        let output = run(&[&common[..], &[listen]].concat(), &[], dir);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert_eq!(port_file(), expected);
    }
}

#[test]
fn a_stop_leaves_the_file_of_another_server() {
    let mut server = Server::start(&["--in-memory"]);
    let port_file = support::write_file(server.dir.path(), "port", "127.0.0.1:1\n");
    assert!(server.stop().success());
    assert_eq!(std::fs::read_to_string(port_file).unwrap(), "127.0.0.1:1\n");
}

#[test]
fn a_file_that_cannot_be_written_is_said_before_the_server_is_ready() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("taken")).unwrap();
    for port_file in ["taken", "nowhere/port"] {
        let args = ["--in-memory", "--listen", "127.0.0.1:0", "--port-file", port_file];
        let output = run(&args, &[], dir.path());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("cannot write {port_file}")), "{said}");
        assert!(!said.contains("ready"), "{said}");
    }
    let left = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(left, 1, "something is left beside the directory");
}
