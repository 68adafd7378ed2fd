//! Where conditional batches go: always to the first replica of their partition that is up.
//!
//! Each node that makes a round of consensus on a partition has to overtake the rounds of the others. So the rounds
//! of all processes for one partition go to the same node; other partitions have other ones. The driver does that
//! for serial reads by itself, and for conditional batches does not know that they are such.

use std::sync::Arc;

use scylla::cluster::{ClusterState, NodeRef};
use scylla::policies::load_balancing::{FallbackPlan, LoadBalancingPolicy, RoutingInfo};
use scylla::routing::Shard;

/// The policy. Where the partition's replicas are not known, `other` chooses.
#[derive(Debug)]
pub(crate) struct FirstReplica {
    pub(crate) other: Arc<dyn LoadBalancingPolicy>,
}

/// The replicas of a request's partition that are up, in the order of the ring: those in the preferred data centre, if
/// there is one.
fn replicas<'a>(
    request: &'a RoutingInfo<'_>,
    cluster: &'a ClusterState,
) -> impl Iterator<Item = NodeRef<'a>> + use<'a> {
    let known = request.token.zip(request.table).and_then(|(token, table)| {
        let keyspace = cluster.get_keyspace(table.ks_name())?;
        let datacenter = request.node_location_preference.datacenter();
        let locator = cluster.replica_locator();
        Some(locator.replicas_for_token(token, &keyspace.strategy, datacenter, table))
    });
    let ordered = known.into_iter().flat_map(|replicas| replicas.into_replicas_ordered());
    ordered.map(|(node, _)| node).filter(|node| node.is_connected())
}

impl LoadBalancingPolicy for FirstReplica {
    fn pick<'a>(
        &'a self,
        request: &'a RoutingInfo<'_>,
        cluster: &'a ClusterState,
    ) -> Option<(NodeRef<'a>, Option<Shard>)> {
        let first = replicas(request, cluster).next().map(|node| (node, None));
        first.or_else(|| self.other.pick(request, cluster))
    }

    fn fallback<'a>(
        &'a self,
        request: &'a RoutingInfo<'_>,
        cluster: &'a ClusterState,
    ) -> FallbackPlan<'a> {
        let others = self.other.fallback(request, cluster);
        Box::new(replicas(request, cluster).map(|node| (node, None)).chain(others))
    }

    fn name(&self) -> String {
        "FirstReplica".to_owned()
    }
}
