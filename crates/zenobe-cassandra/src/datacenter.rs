//! The data centre of a keyspace: the one in which all rounds of consensus are.
//!
//! LOCAL_SERIAL and LOCAL_QUORUM mean the data centre of the node that is asked. Two processes that ask nodes of
//! different ones would decide the same rows apart from each other. So where there are several, one is named; and
//! the first process that opens a keyspace leaves the name in the table `nodes`, under a number that no process
//! takes, for all later ones to compare. (That is itself decided in one data centre only: of two processes that are
//! the first at the same moment, each in its own, the next start tells.)
//!
//! Nor is a keyspace made that has more replicas than there are nodes: Cassandra makes it, and then answers nothing.

use std::collections::BTreeMap;

use bytes::Bytes;
use scylla::cluster::metadata::Strategy;
use zenobe_storage::{EngineError, EngineResult};

use crate::client::{Bind, Client, Failure};
use crate::core::{Verdict, verdict};
use crate::figures::Kind;
use crate::options::Replication;
use crate::schema::OwnTables;

/// Where in the table `nodes` the name is. Numbers of processes begin with 1.
const PLACE: i32 = 0;
/// How often the name is left when the answer is unclear.
const ATTEMPTS: u32 = 3;

/// How many nodes each data centre of a cluster has.
pub(crate) type Nodes = BTreeMap<String, usize>;

fn names(nodes: &Nodes) -> String {
    nodes.keys().cloned().collect::<Vec<_>>().join(", ")
}

/// The data centre that requests go to: the one named, or the only one. `None` where nodes do not say theirs.
pub(crate) fn chosen(nodes: &Nodes, named: Option<&str>) -> EngineResult<Option<String>> {
    let text = match named {
        Some(name) if nodes.is_empty() || nodes.contains_key(name) => {
            return Ok(Some(name.to_owned()));
        }
        Some(name) => format!(
            "the cluster has no data centre {name:?}; --cassandra-datacenter must be one of: {}",
            names(nodes)
        ),
        None if nodes.len() <= 1 => return Ok(nodes.keys().next().cloned()),
        None => format!(
            "the cluster has several data centres; name the same one for all processes with \
             --cassandra-datacenter: {}",
            names(nodes)
        ),
    };
    Err(EngineError::Unavailable(text))
}

/// Checks that a keyspace can be made: all its replicas find nodes.
pub(crate) fn check_new(replication: &Replication, nodes: &Nodes) -> EngineResult<()> {
    let has = |name: &str| nodes.get(name).copied().unwrap_or(0);
    let asked: Vec<(&String, u32)> = match replication {
        Replication::EachDatacenter(count) => nodes.keys().map(|name| (name, *count)).collect(),
        Replication::Datacenters(counts) => {
            counts.iter().map(|(name, count)| (name, *count)).collect()
        }
    };
    let is_short = |(name, count): &(&String, u32)| {
        usize::try_from(*count).is_ok_and(|count| count > has(name))
    };
    // Nodes that do not say where they are cannot be counted.
    let Some((name, count)) = asked.into_iter().find(is_short).filter(|_| !nodes.is_empty()) else {
        return Ok(());
    };
    let has = has(name);
    Err(EngineError::Unavailable(format!(
        "{count} replicas of each row need {count} nodes, and data centre {name:?} has {has}: ask for fewer with \
         --cassandra-replication, or make the keyspace yourself"
    )))
}

/// Checks that a keyspace that is there can be used: where consensus is, there are nodes for most of the replicas.
pub(crate) fn check_existing(
    keyspace: &str,
    strategy: &Strategy,
    nodes: &Nodes,
    datacenter: Option<&str>,
) -> EngineResult<()> {
    let (replicas, count, place) = match (strategy, datacenter) {
        (Strategy::SimpleStrategy { replication_factor }, _) => {
            (*replication_factor, nodes.values().sum(), "the cluster".to_owned())
        }
        (Strategy::NetworkTopologyStrategy { datacenter_repfactors }, Some(name)) => {
            let replicas = datacenter_repfactors.get(name).copied().unwrap_or(0);
            (replicas, nodes.get(name).copied().unwrap_or(0), format!("data centre {name:?}"))
        }
        _ => return Ok(()),
    };
    if nodes.is_empty() || (replicas > 0 && replicas / 2 < count) {
        return Ok(());
    }
    Err(EngineError::Unavailable(format!(
        "the keyspace {keyspace} is there with {replicas} replicas of each row in {place}, which has {count} nodes, \
         and keeps its replication whatever --cassandra-replication says: ALTER KEYSPACE {keyspace}, or, if there is \
         nothing in it, DROP it"
    )))
}

