//! Flags, environment and file: which wins, and what is refused with which words.

#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use support::{Builder, run, write_file};

#[track_caller]
fn refused(args: &[&str], envs: &[(&str, &str)], file: &str, words: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    write_file(dir.path(), "zenobe.toml", file);
    let args = [args, &["--config", "zenobe.toml"]].concat();
    let output = run(&args, envs, dir.path());
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.starts_with("zenobe: error: "), "{message}");
    for word in words {
        assert!(message.contains(word), "{word}\n{message}");
    }
    assert!(!dir.path().join("zenobe-data").exists(), "data was made in spite of the refusal");
}

#[track_caller]
fn region_of(args: &[&str], env: Option<&str>, file: Option<&str>) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = write_file(dir.path(), "zenobe.toml", file.unwrap_or_default());
    let path = path.to_str().unwrap();
    let mut builder = Builder::new(&[&["--in-memory", "--config", path], args].concat());
    if let Some(env) = env {
        builder = builder.env("ZENOBE_REGION", env);
    }
    let answer = builder.start().request("GET", "/", &[], b"");
    answer.text().split('.').nth(1).unwrap().to_owned()
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let (flag, env, file) = (["--region", "flag"], Some("env"), Some("region = 'file'"));
    assert_eq!(region_of(&flag, env, file), "flag");
    assert_eq!(region_of(&[], env, file), "env");
    assert_eq!(region_of(&[], None, file), "file");
    assert_eq!(region_of(&[], None, None), "us-east-1");
}

#[test]
fn switches_may_be_given_in_all_three_places() {
    let dir = tempfile::tempdir().unwrap();
    let path = write_file(dir.path(), "zenobe.toml", "in-memory = true");
    let server = Builder::new(&["--config", path.to_str().unwrap()]).start();
    assert!(server.log().contains("in memory"), "{}", server.log());
    let server = Builder::new(&[]).env("ZENOBE_IN_MEMORY", "true").start();
    assert!(server.log().contains("in memory"), "{}", server.log());
    let server = Builder::new(&["serve", "--in-memory=true"]).start();
    assert!(server.log().contains("in memory"), "{}", server.log());
}

#[test]
fn of_what_excludes_each_other_the_source_that_wins_has_its_way() {
    let says = |args: &[&str], env: (&str, &str), file: &str, expected: &str| {
        let dir = tempfile::tempdir().unwrap();
        let path = write_file(dir.path(), "zenobe.toml", file);
        let args = [args, &["--config", path.to_str().unwrap()]].concat();
        let server = Builder::new(&args).env(env.0, env.1).start();
        assert!(server.log().contains(expected), "{args:?} {env:?} {file}\n{}", server.log());
    };
    let (none, in_memory) = (("ZENOBE_REGION", ""), "\"in memory");
    let files = "data-dir = 'd'\ndurability = 'interval'\ndurability-interval-ms = 5";
    let cluster = "engine = 'cassandra'\ncassandra-contact-points = '127.0.0.9'";
    says(&["--in-memory"], none, files, in_memory);
    says(&["--in-memory"], none, cluster, in_memory);
    says(&["--in-memory"], ("ZENOBE_DATA_DIR", "d"), "", in_memory);
    says(&[], ("ZENOBE_IN_MEMORY", "true"), files, in_memory);
    says(&["--data-dir", "here"], none, "in-memory = true", "/here\"");
    says(&["--data-dir", "here"], none, cluster, "/here\"");
    says(&["--data-dir", "here"], ("ZENOBE_IN_MEMORY", "true"), "", "/here\"");
    says(&[], ("ZENOBE_DURABILITY", "fsync"), "in-memory = true", "\"fsync\"");
    says(&["--engine", "embedded"], none, &format!("{files}\n{cluster}"), "/d\"");
    says(&["--durability", "fsync"], none, files, "\"fsync\"");
    says(&[], ("ZENOBE_DURABILITY", "fsync"), files, "\"fsync\"");
    says(&["--durability", "interval"], none, files, "of the last 5 ms");
    // Of one source, both cannot be meant.
    refused(&[], &[], &format!("in-memory = true\n{files}"), &["--in-memory and --data-dir"]);
    let both = [("ZENOBE_IN_MEMORY", "true"), ("ZENOBE_DATA_DIR", "d")];
    refused(&[], &both, "", &["ZENOBE_IN_MEMORY", "ZENOBE_DATA_DIR"]);
}

