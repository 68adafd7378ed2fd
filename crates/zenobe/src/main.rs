//! The binary: HTTP and TLS, command line, configuration, logs and metrics.
//!
//! Invariant: no semantics. What an operation means is decided in `zenobe-database`, how it looks as
//! JSON in `zenobe-wire`. This crate is also the one place that reads clocks and randomness.

mod answers;
mod cli;
mod clock;
mod config;
mod database;
mod http;
mod logging;
mod memory;
mod metrics;
mod open_files;
mod server;
mod service;

use std::process::ExitCode;

fn main() -> ExitCode {
    memory::keep_for_reuse();
    open_files::raise_limit();
    let (task, config) = match cli::read() {
        Ok(read) => read,
        Err(error) => return failed(&error, server::StartError::WRONG_SETTINGS),
    };
    logging::start(config.log_format, config.log_level);
    let done = match task {
        config::Task::Serve => server::run(config),
        config::Task::Check => server::check(&config),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error, error.exit_code()),
    }
}

/// Says why the process ends, in one form wherever it comes from and whatever is logged.
fn failed(error: &dyn std::error::Error, code: u8) -> ExitCode {
    logging::say(format_args!("zenobe: error: {error}"));
    ExitCode::from(code)
}
