//! What the system says about this process. A figure that it does not tell is left out.

use super::Page;
use crate::open_files;

/// Adds the figures, under the names that Prometheus's own clients use.
pub(super) fn render(page: &mut Page, started_at_seconds: u64) {
    page.single(
        "process_start_time_seconds",
        "gauge",
        "When the process started, in seconds since 1970.",
        started_at_seconds,
    );
    if let Some(bytes) = resident_bytes() {
        page.single("process_resident_memory_bytes", "gauge", "Resident memory, in bytes.", bytes);
    }
    if let Some(seconds) = cpu_seconds() {
        page.single("process_cpu_seconds_total", "counter", "CPU time used, in seconds.", seconds);
    }
    if let Ok(entries) = std::fs::read_dir("/proc/self/fd") {
        page.single("process_open_fds", "gauge", "Open file descriptors.", entries.count());
    }
    if let Some(limit) = open_files::limit() {
        page.single("process_max_fds", "gauge", "The limit on open file descriptors.", limit);
    }
}

fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program, in parentheses, may have spaces; user and system time are the 12th
    // and 13th field after it.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) as f64 / rustix::param::clock_ticks_per_second() as f64)
}
