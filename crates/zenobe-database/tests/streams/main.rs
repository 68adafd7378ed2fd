//! Streams, on the engine that `store` gives: one behaviour per module.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing test panics")]

mod a_check_finds_what_does_not_fit;
mod a_stream_lives_on_after_its_table;
mod every_fault_is_survived;
mod iterators_start_where_they_are_told;
mod old_records_are_forgotten;
mod one_record_for_each_change;
mod reading;
mod replaying_a_stream_rebuilds_the_table;
#[path = "../store/mod.rs"]
mod store;
#[path = "../control_plane/support.rs"]
#[allow(dead_code, reason = "shared with tests that need more")]
mod support;
mod the_order_of_an_item_s_changes_survives_rollover;
