//! The distributed engine of Zenobe: the seam over Apache Cassandra 5.0, for any number of Zenobe nodes.
//!
//! The crate knows the seam ([`zenobe_storage::Engine`]) and CQL; no DynamoDB, no JSON. Consensus, replication
//! and storage are Cassandra's.
//!
//! - A space is a table; a commit is one conditional batch on one partition (`commit`).
//! - Versions grow per partition whatever the nodes' clocks say (`commit`, `clock`, `node`).
//! - A commit without an answer is settled by looking, and reported as unknown only where that fails.
//! - The change log has an order per shard, made by conditional batches (`log`).
//! - Scans walk token ranges; the hash of a partition is Cassandra's token (`token`).
//!
//! What the engine does not have: commits over partitions, snapshots, one order over all shards.

mod client;
mod clock;
mod commit;
mod core;
mod engine;
mod figures;
mod log;
mod node;
mod options;
mod read;
mod schema;
mod spaces;
mod token;

pub use engine::CassandraEngine;
pub use options::{CassandraOptions, Credentials, Replication, WallClock};
