//! The distributed engine of Zenobe: the seam over Apache Cassandra 5.0, for any number of Zenobe nodes.
//!
//! The crate knows the seam ([`zenobe_storage::Engine`]) and CQL; no DynamoDB, no JSON. Consensus, replication
//! and storage are Cassandra's.
//!
//! - A space is a table; a commit is one conditional batch on one partition (`commit`). Commits of one process
//!   that wait for the same partition share one (`queue`, `plan`).
//! - Versions grow per partition whatever the nodes' clocks say (`commit`, `clock`, `node`).
//! - A commit without an answer is settled by looking, and reported as unknown only where that fails (`settle`).
//! - What follows from a commit in other partitions, derived rows above all, is left in its partition as a trace
//!   and done after it (`trace`, `relay`); what a process that died left is done by others (`marks`, `instance`,
//!   `takeover`).
//! - The change log has an order per shard, made by conditional batches that take places for all commits that wait
//!   for the shard (`log`, `reserve`); shards are closed and opened
//!   while processes write (`cut`).
//! - All consensus is in one data centre, the same for all processes (`datacenter`).
//! - Scans walk token ranges; the hash of a partition is Cassandra's token (`token`). What Cassandra gives up to read
//!   at once is read in pieces (`read`, `pieces`).
//!
//! What the engine does not have: commits over partitions, snapshots, one order over all shards.

mod client;
mod clock;
mod commit;
mod core;
mod cut;
mod datacenter;
mod engine;
mod figures;
mod instance;
mod log;
mod marks;
mod node;
mod options;
mod pieces;
mod plan;
mod policy;
mod queue;
mod read;
mod relay;
mod reserve;
mod schema;
mod settle;
mod spaces;
mod takeover;
mod tls;
mod token;
mod trace;

pub use engine::CassandraEngine;
pub use options::{CassandraOptions, ClientCertificate, Credentials, Replication, Tls, WallClock};