#[test]
fn an_empty_variable_is_as_good_as_none() {
    let dir = tempfile::tempdir().unwrap();
    let help = String::from_utf8(run(&["--help"], &[], dir.path()).stdout).unwrap();
    let mut builder = Builder::new(&[]);
    let mut count = 0;
    for name in help.split("[env: ").skip(1) {
        builder = builder.env(name.split(']').next().unwrap(), "");
        count += 1;
    }
    assert!(count > 30, "{help}");
    let server =
        builder.env("ZENOBE_ACCESS_KEY_ID", "").env("ZENOBE_SECRET_ACCESS_KEY", "").start();
    assert!(server.log().contains("/zenobe-data\""), "{}", server.log());
}

#[test]
fn a_variable_whose_value_makes_no_sense_is_named() {
    let soon = [("ZENOBE_TTL_INTERVAL", "soon")];
    refused(&[], &soon, "", &["ZENOBE_TTL_INTERVAL: invalid value 'soon'"]);
    refused(&[], &[("ZENOBE_ENGINE", "other")], "", &["ZENOBE_ENGINE", "cassandra"]);
    refused(
        &[],
        &[("ZENOBE_ACCOUNT_ID", "12")],
        "",
        &["--account-id comes from ZENOBE_ACCOUNT_ID"],
    );
    refused(&[], &[("ZENOBE_TLS_CERT", "c")], "", &["(--tls-cert comes from ZENOBE_TLS_CERT)"]);
    let listen = [("ZENOBE_LISTEN", "0.0.0.0:0")];
    refused(&[], &listen, "", &["without credentials", "(--listen comes from ZENOBE_LISTEN)"]);
    // A flag wins, whatever the variable holds.
    assert_eq!(region_of(&["--region", "flag"], Some("No Region"), None), "flag");
}

