//! Several processes over one store that is shared: each a database of its own, over one in-memory engine that
//! commits within a partition, relays derived rows late and cuts shards itself, or over an engine of its own on
//! Cassandra. One behaviour per module.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing test panics")]

mod a_commit_that_comes_too_late_is_made_good;
mod a_dead_process_is_not_waited_for;
mod background_work_is_shared_out;
mod indexes_agree_with_the_table;
mod one_stream_of_many_writers;
mod processes;
#[path = "../streams/reading.rs"]
#[allow(dead_code, reason = "shared with tests that need more")]
mod reading;
#[path = "../store/mod.rs"]
mod store;
#[path = "../control_plane/support.rs"]
#[allow(dead_code, reason = "shared with tests that need more")]
mod support;
mod tables_are_known_everywhere;
mod the_end_of_a_stream_loses_nothing;
mod writes_to_a_deleted_table_are_told_so;
