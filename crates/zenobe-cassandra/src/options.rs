//! What the engine needs to know about a cluster.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use zenobe_storage::{EngineError, EngineResult};

/// Milliseconds since 1970, UTC. The engine asks nothing else for the time of day.
pub type WallClock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// On how many nodes Cassandra keeps each row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replication {
    /// As many in each data centre that the cluster has when the keyspace is made.
    EachDatacenter(u32),
    /// As many as named in each data centre named.
    Datacenters(BTreeMap<String, u32>),
}

/// A user of the cluster.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name.
    pub user: String,
    /// The password. Never logged.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Connections to the cluster are encrypted, and its nodes known by their certificates.
///
/// A node's certificate must name the address that it is reached at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// A PEM file with the certificates of the authorities that may sign those of nodes.
    pub authorities: PathBuf,
    /// What this process shows to nodes that ask for a certificate.
    pub client: Option<ClientCertificate>,
}

/// A certificate of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// A PEM file with the certificate, and those of authorities between if there are any.
    pub certificates: PathBuf,
    /// A PEM file with its private key.
    pub key: PathBuf,
}

/// How to reach a cluster and how hard to use it.
#[derive(Clone)]
pub struct CassandraOptions {
    /// Nodes to ask first, `host` or `host:port`; the others are found through them.
    pub contact_points: Vec<String>,
    /// The keyspace that holds everything. Made on first use. Lower-case letters, digits and `_`, 48 at most.
    pub keyspace: String,
    /// The replication of a keyspace that is made. One that exists keeps its own.
    pub replication: Replication,
    /// Sends requests to this data centre. Needed when there are several, and the same for all processes.
    pub local_datacenter: Option<String>,
    /// Who to connect as; nobody by default.
    pub credentials: Option<Credentials>,
    /// Encrypts the connections; they are plain by default.
    pub tls: Option<Tls>,
    /// What one call of the engine may take, before it gives up.
    pub call_budget: Duration,
    /// How many statements may be under way at once; more wait.
    pub statements_in_flight_max: usize,
    /// How many statements may wait; more are refused as [`EngineError::Overloaded`].
    pub statements_waiting_max: usize,
    /// How many commits may wait for their partitions; more are refused as [`EngineError::Overloaded`].
    pub commits_waiting_max: usize,
    /// How many bytes the commits may have whose derived rows are not all written yet; with more, further commits
    /// with derived rows wait, and are refused as [`EngineError::Overloaded`] in the end.
    pub unfinished_bytes_max: u32,
    /// How long a page of many rows may take. One of a range or a scan is then read in smaller pieces.
    pub page_patience: Duration,
    /// How long a reader of the change log waits for a commit under way before it decides what became of it.
    pub log_patience: Duration,
    /// The time of day.
    pub clock: WallClock,
}

/// The longest name of a keyspace.
const KEYSPACE_LENGTH_MAX: usize = 48;

impl CassandraOptions {
    /// The defaults: three replicas in each data centre, ten seconds a call, 256 statements in flight.
    #[must_use]
    pub fn new(contact_points: Vec<String>, keyspace: String, clock: WallClock) -> Self {
        Self {
            contact_points,
            keyspace,
            replication: Replication::EachDatacenter(3),
            local_datacenter: None,
            credentials: None,
            tls: None,
            call_budget: Duration::from_secs(10),
            statements_in_flight_max: 256,
            statements_waiting_max: 4096,
            commits_waiting_max: 4096,
            unfinished_bytes_max: 64 << 20,
            page_patience: Duration::from_secs(3),
            log_patience: Duration::from_secs(2),
            clock,
        }
    }

    /// Checks what goes into statements as text.
    pub(crate) fn check(&self) -> EngineResult<()> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let name = self.keyspace.as_bytes();
        let starts = name.first().is_some_and(u8::is_ascii_lowercase);
        if !starts || name.len() > KEYSPACE_LENGTH_MAX || !name.iter().copied().all(plain) {
            return Err(EngineError::Unavailable(format!(
                "{:?} cannot be the name of a keyspace",
                self.keyspace
            )));
        }
        if let Replication::Datacenters(counts) = &self.replication
            && counts.keys().any(|name| name.is_empty() || name.contains(['\'', '\\']))
        {
            return Err(EngineError::Unavailable("a data centre's name is malformed".to_owned()));
        }
        Ok(())
    }

    /// The keyspace's replication in CQL.
    pub(crate) fn replication_cql(&self) -> String {
        let counts = match &self.replication {
            Replication::EachDatacenter(count) => format!(", 'replication_factor': {count}"),
            Replication::Datacenters(counts) => {
                counts.iter().map(|(name, count)| format!(", '{name}': {count}")).collect()
            }
        };
        format!("{{'class': 'NetworkTopologyStrategy'{counts}}}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(keyspace: &str) -> CassandraOptions {
        CassandraOptions::new(vec!["127.0.0.1".to_owned()], keyspace.to_owned(), Arc::new(|| 0))
    }

    #[test]
    fn the_name_of_a_keyspace_is_checked() {
        for good in ["z", "zenobe", "zenobe_2"] {
            assert_eq!(options(good).check(), Ok(()), "{good}");
        }
        let long = "z".repeat(49);
        for bad in ["", "_z", "2z", "Zenobe", "z-e", "z; DROP", "é", &long] {
            assert!(options(bad).check().is_err(), "{bad}");
        }
    }

    #[test]
    fn replication_is_written_as_cql() {
        let mut options = options("z");
        assert_eq!(
            options.replication_cql(),
            "{'class': 'NetworkTopologyStrategy', 'replication_factor': 3}"
        );
        let counts = [("east".to_owned(), 3), ("west".to_owned(), 2)].into();
        options.replication = Replication::Datacenters(counts);
        assert_eq!(
            options.replication_cql(),
            "{'class': 'NetworkTopologyStrategy', 'east': 3, 'west': 2}"
        );
        options.replication = Replication::Datacenters([("a'b".to_owned(), 1)].into());
        assert!(options.check().is_err());
    }

    #[test]
    fn a_password_is_not_shown() {
        let shown = Credentials { user: "u".to_owned(), password: "secret".to_owned() };
        assert!(!format!("{shown:?}").contains("secret"));
    }
}
