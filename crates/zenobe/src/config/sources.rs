//! Where settings come from: flags, the environment, the file. And which wins.
//!
//! A flag wins over the environment, which wins over the file, setting by setting; and of settings that exclude each
//! other (what keeps the data, how often it reaches the disk), those of the source that wins. A variable that is empty is as good as not set.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::{Args as _, Command, FromArgMatches as _};

use super::{ConfigError, Durability, EngineKind, Settings, wrong};

/// The environment variable of a setting, by the name of its field.
pub(crate) fn variable_of(setting: &str) -> String {
    format!("ZENOBE_{}", setting.to_ascii_uppercase())
}

/// The value of an environment variable that is set to something.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// The settings of the environment.
#[derive(Default)]
pub(crate) struct Environment {
    pub(crate) settings: Settings,
    /// Flag and variable of each.
    given: Vec<(String, String)>,
}

impl Environment {
    /// Reads the variables of all settings that no flag gives.
    pub(crate) fn read(is_flag: impl Fn(&str) -> bool) -> Result<Self, ConfigError> {
        let mut found = Self::default();
        let command = Settings::augment_args(Command::new("zenobe").no_binary_name(true));
        for argument in command.get_arguments() {
            let (id, name) = (argument.get_id().as_str(), variable_of(argument.get_id().as_str()));
            let (Some(long), Some(value)) = (argument.get_long(), variable(&name)) else {
                continue;
            };
            if is_flag(id) {
                continue;
            }
            let flag = format!("--{long}");
            let one = settings_of(&command, &flag, &value)
                .map_err(|error| wrong(format!("{name}: {}", in_one_line(&error))))?;
            found.settings = found.settings.filled_from(one);
            found.given.push((flag, name));
        }
        Ok(found)
    }

    /// Names the variables that the flags of a message stand for.
    pub(crate) fn name(&self, ConfigError(mut message): ConfigError) -> ConfigError {
        let named: Vec<String> = self
            .given
            .iter()
            .filter(|(flag, _)| names(&message, flag))
            .map(|(flag, variable)| format!(" ({flag} comes from {variable})"))
            .collect();
        message.extend(named);
        ConfigError(message)
    }
}

fn settings_of(command: &Command, flag: &str, value: &OsStr) -> Result<Settings, clap::Error> {
    let mut argument = OsString::from(format!("{flag}="));
    argument.push(value);
    let matches = command.clone().try_get_matches_from([argument])?;
    Settings::from_arg_matches(&matches)
}

/// What is wrong with a value, without the advice on flags.
fn in_one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let lines = text.lines().take_while(|line| !line.starts_with("For more information"));
    lines.map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Whether a message names a flag, and not only a longer one.
fn names(message: &str, flag: &str) -> bool {
    let goes_on = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    message
        .match_indices(flag)
        .any(|(at, _)| !message.as_bytes().get(at + flag.len()).is_some_and(goes_on))
}

/// What keeps the data, as far as settings choose it.
#[derive(Clone, Copy)]
enum Choice {
    Memory,
    Files,
    /// Files or memory.
    Embedded,
    Cluster,
}

