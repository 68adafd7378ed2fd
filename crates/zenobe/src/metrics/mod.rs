//! What the process counts, and the page that Prometheus reads.
//!
//! Counting never waits: each thread adds to a shard of its own, and reading sums the shards up. Only
//! errors, which are rare and have many kinds, go through a lock.

mod process;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use zenobe_model::operation::Operation;
use zenobe_storage::{Figure, Health};

/// Upper bounds of the latency buckets, in microseconds. The last bucket has none.
const BUCKETS_US: [u64; 17] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000,
];
/// One place for each operation, and one for requests that name none.
const PLACES: usize = Operation::ALL.len() + 1;
const SHARDS_MAX: usize = 64;

/// All counters of the process.
#[derive(Debug)]
pub(crate) struct Metrics {
    shards: Box<[Shard]>,
    errors: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
    panics: AtomicU64,
    connections_opened: AtomicU64,
    connections_closed: AtomicU64,
    tls_failures: AtomicU64,
    started_at_seconds: u64,
}

/// The counters that one thread (or few) adds to, on cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
struct Shard {
    operations: [OperationCounters; PLACES],
    started: AtomicU64,
    finished: AtomicU64,
    request_bytes: AtomicU64,
    response_bytes: AtomicU64,
}

#[derive(Debug, Default)]
struct OperationCounters {
    buckets: [AtomicU64; BUCKETS_US.len() + 1],
    sum_us: AtomicU64,
}

/// A request under way.
pub(crate) struct Measure<'a> {
    shard: &'a Shard,
    place: usize,
    finished: bool,
}

impl Default for Shard {
    fn default() -> Self {
        Self {
            operations: std::array::from_fn(|_| OperationCounters::default()),
            started: AtomicU64::new(0),
            finished: AtomicU64::new(0),
            request_bytes: AtomicU64::new(0),
            response_bytes: AtomicU64::new(0),
        }
    }
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Metrics {
    /// Counters for a process with this many worker threads.
    pub(crate) fn new(threads: usize, started_at_seconds: u64) -> Self {
        Self {
            shards: (0..threads.clamp(1, SHARDS_MAX)).map(|_| Shard::default()).collect(),
            errors: Mutex::default(),
            panics: AtomicU64::new(0),
            connections_opened: AtomicU64::new(0),
            connections_closed: AtomicU64::new(0),
            tls_failures: AtomicU64::new(0),
            started_at_seconds,
        }
    }

    fn shard(&self) -> Option<&Shard> {
        thread_local! {
            static PLACE: Cell<Option<usize>> = const { Cell::new(None) };
        }
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let place = PLACE.with(|place| {
            place.get().unwrap_or_else(|| {
                let fresh = NEXT.fetch_add(1, Ordering::Relaxed);
                place.set(Some(fresh));
                fresh
            })
        });
        self.shards.get(place % self.shards.len())
    }

    /// Counts the start of a request.
    pub(crate) fn start(&self, operation: Option<Operation>) -> Measure<'_> {
        // There is always a shard: at least one was made.
        let shard = self.shard().or(self.shards.first());
        let shard = shard.unwrap_or_else(|| unreachable!("no shard"));
        add(&shard.started, 1);
        Measure { shard, place: place_of(operation), finished: false }
    }

    /// Counts an error that a client was answered with.
    pub(crate) fn count_error(&self, operation: Option<Operation>, type_name: &'static str) {
        let code = type_name.rsplit('#').next().unwrap_or(type_name);
        *self.errors.lock().entry((operation_label(operation), code)).or_default() += 1;
    }

    /// Counts a defect that was caught.
    pub(crate) fn count_panic(&self) {
        add(&self.panics, 1);
    }

    /// Counts a connection that was accepted.
    pub(crate) fn connection_opened(&self) {
        add(&self.connections_opened, 1);
    }

    /// Counts a connection that ended.
    pub(crate) fn connection_closed(&self) {
        add(&self.connections_closed, 1);
    }

    /// Counts a handshake that failed.
    pub(crate) fn tls_failed(&self) {
        add(&self.tls_failures, 1);
    }

