//! Counts of what the engine asks of the cluster: statements (each one round trip) and bytes, by kind.

use std::sync::atomic::{AtomicU64, Ordering};

use zenobe_storage::Figure;

/// What a statement is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Reads one row.
    Get,
    /// Reads a page of a range.
    Range,
    /// Reads a page of a scan.
    Scan,
    /// A conditional batch.
    Commit,
    /// Finds out what became of a commit.
    Settle,
    /// Takes a place in the change log before a commit.
    LogReserve,
    /// Says in the change log what became of a commit, trims or closes a shard.
    LogMark,
    /// Reads the change log: a page, a shard's clock.
    LogRead,
    /// Writes derived rows.
    Relay,
    /// Forgets a trace.
    Forget,
    /// Says which partitions may have traces, or that they have none any more.
    Mark,
    /// Takes over from a process that died.
    TakeOver,
    /// Looks up or changes the registries of spaces and nodes.
    Registry,
    /// Changes the schema.
    Schema,
}

struct Names {
    statements: &'static str,
    sent: &'static str,
    received: &'static str,
}

macro_rules! names {
    ($($kind:literal),*) => {
        [$(Names {
            statements: concat!("cassandra_", $kind, "_statements_total"),
            sent: concat!("cassandra_", $kind, "_sent_bytes_total"),
            received: concat!("cassandra_", $kind, "_received_bytes_total"),
        }),*]
    };
}

/// In the order of [`Kind`].
const NAMES: [Names; 14] = names![
    "get",
    "range",
    "scan",
    "commit",
    "settle",
    "log_reserve",
    "log_mark",
    "log_read",
    "relay",
    "forget",
    "mark",
    "take_over",
    "registry",
    "schema"
];

#[derive(Default)]
struct Counts {
    statements: AtomicU64,
    sent_bytes: AtomicU64,
    received_bytes: AtomicU64,
}

/// The counters.
#[derive(Default)]
pub(crate) struct Counters {
    kinds: [Counts; NAMES.len()],
    /// Statements that failed, but for the next.
    pub(crate) failures: AtomicU64,
    /// Reads that a node gave up for the deletions on their way; they went on in smaller pieces.
    pub(crate) given_up: AtomicU64,
    /// Commits whose outcome was unclear and found by looking.
    pub(crate) settled: AtomicU64,
    /// Commits whose outcome could not be found.
    pub(crate) unknown: AtomicU64,
    /// Commits that were merged into the batch of another one.
    pub(crate) merged: AtomicU64,
    /// Calls and statements refused because there was too much to do.
    pub(crate) overloaded: AtomicU64,
    /// Processes whose work this one took over.
    pub(crate) taken_over: AtomicU64,
    /// Commits whose derived rows and records are not all written yet.
    pub(crate) unfinished: AtomicU64,
    /// Attempts of commits that were refused because the partition's clock was ahead, and made again.
    pub(crate) repeated: AtomicU64,
}

impl Counters {
    fn of(&self, kind: Kind) -> Option<&Counts> {
        self.kinds.get(kind as usize)
    }

    pub(crate) fn sent(&self, kind: Kind, bytes: usize) {
        if let Some(counts) = self.of(kind) {
            counts.statements.fetch_add(1, Ordering::Relaxed);
            counts.sent_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }

    pub(crate) fn received(&self, kind: Kind, bytes: usize) {
        if let Some(counts) = self.of(kind) {
            counts.received_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }

    fn totals(&self) -> [(&'static str, &'static str, &AtomicU64); 8] {
        [
            ("cassandra_failures_total", "Statements that failed.", &self.failures),
            (
                "cassandra_reads_given_up_total",
                "Reads that Cassandra gave up, mostly for the deletions on their way; they go on in smaller pieces.",
                &self.given_up,
            ),
            (
                "cassandra_commits_settled_total",
                "Commits whose outcome was unclear at first and was found by looking.",
                &self.settled,
            ),
            (
                "cassandra_commits_unknown_total",
                "Commits whose outcome could not be found.",
                &self.unknown,
            ),
            (
                "cassandra_commits_repeated_total",
                "Attempts of commits made again because the partition's clock was ahead or unknown.",
                &self.repeated,
            ),
            (
                "cassandra_commits_merged_total",
                "Commits that were merged into the batch of another one.",
                &self.merged,
            ),
            (
                "cassandra_overloaded_total",
                "Statements and commits refused because too many waited.",
                &self.overloaded,
            ),
            (
                "cassandra_taken_over_total",
                "Other processes, dead, whose derived rows this one saw to.",
                &self.taken_over,
            ),
        ]
    }

    pub(crate) fn figures(&self, clock_ahead_ms: u64) -> Vec<Figure> {
        #[expect(clippy::cast_precision_loss, reason = "a figure for a graph; exact below 2^53")]
        let figure = |name, help, value: u64| Figure { name, help, value: value as f64 };
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut figures = Vec::with_capacity(NAMES.len() * 3 + 10);
        for (names, counts) in NAMES.iter().zip(&self.kinds) {
            figures.push(figure(
                names.statements,
                "Statements sent to Cassandra; each is one round trip.",
                read(&counts.statements),
            ));
            figures.push(figure(
                names.sent,
                "Bytes of the values bound to statements.",
                read(&counts.sent_bytes),
            ));
            figures.push(figure(
                names.received,
                "Bytes of the rows received.",
                read(&counts.received_bytes),
            ));
        }
        for (name, help, counter) in self.totals() {
            figures.push(figure(name, help, read(counter)));
        }
        figures.push(figure(
            "cassandra_commits_unfinished",
            "Commits whose derived rows are not all written yet.",
            read(&self.unfinished),
        ));
        figures.push(figure(
            "cassandra_clock_ahead_ms",
            "How far this node's versions are ahead of its time of day, because another node's clock is.",
            clock_ahead_ms,
        ));
        figures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_names() {
        let counters = Counters::default();
        counters.sent(Kind::Schema, 5);
        counters.sent(Kind::Get, 7);
        let figures = counters.figures(0);
        let value = |name: &str| figures.iter().find(|figure| figure.name == name).unwrap().value;
        assert_eq!(value("cassandra_schema_sent_bytes_total"), 5.0);
        assert_eq!(value("cassandra_get_sent_bytes_total"), 7.0);
        assert_eq!(value("cassandra_get_statements_total"), 1.0);
    }
}