/// Leaves the name of this process's data centre in the keyspace, or compares it with what is there.
pub(crate) async fn remember(client: &Client, own: &OwnTables) -> EngineResult<()> {
    let Some(datacenter) = &client.datacenter else { return Ok(()) };
    let mut attempt = 1;
    let rows = loop {
        let name = Bytes::copy_from_slice(datacenter.as_bytes());
        // It never ends.
        let values = vec![Bind::Int(PLACE), Bind::Blob(name), Bind::Int(0)];
        let batch = vec![(&own.node_claim, values)];
        match client.conditional(Kind::Registry, batch).await.and_then(verdict) {
            Ok(Verdict::Applied) => return Ok(()),
            Ok(Verdict::Refused(rows)) => break rows,
            Err(Failure::Unclear(_)) if attempt < ATTEMPTS => attempt += 1,
            Err(failure) => return Err(failure.error()),
        }
    };
    let found = rows.iter().find_map(|row| row.blob("instance")).unwrap_or_default();
    if found == datacenter.as_bytes() {
        return Ok(());
    }
    let found = String::from_utf8_lossy(found);
    Err(EngineError::Unavailable(format!(
        "the keyspace is used in data centre {found:?}, and this process in {datacenter:?}: all processes must \
         use one (--cassandra-datacenter)"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_several_data_centres_is_named() {
        let nodes = |names: &[&str]| -> Nodes {
            names.iter().map(|name| ((*name).to_owned(), 3)).collect()
        };
        let check = |names: &[&str], named, expected: Result<Option<&str>, &str>| {
            let found = chosen(&nodes(names), named);
            match expected {
                Ok(name) => assert_eq!(found, Ok(name.map(str::to_owned))),
                Err(text) => {
                    let told = found.unwrap_err().to_string();
                    assert!(
                        told.contains(text) && told.contains("--cassandra-datacenter"),
                        "{told}"
                    );
                }
            }
        };
        check(&["east"], None, Ok(Some("east")));
        check(&["east"], Some("east"), Ok(Some("east")));
        check(&["east", "west"], Some("west"), Ok(Some("west")));
        check(&["east", "west"], None, Err("east, west"));
        check(&["east", "west"], Some("East"), Err("no data centre \"East\""));
        check(&["east"], Some("west"), Err("no data centre \"west\""));
        check(&[], None, Ok(None));
        check(&[], Some("east"), Ok(Some("east")));
    }

    fn nodes(counts: &[(&str, usize)]) -> Nodes {
        counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    #[test]
    fn a_keyspace_is_made_where_its_replicas_find_nodes() {
        let each = Replication::EachDatacenter;
        let some = |name: &str| Replication::Datacenters([(name.to_owned(), 2)].into());
        let there = nodes(&[("east", 3), ("west", 1)]);
        assert_eq!(check_new(&each(1), &there), Ok(()));
        assert_eq!(check_new(&some("east"), &there), Ok(()));
        assert_eq!(check_new(&each(3), &nodes(&[])), Ok(()));
        for (replication, told) in [
            (each(3), "data centre \"west\" has 1"),
            (some("west"), "data centre \"west\" has 1"),
            (some("south"), "data centre \"south\" has 0"),
        ] {
            let text = check_new(&replication, &there).unwrap_err().to_string();
            assert!(text.contains(told) && text.contains("--cassandra-replication"), "{text}");
        }
    }

    #[test]
    fn a_keyspace_is_used_where_most_of_its_replicas_find_nodes() {
        let there = nodes(&[("east", 2), ("west", 1)]);
        let check = |strategy: &Strategy, name| check_existing("z", strategy, &there, Some(name));
        let simple = |replication_factor| Strategy::SimpleStrategy { replication_factor };
        assert_eq!(check(&simple(5), "east"), Ok(()));
        assert!(check(&simple(6), "east").is_err());
        let each = |count| Strategy::NetworkTopologyStrategy {
            datacenter_repfactors: [("east".to_owned(), count)].into(),
        };
        assert_eq!(check(&each(1), "east"), Ok(()));
        assert_eq!(check(&each(3), "east"), Ok(()));
        assert!(check(&each(4), "east").is_err());
        assert!(check(&each(1), "west").is_err(), "no replicas there");
        assert_eq!(check_existing("z", &each(4), &nodes(&[]), Some("east")), Ok(()));
        assert_eq!(check_existing("z", &each(4), &there, None), Ok(()));
    }
}
