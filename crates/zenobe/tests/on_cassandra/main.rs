//! Server processes on a Cassandra cluster, asked over HTTP: one, and several on one keyspace.
//!
//! Needs a cluster in `ZENOBE_CASSANDRA`; see crates/zenobe-cassandra/cluster/cluster. Clocks that differ are
//! the business of the engine's own tests.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test code, outside the functions that the lint knows as such"
)]

mod client;
mod contention;
mod crashes;
mod histories;
mod keyspace;
mod ledger;
mod one_process;
#[path = "../../../zenobe-database/tests/transactions/serializability.rs"]
mod serializability;
mod shared_tables;
mod statements;
#[path = "../support/mod.rs"]
mod support;