impl Settings {
    /// Reads the settings of a file.
    pub(crate) fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| wrong(format!("cannot read {}: {error}", path.display())))?;
        toml::from_str(&text).map_err(|error| {
            // Not the error's own text, which shows the line: that may hold a secret.
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            wrong(format!(
                "{}, line {line}, column {column}: {}",
                path.display(),
                error.message().replace('\n', ", ")
            ))
        })
    }

    fn choice(&self) -> Option<Choice> {
        match (self.in_memory, self.engine) {
            (Some(true), _) => Some(Choice::Memory),
            (_, Some(EngineKind::Cassandra)) => Some(Choice::Cluster),
            _ if self.data_dir.is_some() || self.durability.is_some() => Some(Choice::Files),
            (_, Some(EngineKind::Embedded)) => Some(Choice::Embedded),
            (_, None) => None,
        }
    }

    /// Leaves out what the choice of another source excludes.
    fn without_what_excludes(mut self, choice: Choice) -> Self {
        if matches!(choice, Choice::Memory | Choice::Cluster) {
            self.data_dir = None;
            self.durability = None;
            self.durability_interval_ms = None;
        }
        if matches!(choice, Choice::Files | Choice::Cluster) {
            self.in_memory = None;
        }
        if !matches!(choice, Choice::Cluster) {
            self.engine = None;
            self.cassandra_contact_points = None;
            self.cassandra_keyspace = None;
            self.cassandra_replication = None;
            self.cassandra_datacenter = None;
            self.cassandra_user = None;
            self.cassandra_password = None;
            self.cassandra_tls_ca = None;
            self.cassandra_tls_cert = None;
            self.cassandra_tls_key = None;
        }
        self
    }

    /// Takes what is not given from the source `below`.
    pub(crate) fn or(self, mut below: Self) -> Self {
        if self.durability.is_some_and(|durability| durability != Durability::Interval) {
            below.durability_interval_ms = None;
        }
        match self.choice() {
            Some(choice) => self.filled_from(below.without_what_excludes(choice)),
            None => self.filled_from(below),
        }
    }

    /// Fills in what is not given.
    fn filled_from(self, below: Self) -> Self {
        Self {
            listen: self.listen.or(below.listen),
            port_file: self.port_file.or(below.port_file),
            max_connections: self.max_connections.or(below.max_connections),
            header_timeout_ms: self.header_timeout_ms.or(below.header_timeout_ms),
            body_timeout_ms: self.body_timeout_ms.or(below.body_timeout_ms),
            write_timeout_ms: self.write_timeout_ms.or(below.write_timeout_ms),
            idle_timeout_ms: self.idle_timeout_ms.or(below.idle_timeout_ms),
            shutdown_timeout_ms: self.shutdown_timeout_ms.or(below.shutdown_timeout_ms),
            data_dir: self.data_dir.or(below.data_dir),
            in_memory: self.in_memory.or(below.in_memory),
            durability: self.durability.or(below.durability),
            durability_interval_ms: self.durability_interval_ms.or(below.durability_interval_ms),
            item_cache_mb: self.item_cache_mb.or(below.item_cache_mb),
            block_cache_mb: self.block_cache_mb.or(below.block_cache_mb),
            memtable_mb: self.memtable_mb.or(below.memtable_mb),
            engine: self.engine.or(below.engine),
            cassandra_contact_points: self
                .cassandra_contact_points
                .or(below.cassandra_contact_points),
            cassandra_keyspace: self.cassandra_keyspace.or(below.cassandra_keyspace),
            cassandra_replication: self.cassandra_replication.or(below.cassandra_replication),
            cassandra_datacenter: self.cassandra_datacenter.or(below.cassandra_datacenter),
            cassandra_user: self.cassandra_user.or(below.cassandra_user),
            cassandra_password: self.cassandra_password.or(below.cassandra_password),
            cassandra_tls_ca: self.cassandra_tls_ca.or(below.cassandra_tls_ca),
            cassandra_tls_cert: self.cassandra_tls_cert.or(below.cassandra_tls_cert),
            cassandra_tls_key: self.cassandra_tls_key.or(below.cassandra_tls_key),
            stream_shard_duration_ms: self
                .stream_shard_duration_ms
                .or(below.stream_shard_duration_ms),
            stream_retention_ms: self.stream_retention_ms.or(below.stream_retention_ms),
            ttl_interval: self.ttl_interval.or(below.ttl_interval),
            region: self.region.or(below.region),
            account_id: self.account_id.or(below.account_id),
            tls_cert: self.tls_cert.or(below.tls_cert),
            tls_key: self.tls_key.or(below.tls_key),
            insecure_no_tls: self.insecure_no_tls.or(below.insecure_no_tls),
            log_format: self.log_format.or(below.log_format),
            log_level: self.log_level.or(below.log_level),
            slow_request_ms: self.slow_request_ms.or(below.slow_request_ms),
            credentials: [self.credentials, below.credentials].concat(),
        }
    }
}