#[test]
fn what_is_wrong_with_a_file_is_said_by_its_place_and_without_its_lines() {
    refused(&[], &[], "lisen = '127.0.0.1:8000'", &["zenobe.toml, line 1, column 1: ", "lisen"]);
    refused(&[], &[], "[[credentials]]\naccess-key = 'a'", &["line 2", "access-key"]);
    for value in
        ["topsecret", "'topsecret", "\"topsecret\\q\"", "['topsecret']", "{a = 'topsecret'}"]
    {
        let dir = tempfile::tempdir().unwrap();
        let file = format!("\n[[credentials]]\naccess-key-id = 'a'\nsecret-access-key = {value}\n");
        write_file(dir.path(), "zenobe.toml", &file);
        let output = run(&["--config", "zenobe.toml"], &[], dir.path());
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains("zenobe.toml, line 4, column "), "{message}");
        assert!(!message.contains("topsecret"), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
    for value in ["1234", "0.5", "true"] {
        let message = ["line 1", "a secret must be a text"];
        refused(&[], &[], &format!("cassandra-password = {value}"), &message);
    }
    let message = ["missing field", "secret-access-key"];
    refused(&[], &[], "[[credentials]]\naccess-key-id = 'a'", &message);
}

#[test]
fn values_that_make_no_sense_are_refused() {
    refused(&[], &[], "region = 'EU'", &["--region", "eu-west-1"]);
    refused(&[], &[("ZENOBE_ACCOUNT_ID", "12")], "", &["--account-id", "twelve digits"]);
    refused(&["--durability", "never"], &[], "", &["never", "fsync"]);
    refused(&["--in-memory", "--data-dir", "d"], &[], "", &["--in-memory", "--data-dir"]);
    let cassandra = ["--engine", "cassandra"];
    refused(&cassandra, &[], "", &["--cassandra-contact-points"]);
    let points = ["--cassandra-contact-points", "127.0.0.9"];
    refused(&points, &[], "", &["--engine cassandra"]);
    let cluster = [cassandra, points].concat();
    refused(&[&cluster[..], &["--in-memory"]].concat(), &[], "", &["--in-memory"]);
    refused(&[&cluster[..], &["--data-dir", "d"]].concat(), &[], "", &["--data-dir"]);
    let nobody = [&cluster[..], &["--cassandra-replication", "0"]].concat();
    refused(&nobody, &[], "", &["--cassandra-replication"]);
    let user = [&cluster[..], &["--cassandra-user", "u"]].concat();
    refused(&user, &[], "", &["ZENOBE_CASSANDRA_PASSWORD"]);
    refused(&cluster, &[("ZENOBE_CASSANDRA_PASSWORD", "p")], "", &["--cassandra-user"]);
    for point in ["127.0.0.9:99999", "127.0.0.9:0", "[::1]:port", "127.0.0.9,b:"] {
        let points = [&cassandra[..], &["--cassandra-contact-points", point]].concat();
        refused(&points, &[], "", &["--cassandra-contact-points", "from 1 to 65535"]);
    }
    for keyspace in ["", "Zenobe", "1z", "a-b", &"z".repeat(49)] {
        let file = format!("cassandra-keyspace = '{keyspace}'");
        refused(&cluster, &[], &file, &["--cassandra-keyspace", "1 to 48"]);
    }
    for flag in ["--cassandra-tls-ca", "--cassandra-tls-cert", "--cassandra-tls-key"] {
        refused(&[&cluster[..], &[flag, "none.pem"]].concat(), &[], "", &[flag, "none.pem"]);
        refused(&[flag, "none.pem"], &[], "", &[flag, "--engine cassandra"]);
    }
    refused(&["--cassandra-replication", "1"], &[], "", &["--engine cassandra"]);
    refused(&[], &[], "cassandra-password = 'topsecret'", &["--engine cassandra"]);
    refused(&["--listen", "nowhere"], &[], "", &["--listen nowhere", "127.0.0.1:8000"]);
    refused(&["--max-connections", "0"], &[], "", &["--max-connections"]);
    refused(&["--tls-cert", "c"], &[], "", &["--tls-key"]);
    refused(&["--durability-interval-ms", "5"], &[], "", &["--durability interval"]);
    refused(&["--ttl-interval", "0"], &[], "", &["--ttl-interval", "from 1 to 86400"]);
    refused(&[], &[], "ttl-interval = 86401", &["--ttl-interval"]);
    refused(&["--frobnicate"], &[], "", &["--frobnicate"]);
}

#[test]
fn keys_must_be_whole_and_unique() {
    refused(&[], &[("ZENOBE_ACCESS_KEY_ID", "a")], "", &["ZENOBE_SECRET_ACCESS_KEY"]);
    refused(&[], &[("ZENOBE_SECRET_ACCESS_KEY", "a")], "", &["ZENOBE_ACCESS_KEY_ID"]);
    let twice = "[[credentials]]\naccess-key-id = 'a'\nsecret-access-key = 'topsecret'\n";
    let dir = tempfile::tempdir().unwrap();
    write_file(dir.path(), "zenobe.toml", &format!("{twice}{twice}"));
    let output = run(&["--config", "zenobe.toml", "--in-memory"], &[], dir.path());
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("twice") && !message.contains("topsecret"), "{message}");
}

#[test]
fn keys_that_are_not_utf_8_are_refused_and_not_shown() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["ZENOBE_ACCESS_KEY_ID", "ZENOBE_SECRET_ACCESS_KEY", "ZENOBE_CASSANDRA_PASSWORD"] {
        let mut command = support::command();
        let value = OsStr::from_bytes(b"topsecret\xff");
        let output = command.arg("--in-memory").env(name, value).current_dir(dir.path()).output();
        let output = output.unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(&format!("{name}: the value is not UTF-8")), "{message}");
        assert!(!message.contains("topsecret"), "{message}");
    }
}