    /// How many requests have ended.
    pub(crate) fn requests_finished(&self) -> u64 {
        self.shards.iter().map(|shard| read(&shard.finished)).sum()
    }

    /// The metrics page, with the engine's figures, and what `/health` says.
    pub(crate) fn render(&self, figures: &[Figure], health: &Health) -> String {
        let mut page = Page(String::with_capacity(16 << 10));
        page.metric("zenobe_build_info", "gauge", "The version that runs.");
        page.sample("zenobe_build_info", &format!("version=\"{}\"", env!("CARGO_PKG_VERSION")), 1);
        let help = "1 while all is well, 0 while writes are refused; see /health.";
        let healthy = u8::from(matches!(health, Health::Writable));
        page.single("zenobe_healthy", "gauge", help, healthy);
        self.render_operations(&mut page);
        self.render_errors(&mut page);
        self.render_totals(&mut page);
        for figure in figures {
            let name = format!("zenobe_{}", figure.name);
            let kind = if figure.name.ends_with("_total") { "counter" } else { "gauge" };
            page.single(&name, kind, figure.help, figure.value);
        }
        process::render(&mut page, self.started_at_seconds);
        page.0
    }

    fn render_operations(&self, page: &mut Page) {
        let sum = |select: &dyn Fn(&OperationCounters) -> u64, place: usize| -> u64 {
            self.shards.iter().filter_map(|shard| shard.operations.get(place)).map(select).sum()
        };
        let name = "zenobe_requests_total";
        page.metric(name, "counter", "Requests answered, by operation.");
        for place in 0..PLACES {
            let count = sum(&|counters| counters.buckets.iter().map(read).sum(), place);
            if count > 0 {
                page.sample(name, &format!("operation=\"{}\"", label_of(place)), count);
            }
        }
        let name = "zenobe_request_duration_seconds";
        page.metric(name, "histogram", "From the head of a request to its answer, in seconds.");
        for place in 0..PLACES {
            let mut count = 0;
            let operation = label_of(place);
            if sum(&|counters| counters.buckets.iter().map(read).sum(), place) == 0 {
                continue;
            }
            for bucket in 0..=BUCKETS_US.len() {
                count += sum(&|counters| counters.buckets.get(bucket).map_or(0, read), place);
                let bound = BUCKETS_US
                    .get(bucket)
                    .map_or("+Inf".to_owned(), |bound| (*bound as f64 / 1e6).to_string());
                page.sample(
                    "zenobe_request_duration_seconds_bucket",
                    &format!("operation=\"{operation}\",le=\"{bound}\""),
                    count,
                );
            }
            let seconds = sum(&|counters| read(&counters.sum_us), place) as f64 / 1e6;
            let labels = format!("operation=\"{operation}\"");
            page.sample("zenobe_request_duration_seconds_sum", &labels, seconds);
            page.sample("zenobe_request_duration_seconds_count", &labels, count);
        }
    }

    fn render_errors(&self, page: &mut Page) {
        let name = "zenobe_errors_total";
        page.metric(name, "counter", "Errors that clients were answered with, by code.");
        for ((operation, code), count) in self.errors.lock().iter() {
            page.sample(name, &format!("operation=\"{operation}\",code=\"{code}\""), count);
        }
    }

    fn render_totals(&self, page: &mut Page) {
        let sum = |select: fn(&Shard) -> &AtomicU64| -> u64 {
            self.shards.iter().map(|shard| read(select(shard))).sum()
        };
        // Finished ones are read first, so that the difference is never negative.
        let finished = sum(|shard| &shard.finished);
        let in_flight = sum(|shard| &shard.started).saturating_sub(finished);
        let closed = read(&self.connections_closed);
        let opened = read(&self.connections_opened);
        for (name, kind, help, value) in [
            (
                "request_bytes_total",
                "counter",
                "Bytes of request bodies as sent.",
                sum(|shard| &shard.request_bytes),
            ),
            (
                "response_bytes_total",
                "counter",
                "Bytes of response bodies.",
                sum(|shard| &shard.response_bytes),
            ),
            ("requests_in_flight", "gauge", "Requests under way.", in_flight),
            ("connections_total", "counter", "Connections accepted.", opened),
            ("connections_open", "gauge", "Connections open.", opened.saturating_sub(closed)),
            (
                "tls_failures_total",
                "counter",
                "TLS handshakes that failed.",
                read(&self.tls_failures),
            ),
            ("panics_total", "counter", "Defects caught while answering.", read(&self.panics)),
        ] {
            page.single(&format!("zenobe_{name}"), kind, help, value);
        }
    }
}

