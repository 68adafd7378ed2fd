//! Nobody reads the log, or what a check found: nothing fails for that.

#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::process::{Command, Stdio};

use support::{Builder, command};

/// What every write to fails, as on a full disk.
fn full() -> std::fs::File {
    std::fs::File::options().write(true).open("/dev/full").unwrap()
}

/// A pipe that nobody reads any more.
fn broken_pipe() -> std::io::PipeWriter {
    std::io::pipe().unwrap().1
}

#[test]
fn a_log_that_cannot_be_written_does_not_end_the_server() {
    for log in [Stdio::from(full()), Stdio::from(broken_pipe())] {
        let mut server = Builder::new(&["--in-memory", "--log-level", "debug"]).log_to(log).start();
        for _ in 0..3 {
            assert_eq!(server.call("ListTables", "{}").status, 200);
        }
        assert!(server.stop().success());
    }
}

/// A check of an empty database.
fn check(dir: &std::path::Path) -> Command {
    let mut check = command();
    check.args(["check", "--data-dir", "data"]).current_dir(dir).stdin(Stdio::null());
    check
}

#[test]
fn a_check_says_by_its_exit_code_what_nobody_reads() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data").display().to_string();
    assert!(Builder::new(&["--data-dir", &data_dir]).start().stop().success());
    let ended = |check: &mut Command| check.status().unwrap().code();
    assert_eq!(ended(check(dir.path()).stdout(broken_pipe()).stderr(broken_pipe())), Some(0));
    assert_eq!(ended(check(dir.path()).stdout(full()).stderr(full())), Some(1));
}
