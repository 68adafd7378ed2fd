//! Tables and their indexes, on the engine that `store` gives: one behaviour per module.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing test panics")]

mod a_check_finds_what_does_not_fit;
mod a_filter_gives_others_a_turn;
mod create_table_refuses_with_the_service_s_texts;
mod derived_entries_follow_their_items;
mod every_fault_is_survived;
mod expired_items_are_deleted;
mod indexes_agree_with_the_table_under_load;
mod indexes_are_built_online;
#[path = "../store/mod.rs"]
mod store;
mod support;
mod tables_live_and_die;
mod tags_are_kept_with_the_table;
mod the_catalogue_survives_restarts;
mod time_to_live_comes_and_goes;
mod update_table_changes_one_thing;
