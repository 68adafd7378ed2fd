//! The process that makes a transaction dies after any number of calls of the engine. Whoever comes
//! next finds all of the transaction or nothing, waits no longer than its deadline, and cleans up.

use std::pin::pin;

use zenobe_model::ErrorCode;

use super::stepwise::Stepwise;
use super::support::*;

#[tokio::test]
async fn whenever_it_dies() {
    const TRANSFER: [(&str, &str, i64); 1] = [("a", "c", 30)];
    let mut outcomes = [0, 0];
    let (engine, environment, db) = founder(false).await;
    for count in 0.. {
        endow(&db).await;
        let (dying, steps) = Stepwise::over(&engine);
        let dying = open(&dying, &environment).await;
        let done = {
            let dying = pin!(transact(&dying, transfer("a", "c", 30, 0)));
            steps.run(dying, count).await
        };
        println!("{count} steps");

        // Readers do not wait: they see all or nothing, at once.
        let seen = read(&db, "a").await.unwrap();
        assert_eq!(read(&db, "c").await.unwrap(), seen.map(|a| 200 - a));
        // Writers of its items are refused until its time is over, if they are in the way at all.
        if let Err(error) = add_alone(&db, "a", 1).await {
            assert_eq!(error.code, ErrorCode::TransactionConflict);
            assert_eq!(error.message, "Transaction is ongoing for the item.");
            environment.advance(6_000);
            add_alone(&db, "a", 1).await.unwrap();
        }
        let extra = |name: &str| i64::from(name == "a");
        environment.advance(6_000);
        let happened = audit(&db, &TRANSFER, extra).await[0];
        assert_eq!(seen, Some(if happened { 70 } else { 100 }), "what was seen was taken back");
        assert!(happened || done.is_none());
        outcomes[usize::from(happened)] += 1;
        clear(&db, &engine, &environment).await;
        steps.free();
        end(dying).await;
        if done.is_some() {
            break;
        }
    }
    assert!(outcomes.iter().all(|count| *count > 3), "{outcomes:?}");
}

#[tokio::test]
async fn a_scan_sees_all_of_it_or_nothing() {
    for limit in [1, 2, 100] {
        let mut outcomes = [0, 0];
        let (engine, environment, db) = founder(false).await;
        for count in 0.. {
            endow(&db).await;
            let (dying, steps) = Stepwise::over(&engine);
            let dying = open(&dying, &environment).await;
            let done = {
                let dying = pin!(transact(&dying, transfer("a", "b", 30, 0)));
                steps.run(dying, count).await
            };
            let found = scan(&db, limit).await;
            let happened = found.contains_key("transfer 0");
            let balances = if happened { (70, 130) } else { (100, 100) };
            assert_eq!((found["a"], found["b"]), balances, "{count} steps");
            assert!(happened || done.is_none());
            outcomes[usize::from(happened)] += 1;
            environment.advance(6_000);
            steps.free();
            end(dying).await;
            if done.is_some() {
                break;
            }
        }
        assert!(outcomes.iter().all(|count| *count > 3), "{outcomes:?}");
    }
}

#[tokio::test]
async fn a_token_is_free_again_when_its_transaction_has_died() {
    let (engine, environment, db) = founder(false).await;
    for count in 0.. {
        endow(&db).await;
        let (dying, steps) = Stepwise::over(&engine);
        let dying = open(&dying, &environment).await;
        let actions = || vec![add("a", 1), add("d", -1)];
        let done = {
            let dying = pin!(transact_with(&dying, actions(), Some("token")));
            steps.run(dying, count).await
        };
        let again = transact_with(&db, actions(), Some("token")).await;
        if let Err(error) = again {
            assert_eq!(error.code, ErrorCode::TransactionInProgress);
            environment.advance(6_000);
            transact_with(&db, actions(), Some("token")).await.unwrap();
        }
        assert_eq!(read_together(&db, &["a", "d"]).await.unwrap(), [Some(101), Some(99)]);
        clear(&db, &engine, &environment).await;
        steps.free();
        end(dying).await;
        if done.is_some() {
            break;
        }
    }
}
