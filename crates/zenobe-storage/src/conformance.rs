//! The suite that every engine must pass.
//!
//! An engine's crate enables the feature `conformance` of this crate in its dev-dependencies, implements
//! [`EngineFactory`] and writes [`conformance_tests!`](crate::conformance_tests) in a file of its
//! `tests` directory:
//!
//! ```
//! use std::sync::Arc;
//! use zenobe_storage::conformance::EngineFactory;
//! use zenobe_storage::memory::MemoryEngine;
//! use zenobe_storage::{BoxFuture, Engine};
//!
//! struct Memory;
//!
//! impl EngineFactory for Memory {
//!     fn open<'a>(&'a self, _name: &'a str) -> BoxFuture<'a, Arc<dyn Engine>> {
//!         Box::pin(async { Arc::new(MemoryEngine::default()) as Arc<dyn Engine> })
//!     }
//! }
//!
//! zenobe_storage::conformance_tests!(Memory);
//! # fn main() {}
//! ```
//!
//! A behaviour is one function here and one `#[test]` there. It fails by panicking. Behaviours that need a
//! capability which the engine lacks test the refusal instead. What only one engine has (crashes, files,
//! full disks) is tested in that engine's crate.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

pub mod change_log;
pub mod commits;
pub mod concurrency;
pub mod derived;
pub mod faults;
mod fixture;
pub mod lifecycle;
pub mod limits;
pub mod model;
pub mod ranges;
pub mod reads;
pub mod scans;
pub mod snapshots;
pub mod spaces;

use std::sync::Arc;

use crate::memory::FaultScript;
use crate::{BoxFuture, Engine};

/// Makes the engines under test.
pub trait EngineFactory: Send + Sync {
    /// Opens the store with this name, empty when the name is new. Stores share nothing. The suite opens a
    /// name again only after closing it, and only if [`EngineFactory::keeps_data`].
    fn open<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Arc<dyn Engine>>;

    /// Whether a store that was closed still has its data when it is opened again.
    fn keeps_data(&self) -> bool {
        false
    }

    /// A new empty engine that asks this script for faults, where the engine can.
    fn open_faulty(&self, script: Arc<FaultScript>) -> Option<Arc<dyn Engine>> {
        let _ = script;
        None
    }

    /// Runs a future to its end on this thread. The suite calls it on threads of its own too, several at a
    /// time, never within another one on the same thread. An engine that needs a runtime supplies it here.
    fn block_on(&self, future: BoxFuture<'_, ()>) {
        pollster::block_on(future);
    }
}

/// Writes one `#[test]` per behaviour of the suite. The expression makes an [`EngineFactory`]; it is
/// evaluated once per test.
#[macro_export]
macro_rules! conformance_tests {
    ($factory:expr) => {
        $crate::conformance_tests! { @list tests [$factory] }
    };
    (@list $mode:ident [$factory:expr]) => {
        $crate::conformance_tests! { @$mode [$factory]
            change_log::a_conflict_appends_nothing,
            change_log::a_cut_closes_shards_for_good,
            change_log::a_reader_at_the_end_knows_where_it_is,
            change_log::a_cursor_reads_on_from_where_it_stands,
            change_log::a_page_of_records_ends_at_its_limits,
            change_log::records_are_kept_in_order_of_commits,
            change_log::shards_are_separate,
            change_log::trimmed_records_are_gone_and_later_ones_stay,
            commits::a_commit_is_all_or_nothing,
            commits::a_commit_of_preconditions_only_is_checked,
            commits::a_conflict_tells_the_current_row,
            commits::a_commit_spans_partitions_and_spaces_or_is_refused,
            commits::absent_is_required_for_an_insert,
            commits::deleting_an_absent_row_is_no_error,
            commits::lanes_of_a_partition_commit_together,
            commits::positions_grow,
            commits::the_version_of_a_commit_is_that_of_its_rows,
            commits::the_version_must_be_the_current_one,
            commits::versions_are_never_used_again,
            concurrency::a_snapshot_never_shows_half_of_a_commit,
            concurrency::counters_lose_no_increment,
            concurrency::registers_are_linearizable,
            concurrency::reads_never_go_back,
            derived::a_refused_commit_derives_nothing,
            derived::derived_rows_follow_their_commit,
            derived::derived_rows_of_a_dropped_space_are_forgotten,
            derived::the_last_derivation_stands,
            faults::a_failed_commit_does_nothing,
            faults::an_unknown_outcome_may_have_happened_or_not,
            faults::a_hidden_conflict_is_still_a_conflict,
            lifecycle::a_closed_engine_answers_closed,
            lifecycle::a_checkpoint_changes_nothing,
            lifecycle::everything_is_there_after_reopening,
            lifecycle::what_durable_reads_told_outlives_the_process,
            lifecycle::versions_grow_across_reopening,
            limits::keys_may_be_as_long_as_the_seam_says,
            limits::a_value_may_be_as_long_as_the_engine_says,
            limits::too_large_a_commit_is_refused,
            model::random_calls_match_a_map,
            ranges::an_interval_without_keys_is_empty,
            ranges::bounds_are_inclusive_or_exclusive,
            ranges::order_is_bytewise_both_ways,
            ranges::range_pages_end_at_their_limits,
            ranges::partitions_and_lanes_are_separate,
            reads::an_empty_value_is_not_an_absent_row,
            reads::multi_get_answers_in_the_order_of_keys,
            reads::what_is_committed_is_read_at_once,
            scans::a_cursor_survives_the_deletion_of_its_row,
            scans::an_interval_holds_exactly_its_partitions,
            scans::scans_keep_to_their_lane,
            scans::order_is_that_of_hashes,
            scans::scan_pages_end_at_their_limits,
            scans::splits_cover_everything_once,
            snapshots::a_snapshot_holds_what_was_durable,
            snapshots::a_snapshot_stays_while_writes_go_on,
            snapshots::many_snapshots_live_side_by_side,
            spaces::a_dropped_space_is_gone,
            spaces::a_space_made_again_is_empty,
            spaces::a_space_that_does_not_exist_is_an_error,
            spaces::making_a_space_twice_keeps_its_rows,
            spaces::spaces_are_listed_in_order,
        }
    };
    (@tests [$factory:expr] $($module:ident::$name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                let factory = $factory;
                let behaviour = Box::pin($crate::conformance::$module::$name(&factory));
                $crate::conformance::EngineFactory::block_on(&factory, behaviour);
            }
        )*
    };
    (@run [$factory:expr] $($module:ident::$name:ident),* $(,)?) => {
        $(Box::pin($crate::conformance::$module::$name($factory)).await;)*
    };
}

/// Runs the whole suite, one behaviour after the other, on one factory.
pub async fn run_all(factory: &dyn EngineFactory) {
    conformance_tests! { @list run [factory] }
}
