//! The data centre of a keyspace: the one in which all rounds of consensus are.
//!
//! LOCAL_SERIAL and LOCAL_QUORUM mean the data centre of the node that is asked. Two processes that ask nodes of
//! different ones would decide the same rows apart from each other. So where there are several, one is named; and
//! the first process that opens a keyspace leaves the name in the table `nodes`, under a number that no process
//! takes, for all later ones to compare. (That is itself decided in one data centre only: of two processes that are
//! the first at the same moment, each in its own, the next start tells.)

use std::collections::BTreeMap;

use bytes::Bytes;
use zenobe_storage::{EngineError, EngineResult};

use crate::client::{Bind, Client, Failure};
use crate::core::{Verdict, verdict};
use crate::figures::Kind;
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
        let nodes = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), 3)).collect();
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
}
