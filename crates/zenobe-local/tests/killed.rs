//! A writer is killed with SIGKILL at any moment: everything that it was told is durable is there.

#![allow(
    clippy::unwrap_used,
    reason = "test code, outside the functions that the lint knows as such"
)]

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use support::{commit, key, open, open_with_space, put, recording, records, value};
use zenobe_storage::Engine as _;

const DIRECTORY: &str = "ZENOBE_TEST_WRITER_DIRECTORY";
const ROUNDS: u64 = 12;
const WRITERS: u64 = 8;

/// The child: writes until it is killed, and prints what is durable.
async fn write_for_ever(directory: &Path, round: u64) {
    let engine = std::sync::Arc::new(open_with_space(directory).await);
    let mut tasks = Vec::new();
    for writer in 0..WRITERS {
        let engine = engine.clone();
        tasks.push(tokio::spawn(async move {
            for n in 0_u64.. {
                let text = format!("{round}-{writer}-{n}");
                let row =
                    put(key(format!("{writer}-{}", n % 50)), format!("{text} {}", "x".repeat(500)));
                let position = commit(&engine, recording(row, writer, text.clone())).await;
                engine.durable(position).await.unwrap();
                let mut out = std::io::stdout().lock();
                writeln!(out, "durable {writer} {} {text}", n % 50).unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

/// Runs the child, kills it after some lines, and returns what it said.
fn run_and_kill(directory: &Path, round: u64) -> Vec<(String, String, String)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "nothing_durable_is_lost", "--nocapture"])
        .env(DIRECTORY, directory)
        .env("ZENOBE_TEST_ROUND", round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let wanted = usize::try_from(20 + round * 137 % 900).unwrap();
    let mut said = Vec::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut parse = |line: std::io::Result<String>| {
        let line = line.unwrap_or_default();
        let mut words = line.split_whitespace().map(ToOwned::to_owned);
        if words.next().as_deref() == Some("durable")
            && let (Some(writer), Some(slot), Some(text)) =
                (words.next(), words.next(), words.next())
        {
            said.push((writer, slot, text));
        }
        said.len()
    };
    while parse(lines.next().unwrap()) < wanted {}
    child.kill().unwrap();
    lines.for_each(|line| {
        parse(line);
    });
    child.wait().unwrap();
    said
}

#[test]
fn nothing_durable_is_lost() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        let round = std::env::var("ZENOBE_TEST_ROUND").unwrap().parse().unwrap();
        runtime.block_on(write_for_ever(Path::new(&directory), round));
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut last: BTreeMap<String, (String, String)> = BTreeMap::new();
    let mut logged: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for round in 0..ROUNDS {
        for (writer, slot, text) in run_and_kill(directory.path(), round) {
            last.insert(format!("{writer}-{slot}"), (writer.clone(), text.clone()));
            logged.entry(writer).or_default().push(text);
        }
        runtime.block_on(async {
            let engine = open(directory.path());
            for (row, (writer, text)) in &last {
                let found = value(&engine, key(row)).await.unwrap();
                let found = String::from_utf8(found.to_vec()).unwrap();
                let number = |text: &str| -> (u64, u64) {
                    let mut parts = text
                        .split_whitespace()
                        .next()
                        .unwrap()
                        .split('-')
                        .map(|n| n.parse::<u64>().unwrap());
                    (parts.next().unwrap(), parts.nth(1).unwrap())
                };
                // The child may have written more than it could say.
                assert!(
                    number(&found) >= number(text),
                    "{row}: {text} was durable, {found:.20} is there"
                );
                assert!(found.contains(&format!("-{writer}-")));
            }
            for (writer, texts) in &logged {
                let found = records(&engine, writer.parse().unwrap()).await;
                let mut found = found.iter();
                for text in texts {
                    assert!(found.any(|record| record == text.as_bytes()), "record {text} is gone");
                }
            }
            engine.close().await.unwrap();
        });
    }
}
