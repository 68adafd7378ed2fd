//! Settings: from flags, environment and file to one checked [`Config`].
//!
//! [`Settings`] states each setting once: its field is the flag, the environment variable
//! `ZENOBE_…` and the TOML key. Secrets are the exception: they have no flag, since other users of the
//! machine can read flags. Which source wins is in [`sources`], what holds without any in [`default`].

pub(crate) mod default;
pub(crate) mod sources;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use zenobe_auth::{Credential, SecretString};
use zenobe_cassandra::{ClientCertificate, Credentials, Tls};
use zenobe_database::stream::StreamConfig;

use crate::logging::{LogFormat, LogLevel};

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Serves the API.
    Serve,
    /// Reads all data and says what is damaged or does not fit.
    Check,
}

/// When an acknowledged write is on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Durability {
    /// Before it is acknowledged.
    #[default]
    Fsync,
    /// At most one interval later: a power loss may lose acknowledged writes of that interval, a
    /// crash of the process none.
    Interval,
}

/// What keeps the data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum EngineKind {
    /// Files of this process.
    #[default]
    Embedded,
    /// An Apache Cassandra cluster.
    Cassandra,
}

/// The settings as given; what is not given is `None`.
#[derive(Clone, Debug, Default, Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Settings {
    /// Addresses to listen on, separated by commas; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", help_heading = "Network")]
    listen: Option<String>,
    /// Writes the addresses that are listened on into this file, one a line, once they are
    #[arg(long, value_name = "FILE", help_heading = "Network")]
    port_file: Option<PathBuf>,
    /// The most connections open at a time, as far as the limit on open files has room for them; for more, those that
    /// have been idle longest are closed
    #[arg(long, value_name = "N", help_heading = "Network")]
    max_connections: Option<usize>,
    /// How long the head of a request may take to arrive, that of the first one from connecting on
    #[arg(long, value_name = "MS", help_heading = "Network")]
    header_timeout_ms: Option<u64>,
    /// How long the body of a request may take to arrive
    #[arg(long, value_name = "MS", help_heading = "Network")]
    body_timeout_ms: Option<u64>,
    /// How long a client may take none of a response
    #[arg(long, value_name = "MS", help_heading = "Network")]
    write_timeout_ms: Option<u64>,
    /// How long a connection may wait for its next request
    #[arg(long, value_name = "MS", help_heading = "Network")]
    idle_timeout_ms: Option<u64>,
    /// How long requests under way may take to finish when stopping
    #[arg(long, value_name = "MS", help_heading = "Network")]
    shutdown_timeout_ms: Option<u64>,

    /// Where the data is kept; made if it is not there
    #[arg(long, value_name = "DIR", help_heading = "Data")]
    data_dir: Option<PathBuf>,
    /// Keeps the data in memory only: it is gone when the process ends
    #[arg(
        long, value_name = "BOOL", help_heading = "Data",
        num_args = 0..=1, default_missing_value = "true", require_equals = true
    )]
    in_memory: Option<bool>,
    /// When a write is on disk: before it is acknowledged (fsync), or up to an interval later, which
    /// a power loss may lose (interval)
    #[arg(long, value_name = "WHEN", help_heading = "Data")]
    durability: Option<Durability>,
    /// The interval of --durability interval
    #[arg(long, value_name = "MS", help_heading = "Data")]
    durability_interval_ms: Option<u64>,
    /// Memory for items that are read often
    #[arg(long, value_name = "MB", help_heading = "Data")]
    item_cache_mb: Option<u64>,
    /// Memory for parts of the files that are read often
    #[arg(long, value_name = "MB", help_heading = "Data")]
    block_cache_mb: Option<u64>,
    /// Memory for what is written and not in its place yet; more takes bursts better
    #[arg(long, value_name = "MB", help_heading = "Data")]
    memtable_mb: Option<u64>,

    /// What keeps the data: files of this process (embedded), or an Apache Cassandra cluster (cassandra),
    /// which any number of processes may use at once
    #[arg(long, value_name = "ENGINE", help_heading = "Data")]
    engine: Option<EngineKind>,
    /// Nodes of the cluster to ask first, separated by commas, with ports other than 9042
    #[arg(long, value_name = "HOST[:PORT]", help_heading = "Cassandra")]
    cassandra_contact_points: Option<String>,
    /// The keyspace; made if it is not there
    #[arg(long, value_name = "NAME", help_heading = "Cassandra")]
    cassandra_keyspace: Option<String>,
    /// On how many nodes of each data centre a keyspace that is made keeps each row
    #[arg(long, value_name = "N", help_heading = "Cassandra")]
    cassandra_replication: Option<u32>,
    /// The data centre to use; needed where the cluster has several
    #[arg(long, value_name = "NAME", help_heading = "Cassandra")]
    cassandra_datacenter: Option<String>,
    /// Who to connect as; the password is in ZENOBE_CASSANDRA_PASSWORD or in the file
    #[arg(long, value_name = "USER", help_heading = "Cassandra")]
    cassandra_user: Option<String>,
    /// The password; only in the file and the environment.
    #[arg(skip)]
    cassandra_password: Option<Secret>,
    /// Encrypts connections to the cluster: the authorities that may sign its nodes' certificates, PEM
    #[arg(long, value_name = "FILE", help_heading = "Cassandra")]
    cassandra_tls_ca: Option<PathBuf>,
    /// What to show to nodes that ask for a certificate, PEM; needs the key, too
    #[arg(long, value_name = "FILE", help_heading = "Cassandra")]
    cassandra_tls_cert: Option<PathBuf>,
    /// The private key of that certificate, PEM
    #[arg(long, value_name = "FILE", help_heading = "Cassandra")]
    cassandra_tls_key: Option<PathBuf>,

    /// How long a shard of a stream takes records before a child takes its place
    #[arg(long, value_name = "MS", help_heading = "Data")]
    stream_shard_duration_ms: Option<u64>,
    /// How long the records of streams are kept
    #[arg(long, value_name = "MS", help_heading = "Data")]
    stream_retention_ms: Option<u64>,
    /// How long to wait before looking for items whose time to live is over again
    #[arg(long, value_name = "SECONDS", help_heading = "Data")]
    ttl_interval: Option<u64>,

    /// The AWS Region that ARNs name and signatures are made for
    #[arg(long, value_name = "REGION", help_heading = "Identity")]
    region: Option<String>,
    /// The AWS account that ARNs name, twelve digits
    #[arg(long, value_name = "ID", help_heading = "Identity")]
    account_id: Option<String>,

    /// The certificate chain, PEM; read again when it changes or on SIGHUP
    #[arg(long, value_name = "FILE", help_heading = "Security")]
    tls_cert: Option<PathBuf>,
    /// The private key, PEM; read again together with the certificate
    #[arg(long, value_name = "FILE", help_heading = "Security")]
    tls_key: Option<PathBuf>,
    /// Allows listening beyond this machine without TLS, for example behind a proxy that has it
    #[arg(
        long, value_name = "BOOL", help_heading = "Security",
        num_args = 0..=1, default_missing_value = "true", require_equals = true
    )]
    insecure_no_tls: Option<bool>,

    /// How log lines look
    #[arg(long, value_name = "FORMAT", help_heading = "Logging")]
    log_format: Option<LogFormat>,
    /// The least severe level that is logged; debug has every request
    #[arg(long, value_name = "LEVEL", help_heading = "Logging")]
    log_level: Option<LogLevel>,
    /// Requests that take longer are logged
    #[arg(long, value_name = "MS", help_heading = "Logging")]
    slow_request_ms: Option<u64>,

    /// Access keys; only in the file.
    #[arg(skip)]
    credentials: Vec<FileCredential>,
}

