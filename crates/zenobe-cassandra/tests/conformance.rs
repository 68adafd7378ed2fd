//! The engine passes the suite of the seam on a real cluster.

mod support;

use support::Cluster;

zenobe_storage::conformance_tests!(Cluster::shared());
