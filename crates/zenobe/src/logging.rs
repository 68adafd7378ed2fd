//! Structured logs on standard error: readable on a terminal, JSON elsewhere. And their limit.

use std::ffi::OsStr;
use std::fmt;
use std::io::{IsTerminal, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Deserialize;
use tracing_subscriber::filter::LevelFilter;

use crate::clock;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    /// Human on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// The least severe level that is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogLevel {
    /// Nothing.
    Off,
    /// Failures that need somebody.
    Error,
    /// What may need somebody.
    Warn,
    /// Start, stop and changes of state.
    #[default]
    Info,
    /// Every request.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    const fn filter(self) -> LevelFilter {
        match self {
            Self::Off => LevelFilter::OFF,
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
            Self::Trace => LevelFilter::TRACE,
        }
    }
}

/// Writes a line to standard error. Whether that can be written to is nothing to fail for: a log often shares a disk
/// that is full, or a terminal that has gone.
pub(crate) fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Starts logging for the whole process, panics included. Lines that cannot be written are lost.
pub(crate) fn start(format: LogFormat, level: LogLevel) {
    let terminal = std::io::stderr().is_terminal();
    let json = match format {
        LogFormat::Auto => !terminal,
        LogFormat::Human => false,
        LogFormat::Json => true,
    };
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level.filter())
        // It would tell of a line that cannot be written where that line cannot be written, and panic.
        .log_internal_errors(false)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(terminal && !is_set(std::env::var_os("NO_COLOR").as_deref()));
    if json {
        subscriber.json().flatten_event(true).init();
    } else {
        subscriber.init();
    }
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let cause = panic.payload_as_str().unwrap_or("(no text)");
        tracing::error!(place, cause, "a defect: panic");
    }));
}

/// Whether `NO_COLOR` asks for none. Source: no-color.org, "when present and not an empty string (regardless of its
/// value)".
fn is_set(no_color: Option<&OsStr>) -> bool {
    no_color.is_some_and(|value| !value.is_empty())
}

/// The most lines a second about single requests.
const LINES_PER_SECOND: u64 = 20;
const COUNT_BITS: u32 = 24;

/// Bounds the log lines that requests can cause: however many fail, the disk does not fill.
#[derive(Debug, Default)]
pub(crate) struct LogBudget {
    /// The second of uptime in the upper bits, the lines asked for in it in the lower 24.
    window: AtomicU64,
}

impl LogBudget {
    /// Logs a line if there is room for it, and says once how many had none.
    pub(crate) fn spend(&self, line: impl FnOnce()) {
        let second = clock::uptime_ms() / 1000;
        let window = self.window.load(Ordering::Relaxed);
        let (current, asked) = (window >> COUNT_BITS, window & ((1 << COUNT_BITS) - 1));
        // Two threads may both see the last free place: the limit is for the disk, not exact.
        if current != second {
            self.window.store(second << COUNT_BITS | 1, Ordering::Relaxed);
            if asked > LINES_PER_SECOND {
                let suppressed = asked - LINES_PER_SECOND;
                tracing::warn!(suppressed, "lines about requests were left out");
            }
            line();
            return;
        }
        self.window.store(window.saturating_add(1), Ordering::Relaxed);
        if asked < LINES_PER_SECOND {
            line();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_in_no_color_asks_for_none() {
        assert!(is_set(Some(OsStr::new("0"))));
        assert!(!is_set(Some(OsStr::new(""))) && !is_set(None));
    }
}