/// An access key in the file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct FileCredential {
    access_key_id: String,
    secret_access_key: Secret,
    session_token: Option<Secret>,
}

/// Secret text: not shown by `Debug`.
#[derive(Clone)]
struct Secret(String);

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_string(SecretText)
    }
}

/// Takes a text; does not name what else is given, as serde would.
struct SecretText;

impl SecretText {
    fn refuse<E: serde::de::Error>() -> Result<Secret, E> {
        Err(E::custom("a secret must be a text in quotation marks"))
    }
}

impl serde::de::Visitor<'_> for SecretText {
    type Value = Secret;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a text in quotation marks")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Secret, E> {
        Ok(Secret(text.to_owned()))
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<Secret, E> {
        Self::refuse()
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<Secret, E> {
        Self::refuse()
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<Secret, E> {
        Self::refuse()
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Secret, E> {
        Self::refuse()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// Everything that the server needs to know, checked.
#[derive(Debug)]
pub(crate) struct Config {
    /// The addresses to listen on, at least one for a server.
    pub(crate) listen: Vec<SocketAddr>,
    /// Where to write the addresses listened on.
    pub(crate) port_file: Option<PathBuf>,
    /// What keeps the data.
    pub(crate) storage: Storage,
    /// How streams are kept.
    pub(crate) streams: StreamConfig,
    /// How long the deletion of expired items rests before it looks again.
    pub(crate) ttl_interval: Duration,
    /// The region.
    pub(crate) region: String,
    /// The account.
    pub(crate) account_id: String,
    /// The access keys; none: signatures are not verified.
    pub(crate) credentials: Vec<Credential>,
    /// Certificate and key.
    pub(crate) tls: Option<TlsFiles>,
    /// Limits on connections and time.
    pub(crate) limits: Limits,
    /// How log lines look.
    pub(crate) log_format: LogFormat,
    /// The least severe level that is logged.
    pub(crate) log_level: LogLevel,
    /// Requests that take longer are logged.
    pub(crate) slow_request: Duration,
}

/// What keeps the data.
#[derive(Debug)]
pub(crate) enum Storage {
    /// This process, as long as it lasts.
    Memory,
    /// Files.
    Files(DataConfig),
    /// A cluster.
    Cassandra(CassandraConfig),
}

/// Which cluster keeps the data.
#[derive(Debug)]
pub(crate) struct CassandraConfig {
    /// Nodes to ask first.
    pub(crate) contact_points: Vec<String>,
    /// The keyspace.
    pub(crate) keyspace: String,
    /// On how many nodes of each data centre a keyspace that is made keeps each row.
    pub(crate) replication: u32,
    /// The data centre to use.
    pub(crate) datacenter: Option<String>,
    /// Who to connect as.
    pub(crate) credentials: Option<Credentials>,
    /// How connections are encrypted.
    pub(crate) tls: Option<Tls>,
}

/// How the data is kept on disk.
#[derive(Debug)]
pub(crate) struct DataConfig {
    /// Where it is.
    pub(crate) dir: PathBuf,
    /// When a write is on disk.
    pub(crate) durability: Durability,
    /// The interval of [`Durability::Interval`].
    pub(crate) durability_interval: Duration,
    /// Memory for items that are read often.
    pub(crate) item_cache_bytes: u64,
    /// Memory for parts of the files that are read often.
    pub(crate) block_cache_bytes: u64,
    /// Memory for what is written and not in its place yet.
    pub(crate) memtable_bytes: u64,
}

/// Where the certificate is.
#[derive(Clone, Debug)]
pub(crate) struct TlsFiles {
    /// The certificate chain, PEM.
    pub(crate) cert: PathBuf,
    /// The private key, PEM.
    pub(crate) key: PathBuf,
}

/// Limits on connections and time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The most connections open at a time, where that is set.
    pub(crate) connections: Option<usize>,
    /// For the head of a request to arrive.
    pub(crate) header: Duration,
    /// For the body of a request to arrive.
    pub(crate) body: Duration,
    /// For some of a response to be taken.
    pub(crate) write: Duration,
    /// For the next request.
    pub(crate) idle: Duration,
    /// For requests under way when stopping.
    pub(crate) shutdown: Duration,
}

/// A setting that is wrong, said for the person who set it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ConfigError(String);

impl From<clap::Error> for ConfigError {
    fn from(error: clap::Error) -> Self {
        let text = error.render().to_string();
        wrong(text.strip_prefix("error: ").unwrap_or(&text).trim_end())
    }
}

fn wrong(message: impl Into<String>) -> ConfigError {
    ConfigError(message.into())
}

/// The keys that come from the environment alone.
#[derive(Debug, Default)]
pub(crate) struct EnvironmentKeys {
    access_key_id: Option<String>,
    secret_access_key: Option<Secret>,
    cassandra_password: Option<Secret>,
}

impl EnvironmentKeys {
    /// Reads `ZENOBE_ACCESS_KEY_ID`, `ZENOBE_SECRET_ACCESS_KEY` and `ZENOBE_CASSANDRA_PASSWORD`.
    pub(crate) fn read() -> Result<Self, ConfigError> {
        let variable = |name| {
            let value = sources::variable(name).map(OsString::into_string).transpose();
            // Not the value itself: it may be a secret.
            value.map_err(|_| wrong(format!("{name}: the value is not UTF-8")))
        };
        Ok(Self {
            access_key_id: variable("ZENOBE_ACCESS_KEY_ID")?,
            secret_access_key: variable("ZENOBE_SECRET_ACCESS_KEY")?.map(Secret),
            cassandra_password: variable("ZENOBE_CASSANDRA_PASSWORD")?.map(Secret),
        })
    }
}

impl Settings {
    /// Checks the settings together and fills in the defaults.
    pub(crate) fn check(self, keys: EnvironmentKeys, task: Task) -> Result<Config, ConfigError> {
        let listen = match task {
            Task::Serve => resolve(self.listen.as_deref().unwrap_or(default::LISTEN))?,
            // It listens on nothing, so the rules of listening are none of its own.
            Task::Check => Vec::new(),
        };
        let limits = self.limits()?;
        let streams = self.streams()?;
        let storage = self.storage(keys.cassandra_password.clone())?;
        if task == Task::Check && matches!(storage, Storage::Memory) {
            return Err(wrong(
                "check --in-memory would have nothing to look at: leave --in-memory out",
            ));
        }
        let credentials = credentials(self.credentials, keys)?;
        let tls = match (self.tls_cert, self.tls_key) {
            (Some(cert), Some(key)) => Some(TlsFiles { cert, key }),
            (None, None) => None,
            (Some(_), None) => return Err(wrong("--tls-cert needs --tls-key, too")),
            (None, Some(_)) => return Err(wrong("--tls-key needs --tls-cert, too")),
        };
        let no_tls = self.insecure_no_tls.unwrap_or(false);
        check_exposure(&listen, !credentials.is_empty(), tls.is_some() || no_tls)?;

        Ok(Config {
            listen,
            port_file: self.port_file,
            storage,
            streams,
            ttl_interval: seconds("ttl-interval", self.ttl_interval, default::TTL_INTERVAL)?,
            region: checked_region(self.region.unwrap_or_else(|| default::REGION.to_owned()))?,
            account_id: checked_account(
                self.account_id.unwrap_or_else(|| default::ACCOUNT_ID.to_owned()),
            )?,
            credentials,
            tls,
            limits,
            log_format: self.log_format.unwrap_or_default(),
            log_level: self.log_level.unwrap_or_default(),
            slow_request: milliseconds(
                "slow-request-ms",
                self.slow_request_ms,
                default::SLOW_REQUEST_MS,
            )?,
        })
    }

    fn storage(&self, password: Option<Secret>) -> Result<Storage, ConfigError> {
        match self.engine.unwrap_or_default() {
            EngineKind::Cassandra => self.cassandra(password).map(Storage::Cassandra),
            EngineKind::Embedded => match self.of_cassandra() {
                Some(setting) => Err(wrong(format!("{setting} needs --engine cassandra"))),
                None => Ok(self.data()?.map_or(Storage::Memory, Storage::Files)),
            },
        }
    }

    fn cassandra(&self, password: Option<Secret>) -> Result<CassandraConfig, ConfigError> {
        if self.in_memory.unwrap_or(false) || self.data_dir.is_some() || self.durability.is_some() {
            return Err(wrong(
                "--engine cassandra excludes --in-memory, --data-dir and --durability",
            ));
        }
        let points = self.cassandra_contact_points.as_deref().unwrap_or_default();
        let contact_points = checked_contact_points(points)?;
        let password = password.or_else(|| self.cassandra_password.clone());
        let credentials = match (self.cassandra_user.clone(), password) {
            (Some(user), Some(Secret(password))) => Some(Credentials { user, password }),
            (None, None) => None,
            (Some(_), None) => {
                return Err(wrong("--cassandra-user needs ZENOBE_CASSANDRA_PASSWORD, too"));
            }
            (None, Some(_)) => {
                return Err(wrong("ZENOBE_CASSANDRA_PASSWORD needs --cassandra-user, too"));
            }
        };
        let replication = self.cassandra_replication.unwrap_or(default::CASSANDRA_REPLICATION);
        if !(1..=CASSANDRA_REPLICAS_MAX).contains(&replication) {
            return Err(wrong(format!(
                "--cassandra-replication must be from 1 to {CASSANDRA_REPLICAS_MAX}"
            )));
        }
        Ok(CassandraConfig {
            contact_points,
            keyspace: checked_keyspace(
                self.cassandra_keyspace.as_deref().unwrap_or(default::CASSANDRA_KEYSPACE),
            )?,
            replication,
            datacenter: self.cassandra_datacenter.clone(),
            credentials,
            tls: self.cassandra_tls()?,
        })
    }

    /// A setting about the cluster, if there is one.
    fn of_cassandra(&self) -> Option<&'static str> {
        let set = |name, is_set: bool| is_set.then_some(name);
        set("--cassandra-contact-points", self.cassandra_contact_points.is_some())
            .or(set("--cassandra-keyspace", self.cassandra_keyspace.is_some()))
            .or(set("--cassandra-replication", self.cassandra_replication.is_some()))
            .or(set("--cassandra-datacenter", self.cassandra_datacenter.is_some()))
            .or(set("--cassandra-user", self.cassandra_user.is_some()))
            .or(set("cassandra-password", self.cassandra_password.is_some()))
            .or(set("--cassandra-tls-ca", self.cassandra_tls_ca.is_some()))
            .or(set("--cassandra-tls-cert", self.cassandra_tls_cert.is_some()))
            .or(set("--cassandra-tls-key", self.cassandra_tls_key.is_some()))
    }

    fn cassandra_tls(&self) -> Result<Option<Tls>, ConfigError> {
        for (name, file) in [
            ("--cassandra-tls-ca", &self.cassandra_tls_ca),
            ("--cassandra-tls-cert", &self.cassandra_tls_cert),
            ("--cassandra-tls-key", &self.cassandra_tls_key),
        ] {
            if let Some(path) = file
                && let Err(error) = std::fs::File::open(path)
            {
                return Err(wrong(format!("{name} {}: {error}", path.display())));
            }
        }
        let client = match (self.cassandra_tls_cert.clone(), self.cassandra_tls_key.clone()) {
            (Some(certificates), Some(key)) => Some(ClientCertificate { certificates, key }),
            (None, None) => None,
            (Some(_), None) => {
                return Err(wrong("--cassandra-tls-cert needs --cassandra-tls-key, too"));
            }
            (None, Some(_)) => {
                return Err(wrong("--cassandra-tls-key needs --cassandra-tls-cert, too"));
            }
        };
        match (self.cassandra_tls_ca.clone(), client) {
            (Some(authorities), client) => Ok(Some(Tls { authorities, client })),
            (None, None) => Ok(None),
            (None, Some(_)) => Err(wrong("--cassandra-tls-cert needs --cassandra-tls-ca, too")),
        }
    }

    fn data(&self) -> Result<Option<DataConfig>, ConfigError> {
        if self.in_memory.unwrap_or(false) {
            return match (&self.data_dir, self.durability) {
                (Some(_), _) => Err(wrong("--in-memory and --data-dir exclude each other")),
                (None, Some(_)) => Err(wrong("--in-memory and --durability exclude each other")),
                (None, None) => Ok(None),
            };
        }
        let durability = self.durability.unwrap_or_default();
        let interval_ms = self.durability_interval_ms;
        if interval_ms.is_some() && durability != Durability::Interval {
            return Err(wrong("--durability-interval-ms needs --durability interval"));
        }
        Ok(Some(DataConfig {
            dir: self.data_dir.clone().unwrap_or_else(|| PathBuf::from(default::DATA_DIR)),
            durability,
            durability_interval: milliseconds(
                "durability-interval-ms",
                interval_ms,
                default::DURABILITY_INTERVAL_MS,
            )?,
            item_cache_bytes: megabytes(
                "item-cache-mb",
                self.item_cache_mb.unwrap_or(default::ITEM_CACHE_MB),
                1,
            )?,
            block_cache_bytes: megabytes(
                "block-cache-mb",
                self.block_cache_mb.unwrap_or(default::BLOCK_CACHE_MB),
                1,
            )?,
            memtable_bytes: megabytes(
                "memtable-mb",
                self.memtable_mb.unwrap_or(default::MEMTABLE_MB),
                MEMTABLE_MB_MIN,
            )?,
        }))
    }

    fn limits(&self) -> Result<Limits, ConfigError> {
        let connections = self.max_connections;
        if connections.is_some_and(|count| !(1..=CONNECTIONS_MAX).contains(&count)) {
            return Err(wrong(format!("--max-connections must be from 1 to {CONNECTIONS_MAX}")));
        }
        Ok(Limits {
            connections,
            header: milliseconds(
                "header-timeout-ms",
                self.header_timeout_ms,
                default::HEADER_TIMEOUT_MS,
            )?,
            body: milliseconds("body-timeout-ms", self.body_timeout_ms, default::BODY_TIMEOUT_MS)?,
            write: milliseconds(
                "write-timeout-ms",
                self.write_timeout_ms,
                default::WRITE_TIMEOUT_MS,
            )?,
            idle: milliseconds("idle-timeout-ms", self.idle_timeout_ms, default::IDLE_TIMEOUT_MS)?,
            shutdown: milliseconds(
                "shutdown-timeout-ms",
                self.shutdown_timeout_ms,
                default::SHUTDOWN_TIMEOUT_MS,
            )?,
        })
    }
}

impl Settings {
    fn streams(&self) -> Result<StreamConfig, ConfigError> {
        let default = StreamConfig::default();
        let checked = |name: &str, given: Option<u64>, default: u64| {
            let given = given.unwrap_or(default);
            if !(STREAM_MS_MIN..=7 * DAY_MS).contains(&given) {
                let max = 7 * DAY_MS;
                return Err(wrong(format!(
                    "--{name} must be from {STREAM_MS_MIN} to {max} (a week)"
                )));
            }
            Ok(given)
        };
        Ok(StreamConfig {
            shard_duration_ms: checked(
                "stream-shard-duration-ms",
                self.stream_shard_duration_ms,
                default.shard_duration_ms,
            )?,
            retention_ms: checked(
                "stream-retention-ms",
                self.stream_retention_ms,
                default.retention_ms,
            )?,
        })
    }
}

/// Shorter durations would be all upkeep.
const STREAM_MS_MIN: u64 = 100;
const CASSANDRA_REPLICAS_MAX: u32 = 100;
const CONNECTIONS_MAX: usize = 1_000_000;
const DAY_MS: u64 = 86_400_000;

fn milliseconds(name: &str, given: Option<u64>, default: u64) -> Result<Duration, ConfigError> {
    let milliseconds = given.unwrap_or(default);
    if !(1..=DAY_MS).contains(&milliseconds) {
        return Err(wrong(format!("--{name} must be from 1 to {DAY_MS} (a day)")));
    }
    Ok(Duration::from_millis(milliseconds))
}

const DAY_SECONDS: u64 = DAY_MS / 1000;

fn seconds(name: &str, given: Option<u64>, default: u64) -> Result<Duration, ConfigError> {
    let seconds = given.unwrap_or(default);
    if !(1..=DAY_SECONDS).contains(&seconds) {
        return Err(wrong(format!("--{name} must be from 1 to {DAY_SECONDS} (a day)")));
    }
    Ok(Duration::from_secs(seconds))
}

/// A memtable must hold the largest commit several times over.
const MEMTABLE_MB_MIN: u64 = 16;
const MEMORY_MB_MAX: u64 = 1 << 20;

fn megabytes(name: &str, given: u64, least: u64) -> Result<u64, ConfigError> {
    if !(least..=MEMORY_MB_MAX).contains(&given) {
        return Err(wrong(format!("--{name} must be from {least} to {MEMORY_MB_MAX}")));
    }
    Ok(given << 20)
}

/// The longest name of a keyspace. Source: Apache Cassandra's CQL, "Data Definition", "Common definitions".
const KEYSPACE_LENGTH_MAX: usize = 48;

fn checked_keyspace(name: &str) -> Result<String, ConfigError> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let begins = name.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
    if !begins || name.len() > KEYSPACE_LENGTH_MAX || !name.bytes().all(allowed) {
        return Err(wrong(format!(
            "--cassandra-keyspace {name:?} must be 1 to {KEYSPACE_LENGTH_MAX} of a-z, 0-9 and _, beginning with a \
             letter"
        )));
    }
    Ok(name.to_owned())
}

fn checked_contact_points(list: &str) -> Result<Vec<String>, ConfigError> {
    let points = list.split(',').map(str::trim).filter(|point| !point.is_empty());
    let points: Vec<String> = points.map(str::to_owned).collect();
    if points.is_empty() {
        return Err(wrong("--engine cassandra needs --cassandra-contact-points"));
    }
    for point in &points {
        // The colons of an IPv6 address without brackets are none before a port.
        let port =
            point.rsplit_once(':').filter(|(host, _)| !host.contains(':') || host.ends_with(']'));
        if port.is_some_and(|(_, port)| !port.parse::<u16>().is_ok_and(|port| port > 0)) {
            return Err(wrong(format!(
                "--cassandra-contact-points {point}: a port must be from 1 to {}",
                u16::MAX
            )));
        }
    }
    Ok(points)
}

/// The addresses of a list of hosts with ports. A name may stand for several: `localhost` is usually
/// both 127.0.0.1 and ::1, and clients try either.
fn resolve(list: &str) -> Result<Vec<SocketAddr>, ConfigError> {
    let mut addresses = Vec::new();
    for host in list.split(',').map(str::trim) {
        let resolved = host.to_socket_addrs().map_err(|error| {
            wrong(format!(
                "--listen {host}: {error}; an address looks like 127.0.0.1:8000 or [::1]:8000"
            ))
        })?;
        let mut of_host = Vec::new();
        for address in resolved {
            // Each free port that is asked for is one of its own; but a name may stand for an address twice.
            let known = if address.port() == 0 { &of_host } else { &addresses };
            if !known.contains(&address) && !of_host.contains(&address) {
                of_host.push(address);
            }
        }
        addresses.append(&mut of_host);
    }
    if addresses.is_empty() {
        return Err(wrong(format!("--listen {list}: no such address")));
    }
    Ok(addresses)
}

/// Whoever can reach an address must show a key, over a connection that nobody else can read.
/// Loopback is this machine's own.
fn check_exposure(listen: &[SocketAddr], has_keys: bool, tls: bool) -> Result<(), ConfigError> {
    let Some(exposed) = listen.iter().find(|address| !address.ip().to_canonical().is_loopback())
    else {
        return Ok(());
    };
    if !has_keys {
        return Err(wrong(format!(
            "refusing --listen {exposed}, which others can reach, without credentials: set \
             ZENOBE_ACCESS_KEY_ID and ZENOBE_SECRET_ACCESS_KEY, or [[credentials]] in the file of \
             --config"
        )));
    }
    if !tls {
        return Err(wrong(format!(
            "refusing --listen {exposed}, which others can reach, without TLS: set --tls-cert \
             and --tls-key, or --insecure-no-tls where something in front has TLS"
        )));
    }
    Ok(())
}

fn credentials(
    file: Vec<FileCredential>,
    keys: EnvironmentKeys,
) -> Result<Vec<Credential>, ConfigError> {
    let mut all = Vec::new();
    match (keys.access_key_id, keys.secret_access_key) {
        (Some(id), Some(secret)) => all.push(Credential::new(id, secret.0)),
        (None, None) => {}
        (Some(_), None) => {
            return Err(wrong("ZENOBE_ACCESS_KEY_ID needs ZENOBE_SECRET_ACCESS_KEY, too"));
        }
        (None, Some(_)) => {
            return Err(wrong("ZENOBE_SECRET_ACCESS_KEY needs ZENOBE_ACCESS_KEY_ID, too"));
        }
    }
    all.extend(file.into_iter().map(|credential| Credential {
        access_key_id: credential.access_key_id.into(),
        secret_access_key: SecretString::new(credential.secret_access_key.0),
        session_token: credential.session_token.map(|token| SecretString::new(token.0)),
    }));
    for credential in &all {
        credential.check().map_err(|error| wrong(error.to_string()))?;
    }
    Ok(all)
}

fn checked_region(region: String) -> Result<String, ConfigError> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if region.is_empty() || region.len() > 64 || !region.bytes().all(allowed) {
        return Err(wrong(format!(
            "--region {region:?} must be 1 to 64 of a-z, 0-9 and -, such as eu-west-1"
        )));
    }
    Ok(region)
}

fn checked_account(account: String) -> Result<String, ConfigError> {
    if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong(format!("--account-id {account:?} must be twelve digits")));
    }
    Ok(account)
}
