//! The table of results.
//!
//! `ratio` is that of requests per second. `by CPU` is that of CPU time per request: on a machine that
//! does other work too it is the steadier of the two, and it leaves out waiting for the disk.

use std::time::Duration;

use crate::workload::Workload;

/// What was measured of one server.
pub(crate) struct Measured {
    pub(crate) requests: u64,
    pub(crate) elapsed: Duration,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) cpu: Duration,
    pub(crate) resident_bytes: u64,
    pub(crate) fsyncs: Option<f64>,
}

impl Measured {
    fn per_second(&self) -> f64 {
        self.requests as f64 / self.elapsed.as_secs_f64()
    }

    fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.requests.max(1) as f64
    }
}

/// One workload with one number of connections, on both servers.
pub(crate) struct Row {
    pub(crate) workload: Workload,
    pub(crate) connections: usize,
    pub(crate) bare: Measured,
    pub(crate) full: Measured,
}

/// Prints the names of the columns.
pub(crate) fn print_header() {
    println!(
        "{:<20}{:>6}{:>10}{:>10}{:>7}{:>10}{:>10}{:>11}{:>9}{:>11}{:>8}{:>8}{:>13}",
        "workload",
        "conns",
        "req/s",
        "limit",
        "ratio",
        "p50 µs",
        "p99 µs",
        "limit p99",
        "CPU µs",
        "limit CPU",
        "by CPU",
        "RSS MB",
        "fsyncs/write"
    );
}

impl Row {
    /// Prints the row.
    pub(crate) fn print(&self) {
        let writes = self.workload.writes() as f64 * self.full.requests as f64;
        let fsyncs = match self.full.fsyncs {
            Some(fsyncs) if writes > 0.0 => format!("{:.4}", fsyncs / writes),
            _ => "-".to_owned(),
        };
        println!(
            "{:<20}{:>6}{:>10.0}{:>10.0}{:>7.2}{:>10}{:>10}{:>11}{:>9.1}{:>11.1}{:>8.2}{:>8.0}{:>13}",
            self.workload.name(),
            self.connections,
            self.full.per_second(),
            self.bare.per_second(),
            self.full.per_second() / self.bare.per_second(),
            self.full.p50.as_micros(),
            self.full.p99.as_micros(),
            self.bare.p99.as_micros(),
            self.full.cpu_us(),
            self.bare.cpu_us(),
            self.bare.cpu_us() / self.full.cpu_us(),
            self.full.resident_bytes as f64 / f64::from(1 << 20),
            fsyncs,
        );
    }
}