impl Measure<'_> {
    /// Counts the end of a request.
    pub(crate) fn finish(mut self, elapsed: Duration, received_bytes: u64, sent_bytes: u64) {
        self.finished = true;
        let elapsed_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS_US.partition_point(|bound| *bound < elapsed_us);
        if let Some(counters) = self.shard.operations.get(self.place) {
            if let Some(bucket) = counters.buckets.get(bucket) {
                add(bucket, 1);
            }
            add(&counters.sum_us, elapsed_us);
        }
        add(&self.shard.finished, 1);
        add(&self.shard.request_bytes, received_bytes);
        add(&self.shard.response_bytes, sent_bytes);
    }
}

impl Drop for Measure<'_> {
    /// A request whose client went away is finished too, if not answered.
    fn drop(&mut self) {
        if !self.finished {
            add(&self.shard.finished, 1);
        }
    }
}

fn place_of(operation: Option<Operation>) -> usize {
    // The discriminants are the places in `Operation::ALL`, which a test pins.
    operation.map_or(PLACES - 1, |operation| operation as usize)
}

fn label_of(place: usize) -> &'static str {
    operation_label(Operation::ALL.get(place).copied())
}

fn operation_label(operation: Option<Operation>) -> &'static str {
    operation.map_or("none", Operation::name)
}

/// A page in Prometheus's text format.
struct Page(String);

impl Page {
    fn metric(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.0, "{name}{{{labels}}} {value}");
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl std::fmt::Display) {
        self.metric(name, kind, help);
        let _ = writeln!(self.0, "{name} {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_discriminant_of_an_operation_is_its_place() {
        for (place, operation) in Operation::ALL.into_iter().enumerate() {
            assert_eq!(place_of(Some(operation)), place);
            assert_eq!(label_of(place), operation.name());
        }
        assert_eq!(label_of(place_of(None)), "none");
    }

    #[test]
    fn a_page_has_what_was_counted() {
        let metrics = Metrics::new(2, 0);
        let operation = Some(Operation::PutItem);
        metrics.start(operation).finish(Duration::from_micros(60), 100, 2);
        metrics.start(operation).finish(Duration::from_secs(60), 100, 2);
        let under_way = metrics.start(operation);
        metrics.count_error(operation, "a.b#Code");
        let figure = Figure { name: "log_fsyncs_total", help: "Help.", value: 3.0 };
        let page = metrics.render(&[figure], &Health::Writable);
        drop(under_way);
        for line in [
            "zenobe_requests_total{operation=\"PutItem\"} 2",
            "zenobe_request_duration_seconds_bucket{operation=\"PutItem\",le=\"0.00005\"} 0",
            "zenobe_request_duration_seconds_bucket{operation=\"PutItem\",le=\"0.0001\"} 1",
            "zenobe_request_duration_seconds_bucket{operation=\"PutItem\",le=\"+Inf\"} 2",
            "zenobe_request_duration_seconds_sum{operation=\"PutItem\"} 60.00006",
            "zenobe_errors_total{operation=\"PutItem\",code=\"Code\"} 1",
            "zenobe_request_bytes_total 200",
            "zenobe_requests_in_flight 1",
            "# TYPE zenobe_log_fsyncs_total counter",
            "zenobe_log_fsyncs_total 3",
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
        assert!(metrics.render(&[], &Health::Writable).contains("zenobe_requests_in_flight 0"));
    }
}
