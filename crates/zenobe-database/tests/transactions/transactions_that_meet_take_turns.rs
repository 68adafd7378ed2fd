//! Two processes without a latch in common, at every point at which one can stop while the other runs.

use std::pin::pin;
use std::sync::Arc;

use zenobe_database::Database;
use zenobe_model::ErrorCode;

use super::stepwise::{Steps, Stepwise};
use super::support::*;

/// Two processes over a new store with the tables; the second one makes its calls step by step.
async fn two_processes(global: bool) -> (Database, Database, Arc<Steps>) {
    let (engine, _, db) = founder(global).await;
    let (stepwise, steps) = Stepwise::over(&engine);
    (db, open(&stepwise, &process(2)).await, steps)
}

/// Each looks at what the other changes: if both happened, neither could have been first.
async fn no_write_skew(x: &str, y: &str) {
    for &global in reaches() {
        let mut both = [0, 0, 0];
        let (db, stepwise, steps) = two_processes(global).await;
        for count in 0.. {
            endow(&db).await;
            let mut first = pin!(transact(&stepwise, vec![check(x, 100), add(y, 1)]));
            let before = steps.run(first.as_mut(), count).await;
            let second = transact(&db, vec![check(y, 100), add(x, 1)]).await;
            let is_over = before.is_some();
            let first = steps.finish(first, before).await;
            let happened = usize::from(first.is_ok()) + usize::from(second.is_ok());
            both[happened] += 1;
            assert!(happened < 2, "{count} steps: a write skew");
            let changed = read_together(&db, &[x, y]).await.unwrap();
            let sum: i64 = changed.into_iter().map(Option::unwrap).sum();
            assert_eq!(sum, 200 + i64::try_from(happened).unwrap());
            if is_over {
                break;
            }
        }
        assert!(both[1] > 1, "{both:?}");
    }
}

#[tokio::test]
async fn no_write_skew_over_partitions() {
    no_write_skew("a", "c").await;
}

#[tokio::test]
async fn no_write_skew_within_a_partition() {
    no_write_skew("c", "d").await;
}

/// A transaction of one commit is before one in two phases or after it, or is told of the conflict.
#[tokio::test]
async fn one_commit_and_two_phases_take_turns() {
    let (mut refused, mut done) = (0, 0);
    let (db, stepwise, steps) = two_processes(false).await;
    for count in 0.. {
        endow(&db).await;
        let mut two_phases = pin!(transact(&stepwise, vec![check("c", 100), add("a", 1)]));
        let before = steps.run(two_phases.as_mut(), count).await;
        let one_commit = transact(&db, vec![add("c", 1), check("d", 100)]).await;
        let is_over = before.is_some();
        let first = steps.finish(two_phases, before).await;
        match &one_commit {
            Ok(_) => done += 1,
            Err(error) => {
                assert_eq!(codes(error), ["TransactionConflict", "None"], "{count} steps");
                refused += 1;
            }
        }
        let expected =
            [Some(100 + i64::from(one_commit.is_ok())), Some(100 + i64::from(first.is_ok()))];
        assert_eq!(read_together(&db, &["c", "a"]).await.unwrap(), expected, "{count} steps");
        assert!(first.is_ok() || one_commit.is_ok(), "{count} steps");
        if is_over {
            break;
        }
    }
    assert!(refused > 1 && done > 1, "{refused} refused, {done} done");
}

/// A single write is before the transaction or after it, or is told of the conflict.
#[tokio::test]
async fn a_single_write_is_not_lost() {
    for &global in reaches() {
        let (db, stepwise, steps) = two_processes(global).await;
        for count in 0.. {
            endow(&db).await;
            let mut transfer = pin!(transact(&stepwise, vec![add("a", -10), add("d", 10)]));
            let before = steps.run(transfer.as_mut(), count).await;
            let single = add_alone(&db, "d", 1).await;
            let is_over = before.is_some();
            let done = steps.finish(transfer, before).await;
            done.unwrap();
            if let Err(error) = &single {
                assert_eq!(error.code, ErrorCode::TransactionConflict);
                assert!(!global, "with a global commit nothing is ever refused as a conflict");
            }
            let expected = 110 + i64::from(single.is_ok());
            let found = read_together(&db, &["a", "d"]).await.unwrap();
            assert_eq!(found, [Some(90), Some(expected)], "{count} steps");
            if is_over {
                break;
            }
        }
    }
}
