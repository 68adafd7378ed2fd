//! `ClientRequestToken`: once in ten minutes, across restarts.

use zenobe_model::ErrorCode;
use zenobe_model::capacity::{CapacityDirection, HalfUnits};

use super::support::*;

#[tokio::test]
async fn once_in_ten_minutes_and_across_restarts() {
    for &global in reaches() {
        let engine = engine(global).await;
        let environment = process(1);
        let mut db = open(&engine, &environment).await;
        found(&db).await;
        for _ in 0..3 {
            transact_with(&db, vec![add("a", 1), add("c", 2)], Some("token")).await.unwrap();
            environment.advance(3 * 60 * 1000);
            db = open(&engine, &environment).await;
        }
        assert_eq!(read_together(&db, &["a", "c"]).await.unwrap(), [Some(101), Some(102)]);
        environment.advance(60 * 1000);
        transact_with(&db, vec![add("a", 1), add("c", 2)], Some("token")).await.unwrap();
        assert_eq!(read_together(&db, &["a", "c"]).await.unwrap(), [Some(102), Some(104)]);
        clear(&db, &engine, &environment).await;
    }
}

#[tokio::test]
async fn a_token_stands_for_one_request() {
    for &global in reaches() {
        let engine = engine(global).await;
        let environment = process(1);
        let db = open(&engine, &environment).await;
        found(&db).await;
        transact_with(&db, vec![add("a", 1)], Some("token")).await.unwrap();
        for other in [vec![add("a", 2)], vec![add("b", 1)], vec![add("a", 1), add("b", 1)]] {
            let error = transact_with(&db, other, Some("token")).await.unwrap_err();
            assert_eq!(error.code, ErrorCode::IdempotentParameterMismatch);
        }
        transact_with(&db, vec![add("a", 1)], Some("token")).await.unwrap();
        assert_eq!(read(&db, "a").await.unwrap(), Some(101));
    }
}

#[tokio::test]
async fn what_was_cancelled_has_used_up_no_token() {
    for &global in reaches() {
        let engine = engine(global).await;
        let db = open(&engine, &process(1)).await;
        found(&db).await;
        let error = transact_with(&db, vec![check("a", 5)], Some("token")).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::TransactionCanceled);
        transact_with(&db, vec![add("b", 1)], Some("token")).await.unwrap();
        assert_eq!(read(&db, "b").await.unwrap(), Some(101));
    }
}

#[tokio::test]
async fn the_second_time_reads_are_billed() {
    for &global in reaches() {
        let engine = engine(global).await;
        let db = open(&engine, &process(1)).await;
        found(&db).await;
        let actions = || vec![add("a", 1), add("c", 2), check("b", 100)];
        for (direction, shared) in [
            // The item and its unchanged key in the index: two units, and one for the projection.
            (CapacityDirection::Write, HalfUnits(6)),
            (CapacityDirection::Read, HalfUnits(4)),
        ] {
            let response = transact_with(&db, actions(), Some("token")).await.unwrap();
            let consumed = response.consumed_capacity.unwrap();
            let names: Vec<&str> = consumed.iter().map(|table| table.table_name.as_str()).collect();
            assert_eq!(names, ["Own", "Shared"]);
            assert!(consumed.iter().all(|table| table.direction == Some(direction)));
            assert_eq!(consumed[0].total, HalfUnits(8));
            assert_eq!(consumed[0].detail.as_ref().unwrap().table, HalfUnits(8));
            assert_eq!(consumed[1].total, shared, "{direction:?}");
        }
    }
}

#[tokio::test]
async fn two_at_the_same_time_are_told_apart() {
    for &global in reaches() {
        let engine = engine(global).await;
        let db = open(&engine, &process(1)).await;
        found(&db).await;
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let db = db.clone();
                tokio::spawn(async move {
                    transact_with(&db, vec![add("a", 1), add("b", 1)], Some("token")).await
                })
            })
            .collect();
        let mut done = 0;
        for task in tasks {
            match task.await.unwrap() {
                Ok(_) => done += 1,
                Err(error) => assert_eq!(error.code, ErrorCode::TransactionInProgress),
            }
        }
        assert!(done > 0);
        assert_eq!(read_together(&db, &["a", "b"]).await.unwrap(), [Some(101), Some(101)]);
    }
}
