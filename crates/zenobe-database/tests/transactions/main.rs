//! Transactions: on engines that commit everything at once, and on engines that commit one partition
//! at a time, as the one on Cassandra does.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing test panics")]

mod a_dead_coordinator_leaves_nothing_half_done;
mod cancelled_transactions_say_why;
mod every_fault_is_survived;
mod histories_are_serializable;
mod serializability;
mod stepwise;
#[path = "../store/mod.rs"]
mod store;
mod support;
mod the_checker_knows_what_has_an_order;
mod tokens_make_a_transaction_happen_once;
mod transactions_that_meet_take_turns;
mod within_a_partition_it_is_one_commit;