#[test]
fn an_address_that_others_can_reach_needs_keys_and_tls() {
    let keys = [("ZENOBE_ACCESS_KEY_ID", "a"), ("ZENOBE_SECRET_ACCESS_KEY", "b")];
    for address in ["0.0.0.0:0", "[::]:0", "127.0.0.1:0,0.0.0.0:0", "[::ffff:10.0.0.1]:0"] {
        refused(&["--listen", address], &[], "", &["without credentials"]);
        refused(&["--listen", address, "--insecure-no-tls"], &[], "", &["without credentials"]);
        refused(&["--listen", address], &keys, "", &["without TLS", "--insecure-no-tls"]);
    }
}

#[test]
fn loopback_needs_neither() {
    let server = Builder::new(&["--in-memory", "--listen", "127.0.0.1:0,127.0.0.2:0"]).start();
    let port_file = std::fs::read_to_string(server.dir.path().join("port")).unwrap();
    assert_eq!(port_file.lines().count(), 2, "{port_file}");
    assert!(port_file.lines().nth(1).unwrap().starts_with("127.0.0.2:"), "{port_file}");
}

#[test]
fn each_free_port_that_is_asked_for_is_one_of_its_own() {
    let server = Builder::new(&["--in-memory", "--listen", "127.0.0.1:0,127.0.0.1:0"]).start();
    let port_file = std::fs::read_to_string(server.dir.path().join("port")).unwrap();
    let lines: Vec<&str> = port_file.lines().collect();
    assert!(lines.len() == 2 && lines[0] != lines[1], "{port_file}");
}

#[test]
fn a_port_in_use_is_said_and_has_an_exit_code_of_its_own() {
    let server = Builder::new(&["--in-memory"]).start();
    let address = server.address.to_string();
    let output = run(&["--in-memory", "--listen", &address], &[], server.dir.path());
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{message}");
    assert!(message.contains(&address) && message.contains("another process"), "{message}");
}

#[test]
fn why_it_does_not_start_is_said_in_one_form_whatever_is_logged() {
    let dir = tempfile::tempdir().unwrap();
    write_file(dir.path(), "taken", "");
    let tls = ["--in-memory", "--tls-cert", "none", "--tls-key", "none"];
    for (args, code) in [
        (&["--region", "EU"][..], 2),
        (&tls, 2),
        (&["--in-memory", "--listen", "203.0.113.1:1", "--insecure-no-tls"], 3),
        (&["--data-dir", "taken"], 4),
    ] {
        for level in ["off", "info"] {
            let args = [&["--log-format", "json", "--log-level", level], args].concat();
            let keys = [("ZENOBE_ACCESS_KEY_ID", "a"), ("ZENOBE_SECRET_ACCESS_KEY", "b")];
            let listen = ("ZENOBE_LISTEN", "127.0.0.1:0");
            let output = run(&args, &[keys[0], keys[1], listen], dir.path());
            let message = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(code), "{message}");
            assert!(message.starts_with("zenobe: error: "), "{message}");
        }
    }
}

#[test]
fn version_and_help() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(&["--version"], &[], dir.path());
    assert!(output.status.success());
    let version = format!("zenobe {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), version);
    for args in [&["--help"][..], &["serve", "--help"]] {
        let output = run(args, &[], dir.path());
        let help = String::from_utf8(output.stdout).unwrap();
        for word in [
            "--listen",
            "ZENOBE_DATA_DIR",
            "Examples:",
            "Exit codes:",
            "Security:",
            "[default: 112]",
        ] {
            assert!(help.contains(word), "{word}\n{help}");
        }
    }
}

#[test]
fn streams_are_kept_for_sensible_times() {
    let words = ["--stream-retention-ms must be from 100 to 604800000 (a week)"];
    refused(&["--stream-retention-ms", "99"], &[], "", &words);
    refused(&[], &[], "stream-retention-ms = 604800001", &words);
    let words = ["--stream-shard-duration-ms must be from 100"];
    refused(&[], &[("ZENOBE_STREAM_SHARD_DURATION_MS", "0")], "", &words);
}
