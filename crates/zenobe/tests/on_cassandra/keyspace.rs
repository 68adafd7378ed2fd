//! A keyspace of the cluster, and the processes that serve it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::client::Client;
use crate::support::{Builder, Server, run};

/// A keyspace of its own.
pub(crate) struct Keyspace {
    points: String,
    name: String,
    flags: Vec<&'static str>,
}

impl Keyspace {
    /// A new one for processes with these flags; `None` where there is no cluster.
    pub(crate) fn new(flags: &[&'static str]) -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let Ok(points) = std::env::var("ZENOBE_CASSANDRA") else {
            // Not captured by the test harness: a skipped test must be seen.
            let text = b"SKIPPED: a test of the server on Cassandra needs a cluster\n";
            std::io::stderr().write_all(text).unwrap();
            return None;
        };
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("zenobe_server_{}_{number}", std::process::id());
        Some(Self { points, name, flags: flags.to_vec() })
    }

    fn args(&self) -> Vec<&str> {
        let args = ["--engine", "cassandra", "--cassandra-contact-points", &self.points];
        let more = ["--cassandra-keyspace", &self.name, "--cassandra-replication", "1"];
        [&args[..], &more, &self.flags].concat()
    }

    /// Starts a process.
    pub(crate) fn start(&self) -> Server {
        Builder::new(&self.args()).start()
    }

    /// Compares everything with the tables, as a process of its own beside the others.
    #[track_caller]
    pub(crate) fn check(&self) {
        let dir = tempfile::tempdir().unwrap();
        let args = [&["check"][..], &self.args()].concat();
        let output = run(&args, &[], dir.path());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (found, log) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{found}\n{log}");
        assert!(found.contains(" streams checked"), "{found}");
    }

    /// Starts several processes at once.
    pub(crate) fn start_all<const N: usize>(&self) -> [Server; N] {
        std::thread::scope(|scope| {
            let starting: [_; N] = std::array::from_fn(|_| scope.spawn(|| self.start()));
            starting.map(|server| server.join().unwrap())
        })
    }
}

/// A client of each process.
pub(crate) fn clients<const N: usize>(servers: &[Server; N]) -> [Client; N] {
    std::array::from_fn(|index| Client::of(&servers[index]))
}

/// The statements that a process has sent to the cluster, and the bytes in them, by kind.
pub(crate) fn statements(server: &Server) -> BTreeMap<String, (u64, u64)> {
    let page = server.request("GET", "/metrics", &[], b"");
    let mut kinds: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for line in page.text().lines() {
        let Some((name, value)) = line.split_once(' ') else { continue };
        let Some(name) = name.strip_prefix("zenobe_cassandra_") else { continue };
        if let Some(kind) = name.strip_suffix("_statements_total") {
            kinds.entry(kind.to_owned()).or_default().0 = value.parse().unwrap();
        } else if let Some(kind) = name.strip_suffix("_sent_bytes_total") {
            kinds.entry(kind.to_owned()).or_default().1 = value.parse().unwrap();
        }
    }
    kinds
}
