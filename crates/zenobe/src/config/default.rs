//! What holds where nothing is set, each stated once: the help texts show what is used.

use clap::ValueEnum;
use zenobe_database::stream::StreamConfig;
use zenobe_local::LocalOptions;

use super::{Durability, EngineKind};
use crate::logging::{LogFormat, LogLevel};

pub(crate) const LISTEN: &str = "127.0.0.1:8000";
pub(crate) const MAX_CONNECTIONS: usize = 8192;
pub(crate) const HEADER_TIMEOUT_MS: u64 = 10_000;
pub(crate) const BODY_TIMEOUT_MS: u64 = 60_000;
pub(crate) const WRITE_TIMEOUT_MS: u64 = 30_000;
pub(crate) const IDLE_TIMEOUT_MS: u64 = 300_000;
pub(crate) const SHUTDOWN_TIMEOUT_MS: u64 = 20_000;
pub(crate) const DATA_DIR: &str = "zenobe-data";
pub(crate) const DURABILITY_INTERVAL_MS: u64 = 100;
pub(crate) const ITEM_CACHE_MB: u64 = LocalOptions::ITEM_CACHE_BYTES >> 20;
pub(crate) const BLOCK_CACHE_MB: u64 = LocalOptions::BLOCK_CACHE_BYTES >> 20;
pub(crate) const MEMTABLE_MB: u64 = LocalOptions::MEMTABLE_BYTES >> 20;
pub(crate) const CASSANDRA_KEYSPACE: &str = "zenobe";
pub(crate) const CASSANDRA_REPLICATION: u32 = 3;
pub(crate) const TTL_INTERVAL: u64 = 5;
pub(crate) const REGION: &str = "us-east-1";
pub(crate) const ACCOUNT_ID: &str = "000000000000";
pub(crate) const SLOW_REQUEST_MS: u64 = 1000;

/// The default of a setting, by the name of its field, as its help text shows it; `None` if it has none.
pub(crate) fn shown(setting: &str) -> Option<String> {
    Some(match setting {
        "listen" => LISTEN.to_owned(),
        "max_connections" => MAX_CONNECTIONS.to_string(),
        "header_timeout_ms" => HEADER_TIMEOUT_MS.to_string(),
        "body_timeout_ms" => BODY_TIMEOUT_MS.to_string(),
        "write_timeout_ms" => WRITE_TIMEOUT_MS.to_string(),
        "idle_timeout_ms" => IDLE_TIMEOUT_MS.to_string(),
        "shutdown_timeout_ms" => SHUTDOWN_TIMEOUT_MS.to_string(),
        "data_dir" => format!("./{DATA_DIR}"),
        "durability" => name_of(Durability::default()),
        "durability_interval_ms" => DURABILITY_INTERVAL_MS.to_string(),
        "item_cache_mb" => ITEM_CACHE_MB.to_string(),
        "block_cache_mb" => BLOCK_CACHE_MB.to_string(),
        "memtable_mb" => MEMTABLE_MB.to_string(),
        "engine" => name_of(EngineKind::default()),
        "cassandra_keyspace" => CASSANDRA_KEYSPACE.to_owned(),
        "cassandra_replication" => CASSANDRA_REPLICATION.to_string(),
        "stream_shard_duration_ms" => in_hours(StreamConfig::default().shard_duration_ms),
        "stream_retention_ms" => in_hours(StreamConfig::default().retention_ms),
        "ttl_interval" => TTL_INTERVAL.to_string(),
        "region" => REGION.to_owned(),
        "account_id" => ACCOUNT_ID.to_owned(),
        "log_format" => name_of(LogFormat::default()),
        "log_level" => name_of(LogLevel::default()),
        "slow_request_ms" => SLOW_REQUEST_MS.to_string(),
        _ => return None,
    })
}

fn name_of(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

fn in_hours(milliseconds: u64) -> String {
    format!("{milliseconds}, {} hours", milliseconds / 3_600_000)
}
